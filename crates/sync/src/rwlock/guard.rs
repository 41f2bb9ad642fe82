//! Access to the value of a locked lock.

use super::{RwLock, Turn};
use crate::mutant::mutant;
use asupersync_core::{Obligation, ReadClaim, WriteClaim};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Shared access to the value of a [`RwLock`]; unlocks when dropped. An obligation of the abort class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct RwLockReadGuard<'a, T> {
    // Fields drop in this order: first the claim is released, then the lines are served.
    claim: ReadClaim<'a, T>,
    unlock: Unlock<'a, T>,
}

/// Exclusive access to the value of a [`RwLock`]; unlocks when dropped. An obligation of the abort
/// class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct RwLockWriteGuard<'a, T> {
    // Fields drop in this order: first the claim is released, then the lines are served.
    claim: WriteClaim<'a, T>,
    unlock: Unlock<'a, T>,
}

struct Unlock<'a, T> {
    lock: &'a RwLock<T>,
    turn: Turn,
    obligation: Option<Obligation>,
}

impl<T> Drop for Unlock<'_, T> {
    fn drop(&mut self) {
        self.lock.object.write();
        // Unlocking is how a guard's duty is done, not how it is shirked.
        if let Some(obligation) = self.obligation.take() {
            obligation.commit();
        }
        if self.turn == Turn::Writers && mutant!(ReaderLeavesSilently) {
            return;
        }
        self.lock.released(self.turn);
    }
}

impl<'a, T> RwLockReadGuard<'a, T> {
    pub(super) fn new(
        lock: &'a RwLock<T>,
        claim: ReadClaim<'a, T>,
        obligation: Obligation,
    ) -> RwLockReadGuard<'a, T> {
        let unlock = Unlock { lock, turn: Turn::Writers, obligation: Some(obligation) };
        RwLockReadGuard { claim, unlock }
    }

    /// The lock this guard has locked.
    #[must_use]
    pub fn rwlock(guard: &RwLockReadGuard<'a, T>) -> &'a RwLock<T> {
        guard.unlock.lock
    }
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    pub(super) fn new(
        lock: &'a RwLock<T>,
        claim: WriteClaim<'a, T>,
        obligation: Obligation,
    ) -> RwLockWriteGuard<'a, T> {
        let unlock = Unlock { lock, turn: Turn::Readers, obligation: Some(obligation) };
        RwLockWriteGuard { claim, unlock }
    }

    /// The lock this guard has locked.
    #[must_use]
    pub fn rwlock(guard: &RwLockWriteGuard<'a, T>) -> &'a RwLock<T> {
        guard.unlock.lock
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.claim
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.claim
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.claim
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
