//! A run's steps, which happens before which, and which of them race.

mod reversal;
mod timing;

use super::closing::{Closing, Imminent};
use super::foresight::{Forecast, Known};
use super::label::{Close, Label, Masks, Shared};
use super::order::Order;
use crate::strategy::{Blocked, Choice, Footprint, Op};
use asupersync_core::{ObjectId, RegionId, TaskId};
use asupersync_trace::{Actor, Step, Target};
use smallvec::SmallVec;
use std::ops::{Deref, Range};
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
    /// The polls in which a region closed, and what they are without.
    without_closes: Vec<(usize, Shared)>,
    /// For each poll: no race of it asks for anything while so many polls stay as they are.
    settled: Vec<Option<usize>>,
    pub(super) known: Known,
    pub(super) closing: Closing,
    /// So many of the polls are known.
    learned: usize,
}

/// What is planned so far.
pub(super) trait Plan {
    /// What has been run, to its end, instead of this poll.
    fn sleeping(&self, poll: usize) -> &[Shared];

    /// Adds what is to be run to reverse a race, and may take it apart.
    fn add(&mut self, race: Race<'_>, sequence: &mut Sequence<'_>);
}

/// How many more than at first the region has left after these polls.
fn left(polls: &[Shared], region: RegionId) -> i32 {
    polls.iter().map(|label| label.change(region)).sum()
}

/// Where every race is new.
impl<F: FnMut(Race<'_>, &[Polled<'_>])> Plan for F {
    fn sleeping(&self, _poll: usize) -> &[Shared] {
        &[]
    }

    fn add(&mut self, race: Race<'_>, sequence: &mut Sequence<'_>) {
        self(race, sequence);
    }
}

/// A step: a poll, or something that happened by itself.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) step: Step,
    /// The poll it is, or in which, or after which, it happened.
    poll: usize,
    pub(super) is_poll: bool,
    /// Where the numbers of what it touches begin.
    touched: usize,
}

impl Event {
    /// Where the numbers of what it touches are.
    pub(super) fn touched(&self) -> Range<usize> {
        self.touched..self.touched + self.step.touches.len()
    }
}

/// Two polls that could come in the other order.
pub(super) struct Race<'a> {
    /// The poll that came first, before which goes the sequence that is to be run.
    pub(super) first: usize,
    /// The poll that comes first in the sequence's end; none if it never came.
    pub(super) second: Option<usize>,
    /// What is not certain of the sequence.
    pub(super) forecast: Option<Box<Forecast>>,
    pub(super) history: &'a History,
}

/// A poll of the run, as it was or as it would be. Most sequences are covered already and kept by nobody, so
/// what is as it was is borrowed.
pub(super) enum Polled<'a> {
    AsItWas(&'a Shared),
    Moved(Shared),
}

impl Deref for Polled<'_> {
    type Target = Label;

    fn deref(&self) -> &Label {
        match self {
            Polled::AsItWas(label) => label,
            Polled::Moved(label) => label,
        }
    }
}

impl Polled<'_> {
    pub(super) fn to_shared(&self) -> Shared {
        match self {
            Polled::AsItWas(label) => Shared::clone(label),
            Polled::Moved(label) => label.clone(),
        }
    }

    pub(super) fn into_shared(self) -> Shared {
        match self {
            Polled::AsItWas(label) => label.clone(),
            Polled::Moved(label) => label,
        }
    }
}

/// A sequence to be run, as long as it is not known whether anybody wants it.
pub(super) type Sequence<'a> = SmallVec<[Polled<'a>; 16]>;

