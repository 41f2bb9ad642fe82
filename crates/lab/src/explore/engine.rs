//! The tree of runs, walked depth first.

mod review;

use super::Method;
use super::closing::keeps_closes;
use super::foresight::Forecast;
use super::history::{History, Plan, Race, Sequence};
use super::label::{Label, Shared};
use super::tree::{self, Asked, Branch};
use crate::strategy::{Blocked, Choice, Footprint};
use asupersync_core::{SplitMix64, TaskId};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;

/// The state before a poll.
#[derive(Clone)]
struct Node {
    /// Whose poll the branch being run is.
    task: TaskId,
    /// That poll, once it has been run.
    label: Option<Shared>,
    /// Set where the branch reverses a race: the task that came first before.
    reversed: Option<TaskId>,
    /// What could be chosen.
    enabled: SmallVec<[TaskId; 6]>,
    /// Polls from here after which everything has been run.
    sleep: Vec<Shared>,
    /// Branches still to be run.
    wakeup: Vec<Branch>,
    /// What was left to the branch being run or was not, as far as that relies on what its poll touches.
    asked: Vec<Asked>,
    /// What was expected of polls that were to be moved here, as long as it is not known to be so.
    forecasts: Vec<Forecast>,
    /// All that can be chosen is tried.
    tries_all: bool,
    /// What the choices before cost, of the bounded methods.
    spent: u32,
}

/// Where an engine is between two runs.
pub(super) type Seat = Arc<Mutex<Option<Box<Engine>>>>;

pub(super) struct Engine {
    method: Method,
    order: u64,
    /// The first run's choices, as far as they are given.
    way: Vec<TaskId>,
    nodes: Vec<Node>,
    /// Of so many of the nodes only the branch being run is this engine's.
    shared: usize,
    /// The branches below the last node's branch.
    carried: Vec<Branch>,
    /// What the last node's branch, if it is a leaf, has absorbed.
    absorbed: Vec<Branch>,
    /// Something was planned of which it is not certain what it touches.
    guesses: bool,
    /// Some poll did several things, of which it may do others when it is moved: what is left to branches is kept.
    compound: bool,
    /// What was left to a branch may not have been kept.
    forgets: bool,
    /// The first such poll came after that.
    forgot: bool,
    /// Some poll may touch something else when it is moved.
    uncertain: bool,
    history: History,
    blocked_tasks: Vec<Blocked>,
    chosen: Option<TaskId>,
    /// The next poll is that of the node with this number.
    depth: usize,
    is_blocked: bool,
    /// A choice was left out because it cost too much.
    is_cut: bool,
}

impl Engine {
    pub(super) fn new(method: Method, order: u64) -> Engine {
        Engine {
            method,
            order,
            way: Vec::new(),
            nodes: Vec::new(),
            shared: 0,
            carried: Vec::new(),
            absorbed: Vec::new(),
            guesses: false,
            compound: false,
            forgets: false,
            forgot: false,
            uncertain: false,
            history: History::default(),
            blocked_tasks: Vec::new(),
            chosen: None,
            depth: 0,
            is_blocked: false,
            is_cut: false,
        }
    }

    /// An exploration whose first run makes these choices. What begins with the first so many of them has been
    /// run as soon as [`kept`](Engine::kept) is less: nothing sleeps on the way of a first run.
    pub(super) fn along(method: Method, way: &[TaskId]) -> Engine {
        Engine { way: way.to_vec(), ..Engine::new(method, 0) }
    }

    /// It keeps all that is left to branches from the beginning.
    pub(super) fn keeping(self) -> Engine {
        Engine { compound: true, ..self }
    }

    /// To lose no class it has to be begun anew, and to [keep](Engine::keeping) what is left to branches.
    pub(super) fn forgot(&self) -> bool {
        self.forgot
    }

    pub(super) fn seated(self) -> Seat {
        Arc::new(Mutex::new(Some(Box::new(self))))
    }

    /// So many choices the next run has in common with the one before.
    pub(super) fn kept(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    /// Leaves the other branches of the first node that has any to another engine. None if there is none, or if the method
    /// learns from one branch what is to be run of the next.
    pub(super) fn split(&mut self) -> Option<Engine> {
        if let Method::Optimal | Method::SleepSets = self.method {
            return None;
        }
        // The last node's branch is still to be run.
        let last = self.nodes.len().saturating_sub(1);
        (self.shared..last).find_map(|at| {
            let (nodes, shared) = (self.nodes[..=at].to_vec(), at);
            let mut other = Engine { nodes, shared, ..Engine::new(self.method, self.order) };
            let is_some = other.next();
            self.is_cut |= other.is_cut;
            self.shared = at + 1;
            is_some.then_some(other)
        })
    }

    /// Whether orders were left out for their cost.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) fn begin(&mut self) {
        // What comes before the branch is as it was.
        let known = self.nodes.len().saturating_sub(1);
        self.history.truncate(known);
        self.blocked_tasks.clear();
        self.chosen = None;
        self.depth = 0;
        self.is_blocked = false;
    }

