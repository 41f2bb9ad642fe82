//! What to run so that two polls that race come in the other order.

use super::{History, Plan, Polled, Race, Sequence};
use crate::explore::foresight::{Forecast, Past, Setting};
use crate::explore::label::{Close, Label, Shared};
use crate::strategy::{Choice, OpKind};
use asupersync_core::{ObjectId, SplitMix64, TaskId};
use asupersync_trace::{Actor, IdMap, Target};
use std::sync::Arc;

impl History {
    /// Plans what to run so that the poll `second` comes before the event `first`. If that is settled, answers with
    /// how many polls it is.
    pub(super) fn reverse<'a>(
        &'a self,
        first: usize,
        second: usize,
        sequence: &mut Sequence<'a>,
        plan: &mut impl Plan,
    ) -> Option<usize> {
        let at = self.events_of_polls[second];
        let event = &self.events[first];
        if self.is_woken_by(at, first, first) {
            return Some(0);
        }
        let mut needs = Some(0);
        let mut reverse = |moved: usize| {
            if moved != first && self.is_woken_by(at, moved, first) {
                return;
            }
            let poll = self.events[moved].poll;
            let sleeping = plan.sleeping(poll);
            let is_certain = self.is_certain(first, second);
            if is_certain && sleeping.iter().any(|step| self.is_asleep(step, moved, first, second))
            {
                needs = None;
                return;
            }
            let steps = sleeping.iter();
            let needed = steps.filter_map(|step| self.begins(step, moved, first)).min();
            if let (Some(needed), true) = (needed, is_certain) {
                needs = needs.map(|needs: usize| needs.max(needed));
                return;
            }
            let mut settles = None;
            if let Some(forecast) = self.reversal(moved, first, second, sequence) {
                let last = sequence.last().expect("it ends with the second");
                let is_as_here = || !last.opaque && last.is_within(&self.polls[second]);
                if needed.is_some() && forecast.is_none() && is_as_here() {
                    settles = needed;
                }
                let race = Race { first: poll, second: Some(second), forecast, history: self };
                plan.add(race, sequence);
            }
            needs = needs.zip(settles).map(|(all, one)| all.max(one));
        };
        if event.is_poll {
            reverse(first);
        } else if let Actor::Region(_) = event.step.actor {
            // The region closes when its last child is gone: each that need not be before `second`
            // can be the one that is moved behind it.
            for child in self.children(first) {
                if !(self.before(child, at) && self.before_without(child, at, first)) {
                    reverse(child);
                }
            }
        }
        needs
    }

    /// Whether the step, which sleeps before `moved`, is the poll `second`, and covers what is to be run so that this comes
    /// before `first`: what is to be run before it depends on neither. What the step touches the second touches too, so of what
    /// comes after the second all that depends on that is after the first, and is not to be run; but for what closes in
    /// either.
    fn is_asleep(&self, step: &Label, moved: usize, first: usize, second: usize) -> bool {
        let label = &self.polls[second];
        if step.task != label.task || !step.is_surely_within(label) || !label.is_same_anywhere() {
            return false;
        }
        let is_after = |at: usize| self.is_after((moved, first), at);
        if !self.before(first, self.events_of_polls[second])
            || self.closes_with(second, is_after).next().is_some()
        {
            return false;
        }
        let closes = !step.closes.is_empty();
        let mut others = self.events[moved].poll + 1..self.polls.len();
        others.all(|poll| {
            let other = &self.polls[poll];
            if poll == second || (poll > second && !closes && other.closes.is_empty()) {
                return true;
            }
            let depends = (poll < second && other.meets(label))
                || other.meets_closes(step)
                || self.closes_with(poll, is_after).any(|close| closes || close.meets(label));
            !depends || is_after(self.events_of_polls[poll])
        })
    }

    /// Whether the event comes after one of the two.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn is_after(&self, (moved, first): (usize, usize), at: usize) -> bool {
        self.before(moved, at) || (first != moved && self.before(first, at))
    }

    /// If the step is a poll of what comes after `moved` and depends neither on it nor on `other`, and is independent of
    /// what comes before it there: how many polls there are up to it.
    fn begins(&self, step: &Label, moved: usize, other: usize) -> Option<usize> {
        let is_after = |poll: usize| {
            let at = self.events_of_polls[poll];
            self.is_after((moved, other), at)
        };
        let start = self.events[moved].poll + 1;
        // Then most probably its poll here is after `moved`.
        if self.polls[start - 1].dependent(step) {
            return None;
        }
        let poll = start + self.polls[start..].iter().position(|label| label.task == step.task)?;
        let label = &self.polls[poll];
        let depends = |before: usize| {
            let other = &self.polls[before];
            !is_after(before) && (other.dependent(label) || other.dependent(step))
        };
        (!is_after(poll) && !(start..poll).any(depends)).then_some(poll + 1)
    }

    /// Whether all that made the poll's task runnable depends on one of the two.
    fn is_woken_by(&self, at: usize, moved: usize, first: usize) -> bool {
        let wakes = self.order.wakes(at);
        let stays = |e: usize| e < moved || !self.is_after((moved, first), e);
        !wakes.is_empty() && !wakes.iter().any(|wake| stays(*wake))
    }

    /// Whether `first` happens before `second` otherwise than through `through`, and not only because the two
    /// themselves race.
    fn before_without(&self, first: usize, second: usize, through: usize) -> bool {
        let races = self.order.actor(first) != self.order.actor(second);
        let others = self.order.direct(second).iter().copied().filter(|other| *other != through);
        others.into_iter().any(|other| (other != first || !races) && self.before(first, other))
    }

    /// Whether it can be told what the poll `second` touches when it comes before `first`.
    fn is_certain(&self, first: usize, second: usize) -> bool {
        let label = &self.polls[second];
        !self.cancels(first, label.task) && !label.tentative && !label.is_guess()
    }

    /// Leaves in `sequence` what to run so that `second` comes before `first`, and answers what is not certain of it; none if
    /// it cannot come there.
    fn reversal<'a>(
        &'a self,
        moved: usize,
        first: usize,
        second: usize,
        sequence: &mut Sequence<'a>,
    ) -> Option<Option<Box<Forecast>>> {
        let start = self.events[moved].poll;
        let stays = |e: usize| e < moved || !self.is_after((moved, first), e);
        let value = |object: ObjectId| {
            let polls = (0..self.polls.len()).filter(|p| stays(self.events_of_polls[*p]));
            let ops = polls.flat_map(|p| self.polls[p].ops.iter());
            let last = ops.rev().find(|op| op.object == object);
            // Nothing left of what used it: it is as the first use found it.
            let fresh = || self.polls[start..].iter().flat_map(|p| p.ops.iter());
            last.map(|op| op.after)
                .or_else(|| fresh().find(|op| op.object == object).map(|op| op.before))
        };
        let label = &self.polls[second];
        let is_shut = match label.gate() {
            Some((head, OpKind::Receive { tail })) => value(head) >= value(tail),
            Some((tail, OpKind::Enqueue { head, capacity })) => {
                let count = |object: Option<ObjectId>| object.and_then(value).unwrap_or(0);
                count(Some(tail)) >= count(head) + capacity
            }
            Some((mutex, _)) => value(mutex) == Some(1),
            None => false,
        };
        if is_shut {
            return None;
        }
        let is_after = |e: usize| self.is_after((moved, first), e);
        // Where only what closed in it comes after the first, it is not itself after it.
        let others = self.not_after(moved, is_after).filter(|poll| *poll != second);
        let mut is_other_time = false;
        if label.task == Choice::TIME {
            let at = self.events_of_polls[second];
            let fires = self.fires(start, |e| e == at || is_after(e));
            if fires.is_empty() {
                return None;
            }
            is_other_time = fires != self.fires(second, |_| true);
        }
        sequence.clear();
        sequence.extend(others.map(|poll| self.without(poll, is_after)));
        let closes = self.closes_without(second, is_after);
        let moves = |closes: Option<Vec<Close>>| {
            let (label, closes) = match closes {
                Some(closes) if closes.is_empty() => (self.bare(second), None),
                closes => (label, closes),
            };
            let moved = label.moved(value, closes, |target| self.order.number(target));
            moved.map_or(Polled::AsItWas(label), Polled::Moved)
        };
        if self.is_certain(first, second) {
            sequence.push(moves(closes));
            return Some(None);
        }
        let opaque = label.tentative || self.cancels(first, label.task) || is_other_time;
        let expected = match opaque {
            // Told that it is cancelled, or that what it asked for had been done, it does something else than
            // without that.
            true => Arc::new(label.opaque()),
            false => moves(closes.clone()).to_shared(),
        };
        let closes = closes.unwrap_or_else(|| label.closes.clone());
        let place = (moved, first, Some(second));
        let (expected, forecast) = self.forecast(place, sequence, closes, expected);
        sequence.push(Polled::Moved(expected));
        Some(forecast)
    }

    /// Whether the event is a poll in which the task was cancelled.
    fn cancels(&self, event: usize, task: TaskId) -> bool {
        let event = &self.events[event];
        event.is_poll && self.polls[event.poll].cancels.contains(&task)
    }

    /// What the poll `second`, or time, which did not pass, touches after the sequence instead of after the two before it: what
    /// is known of it, or else what is expected; and a forecast as long as that is not certain. If it is an end, `closes` close in it.
    pub(super) fn forecast(
        &self,
        (moved, first, second): (usize, usize, Option<usize>),
        sequence: &[Polled<'_>],
        closes: Vec<Close>,
        expected: Shared,
    ) -> (Shared, Option<Box<Forecast>>) {
        let is_after = |e: usize| self.is_after((moved, first), e);
        let (id, setting) = self.setting(moved, first, second);
        let found = self.known.at(&setting).map(|known| known.closing(&closes));
        let expected = found.clone().unwrap_or(expected);
        let others = self.not_after(moved, is_after).filter(|poll| Some(*poll) != second);
        let depended = others.map(|poll| {
            let at = second.map(|second| self.events_of_polls[second]);
            at.is_some_and(|at| self.before(self.events_of_polls[poll], at))
        });
        let others = sequence.iter().map(Polled::to_shared).zip(depended).collect();
        let first = self.polls[self.events[moved].poll].task;
        let mut forecast =
            Forecast { id, setting, expected: expected.clone(), closes, others, first, found };
        let holds = forecast.holds(&self.known);
        (expected, (!holds).then(|| Box::new(forecast)))
    }

    /// Where `second`, or time, stands without the two before it and what depends on them, and a number for that.
    fn setting(&self, moved: usize, first: usize, second: Option<usize>) -> (u64, Setting) {
        let at = second.map(|second| self.events_of_polls[second]);
        let task = second.map_or(Choice::TIME, |second| self.polls[second].task);
        let mut own = at.map_or(0, |at| self.order.keys(at).own);
        let (mut sum, mut floor) = (0_u64, 0);
        let mut used: IdMap<Target, Past> = IdMap::default();
        for (index, event) in self.events.iter().enumerate() {
            let is_own = at.is_some_and(|at| index >= at && (index == at || !event.is_poll))
                && Some(event.poll) == second;
            let is_after = index >= moved && self.is_after((moved, first), index);
            if is_own || is_after {
                continue;
            }
            let key = self.order.keys(index).key;
            sum = sum.wrapping_add(key);
            for touch in &*event.step.touches {
                let past = used.entry(touch.target).or_default();
                *past = match touch.write {
                    true => Past { write: key, reads: 0 },
                    false => Past { reads: past.reads.wrapping_add(key), ..*past },
                };
            }
            if event.step.actor == Actor::Host {
                floor = key;
            }
            if at.is_none() && event.step.actor == Actor::Clock {
                own = key;
            }
        }
        let id = SplitMix64::mix(sum ^ own) ^ task.to_bits();
        (id, Setting { task, own, floor, used })
    }

    /// The polls from that of `first` on of which this is not said.
    pub(super) fn not_after(
        &self,
        first: usize,
        is_after: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = usize> {
        let start = self.events[first].poll;
        (start..self.polls.len()).filter(move |poll| !is_after(self.events_of_polls[*poll]))
    }

    /// The poll as it is when it comes before what `is_after` says of.
    pub(super) fn without(&self, poll: usize, is_after: impl Fn(usize) -> bool) -> Polled<'_> {
        let label = &self.polls[poll];
        match self.closes_without(poll, is_after) {
            None => Polled::AsItWas(label),
            Some(closes) if closes.is_empty() => Polled::AsItWas(self.bare(poll)),
            Some(closes) => Polled::Moved(Arc::new(label.with_closes(closes))),
        }
    }

    /// The poll without what closed in it.
    fn bare(&self, poll: usize) -> &Shared {
        let closing = self.without_closes.binary_search_by_key(&poll, |(poll, _)| *poll);
        closing.map_or(&self.polls[poll], |at| &self.without_closes[at].1)
    }

    /// The regions that close in the poll when it comes before what `is_after` says of. None if all of them do.
    pub(super) fn closes_without(
        &self,
        poll: usize,
        is_after: impl Fn(usize) -> bool,
    ) -> Option<Vec<Close>> {
        let known = &self.polls[poll].closes;
        if known.is_empty() || self.closes_with(poll, &is_after).count() == known.len() {
            return None;
        }
        Some(self.closes_with(poll, is_after).cloned().collect())
    }

    /// The regions that close in the poll when it comes before what `is_after` says of: those whose other
    /// children end without that. What else a close touches does not keep it from happening.
    fn closes_with(
        &self,
        poll: usize,
        is_after: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = &Close> {
        let at = self.events_of_polls[poll];
        let counts = |e: usize, close: usize| {
            let touches = &self.events[e].step.touches;
            let mut written = self.events[close].step.touches.iter().map(|touch| touch.target);
            written.any(|target| {
                matches!(target, Target::Children(_)) && touches.iter().any(|t| t.target == target)
            })
        };
        let happens = move |close: usize| {
            let direct = self.order.direct(close);
            direct.iter().all(|e| *e == at || !is_after(*e) || !counts(*e, close))
        };
        let closes = self.polls[poll].closes.iter().enumerate();
        closes.filter(move |(index, _)| happens(at + 1 + index)).map(|(_, close)| close)
    }
}
