//! The 128-bit name of a run's equivalence class.
//!
//! The Foata normal form of a trace (Cartier and Foata, "Problèmes combinatoires de commutation et
//! réarrangements", 1969) arranges its steps in levels: a step stands one level above the highest
//! step before it that it depends on. Two runs are equivalent exactly when their normal forms are
//! equal, that is, when level by level they have the same multiset of steps. So the fingerprint is
//! the sum modulo 2^128 of XXH3-128 over (level, step): independent of the order in a level, and
//! computed while the run goes on. A run that the lab gave up is what it was until then: in which order its
//! tasks were torn down is no part of it. It is a hash, not a proof: unequal fingerprints mean different
//! classes, equal ones mean equal classes up to a chance of about n^2 / 2^129 among n classes. It
//! does not resist an adversary.

use crate::ids::Numbers;
use crate::reader::Trace;
use crate::step::{Actor, Effect, Ended, Key, Sink, Step, StepBuilder};
use asupersync_core as kernel;
use std::fmt;
use twox_hash::XxHash3_128;

/// Names the class of a run under reordering of independent steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The fingerprint of these steps in this order.
    #[must_use]
    pub fn of_steps(steps: &[Step]) -> Fingerprint {
        let mut levels = Levels::default();
        for step in steps {
            levels.push_step(step);
        }
        Fingerprint(levels.sum)
    }

    /// The fingerprint of a recorded run.
    #[must_use]
    pub fn of_trace(trace: &Trace) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::default();
        for event in trace.events() {
            fingerprinter.host(event);
        }
        fingerprinter.finish()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Computes a fingerprint event by event.
#[derive(Clone, Debug, Default)]
pub struct Fingerprinter {
    builder: StepBuilder,
    levels: Levels,
    /// The lab gave the run up: what follows is no part of it.
    is_over: bool,
}

impl Fingerprinter {
    /// Takes a kernel event.
    pub fn kernel(&mut self, event: &kernel::Event<'_>) {
        self.kernel_with(event, |_| {});
    }

    /// Takes a kernel event; `each` is shown the steps that it ends.
    pub fn kernel_with(&mut self, event: &kernel::Event<'_>, each: impl FnMut(Ended<'_>)) {
        Effect::each_of_kernel(event, &mut Feeding { fingerprinter: self, each });
    }

    /// Takes a recorded event or one of the host's own.
    pub fn host(&mut self, event: &crate::Event) {
        self.host_with(event, |_| {});
    }

    /// Takes a recorded event or one of the host's own; `each` is shown the steps that it ends.
    pub fn host_with(&mut self, event: &crate::Event, each: impl FnMut(Ended<'_>)) {
        Effect::each_of_event(event, &mut Feeding { fingerprinter: self, each });
        self.is_over |= matches!(event, crate::Event::Abandoned { .. });
    }

    /// Who takes the step in progress.
    #[must_use]
    pub fn acting(&self) -> Option<Actor> {
        self.builder.actor
    }

    /// The fingerprint of everything taken, after which it can be used for the next run.
    pub fn finish(&mut self) -> Fingerprint {
        match self.builder.finish() {
            Some(step) if !self.is_over => drop(self.levels.push(step)),
            _ => {}
        }
        let sum = self.levels.sum;
        self.clear();
        Fingerprint(sum)
    }

    /// Forgets what was taken, keeping memory.
    pub fn clear(&mut self) {
        self.builder.clear();
        self.levels.clear();
        self.is_over = false;
    }
}

/// A fingerprinter, and who is shown the steps.
struct Feeding<'a, F> {
    fingerprinter: &'a mut Fingerprinter,
    each: F,
}

impl<F: FnMut(Ended<'_>)> Sink for Feeding<'_, F> {
    #[inline(always)]
    fn take(&mut self, effect: Effect) {
        let Fingerprinter { builder, levels, is_over } = &mut *self.fingerprinter;
        if let Some(step) = builder.feed(effect) {
            (self.each)(step);
            if !*is_over {
                levels.push(step);
            }
        }
    }
}

/// The levels of the Foata normal form so far. Level 0 is below every step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    /// Where in `places` the levels of a target, or of an actor, are.
    numbers: Numbers<u128>,
    places: Vec<Place>,
    /// The places of the step being added.
    touched: Vec<u32>,
    /// The last step of the host, on which everything after it depends.
    floor: u32,
    highest: u32,
    sum: u128,
    bytes: Vec<u8>,
    keys: Vec<Key>,
}

