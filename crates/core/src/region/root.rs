//! A region that no task opened: how hosts get into the tree.

use super::{Origin, Place, Region, RegionOptions, RegionReport, RegionState};
use crate::cancel::CancelReason;
use crate::cap::All;
use crate::cx::Cx;
use crate::host::Host;
use crate::id::RegionId;
use crate::outcome::Severity;
use crate::snapshot::RegionSnapshot;
use crate::spawn;
use crate::task::cell::Failure;
use crate::task::{TaskBody, TaskHandle, TaskOptions};
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A region opened from outside of any task: the top of a tree, or a host's subtree of it.
///
/// It behaves as any other region, but that nobody's body keeps it open: it stays `Open` until
/// [`begin_close`](Root::begin_close). Cloning gives another reference to the same region.
#[derive(Clone)]
pub struct Root {
    region: Arc<Top>,
}

/// The one reference that all clones of a root share.
struct Top(Arc<Region>);

impl std::ops::Deref for Top {
    type Target = Arc<Region>;

    fn deref(&self) -> &Arc<Region> {
        &self.0
    }
}

impl Drop for Top {
    /// Nobody is left to ask for failures, which refer to the region that keeps them.
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Root {
    /// The top of a new tree on `host`.
    #[track_caller]
    #[must_use]
    pub fn new(host: Arc<dyn Host>, options: RegionOptions) -> Root {
        let place = Place {
            parent: None,
            opener: None,
            account: None,
            budget: crate::Budget::UNLIMITED,
            due: None,
        };
        Root::of(Region::new(host, place, options, Location::caller()))
    }

    /// Nobody will ask for [`unclaimed_failures`](Root::unclaimed_failures): what is not joined is dropped as it
    /// fails, so that a root that lives long does not collect it.
    #[must_use]
    pub fn forgets_failures(self) -> Root {
        self.region.inner.lock().abandoned = true;
        self
    }

    /// A child region that closes on its own; this one waits for it. In a cancelled region the child is
    /// cancelled from the start.
    #[track_caller]
    #[must_use]
    pub fn child(&self, options: RegionOptions) -> Root {
        let parent = Arc::clone(&self.region.0);
        let place = Place {
            account: parent.account.clone(),
            parent: Some(parent),
            opener: None,
            budget: crate::Budget::UNLIMITED,
            due: self.region.due,
        };
        let child = Region::new(Arc::clone(&self.region.host), place, options, Location::caller());
        if let Some(reason) = self.region.cancelled_for() {
            super::cancel_all(vec![(Arc::clone(&child), reason)]);
        }
        Root::of(child)
    }

    fn of(region: Arc<Region>) -> Root {
        Root { region: Arc::new(Top(region)) }
    }

    /// Spawns a task into the region; refused like any spawn when the region is cancelled or closed.
    #[track_caller]
    pub fn spawn<F, T, E>(&self, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<All>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, All, T, E> + Send + 'static,
    {
        self.spawn_with(TaskOptions::new(), body)
    }

    /// Spawns a task with a name or budget of its own.
    #[track_caller]
    pub fn spawn_with<F, T, E>(&self, options: TaskOptions, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<All>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, All, T, E> + Send + 'static,
    {
        let site = Location::caller();
        spawn::into_region::<All, T, E, F>(&self.region, None, options, site, body)
    }

    /// A child region with a body as its task "main", which closes behind it.
    ///
    /// The lines that its events name are of this function, whoever calls it, so that the program's tree
    /// looks the same on every host: in a recorded run and in its replay.
    pub fn program<F, T, E>(&self, options: RegionOptions, body: F) -> (Root, TaskHandle<T, E>)
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<All>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, All, T, E> + Send + 'static,
    {
        let region = self.child(options);
        let main = region.spawn_with(TaskOptions::new().name("main"), body);
        region.begin_close();
        (region, main)
    }

    /// Requests cancellation of everything inside.
    #[track_caller]
    pub fn cancel(&self, reason: CancelReason) {
        self.region.cancel(reason, Origin::Outside);
    }

    /// Asks everything inside to finish, and cancels what has not ended `grace` later. See
    /// [`Scope::cancel_soft`](crate::Scope::cancel_soft).
    #[track_caller]
    pub fn cancel_soft(&self, reason: CancelReason, grace: Duration) {
        self.region.cancel_soft(reason, grace);
    }

    /// Ends the open phase: the region closes when its last child has ended.
    pub fn begin_close(&self) {
        self.region.begin_close();
    }

    /// Ready with the books once the region is closed. One waker is kept, the last; the lists in the
    /// report are handed out once.
    pub fn poll_closed(&self, context: &mut Context<'_>) -> Poll<RegionReport> {
        self.region.poll_closed(context).map(|()| self.region.report())
    }

    /// Whether the region is quiescent and closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.region.state() == RegionState::Closed
    }

    /// Cleanup time is over: here and in every region beneath, futures are dropped at their next poll
    /// boundary and the reports name their tasks.
    pub fn escalate(&self) {
        self.region.escalate_all();
    }

    /// The failures that nobody joined, as text: severity, task, spawn line, panic message. Each is handed
    /// out once.
    #[must_use]
    pub fn unclaimed_failures(&self) -> Vec<UnclaimedFailure> {
        let failed = std::mem::take(&mut self.region.inner.lock().failed);
        let unclaimed = failed.iter().filter_map(|task| {
            let header = task.header();
            let (severity, panic) = match task.claim_failure()? {
                Failure::Err(_) => (Severity::Err, None),
                Failure::Panicked(payload) => {
                    (Severity::Panicked, Some(payload.message().to_owned()))
                }
            };
            Some(UnclaimedFailure {
                task: header.id,
                spawned_at: header.spawned_at,
                severity,
                panic,
            })
        });
        unclaimed.collect()
    }

    /// The tree as it stands.
    #[must_use]
    pub fn snapshot(&self) -> RegionSnapshot {
        RegionSnapshot::of(&self.region)
    }

    /// Which region this is.
    #[must_use]
    pub fn id(&self) -> RegionId {
        self.region.id
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root")
            .field("id", &self.region.id)
            .field("state", &self.region.state())
            .finish()
    }
}

/// A task of a [`Root`] that failed without being joined.
#[derive(Clone, Debug)]
pub struct UnclaimedFailure {
    /// Which task.
    pub task: crate::id::TaskId,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// `Err` or `Panicked`.
    pub severity: Severity,
    /// The panic's message.
    pub panic: Option<String>,
}
