//! Soft cancellation: a wish to finish, and a hard cancellation if it is not heard.

use super::{Region, RegionState};
use crate::cancel::{CancelReason, Cancelled};
use crate::cx::TaskCx;
use crate::task::TaskRef;
use crate::task::scopes::{Effects, ScopeKey, WaitEntry};
use crate::timer::{Fires, arm};
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

impl Region {
    /// Asked to finish, or part of something that was.
    pub(crate) fn is_soft(&self) -> bool {
        self.soft.load(Ordering::Relaxed)
    }

    /// Before anything is spawned into it.
    pub(super) fn inherit_soft(&self) {
        self.soft.store(true, Ordering::Relaxed);
    }

    pub(crate) fn cancel_soft(self: &Arc<Self>, reason: CancelReason, grace: Duration) {
        let now = self.host.now();
        let reason = reason.attributed(now, crate::step::task(), Some(self.id));
        let until = now + grace;
        let fires = Fires::RegionGrace(Arc::clone(self), reason);
        let timer = arm(&self.host, until, fires);
        let stale = {
            let mut inner = self.inner.lock();
            let earlier = inner.grace_timer.is_some_and(|(at, _)| at <= until);
            if inner.state == RegionState::Closed || earlier {
                Some(timer)
            } else {
                inner.grace_timer.replace((until, timer)).map(|(_, stale)| stale)
            }
        };
        if let Some(stale) = stale {
            self.host.disarm_timer(stale);
        }
        ask(vec![Arc::clone(self)]);
    }
}

/// Tells the regions and everything beneath, one lock at a time and without recursion.
fn ask(mut pending: Vec<Arc<Region>>) {
    while let Some(region) = pending.pop() {
        let (tasks, opener) = {
            let inner = region.inner.lock();
            if inner.state == RegionState::Closed {
                continue;
            }
            // Under the lock: who enters the table later finds it set.
            region.soft.store(true, Ordering::Relaxed);
            let others =
                inner.regions.iter().map(|(_, child)| child).filter(|child| !child.service);
            pending.extend(others.cloned());
            let tasks = inner.tasks.iter().map(|(_, task)| task);
            let tasks = tasks.filter(|task| !task.header().state.is_service());
            (tasks.cloned().collect::<Vec<TaskRef>>(), inner.opener.clone())
        };
        if let Some((task, key)) = opener {
            task.ask(key);
        }
        for task in tasks {
            task.ask(ScopeKey::BASE);
        }
    }
}

impl TaskRef {
    /// Marks a scope of the task as asked to finish, and wakes who waits for that.
    fn ask(&self, key: ScopeKey) {
        let mut effects = Effects::default();
        {
            let mut inner = self.header().inner.lock();
            if let Some(node) = inner.scopes.node_mut(key) {
                node.soft = true;
            }
            inner.scopes.wake_soft(&mut effects);
        }
        effects.wake_now();
        // For a plain wait, which kept no waker, and for bodies that only look.
        self.wake();
    }

    /// A soft cancellation of this one task, and of the regions it has opened.
    pub(crate) fn cancel_soft(&self, reason: CancelReason, grace: Duration) {
        let header = self.header();
        let host = &header.region.host;
        let now = host.now();
        let reason = reason.attributed(now, crate::step::task(), Some(header.region.id));
        let until = now + grace;
        let timer = arm(host, until, Fires::TaskGrace(self.clone(), reason));
        let (stale, opened) = {
            let mut inner = header.inner.lock();
            let opened: Vec<Arc<Region>> = inner.scopes.regions().cloned().collect();
            let extra = inner.extra();
            let earlier = extra.grace_timer.is_some_and(|(at, _)| at <= until);
            if header.state.is_complete() || earlier {
                (Some(timer), opened)
            } else {
                (extra.grace_timer.replace((until, timer)).map(|(_, stale)| stale), opened)
            }
        };
        if let Some(stale) = stale {
            host.disarm_timer(stale);
        }
        self.ask(ScopeKey::BASE);
        ask(opened);
    }
}

impl TaskCx {
    /// Whether somebody has asked this task, or a scope around the present one, to finish; see
    /// [`Scope::cancel_soft`](crate::Scope::cancel_soft). A loop that serves requests looks before it takes on the
    /// next.
    #[must_use]
    pub fn is_soft_cancelled(&self) -> bool {
        let inner = self.header().inner.lock();
        inner.scopes.is_soft(inner.scopes.current)
    }

    /// Waits until somebody asks this task, or a scope around the present one, to finish: a branch for a
    /// race, beside the wait for the next request.
    ///
    /// # Errors
    /// [`Cancelled`] when the scope is cancelled for good.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it; the wish stays.
    #[track_caller]
    pub fn soft_cancelled(&self) -> impl Future<Output = Result<(), Cancelled>> + Send + use<'_> {
        self.wait_at(WaitEntry::SOFT_CANCEL, Location::caller(), move |_context| {
            if self.is_soft_cancelled() { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}
