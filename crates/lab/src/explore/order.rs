//! Happens-before over the events of a run, kept while runs share a beginning.

use super::foresight::{Past, Setting};
use super::history::Event;
use asupersync_core::SplitMix64;
use asupersync_trace::{Actor, IdMap, Numbers, Target};
use smallvec::SmallVec;

/// Events that made a task runnable: seldom more than one.
pub(super) type Wakes = SmallVec<[usize; 2]>;

/// Where an event stands: its vector clock and what it directly depends on.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The clock's component that is its actor's.
    pub(super) actor: usize,
    count: u32,
    clock: Vec<u32>,
    /// The events that it directly depends on, in their order.
    pub(super) direct: Vec<usize>,
    /// For a poll, the events that made its task runnable.
    pub(super) wakes: Wakes,
    /// How long the list of changes was before it.
    changes: usize,
    /// What it is, wherever it is: the same event in another order of what does not depend on each other has the same.
    /// This and the next two are zero until somebody [asks](Order::give_keys) for them.
    pub(super) key: u64,
    /// The key of its actor's event before.
    pub(super) own: u64,
    /// All keys so far.
    sum: u64,
}

impl Place {
    pub(super) fn is_before(&self, other: &Place) -> bool {
        other.clock.get(self.actor).is_some_and(|known| *known >= self.count)
    }
}

/// Who used a target last.
#[derive(Debug, Default)]
struct Users {
    write: Option<usize>,
    reads: Vec<usize>,
    /// Writes since the poll of the task whose readiness this is.
    wakes: Wakes,
}

/// What comes next depends on this; the changes that led to it can be taken back one by one.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Events whose places are known.
    ordered: usize,
    /// Whether their keys are.
    keyed: bool,
    actors: IdMap<Actor, usize>,
    /// The last event of each actor.
    last_of: Vec<usize>,
    targets: Numbers<Target>,
    /// By the targets' numbers.
    users: Vec<Users>,
    /// The last step of the host.
    floor: Option<usize>,
    changes: Vec<Change>,
    spare: Vec<Vec<usize>>,
    spare_clocks: Vec<Vec<u32>>,
}

/// One change, with what it replaced.
#[derive(Debug)]
enum Change {
    NewActor {
        actor: Actor,
        before: Option<usize>,
    },
    Acted {
        actor: usize,
        before: usize,
    },
    Floor {
        before: Option<usize>,
    },
    Read {
        target: usize,
    },
    Wrote {
        target: usize,
        before: Option<usize>,
        reads: Vec<usize>,
    },
    Woke {
        target: usize,
    },
    /// The event took the target's wakes.
    Took {
        target: usize,
        event: usize,
    },
}

impl Order {
    /// Finds the places of the events that are new.
    pub(super) fn extend(&mut self, events: &mut [Event]) {
        for at in self.ordered..events.len() {
            let (done, rest) = events.split_at_mut(at);
            self.add(done, &mut rest[0]);
        }
        self.ordered = events.len();
    }

    /// Gives keys to all events, from now on.
    pub(super) fn give_keys(&mut self, events: &mut [Event]) {
        if !self.keyed {
            while !self.changes.is_empty() {
                self.take_back(events);
            }
            (self.ordered, self.keyed) = (0, true);
        }
        self.extend(events);
    }

    /// Keeps the first `end` events and forgets the others.
    pub(super) fn forget(&mut self, events: &mut Vec<Event>, end: usize) {
        if self.ordered > end {
            let changes = events[end].place.changes;
            while self.changes.len() > changes {
                self.take_back(events);
            }
            self.ordered = end;
        }
        for Event { place, .. } in events.drain(end..) {
            self.spare_clocks.push(place.clock);
            self.spare.push(place.direct);
        }
    }

    fn take_back(&mut self, events: &mut [Event]) {
        let Some(change) = self.changes.pop() else { return };
        match change {
            Change::NewActor { actor, before } => {
                self.last_of.pop();
                match before {
                    Some(before) => self.actors.insert(actor, before),
                    None => self.actors.remove(&actor),
                };
            }
            Change::Acted { actor, before } => self.last_of[actor] = before,
            Change::Floor { before } => self.floor = before,
            Change::Read { target } => drop(self.users[target].reads.pop()),
            Change::Wrote { target, before, reads } => {
                let users = &mut self.users[target];
                users.write = before;
                self.spare.push(std::mem::replace(&mut users.reads, reads));
            }
            Change::Woke { target } => drop(self.users[target].wakes.pop()),
            Change::Took { target, event } => {
                self.users[target].wakes = std::mem::take(&mut events[event].place.wakes);
            }
        }
    }

    /// The number that stands for a target in all runs; none if no step has touched it.
    pub(super) fn number(&self, target: Target) -> Option<u32> {
        self.targets.get(target)
    }