/// Events that a poll may race with.
type Firsts = SmallVec<[usize; 16]>;

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
        self.order.extend(&self.events);
        let Some(last) = count.min(self.polls.len()).checked_sub(1) else { return Vec::new() };
        let last_event = self.events_of_polls[last];
        (0..=last).filter(|poll| self.before(self.events_of_polls[*poll], last_event)).collect()
    }

    pub(crate) fn race_pairs(&mut self, blocked: &[Blocked]) -> Vec<RacePair> {
        let mut pairs = Vec::new();
        self.races(blocked, &mut |Race { first, second, .. }: Race, sequence: &[Polled<'_>]| {
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
        self.order.forget(&self.events, end);
        if let Some(event) = self.events.get(end) {
            self.order.unnote(event.touched);
        }
        self.events.truncate(end);
        self.polls.truncate(polls);
        self.events_of_polls.truncate(polls);
        self.settled.truncate(polls);
        let closed = self.without_closes.partition_point(|(poll, _)| *poll < polls);
        self.without_closes.truncate(closed);
        self.learned = self.learned.min(polls);
        for settled in &mut self.settled {
            *settled = settled.filter(|needs| *needs <= polls);
        }
    }

    /// Adds the poll of `task`, and takes what it touched; answers its label.
    pub(crate) fn push(&mut self, task: TaskId, footprint: &mut Footprint) -> Shared {
        let poll = self.polls.len();
        let mut steps = std::mem::take(&mut footprint.steps);
        let actor = Actor::of(task);
        let own = steps.iter().position(|step| step.actor == actor);
        let own = own.expect("a poll is a step of its task");
        let (counts, theirs) = self.closing.counts(footprint, &steps[own + 1..]);
        let mut theirs = theirs.into_iter();
        let mut closes = Vec::new();
        for (index, step) in steps.drain(..).enumerate() {
            let touched = self.order.note(&step);
            if index > own {
                let counts = theirs.next().unwrap_or_default();
                closes.push(Close::new(step.clone(), counts, self.order.noted(touched)));
            }
            let poll = if index < own { poll.saturating_sub(1) } else { poll };
            self.events.push(Event { step, poll, is_poll: index == own, touched });
        }
        footprint.steps = steps;
        let at = self.events.len() - 1 - closes.len();
        self.events_of_polls.push(at);
        let event = &self.events[at];
        let numbers = &self.order.noted(event.touched)[..event.step.touches.len()];
        let own = Masks::of(&event.step, numbers.iter().copied().map(Some));
        let mut label = Arc::new(Label::new(task, event.step.clone(), own, counts, footprint));
        if !closes.is_empty() {
            let whole = Arc::new(label.with_closes(closes));
            self.closing.learn(&whole, |region| left(&self.polls, region));
            self.without_closes.push((poll, std::mem::replace(&mut label, whole)));
        }
        self.polls.push(label.clone());
        label
    }

    /// The closes that the next end comes with after the first `polls` and this sequence.
    pub(super) fn imminent(
        &self,
        polls: usize,
        sequence: &[impl Deref<Target = Label>],
    ) -> Imminent {
        if !sequence.iter().any(|label| self.closing.concerns(label)) {
            // All that comes with them may come before the sequence as well as after it.
            return Imminent::default();
        }
        let sequence = sequence.iter().map(|label| &**label);
        self.closing.imminent(sequence, |region| left(&self.polls[..polls], region))
    }

    /// Remembers what the polls of this run touched.
    pub(super) fn learn(&mut self) {
        self.order.give_keys(&self.events);
        for poll in self.learned..self.polls.len() {
            let keys = self.order.keys(self.events_of_polls[poll]);
            self.known.add(keys.own, keys.key, &self.polls[poll]);
        }
        self.learned = self.polls.len();
    }

    fn before(&self, first: usize, second: usize) -> bool {
        first == second || self.order.is_before(first, second)
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
        self.order.extend(&self.events);
        let mut settled = std::mem::take(&mut self.settled);
        settled.resize(self.polls.len(), None);
        self.races_but(&mut settled, blocked, plan);
        self.settled = settled;
    }

    /// The races of the polls that are not settled, some of which are afterwards.
    fn races_but(&self, settled: &mut [Option<usize>], blocked: &[Blocked], plan: &mut impl Plan) {
        let (mut firsts, mut sequence) = (Firsts::new(), Sequence::new());
        for (second, settled) in settled.iter_mut().enumerate() {
            if settled.is_some() {
                continue;
            }
            let mut needs = Some(second + 1);
            let at = self.events_of_polls[second];
            let (direct, previous) = (self.order.direct(at), self.order.previous(at));
            firsts.clear();
            firsts.extend_from_slice(direct);
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
            for close in at + 1..=at + self.polls[second].closes.len() {
                let counts = |t: &Target| matches!(t, Target::Children(_));
                let touches = &self.events[close].step.touches;
                let closed = self.order.direct(close).iter().copied().filter(|first| {
                    // Completions commute; only what else the close touched can race.
                    self.events[*first].step.touches.iter().any(|a| {
                        touches.iter().any(|b| {
                            a.target == b.target && (a.write || b.write) && !counts(&a.target)
                        })
                    })
                });
                firsts.extend(closed.filter(|first| *first < at));
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
                if !rival && direct.iter().any(between) {
                    continue;
                }
                let needed = self.reverse(*first, second, &mut sequence, plan);
                needs = needs.zip(needed).map(|(all, one)| all.max(one));
            }
            *settled = needs;
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
                sequence.clear();
                sequence.extend(others.map(|poll| self.without(poll, is_after)));
                sequence.push(Polled::Moved(Label::lock(*task, *object, |t| self.order.number(t))));
                let first = self.events[first].poll;
                let race = Race { first, second: None, forecast: None, history: self };
                plan.add(race, &mut sequence);
            }
        }
        self.races_with_time(&mut sequence, plan);
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
}
