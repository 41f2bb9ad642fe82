//! Priorities with a few changes.

use super::{Choice, Strategy};
use asupersync_core::{DetHashMap, SplitMix64, TaskId};

/// Runs the task of the highest random priority, and lowers that priority at `depth - 1` random steps.
///
/// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized
/// scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010): in a program of `n` tasks and
/// at most `steps` steps a run meets a given bug of this depth with a chance of at least
/// `1 / (n * steps^(depth - 1))`. The depth of a bug is the number of orders that must hold for it to
/// show: 1 for "A before B", 2 for most lost updates.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::{LabConfig, LabRuntime, Pct};
///
/// let lab = LabRuntime::with_strategy(LabConfig::default().seed(7), Pct::new(2, 100));
/// assert!(lab.run(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?)).is_ok());
/// ```
///
/// # Limitations
/// The guarantee is void for runs of more than `steps` steps; they have no changes after these.
#[derive(Clone, Debug)]
pub struct Pct {
    depth: u32,
    steps: u64,
    random: SplitMix64,
    priorities: DetHashMap<TaskId, u64>,
    /// Steps before which a change comes, ascending, and the priorities that they give, below all others.
    changes: Vec<(u64, u64)>,
    taken: u64,
    last: Option<TaskId>,
}

impl Pct {
    /// A strategy for bugs of this depth, at least 1, in runs of about so many steps.
    #[must_use]
    pub fn new(depth: u32, steps: u64) -> Pct {
        Pct {
            depth: depth.max(1),
            steps: steps.max(1),
            random: SplitMix64::default(),
            priorities: DetHashMap::default(),
            changes: Vec::new(),
            taken: 0,
            last: None,
        }
    }

    fn priority(&mut self, task: TaskId) -> u64 {
        let Pct { random, priorities, depth, .. } = self;
        *priorities
            .entry(task)
            .or_insert_with(|| random.next_u64() | u64::from(*depth).next_power_of_two())
    }

    /// Counts a step, and lowers the task that ran last if a change comes before it.
    fn step(&mut self) {
        while let Some(at) = self.changes.iter().position(|(at, _)| *at <= self.taken) {
            let (_, low) = self.changes.remove(at);
            if let Some(task) = self.last {
                self.priorities.insert(task, low);
            }
        }
        self.taken += 1;
    }
}

impl Strategy for Pct {
    fn begin(&mut self, seed: u64) {
        self.random = SplitMix64::new(seed);
        self.priorities.clear();
        self.taken = 0;
        self.last = None;
        self.changes.clear();
        for change in 0..u64::from(self.depth - 1) {
            let at = 1 + self.random.below(self.steps);
            self.changes.push((at, change));
        }
        self.changes.sort_unstable();
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        self.step();
        let best = (0..enabled.len()).max_by_key(|at| self.priority(enabled[*at].task));
        let best = best.unwrap_or(0);
        self.last = Some(enabled[best].task);
        best
    }

    fn alone(&mut self, only: &Choice) {
        self.step();
        self.last = Some(only.task);
    }
}
