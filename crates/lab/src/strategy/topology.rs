//! Orders that open holes.

use super::{Choice, Footprint, Strategy};
use asupersync_core::{DetHashMap, SplitMix64, TaskId};
use asupersync_trace::{Actor, SquareComplex, Step, dependent};

/// Prefers, at each place that a run comes to, the step that may open a hole in what was seen of the program: one
/// that was not taken there before, and whose order with the others that could come matters.
///
/// Unlike the others it remembers the runs before, so a run follows from all seeds so far and not from its own:
/// replay it by [`LabReport::choices`](crate::LabReport::choices). Places are how many polls each task has had
/// (the progress graph of Fajstrup, Goubault, Haucourt, Mimram and Raussen, "Directed algebraic topology and
/// concurrency", Springer 2016); where two steps commute, the square between their two orders is filled in, and
/// what stays open are conflicts that were seen to go both ways: [`TopologyGuided::holes`].
///
/// # Limitations
/// On the programs that `cargo xtask bench explore` measures it needs a tenth fewer runs than [`Random`](super::Random) on the
/// whole, and more on some of them; see `docs/lab.md`. Nothing uses it unless asked to.
#[derive(Clone, Debug, Default)]
pub struct TopologyGuided {
    random: SplitMix64,
    /// What each task's poll of this number touched, when it was last seen.
    labels: DetHashMap<(TaskId, u32), Step>,
    /// Steps that were taken, by the place and the task, with the place they lead to.
    taken: DetHashMap<(u64, TaskId), u64>,
    /// The task's poll numbers that stand behind each of these steps, for the squares.
    counts: DetHashMap<(u64, TaskId), u32>,
    progress: DetHashMap<TaskId, u32>,
    place: u64,
    running: Option<TaskId>,
}

impl TopologyGuided {
    /// How many holes the orders seen so far leave open.
    #[must_use]
    pub fn holes(&self) -> usize {
        let mut complex = SquareComplex::default();
        let mut vertices: DetHashMap<u64, usize> = DetHashMap::default();
        let mut edges: DetHashMap<(u64, TaskId), usize> = DetHashMap::default();
        let mut taken: Vec<_> = self.taken.iter().collect();
        taken.sort_unstable();
        for ((from, task), to) in &taken {
            let ends =
                [*from, **to].map(|at| *vertices.entry(at).or_insert_with(|| complex.vertex()));
            edges.insert((*from, *task), complex.edge(ends[0], ends[1]));
        }
        for (at, ((from, a), left)) in taken.iter().enumerate() {
            for ((other, b), right) in &taken[at + 1..] {
                if other != from {
                    break; // sorted by the place
                }
                let (Some(then), Some(also)) =
                    (edges.get(&(**left, *b)), edges.get(&(**right, *a)))
                else {
                    continue;
                };
                if !self.conflict((*a, self.counts[&(*from, *a)]), (*b, self.counts[&(*from, *b)]))
                {
                    complex.square([edges[&(*from, *a)], *then, edges[&(*from, *b)], *also]);
                }
            }
        }
        complex.betti()[1]
    }

    /// Whether the order of two polls matters, as far as they are known; unknown ones may matter.
    fn conflict(&self, a: (TaskId, u32), b: (TaskId, u32)) -> bool {
        match (self.labels.get(&a), self.labels.get(&b)) {
            (Some(a), Some(b)) => dependent(a.view(), b.view()),
            _ => true,
        }
    }

    fn next_of(&self, task: TaskId) -> (TaskId, u32) {
        (task, self.progress.get(&task).copied().unwrap_or(0))
    }

    fn take(&mut self, task: TaskId) {
        self.running = Some(task);
        let count = self.progress.entry(task).or_insert(0);
        let from = self.place;
        // The sum does not depend on the order in which the tasks came here.
        self.place =
            from.wrapping_add(SplitMix64::mix(task.to_bits() ^ u64::from(*count).rotate_left(32)));
        self.taken.insert((from, task), self.place);
        self.counts.insert((from, task), *count);
        *count += 1;
    }
}

impl Strategy for TopologyGuided {
    fn begin(&mut self, seed: u64) {
        self.random = SplitMix64::new(seed);
        self.progress.clear();
        self.place = 0;
        self.running = None;
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        let score = |choice: &Choice| {
            if self.taken.contains_key(&(self.place, choice.task)) {
                return 0;
            }
            let mine = self.next_of(choice.task);
            let others = enabled.iter().filter(|other| other.task != choice.task);
            1 + others.filter(|other| self.conflict(mine, self.next_of(other.task))).count()
        };
        let scores: Vec<usize> = enabled.iter().map(score).collect();
        let best = scores.iter().copied().max().unwrap_or(0);
        let equal = scores.iter().filter(|score| **score == best).count();
        let mut which = self.random.below(equal as u64);
        let at = scores.iter().position(|score| {
            let hit = *score == best && which == 0;
            which -= u64::from(*score == best && which > 0);
            hit
        });
        let at = at.unwrap_or(0);
        self.take(enabled[at].task);
        at
    }

    fn alone(&mut self, only: &Choice) {
        self.take(only.task);
    }

    fn watches(&self) -> bool {
        true
    }

    fn stepped(&mut self, footprint: &mut Footprint) {
        let Some(task) = self.running.take() else { return };
        let own = footprint.steps.drain(..).find(|step| step.actor == Actor::of(task));
        let (Some(step), Some(count)) = (own, self.progress.get(&task)) else { return };
        self.labels.insert((task, count - 1), step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabConfig, LabRuntime, Shared};
    use asupersync_core::{Cx, Error};
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// The strategy, kept to be asked afterwards.
    struct Kept(Arc<Mutex<TopologyGuided>>);

    impl Strategy for Kept {
        fn begin(&mut self, seed: u64) {
            self.0.lock().begin(seed);
        }

        fn choose(&mut self, enabled: &[Choice]) -> usize {
            self.0.lock().choose(enabled)
        }

        fn alone(&mut self, only: &Choice) {
            self.0.lock().alone(only);
        }

        fn watches(&self) -> bool {
            true
        }

        fn stepped(&mut self, footprint: &mut Footprint) {
            self.0.lock().stepped(footprint);
        }
    }

    /// Runs two tasks that each write a cell so many times, and answers the holes and the classes.
    fn runs(same_cell: bool, runs: u64) -> (usize, usize) {
        let kept = Arc::new(Mutex::new(TopologyGuided::default()));
        let lab = LabRuntime::with_strategy(LabConfig::default(), Kept(kept.clone()));
        let mut classes = std::collections::BTreeSet::new();
        for seed in 0..runs {
            let report = lab.run_seeded(seed, None, false, async move |cx: &Cx| {
                let cells = [Shared::new(0), Shared::new(0)];
                cx.region(async |scope| {
                    for n in 0..2 {
                        let cell = cells[if same_cell { 0 } else { n }].clone();
                        let _ = scope.spawn(async move |cx: &Cx| {
                            cell.set(cx, n).await?;
                            Ok::<_, Error>(())
                        });
                    }
                    Ok::<_, Error>(())
                })
                .await
                .into_result()?;
                Ok::<_, Error>(())
            });
            assert!(report.is_ok(), "{report}");
            classes.extend(report.fingerprint);
        }
        let holes = kept.lock().holes();
        (holes, classes.len())
    }

    #[test]
    fn a_conflict_seen_both_ways_is_a_hole_and_steps_that_commute_leave_none() {
        assert_eq!(runs(false, 12), (0, 1));
        assert_eq!(runs(true, 12), (1, 2));
    }
}
