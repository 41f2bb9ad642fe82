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

use crate::ids::IdMap;
use crate::reader::Trace;
use crate::step::{Actor, Effect, Step, StepBuilder, StepView, Target};
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
            levels.push(step.view());
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
    pub fn kernel_with(&mut self, event: &kernel::Event<'_>, mut each: impl FnMut(StepView<'_>)) {
        Effect::each_of_kernel(event, |effect| self.feed(effect, &mut each));
    }

    /// Takes a recorded event or one of the host's own.
    pub fn host(&mut self, event: &crate::Event) {
        self.host_with(event, |_| {});
    }

    /// Takes a recorded event or one of the host's own; `each` is shown the steps that it ends.
    pub fn host_with(&mut self, event: &crate::Event, mut each: impl FnMut(StepView<'_>)) {
        Effect::each_of_event(event, |effect| self.feed(effect, &mut each));
        self.is_over |= matches!(event, crate::Event::Abandoned { .. });
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

    #[inline]
    fn feed(&mut self, effect: Effect, each: &mut impl FnMut(StepView<'_>)) {
        if let Some(step) = self.builder.feed(effect) {
            each(step);
            if !self.is_over {
                self.levels.push(step);
            }
        }
    }
}

/// The levels of the Foata normal form so far. Level 0 is below every step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    actors: IdMap<Actor, u32>,
    /// Where in `places` a target's levels are.
    targets: IdMap<Target, u32>,
    places: Vec<Place>,
    /// The places of the step being added.
    touched: Vec<u32>,
    /// The last step of the host, on which everything after it depends.
    floor: u32,
    highest: u32,
    sum: u128,
    bytes: Vec<u8>,
}

/// The highest level that wrote a target, and that touched it at all.
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
    pub(crate) fn push(&mut self, step: StepView<'_>) -> u32 {
        let Levels { actors, targets, places, touched, .. } = self;
        let mut below = self.floor;
        let keeps = step.actor.is_sequential() && step.actor != Actor::Host;
        let own = if keeps { actors.get_mut(&step.actor) } else { None };
        if let Some(level) = &own {
            below = below.max(**level);
        }
        touched.clear();
        for touch in step.touches {
            if let Some(at) = targets.get(&touch.target) {
                touched.push(*at);
                let place = places[*at as usize];
                below = below.max(if touch.write { place.touched } else { place.written });
            } else {
                let next = places.len() as u32;
                targets.insert(touch.target, next);
                places.push(Place::default());
                touched.push(next);
            }
        }
        if step.actor == Actor::Host {
            below = self.highest;
        }
        let level = below + 1;
        self.highest = self.highest.max(level);
        if step.actor == Actor::Host {
            self.floor = level;
        }
        match own {
            Some(own) => *own = level,
            None if keeps => drop(actors.insert(step.actor, level)),
            None => {}
        }
        for (touch, at) in step.touches.iter().zip(touched) {
            let place = &mut places[*at as usize];
            place.touched = level.max(place.touched);
            if touch.write {
                place.written = level.max(place.written);
            }
        }
        self.sum = self.sum.wrapping_add(self.hash(level, step));
        level
    }

    fn clear(&mut self) {
        self.actors.clear();
        self.targets.clear();
        self.places.clear();
        self.floor = 0;
        self.highest = 0;
        self.sum = 0;
    }

    fn hash(&mut self, level: u32, step: StepView<'_>) -> u128 {
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

/// Fills `bytes` with the level and the step.
fn write(bytes: &mut [u8], level: u32, step: StepView<'_>) {
    let (head, touches) = bytes.split_at_mut(HEAD);
    let (tag, bits) = match step.actor {
        Actor::Task(id) => (0, id.to_bits()),
        Actor::Region(id) => (1, id.to_bits()),
        Actor::Timer(at) => (2, at.as_nanos()),
        Actor::Host => (3, 0),
        Actor::Outside => (4, 0),
    };
    head[..4].copy_from_slice(&level.to_le_bytes());
    head[4] = tag;
    head[5..].copy_from_slice(&bits.to_le_bytes());
    for (bytes, touch) in touches.chunks_exact_mut(TOUCH).zip(step.touches) {
        let (tag, bits) = match touch.target {
            Target::Object(id) => (0, id.to_bits()),
            Target::Readiness(id) => (2, id.to_bits()),
            Target::Door(id) => (4, id.to_bits()),
            Target::Children(id) => (6, id.to_bits()),
            Target::Turn(id) => (8, id.to_bits()),
        };
        bytes[0] = tag | u8::from(touch.write);
        bytes[1..].copy_from_slice(&bits.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