    /// Polls that are as they were in the run before.
    pub(super) fn knows(&self) -> u64 {
        self.history.polls.len() as u64
    }

    /// Whether the run was given up because only what had been run already could follow.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    pub(super) fn schedule(&self) -> Vec<TaskId> {
        self.history.polls.iter().map(|label| label.task).collect()
    }

    /// The poll that the last reversal moved, and the task it moved ahead of.
    pub(super) fn reversed(&self) -> Option<(usize, TaskId)> {
        let first = self.nodes.iter().rposition(|node| node.reversed.is_some())?;
        let task = self.nodes[first].reversed?;
        Some((first, task))
    }

    pub(super) fn choose(&mut self, enabled: &[Choice]) -> usize {
        if self.is_blocked {
            return first(enabled);
        }
        if let Some(node) = self.nodes.get(self.depth) {
            let task = node.task;
            return match enabled.iter().position(|choice| choice.task == task) {
                Some(index) => {
                    self.chosen = Some(task);
                    index
                }
                None => {
                    // A step that was moved turned out otherwise than foreseen.
                    self.is_blocked = true;
                    0
                }
            };
        }
        if let Method::Preemptions(_) | Method::Delays(_) = self.method {
            return self.choose_cheapest(enabled);
        }
        let mut sleep = match self.nodes.last() {
            Some(Node { sleep, label: Some(label), .. }) => awake(sleep, label),
            _ => Vec::new(),
        };
        if self.method == Method::Naive {
            sleep.clear();
        }
        self.wake_ends(&mut sleep);
        let sleeps = |task: TaskId| sleep.iter().any(|label| label.task == task);
        let is_enabled = |task: TaskId| enabled.iter().any(|choice| choice.task == task);
        let absorbed = std::mem::take(&mut self.absorbed);
        let mut wakeup: Vec<Branch> = std::mem::take(&mut self.carried);
        if wakeup.is_empty() && !sleep.is_empty() {
            wakeup = absorbed;
        }
        wakeup.retain(|branch| !sleeps(branch.label.task) && is_enabled(branch.label.task));
        let (mut reversed, mut asked, mut label) = (None, Vec::new(), None);
        let given = self.way.get(self.nodes.len()).copied().filter(|task| is_enabled(*task));
        let task = if wakeup.is_empty() {
            let awake = enabled.iter().map(|choice| choice.task).filter(|task| !sleeps(*task));
            match given.or_else(|| least(awake, self.order)) {
                Some(task) => task,
                None => {
                    self.is_blocked = true;
                    return 0;
                }
            }
        } else {
            let branch = wakeup.remove(0);
            self.carried = branch.children;
            self.absorbed = branch.absorbed;
            asked = branch.asked;
            reversed = branch.reversed;
            label = Some(branch.label.clone());
            branch.label.task
        };
        let enabled_tasks = enabled.iter().map(|c| c.task).collect();
        let (enabled_here, spent) = (enabled_tasks, 0);
        self.nodes.push(Node {
            task,
            label,
            reversed,
            enabled: enabled_here,
            sleep,
            wakeup,
            asked,
            forecasts: Vec::new(),
            tries_all: false,
            spent,
        });
        self.chosen = Some(task);
        enabled.iter().position(|choice| choice.task == task).unwrap_or(0)
    }

    /// Wakes those that the last poll keeps from sleeping on because, with them first, a region would have closed before it.
    fn wake_ends(&self, sleep: &mut Vec<Shared>) {
        let last = self.nodes.last().and_then(|node| node.label.as_ref());
        if sleep.is_empty() || !last.is_some_and(|label| self.history.closing.concerns(label)) {
            return;
        }
        sleep.retain(|label| {
            let sleeps = |node: &Node| node.sleep.iter().any(|other| other.task == label.task);
            let from = self.nodes.iter().rposition(|node| !sleeps(node)).map_or(0, |at| at + 1);
            let since = &self.history.polls[from..self.depth];
            !label.is_end() || keeps_closes(label, since, &self.history.imminent(from, since))
        });
    }

    /// The order that costs nothing: stay with a task while it can run, and let time pass when none can. What could
    /// be chosen stands in the node in this order, the chosen one first.
    fn choose_cheapest(&mut self, enabled: &[Choice]) -> usize {
        let last = last_task(&self.nodes);
        let mut tasks: SmallVec<[TaskId; 6]> = enabled.iter().map(|choice| choice.task).collect();
        tasks.sort_by_key(|task| {
            let (is_time, differs) = (*task == Choice::TIME, Some(*task) != last);
            (is_time, differs, SplitMix64::mix(task.to_bits() ^ self.order))
        });
        let task = tasks[0];
        let spent = self.nodes.last().map_or(0, |node| node.spent);
        let (label, reversed, sleep, wakeup) = (None, None, Vec::new(), Vec::new());
        let asked = Vec::new();
        self.nodes.push(Node {
            task,
            label,
            reversed,
            enabled: tasks,
            sleep,
            wakeup,
            asked,
            forecasts: Vec::new(),
            tries_all: false,
            spent,
        });
        self.chosen = Some(task);
        enabled.iter().position(|choice| choice.task == task).unwrap_or(0)
    }

    /// Moves the last node on to its next choice that is not too dear.
    fn next_affordable(&mut self) -> bool {
        while self.nodes.len() > self.shared {
            let Some((node, before)) = self.nodes.split_last_mut() else { break };
            let last = last_task(before);
            let spent = before.last().map_or(0, |node| node.spent);
            let at = node.enabled.iter().position(|task| *task == node.task);
            let next = at.map_or(0, |at| at + 1);
            for (at, task) in node.enabled.iter().enumerate().skip(next) {
                let (cost, most) = match self.method {
                    // Time passes early: every task is kept waiting.
                    Method::Preemptions(most) | Method::Delays(most) if *task == Choice::TIME => {
                        (1, most)
                    }
                    // To leave a task that could go on.
                    Method::Preemptions(most) => {
                        (u32::from(node.enabled.first().copied() == last), most)
                    }
                    Method::Delays(most) => (at as u32, most),
                    _ => (0, u32::MAX),
                };
                if spent.saturating_add(cost) <= most {
                    node.spent = spent + cost;
                    node.task = *task;
                    node.label = None;
                    return true;
                }
                self.is_cut = true;
            }
            self.nodes.pop();
        }
        false
    }

    pub(super) fn stepped(&mut self, footprint: &mut Footprint) {
        if self.is_blocked {
            return;
        }
        let Some(task) = self.chosen.take() else { return };
        if self.depth < self.history.polls.len() {
            self.depth += 1;
            return;
        }
        self.uncertain |= footprint.foreign || footprint.tentative || !footprint.cancels.is_empty();
        let label = self.history.push(task, footprint);
        if label.is_compound() && !self.compound {
            self.compound = true;
            self.forgot = self.forgets;
        }
        let keeps = self.guesses || self.compound;
        let node = &mut self.nodes[self.depth];
        for Asked { sequence, imminent, first, covered } in std::mem::take(&mut node.asked) {
            match tree::after(&label, &sequence, &imminent) {
                None if covered => {
                    let closes = || imminent.clone();
                    let covers = |label: &Shared| tree::covers(label, &sequence, closes);
                    if !node.sleep.iter().any(covers) {
                        let mut sequence = tree::sequence(&sequence);
                        tree::insert(&mut node.wakeup, &mut sequence, &imminent, first, keeps);
                    }
                }
                Some(mut rest) if !covered => {
                    let below = match self.carried.is_empty() {
                        true => &mut self.absorbed,
                        false => &mut self.carried,
                    };
                    tree::insert(below, &mut rest, &imminent, first, keeps);
                }
                _ => {}
            }
        }
        node.label = Some(label);
        self.depth += 1;
    }

    pub(super) fn ended(&mut self, blocked: &[Blocked]) {
        self.blocked_tasks = blocked.to_vec();
    }

    /// Learns from the run and moves on to the next; false when there is none.
    pub(super) fn advance(&mut self) -> bool {
        self.way.clear();
        if self.method == Method::Optimal {
            if self.uncertain {
                self.history.learn();
            }
            if !self.is_blocked {
                self.plan();
            }
        }
        self.next()
    }

    /// Moves on to the next branch; false when there is none.
    fn next(&mut self) -> bool {
        self.carried.clear();
        self.absorbed.clear();
        if let Method::Preemptions(_) | Method::Delays(_) = self.method {
            return self.next_affordable();
        }
        // A branch that could not be taken is not one that has been run.
        let mut is_run = self.depth >= self.nodes.len();
        while self.nodes.len() > self.shared {
            let Some(node) = self.nodes.last_mut() else { break };
            let (done, ran) = (node.task, std::mem::replace(&mut is_run, true));
            let asleep = |sleep: &[Shared], task| {
                (ran && task == done) || sleep.iter().any(|label| label.task == task)
            };
            let mut is_asleep = !ran;
            let mut sleeps = |node: &mut Node| {
                let label = node.label.take().unwrap_or_else(|| Label::unknown(done));
                if !std::mem::replace(&mut is_asleep, true) {
                    node.sleep.push(label);
                }
            };
            match self.method {
                Method::Optimal => {
                    node.wakeup.retain(|branch| !asleep(&node.sleep, branch.label.task));
                    if node.wakeup.is_empty() && (self.guesses || self.history.closing.is_foreign) {
                        sleeps(node);
                        self.review();
                    }
                    let Some(node) = self.nodes.last_mut() else { break };
                    let wakeup = &mut node.wakeup;
                    if !wakeup.is_empty() {
                        let branch = wakeup.remove(0);
                        sleeps(node);
                        node.task = branch.label.task;
                        node.label = Some(branch.label);
                        node.reversed = branch.reversed;
                        self.carried = branch.children;
                        self.absorbed = branch.absorbed;
                        node.asked = branch.asked;
                        return true;
                    }
                }
                _ => {
                    let next = match self.method {
                        Method::SleepSets => {
                            node.enabled.iter().find(|task| !asleep(&node.sleep, **task))
                        }
                        _ => {
                            node.enabled.retain(|task| *task != done);
                            node.enabled.first()
                        }
                    };
                    if let Some(task) = next.copied() {
                        if self.method == Method::SleepSets {
                            sleeps(node);
                        }
                        node.task = task;
                        node.label = None;
                        return true;
                    }
                }
            }
            self.nodes.pop();
        }
        false
    }

    /// Plans the reversal of every race that is not covered yet.
    fn plan(&mut self) {
        let Engine { history, nodes, blocked_tasks, guesses, compound, forgets, .. } = self;
        let compound = *compound;
        history.races(blocked_tasks, &mut Nodes { nodes, guesses, compound, forgets });
    }
}

