//! A run after a script: the strategy that shrinking and replaying need.

use crate::explore::{Guide, History, RacePair};
use crate::strategy::{Blocked, Choice, Footprint, Strategy};
use asupersync_core::TaskId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Poll this task, or let time pass, or skip the instruction if that cannot be done now.
    Poll(TaskId),
    /// Cancel the root region.
    Cancel,
    /// From here on, once this task has been polled so often, choose it only where nothing else can run: the rest of
    /// it falls behind whatever does not wait for it.
    Hold(TaskId, u32),
}

/// What is wanted of a run.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// These instructions, then the default order: stay with a task while it can run, then take the one
    /// that has been runnable for longest.
    Acts(Vec<Act>),
    /// These positions, wherever there is a choice, and a cancellation before this step.
    Exact { choices: Vec<u32>, cancel_at: Option<u64> },
    /// Whatever comes next in an exploration. The same one for all runs of one body.
    Guided(Guide),
}

/// What the script saw of its run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The tasks in the order of their polls.
    pub(crate) schedule: Vec<TaskId>,
    /// The instructions that were not skipped.
    pub(crate) used: Vec<Act>,
    blocked: Vec<Blocked>,
    history: History,
}

impl Seen {
    /// The polls that the last of the first `count` depends on, and itself.
    pub(crate) fn past(&mut self, count: usize) -> Vec<usize> {
        self.history.past(count)
    }

    /// Pairs of polls that could come in the other order.
    pub(crate) fn races(&mut self) -> Vec<RacePair> {
        let Seen { history, blocked, .. } = self;
        history.race_pairs(blocked)
    }
}

#[derive(Debug)]
struct State {
    plan: Plan,
    next: usize,
    /// Who acts now.
    acting: Option<TaskId>,
    /// The task that acted last.
    last: Option<TaskId>,
    /// Polls after which these tasks are held back.
    held: BTreeMap<TaskId, u32>,
    is_over: bool,
    seen: Seen,
}

/// The strategy; its clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Script(Arc<Mutex<State>>);

impl Script {
    pub(crate) fn new() -> Script {
        Script(Arc::new(Mutex::new(State {
            plan: Plan::Acts(Vec::new()),
            next: 0,
            acting: None,
            last: None,
            held: BTreeMap::new(),
            is_over: false,
            seen: Seen::default(),
        })))
    }

    pub(crate) fn load(&self, plan: Plan) {
        self.0.lock().plan = plan;
    }

    pub(crate) fn take_seen(&self) -> Seen {
        std::mem::take(&mut self.0.lock().seen)
    }
}

impl State {
    fn took(&mut self, task: TaskId) {
        self.acting = Some(task);
        // Time passes once, and not for as long as it can.
        if task != Choice::TIME {
            self.last = Some(task);
        }
        if let Some(polls) = self.held.get_mut(&task) {
            *polls = polls.saturating_sub(1);
        }
        if !self.is_over {
            self.seen.schedule.push(task);
        }
    }

    /// Follows the default order, among all or among those that are not held back.
    fn fall_back(&self, enabled: &[Choice], all: bool) -> usize {
        let last = self.last;
        let free = || enabled.iter().enumerate().filter(|(_, c)| all || !self.holds(c.task));
        let stay = free().find(|(_, choice)| Some(choice.task) == last);
        let chosen = stay.or_else(|| free().min_by_key(|(_, choice)| choice.since));
        chosen.map_or(0, |(index, _)| index)
    }

    fn holds(&self, task: TaskId) -> bool {
        self.held.get(&task) == Some(&0)
    }

    /// Takes the instructions that are no choices.
    fn hold(&mut self) {
        while let Plan::Acts(acts) = &self.plan {
            let Some(Act::Hold(task, polls)) = acts.get(self.next) else { return };
            self.held.insert(*task, *polls);
            self.seen.used.push(Act::Hold(*task, *polls));
            self.next += 1;
        }
    }
}

impl Strategy for Script {
    fn begin(&mut self, _seed: u64) {
        let mut state = self.0.lock();
        state.next = 0;
        state.acting = None;
        state.last = None;
        state.held.clear();
        state.is_over = false;
        state.seen = Seen::default();
        state.hold();
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        let mut state = self.0.lock();
        let state = &mut *state;
        // Where all are held back, none is.
        let all = state.held.is_empty() || enabled.iter().all(|c| state.holds(c.task));
        let mut index = None;
        match &state.plan {
            // The choices of the teardown are in the list too.
            Plan::Exact { choices, .. } => {
                index = choices.get(state.next).map(|index| *index as usize);
                state.next += 1;
            }
            Plan::Acts(_) if state.is_over => {}
            Plan::Guided(_) => {}
            Plan::Acts(acts) => {
                while let Some(Act::Poll(task)) = acts.get(state.next) {
                    state.next += 1;
                    let there = |c: &Choice| c.task == *task && (all || !state.holds(*task));
                    index = enabled.iter().position(there);
                    if index.is_some() {
                        state.seen.used.push(Act::Poll(*task));
                        break;
                    }
                }
            }
        }
        let index = index.unwrap_or_else(|| state.fall_back(enabled, all));
        // A position beyond the end is a divergence, in which the first is taken.
        let taken = enabled.get(index).unwrap_or(&enabled[0]).task;
        state.took(taken);
        index
    }

    fn alone(&mut self, only: &Choice) {
        let mut state = self.0.lock();
        let state = &mut *state;
        if let Plan::Acts(acts) = &state.plan {
            if acts.get(state.next) == Some(&Act::Poll(only.task)) && !state.is_over {
                state.next += 1;
                state.seen.used.push(Act::Poll(only.task));
            }
        }
        state.took(only.task);
    }

    fn cancels(&mut self) -> bool {
        let mut state = self.0.lock();
        if state.is_over {
            return false;
        }
        let steps = state.seen.schedule.len() as u64;
        let due = match &state.plan {
            Plan::Acts(acts) => acts.get(state.next) == Some(&Act::Cancel),
            // Asked again before the same step, it has been done.
            Plan::Exact { cancel_at, .. } => {
                *cancel_at == Some(steps) && state.seen.used.is_empty()
            }
            Plan::Guided(_) => false,
        };
        if due {
            state.next += usize::from(matches!(state.plan, Plan::Acts(_)));
            state.seen.used.push(Act::Cancel);
        }
        due
    }

    fn watches(&self) -> bool {
        true
    }

    fn stepped(&mut self, footprint: &mut Footprint) {
        let mut state = self.0.lock();
        let state = &mut *state;
        if let (Some(task), false) = (state.acting, state.is_over) {
            state.seen.history.push(task, footprint);
        }
    }

    fn ended(&mut self, blocked: &[Blocked]) {
        let mut state = self.0.lock();
        state.is_over = true;
        state.held.clear();
        state.seen.blocked = blocked.to_vec();
    }
}
