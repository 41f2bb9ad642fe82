//! One poll, as the explorer sees it.

use crate::strategy::{Op, OpKind, Timers};
use asupersync_core::{ObjectId, TaskId};
use asupersync_trace::{Actor, IdHasher, Step, Target, Touch, dependent};
use std::sync::Arc;

/// A poll and what it touched. The regions that closed in it stand apart: they close in whichever poll
/// comes last, so they can move to another.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(super) task: TaskId,
    pub(super) step: Step,
    pub(super) closes: Vec<Step>,
    pub(super) ops: Vec<Op>,
    pub(super) foreign: bool,
    pub(super) cancels: Vec<TaskId>,
    pub(super) tentative: bool,
    /// What it did to the timers, where time races.
    pub(super) timers: Option<Arc<Timers>>,
    /// What it will touch cannot be told: its order matters with everything.
    pub(super) opaque: bool,
    pub(super) masks: Masks,
}

/// A bit for each target, several to a bit: what has none in common has no target in common.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Masks {
    touched: u64,
    written: u64,
}

impl Masks {
    pub(super) fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Masks {
        let mut masks = Masks::default();
        for step in steps {
            if step.actor == Actor::Host {
                return Masks { touched: u64::MAX, written: u64::MAX };
            }
            for touch in &*step.touches {
                let bit = 1 << (IdHasher::hash(touch.target) & 63);
                masks.touched |= bit;
                masks.written |= if touch.write { bit } else { 0 };
            }
        }
        masks
    }

    fn conflict(self, other: Masks) -> bool {
        (self.written & other.touched) | (self.touched & other.written) != 0
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
            ops: Vec::new(),
            foreign: true,
            cancels: Vec::new(),
            tentative: false,
            timers: None,
            opaque: false,
            masks: Masks::default(),
        })
    }

    /// Time passing, where it never has, and with which everything may be dependent.
    pub(super) fn time() -> Shared {
        Arc::new(Label { opaque: true, ..Label::clone(&Label::unknown(Actor::TIME)) })
    }

    /// A poll that takes a mutex.
    pub(super) fn lock(task: TaskId, object: ObjectId) -> Shared {
        let op = Op { object, expected: None, before: 0, after: 1, kind: OpKind::Take };
        let touches = vec![
            Touch { target: Target::Readiness(task), write: false },
            Touch { target: Target::Object(object), write: true },
        ];
        let step = Step::new(Actor::Task(task), touches);
        Arc::new(Label {
            task,
            masks: Masks::of([&step]),
            step,
            closes: Vec::new(),
            ops: vec![op],
            foreign: false,
            cancels: Vec::new(),
            tentative: false,
            timers: None,
            opaque: false,
        })
    }

    /// Whether the order of the two matters, `self` being the earlier.
    pub(super) fn dependent(&self, later: &Label) -> bool {
        if self.task == later.task || self.opaque || later.opaque {
            return true;
        }
        // A poll reads its task's readiness at least; regions that are the same write the same.
        if !self.masks.conflict(later.masks) {
            return false;
        }
        dependent(self.step.view(), later.step.view())
            || self.closes.iter().any(|close| dependent(close.view(), later.step.view()))
            || later.closes.iter().any(|close| conflicts_beyond_count(&self.step, close))
            || self
                .closes
                .iter()
                .any(|close| later.closes.iter().any(|other| dependent(close.view(), other.view())))
    }

    /// Whether it reads this region's count of children.
    pub(super) fn counts(&self, target: Target) -> bool {
        self.step.touches.iter().any(|touch| touch.target == target)
    }

    /// The same poll where the objects have other values and these regions close in it. Outcomes that cannot
    /// be told are taken to write whatever they touch.
    pub(super) fn moved(
        &self,
        value: impl Fn(ObjectId) -> Option<u64>,
        closes: Vec<Step>,
    ) -> Shared {
        let mut label = Label { closes, ..self.clone() };
        let is_message = |touch: &Touch| {
            let of =
                |op: &Op| op.kind == OpKind::Message && Target::Object(op.object) == touch.target;
            self.ops.iter().any(of)
        };
        let mut touches: Vec<Touch> =
            label.step.touches.iter().filter(|t| !is_message(t)).copied().collect();
        for touch in &mut touches {
            let Target::Object(object) = touch.target else { continue };
            if label.foreign {
                touch.write = true;
                continue;
            }
            let mut ops = label.ops.iter_mut().filter(|op| op.object == object);
            let (Some(op), None) = (ops.next(), ops.next()) else {
                continue;
            };
            if let (Some(expected), Some(found)) = (op.expected, value(object)) {
                touch.write = expected == found;
            }
        }
        label.step.touches = touches.into();
        label.masks = Masks::of(label.closes.iter().chain([&label.step]));
        Arc::new(label)
    }

    /// Whether it may touch something else when it is run.
    pub(super) fn is_guess(&self) -> bool {
        self.opaque || self.foreign
    }

    /// The object that rivals for this poll's turn touch, where the poll waited for its turn, and
    /// what it waited for.
    pub(super) fn gate(&self) -> Option<(ObjectId, OpKind)> {
        let waits = |op: &&Op| matches!(op.kind, OpKind::Take | OpKind::Receive { .. });
        self.ops.iter().find(waits).map(|op| (op.object, op.kind))
    }
}

/// Children may come and go in any order before their region acts on the last being gone.
fn conflicts_beyond_count(step: &Step, close: &Step) -> bool {
    close
        .touches
        .iter()
        .filter(|b| !matches!(b.target, Target::Children(_)))
        .any(|b| step.touches.iter().any(|a| a.target == b.target && (a.write || b.write)))
}
