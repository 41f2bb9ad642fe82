//! A run's steps, which happens before which, and which of them race.

use super::label::{Label, Masks, Shared};
use super::order::{Order, Place};
use crate::strategy::{Blocked, Choice, Footprint, Op, OpKind, Timers};
use asupersync_core::{ObjectId, TaskId, Time};
use asupersync_trace::{Actor, Step, Target};
use std::sync::Arc;

/// The run so far.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The polls.
    pub(super) polls: Vec<Shared>,
    /// For each poll its event.
    events_of_polls: Vec<usize>,
    events: Vec<Event>,
    order: Order,
    /// For each poll: no race of it asks for anything while so many polls stay as they are.
    settled: Vec<Option<usize>>,
}

/// What is planned so far.
pub(super) trait Plan {
    /// What has been run, to its end, instead of this poll.
    fn sleeping(&self, poll: usize) -> &[Shared];

    /// Adds the reversal of a race.
    fn add(&mut self, race: Race);
}

/// Where every race is new.
impl<F: FnMut(Race)> Plan for F {
    fn sleeping(&self, _poll: usize) -> &[Shared] {
        &[]
    }

    fn add(&mut self, race: Race) {
        self(race);
    }
}

/// A step: a poll, or something that happened by itself.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) step: Step,
    /// The poll it is, or in which, or after which, it happened.
    poll: usize,
    pub(super) is_poll: bool,
    pub(super) place: Place,
}

/// Two polls that could come in the other order, and what to run for that.
pub(super) struct Race {
    /// The poll that came first, before which the sequence goes.
    pub(super) first: usize,
    /// The poll that comes first in the sequence's end; none if it never came.
    pub(super) second: Option<usize>,
    pub(super) sequence: Vec<Shared>,
}

/// A race, for who is not an explorer.
#[derive(Clone, Debug)]
pub(crate) struct RacePair {
    /// The poll that came first.
    pub(crate) first: usize,
    /// The one that could have; none if a mutex or an empty queue kept it from coming at all.
    pub(crate) second: Option<usize>,
    /// Whose polls in place of `first` and what followed make it so.
    pub(crate) instead: Vec<TaskId>,
}

impl History {
    /// The polls that the last of the first `count` depends on, and itself.
    pub(crate) fn past(&mut self, count: usize) -> Vec<usize> {
        self.order.extend(&mut self.events);
        let Some(last) = count.min(self.polls.len()).checked_sub(1) else { return Vec::new() };
        let last_event = self.events_of_polls[last];
        (0..=last).filter(|poll| self.before(self.events_of_polls[*poll], last_event)).collect()
    }

    pub(crate) fn race_pairs(&mut self, blocked: &[Blocked]) -> Vec<RacePair> {
        let mut pairs = Vec::new();
        self.races(blocked, &mut |Race { first, second, sequence }: Race| {
            let instead = sequence.iter().map(|label| label.task).collect();
            pairs.push(RacePair { first, second, instead });
        });
        pairs
    }

    /// Forgets all but the first `polls`.
    pub(super) fn truncate(&mut self, polls: usize) {
        let polls = polls.min(self.polls.len());
        let end = self.events_of_polls.get(polls).copied();
        // What the host did before a poll goes with it.
        let end = end.map(|end| {
            self.events[..end]
                .iter()
                .rposition(|e| e.is_poll)
                .map_or(0, |last| last + 1 + self.polls[polls - 1].closes.len())
        });
        let end = end.unwrap_or(self.events.len());
        self.order.forget(&mut self.events, end);
        self.polls.truncate(polls);
        self.events_of_polls.truncate(polls);
        self.settled.truncate(polls);
        for settled in &mut self.settled {
            *settled = settled.filter(|needs| *needs <= polls);
        }
    }