/// The states on a run's way, as what is planned.
struct Nodes<'a> {
    nodes: &'a mut [Node],
    guesses: &'a mut bool,
    compound: bool,
    forgets: &'a mut bool,
}

impl Plan for Nodes<'_> {
    fn sleeping(&self, poll: usize) -> &[Shared] {
        &self.nodes[poll].sleep
    }

    fn add(&mut self, race: Race<'_>, sequence: &mut Sequence<'_>) {
        *self.guesses |=
            race.forecast.is_some() || sequence.last().is_some_and(|label| label.is_guess());
        let node = &mut self.nodes[race.first];
        if let Some(forecast) = race.forecast {
            if node.forecasts.iter().all(|other| other.id != forecast.id) {
                node.forecasts.push(*forecast);
            }
        }
        let imminent = || race.history.imminent(race.first, sequence);
        let covered = |label: &Shared| tree::covers(label, sequence, imminent);
        if !node.label.iter().chain(&node.sleep).any(covered) {
            let imminent = imminent();
            let keeps = *self.guesses || self.compound;
            *self.forgets |= !keeps;
            tree::insert(&mut node.wakeup, sequence, &imminent, node.task, keeps);
        }
    }
}

/// The first in the first order.
pub(super) fn first(enabled: &[Choice]) -> usize {
    let task = least(enabled.iter().map(|choice| choice.task), 0);
    enabled.iter().position(|choice| Some(choice.task) == task).unwrap_or(0)
}

/// The first in this order. In the first one time passes when nothing else can happen, as it does where it does not race.
fn least(tasks: impl Iterator<Item = TaskId>, order: u64) -> Option<TaskId> {
    tasks.min_by_key(|task| {
        (order == 0 && *task == Choice::TIME, SplitMix64::mix(task.to_bits() ^ order))
    })
}

/// The task that was polled last.
fn last_task(nodes: &[Node]) -> Option<TaskId> {
    nodes.iter().map(|node| node.task).rfind(|task| *task != Choice::TIME)
}

/// What still sleeps after a step.
fn awake(sleep: &[Shared], step: &Shared) -> Vec<Shared> {
    sleep.iter().filter(|label| !label.dependent(step) && !step.dependent(label)).cloned().collect()
}
