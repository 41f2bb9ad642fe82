//! Cancelling a region: the walk down, the cleanup bound, escalation, and a future that was dropped.

use super::{Origin, Region, RegionState};
use crate::cancel::{CancelKind, CancelReason};
use crate::event::Event;
use crate::mutant::mutant;
use crate::task::TaskRef;
use crate::task::scopes::Effects;
use crate::timer::{Fires, arm};
use std::sync::Arc;

impl Region {
    /// Requests cancellation of everything inside.
    pub(crate) fn cancel(self: &Arc<Self>, reason: CancelReason, origin: Origin) {
        let reason = reason.attributed(self.host.now(), crate::step::task(), Some(self.id));
        let mut effects = Effects::default();
        self.cancel_one(reason, origin, &mut effects);
        effects.run();
    }

    /// Cancels this region's own tasks and body; regions within them are left in `effects`.
    fn cancel_one(self: &Arc<Self>, reason: CancelReason, origin: Origin, effects: &mut Effects) {
        let (tasks, opener, orphans) = {
            let mut inner = self.inner.lock();
            if inner.state == RegionState::Closed
                || !crate::cancel_strengthens(&reason, inner.cancel.as_ref())
            {
                drop(inner);
                return self.observe(|| Event::RegionCancelIgnored { region: self.id });
            }
            inner.origin = origin;
            inner.cancel = Some(reason.clone());
            inner.state = inner.state.cancelled();
            let tasks: Vec<TaskRef> = if mutant!(CancelStopsAtRegion) {
                Vec::new()
            } else {
                // Services go on for as long as there is somebody to serve.
                let all = inner.services_dismissed || mutant!(ServicesNotLast);
                let reached = |task: &TaskRef| all || !task.header().state.is_service();
                inner.tasks.iter().filter(|task| reached(task)).cloned().collect()
            };
            let regions: Vec<Arc<Region>> =
                inner.regions.iter().map(|(_, region)| Arc::clone(region)).collect();
            (tasks, inner.opener.clone(), regions)
        };
        self.observe(|| Event::RegionCancelRequested {
            region: self.id,
            kind: reason.kind(),
            severity: reason.severity(),
        });
        self.arm_cleanup();
        let inherited = reason.inherited(Some(self.id), self.host.now());
        if let Some((task, key)) = opener {
            let header = task.header();
            let mut inner = header.inner.lock();
            inner.scopes.cancel(key, &reason);
            inner.scopes.propagate(header, effects);
            drop(inner);
            effects.wake_now();
        }
        for task in tasks {
            task.cancel(inherited.clone(), effects);
            effects.wake_now();
        }
        // A region that some task's future is still driving is reached through that task, whose masks
        // may shield it. The others have nobody to be masked by.
        for region in orphans {
            if region.inner.lock().opener.is_none() {
                effects.regions.push((region, inherited.clone()));
            }
        }
    }

    /// Bounds the cleanup, unless an earlier bound is in force.
    pub(super) fn arm_cleanup(self: &Arc<Self>) {
        let now = self.host.now();
        let cleanup = {
            let inner = self.inner.lock();
            match &inner.cancel {
                // Absolute: a descendant's cleanup ends when its ancestor's does.
                Some(reason)
                    if inner.state != RegionState::Finalizing && !inner.services_dismissed =>
                {
                    reason.root().at().unwrap_or(now) + reason.cleanup_time()
                }
                Some(reason) => now + reason.cleanup_time(),
                None => now + CancelKind::User.cleanup_time(),
            }
        };
        let timer = arm(&self.host, cleanup, Fires::RegionCleanup(Arc::clone(self)));
        let stale = {
            let mut inner = self.inner.lock();
            if inner.state == RegionState::Closed && !mutant!(TimerOutlivesRegion) {
                Some(timer)
            } else {
                inner.rare().cleanup_timer.replace(timer)
            }
        };
        if let Some(stale) = stale {
            self.host.disarm_timer(stale);
        }
    }

    /// Cleanup time is over: every task still here is dropped at its next poll boundary. `all`: the
    /// services, too, although they have not been asked to end.
    pub(crate) fn escalate(self: &Arc<Self>, all: bool) {
        if mutant!(EscalationIgnored) {
            return;
        }
        let (tasks, opener) = {
            let mut inner = self.inner.lock();
            if inner.state == RegionState::Closed {
                return;
            }
            inner.escalated = true;
            inner.services_dismissed |= all;
            let reached =
                |task: &TaskRef| inner.services_dismissed || !task.header().state.is_service();
            let tasks: Vec<TaskRef> =
                inner.tasks.iter().filter(|task| reached(task)).cloned().collect();
            (tasks, inner.opener.clone())
        };
        self.observe(|| Event::RegionEscalated { region: self.id });
        if let Some((task, key)) = opener {
            task.escalate_scope(key);
        }
        for task in tasks {
            task.escalate();
        }
    }

    /// Escalates this region and every one beneath it.
    pub(super) fn escalate_all(self: &Arc<Self>) {
        let mut pending = vec![Arc::clone(self)];
        while let Some(region) = pending.pop() {
            region.escalate(true);
            pending.extend(region.inner.lock().regions.iter().map(|(_, child)| Arc::clone(child)));
        }
    }

    /// The region's future is gone before the region closed: cancel, and close without it.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let (opener, closed, escalated, unclaimed) = {
            let mut inner = self.inner.lock();
            inner.abandoned = true;
            let closed = inner.state == RegionState::Closed;
            let unclaimed = if closed {
                Some((std::mem::take(&mut inner.failed), inner.take_cancelled()))
            } else {
                None
            };
            (inner.opener.take(), closed, inner.escalated, unclaimed)
        };
        drop(unclaimed);
        let Some((task, key)) = opener else { return };
        let removed = {
            let header = task.header();
            let mut inner = header.inner.lock();
            let removed = inner.scopes.remove(key);
            inner.scopes.publish(header);
            removed
        };
        let scope_escalated = removed.as_ref().is_some_and(|child| child.escalated);
        if !closed {
            self.observe(|| Event::RegionAbandoned { region: self.id });
        }
        if self.state() != RegionState::Closed && !mutant!(DroppedRegionRunsOn) {
            let reason = CancelReason::new(CancelKind::ParentCancelled)
                .with_message("the region's future was dropped")
                .at_site(self.site);
            self.cancel(reason, Origin::Itself);
        }
        if escalated || scope_escalated {
            self.escalate(false);
        }
        drop(removed);
        let _ = self.begin_close();
    }
}

/// Cancels regions, and the regions inside them, one lock at a time and without recursion.
pub(crate) fn cancel_all(mut pending: Vec<(Arc<Region>, CancelReason)>) {
    while let Some((region, reason)) = pending.pop() {
        let mut effects = Effects::default();
        let inherited = reason.inherited(Some(region.id), region.host.now());
        region.cancel_one(inherited, Origin::Outside, &mut effects);
        effects.wake_now();
        pending.append(&mut effects.regions);
    }
}
