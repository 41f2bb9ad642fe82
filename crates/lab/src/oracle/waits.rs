//! Why nothing can run: who waits for whom, as far as the events tell.
//!
//! A task waits for an object: the last one it touched before it parked. The object is held by the tasks
//! with an unsettled obligation on it; where nobody holds it, whoever touched it and still lives may be
//! the one to move it on. Waits on the way to each other form a cycle; an object that nobody holds and
//! nobody can move on has lost a wake-up, or it was handed to another wait of a task that does not poll that
//! wait any more.

use super::tree::{Tree, site_text};
use super::{Ending, Findings, Invariant, Oracle, kinds};
use crate::strategy::Blocked;
use asupersync_core::{Event, ObjectId, RegionSnapshot, TaskId};
use asupersync_trace::{IdMap, IdSet};

/// Waits of the kernel's own, for descendants to end, or for a turn: never the cause.
const NEVER_THE_CAUSE: [&str; 4] = ["join", "spawn_blocking", "yield_now", "region"];

/// What is wrong with a run that stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Knot {
    /// These tasks wait for each other.
    Cycle(String),
    /// This task's wake-up will not come.
    Lost(String),
    /// This task waits for what one of its own waits was given.
    Futurelock(String),
}

/// A wait in a run that stands still.
#[derive(Debug)]
struct Stuck {
    task: TaskId,
    text: String,
    object: Option<ObjectId>,
    label: &'static str,
    /// Counted in parkings.
    since: u64,
}

fn collect(region: &RegionSnapshot, tree: &Tree, stuck: &mut Vec<Stuck>) {
    for task in &region.tasks {
        let facts = tree.tasks.get(&task.id);
        for wait in &task.waits {
            let known = facts.and_then(|facts| {
                facts.waits.iter().rfind(|w| w.label == wait.label && w.site == wait.site)
            });
            stuck.push(Stuck {
                task: task.id,
                text: format!("{} at {}", wait.label, site_text(wait.site)),
                object: known.and_then(|known| known.object),
                label: wait.label,
                since: known.map_or(0, |known| known.since),
            });
        }
    }
    for child in &region.regions {
        collect(child, tree, stuck);
    }
}

/// What keeps the tasks of this tree from going on.
pub(super) fn knots(snapshot: &RegionSnapshot, blocked: &[Blocked], tree: &Tree) -> Vec<Knot> {
    let mut stuck = Vec::new();
    collect(snapshot, tree, &mut stuck);
    for Blocked { task, object } in blocked {
        stuck.push(Stuck {
            task: *task,
            text: tree.label_of(*object).to_owned(),
            object: Some(*object),
            label: "",
            since: u64::MAX,
        });
    }
    stuck.retain(|wait| !NEVER_THE_CAUSE.contains(&wait.label));
    stuck.sort_by_key(|wait| (wait.since, wait.task));

    let mut knots = Vec::new();
    let mut edges: IdMap<TaskId, Vec<(TaskId, String)>> = IdMap::default();
    let mut order = Vec::new();
    let waiting: IdSet<TaskId> = stuck.iter().map(|wait| wait.task).collect();
    let mut lost = Vec::new();
    for wait in &stuck {
        let Some(object) = wait.object else { continue };
        let name = tree.label_of(object);
        let waiter = tree.task_text(wait.task);
        let mut next: Vec<(TaskId, String)> = Vec::new();
        let mut held: Vec<_> =
            tree.obligations.iter().filter(|(_, o)| o.object == Some(object)).collect();
        held.sort_unstable_by_key(|(id, _)| **id);
        for (id, obligation) in held {
            let text = format!("{waiter} waits in {} for {}", wait.text, tree.obligation_text(*id));
            next.push((obligation.task, text));
        }
        if next.is_empty() {
            // First come, first served: what nobody holds was given to the oldest wait.
            let given = stuck.iter().find(|other| other.object == Some(object));
            if let Some(given) = given.filter(|given| given.since < wait.since) {
                if given.task == wait.task && is_granted(tree, given.task) {
                    knots.push(Knot::Futurelock(format!(
                        "{waiter} waits in {} for {name} {object}, which was handed to a future of its \
                         own, waiting in {}, that it does not poll any more",
                        wait.text, given.text
                    )));
                    continue;
                }
            }
            for toucher in tree.touched.get(&object).map_or(&[][..], |(_, tasks)| tasks) {
                let waits_too =
                    stuck.iter().any(|w| w.task == *toucher && w.object == Some(object));
                if waits_too || !waiting.contains(toucher) || *toucher == wait.task {
                    continue;
                }
                let other = tree.task_text(*toucher);
                let text = format!(
                    "{waiter} waits in {} for {other} to move {name} {object} on",
                    wait.text
                );
                next.push((*toucher, text));
            }
        }
        if next.is_empty() {
            lost.push((wait.task, format!(
                "{waiter} waits in {} for {name} {object}, which nobody holds and nobody is left to move \
                 on: its wake-up was lost, or never sent",
                wait.text
            )));
        }
        order.push(wait.task);
        edges.entry(wait.task).or_default().extend(next);
    }
    for start in order {
        if let Some(cycle) = cycle_from(start, &edges) {
            let known = knots.iter().any(|knot| matches!(knot, Knot::Cycle(_)));
            if !known {
                knots.push(Knot::Cycle(cycle));
            }
        }
    }
    if !knots.iter().any(|knot| matches!(knot, Knot::Futurelock(_))) {
        knots.extend(lost.into_iter().map(|(_, text)| Knot::Lost(text)));
    }
    knots
}

