//! The levels of the Foata normal form, and the sum of its steps' hashes.
//!
//! Each target has a number and a place from when it is first touched, where its own hash waits, so that a step costs
//! a few additions for each of its targets and one mixing at its end.

use crate::ids::Numbers;
use crate::step::{Actor, Ended, Key, Step, Target, normalise};
use asupersync_core::SplitMix64;

/// The levels so far. Level 0 is below every step.
#[derive(Debug)]
pub(crate) struct Levels {
    /// Where in `places` a target is, by its sort and its id.
    numbers: Numbers<u128>,
    places: Vec<Place>,
    /// Of each sort the target that was looked for last: who spawns many touches one region, and who polls a task
    /// touches that task.
    last: [Last; SORTS],
    /// How many steps have ended.
    step: u32,
    /// The places of the step in progress.
    touched: Vec<u32>,
    /// The place of its actor, where it is known from the start and has one.
    own: u32,
    /// The last step of the host, on which everything after it depends.
    floor: u32,
    highest: u32,
    sum: u128,
    shown: Vec<Key>,
}

/// What is known of a target, and of the actor of that name.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: Hash,
    bits: u64,
    rank: u8,
    /// The step in progress writes it.
    writes: bool,
    /// The last step that touched it.
    step: u32,
    /// The highest level that wrote it, and that touched it at all.
    written: u32,
    touched: u32,
    /// The level of the actor's last step. Steps of one actor are ordered as if each wrote the actor.
    acted: u32,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    bits: u64,
    place: u32,
}

impl Default for Last {
    fn default() -> Last {
        Last { bits: 0, place: NONE }
    }
}

/// Sorts of targets, and of actors that no target is named like.
const SORTS: usize = 8;
/// No place.
const NONE: u32 = u32::MAX;
const TIMER: u8 = 6;
const HOST: (u8, u64) = (7, 0);
const OUTSIDE: (u8, u64) = (7, 1);

impl Default for Levels {
    fn default() -> Levels {
        Levels {
            numbers: Numbers::default(),
            places: Vec::new(),
            last: [Last::default(); SORTS],
            step: 0,
            touched: Vec::new(),
            own: NONE,
            floor: 0,
            highest: 0,
            sum: 0,
            shown: Vec::new(),
        }
    }
}

impl Levels {
    /// Adds the run's next step and answers its level.
    pub(crate) fn push_step(&mut self, step: &Step) -> u32 {
        self.begin(step.actor);
        for touch in &*step.touches {
            self.touch(touch.target, touch.write);
        }
        self.end(step.actor)
    }

    /// A step of this actor begins.
    pub(crate) fn begin(&mut self, actor: Actor) {
        self.own = self.own(actor);
    }

    /// The step in progress touches something.
    #[inline]
    pub(crate) fn touch(&mut self, target: Target, write: bool) {
        let (rank, bits) = target.name();
        let at = self.place(rank, bits);
        let place = &mut self.places[at as usize];
        if place.step == self.step {
            place.writes |= write;
        } else {
            place.step = self.step;
            place.writes = write;
            self.touched.push(at);
        }
    }

