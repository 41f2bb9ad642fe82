//! The 128-bit name of a run's equivalence class.
//!
//! The Foata normal form of a trace (Cartier and Foata, "Problèmes combinatoires de commutation et
//! réarrangements", 1969) arranges its steps in levels: a step stands one level above the highest
//! step before it that it depends on. Two runs are equivalent exactly when their normal forms are
//! equal, that is, when level by level they have the same multiset of steps. So the fingerprint is
//! the sum modulo 2^128 of XXH3-128 over (level, step): independent of the order in a level, and
//! computed while the run goes on. It is a hash, not a proof: unequal fingerprints mean different
//! classes, equal ones mean equal classes up to a chance of about n^2 / 2^129 among n classes. It
//! does not resist an adversary.

use crate::reader::Trace;
use crate::step::{Actor, Effect, Step, StepBuilder, StepView, Target};
use asupersync_core as kernel;
use asupersync_core::DetHashMap;
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
#[derive(Debug, Default)]
pub struct Fingerprinter {
    builder: StepBuilder,
    levels: Levels,
}

impl Fingerprinter {
    /// Takes a kernel event.
    pub fn kernel(&mut self, event: &kernel::Event<'_>) {
        for effect in Effect::of_kernel(event) {
            self.feed(effect);
        }
    }

    /// Takes a recorded event or one of the host's own.
    pub fn host(&mut self, event: &crate::Event) {
        for effect in Effect::of_event(event) {
            self.feed(effect);
        }
    }

    /// The fingerprint of everything taken, after which it can be used for the next run.
    pub fn finish(&mut self) -> Fingerprint {
        if let Some(step) = self.builder.finish() {
            self.levels.push(step);
        }
        let sum = self.levels.sum;
        self.clear();
        Fingerprint(sum)
    }

    /// Forgets what was taken, keeping memory.
    pub fn clear(&mut self) {
        self.builder.clear();
        self.levels.clear();
    }

    fn feed(&mut self, effect: Effect) {
        if let Some(step) = self.builder.feed(effect) {
            self.levels.push(step);
        }
    }
}

/// The levels of the Foata normal form so far. Level 0 is below every step.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    actors: DetHashMap<Actor, u32>,
    /// Per target the highest level that wrote it, and that touched it at all.
    targets: DetHashMap<Target, (u32, u32)>,
    /// The last step of the host, on which everything after it depends.
    floor: u32,
    highest: u32,
    sum: u128,
    bytes: Vec<u8>,
}

impl Levels {
    /// Adds the run's next step and answers its level.
    pub(crate) fn push(&mut self, step: StepView<'_>) -> u32 {
        let below = if step.actor == Actor::Host {
            self.highest
        } else {
            let own = self.actors.get(&step.actor).copied().unwrap_or(0);
            let conflicts = step.touches.iter().map(|touch| {
                let (written, touched) = self.targets.get(&touch.target).copied().unwrap_or((0, 0));
                if touch.write { touched } else { written }
            });
            conflicts.fold(own.max(self.floor), u32::max)
        };
        let level = below + 1;
        self.highest = self.highest.max(level);
        if step.actor == Actor::Host {
            self.floor = level;
        } else if step.actor.is_sequential() {
            self.actors.insert(step.actor, level);
        }
        for touch in step.touches {
            let (written, touched) = self.targets.entry(touch.target).or_default();
            *touched = level.max(*touched);
            if touch.write {
                *written = level.max(*written);
            }
        }
        self.sum = self.sum.wrapping_add(self.hash(level, step));
        level
    }

    fn clear(&mut self) {
        self.actors.clear();
        self.targets.clear();
        self.floor = 0;
        self.highest = 0;
        self.sum = 0;
    }

    fn hash(&mut self, level: u32, step: StepView<'_>) -> u128 {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&level.to_le_bytes());
        let (tag, bits) = match step.actor {
            Actor::Task(id) => (0, id.to_bits()),
            Actor::Region(id) => (1, id.to_bits()),
            Actor::Timer(at) => (2, at.as_nanos()),
            Actor::Host => (3, 0),
            Actor::Outside => (4, 0),
        };
        bytes.push(tag);
        bytes.extend_from_slice(&bits.to_le_bytes());
        for touch in step.touches {
            let (tag, bits) = match touch.target {
                Target::Object(id) => (0, id.to_bits()),
                Target::Readiness(id) => (2, id.to_bits()),
                Target::Door(id) => (4, id.to_bits()),
                Target::Children(id) => (6, id.to_bits()),
                Target::Turn(id) => (8, id.to_bits()),
            };
            bytes.push(tag | u8::from(touch.write));
            bytes.extend_from_slice(&bits.to_le_bytes());
        }
        XxHash3_128::oneshot(bytes)
    }
}

#[cfg(test)]
mod tests;
