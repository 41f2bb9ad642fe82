//! Cost accounts: who pays for `cx.charge(n)`.
//!
//! An account exists only where a cost quota was set. A charge is taken from the nearest one and from
//! every one above it, so what a parent has left reflects what its children spent.

use crate::cancel::{CancelKind, CancelReason};
use crate::region::{Origin, Region};
use crate::task::TaskRef;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(crate) struct Account {
    left: AtomicU64,
    above: Option<Arc<Account>>,
    owner: Mutex<Owner>,
}

pub(crate) enum Owner {
    Region(Weak<Region>),
    Task(TaskRef),
    /// The task is over; nobody is left to cancel.
    Gone,
}

impl Account {
    pub(crate) fn new(units: u64, above: Option<Arc<Account>>, owner: Owner) -> Arc<Account> {
        Arc::new(Account { left: AtomicU64::new(units), above, owner: Mutex::new(owner) })
    }

    pub(crate) fn left(&self) -> u64 {
        let accounts = std::iter::successors(Some(self), |account| account.above.as_deref());
        accounts.map(|account| account.left.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    /// Takes `units` here and above; whoever cannot pay is cancelled with [`CancelKind::Quota`].
    pub(crate) fn charge(&self, units: u64, site: &'static Location<'static>) {
        let mut account = Some(self);
        while let Some(here) = account {
            let paid = here.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(units))
            });
            if paid.is_ok_and(|before| before < units) {
                here.exhausted(site);
            }
            account = here.above.as_deref();
        }
    }

    fn exhausted(&self, site: &'static Location<'static>) {
        let reason = CancelReason::new(CancelKind::Quota)
            .with_message("the cost quota is spent")
            .at_site(site);
        let target = match &*self.owner.lock().unwrap_or_else(PoisonError::into_inner) {
            Owner::Region(region) => region.upgrade().map(Ok),
            Owner::Task(task) => Some(Err(task.clone())),
            Owner::Gone => None,
        };
        match target {
            Some(Ok(region)) => region.cancel(reason, Origin::Outside),
            Some(Err(task)) => task.cancel_alone(reason, false),
            None => {}
        }
    }

    /// The owning task is over: lets go of it.
    pub(crate) fn orphan(&self) {
        let owner = std::mem::replace(
            &mut *self.owner.lock().unwrap_or_else(PoisonError::into_inner),
            Owner::Gone,
        );
        drop(owner);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // A loop and not a recursion, as for the regions that the accounts belong to.
        let mut above = self.above.take();
        while let Some(account) = above.and_then(Arc::into_inner) {
            let mut account = account;
            above = account.above.take();
        }
    }
}
