//! The 128-bit name of a run's equivalence class.
//!
//! The Foata normal form of a trace (Cartier and Foata, "Problèmes combinatoires de commutation et
//! réarrangements", 1969) arranges its steps in levels: a step stands one level above the highest
//! step before it that it depends on. Two runs are equivalent exactly when their normal forms are
//! equal, that is, when level by level they have the same multiset of steps. So the fingerprint is
//! the sum modulo 2^128 of a hash of (level, step): independent of the order in a level, and
//! computed while the run goes on. What a step touches is a set, so its hash is made of a sum, too, and nothing
//! needs to be sorted. A run that the lab gave up is what it was until then: in which order its
//! tasks were torn down is no part of it. It is a hash, not a proof: unequal fingerprints mean different
//! classes, equal ones mean equal classes up to a chance of about n^2 / 2^129 among n classes. It
//! does not resist an adversary.

mod levels;

use crate::reader::Trace;
use crate::step::{Actor, Division, Effect, Ended, Sink, Step};
use asupersync_core as kernel;
pub(crate) use levels::Levels;
use std::fmt;

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
        Fingerprint(levels.sum())
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

/// The Foata levels of these steps, counted from 1: those of one level are independent of each other, and each depends
/// on one of the level below.
#[must_use]
pub fn foata_levels(steps: &[Step]) -> Vec<u32> {
    let mut levels = Levels::default();
    steps.iter().map(|step| levels.push_step(step)).collect()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Computes a fingerprint event by event.
#[derive(Debug, Default)]
pub struct Fingerprinter {
    division: Division,
    levels: Levels,
    /// The lab gave the run up: what follows is no part of it.
    is_over: bool,
}

impl Clone for Fingerprinter {
    fn clone(&self) -> Fingerprinter {
        let mut clone = Fingerprinter::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, other: &Fingerprinter) {
        let Fingerprinter { division, levels, is_over } = other;
        self.division.set(division);
        self.levels.set(levels);
        self.is_over = *is_over;
    }
}

/// Who wants to be shown no step.
const NOBODY: Option<fn(Ended<'_>)> = None;

impl Fingerprinter {
    /// Takes a kernel event.
    // Where the sort of event is known, what is left of this are its effects.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn kernel(&mut self, event: &kernel::Event<'_>) {
        Effect::each_of_kernel(event, &mut Feeding { fingerprinter: self, each: NOBODY });
    }

    /// Takes a kernel event; `each` is shown the steps that it ends.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn kernel_with(&mut self, event: &kernel::Event<'_>, each: impl FnMut(Ended<'_>)) {
        Effect::each_of_kernel(event, &mut Feeding { fingerprinter: self, each: Some(each) });
    }

    /// Takes a recorded event or one of the host's own.
    pub fn host(&mut self, event: &crate::Event) {
        self.host_event(event, NOBODY);
    }

    /// Takes a recorded event or one of the host's own; `each` is shown the steps that it ends.
    pub fn host_with(&mut self, event: &crate::Event, each: impl FnMut(Ended<'_>)) {
        self.host_event(event, Some(each));
    }

    fn host_event(&mut self, event: &crate::Event, each: Option<impl FnMut(Ended<'_>)>) {
        Effect::each_of_event(event, &mut Feeding { fingerprinter: self, each });
        self.is_over |= matches!(event, crate::Event::Abandoned { .. });
    }

    /// Who takes the step in progress.
    #[must_use]
    pub fn acting(&self) -> Option<Actor> {
        self.division.acting()
    }

    /// The fingerprint of everything taken, after which it can be used for the next run.
    pub fn finish(&mut self) -> Fingerprint {
        match self.division.finish() {
            Some(actor) if !self.is_over => drop(self.levels.end(actor)),
            _ => {}
        }
        let sum = self.levels.sum();
        self.clear();
        Fingerprint(sum)
    }

    /// Forgets what was taken, keeping memory.
    pub fn clear(&mut self) {
        self.division.clear();
        self.levels.clear();
        self.is_over = false;
    }

    /// A step ends, another begins, or both.
    fn turn(&mut self, effect: Effect, each: Option<&mut dyn FnMut(Ended<'_>)>) {
        if let Some(actor) = self.division.turn(effect) {
            if let Some(each) = each {
                each(self.levels.shown(actor));
            }
            match self.is_over {
                false => drop(self.levels.end(actor)),
                true => self.levels.give_up(),
            }
        }
        if let Effect::Begin(actor) = effect {
            self.levels.begin(actor);
        }
    }
}

/// A fingerprinter, and who is shown the steps.
struct Feeding<'a, F> {
    fingerprinter: &'a mut Fingerprinter,
    each: Option<F>,
}

impl<F: FnMut(Ended<'_>)> Sink for Feeding<'_, F> {
    // Where the effect is known, and mostly it is, what is left of this is one of the branches.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn take(&mut self, effect: Effect) {
        if let Effect::End | Effect::Begin(_) | Effect::Close(_) = effect {
            let each = self.each.as_mut().map(|each| each as &mut dyn FnMut(Ended<'_>));
            self.fingerprinter.turn(effect, each);
            return;
        }
        let Fingerprinter { division, levels, .. } = &mut *self.fingerprinter;
        if let Some(touch) = division.within(effect) {
            levels.touch(touch.target, touch.write);
        }
    }
}

#[cfg(test)]
mod tests;