    /// Adds the poll of `task`; answers its label.
    pub(crate) fn push(&mut self, task: TaskId, footprint: Footprint) -> Shared {
        let poll = self.polls.len();
        let Footprint { steps, ops, foreign, cancels, tentative, timers } = footprint;
        let at = steps.iter().position(|step| step.actor == Actor::of(task));
        let mut closes = Vec::new();
        let mut own = None;
        for (index, step) in steps.into_iter().enumerate() {
            let is_poll = Some(index) == at;
            let before = at.is_some_and(|at| index < at);
            if is_poll {
                own = Some(step.clone());
                self.events_of_polls.push(self.events.len());
            } else if !before {
                closes.push(step.clone());
            }
            self.events.push(Event {
                step,
                poll: if before { poll.saturating_sub(1) } else { poll },
                is_poll,
                place: Place::default(),
            });
        }
        let step = own.expect("a poll is a step of its task");
        let (opaque, masks) = (false, Masks::of(closes.iter().chain([&step])));
        let label = Arc::new(Label {
            task,
            step,
            closes,
            ops,
            foreign,
            cancels,
            tentative,
            timers,
            opaque,
            masks,
        });
        self.polls.push(label.clone());
        label
    }

    fn before(&self, first: usize, second: usize) -> bool {
        first == second || self.events[first].place.is_before(&self.events[second].place)
    }

    /// The races of the run, at whose end `blocked` waited for mutexes.
    ///
    /// Also those among polls that a run before had: what is to be run for a race includes polls after both
    /// that do not depend on the first, and these are others now, so what covered it then may not. Those that
    /// are *settled* are left out. A race is settled if a step that sleeps before the first of its polls is a poll of
    /// the sequence to be run, and independent of those before it there. Whatever comes after that poll, the sequence
    /// begins as it did, so the step is a weak initial of it still. And it sleeps there for as long as the first poll is
    /// run there, for until then only more falls asleep. So the race stays settled until one of three polls is another: its
    /// first, its second, or that one; and a poll of which all races are settled asks for nothing until then. Where
    /// the sequence is covered otherwise, by a step that it does not contain, or by a branch that is to be run, what comes
    /// after matters, and it is looked at again.
    pub(super) fn races(&mut self, blocked: &[Blocked], plan: &mut impl Plan) {
        self.order.extend(&mut self.events);
        self.settled.resize(self.polls.len(), None);
        let mut firsts: Vec<usize> = Vec::new();
        for second in 0..self.polls.len() {
            if self.settled[second].is_some() {
                continue;
            }
            let mut needs = Some(second + 1);
            let at = self.events_of_polls[second];
            let event = &self.events[at];
            let place = &event.place;
            let same = |e: &&usize| self.events[**e].place.actor == place.actor;
            let previous = place.direct.iter().rfind(same).copied();
            firsts.clear();
            firsts.extend_from_slice(&place.direct);
            let gate = self.polls[second].gate();
            if let Some((object, _)) = gate {
                // Between rivals for a mutex stands the unlock, and hides the race; likewise a send.
                firsts.extend(self.takers(object, at));
            }
            let is_time = self.polls[second].task == Choice::TIME;
            if is_time {
                firsts.extend(self.unsetters(second));
            }
            // A region that closed in this poll happens with it.
            let closes = (at + 1..self.events.len())
                .take_while(|e| !self.events[*e].is_poll && self.events[*e].poll == second);
            for close in closes {
                let counts = |t: &Target| matches!(t, Target::Children(_));
                let touches = &self.events[close].step.touches;
                let direct = self.events[close].place.direct.iter().copied().filter(|first| {
                    // Completions commute; only what else the close touched can race.
                    self.events[*first].step.touches.iter().any(|a| {
                        touches.iter().any(|b| {
                            a.target == b.target && (a.write || b.write) && !counts(&a.target)
                        })
                    })
                });
                firsts.extend(direct.filter(|first| *first < at));
            }
            firsts.sort_unstable();
            firsts.dedup();
            for first in &firsts {
                if previous.is_some_and(|previous| self.before(*first, previous)) {
                    continue;
                }
                let rival = match gate {
                    Some((object, _)) => self.takes(object, *first),
                    None => is_time && self.unsets(*first),
                };
                let between = |other: &usize| other != first && self.before(*first, *other);
                if !rival && place.direct.iter().any(between) {
                    continue;
                }
                let needed = self.reverse(*first, second, plan);
                needs = needs.zip(needed).map(|(all, one)| all.max(one));
            }
            self.settled[second] = needs;
        }
        for Blocked { task, object } in blocked {
            let previous =
                self.events.iter().rposition(|e| e.is_poll && e.step.actor == Actor::of(*task));
            for first in self.takers(*object, self.events.len()) {
                if previous.is_some_and(|previous| self.before(first, previous)) {
                    continue;
                }
                let is_after = |e: usize| self.before(first, e);
                let others = self.not_after(first, is_after);
                let mut sequence: Vec<Shared> =
                    others.map(|poll| self.without(poll, is_after)).collect();
                sequence.push(Label::lock(*task, *object));
                plan.add(Race { first: self.events[first].poll, second: None, sequence });
            }
        }
        self.races_with_time(plan);
    }

