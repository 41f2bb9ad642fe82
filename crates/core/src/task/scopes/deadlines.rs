//! Deadlines of a task's scopes: what around one passes first and is seen inside, and which of them need a timer
//! of their own.

use super::{Child, ScopeKey, Scopes};
use crate::host::TimerKey;
use crate::region::Region;
use crate::time::Time;
use smallvec::SmallVec;
use std::panic::Location;
use std::sync::Arc;

/// See [`Scopes::reached_by`].
pub(crate) struct Reach {
    /// The tightest deadline of the scopes.
    pub(crate) deadline: Option<Time>,
    /// The innermost region of which the task runs the body.
    pub(crate) region: Option<Arc<Region>>,
    /// There is a mask, so what is around the task is out of sight.
    pub(crate) masked: bool,
}

/// `None` means none.
pub(crate) fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Child {
    /// Whether its deadline relies on another one.
    pub(super) fn is_unarmed(&self) -> bool {
        self.deadline.is_some() && self.deadline_timer.is_none()
    }
}

impl Scopes {
    /// The tightest deadline of the scope and its ancestors within this task.
    pub(crate) fn deadline(&self, key: ScopeKey) -> Option<Time> {
        let mut tightest: Option<Time> = None;
        let mut next = Some(key);
        while let Some(child) = next.and_then(|key| self.child(key)) {
            tightest = earlier(tightest, child.deadline);
            next = Some(child.parent);
        }
        tightest
    }

    /// What around the scope will pass and be seen in it: nothing beyond the nearest mask.
    #[inline]
    pub(crate) fn reached_by(&self, key: ScopeKey) -> Reach {
        if key == ScopeKey::BASE {
            return Reach { deadline: None, region: None, masked: self.base.masks > 0 };
        }
        self.reached_through(key)
    }

    #[inline(never)]
    fn reached_through(&self, key: ScopeKey) -> Reach {
        let mut reach = Reach { deadline: None, region: None, masked: false };
        for (key, node) in self.upward(key) {
            if node.masks > 0 {
                reach.masked = true;
                break;
            }
            let Some(child) = self.child(key) else { break };
            reach.deadline = earlier(reach.deadline, child.deadline);
            if reach.region.is_none() {
                reach.region.clone_from(&child.region);
            }
        }
        reach
    }

    /// A scope's deadline has a timer of its own from now on.
    pub(crate) fn armed(&mut self, key: ScopeKey, timer: TimerKey) {
        let Some(child) = self.child_mut(key) else { return };
        child.deadline_timer = Some(timer);
        self.unarmed -= 1;
    }

    /// Whether any scope is cancelled, or has a deadline that relies on another one.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.cancelled | self.unarmed != 0
    }

    /// Whether there is a deadline that relies on another one.
    #[inline]
    pub(crate) fn has_unarmed(&self) -> bool {
        self.unarmed > 0
    }

    /// Whether a deadline may have relied on the scope that was taken away, or on one around it.
    #[inline]
    pub(crate) fn relied_on(&self, removed: &Child) -> bool {
        self.unarmed > 0 && removed.scopes > 0
    }

    /// The deadlines without a timer before which nothing around them passes and is seen there; `around` is
    /// the task's.
    pub(crate) fn uncovered(
        &self,
        around: Option<Time>,
    ) -> SmallVec<[(ScopeKey, Time, &'static Location<'static>); 2]> {
        let unarmed = self.keys().filter_map(|key| {
            let child = self.child(key).filter(|child| child.is_unarmed())?;
            let (deadline, site) = (child.deadline?, child.site?);
            let reach = self.reached_by(child.parent);
            let above = earlier(reach.deadline, around.filter(|_| !reach.masked));
            above.is_none_or(|above| deadline < above).then_some((key, deadline, site))
        });
        unarmed.collect()
    }
}
