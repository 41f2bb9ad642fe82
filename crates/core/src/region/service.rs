//! Services: children that are cancelled last.

use super::{Inner, Region, RegionState};
use crate::cancel::{CancelKind, CancelReason};
use crate::task::TaskRef;
use crate::task::scopes::Effects;
use std::sync::Arc;

impl Inner {
    /// Whether the services are to be asked to end now: the body has ended, and nobody else is left.
    /// True once; whoever is answered so does it.
    #[inline]
    pub(super) fn dismisses_services(&mut self) -> bool {
        if self.services == 0 {
            return false;
        }
        let due = !self.services_dismissed
            && !self.starting
            && matches!(self.state, RegionState::Closing | RegionState::Draining)
            && self.tasks.len() + self.regions.len() == self.services;
        self.services_dismissed |= due;
        due
    }
}

impl Region {
    /// Whether the task is a service of this very region.
    pub(crate) fn is_served_by(&self, task: &TaskRef) -> bool {
        let header = task.header();
        header.state.is_service() && std::ptr::eq(Arc::as_ptr(&header.region), self)
    }

    /// Cancels the services, for the region's own reason if it has one. (A region that a service opened is
    /// reached through that service, or is abandoned and cancelled already.)
    pub(super) fn dismiss_services(self: &Arc<Self>) {
        let now = self.host.now();
        let (tasks, cancel) = {
            let inner = self.inner.lock();
            let services = inner.tasks.iter().filter(|task| task.header().state.is_service());
            (services.cloned().collect::<Vec<TaskRef>>(), inner.cancel.clone())
        };
        let reason = match cancel {
            Some(reason) => reason.inherited(Some(self.id), now),
            None => CancelReason::new(CancelKind::ParentCancelled)
                .with_message("the others in its region have ended")
                .at_site(self.site)
                .attributed(now, None, Some(self.id)),
        };
        self.arm_cleanup();
        let mut effects = Effects::default();
        for task in tasks {
            task.cancel(reason.clone(), &mut effects);
            effects.wake_now();
        }
        effects.run();
    }
}