    /// The step in progress, which is this actor's.
    pub(crate) fn shown(&mut self, actor: Actor) -> Ended<'_> {
        let Levels { places, touched, shown, .. } = self;
        shown.clear();
        shown.extend(touched.iter().map(|at| {
            let place = &places[*at as usize];
            Key::new(place.rank, place.bits, place.writes)
        }));
        normalise(shown);
        Ended { actor, touches: shown }
    }

    /// The step in progress ends, which is this actor's; answers its level.
    pub(crate) fn end(&mut self, actor: Actor) -> u32 {
        let own = std::mem::replace(&mut self.own, NONE);
        let own = if own == NONE { self.own(actor) } else { own };
        let mut below = self.floor;
        let mut hash = Hash::default();
        for at in &self.touched {
            let place = &self.places[*at as usize];
            match place.writes {
                true => {
                    below = below.max(place.touched);
                    hash.add(place.hash.written());
                }
                false => {
                    below = below.max(place.written);
                    hash.add(place.hash);
                }
            }
        }
        let level = match self.places.get_mut(own as usize) {
            Some(own) => {
                let level = below.max(own.acted) + 1;
                own.acted = level;
                hash.add(own.hash.acted());
                level
            }
            None => {
                hash.add(Hash::of(name(actor)).acted());
                if actor == Actor::Host {
                    self.floor = self.highest + 1;
                    self.floor
                } else {
                    below + 1
                }
            }
        };
        self.highest = self.highest.max(level);
        for at in &self.touched {
            let place = &mut self.places[*at as usize];
            place.touched = level.max(place.touched);
            if place.writes {
                place.written = level.max(place.written);
            }
        }
        self.touched.clear();
        self.step += 1;
        self.sum = self.sum.wrapping_add(hash.at_level(level));
        level
    }

    /// The step in progress does not count.
    pub(crate) fn give_up(&mut self) {
        self.touched.clear();
        self.own = NONE;
        self.step += 1;
    }

    /// The sum of the hashes of all steps.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// The place of the actor, if its steps are ordered merely by being its steps. Everything is ordered with the host's.
    fn own(&mut self, actor: Actor) -> u32 {
        if !actor.is_sequential() || actor == Actor::Host {
            return NONE;
        }
        let (rank, bits) = name(actor);
        self.place(rank, bits)
    }

    /// Where the target of this name is.
    #[inline]
    fn place(&mut self, rank: u8, bits: u64) -> u32 {
        let last = self.last[usize::from(rank) % SORTS];
        if last.bits == bits && last.place != NONE {
            return last.place;
        }
        self.find(rank, bits)
    }

    #[inline(never)]
    fn find(&mut self, rank: u8, bits: u64) -> u32 {
        let place = self.numbers.number(u128::from(rank) << 64 | u128::from(bits));
        if place as usize == self.places.len() {
            let hash = Hash::of((rank, bits));
            let (writes, step, written, touched, acted) = (false, u32::MAX, 0, 0, 0);
            self.places.push(Place { hash, bits, rank, writes, step, written, touched, acted });
        }
        self.last[usize::from(rank) % SORTS] = Last { bits, place };
        place
    }

    /// Forgets everything, keeping memory.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.places.clear();
        self.last = [Last::default(); SORTS];
        self.step = 0;
        self.touched.clear();
        self.own = NONE;
        self.floor = 0;
        self.highest = 0;
        self.sum = 0;
    }

    /// Becomes as the other is, keeping memory.
    pub(crate) fn set(&mut self, other: &Levels) {
        let Levels { numbers, places, touched, shown: _, .. } = other;
        self.numbers.clone_from(numbers);
        self.places.clone_from(places);
        self.touched.clone_from(touched);
        (self.last, self.step, self.own) = (other.last, other.step, other.own);
        (self.floor, self.highest, self.sum) = (other.floor, other.highest, other.sum);
    }
}

/// The name of an actor: that of the target that only its own steps read or write in full, where there is one.
fn name(actor: Actor) -> (u8, u64) {
    match actor {
        Actor::Task(id) => Target::Readiness(id).name(),
        Actor::Region(id) => Target::Children(id).name(),
        Actor::Timer(at) => (TIMER, at.as_nanos()),
        Actor::Host => HOST,
        Actor::Outside => OUTSIDE,
        Actor::Clock => Target::Clock.name(),
    }
}

/// Two sums, each modulo 2^64.
#[derive(Clone, Copy, Debug, Default)]
struct Hash {
    low: u64,
    high: u64,
}

impl Hash {
    /// Of what has this name. Both halves are bijections of the id, unrelated to each other.
    fn of((rank, bits): (u8, u64)) -> Hash {
        let sort = u64::from(rank + 1).wrapping_mul(SPREAD);
        let low = SplitMix64::mix(bits ^ sort);
        let high = SplitMix64::mix(bits.rotate_left(32).wrapping_sub(sort));
        Hash { low, high }
    }

    /// Of the same, where a step writes it.
    fn written(self) -> Hash {
        Hash { low: self.high.rotate_left(21), high: self.low }
    }

    /// Of the same, where it names the actor.
    fn acted(self) -> Hash {
        Hash { low: self.high, high: self.low.rotate_left(43) }
    }

    #[inline]
    fn add(&mut self, other: Hash) {
        self.low = self.low.wrapping_add(other.low);
        self.high = self.high.wrapping_add(other.high);
    }

    /// The hash of a step that stands at a level: a bijection of the sums, in which every bit of either and of the level
    /// reaches every bit of the result.
    fn at_level(self, level: u32) -> u128 {
        let low = SplitMix64::mix(self.low ^ u64::from(level).wrapping_mul(SPREAD));
        let high = SplitMix64::mix(self.high ^ low);
        let low = SplitMix64::mix(low ^ high);
        u128::from(high) << 64 | u128::from(low)
    }
}

/// Odd, so that multiplying by it is a bijection (Steele and Vigna, "Computationally easy, spectrally good
/// multipliers", 2021).
const SPREAD: u64 = 0xd134_2543_de82_ef95;

#[cfg(test)]
mod tests {
    use super::Hash;

    #[test]
    fn what_is_read_is_written_and_acts_have_different_hashes() {
        let mut all = std::collections::BTreeSet::new();
        for rank in 0..8 {
            for bits in 0..1_000 {
                let hash = Hash::of((rank, bits));
                for hash in [hash, hash.written(), hash.acted()] {
                    assert!(all.insert(hash.at_level(1)));
                    assert!(all.insert(hash.at_level(2)));
                }
            }
        }
    }
}
