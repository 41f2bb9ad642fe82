//! Access to the value of a locked lock.

use super::{READ, RwLock, Turn};
use crate::mutant::mutant;
use asupersync_core::{
    Holding, OwnedMut, OwnedRef, PartMut, PartRef, ReadClaim, TaskCx, WriteClaim,
};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;

/// Shared access to the value of a [`RwLock`]; unlocks when dropped. An obligation of the abort class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct RwLockReadGuard<'a, T> {
    // In this and all the others fields drop in this order: first the claim is released, then the lines
    // are served.
    claim: ReadClaim<'a, T>,
    unlock: Unlock<&'a RwLock<T>>,
}

/// Exclusive access to the value of a [`RwLock`]; unlocks when dropped. An obligation of the abort
/// class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct RwLockWriteGuard<'a, T> {
    claim: WriteClaim<'a, T>,
    unlock: Unlock<&'a RwLock<T>>,
}

/// Shared access to a part of the value, from [`RwLockReadGuard::map`]; unlocks when dropped.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct MappedRwLockReadGuard<'a, T, U: ?Sized> {
    part: PartRef<'a, U>,
    unlock: Unlock<&'a RwLock<T>>,
}

/// Exclusive access to a part of the value, from [`RwLockWriteGuard::map`]; unlocks when dropped.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct MappedRwLockWriteGuard<'a, T, U: ?Sized> {
    part: PartMut<'a, U>,
    unlock: Unlock<&'a RwLock<T>>,
}

/// Shared access to the value, or to a part `U` of it, that keeps the lock alive instead of borrowing it;
/// unlocks when dropped. An obligation of the abort class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct OwnedRwLockReadGuard<T: 'static, U: ?Sized + 'static = T> {
    claim: OwnedRef<RwLock<T>, U>,
    unlock: Unlock<Arc<RwLock<T>>>,
}

/// Exclusive access to the value, or to a part `U` of it, that keeps the lock alive instead of borrowing
/// it; unlocks when dropped. An obligation of the abort class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct OwnedRwLockWriteGuard<T: 'static, U: ?Sized + 'static = T> {
    claim: OwnedMut<RwLock<T>, U>,
    unlock: Unlock<Arc<RwLock<T>>>,
}

/// What is left to do after the claim was released.
struct Unlock<L: Serves> {
    // Fields drop in this order.
    _holding: Holding,
    lines: Lines<L>,
}

/// Serves the lines when dropped.
struct Lines<L: Serves> {
    lock: L,
    turn: Turn,
}

trait Serves {
    fn serve(&self, turn: Turn);
}

impl<T, L: Deref<Target = RwLock<T>>> Serves for L {
    #[inline]
    fn serve(&self, turn: Turn) {
        self.object.write();
        self.released(turn);
    }
}

impl<L: Serves> Unlock<L> {
    fn new(lock: L, turn: Turn, holding: Holding) -> Unlock<L> {
        Unlock { _holding: holding, lines: Lines { lock, turn } }
    }
}

impl<L: Serves> Drop for Lines<L> {
    #[inline]
    fn drop(&mut self) {
        if self.turn == Turn::Writers && mutant!(ReaderLeavesSilently) {
            return;
        }
        self.lock.serve(self.turn);
    }
}

impl<'a, T> RwLockReadGuard<'a, T> {
    pub(super) fn new(
        lock: &'a RwLock<T>,
        claim: ReadClaim<'a, T>,
        holding: Holding,
    ) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { claim, unlock: Unlock::new(lock, Turn::Writers, holding) }
    }

    /// The lock this guard has locked.
    #[must_use]
    pub fn rwlock(guard: &RwLockReadGuard<'a, T>) -> &'a RwLock<T> {
        guard.unlock.lines.lock
    }

    /// A guard of a part of the value. If `part` panics, the lock is unlocked.
    pub fn map<U: ?Sized>(
        guard: RwLockReadGuard<'a, T>,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, T, U> {
        let RwLockReadGuard { claim, unlock } = guard;
        MappedRwLockReadGuard { part: claim.into_part().map(part), unlock }
    }
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    pub(super) fn new(
        lock: &'a RwLock<T>,
        claim: WriteClaim<'a, T>,
        holding: Holding,
    ) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { claim, unlock: Unlock::new(lock, Turn::Readers, holding) }
    }

    /// The lock this guard has locked.
    #[must_use]
    pub fn rwlock(guard: &RwLockWriteGuard<'a, T>) -> &'a RwLock<T> {
        guard.unlock.lines.lock
    }

    /// A guard of a part of the value. If `part` panics, the lock is unlocked.
    pub fn map<U: ?Sized>(
        guard: RwLockWriteGuard<'a, T>,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, T, U> {
        let RwLockWriteGuard { claim, unlock } = guard;
        MappedRwLockWriteGuard { part: claim.into_part().map(part), unlock }
    }

    /// Shared access instead of exclusive, held by the task of `cx`. Nobody can write in between, and
    /// readers that wait enter beside it.
    #[track_caller]
    pub fn downgrade(guard: RwLockWriteGuard<'a, T>, cx: &TaskCx) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { claim, unlock } = guard;
        let lock = unlock.lines.lock;
        let holding = cx.holding_at(&READ, Location::caller());
        let reader = RwLockReadGuard::new(lock, claim.downgrade(), holding);
        // Ends the writer's obligation, and lets the readers in whose turn it is.
        drop(unlock);
        reader
    }
}

