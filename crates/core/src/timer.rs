//! What a kernel timer does when it fires: always a waker, so that hosts know of nothing else.

use crate::cancel::{CancelKind, CancelReason};
use crate::host::{Host, TimerKey};
use crate::mutant::mutant;
use crate::obligation::Lapse;
use crate::region::Region;
use crate::task::TaskRef;
use crate::task::scopes::ScopeKey;
use crate::time::Time;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Wake, Waker};

pub(crate) enum Fires {
    /// A task's own cleanup time is over.
    Task(TaskRef),
    /// A task's own deadline has passed.
    TaskDeadline(TaskRef),
    /// The deadline of a scope inside a task has passed.
    ScopeDeadline(TaskRef, ScopeKey, &'static Location<'static>),
    /// The cleanup time of a scope inside a task is over.
    ScopeCleanup(TaskRef, ScopeKey),
    /// A region's deadline has passed.
    RegionDeadline(Arc<Region>),
    /// A region's cleanup time is over.
    RegionCleanup(Arc<Region>),
    /// The grace of a soft cancellation is over.
    RegionGrace(Arc<Region>, CancelReason),
    /// The same for one task.
    TaskGrace(TaskRef, CancelReason),
    /// A lease has run out.
    Lease(Lapse),
}

pub(crate) fn arm(host: &Arc<dyn Host>, at: Time, fires: Fires) -> TimerKey {
    host.arm_timer(at, Waker::from(Arc::new(fires)))
}

impl Wake for Fires {
    fn wake(self: Arc<Self>) {
        match &*self {
            Fires::Task(task) => task.escalate(),
            Fires::TaskDeadline(task) => {
                let reason = timeout(task.header().spawned_at);
                task.cancel_alone(reason, false);
            }
            Fires::ScopeDeadline(task, key, site) => task.cancel_scope(*key, timeout(site)),
            Fires::ScopeCleanup(task, key) => task.escalate_scope(*key),
            Fires::RegionDeadline(region) => {
                region.cancel(timeout(region.site), crate::region::Origin::Outside);
            }
            Fires::RegionCleanup(region) => region.escalate(false),
            Fires::RegionGrace(..) | Fires::TaskGrace(..) if mutant!(GraceForgotten) => {}
            Fires::RegionGrace(region, reason) => {
                region.cancel(reason.clone(), crate::region::Origin::Outside);
            }
            Fires::TaskGrace(task, reason) => task.cancel_alone(reason.clone(), true),
            Fires::Lease(lapse) => lapse.expire(),
        }
    }
}

fn timeout(site: &'static Location<'static>) -> CancelReason {
    CancelReason::new(CancelKind::Timeout).at_site(site)
}
