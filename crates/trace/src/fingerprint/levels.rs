//! The levels of the Foata normal form, and the sum of its steps' hashes.
//!
//! Each target has a place from when it is first touched, where its own hash waits. What a step depends on and the sum
//! of its hashes are kept as it touches them, so that its end is one mixing and a look at each place.

use crate::ids::IdHasher;
use crate::step::{Actor, Ended, Key, Step, Target, normalise};
use asupersync_core::SplitMix64;

/// The levels so far. Level 0 is below every step.
#[derive(Debug)]
pub(crate) struct Levels {
    places: Vec<Place>,
    /// In which place a target is: found where its name says, or in the first slot after that that is free. A power of
    /// two of them, at most half of them taken.
    slots: Vec<u32>,
    /// How many steps have ended.
    step: u32,
    /// The place that the step in progress touched last, which knows the one before.
    touched: u32,
    /// The highest level of what it depends on.
    below: u32,
    /// The sum of the hashes of what it touches.
    hash: Hash,
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
    /// The last step that touched it wrote it.
    writes: bool,
    /// The last step that touched it.
    step: u32,
    /// The place that the same step touched before.
    before: u32,
    /// The highest level that wrote it, and that touched it at all, but for the step in progress.
    written: u32,
    touched: u32,
    /// The level of the actor's last step. Steps of one actor are ordered as if each wrote the actor.
    acted: u32,
}

/// No place, or a free slot.
const NONE: u32 = u32::MAX;
/// Slots at least.
const LEAST: usize = 64;
/// Names of actors that no target has.
const TIMER: u8 = 6;
const HOST: (u8, u64) = (7, 0);
const OUTSIDE: (u8, u64) = (7, 1);

impl Default for Levels {
    fn default() -> Levels {
        Levels {
            places: Vec::new(),
            slots: vec![NONE; LEAST],
            step: 0,
            touched: NONE,
            below: 0,
            hash: Hash::default(),
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
    #[inline]
    pub(crate) fn begin(&mut self, actor: Actor) {
        self.own = self.own(actor);
    }

    /// The step in progress touches something.
    // Where the sort of target is known, its rank is.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn touch(&mut self, target: Target, write: bool) {
        let (rank, bits) = target.name();
        self.touch_named(rank, bits, write);
    }

    fn touch_named(&mut self, rank: u8, bits: u64, write: bool) {
        let at = self.place(rank, bits);
        let Levels { places, step, touched, below, hash, .. } = self;
        let place = &mut places[at as usize];
        if place.step != *step {
            (place.step, place.writes) = (*step, write);
            place.before = std::mem::replace(touched, at);
            *below = (*below).max(if write { place.touched } else { place.written });
            hash.add(if write { place.hash.written() } else { place.hash });
        } else if write && !place.writes {
            place.writes = true;
            *below = (*below).max(place.touched);
            hash.subtract(place.hash);
            hash.add(place.hash.written());
        }
    }

    /// The step in progress, which is this actor's.
    pub(crate) fn shown(&mut self, actor: Actor) -> Ended<'_> {
        let Levels { places, touched, shown, .. } = self;
        shown.clear();
        let mut next = *touched;
        while let Some(place) = places.get(next as usize) {
            shown.push(Key::new(place.rank, place.bits, place.writes));
            next = place.before;
        }
        normalise(shown);
        Ended { actor, touches: shown }
    }

    /// The step in progress ends, which is this actor's; answers its level.
    pub(crate) fn end(&mut self, actor: Actor) -> u32 {
        let own = std::mem::replace(&mut self.own, NONE);
        let own = if own == NONE { self.own(actor) } else { own };
        let mut hash = self.hash;
        let mut level = self.below.max(self.floor) + 1;
        match self.places.get_mut(own as usize) {
            Some(own) => {
                level = level.max(own.acted + 1);
                own.acted = level;
                hash.add(own.hash.acted());
            }
            None => {
                hash.add(Hash::of(name(actor)).acted());
                if actor == Actor::Host {
                    level = self.highest + 1;
                    self.floor = level;
                }
            }
        }
        self.highest = self.highest.max(level);
        let mut next = self.touched;
        while let Some(place) = self.places.get_mut(next as usize) {
            next = place.before;
            place.touched = level.max(place.touched);
            if place.writes {
                place.written = level;
            }
        }
        self.sum = self.sum.wrapping_add(hash.at_level(level));
        self.give_up();
        level
    }

    /// What the step in progress touches does not count, or has been counted.
    pub(crate) fn give_up(&mut self) {
        self.touched = NONE;
        self.below = 0;
        self.hash = Hash::default();
        self.own = NONE;
        self.step += 1;
    }

    /// The sum of the hashes of all steps.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// The place of the actor, if its steps are ordered merely by being its steps. Everything is ordered with the host's.
    #[inline]
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
        let mut slot = self.home(rank, bits);
        loop {
            let at = self.slots[slot];
            match self.places.get(at as usize) {
                Some(place) if place.bits == bits && place.rank == rank => return at,
                Some(_) => slot = (slot + 1) & (self.slots.len() - 1),
                None => return self.add(rank, bits, slot),
            }
        }
    }

    /// The first slot to look for a name in.
    #[inline]
    fn home(&self, rank: u8, bits: u64) -> usize {
        IdHasher::hash(bits ^ u64::from(rank) << 32) as usize & (self.slots.len() - 1)
    }

    #[cold]
    #[inline(never)]
    fn add(&mut self, rank: u8, bits: u64, slot: usize) -> u32 {
        let at = u32::try_from(self.places.len()).ok().filter(|at| *at < NONE);
        let at = at.expect("a run has fewer than 2^32 - 1 targets");
        self.places.push(Place {
            hash: Hash::of((rank, bits)),
            bits,
            rank,
            writes: false,
            step: NONE,
            before: NONE,
            written: 0,
            touched: 0,
            acted: 0,
        });
        self.slots[slot] = at;
        if self.places.len() * 2 > self.slots.len() {
            self.grow();
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(slots, NONE);
        for at in 0..self.places.len() {
            let Place { rank, bits, .. } = self.places[at];
            let mut slot = self.home(rank, bits);
            while self.slots[slot] != NONE {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = at as u32;
        }
    }

    /// Forgets everything, keeping memory: slots for about as many targets as there were, so that one long run does not
    /// make the start of every later one dear.
    pub(crate) fn clear(&mut self) {
        // Where there is nothing, every slot is free already.
        if !self.places.is_empty() {
            let slots = (self.places.len() * 4).next_power_of_two().clamp(LEAST, self.slots.len());
            self.places.clear();
            self.slots.clear();
            self.slots.resize(slots, NONE);
        }
        self.give_up();
        self.step = 0;
        self.floor = 0;
        self.highest = 0;
        self.sum = 0;
    }

    /// Becomes as the other is, keeping memory.
    pub(crate) fn set(&mut self, other: &Levels) {
        let Levels { places, slots, shown: _, .. } = other;
        self.places.clone_from(places);
        self.slots.clone_from(slots);
        (self.step, self.touched, self.own) = (other.step, other.touched, other.own);
        (self.below, self.hash) = (other.below, other.hash);
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

    #[inline]
    fn subtract(&mut self, other: Hash) {
        self.low = self.low.wrapping_sub(other.low);
        self.high = self.high.wrapping_sub(other.high);
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
