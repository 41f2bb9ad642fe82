//! One poll, as the explorer sees it.

use super::closing::{Counts, count, is_count};
use crate::strategy::{Footprint, Op, OpKind, Timers};
use asupersync_core::{ObjectId, RegionId, TaskId};
use asupersync_trace::{Actor, Step, Target, Touch, dependent};
use smallvec::SmallVec;
use std::sync::Arc;

/// A poll and what it touched. The regions that closed in it stand apart: they close in whichever poll
/// comes last, so they can move to another.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(super) task: TaskId,
    pub(super) step: Step,
    pub(super) closes: Vec<Close>,
    /// What its own step does to the counts of those that regions have left.
    pub(super) counts: Counts,
    pub(super) ops: Ops,
    pub(super) foreign: bool,
    pub(super) cancels: Vec<TaskId>,
    pub(super) tentative: bool,
    /// What it did to the timers, where time races.
    pub(super) timers: Option<Arc<Timers>>,
    /// What it will touch cannot be told: its order matters with everything.
    pub(super) opaque: bool,
    own: Masks,
    /// With those of its closes.
    all: Masks,
}

/// Operations of one poll: seldom more than one.
type Ops = SmallVec<[Op; 1]>;

/// A region that closed.
#[derive(Clone, Debug)]
pub(crate) struct Close {
    pub(super) step: Step,
    pub(super) counts: Counts,
    masks: Masks,
    /// Without its count of children, who may come and go in any order before their region acts on the last being gone.
    beyond: Masks,
}

impl Close {
    /// A region's close that touches targets of these numbers.
    pub(super) fn new(step: Step, counts: Counts, numbers: &[u32]) -> Close {
        let (mut masks, mut beyond) = (Masks::default(), Masks::default());
        for (touch, number) in step.touches.iter().zip(numbers) {
            let mask = Masks::of_touch(touch, Some(*number));
            masks = masks.and(mask);
            if !is_count(touch.target) {
                beyond = beyond.and(mask);
            }
        }
        if step.actor == Actor::Host {
            (masks, beyond) = (Masks::ALL, Masks::ALL);
        }
        Close { step, counts, masks, beyond }
    }

    /// Touches what the other does, too.
    pub(super) fn join(&mut self, other: &Close) {
        if self.step == other.step {
            return;
        }
        let touches = self.step.touches.iter().chain(&*other.step.touches).copied().collect();
        self.step = Step::new(self.step.actor, touches);
        self.masks = self.masks.and(other.masks);
        self.beyond = self.beyond.and(other.beyond);
    }

    /// Whether the order of this, of an earlier poll, and a later poll without what closes in that may matter.
    pub(super) fn meets(&self, later: &Label) -> bool {
        self.masks.conflict(later.own) != 0
    }
}

/// A bit for each target by its number, which it has from the history that both polls are of. The last bit stands
/// for all whose numbers are beyond.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Masks {
    touched: u64,
    written: u64,
}

const BEYOND: u64 = 1 << 63;

impl Masks {
    const ALL: Masks = Masks { touched: u64::MAX, written: u64::MAX };

    /// Of a step that touches targets of these numbers, as far as they have any.
    pub(super) fn of(step: &Step, numbers: impl Iterator<Item = Option<u32>>) -> Masks {
        if step.actor == Actor::Host {
            return Masks::ALL;
        }
        let touches = step.touches.iter().zip(numbers);
        let masks = touches.map(|(touch, number)| Masks::of_touch(touch, number));
        masks.fold(Masks::default(), Masks::and)
    }

    fn of_touch(touch: &Touch, number: Option<u32>) -> Masks {
        let touched = 1_u64.checked_shl(number.unwrap_or(63)).unwrap_or(BEYOND);
        Masks { touched, written: if touch.write { touched } else { 0 } }
    }

    fn and(self, other: Masks) -> Masks {
        Masks { touched: self.touched | other.touched, written: self.written | other.written }
    }

    /// Whether the other's have all of these. Of targets without a bit of their own that is not known.
    fn are_within(self, other: Masks) -> bool {
        (self.touched & !other.touched) | (self.written & !other.written) | (self.touched & BEYOND)
            == 0
    }

    /// The targets that both touch and one of them writes.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn conflict(self, other: Masks) -> u64 {
        (self.written & other.touched) | (self.touched & other.written)
    }
}

pub(crate) type Shared = Arc<Label>;

impl Label {
    /// A poll that is not known yet.
    pub(super) fn unknown(task: TaskId) -> Shared {
        let step = Step::new(Actor::of(task), Vec::new());
        Arc::new(Label {
            task,
            step,
            closes: Vec::new(),
            counts: Counts::new(),
            ops: Ops::new(),
            foreign: true,
            cancels: Vec::new(),
            tentative: false,
            timers: None,
            opaque: false,
            own: Masks::default(),
            all: Masks::default(),
        })
    }