impl<'a, T, U: ?Sized> MappedRwLockReadGuard<'a, T, U> {
    /// A guard of a part of this part. If `part` panics, the lock is unlocked.
    pub fn map<V: ?Sized>(
        guard: MappedRwLockReadGuard<'a, T, U>,
        part: impl FnOnce(&U) -> &V,
    ) -> MappedRwLockReadGuard<'a, T, V> {
        let MappedRwLockReadGuard { part: whole, unlock } = guard;
        MappedRwLockReadGuard { part: whole.map(part), unlock }
    }
}

impl<'a, T, U: ?Sized> MappedRwLockWriteGuard<'a, T, U> {
    /// A guard of a part of this part. If `part` panics, the lock is unlocked.
    pub fn map<V: ?Sized>(
        guard: MappedRwLockWriteGuard<'a, T, U>,
        part: impl FnOnce(&mut U) -> &mut V,
    ) -> MappedRwLockWriteGuard<'a, T, V> {
        let MappedRwLockWriteGuard { part: whole, unlock } = guard;
        MappedRwLockWriteGuard { part: whole.map(part), unlock }
    }
}

impl<T, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    pub(super) fn new(
        lock: Arc<RwLock<T>>,
        claim: OwnedRef<RwLock<T>, U>,
        holding: Holding,
    ) -> OwnedRwLockReadGuard<T, U> {
        OwnedRwLockReadGuard { claim, unlock: Unlock::new(lock, Turn::Writers, holding) }
    }

    /// The lock this guard has locked.
    #[must_use]
    pub fn rwlock(guard: &OwnedRwLockReadGuard<T, U>) -> &Arc<RwLock<T>> {
        &guard.unlock.lines.lock
    }

    /// A guard of a part of the value. If `part` panics, the lock is unlocked.
    pub fn map<V: ?Sized>(
        guard: OwnedRwLockReadGuard<T, U>,
        part: impl FnOnce(&U) -> &V,
    ) -> OwnedRwLockReadGuard<T, V> {
        let OwnedRwLockReadGuard { claim, unlock } = guard;
        OwnedRwLockReadGuard { claim: claim.map(part), unlock }
    }
}

impl<T, U: ?Sized> OwnedRwLockWriteGuard<T, U> {
    pub(super) fn new(
        lock: Arc<RwLock<T>>,
        claim: OwnedMut<RwLock<T>, U>,
        holding: Holding,
    ) -> OwnedRwLockWriteGuard<T, U> {
        OwnedRwLockWriteGuard { claim, unlock: Unlock::new(lock, Turn::Readers, holding) }
    }

    /// The lock this guard has locked.
    #[must_use]
    pub fn rwlock(guard: &OwnedRwLockWriteGuard<T, U>) -> &Arc<RwLock<T>> {
        &guard.unlock.lines.lock
    }

    /// A guard of a part of the value. If `part` panics, the lock is unlocked.
    pub fn map<V: ?Sized>(
        guard: OwnedRwLockWriteGuard<T, U>,
        part: impl FnOnce(&mut U) -> &mut V,
    ) -> OwnedRwLockWriteGuard<T, V> {
        let OwnedRwLockWriteGuard { claim, unlock } = guard;
        OwnedRwLockWriteGuard { claim: claim.map(part), unlock }
    }
}

macro_rules! read {
    ($guard:ty, $value:ty, $field:ident, [$($generics:tt)*]) => {
        impl<$($generics)*> Deref for $guard {
            type Target = $value;

            #[inline]
            fn deref(&self) -> &$value {
                &self.$field
            }
        }

        impl<$($generics)*> fmt::Debug for $guard
        where
            $value: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

macro_rules! write {
    ($guard:ty, $value:ty, $field:ident, [$($generics:tt)*]) => {
        read!($guard, $value, $field, [$($generics)*]);

        impl<$($generics)*> DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $value {
                &mut self.$field
            }
        }
    };
}

read!(RwLockReadGuard<'_, T>, T, claim, [T]);
read!(MappedRwLockReadGuard<'_, T, U>, U, part, [T, U: ?Sized]);
read!(OwnedRwLockReadGuard<T, U>, U, claim, [T, U: ?Sized]);
write!(RwLockWriteGuard<'_, T>, T, claim, [T]);
write!(MappedRwLockWriteGuard<'_, T, U>, U, part, [T, U: ?Sized]);
write!(OwnedRwLockWriteGuard<T, U>, U, claim, [T, U: ?Sized]);
