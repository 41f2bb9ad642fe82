//! The tree as it stands: who is there, and what each task waits for.

use crate::cancel::CancelReason;
use crate::id::{RegionId, TaskId};
use crate::obligation::{LeakReport, unsettled};
use crate::primitive::Ordering;
use crate::region::{Region, RegionState};
use crate::task::TaskRef;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A region and everything in it, copied at one moment for each lock: the parts are each consistent, the
/// whole may be a few steps apart on a running multi-threaded host.
#[allow(missing_docs, reason = "the fields are named after what they copy")]
pub struct RegionSnapshot {
    pub id: RegionId,
    pub name: Option<Arc<str>>,
    pub opened_at: &'static Location<'static>,
    pub state: RegionState,
    pub cancel: Option<CancelReason>,
    pub tasks: Vec<TaskSnapshot>,
    /// Duties and leases that are owed before the region closes.
    pub owed: Vec<LeakReport>,
    pub regions: Vec<RegionSnapshot>,
}

/// A task, copied.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are named after what they copy")]
pub struct TaskSnapshot {
    pub id: TaskId,
    pub region: RegionId,
    pub name: Option<Arc<str>>,
    pub spawned_at: &'static Location<'static>,
    /// "runnable", "running", "parked" or "completed".
    pub state: &'static str,
    pub cancel: Option<CancelReason>,
    pub waits: Vec<WaitSnapshot>,
    /// Kind and source line of each abort-class obligation that it took on and nobody settled.
    pub obligations: Vec<(&'static str, &'static Location<'static>)>,
    /// Changes whenever the task enters or leaves a wait: equal in two snapshots, it has not got anywhere
    /// in between.
    pub progress: u64,
}

/// What a parked task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitSnapshot {
    /// The operation, as its crate names it.
    pub label: &'static str,
    /// The line that waits.
    pub site: &'static Location<'static>,
}

/// Builds a tree of snapshots without recursion: trees may be deeper than a stack.
fn grow<N>(top: N, open: impl Fn(&N) -> (RegionSnapshot, Vec<N>)) -> RegionSnapshot {
    let (snapshot, mut children) = open(&top);
    children.reverse();
    let mut path = vec![(snapshot, children)];
    loop {
        let Some((_, waiting)) = path.last_mut() else { unreachable!("the top is popped last") };
        if let Some(child) = waiting.pop() {
            let (snapshot, mut children) = open(&child);
            children.reverse();
            path.push((snapshot, children));
            continue;
        }
        let done = path.pop().map(|(snapshot, _)| snapshot);
        match (path.last_mut(), done) {
            (Some((parent, _)), Some(done)) => parent.regions.push(done),
            (_, Some(done)) => return done,
            (_, None) => unreachable!("the path is not empty here"),
        }
    }
}

impl RegionSnapshot {
    /// Beyond this many levels the drawing indents no further.
    const DRAWN_DEPTH: usize = 64;

    pub(crate) fn of(region: &Arc<Region>) -> RegionSnapshot {
        grow(Arc::clone(region), |region| {
            let (tasks, regions) = region.children();
            let snapshot = RegionSnapshot {
                id: region.id,
                name: region.name.clone(),
                opened_at: region.site,
                state: region.state(),
                cancel: region.cancelled_for(),
                tasks: tasks.iter().map(TaskSnapshot::of).collect(),
                owed: region.owed(),
                regions: Vec::new(),
            };
            (snapshot, regions)
        })
    }

    /// Every task of the tree, outermost region first.
    pub fn all_tasks(&self) -> impl Iterator<Item = &TaskSnapshot> {
        let mut regions = vec![self];
        let mut all = Vec::new();
        while let Some(region) = regions.pop() {
            all.extend(&region.tasks);
            regions.extend(region.regions.iter().rev());
        }
        all.into_iter()
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "region {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " {}", self.state)?;
        if let Some(reason) = &self.cancel {
            write!(f, ", cancelled: {reason}")?;
        }
        writeln!(f)
    }
}

