//! Which step happens before which, by vector clocks.
//!
//! Happens-before is the smallest transitive order that contains every pair of dependent steps in
//! the order of the run. A step's clock holds, for each actor, how many of that actor's steps
//! happen before it or are it (Fidge 1988, Mattern 1989).

use crate::step::{Actor, Step, Target};
use asupersync_core::DetHashMap;

/// The happens-before order of a run.
///
/// Costs one 32-bit counter for each step and actor; each firing of a timer counts as an actor.
#[derive(Clone, Debug, Default)]
pub struct Causality {
    /// For each step its actor's index, and which of the actor's steps it is, counted from 1.
    places: Vec<(usize, u32)>,
    clocks: Vec<Clock>,
}

type Clock = Vec<u32>;

impl Causality {
    /// The order of these steps.
    #[must_use]
    pub fn of(steps: &[Step]) -> Causality {
        let mut actors: DetHashMap<Actor, usize> = DetHashMap::default();
        // What the next step of an actor knows; what the next reader, or writer, of a target will.
        let mut latest: Vec<Clock> = Vec::new();
        let mut written: DetHashMap<Target, Clock> = DetHashMap::default();
        let mut touched: DetHashMap<Target, Clock> = DetHashMap::default();
        let mut floor = Clock::new();
        let mut everything = Clock::new();
        let mut causality = Causality::default();
        for step in steps {
            let index = match actors.get(&step.actor) {
                Some(index) if step.actor.is_sequential() => *index,
                _ => {
                    actors.insert(step.actor, latest.len());
                    latest.push(Clock::new());
                    latest.len() - 1
                }
            };
            let mut clock = std::mem::take(&mut latest[index]);
            join(&mut clock, &floor);
            if step.actor == Actor::Host {
                join(&mut clock, &everything);
            }
            for touch in &*step.touches {
                let known = if touch.write { &touched } else { &written };
                if let Some(other) = known.get(&touch.target) {
                    join(&mut clock, other);
                }
            }
            if clock.len() <= index {
                clock.resize(index + 1, 0);
            }
            clock[index] += 1;
            for touch in &*step.touches {
                join(touched.entry(touch.target).or_default(), &clock);
                if touch.write {
                    join(written.entry(touch.target).or_default(), &clock);
                }
            }
            join(&mut everything, &clock);
            if step.actor == Actor::Host {
                floor.clone_from(&clock);
            }
            causality.places.push((index, clock[index]));
            latest[index].clone_from(&clock);
            causality.clocks.push(clock);
        }
        causality
    }

    /// Whether the step at `first` happens before the one at `second`; false for one and the same.
    ///
    /// # Panics
    /// If either is not a position in the run.
    #[must_use]
    pub fn happens_before(&self, first: usize, second: usize) -> bool {
        let (actor, count) = self.places[first];
        first != second && self.clocks[second].get(actor).is_some_and(|known| *known >= count)
    }

    /// The positions of the steps that happen before the one at `last`, in order, and `last`
    /// itself: all that can have contributed to what it did.
    ///
    /// # Panics
    /// If `last` is not a position in the run.
    pub fn past(&self, last: usize) -> impl Iterator<Item = usize> + '_ {
        (0..=last).filter(move |step| *step == last || self.happens_before(*step, last))
    }
}

fn join(clock: &mut Clock, other: &[u32]) {
    if clock.len() < other.len() {
        clock.resize(other.len(), 0);
    }
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

#[cfg(test)]
mod tests;
