//! Futurelock on a running host: who sits on what others wait for.

use crate::error::{Error, ErrorKind};
use crate::id::{RegionId, TaskId};
use crate::snapshot::{RegionSnapshot, TaskSnapshot, WaitSnapshot};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A task that holds something, has not got anywhere for a while, and what it holds is waited for.
///
/// Found by [`RegionSnapshot::futurelocks`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Futurelock {
    /// Which task holds.
    pub task: TaskId,
    /// Its name, when it has one.
    pub name: Option<Arc<str>>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// Whose task it is.
    pub region: RegionId,
    /// Kind of what it holds, and the line that took it on.
    pub held: (&'static str, &'static Location<'static>),
    /// What the holder itself waits for.
    pub waits: Vec<WaitSnapshot>,
    /// Who waits for something of that kind, and where: the other party. It may be the holder itself.
    pub waited_by: Vec<(TaskId, WaitSnapshot)>,
}

impl RegionSnapshot {
    /// Compares with a snapshot of the same tree taken earlier: tasks that hold an abort-class obligation
    /// (a lock's guard, a permit) and have entered or left no wait since, while a wait for something of the
    /// same kind stood just as still.
    ///
    /// The kernel of a production host does not know *which* lock a task waits for, so kinds are compared
    /// by the type in their names (`Mutex::Guard` with `Mutex::lock`). A task that sleeps with a lock in its
    /// hand while another waits for a lock is therefore listed, whichever lock that is; how long it
    /// may do so is the time that the caller lets pass between the two. The lab knows every access and
    /// names the lock itself.
    #[must_use]
    pub fn futurelocks(&self, earlier: &RegionSnapshot) -> Vec<Futurelock> {
        let before: BTreeMap<TaskId, &TaskSnapshot> =
            earlier.all_tasks().map(|task| (task.id, task)).collect();
        let is_still = |task: &&TaskSnapshot| {
            task.state == "parked"
                && before.get(&task.id).is_some_and(|was| was.progress == task.progress)
        };
        let still: Vec<&TaskSnapshot> = self.all_tasks().filter(is_still).collect();
        let mut found = Vec::new();
        for holder in &still {
            for held in &holder.obligations {
                let waits = still.iter().flat_map(|task| task.waits.iter().map(|w| (task.id, *w)));
                let waited_by: Vec<_> =
                    waits.filter(|(_, wait)| family(wait.label) == family(held.0)).collect();
                if waited_by.is_empty() {
                    continue;
                }
                found.push(Futurelock {
                    task: holder.id,
                    name: holder.name.clone(),
                    spawned_at: holder.spawned_at,
                    region: holder.region,
                    held: *held,
                    waits: holder.waits.clone(),
                    waited_by,
                });
            }
        }
        found
    }
}

/// The type in a name such as `Mutex::lock`.
fn family(name: &str) -> &str {
    name.split("::").next().unwrap_or(name)
}

impl fmt::Display for Futurelock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, site) = self.held;
        match &self.name {
            Some(name) => write!(f, "\"{name}\" ({})", self.task)?,
            None => write!(f, "{}", self.task)?,
        }
        write!(f, " of {} holds {kind} from {site} and gets nowhere", self.region)?;
        for wait in &self.waits {
            write!(f, ", waiting in {wait}")?;
        }
        for (task, wait) in &self.waited_by {
            write!(f, "\n    {task} waits in {wait}")?;
        }
        Ok(())
    }
}

impl From<Futurelock> for Error {
    fn from(found: Futurelock) -> Error {
        let what = format!("FuturelockViolation: {found}");
        Error::at(ErrorKind::FuturelockViolation, what, found.held.1).in_task(found.task)
    }
}
