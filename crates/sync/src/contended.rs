//! A mutex that measures itself.

use crate::histogram::Histogram;
use crate::mutex::{Mutex, MutexGuard};
use asupersync_core::cap::HasTime;
use asupersync_core::{Cancelled, Cx, Time};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A [`Mutex`] that counts how long tasks wait for it and how long they hold it.
///
/// Time is the host's, through the context that locks: virtual in the lab. Measuring costs two readings
/// of the clock and some atomic additions each time; everything else is as in [`Mutex`].
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// use asupersync_sync::ContendedMutex;
///
/// async fn report(cx: &Cx, hits: &ContendedMutex<u64>) -> Result<(), Error> {
///     *hits.lock(cx).await? += 1;
///     let held = hits.stats().hold.quantile(0.99);
///     cx.trace(format!("99 of 100 hold it for at most {held:?}"));
///     Ok(())
/// }
/// ```
pub struct ContendedMutex<T> {
    mutex: Mutex<T>,
    stats: Contention,
}

/// What a [`ContendedMutex`] has measured.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Contention {
    /// From asking for the lock to having it; zero for those who had it at once. Those who were
    /// cancelled or gave up are not in it.
    pub wait: Histogram,
    /// From having the lock to giving it back. Guards that still hold it are not in it.
    pub hold: Histogram,
    contended: AtomicU64,
}

impl Contention {
    /// How many had to wait, those included who were cancelled meanwhile.
    #[must_use]
    pub fn contended(&self) -> u64 {
        self.contended.load(Ordering::Relaxed)
    }
}

impl<T> ContendedMutex<T> {
    /// An unlocked mutex around `value`.
    #[must_use]
    pub fn new(value: T) -> ContendedMutex<T> {
        ContendedMutex { mutex: Mutex::new(value), stats: Contention::default() }
    }

    /// Waits for the lock.
    ///
    /// # Cancel safety
    /// As [`Mutex::lock`]: nothing is lost, and a cancel request is answered within one poll.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn lock<'a, C: HasTime>(
        &'a self,
        cx: &'a Cx<C>,
    ) -> impl Future<Output = Result<ContendedGuard<'a, T, C>, Cancelled>> {
        let site = Location::caller();
        let locking = self.mutex.lock(cx);
        async move {
            cx.checkpoint()?;
            let (guard, waited) = match self.mutex.try_lock_at(cx, site) {
                Some(guard) => (guard, Duration::ZERO),
                None => {
                    self.stats.contended.fetch_add(1, Ordering::Relaxed);
                    let asked = cx.now();
                    let guard = locking.await?;
                    (guard, cx.now().saturating_since(asked))
                }
            };
            Ok(self.guard(cx, guard, waited))
        }
    }

    /// The lock, if it is free and nobody stands in line.
    #[track_caller]
    pub fn try_lock<'a, C: HasTime>(&'a self, cx: &'a Cx<C>) -> Option<ContendedGuard<'a, T, C>> {
        let guard = self.mutex.try_lock(cx)?;
        Some(self.guard(cx, guard, Duration::ZERO))
    }

    fn guard<'a, C: HasTime>(
        &'a self,
        cx: &'a Cx<C>,
        guard: MutexGuard<'a, T>,
        waited: Duration,
    ) -> ContendedGuard<'a, T, C> {
        self.stats.wait.record(waited);
        ContendedGuard { held: Held { cx, since: cx.now(), hold: &self.stats.hold }, guard }
    }

    /// What was measured so far.
    #[must_use]
    pub fn stats(&self) -> &Contention {
        &self.stats
    }

    /// The value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.mutex.into_inner()
    }

    /// The value in place.
    pub fn get_mut(&mut self) -> &mut T {
        self.mutex.get_mut()
    }
}

impl<T: Default> Default for ContendedMutex<T> {
    fn default() -> ContendedMutex<T> {
        ContendedMutex::new(T::default())
    }
}

impl<T> fmt::Debug for ContendedMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContendedMutex").field("stats", &self.stats).finish_non_exhaustive()
    }
}

/// Access to the value of a locked [`ContendedMutex`]; unlocks when dropped. An obligation of the abort
/// class.
#[must_use = "a guard that is dropped at once locks nothing"]
pub struct ContendedGuard<'a, T, C: HasTime> {
    // Fields drop in this order: the time counts until the lock is given back.
    held: Held<'a, C>,
    guard: MutexGuard<'a, T>,
}

struct Held<'a, C: HasTime> {
    cx: &'a Cx<C>,
    since: Time,
    hold: &'a Histogram,
}

impl<C: HasTime> Drop for Held<'_, C> {
    fn drop(&mut self) {
        self.hold.record(self.cx.now().saturating_since(self.since));
    }
}

impl<T, C: HasTime> ContendedGuard<'_, T, C> {
    /// Since when this guard holds the lock.
    #[must_use]
    pub fn since(guard: &Self) -> Time {
        guard.held.since
    }
}

impl<T, C: HasTime> Deref for ContendedGuard<'_, T, C> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T, C: HasTime> DerefMut for ContendedGuard<'_, T, C> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: fmt::Debug, C: HasTime> fmt::Debug for ContendedGuard<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