/// Whether something woke the task since it parked first, which it did not take up.
fn is_granted(tree: &Tree, task: TaskId) -> bool {
    tree.tasks.get(&task).is_some_and(|facts| facts.waits.len() > 1)
}

/// A cycle that this task is on, told link by link.
fn cycle_from(start: TaskId, edges: &IdMap<TaskId, Vec<(TaskId, String)>>) -> Option<String> {
    let mut path: Vec<(TaskId, usize)> = vec![(start, 0)];
    let mut seen = IdSet::default();
    seen.insert(start);
    while let Some((task, at)) = path.last_mut() {
        let Some((next, _)) = edges.get(task).and_then(|edges| edges.get(*at)) else {
            path.pop();
            continue;
        };
        *at += 1;
        if *next == start {
            let links: Vec<&str> =
                path.iter().map(|(task, at)| edges[task][at - 1].1.as_str()).collect();
            return Some(links.join("; "));
        }
        if seen.insert(*next) {
            path.push((*next, 0));
        }
    }
    None
}

/// No tasks wait for each other in a circle.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitCycle;

/// No task waits for a wake-up that will not come.
#[derive(Clone, Debug, Default)]
pub(super) struct LostWakeup;

macro_rules! at_standstill {
    ($oracle:ident, $invariant:ident, $knot:ident) => {
        impl Oracle for $oracle {
            const INVARIANT: Invariant = Invariant::$invariant;
            const WANTS: u32 = kinds::PARKED;

            #[cfg_attr(not(debug_assertions), inline(always))]
            fn observe(&mut self, event: &Event<'_>, _tree: &Tree, findings: &mut Findings) {
                if let Event::WaitParked { .. } = event {
                    findings.saw();
                }
            }

            fn end(&mut self, ending: Ending, tree: &Tree, findings: &mut Findings) {
                if ending == Ending::Deadlock {
                    for knot in &tree.knots {
                        if let Knot::$knot(text) = knot {
                            findings.saw();
                            findings.broken(|| text.clone());
                        }
                    }
                }
            }
        }
    };
}

at_standstill!(WaitCycle, WaitCycle, Cycle);
at_standstill!(LostWakeup, LostWakeup, Lost);
