//! A run's steps, which happens before which, and which of them race.

use super::label::{Label, Shared};
use crate::strategy::{Blocked, Footprint, Op, OpKind};
use asupersync_core::{DetHashMap, ObjectId, TaskId};
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
    /// Polls of which races were looked for in a run before.
    known: usize,
    /// Events whose clocks are known.
    ordered: usize,
}

/// A step: a poll, or something that happened by itself.
#[derive(Debug)]
struct Event {
    step: Step,
    /// The poll it is, or in which, or after which, it happened.
    poll: usize,
    is_poll: bool,
    /// Filled in by `order`.
    actor: usize,
    count: u32,
    clock: Vec<u32>,
    /// The events that it directly depends on.
    direct: Vec<usize>,
    /// For a poll, the events that made its task runnable.
    wakes: Vec<usize>,
}

#[derive(Default)]
struct Users {
    write: Option<usize>,
    reads: Vec<usize>,
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
        self.order();
        let Some(last) = count.min(self.polls.len()).checked_sub(1) else { return Vec::new() };
        let last_event = self.events_of_polls[last];
        (0..=last).filter(|poll| self.before(self.events_of_polls[*poll], last_event)).collect()
    }

    pub(crate) fn race_pairs(&mut self, blocked: &[Blocked]) -> Vec<RacePair> {
        let mut pairs = Vec::new();
        self.races(blocked, |Race { first, second, sequence }| {
            let instead = sequence.iter().map(|label| label.task).collect();
            pairs.push(RacePair { first, second, instead });
        });
        pairs
    }

    /// Forgets all but the first `polls`; races among those are not looked for again.
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
        self.events.truncate(end.unwrap_or(self.events.len()));
        self.polls.truncate(polls);
        self.events_of_polls.truncate(polls);
        self.known = self.known.min(polls);
        self.ordered = self.ordered.min(self.events.len());
    }

    /// Adds the poll of `task`; answers its label.
    pub(crate) fn push(&mut self, task: TaskId, footprint: Footprint) -> Shared {
        let poll = self.polls.len();
        let Footprint { steps, ops, foreign, cancels } = footprint;
        let at = steps.iter().position(|step| step.actor == Actor::Task(task));
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
                actor: 0,
                count: 0,
                clock: Vec::new(),
                direct: Vec::new(),
                wakes: Vec::new(),
            });
        }
        let step = own.expect("a poll is a step of its task");
        let opaque = false;
        let label = Arc::new(Label { task, step, closes, ops, foreign, cancels, opaque });
        self.polls.push(label.clone());
        label
    }

    /// Vector clocks and direct dependences.
    fn order(&mut self) {
        let mut actors: DetHashMap<Actor, usize> = DetHashMap::default();
        let mut last_of: Vec<usize> = Vec::new();
        let mut users: DetHashMap<Target, Users> = DetHashMap::default();
        let mut wakes: DetHashMap<TaskId, Vec<usize>> = DetHashMap::default();
        let mut floor: Option<usize> = None;
        for at in 0..self.events.len() {
            let (done, rest) = self.events.split_at_mut(at);
            let event = &mut rest[0];
            if at < self.ordered {
                // Its place is known; what comes after it still depends on it.
                if event.actor == last_of.len() {
                    actors.insert(event.step.actor, event.actor);
                    last_of.push(at);
                } else {
                    last_of[event.actor] = at;
                }
                if event.step.actor == Actor::Host {
                    floor = Some(at);
                }
                if let (true, Actor::Task(task)) = (event.is_poll, event.step.actor) {
                    wakes.remove(&task);
                }
                for touch in &event.step.touches {
                    let users = users.entry(touch.target).or_default();
                    if touch.write {
                        users.reads.clear();
                        users.write = Some(at);
                    } else {
                        users.reads.push(at);
                    }
                    if let (Target::Readiness(task), true) = (touch.target, touch.write) {
                        wakes.entry(task).or_default().push(at);
                    }
                }
                continue;
            }
            let mut direct = Vec::new();
            let sequential = !matches!(event.step.actor, Actor::Timer(_));
            event.actor = match actors.get(&event.step.actor) {
                Some(actor) if sequential => {
                    direct.push(last_of[*actor]);
                    *actor
                }
                _ => {
                    actors.insert(event.step.actor, last_of.len());
                    last_of.push(at);
                    last_of.len() - 1
                }
            };
            last_of[event.actor] = at;
            direct.extend(floor);
            if event.step.actor == Actor::Host {
                direct.extend(0..at);
                floor = Some(at);
            }
            for touch in &event.step.touches {
                let users = users.entry(touch.target).or_default();
                direct.extend(users.write);
                if touch.write {
                    direct.append(&mut users.reads);
                    users.write = Some(at);
                } else {
                    users.reads.push(at);
                }
            }
            if event.is_poll {
                let Actor::Task(task) = event.step.actor else { continue };
                event.wakes = wakes.remove(&task).unwrap_or_default();
            }
            for touch in &event.step.touches {
                if let (Target::Readiness(task), true) = (touch.target, touch.write) {
                    wakes.entry(task).or_default().push(at);
                }
            }
            direct.sort_unstable();
            direct.dedup();
            event.clock.clear();
            for before in &direct {
                join(&mut event.clock, &done[*before].clock);
            }
            if event.clock.len() <= event.actor {
                event.clock.resize(event.actor + 1, 0);
            }
            event.clock[event.actor] += 1;
            event.count = event.clock[event.actor];
            event.direct = direct;
        }
        self.ordered = self.events.len();
    }

    fn before(&self, first: usize, second: usize) -> bool {
        let event = &self.events[first];
        first == second
            || self.events[second].clock.get(event.actor).is_some_and(|known| *known >= event.count)
    }

    /// The races of the run, at whose end `blocked` waited for mutexes.
    pub(super) fn races(&mut self, blocked: &[Blocked], mut each: impl FnMut(Race)) {
        self.order();
        for second in self.known..self.polls.len() {
            let at = self.events_of_polls[second];
            let event = &self.events[at];
            let previous = event.direct.iter().rfind(|e| self.events[**e].actor == event.actor);
            let previous = previous.copied();
            let mut firsts: Vec<usize> = event.direct.clone();
            let gate = self.polls[second].gate();
            if let Some((object, _)) = gate {
                // Between rivals for a mutex stands the unlock, and hides the race; likewise a send.
                firsts.extend(self.takers(object, at));
            }
            // A region that closed in this poll happens with it.
            let closes = (at + 1..self.events.len())
                .take_while(|e| !self.events[*e].is_poll && self.events[*e].poll == second);
            for close in closes {
                let counts = |t: &Target| matches!(t, Target::Children(_));
                let touches = &self.events[close].step.touches;
                let direct = self.events[close].direct.iter().copied().filter(|first| {
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
                let rival = gate.is_some_and(|(object, _)| self.takes(object, *first));
                let between = |other: &usize| other != first && self.before(*first, *other);
                if !rival && event.direct.iter().any(between) {
                    continue;
                }
                for (poll, sequence) in self.reversals(*first, second) {
                    each(Race { first: poll, second: Some(second), sequence });
                }
            }
        }
        for Blocked { task, object } in blocked {
            let previous =
                self.events.iter().rposition(|e| e.is_poll && e.step.actor == Actor::Task(*task));
            for first in self.takers(*object, self.events.len()) {
                if previous.is_some_and(|previous| self.before(first, previous)) {
                    continue;
                }
                let mut sequence = self.not_after(first, None);
                sequence.push(Label::lock(*task, *object));
                each(Race { first: self.events[first].poll, second: None, sequence });
            }
        }
        self.known = self.polls.len();
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

    /// What to run, and before which poll, so that the poll `second` comes before the event `first`.
    fn reversals(&self, first: usize, second: usize) -> Vec<(usize, Vec<Shared>)> {
        let at = self.events_of_polls[second];
        let event = &self.events[first];
        let mut found = Vec::new();
        if event.is_poll {
            if let Some(sequence) = self.reversal(first, first, second) {
                found.push((event.poll, sequence));
            }
        } else if let Actor::Region(_) = event.step.actor {
            // The region closes when its last child is gone: each that need not be before `second`
            // can be the one that is moved behind it.
            for child in event.direct.iter().copied().filter(|e| self.events[*e].is_poll) {
                if self.before(child, at) && self.before_without(child, at, first) {
                    continue;
                }
                if let Some(sequence) = self.reversal(child, first, second) {
                    found.push((self.events[child].poll, sequence));
                }
            }
        }
        found
    }

    /// Whether `first` happens before `second` otherwise than through `through`.
    fn before_without(&self, first: usize, second: usize, through: usize) -> bool {
        let others = self.events[second].direct.iter().filter(|other| **other != through);
        others.copied().any(|other| self.before(first, other))
    }

    fn reversal(&self, moved: usize, first: usize, second: usize) -> Option<Vec<Shared>> {
        let at = self.events_of_polls[second];
        let start = self.events[moved].poll;
        let stays = |e: usize| e < moved || !(self.before(moved, e) || self.before(first, e));
        let event = &self.events[at];
        if !event.wakes.is_empty() && !event.wakes.iter().any(|wake| stays(*wake)) {
            return None;
        }
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
        let mut sequence = self.not_after(moved, Some(first));
        let before = &self.events[first];
        let cancelled = before.is_poll && self.polls[before.poll].cancels.contains(&label.task);
        if cancelled {
            // It was told that it is cancelled, and without that will do something else.
            sequence.push(Arc::new(Label {
                opaque: true,
                closes: Vec::new(),
                ..Label::clone(label)
            }));
        } else {
            sequence.push(label.moved(value));
        }
        Some(sequence)
    }

    /// The polls after `first` that do not happen after it, nor after `other`.
    fn not_after(&self, first: usize, other: Option<usize>) -> Vec<Shared> {
        let start = self.events[first].poll;
        let after =
            |e: usize| self.before(first, e) || other.is_some_and(|other| self.before(other, e));
        let mut sequence = Vec::new();
        for poll in start..self.polls.len() {
            let at = self.events_of_polls[poll];
            if after(at) {
                continue;
            }
            let label = &self.polls[poll];
            if label.closes.is_empty() {
                sequence.push(label.clone());
                continue;
            }
            // What closed in it stays only if it too comes without `first`.
            let closes = at + 1..at + 1 + label.closes.len();
            let closes = closes.filter(|e| !after(*e)).map(|e| self.events[e].step.clone());
            sequence.push(Arc::new(Label { closes: closes.collect(), ..Label::clone(label) }));
        }
        sequence
    }
}

fn join(clock: &mut Vec<u32>, other: &[u32]) {
    if clock.len() < other.len() {
        clock.resize(other.len(), 0);
    }
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}
