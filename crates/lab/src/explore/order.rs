//! Happens-before over the events of a run, kept while runs share a beginning.
//!
//! What is kept of an event stands at the ends of a few lists, so that it is forgotten by cutting these.

use super::foresight::{Past, Setting};
use super::history::Event;
use asupersync_core::SplitMix64;
use asupersync_trace::{Actor, IdMap, Numbers, Step, Target};
use std::collections::hash_map::Entry;

/// Where an event stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    actor: usize,
    /// Its actor's event before.
    previous: Option<usize>,
    /// The component of its clock that is its actor's.
    count: u32,
    /// Where in `clocks` its clock begins, and how long it is.
    clock: usize,
    width: usize,
    /// Where in `links` the events begin that it directly depends on, and those that made its task runnable.
    direct: usize,
    wakes: usize,
    keys: Keys,
}

/// What an event is, wherever it is: zero until somebody [asks](Order::give_keys) for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys {
    /// The same event in another order of what does not depend on each other has the same.
    pub(super) key: u64,
    /// The key of its actor's event before.
    pub(super) own: u64,
    /// All keys so far.
    sum: u64,
}

/// Who used a target, in this order.
#[derive(Debug, Default)]
struct Uses(Vec<Use>);

#[derive(Clone, Copy, Debug)]
struct Use {
    event: usize,
    /// How many uses there were with the last write; none if nothing has been written.
    written: usize,
}

impl Uses {
    /// The writes since the event `previous`, which counts if it writes.
    fn writes_since(&self, previous: Option<usize>) -> impl Iterator<Item = usize> {
        let recent = move |(_, used): &(usize, &Use)| previous.is_none_or(|at| used.event >= at);
        let since = self.0.iter().enumerate().rev().take_while(recent);
        since.filter(|(at, used)| used.written == at + 1).map(|(_, used)| used.event)
    }
}

/// What comes next depends on this.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Of the events that are ordered.
    places: Vec<Place>,
    clocks: Vec<u32>,
    links: Vec<usize>,
    /// Whether there are keys.
    keyed: bool,
    actors: IdMap<Actor, usize>,
    /// The last event of each actor.
    last_of: Vec<usize>,
    /// The steps of the host.
    floors: Vec<usize>,
    numbers: Numbers<Target>,
    /// By the targets' numbers.
    uses: Vec<Uses>,
    /// The numbers of what the events touch, also of those that are not ordered yet.
    touched: Vec<u32>,
    spare: Vec<usize>,
}

impl Order {
    /// Finds the places of the events that are new.
    pub(super) fn extend(&mut self, events: &[Event]) {
        for event in &events[self.places.len()..] {
            self.add(event);
        }
    }

    /// Gives keys to all events, from now on.
    pub(super) fn give_keys(&mut self, events: &[Event]) {
        if !self.keyed {
            self.forget(events, 0);
            self.keyed = true;
        }
        self.extend(events);
    }

    /// Forgets the places of all but the first `end` events.
    pub(super) fn forget(&mut self, events: &[Event], end: usize) {
        while self.places.len() > end {
            let Some(place) = self.places.pop() else { return };
            let event = &events[self.places.len()];
            for number in &self.touched[event.touched()] {
                self.uses[*number as usize].0.pop();
            }
            match place.previous {
                Some(previous) => self.last_of[place.actor] = previous,
                None => {
                    self.last_of.pop();
                    if !matches!(event.step.actor, Actor::Timer(_)) {
                        self.actors.remove(&event.step.actor);
                    }
                }
            }
            if event.step.actor == Actor::Host {
                self.floors.pop();
            }
            self.clocks.truncate(place.clock);
            self.links.truncate(place.direct);
        }
    }

    /// Notes what a step that is to be an event touches; answers where.
    pub(super) fn note(&mut self, step: &Step) -> usize {
        let start = self.touched.len();
        for touch in &*step.touches {
            let number = self.numbers.number(touch.target);
            if number as usize == self.uses.len() {
                self.uses.push(Uses::default());
            }
            self.touched.push(number);
        }
        start
    }

    /// Forgets what was noted from there on.
    pub(super) fn unnote(&mut self, start: usize) {
        self.touched.truncate(start);
    }

    /// The numbers of what was noted from there on.
    pub(super) fn noted(&self, start: usize) -> &[u32] {
        &self.touched[start..]
    }

    /// The number that stands for a target in all runs; none if no step has touched it.
    pub(super) fn number(&self, target: Target) -> Option<u32> {
        self.numbers.get(target)
    }

    #[inline]
    pub(super) fn is_before(&self, first: usize, second: usize) -> bool {
        let (first, second) = (&self.places[first], &self.places[second]);
        first.actor < second.width && self.clocks[second.clock + first.actor] >= first.count
    }

    pub(super) fn actor(&self, at: usize) -> usize {
        self.places[at].actor
    }

    /// The event of the same actor before.
    pub(super) fn previous(&self, at: usize) -> Option<usize> {
        self.places[at].previous
    }

