//! From a failing run to a small one that fails in the same way.
//!
//! First faults are left out, one by one; then the whole order is left to the default; then what came after the failure is; then what cannot
//! have led to it (its causal past stays). Then whole tasks are left out, and of others the last rounds of their loops, as far as a
//! schedule can do that: such a task is not chosen while anything else can run, so that its steps fall behind the
//! failure if that does not wait for them. Then instructions are left out by delta debugging (Zeller and
//! Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 2002), down to single ones, and at last
//! the equivalent order with the fewest switches of task is taken, and neighbouring stretches of different tasks
//! are exchanged where that makes fewer of them still. A candidate is
//! taken only if it fails in the same way in no more polls, and is not longer.

use crate::script::{Act, Plan};
use crate::trial::{Trial, Trials, Wanted};
use asupersync_core::TaskId;
use asupersync_trace::{Actor, Effort, Limits, Step, Trace, geodesic};
use std::collections::BTreeMap;

/// Runs that shrinking may take.
const MOST_RUNS: u64 = 2_000;
/// Polls of a run beyond which its equivalent orders are not looked at.
const LONGEST_STRAIGHTENED: usize = 2_000;
/// Polls that the runs of shrinking may take together.
const MOST_STEPS: u64 = 10_000_000;

/// Polls that looking for tasks to leave out may take of them, each time.
const MOST_STEPS_OF_TASKS: u64 = 1_000_000;

/// The size of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Polls until the failure.
    pub(crate) steps: usize,
    /// Times that one task took over from another until then.
    pub(crate) switches: usize,
    /// Instructions that differ from leaving everything to the default order.
    pub(crate) forced: usize,
}

/// A small failing run.
pub(crate) struct Shrunk {
    pub(crate) trial: Trial,
    /// What the stages came to, those that made a difference; the first is the run that was given, the last what is left.
    pub(crate) stages: Vec<(&'static str, Size)>,
    /// Faults that were left out, besides those that were from the beginning.
    pub(crate) left_out: Vec<usize>,
    /// Runs that it took.
    pub(crate) runs: u64,
    /// No instruction, no task and no fault can be left out without the failure going away or coming later.
    pub(crate) is_minimal: bool,
}

struct Search<'a> {
    trials: &'a mut Trials<'a>,
    failure: String,
    best: Trial,
    acts: Vec<Act>,
    faults: Vec<usize>,
    left_out: Vec<usize>,
    runs: u64,
    steps: u64,
    stages: Vec<(&'static str, Size)>,
}

/// The instructions that make the run what it was.
pub(crate) fn acts_of(trial: &Trial) -> Vec<Act> {
    let mut acts: Vec<Act> = trial.seen.schedule.iter().map(|task| Act::Poll(*task)).collect();
    if let Some(at) = trial.cancel_at {
        acts.insert((at as usize).min(acts.len()), Act::Cancel);
    }
    acts
}

fn switches(trial: &Trial) -> usize {
    let schedule = &trial.seen.schedule[..trial.failed_at];
    schedule.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

fn size(trial: &Trial, forced: usize) -> Size {
    Size { steps: trial.failed_at, switches: switches(trial), forced }
}

/// Shrinks a run that failed, in which `faults` could strike and `left_out` did not.
pub(crate) fn shrink<'a>(
    trials: &'a mut Trials<'a>,
    first: Trial,
    faults: Vec<usize>,
    left_out: Vec<usize>,
) -> Shrunk {
    let failure = first.failure.clone().unwrap_or_default();
    let acts = acts_of(&first);
    let stages = vec![("found", size(&first, acts.len()))];
    let (runs, steps) = (0, 0);
    let mut search =
        Search { trials, failure, best: first, acts, faults, left_out, runs, steps, stages };

    search.drop_faults();
    search.stage("faults left out");
    search.attempt(Vec::new(), false);
    search.stage("default order");
    let kept = polls_until(&search.acts, search.best.failed_at);
    search.attempt(kept, false);
    search.stage("failing prefix");
    let past = search.best.seen.past(search.best.failed_at);
    let schedule = &search.best.seen.schedule;
    let mut cut: Vec<Act> = past.iter().map(|poll| Act::Poll(schedule[*poll])).collect();
    if let Some(at) = search.best.cancel_at {
        let before = past.iter().filter(|poll| **poll < at as usize).count();
        cut.insert(before, Act::Cancel);
    }
    search.attempt(cut, false);
    search.stage("causal past");
    search.drop_tasks();
    search.stage("tasks left out");
    for _ in 0..4 {
        search.leave_out();
        search.stage("choices left out");
        let straighter = [search.straighten(), search.exchange()];
        search.stage("fewest switches");
        // What is left of the schedule may do without faults and tasks that the whole could not do without.
        let fewer = [search.drop_faults(), search.drop_tasks()];
        search.stage("faults and tasks left out");
        if [straighter, fewer] == [[false; 2]; 2] {
            break;
        }
    }
    // Each of these makes less of what the one before looked at, so there is an end.
    let is_minimal = loop {
        let is_minimal = search.leave_out();
        if [search.drop_faults(), search.drop_tasks(), search.leave_out_anew()] == [false; 3] {
            break is_minimal && !search.is_spent();
        }
    };
    let smallest = search.size();
    let Search { best: trial, left_out, runs, mut stages, .. } = search;
    stages.push(("smallest", smallest));
    Shrunk { trial, stages, left_out, runs, is_minimal }
}

/// The instructions up to the poll with this number.
fn polls_until(acts: &[Act], polls: usize) -> Vec<Act> {
    let mut left = polls;
    let until = acts.iter().take_while(|act| match act {
        Act::Poll(_) if left == 0 => false,
        Act::Poll(_) => {
            left -= 1;
            true
        }
        Act::Cancel | Act::Hold(..) => true,
    });
    until.copied().collect()
}

impl Search<'_> {
    fn size(&self) -> Size {
        size(&self.best, self.acts.len())
    }

