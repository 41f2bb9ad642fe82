//! Where time races with the tasks: what it would come to if it passed sooner.

use super::{History, Plan, Polled, Race, Sequence};
use crate::explore::label::Label;
use crate::strategy::{Choice, Timers};
use asupersync_core::Time;
use asupersync_trace::Actor;
use std::sync::Arc;

impl History {
    /// Plans that time passes before a timer is unset, after which it did not.
    pub(super) fn races_with_time<'a>(&'a self, sequence: &mut Sequence<'a>, plan: &mut impl Plan) {
        if self.polls.iter().all(|label| label.timers.is_none()) {
            return;
        }
        for first in self.unsetters(self.polls.len()) {
            let event = &self.events[first];
            let can_pass = |timers: &Arc<Timers>| timers.can_pass;
            if !self.polls[event.poll].timers.as_ref().is_some_and(can_pass) {
                continue;
            }
            // A region closes when its last child is gone, so each can be the one that is moved.
            let moved = if event.is_poll { vec![first] } else { self.children(first) };
            for moved in moved {
                let is_after = |e: usize| self.is_after((moved, first), e);
                if self.fires(self.events[moved].poll, is_after).is_empty() {
                    continue;
                }
                let others = self.not_after(moved, is_after);
                sequence.clear();
                sequence.extend(others.map(|poll| self.without(poll, is_after)));
                let place = (moved, first, None);
                let (time, forecast) = self.forecast(place, sequence, Vec::new(), Label::time());
                sequence.push(Polled::Moved(time));
                let first = self.events[moved].poll;
                plan.add(Race { first, second: None, forecast, history: self }, sequence);
            }
        }
    }

    /// The polls that this close directly depends on, those of the regions within it included.
    pub(super) fn children(&self, close: usize) -> Vec<usize> {
        let mut polls = Vec::new();
        let mut closes = vec![close];
        while let Some(close) = closes.pop() {
            for before in self.order.direct(close) {
                match self.events[*before].step.actor {
                    _ if self.events[*before].is_poll => polls.push(*before),
                    Actor::Region(_) => closes.push(*before),
                    _ => {}
                }
            }
        }
        polls.sort_unstable();
        polls.dedup();
        polls
    }

    /// The events before this poll that unset a timer since time passed last.
    pub(super) fn unsetters(&self, before: usize) -> impl Iterator<Item = usize> {
        let last = self.polls[..before].iter().rposition(|label| label.task == Choice::TIME);
        let since = last.map_or(0, |last| last + 1);
        (since..before).flat_map(|poll| {
            let at = self.events_of_polls[poll];
            (at..=at + self.polls[poll].closes.len()).filter(|at| self.unsets(*at))
        })
    }

    pub(super) fn unsets(&self, at: usize) -> bool {
        let event = &self.events[at];
        let timers = self.polls[event.poll].timers.as_ref();
        timers.is_some_and(|timers| match event.is_poll {
            true => !timers.unset.is_empty(),
            false => !timers.unset_in_close.is_empty(),
        })
    }

    /// The timers that are due first after the polls before `start`, and those of the others of which `is_after` is
    /// not said.
    pub(super) fn fires(&self, start: usize, is_after: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut set: Vec<(u64, Time)> = Vec::new();
        for (poll, label) in self.polls.iter().enumerate() {
            let Some(timers) = &label.timers else { continue };
            let stays = poll < start || !is_after(self.events_of_polls[poll]);
            if stays || poll == start {
                set.extend(&timers.given);
            }
            if !stays {
                continue;
            }
            set.extend(&timers.set);
            set.retain(|(number, _)| !timers.unset.contains(number));
            let as_it_was = || self.closes_without(poll, &is_after).is_none();
            if !timers.unset_in_close.is_empty() && (poll < start || as_it_was()) {
                set.retain(|(number, _)| !timers.unset_in_close.contains(number));
            }
            set.retain(|(_, at)| timers.passed.is_none_or(|to| *at > to));
        }
        let first = set.iter().map(|(_, at)| *at).min();
        let due = set.into_iter().filter(|(_, at)| Some(*at) == first);
        due.map(|(number, _)| number).collect()
    }
}
