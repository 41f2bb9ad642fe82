//! Access to the value of a locked mutex.

use super::Mutex;
use asupersync_core::{Claim, Holding, OwnedMut, PartMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Access to the value of a locked [`Mutex`]; unlocks when dropped. An obligation of the abort
/// class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct MutexGuard<'a, T> {
    // Fields drop in this order: first the claim is released, then the line is served.
    claim: Claim<'a, T>,
    unlock: Unlock<&'a Mutex<T>>,
}

/// Access to a part of the value of a locked [`Mutex`], from [`MutexGuard::map`]; unlocks when dropped.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct MappedMutexGuard<'a, T, U: ?Sized> {
    // Fields drop in this order.
    part: PartMut<'a, U>,
    unlock: Unlock<&'a Mutex<T>>,
}

/// Access to the value of a locked [`Mutex`], or to a part `U` of it, that keeps the mutex alive instead
/// of borrowing it; unlocks when dropped. An obligation of the abort class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct OwnedMutexGuard<T: 'static, U: ?Sized + 'static = T> {
    // Fields drop in this order.
    claim: OwnedMut<Mutex<T>, U>,
    unlock: Unlock<Arc<Mutex<T>>>,
}

/// What is left to do after the claim was released.
struct Unlock<M: Serves> {
    // Fields drop in this order.
    _holding: Holding,
    line: Line<M>,
}

/// Serves the line when dropped.
struct Line<M: Serves>(M);

trait Serves {
    fn serve(&self);
}

impl<T, M: Deref<Target = Mutex<T>>> Serves for M {
    #[inline]
    fn serve(&self) {
        self.object.write();
        self.released();
    }
}

impl<M: Serves> Drop for Line<M> {
    #[inline]
    fn drop(&mut self) {
        self.0.serve();
    }
}

impl<'a, T> MutexGuard<'a, T> {
    #[inline]
    pub(super) fn new(
        mutex: &'a Mutex<T>,
        claim: Claim<'a, T>,
        holding: Holding,
    ) -> MutexGuard<'a, T> {
        MutexGuard { claim, unlock: Unlock { _holding: holding, line: Line(mutex) } }
    }

    /// The mutex this guard has locked.
    #[must_use]
    pub fn mutex(guard: &MutexGuard<'a, T>) -> &'a Mutex<T> {
        guard.unlock.line.0
    }

    /// A guard of a part of the value. If `part` panics, the mutex is unlocked.
    pub fn map<U: ?Sized>(
        guard: MutexGuard<'a, T>,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, T, U> {
        let MutexGuard { claim, unlock } = guard;
        MappedMutexGuard { part: claim.into_part().map(part), unlock }
    }

    /// A guard of a part of the value, if it has that part.
    ///
    /// # Errors
    /// A guard of the whole value, when it has not.
    pub fn try_map<U: ?Sized>(
        guard: MutexGuard<'a, T>,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, T, U>, MappedMutexGuard<'a, T, T>> {
        let MutexGuard { claim, unlock } = guard;
        match claim.into_part().try_map(part) {
            Ok(part) => Ok(MappedMutexGuard { part, unlock }),
            Err(part) => Err(MappedMutexGuard { part, unlock }),
        }
    }
}

impl<'a, T, U: ?Sized> MappedMutexGuard<'a, T, U> {
    /// A guard of a part of this part. If `part` panics, the mutex is unlocked.
    pub fn map<V: ?Sized>(
        guard: MappedMutexGuard<'a, T, U>,
        part: impl FnOnce(&mut U) -> &mut V,
    ) -> MappedMutexGuard<'a, T, V> {
        let MappedMutexGuard { part: whole, unlock } = guard;
        MappedMutexGuard { part: whole.map(part), unlock }
    }
}

impl<T, U: ?Sized> OwnedMutexGuard<T, U> {
    pub(super) fn new(
        mutex: Arc<Mutex<T>>,
        claim: OwnedMut<Mutex<T>, U>,
        holding: Holding,
    ) -> OwnedMutexGuard<T, U> {
        OwnedMutexGuard { claim, unlock: Unlock { _holding: holding, line: Line(mutex) } }
    }

    /// The mutex this guard has locked.
    #[must_use]
    pub fn mutex(guard: &OwnedMutexGuard<T, U>) -> &Arc<Mutex<T>> {
        &guard.unlock.line.0
    }

    /// A guard of a part of the value. If `part` panics, the mutex is unlocked.
    pub fn map<V: ?Sized>(
        guard: OwnedMutexGuard<T, U>,
        part: impl FnOnce(&mut U) -> &mut V,
    ) -> OwnedMutexGuard<T, V> {
        let OwnedMutexGuard { claim, unlock } = guard;
        OwnedMutexGuard { claim: claim.map(part), unlock }
    }
}

macro_rules! access {
    ($guard:ty, $value:ty, $field:ident, [$($generics:tt)*]) => {
        impl<$($generics)*> Deref for $guard {
            type Target = $value;

            #[inline]
            fn deref(&self) -> &$value {
                &self.$field
            }
        }

        impl<$($generics)*> DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $value {
                &mut self.$field
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

        impl<$($generics)*> fmt::Display for $guard
        where
            $value: fmt::Display,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

access!(MutexGuard<'_, T>, T, claim, [T]);
access!(MappedMutexGuard<'_, T, U>, U, part, [T, U: ?Sized]);
access!(OwnedMutexGuard<T, U>, U, claim, [T, U: ?Sized]);