    /// A stage is over for the first time; it is told of if it made a difference.
    fn stage(&mut self, name: &'static str) {
        let size = self.size();
        let is_same = self.stages.last().is_some_and(|(_, before)| *before == size);
        if !is_same && self.stages.iter().all(|(known, _)| *known != name) {
            self.stages.push((name, size));
        }
    }

    fn is_spent(&self) -> bool {
        self.runs >= MOST_RUNS || self.steps >= MOST_STEPS
    }

    /// Polls after which a candidate is given up: one that does not fail may go on for long.
    fn limit(&self) -> u64 {
        2 * self.best.seen.schedule.len() as u64 + 100
    }

    fn run(&mut self, acts: Vec<Act>, left_out: Vec<usize>) -> Trial {
        let (plan, max_steps) = (Plan::Acts(acts), Some(self.limit()));
        let trial = (self.trials)(Wanted { plan, capture: false, max_steps, left_out });
        self.runs += 1;
        self.steps += trial.seen.schedule.len() as u64;
        trial
    }

    /// Leaves out the faults that the failure does not need, each alone; true if there was one.
    fn drop_faults(&mut self) -> bool {
        let before = self.left_out.len();
        for fault in self.faults.clone() {
            if self.left_out.contains(&fault) || self.is_spent() {
                continue;
            }
            let mut left_out = self.left_out.clone();
            left_out.push(fault);
            let trial = self.run(self.acts.clone(), left_out.clone());
            if trial.failure.as_ref() == Some(&self.failure) {
                self.left_out = left_out;
                // Other instructions may be in vain now.
                self.acts.clone_from(&trial.seen.used);
                self.best = trial;
            }
        }
        self.left_out.len() > before
    }

    /// Leaves out tasks, several at a time and then each, and of those that are needed the last rounds, as far as a schedule can
    /// do that; true if one was.
    fn drop_tasks(&mut self) -> bool {
        let most = self.steps.saturating_add(MOST_STEPS_OF_TASKS);
        let all: Vec<TaskId> = self.polls_of_tasks().into_keys().collect();
        let mut any = false;
        let mut length = all.len();
        while length > 0 {
            for some in all.chunks(length) {
                let polls = self.polls_of_tasks();
                let there: Vec<TaskId> =
                    some.iter().filter(|task| polls.contains_key(task)).copied().collect();
                if there.is_empty() || self.steps >= most {
                    continue;
                }
                if self.hold(&there, 0) {
                    any = true;
                    continue;
                }
                if let ([task], 1) = (&there[..], length) {
                    // As few rounds as will do, if fewer always do where more do.
                    let (mut too_few, mut enough) = (0, polls[task]);
                    while enough - too_few > 1 && self.steps < most {
                        let between = too_few + (enough - too_few) / 2;
                        if self.hold(&there, between) {
                            (any, enough) = (true, between);
                        } else {
                            too_few = between;
                        }
                    }
                }
            }
            length /= 2;
        }
        any
    }

    /// Holds these tasks back after so many polls, in place of what else was said of them; true if that is enough.
    fn hold(&mut self, tasks: &[TaskId], polls: u32) -> bool {
        let mut acts: Vec<Act> = tasks.iter().map(|task| Act::Hold(*task, polls)).collect();
        let is_other = |act: &&Act| !matches!(act, Act::Hold(task, _) if tasks.contains(task));
        acts.extend(self.acts.iter().filter(is_other));
        self.attempt(acts, false)
    }

    /// How often each task is polled until the failure.
    fn polls_of_tasks(&self) -> BTreeMap<TaskId, u32> {
        let mut polls = BTreeMap::new();
        for task in &self.best.seen.schedule[..self.best.failed_at] {
            *polls.entry(*task).or_insert(0) += 1;
        }
        polls
    }

