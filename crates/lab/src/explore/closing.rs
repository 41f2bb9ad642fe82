//! Which regions close when one more of those within them ends.
//!
//! A region closes in the poll of whoever ends last, and at once. So two ends that touch nothing in common commute, but not
//! with everything that each of them commutes with. One ends and wakes somebody, who is polled, and then the other ends, and
//! the region closes: with the other end first, the region closes when the one ends, before that somebody is polled. If
//! these two do not commute, that is another class, though no poll depends on the other end.
//!
//! So an end covers what comes after it, or sleeps through it, only where the close can still come behind what it came behind:
//! some other end then has nothing after it that does not commute with the close. For this it is counted who is left in each
//! region, and what a close touches is what it touched in the runs before. If it was never seen, no race with it was.

use super::label::{Close, Label};
use crate::strategy::{Change, Footprint};
use asupersync_core::RegionId;
use asupersync_trace::{Actor, IdMap, Step, Target};
use smallvec::SmallVec;
use std::ops::Deref;
use std::sync::Arc;

/// By how many more or fewer a region has left.
pub(super) type Counts = SmallVec<[(RegionId, i32); 2]>;

/// What is known of regions from all runs.
#[derive(Debug, Default)]
pub(super) struct Closing {
    parents: IdMap<RegionId, RegionId>,
    /// Those that were seen to close in a poll that is not their opener's, each with the count at which it did and what
    /// that touched.
    seen: Vec<(i32, Close)>,
    /// Some close touched an object: a value of the region's heap did, when it was dropped. What that does elsewhere
    /// cannot be told.
    pub(super) is_foreign: bool,
}

/// Closes that come with the next end within the region of each.
pub(super) type Imminent = Arc<[(RegionId, Close)]>;

impl Closing {
    /// What the poll's own step does to counts, and what each of the regions that close in it.
    pub(super) fn counts(
        &mut self,
        footprint: &mut Footprint,
        closes: &[Step],
    ) -> (Counts, Vec<Counts>) {
        let (mut own, mut theirs) = (Counts::new(), vec![Counts::new(); closes.len()]);
        for (actor, change) in footprint.changes.drain(..) {
            let at = match actor {
                Some(Actor::Region(_)) => closes.iter().position(|step| Some(step.actor) == actor),
                _ => None,
            };
            let counts = at.map_or(&mut own, |at| &mut theirs[at]);
            match change {
                Change::More(region) => add(counts, region, 1),
                Change::Fewer(region) => add(counts, region, -1),
                Change::Opened(region, parent) => {
                    // Its body counts, too.
                    add(counts, region, 1);
                    if let Some(parent) = parent {
                        self.parents.insert(region, parent);
                        add(counts, parent, 1);
                    }
                }
                Change::Closed(region) => {
                    if let Some(parent) = self.parents.get(&region) {
                        add(counts, *parent, -1);
                    }
                }
            }
        }
        (own, theirs)
    }

    /// Remembers the closes of a poll, after which `left` says how many each region had left.
    pub(super) fn learn(&mut self, label: &Label, before: impl Fn(RegionId) -> i32) {
        for (at, close) in label.closes.iter().enumerate() {
            let Actor::Region(region) = close.step.actor else { continue };
            let mut targets = close.step.touches.iter().map(|touch| touch.target);
            self.is_foreign |= targets.any(|target| matches!(target, Target::Object(_)));
            let earlier = label.closes[..at].iter().map(|close| count(&close.counts, region));
            let left = before(region) + count(&label.counts, region) + earlier.sum::<i32>();
            match self.seen.iter_mut().find(|(at, seen)| {
                *at == left && seen.step.actor == close.step.actor && seen.counts == close.counts
            }) {
                Some((_, seen)) => seen.join(close),
                None => self.seen.push((left, close.clone())),
            }
        }
    }

    /// Whether the order of the poll with some close matters.
    pub(super) fn concerns(&self, label: &Label) -> bool {
        self.seen.iter().any(|(_, close)| label.precedes(close))
    }

    /// The closes that the next end comes with after this sequence, where regions had so many left before it.
    pub(super) fn imminent<'a>(
        &self,
        sequence: impl Iterator<Item = &'a Label> + Clone,
        left: impl Fn(RegionId) -> i32,
    ) -> Imminent {
        let left = |region| {
            let polls = sequence.clone().map(|label| label.change(region));
            left(region) + polls.sum::<i32>()
        };
        let mut closes = Vec::new();
        for (_, close) in &self.seen {
            let Actor::Region(region) = close.step.actor else { continue };
            if closes.iter().all(|(ender, _)| *ender != region) {
                self.close(region, -1, &left, &mut closes);
            }
        }
        closes.into_iter().map(|(region, close)| (region, close.clone())).collect()
    }

    /// Adds the close of the region if that follows from so many fewer, and those of regions around that follow from it.
    fn close<'a>(
        &'a self,
        ender: RegionId,
        by: i32,
        left: &impl Fn(RegionId) -> i32,
        closes: &mut Vec<(RegionId, &'a Close)>,
    ) {
        let (mut region, mut left_of) = (ender, left(ender) + by);
        loop {
            let actor = Actor::Region(region);
            let mut next = None;
            for (at, close) in &self.seen {
                if *at == left_of && close.step.actor == actor {
                    closes.push((ender, close));
                    next = next.or(close.counts.iter().find(|(of, by)| *by < 0 && *of != region));
                }
            }
            let Some((parent, by)) = next else { return };
            (region, left_of) = (*parent, left(*parent) + by);
        }
    }
}

fn add(counts: &mut Counts, region: RegionId, by: i32) {
    match counts.iter_mut().find(|(of, _)| *of == region) {
        Some((_, count)) => *count += by,
        None => counts.push((region, by)),
    }
}

/// By how many more the region has left.
pub(super) fn count(counts: &Counts, region: RegionId) -> i32 {
    counts.iter().find(|(of, _)| *of == region).map_or(0, |(_, by)| *by)
}

/// Whether these polls can come after `first` in an order in which those of them that come before a close when `first` ends
/// last still do: some other end of the region then has nothing of them after it.
pub(super) fn keeps_closes(
    first: &Label,
    sequence: &[impl Deref<Target = Label>],
    imminent: &[(RegionId, Close)],
) -> bool {
    imminent.iter().all(|(region, close)| {
        let ends = |label: &Label| label.change(*region) < 0;
        let is_last = |at: usize| {
            let mut after = vec![at];
            (at + 1..sequence.len()).all(|at| {
                let label = &*sequence[at];
                if !after.iter().any(|before| sequence[*before].dependent(label)) {
                    return true;
                }
                after.push(at);
                !label.precedes(close)
            })
        };
        // Where none of them is an end, what closes in `first` is part of it.
        let mut others = (0..sequence.len()).filter(|at| ends(&sequence[*at])).peekable();
        !ends(first) || others.peek().is_none() || others.any(is_last)
    })
}

/// What a close touches beside counts.
pub(super) fn is_count(target: Target) -> bool {
    matches!(target, Target::Children(_))
}