    /// Time passing, where it never has, and with which everything may be dependent.
    pub(super) fn time() -> Shared {
        Arc::new(Label::unknown(Actor::TIME).opaque())
    }

    /// A poll of which this is known, whose own targets these are, and in which nothing closes. Takes what it needs of
    /// the footprint.
    pub(super) fn new(
        task: TaskId,
        step: Step,
        own: Masks,
        counts: Counts,
        footprint: &mut Footprint,
    ) -> Label {
        Label {
            task,
            step,
            closes: Vec::new(),
            counts,
            ops: footprint.ops.drain(..).collect(),
            foreign: footprint.foreign,
            cancels: std::mem::take(&mut footprint.cancels),
            tentative: footprint.tentative,
            timers: footprint.timers.take(),
            opaque: false,
            own,
            all: own,
        }
    }

    /// The poll if these regions close in it.
    pub(super) fn with_closes(&self, closes: Vec<Close>) -> Label {
        let mut label = self.clone();
        label.set_closes(closes);
        label
    }

    fn set_closes(&mut self, closes: Vec<Close>) {
        self.all = closes.iter().fold(self.own, |all, close| all.and(close.masks));
        self.closes = closes;
    }

    /// A poll that takes a mutex.
    pub(super) fn lock(
        task: TaskId,
        object: ObjectId,
        number: impl Fn(Target) -> Option<u32>,
    ) -> Shared {
        let op = Op { object, expected: None, before: 0, after: 1, kind: OpKind::Take };
        let touches = vec![
            Touch { target: Target::Readiness(task), write: false },
            Touch { target: Target::Object(object), write: true },
        ];
        let step = Step::new(Actor::Task(task), touches);
        let own = Masks::of(&step, step.touches.iter().map(|touch| number(touch.target)));
        let mut footprint = Footprint { ops: vec![op], ..Footprint::default() };
        Arc::new(Label::new(task, step, own, Counts::new(), &mut footprint))
    }