    /// Runs the instructions; keeps them if they fail in the same way and no later. `fewer_switches`
    /// asks for that in place of fewer instructions.
    fn attempt(&mut self, acts: Vec<Act>, fewer_switches: bool) -> bool {
        if self.is_spent() {
            return false;
        }
        let trial = self.run(acts, self.left_out.clone());
        if trial.failure.as_ref() != Some(&self.failure) || trial.failed_at > self.best.failed_at {
            return false;
        }
        let used = trial.seen.used.len();
        let better = if fewer_switches {
            switches(&trial) < switches(&self.best)
        } else {
            used < self.acts.len() || trial.failed_at < self.best.failed_at
        };
        if better {
            self.acts.clone_from(&trial.seen.used);
            self.best = trial;
        }
        better
    }

    /// Leaves out instructions until no single one can be; false when time ran out before.
    fn leave_out(&mut self) -> bool {
        let mut pieces = 2;
        while !self.acts.is_empty() {
            let length = self.acts.len().div_ceil(pieces);
            let mut found = false;
            let mut start = 0;
            while start < self.acts.len() {
                let end = (start + length).min(self.acts.len());
                let rest = [&self.acts[..start], &self.acts[end..]].concat();
                if self.attempt(rest, false) {
                    found = true;
                } else {
                    start = end;
                }
            }
            if self.is_spent() {
                return false;
            }
            match (found, length) {
                (false, 1) => return true,
                // Once more, as what could not go before may go now.
                (true, 1) => {}
                _ => pieces = (pieces * 2).min(self.acts.len().max(2)),
            }
        }
        true
    }

    /// Leaves out instructions once more, from all that make up what is left: fewer others may do. True if they do, with no more
    /// switches of task.
    fn leave_out_anew(&mut self) -> bool {
        if self.best.failed_at > LONGEST_STRAIGHTENED || self.acts.is_empty() || self.is_spent() {
            return false;
        }
        let before = (self.acts.clone(), self.size());
        let all = polls_until(&acts_of(&self.best), self.best.failed_at);
        let trial = self.run(all, self.left_out.clone());
        if trial.failure.as_ref() == Some(&self.failure) && trial.failed_at <= self.best.failed_at {
            self.acts.clone_from(&trial.seen.used);
            self.best = trial;
            self.leave_out();
        }
        let (Size { steps, switches, forced }, now) = (before.1, self.size());
        let is_fewer = now.forced < forced || now.steps < steps;
        if is_fewer && now.steps <= steps && now.switches <= switches {
            return true;
        }
        let trial = self.run(before.0, self.left_out.clone());
        self.acts.clone_from(&trial.seen.used);
        self.best = trial;
        false
    }

    /// Takes the equivalent order with the fewest switches of task; true if it has fewer.
    fn straighten(&mut self) -> bool {
        if self.best.failed_at > LONGEST_STRAIGHTENED || switches(&self.best) == 0 {
            return false;
        }
        let (plan, left_out) = (Plan::Acts(self.acts.clone()), self.left_out.clone());
        let max_steps = Some(self.limit());
        let trial = (self.trials)(Wanted { plan, capture: true, max_steps, left_out });
        self.runs += 1;
        let trace = trial.trace.as_deref().unwrap_or_default();
        let Ok(trace) = Trace::parse(trace, &Limits::default()) else { return false };
        let mut steps = trace.steps();
        let polls = |steps: &[Step]| {
            let tasks = steps.iter().enumerate().filter_map(|(at, step)| match step.actor {
                Actor::Task(task) => Some((at, task)),
                Actor::Clock => Some((at, Actor::TIME)),
                _ => None,
            });
            tasks.collect::<Vec<_>>()
        };
        let before = polls(&steps);
        if let Some((end, _)) = before.get(self.best.failed_at) {
            steps.truncate(*end);
        }
        let found = geodesic(&steps, Effort::default());
        let order: Vec<Step> = found.order.into_iter().map(|at| steps[at].clone()).collect();
        let mut acts: Vec<Act> = polls(&order).into_iter().map(|(_, t)| Act::Poll(t)).collect();
        // Everything is ordered with the cancellation, so as many polls are before it as were.
        if let Some(step) = self.best.cancel_at {
            acts.insert((step as usize).min(acts.len()), Act::Cancel);
        }
        self.attempt(acts, true)
    }

    /// Exchanges neighbouring stretches so that a task's polls come together. True if one was.
    fn exchange(&mut self) -> bool {
        let mut any = false;
        let mut at = 0;
        loop {
            let schedule = &self.best.seen.schedule[..self.best.failed_at];
            let stretches: Vec<_> = schedule.chunk_by(|a, b| a == b).collect();
            let Some(pair) = stretches.get(at..at + 2) else { return any };
            let mut order: Vec<_> = stretches[..at].concat();
            order.extend(pair[1]);
            order.extend(pair[0]);
            order.extend(stretches[at + 2..].concat());
            let mut acts: Vec<Act> = order.into_iter().map(Act::Poll).collect();
            if let Some(step) = self.best.cancel_at {
                acts.insert((step as usize).min(acts.len()), Act::Cancel);
            }
            if self.attempt(acts, true) {
                any = true;
            } else {
                at += 1;
            }
            if self.is_spent() {
                return any;
            }
        }
    }
}

#[cfg(test)]
mod tests;
