//! Random priorities for steps.

use super::{Choice, Footprint, Strategy};
use asupersync_core::{DetHashMap, SplitMix64, TaskId};
use asupersync_trace::{Actor, Step, dependent};

/// Gives each pending step a random priority, runs the highest, and draws anew for the steps that race
/// with it.
///
/// Partial order sampling (Yuan, Yang and Gu, "Partial order aware concurrency sampling", CAV 2018): orders
/// of racing steps come out more evenly than under [`Random`](super::Random), which prefers runs whose tasks advance
/// together.
///
/// # Limitations
/// What a pending poll will touch is not known before it runs. Taken for it is what the same task's poll
/// before it touched, so a race is missed where a task goes from one object to another.
#[derive(Clone, Debug, Default)]
pub struct Pos {
    random: SplitMix64,
    priorities: DetHashMap<TaskId, u64>,
    /// What each task's last poll touched.
    before: DetHashMap<TaskId, Step>,
    running: Option<TaskId>,
}

impl Strategy for Pos {
    fn begin(&mut self, seed: u64) {
        self.random = SplitMix64::new(seed);
        self.priorities.clear();
        self.before.clear();
        self.running = None;
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        let Pos { random, priorities, .. } = self;
        let mut priority = |task| *priorities.entry(task).or_insert_with(|| random.next_u64());
        let best = (0..enabled.len()).max_by_key(|at| priority(enabled[*at].task)).unwrap_or(0);
        self.running = Some(enabled[best].task);
        best
    }

    fn alone(&mut self, only: &Choice) {
        self.running = Some(only.task);
    }

    fn watches(&self) -> bool {
        true
    }

    fn stepped(&mut self, footprint: &mut Footprint) {
        let Some(task) = self.running.take() else { return };
        self.priorities.remove(&task);
        let own = footprint.steps.drain(..).find(|step| step.actor == Actor::of(task));
        let Some(step) = own else { return };
        let Pos { priorities, before, .. } = self;
        priorities.retain(|other, _| {
            before.get(other).is_none_or(|seen| !dependent(step.view(), seen.view()))
        });
        before.insert(task, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Pct;
    use asupersync_core::{Lane, ObjectId};
    use asupersync_trace::{Target, Touch};

    fn enabled(tasks: u64) -> Vec<Choice> {
        let choice =
            |task| Choice { task: TaskId::from_bits(task), lane: Lane::Ready, since: task };
        (0..tasks).map(choice).collect()
    }

    #[test]
    fn without_changes_pct_stays_with_one_task() {
        let mut pct = Pct::new(1, 100);
        pct.begin(3);
        let of = enabled(5);
        let first = pct.choose(&of);
        assert!((0..50).all(|_| pct.choose(&of) == first));
    }

    #[test]
    fn pct_of_depth_three_changes_its_mind_twice() {
        for seed in 0..50 {
            let mut pct = Pct::new(3, 40);
            pct.begin(seed);
            let of = enabled(5);
            let runs: Vec<usize> = (0..60).map(|_| pct.choose(&of)).collect();
            let changes = runs.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!((1..=2).contains(&changes), "seed {seed}: {runs:?}");
        }
    }

    #[test]
    fn among_racing_steps_pos_is_even() {
        let mut pos = Pos::default();
        pos.begin(1);
        let of = enabled(3);
        let mut seen = [0_u32; 3];
        for _ in 0..3_000 {
            let at = pos.choose(&of);
            seen[at] += 1;
            let target = Target::Object(ObjectId::from_bits(9));
            let touches = vec![Touch { target, write: true }];
            let step = Step::new(Actor::Task(of[at].task), touches);
            pos.stepped(&mut Footprint { steps: vec![step], ..Footprint::default() });
        }
        assert!(seen.iter().all(|count| (700..1_300).contains(count)), "{seen:?}");
    }
}