    /// Whether the order of the two matters, `self` being the earlier.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn dependent(&self, later: &Label) -> bool {
        if self.task == later.task || self.opaque || later.opaque {
            return true;
        }
        // A poll reads its task's readiness at least; regions that are the same write the same.
        match self.all.conflict(later.all) {
            0 => false,
            BEYOND => self.conflicts(later),
            _ if self.closes.is_empty() && later.closes.is_empty() => true,
            _ => self.conflicts(later),
        }
    }

    /// The same of two tasks' polls with a target in common, as far as their masks tell.
    #[inline(never)]
    fn conflicts(&self, later: &Label) -> bool {
        let own = |close: &Close| {
            decide(close.masks.conflict(later.own), || {
                dependent(close.step.view(), later.step.view())
            })
        };
        let its = |close: &Close| {
            decide(close.beyond.conflict(self.own), || {
                conflicts_beyond_count(&self.step, &close.step)
            })
        };
        let both = |close: &Close, other: &Close| {
            decide(close.masks.conflict(other.masks), || {
                dependent(close.step.view(), other.step.view())
            })
        };
        decide(self.own.conflict(later.own), || dependent(self.step.view(), later.step.view()))
            || self.closes.iter().any(own)
            || later.closes.iter().any(its)
            || self.closes.iter().any(|close| later.closes.iter().any(|other| both(close, other)))
    }

    /// Whether it reads this region's count of children.
    pub(super) fn counts(&self, target: Target) -> bool {
        self.step.touches.iter().any(|touch| touch.target == target)
    }

    /// The same poll where the objects have other values and these regions close in it, if not the same; none if it is as it was.
    /// Outcomes that cannot be told are taken to write whatever they touch.
    pub(super) fn moved(
        &self,
        value: impl Fn(ObjectId) -> Option<u64>,
        closes: Option<Vec<Close>>,
        number: impl Fn(Target) -> Option<u32>,
    ) -> Option<Shared> {
        let touches = self.step.touches.iter();
        let is_same =
            |touch: &Touch| self.touch_moved(touch, &value).is_some_and(|moved| moved == *touch);
        if closes.is_none() && touches.clone().all(is_same) {
            return None;
        }
        let touches = touches.filter_map(|touch| self.touch_moved(touch, &value)).collect();
        let step = Step { actor: self.step.actor, touches };
        let closes = closes.unwrap_or_else(|| self.closes.clone());
        let own = Masks::of(&step, step.touches.iter().map(|touch| number(touch.target)));
        let (ops, cancels) = (self.ops.clone(), self.cancels.clone());
        let (timers, counts) = (self.timers.clone(), self.counts.clone());
        let closes_later = Vec::new();
        let mut label =
            Label { step, own, closes: closes_later, counts, ops, cancels, timers, ..*self };
        label.set_closes(closes);
        Some(Arc::new(label))
    }

    /// What it touches instead where the objects have other values.
    fn touch_moved(&self, touch: &Touch, value: impl Fn(ObjectId) -> Option<u64>) -> Option<Touch> {
        let Target::Object(object) = touch.target else { return Some(*touch) };
        let mut ops = self.ops.iter().filter(|op| op.object == object);
        let first = ops.next();
        if first.into_iter().chain(ops.clone()).any(|op| op.kind == OpKind::Message) {
            return None;
        }
        if self.foreign {
            return Some(Touch { write: true, ..*touch });
        }
        if let (Some(op), None) = (first, ops.next()) {
            if let (Some(expected), Some(found)) = (op.expected, value(object)) {
                return Some(Touch { write: expected == found, ..*touch });
            }
        }
        Some(*touch)
    }

    /// Whether a region may have fewer left after it.
    pub(super) fn is_end(&self) -> bool {
        let counts = self.closes.iter().flat_map(|close| &close.counts);
        self.counts.iter().chain(counts).any(|(_, by)| *by < 0)
    }

    /// It did several things: with another value read, it might do fewer or more.
    pub(super) fn is_compound(&self) -> bool {
        self.ops.len() > 1
    }

    /// By how many more a region has left after it.
    pub(super) fn change(&self, region: RegionId) -> i32 {
        let closes = self.closes.iter().map(|close| count(&close.counts, region));
        count(&self.counts, region) + closes.sum::<i32>()
    }

    /// Whether its order with this close, which comes after it, matters.
    pub(super) fn precedes(&self, close: &Close) -> bool {
        let theirs = |other: &Close| {
            decide(other.masks.conflict(close.masks), || {
                dependent(other.step.view(), close.step.view())
            })
        };
        let own = || conflicts_beyond_count(&self.step, &close.step);
        self.opaque
            || decide(close.beyond.conflict(self.own), own)
            || self.closes.iter().any(theirs)
    }

    /// Whether it may touch something else when it is run.
    pub(super) fn is_guess(&self) -> bool {
        self.opaque || self.foreign
    }

    /// The same poll where, if it is an end, these regions close in it.
    pub(super) fn closing(&self, closes: &[Close]) -> Shared {
        let ends = |close: &&Close| close.step.touches.iter().any(|t| self.counts(t.target));
        Arc::new(self.with_closes(closes.iter().filter(ends).cloned().collect()))
    }

    /// The poll where what it does cannot be told.
    pub(super) fn opaque(&self) -> Label {
        Label { opaque: true, ..self.with_closes(Vec::new()) }
    }

    /// Whether it touches no more than the other.
    pub(super) fn is_within(&self, other: &Label) -> bool {
        self.step.touches.iter().all(|touch| {
            let same = other.step.touches.iter().find(|t| t.target == touch.target);
            same.is_some_and(|same| same.write || !touch.write)
        })
    }

    /// The same without what closes in them, as far as their masks tell: what depends on this one's own step depends on
    /// the other's.
    pub(super) fn is_surely_within(&self, other: &Label) -> bool {
        !self.opaque && self.own.are_within(other.own)
    }

    /// Whether the order of the two may matter, without what closes in them.
    pub(super) fn meets(&self, other: &Label) -> bool {
        self.task == other.task || self.own.conflict(other.own) != 0
    }

    /// Whether the order of this poll, without what closes in it, and what closes in a later one may matter.
    pub(super) fn meets_closes(&self, later: &Label) -> bool {
        later.closes.iter().any(|close| close.beyond.conflict(self.own) != 0)
    }

    /// Whether it touches the same wherever it is run, as far as its task comes there with the same in mind.
    pub(super) fn is_same_anywhere(&self) -> bool {
        let is_plain = |op: &Op| op.expected.is_none() && op.kind != OpKind::Message;
        !self.is_guess() && self.ops.iter().all(is_plain)
    }

    /// As [`dependent`](Label::dependent), of the polls without what closes in them.
    pub(super) fn steps_dependent(&self, later: &Label) -> bool {
        self.task == later.task || dependent(self.step.view(), later.step.view())
    }

    /// The object that rivals for this poll's turn touch, where the poll waited for its turn, and
    /// what it waited for.
    pub(super) fn gate(&self) -> Option<(ObjectId, OpKind)> {
        let waits = |op: &&Op| {
            matches!(op.kind, OpKind::Take | OpKind::Receive { .. } | OpKind::Enqueue { .. })
        };
        self.ops.iter().find(waits).map(|op| (op.object, op.kind))
    }
}

/// Whether there is a conflict: certainly where the target has a bit of its own, and otherwise as `exactly` says.
#[cfg_attr(not(debug_assertions), inline(always))]
fn decide(conflict: u64, exactly: impl FnOnce() -> bool) -> bool {
    conflict & !BEYOND != 0 || (conflict != 0 && exactly())
}

/// Children may come and go in any order before their region acts on the last being gone.
fn conflicts_beyond_count(step: &Step, close: &Step) -> bool {
    close
        .touches
        .iter()
        .filter(|b| !is_count(b.target))
        .any(|b| step.touches.iter().any(|a| a.target == b.target && (a.write || b.write)))
}