    /// The events that it directly depends on, in their order.
    pub(super) fn direct(&self, at: usize) -> &[usize] {
        let Place { direct, wakes, .. } = self.places[at];
        &self.links[direct..wakes]
    }

    /// Of a poll, the events that made its task runnable.
    pub(super) fn wakes(&self, at: usize) -> &[usize] {
        let end = self.places.get(at + 1).map_or(self.links.len(), |next| next.direct);
        &self.links[self.places[at].wakes..end]
    }

    pub(super) fn keys(&self, at: usize) -> Keys {
        self.places[at].keys
    }

    fn add(&mut self, event: &Event) {
        let at = self.places.len();
        let (actor, previous) = self.act(event.step.actor);
        let mut direct = std::mem::take(&mut self.spare);
        direct.clear();
        direct.extend(previous);
        direct.extend(self.floors.last());
        let mut keys = Keys::default();
        if self.keyed {
            let key_of = |at: Option<usize>| at.map_or(0, |at| self.places[at].keys.key);
            keys.own = key_of(previous);
            keys.sum = self.places.last().map_or(0, |before| before.keys.sum);
            keys.key = Setting::begin(keys.own, key_of(self.floors.last().copied()));
        }
        if event.step.actor == Actor::Host {
            direct.clear();
            direct.extend(0..at);
            keys.key = if self.keyed { SplitMix64::mix(keys.key ^ keys.sum) } else { 0 };
            self.floors.push(at);
        }
        let task = match event.step.actor {
            Actor::Task(task) if event.is_poll => Some(task),
            _ => None,
        };
        let mut own = None;
        for (touch, number) in event.step.touches.iter().zip(&self.touched[event.touched()]) {
            let Uses(uses) = &mut self.uses[*number as usize];
            let written = uses.last().map_or(0, |last| last.written);
            let (write, reads) =
                (written.checked_sub(1).map(|at| uses[at].event), &uses[written..]);
            if let Some(write) = write {
                direct.push(write);
            }
            if self.keyed {
                let key_of = |at: usize| self.places[at].keys.key;
                let reads = reads.iter().map(|read| key_of(read.event)).fold(0, u64::wrapping_add);
                let write = write.map_or(0, key_of);
                keys.key = Setting::mix(keys.key, *touch, Past { write, reads });
            }
            if touch.write {
                direct.extend(reads.iter().map(|read| read.event));
            }
            match touch.target {
                Target::Readiness(of) if Some(of) == task => own = Some(*number),
                _ => {}
            }
            let written = if touch.write { uses.len() + 1 } else { written };
            uses.push(Use { event: at, written });
        }
        direct.sort_unstable();
        direct.dedup();
        let (clock, width, count) = self.clock(actor, &direct);
        let start = self.links.len();
        self.links.extend_from_slice(&direct);
        let wakes = self.links.len();
        self.spare = direct;
        if let Some(own) = own {
            let wakes = self.uses[own as usize].writes_since(previous);
            self.links.extend(wakes.filter(|wake| *wake != at));
        }
        keys.sum = keys.sum.wrapping_add(keys.key);
        let direct = start;
        self.places.push(Place { actor, previous, count, clock, width, direct, wakes, keys });
    }

    /// The clock of the actor's next event, which directly depends on these: where it begins, how long it is, and the actor's
    /// component of it.
    fn clock(&mut self, actor: usize, direct: &[usize]) -> (usize, usize, u32) {
        let Order { places, clocks, .. } = self;
        let start = clocks.len();
        // From the latest on, for it knows of most of the others already.
        for before in direct.iter().rev() {
            let before = &places[*before];
            if clocks.get(start + before.actor).is_some_and(|known| *known >= before.count) {
                continue;
            }
            let theirs = before.clock..before.clock + before.width;
            if clocks.len() == start {
                clocks.extend_from_within(theirs);
                continue;
            }
            clocks.resize(clocks.len().max(start + before.width), 0);
            let (done, mine) = clocks.split_at_mut(start);
            for (mine, theirs) in mine.iter_mut().zip(&done[theirs]) {
                *mine = (*mine).max(*theirs);
            }
        }
        clocks.resize(clocks.len().max(start + actor + 1), 0);
        clocks[start + actor] += 1;
        (start, clocks.len() - start, clocks[start + actor])
    }

    /// The number of an actor that acts now, and what it did before.
    fn act(&mut self, actor: Actor) -> (usize, Option<usize>) {
        let at = self.places.len();
        // Each firing of a timer is an actor of its own.
        if !matches!(actor, Actor::Timer(_)) {
            match self.actors.entry(actor) {
                Entry::Occupied(index) => {
                    let index = *index.get();
                    return (index, Some(std::mem::replace(&mut self.last_of[index], at)));
                }
                Entry::Vacant(vacant) => drop(vacant.insert(self.last_of.len())),
            }
        }
        self.last_of.push(at);
        (self.last_of.len() - 1, None)
    }
}