    /// The same, from now on at least.
    pub(super) fn give_number(&mut self, target: Target) -> Option<u32> {
        Some(self.target(target) as u32)
    }

    fn target(&mut self, target: Target) -> usize {
        let index = self.targets.number(target) as usize;
        if index == self.users.len() {
            self.users.push(Users::default());
        }
        index
    }

    fn list(&mut self) -> Vec<usize> {
        let mut list = self.spare.pop().unwrap_or_default();
        list.clear();
        list
    }

    fn add(&mut self, done: &[Event], event: &mut Event) {
        let at = done.len();
        let mut direct = self.list();
        let changes = self.changes.len();
        let actor = self.act(event.step.actor, at, &mut direct);
        let (mut previous, mut sum, mut key) = (0, 0, 0);
        if self.keyed {
            previous = direct.first().map_or(0, |before| done[*before].place.key);
            let floor = self.floor.map_or(0, |floor| done[floor].place.key);
            sum = done.last().map_or(0, |before| before.place.sum);
            key = Setting::begin(previous, floor);
        }
        direct.extend(self.floor);
        if event.step.actor == Actor::Host {
            direct.clear();
            direct.extend(0..at);
            key = if self.keyed { SplitMix64::mix(key ^ sum) } else { 0 };
            self.changes.push(Change::Floor { before: self.floor });
            self.floor = Some(at);
        }
        let task = match event.step.actor {
            Actor::Task(task) if event.is_poll => Some(task),
            _ => None,
        };
        let mut own = None;
        for touch in &*event.step.touches {
            let target = self.target(touch.target);
            let mut reads = if touch.write { self.list() } else { Vec::new() };
            let users = &mut self.users[target];
            direct.extend(users.write);
            if self.keyed {
                let key_of = |at: &usize| done[*at].place.key;
                let reads = users.reads.iter().map(key_of).fold(0, u64::wrapping_add);
                let write = users.write.as_ref().map_or(0, key_of);
                key = Setting::mix(key, *touch, Past { write, reads });
            }
            if touch.write {
                std::mem::swap(&mut reads, &mut users.reads);
                direct.extend_from_slice(&reads);
                let before = users.write.replace(at);
                self.changes.push(Change::Wrote { target, before, reads });
            } else {
                users.reads.push(at);
                self.changes.push(Change::Read { target });
            }
            match touch.target {
                Target::Readiness(of) if Some(of) == task => own = Some((target, touch.write)),
                Target::Readiness(_) if touch.write => self.wake(target, at),
                _ => {}
            }
        }
        let mut wakes = Wakes::new();
        if let Some((target, wakes_itself)) = own {
            if !self.users[target].wakes.is_empty() {
                wakes = std::mem::take(&mut self.users[target].wakes);
                self.changes.push(Change::Took { target, event: at });
            }
            if wakes_itself {
                self.wake(target, at);
            }
        }
        direct.sort_unstable();
        direct.dedup();
        let mut clock = self.spare_clocks.pop().unwrap_or_default();
        clock.clear();
        // From the latest on, for it knows of most of the others already.
        for before in direct.iter().rev() {
            let before = &done[*before].place;
            if clock.get(before.actor).is_none_or(|known| *known < before.count) {
                join(&mut clock, &before.clock);
            }
        }
        if clock.len() <= actor {
            clock.resize(actor + 1, 0);
        }
        clock[actor] += 1;
        let sum = sum.wrapping_add(key);
        let count = clock[actor];
        event.place =
            Place { actor, count, clock, direct, wakes, changes, key, own: previous, sum };
    }

    /// The event `at` makes the task runnable whose readiness this is.
    fn wake(&mut self, target: usize, at: usize) {
        self.users[target].wakes.push(at);
        self.changes.push(Change::Woke { target });
    }

    /// The number of an actor that acts at `at`; what it did before goes into `direct`.
    fn act(&mut self, actor: Actor, at: usize, direct: &mut Vec<usize>) -> usize {
        let sequential = !matches!(actor, Actor::Timer(_));
        match self.actors.get(&actor) {
            Some(index) if sequential => {
                let before = std::mem::replace(&mut self.last_of[*index], at);
                direct.push(before);
                self.changes.push(Change::Acted { actor: *index, before });
                *index
            }
            _ => {
                let index = self.last_of.len();
                let before = self.actors.insert(actor, index);
                self.last_of.push(at);
                self.changes.push(Change::NewActor { actor, before });
                index
            }
        }
    }
}

fn join(clock: &mut Vec<u32>, other: &[u32]) {
    if clock.is_empty() {
        clock.extend_from_slice(other);
        return;
    }
    if clock.len() < other.len() {
        clock.resize(other.len(), 0);
    }
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}
