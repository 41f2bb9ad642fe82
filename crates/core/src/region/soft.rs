//! Soft cancellation: a wish to finish, and a hard cancellation if it is not heard.

use super::{Region, RegionState};
use crate::cancel::{CancelReason, Cancelled};
use crate::cx::TaskCx;
use crate::event::Event;
use crate::mutant::mutant;
use crate::task::TaskRef;
use crate::task::scopes::{Effects, ScopeKey, WaitEntry};
use crate::time::Time;
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
        self.marks.load(Ordering::Relaxed) & super::SOFT != 0
    }

    /// Before anything is spawned into it, or under the lock.
    pub(super) fn mark_soft(&self) {
        self.marks.fetch_or(super::SOFT, Ordering::Relaxed);
    }

    pub(crate) fn cancel_soft(self: &Arc<Self>, reason: CancelReason, grace: Duration) {
        if mutant!(SoftIsHard) {
            return self.cancel(reason, super::Origin::Itself);
        }
        let now = self.host.now();
        let reason = reason.attributed(now, crate::step::task(), Some(self.id));
        let until = now + grace;
        let fires = Fires::RegionGrace(Arc::clone(self), reason);
        let timer = arm(&self.host, until, fires);
        let stale = {
            let mut inner = self.inner.lock();
            let closed = inner.state == RegionState::Closed;
            let grace = &mut inner.rare().grace_timer;
            if closed || grace.is_some_and(|(at, _)| at <= until) {
                Some(timer)
            } else {
                grace.replace((until, timer)).map(|(_, stale)| stale)
            }
        };
        if let Some(stale) = stale {
            self.host.disarm_timer(stale);
        }
        ask(vec![Arc::clone(self)], Some(until));
    }
}

/// Tells the regions and everything beneath, one lock at a time and without recursion. `until` is the
/// first one's.
fn ask(mut pending: Vec<Arc<Region>>, mut until: Option<Time>) {
    while let Some(region) = pending.pop() {
        let (tasks, opener) = {
            let inner = region.inner.lock();
            if inner.state == RegionState::Closed {
                continue;
            }
            // Under the lock: who enters the table later finds it set.
            region.mark_soft();
            let others =
                inner.regions.iter().map(|(_, child)| child).filter(|child| !child.service);
            pending.extend(others.cloned());
            let tasks = inner.tasks.iter().filter(|task| !task.header().state.is_service());
            (tasks.cloned().collect::<Vec<TaskRef>>(), inner.opener.clone())
        };
        region.observe(|| Event::RegionSoftCancelled { region: region.id, until: until.take() });
        if let Some((task, key)) = opener {
            task.ask(key);
        }
        for task in tasks {
            task.ask_all(None);
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

    /// The same for all that the task does.
    fn ask_all(&self, until: Option<Time>) {
        let header = self.header();
        header.region.observe(|| Event::TaskSoftCancelled { task: header.id, until });
        self.ask(ScopeKey::BASE);
    }

    /// A soft cancellation of this one task, and of the regions it has opened.
    pub(crate) fn cancel_soft(&self, reason: CancelReason, grace: Duration) {
        let header = self.header();
        let host = &header.region.host;
        let now = host.now();
        let reason = reason.attributed(now, crate::step::task(), Some(header.region.id));
        let until = now + grace;
        let timer = arm(host, until, Fires::TaskGrace(self.clone(), reason));
        let (stale, opened, over) = {
            let mut inner = header.inner.lock();
            let over = header.state.is_complete();
            let opened: Vec<Arc<Region>> = inner.scopes.regions().cloned().collect();
            let extra = inner.extra();
            let earlier = extra.grace_timer.is_some_and(|(at, _)| at <= until);
            if over || earlier {
                (Some(timer), opened, over)
            } else {
                (extra.grace_timer.replace((until, timer)).map(|(_, stale)| stale), opened, over)
            }
        };
        if let Some(stale) = stale {
            host.disarm_timer(stale);
        }
        if !over {
            self.ask_all(Some(until));
            ask(opened, None);
        }
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