    /// Plans that time passes before a timer is unset, after which it did not.
    fn races_with_time(&self, plan: &mut impl Plan) {
        for first in self.unsetters(self.polls.len()) {
            let event = &self.events[first];
            let can_pass = |timers: &Arc<Timers>| timers.can_pass;
            if !self.polls[event.poll].timers.as_ref().is_some_and(can_pass) {
                continue;
            }
            // A region closes when its last child is gone, so each can be the one that is moved.
            let moved = if event.is_poll { vec![first] } else { self.children(first) };
            for moved in moved {
                let is_after = |e: usize| self.before(moved, e) || self.before(first, e);
                if self.fires(self.events[moved].poll, is_after).is_empty() {
                    continue;
                }
                let others = self.not_after(moved, is_after);
                let mut sequence: Vec<Shared> =
                    others.map(|poll| self.without(poll, is_after)).collect();
                sequence.push(Label::time());
                plan.add(Race { first: self.events[moved].poll, second: None, sequence });
            }
        }
    }

    /// The polls that this close directly depends on, those of the regions within it included.
    fn children(&self, close: usize) -> Vec<usize> {
        let mut polls = Vec::new();
        let mut closes = vec![close];
        while let Some(close) = closes.pop() {
            for before in &self.events[close].place.direct {
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
    fn unsetters(&self, before: usize) -> impl Iterator<Item = usize> {
        let last = self.polls[..before].iter().rposition(|label| label.task == Choice::TIME);
        let since = last.map_or(0, |last| last + 1);
        (since..before).flat_map(|poll| {
            let at = self.events_of_polls[poll];
            (at..=at + self.polls[poll].closes.len()).filter(|at| self.unsets(*at))
        })
    }

    fn unsets(&self, at: usize) -> bool {
        let event = &self.events[at];
        let timers = self.polls[event.poll].timers.as_ref();
        timers.is_some_and(|timers| match event.is_poll {
            true => !timers.unset.is_empty(),
            false => !timers.unset_in_close.is_empty(),
        })
    }

    /// The timers that are due first after the polls before `start`, and those of the others of which `is_after` is
    /// not said.
    fn fires(&self, start: usize, is_after: impl Fn(usize) -> bool) -> Vec<u64> {
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
            let closes = || self.closes_without(poll, &is_after).len() == label.closes.len();
            if !timers.unset_in_close.is_empty() && (poll < start || closes()) {
                set.retain(|(number, _)| !timers.unset_in_close.contains(number));
            }
            set.retain(|(_, at)| timers.passed.is_none_or(|to| *at > to));
        }
        let first = set.iter().map(|(_, at)| *at).min();
        let due = set.into_iter().filter(|(_, at)| Some(*at) == first);
        due.map(|(number, _)| number).collect()
    }

    /// The events before `end` that took the mutex, or received.
    fn takers(&self, object: ObjectId, end: usize) -> Vec<usize> {
        (0..end).filter(|at| self.takes(object, *at)).collect()
    }

    fn takes(&self, object: ObjectId, at: usize) -> bool {
        let event = &self.events[at];
        let takes = |op: &Op| op.object == object && op.before + 1 == op.after;
        event.is_poll && self.polls[event.poll].ops.iter().any(takes)
    }

    /// Plans what to run so that the poll `second` comes before the event `first`. If that is settled, answers with
    /// how many polls it is.
    fn reverse(&self, first: usize, second: usize, plan: &mut impl Plan) -> Option<usize> {
        let at = self.events_of_polls[second];
        let event = &self.events[first];
        let mut needs = Some(0);
        let mut reverse = |moved: usize| {
            let poll = self.events[moved].poll;
            let sleeping = plan.sleeping(poll).iter();
            if let Some(needed) = sleeping.filter_map(|step| self.begins(step, moved, first)).min()
            {
                needs = needs.map(|needs: usize| needs.max(needed));
                return;
            }
            if self.is_woken_by(at, moved, first) {
                return;
            }
            needs = None;
            if let Some(sequence) = self.reversal(moved, first, second) {
                plan.add(Race { first: poll, second: Some(second), sequence });
            }
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

    /// If the step is a poll of what comes after `moved` and depends neither on it nor on `other`, and is independent of
    /// what comes before it there: how many polls there are up to it.
    fn begins(&self, step: &Label, moved: usize, other: usize) -> Option<usize> {
        let is_after = |poll: usize| {
            let at = self.events_of_polls[poll];
            self.before(moved, at) || self.before(other, at)
        };
        let start = self.events[moved].poll + 1;
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
        let wakes = &self.events[at].place.wakes;
        let stays = |e: usize| e < moved || !(self.before(moved, e) || self.before(first, e));
        !wakes.is_empty() && !wakes.iter().any(|wake| stays(*wake))
    }

    /// Whether `first` happens before `second` otherwise than through `through`, and not only because the two
    /// themselves race.
    fn before_without(&self, first: usize, second: usize, through: usize) -> bool {
        let place = &self.events[second].place;
        let races = self.events[first].place.actor != place.actor;
        let others = place.direct.iter().copied().filter(|other| *other != through);
        others.into_iter().any(|other| (other != first || !races) && self.before(first, other))
    }

    fn reversal(&self, moved: usize, first: usize, second: usize) -> Option<Vec<Shared>> {
        let start = self.events[moved].poll;
        let at = self.events_of_polls[second];
        let stays = |e: usize| e < moved || !(self.before(moved, e) || self.before(first, e));
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
            Some((mutex, _)) => value(mutex) == Some(1),
            None => false,
        };
        if is_shut {
            return None;
        }
        let is_after = |e: usize| self.before(moved, e) || self.before(first, e);
        // Where only what closed in it comes after the first, it is not itself after it.
        let others = self.not_after(moved, is_after).filter(|poll| *poll != second);
        let mut is_other_time = false;
        if label.task == Choice::TIME {
            let fires = self.fires(start, |e| e == at || is_after(e));
            if fires.is_empty() {
                return None;
            }
            is_other_time = fires != self.fires(second, |_| true);
        }
        let mut sequence: Vec<Shared> = others.map(|poll| self.without(poll, is_after)).collect();
        let before = &self.events[first];
        let cancelled = before.is_poll && self.polls[before.poll].cancels.contains(&label.task);
        if cancelled || label.tentative || is_other_time {
            // It was told that it is cancelled, or what it asked for had been done; without that it will do
            // something else.
            sequence.push(Arc::new(Label {
                opaque: true,
                closes: Vec::new(),
                ..Label::clone(label)
            }));
        } else {
            sequence.push(label.moved(value, self.closes_without(second, is_after)));
        }
        Some(sequence)
    }

    /// The polls from that of `first` on of which this is not said.
    fn not_after(
        &self,
        first: usize,
        is_after: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = usize> {
        let start = self.events[first].poll;
        (start..self.polls.len()).filter(move |poll| !is_after(self.events_of_polls[*poll]))
    }

    /// The poll as it is when it comes before what `is_after` says of.
    fn without(&self, poll: usize, is_after: impl Fn(usize) -> bool) -> Shared {
        let label = &self.polls[poll];
        if label.closes.is_empty() {
            return label.clone();
        }
        let closes = self.closes_without(poll, is_after);
        let masks = Masks::of(closes.iter().chain([&label.step]));
        Arc::new(Label { closes, masks, ..Label::clone(label) })
    }

    /// The regions that close in the poll when it comes before what `is_after` says of: those whose other
    /// children end without that. What else a close touches does not keep it from happening.
    fn closes_without(&self, poll: usize, is_after: impl Fn(usize) -> bool) -> Vec<Step> {
        let at = self.events_of_polls[poll];
        let closes = at + 1..at + 1 + self.polls[poll].closes.len();
        let counts = |e: usize, close: usize| {
            let touches = &self.events[e].step.touches;
            let mut written = self.events[close].step.touches.iter().map(|touch| touch.target);
            written.any(|target| {
                matches!(target, Target::Children(_)) && touches.iter().any(|t| t.target == target)
            })
        };
        let happens = |close: &usize| {
            let direct = &self.events[*close].place.direct;
            direct.iter().all(|e| *e == at || !counts(*e, *close) || !is_after(*e))
        };
        closes.filter(happens).map(|close| self.events[close].step.clone()).collect()
    }
}