/// The highest level that wrote a target, and that touched it at all; of an actor, that of its last step.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    written: u32,
    touched: u32,
}

/// Bytes that a step's head and each of its touches are hashed as.
const HEAD: usize = 13;
const TOUCH: usize = 9;
/// Touches of a step that is hashed without a detour.
const SHORT: usize = 8;

impl Levels {
    /// Adds the run's next step and answers its level.
    pub(crate) fn push_step(&mut self, step: &Step) -> u32 {
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.extend(step.touches.iter().map(|touch| Key::of(*touch)));
        let level = self.push(Ended { actor: step.actor, touches: &keys });
        self.keys = keys;
        level
    }

    /// Adds the run's next step and answers its level.
    fn push(&mut self, step: Ended<'_>) -> u32 {
        let mut below = self.floor;
        // Steps of one actor are ordered as if each wrote the actor, which no target is named like.
        let keeps = step.actor.is_sequential() && step.actor != Actor::Host;
        let own = keeps.then(|| {
            let (tag, bits) = name(step.actor);
            self.place(u128::from(bits) | u128::from(tag + 1) << 120)
        });
        if let Some(own) = own {
            below = below.max(self.places[own].touched);
        }
        self.touched.clear();
        for key in step.touches {
            let at = self.place(key.target());
            self.touched.push(at as u32);
            let place = self.places[at];
            below = below.max(if key.is_write() { place.touched } else { place.written });
        }
        if step.actor == Actor::Host {
            below = self.highest;
        }
        let level = below + 1;
        self.highest = self.highest.max(level);
        if step.actor == Actor::Host {
            self.floor = level;
        }
        if let Some(own) = own {
            self.places[own].touched = level;
        }
        for (key, at) in step.touches.iter().zip(&self.touched) {
            let place = &mut self.places[*at as usize];
            place.touched = level.max(place.touched);
            if key.is_write() {
                place.written = level.max(place.written);
            }
        }
        self.sum = self.sum.wrapping_add(self.hash(level, step));
        level
    }

    /// Where the levels of what has this name are.
    #[inline]
    fn place(&mut self, name: u128) -> usize {
        let at = self.numbers.number(name) as usize;
        if at == self.places.len() {
            self.places.push(Place::default());
        }
        at
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.places.clear();
        self.floor = 0;
        self.highest = 0;
        self.sum = 0;
    }

    fn hash(&mut self, level: u32, step: Ended<'_>) -> u128 {
        let length = HEAD + TOUCH * step.touches.len();
        let mut short = [0; HEAD + TOUCH * SHORT];
        if let Some(bytes) = short.get_mut(..length) {
            write(bytes, level, step);
            return XxHash3_128::oneshot(bytes);
        }
        self.bytes.resize(length, 0);
        write(&mut self.bytes, level, step);
        XxHash3_128::oneshot(&self.bytes)
    }
}

/// An actor as it is hashed.
fn name(actor: Actor) -> (u8, u64) {
    match actor {
        Actor::Task(id) => (0, id.to_bits()),
        Actor::Region(id) => (1, id.to_bits()),
        Actor::Timer(at) => (2, at.as_nanos()),
        Actor::Host => (3, 0),
        Actor::Outside => (4, 0),
        Actor::Clock => (5, 0),
    }
}

/// Fills `bytes` with the level and the step.
fn write(bytes: &mut [u8], level: u32, step: Ended<'_>) {
    let (head, touches) = bytes.split_at_mut(HEAD);
    let (tag, bits) = name(step.actor);
    head[..4].copy_from_slice(&level.to_le_bytes());
    head[4] = tag;
    head[5..].copy_from_slice(&bits.to_le_bytes());
    for (bytes, key) in touches.chunks_exact_mut(TOUCH).zip(step.touches) {
        bytes[0] = (key.rank() << 1) | u8::from(key.is_write());
        bytes[1..].copy_from_slice(&key.bits().to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
