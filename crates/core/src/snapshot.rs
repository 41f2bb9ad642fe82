//! The tree as it stands: who is there, and what each task waits for.

use crate::cancel::CancelReason;
use crate::id::{RegionId, TaskId};
use crate::obligation::unsettled;
use crate::region::{Region, RegionState};
use crate::task::TaskRef;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A region and everything in it, copied at one moment for each lock: the parts are each consistent, the
/// whole may be a few steps apart on a running multi-threaded host.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are named after what they copy")]
pub struct RegionSnapshot {
    pub id: RegionId,
    pub name: Option<Arc<str>>,
    pub opened_at: &'static Location<'static>,
    pub state: RegionState,
    pub cancel: Option<CancelReason>,
    pub tasks: Vec<TaskSnapshot>,
    pub regions: Vec<RegionSnapshot>,
}

/// A task, copied.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are named after what they copy")]
pub struct TaskSnapshot {
    pub id: TaskId,
    pub name: Option<Arc<str>>,
    pub spawned_at: &'static Location<'static>,
    /// "runnable", "running", "parked" or "completed".
    pub state: &'static str,
    pub cancel: Option<CancelReason>,
    pub waits: Vec<WaitSnapshot>,
    /// Kind and source line of each abort-class obligation that it took on and nobody settled.
    pub obligations: Vec<(&'static str, &'static Location<'static>)>,
}

/// What a parked task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitSnapshot {
    /// The operation, as its crate names it.
    pub label: &'static str,
    /// The line that waits.
    pub site: &'static Location<'static>,
}

impl RegionSnapshot {
    pub(crate) fn of(region: &Arc<Region>) -> RegionSnapshot {
        let (tasks, regions) = region.children();
        RegionSnapshot {
            id: region.id,
            name: region.name.clone(),
            opened_at: region.site,
            state: region.state(),
            cancel: region.cancelled_for(),
            tasks: tasks.iter().map(TaskSnapshot::of).collect(),
            regions: regions.iter().map(RegionSnapshot::of).collect(),
        }
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

    fn draw(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        write!(f, "region {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " {}", self.state)?;
        if let Some(reason) = &self.cancel {
            write!(f, ", cancelled: {reason}")?;
        }
        writeln!(f)?;
        let last = self.tasks.len() + self.regions.len();
        for (n, task) in self.tasks.iter().enumerate() {
            let fork = if n + 1 == last { "└─" } else { "├─" };
            writeln!(f, "{indent}{fork} {task}")?;
        }
        for (n, region) in self.regions.iter().enumerate() {
            let end = n + self.tasks.len() + 1 == last;
            write!(f, "{indent}{} ", if end { "└─" } else { "├─" })?;
            region.draw(f, &format!("{indent}{}  ", if end { " " } else { "│" }))?;
        }
        Ok(())
    }
}

impl fmt::Display for RegionSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draw(f, "")
    }
}

impl TaskSnapshot {
    fn of(task: &TaskRef) -> TaskSnapshot {
        let header = task.header();
        let obligations =
            unsettled(task).into_iter().map(|(kind, site)| (kind.name(), site)).collect();
        // A guard inside the struct expression would live to its end, across the next lock.
        let cancel = header.inner.lock().scopes.base.cancel.clone();
        TaskSnapshot {
            id: header.id,
            name: header.name(),
            spawned_at: header.spawned_at,
            state: header.state.describe(),
            cancel,
            waits: waits_of(task),
            obligations,
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