impl Clone for RegionSnapshot {
    fn clone(&self) -> RegionSnapshot {
        grow(self, |snapshot| {
            let copy = RegionSnapshot {
                id: snapshot.id,
                name: snapshot.name.clone(),
                opened_at: snapshot.opened_at,
                state: snapshot.state,
                cancel: snapshot.cancel.clone(),
                tasks: snapshot.tasks.clone(),
                owed: snapshot.owed.clone(),
                regions: Vec::new(),
            };
            (copy, snapshot.regions.iter().collect())
        })
    }
}

impl Drop for RegionSnapshot {
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.regions);
        while let Some(mut region) = pending.pop() {
            pending.append(&mut region.regions);
        }
    }
}

/// Draws the tree, a line each for regions and tasks.
impl fmt::Display for RegionSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Regions still to be drawn: the indent in front of the fork, whether it is the last of its
        // parent's, and how deep it is. The top has no fork.
        let mut pending = vec![(self, String::new(), true, 0_usize)];
        while let Some((region, indent, is_last, depth)) = pending.pop() {
            let inner = if depth == 0 {
                String::new()
            } else {
                write!(f, "{indent}{} ", if is_last { "└─" } else { "├─" })?;
                match depth {
                    1..=Self::DRAWN_DEPTH => {
                        format!("{indent}{}  ", if is_last { " " } else { "│" })
                    }
                    _ => indent,
                }
            };
            if depth > Self::DRAWN_DEPTH {
                write!(f, "[depth {depth}] ")?;
            }
            region.head(f)?;
            let last = region.tasks.len() + region.regions.len();
            for owed in &region.owed {
                writeln!(f, "{inner}{} owed: {owed}", if last == 0 { " " } else { "│" })?;
            }
            for (n, task) in region.tasks.iter().enumerate() {
                let fork = if n + 1 == last { "└─" } else { "├─" };
                writeln!(f, "{inner}{fork} {task}")?;
            }
            let children = region.regions.iter().enumerate().rev();
            pending.extend(children.map(|(n, child)| {
                (child, inner.clone(), n + 1 == region.regions.len(), depth + 1)
            }));
        }
        Ok(())
    }
}

impl fmt::Debug for RegionSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TaskSnapshot {
    fn of(task: &TaskRef) -> TaskSnapshot {
        let header = task.header();
        let obligations =
            unsettled(task).into_iter().map(|(kind, site)| (kind.name(), site)).collect();
        let plain = header.wait.version();
        // A guard inside the struct expression would live to its end, across the next lock.
        let cancel = header.inner.lock().scopes.base.cancel.clone();
        TaskSnapshot {
            id: header.id,
            region: header.region.id,
            name: header.name(),
            spawned_at: header.spawned_at,
            state: header.state.describe(),
            cancel,
            waits: waits_of(task),
            obligations,
            progress: u64::from(header.listed.load(Ordering::Relaxed)) << 32 | u64::from(plain),
        }
    }
}

impl fmt::Display for TaskSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " ({}) {}", self.spawned_at, self.state)?;
        for (n, wait) in self.waits.iter().enumerate() {
            write!(f, "{}{wait}", if n == 0 { " in " } else { ", " })?;
        }
        if let Some(reason) = &self.cancel {
            write!(f, ", cancelled: {reason}")?;
        }
        for (kind, site) in &self.obligations {
            write!(f, ", holds {kind} from {site}")?;
        }
        Ok(())
    }
}

impl fmt::Display for WaitSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.label, self.site)
    }
}

pub(crate) fn waits_of(task: &TaskRef) -> Vec<WaitSnapshot> {
    let header = task.header();
    let plain = header.wait.read().into_iter();
    let inner = header.inner.lock();
    let others = inner.scopes.waits().map(|wait| (wait.label, wait.site));
    plain.chain(others).map(|(label, site)| WaitSnapshot { label, site }).collect()
}
