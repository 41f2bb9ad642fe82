//! The one door for synchronisation: `std`, or loom under `cfg(loom)`.
//!
//! Crates of the family import atomics and mutexes from here, so that a loom model sees every
//! access. Poisoning is ignored: the family's critical sections run no foreign code, so a panic
//! cannot leave their data half changed.

#[cfg(not(loom))]
mod imp {
    pub use std::sync::Arc;
    use std::sync::TryLockError;
    pub use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// Exclusive access to a value; held for short, wait-free sections only.
    #[derive(Debug, Default)]
    pub struct Mutex<T: ?Sized>(std::sync::Mutex<T>);

    /// Access to a [`Mutex`]'s value until dropped.
    pub type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

    impl<T> Mutex<T> {
        /// A mutex around `value`.
        pub const fn new(value: T) -> Self {
            Mutex(std::sync::Mutex::new(value))
        }

        /// Takes the value out.
        pub fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    impl<T: ?Sized> Mutex<T> {
        /// Waits for exclusive access.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// As [`lock`](Mutex::lock), for locks that threads take in quick succession: who finds it taken
        /// keeps away from its cache line for a moment, by [`back_off`](super::back_off), a few times at
        /// most. Meanwhile the other one has many turns, each far cheaper than one for which the line
        /// changes processors.
        #[inline]
        pub fn lock_backing_off(&self) -> MutexGuard<'_, T> {
            self.try_lock().unwrap_or_else(|| self.back_off_and_lock())
        }

        #[cold]
        fn back_off_and_lock(&self) -> MutexGuard<'_, T> {
            for attempt in 0..super::BACK_OFFS {
                super::back_off(attempt);
                if let Some(guard) = self.try_lock() {
                    return guard;
                }
            }
            self.lock()
        }

        #[inline]
        fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poison)) => Some(poison.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }

        /// The value, through the exclusive borrow.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// `std`'s cell with loom's closure interface.
    #[derive(Debug)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A cell around `value`.
        pub const fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        /// Passes a pointer to the value for reading.
        #[inline]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Passes a pointer to the value for writing.
        #[inline]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }

        /// Takes the value out.
        pub fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }
}

#[cfg(loom)]
mod imp {
    pub use loom::sync::Arc;
    pub use loom::sync::MutexGuard;
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// Loom's mutex with `std`'s shape.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// A mutex around `value`.
        pub fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        /// Takes the value out.
        pub fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Waits for exclusive access.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// As [`lock`](Mutex::lock): a model has no cache lines.
        pub fn lock_backing_off(&self) -> MutexGuard<'_, T> {
            self.lock()
        }

        /// The value, through the exclusive borrow.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// Loom's cell, which checks that accesses do not overlap.
    #[derive(Debug)]
    pub struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A cell around `value`.
        pub fn new(value: T) -> Self {
            UnsafeCell(loom::cell::UnsafeCell::new(value))
        }

        /// Passes a pointer to the value for reading.
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            self.0.with(f)
        }

        /// Passes a pointer to the value for writing.
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            self.0.with_mut(f)
        }

        /// Takes the value out.
        pub fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }
}

pub use imp::*;

use std::ops::Deref;

/// How often [`Mutex::lock_backing_off`] backs off before it waits as any lock does: two or three
/// microseconds in all.
#[cfg(not(loom))]
const BACK_OFFS: u32 = 4;

/// Keeps away from memory that another thread is working on, for a fraction of a microsecond and twice as
/// long with each attempt, up to the fourth. Without effect under loom.
#[inline]
pub fn back_off(attempt: u32) {
    if cfg!(not(loom)) {
        for _ in 0..8 << attempt.min(3) {
            std::hint::spin_loop();
        }
    }
}

/// A value on cache lines of its own, for what one thread writes while another one writes its neighbour.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct CachePadded<T>(pub T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
