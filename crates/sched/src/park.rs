//! Putting workers to sleep, one of them inside the driver.
//!
//! ```text
//!                park: driver free          unpark
//!        EMPTY ────────────────────▶ DRIVER ──────▶ NOTIFIED ──▶ (park consumes) EMPTY
//!          │  └─ park: driver taken ▶ CONDVAR ─────▶ NOTIFIED
//!          └──────────── unpark ───────────────────▶ NOTIFIED
//! ```
//!
//! Every transition is a read-modify-write of one word, so an unpark is either seen by the park that
//! follows it or finds the parked state and ends it: it is never lost. Several unparks before a park
//! count as one.

use crate::sync::{AtomicUsize, Condvar, Exclusive, Mutex, Ordering, weakened};
use asupersync_core::WakeList;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a worker sleeps in while it waits for the outside world: a reactor.
///
/// One worker at a time holds it.
pub trait Park: Send + 'static {
    /// Waits for events, at most this long, and collects the wakers of those they concern; the worker
    /// wakes them when it has given the driver up. `None` waits until there are events or an
    /// [`unpark`](Unpark::unpark); zero only looks.
    fn park(&mut self, timeout: Option<Duration>, wakers: &mut WakeList);

    /// The handle that ends a wait from another thread.
    fn unparker(&self) -> Arc<dyn Unpark>;
}

/// Ends the present wait of a [`Park`], or the next one.
pub trait Unpark: Send + Sync + 'static {
    /// Makes the present or next `park` return at once.
    fn unpark(&self);
}

/// The driver and who may sleep in it.
pub struct DriverSeat {
    driver: Exclusive<Box<dyn Park>>,
    unparker: Arc<dyn Unpark>,
}

impl DriverSeat {
    /// A seat with nobody in it.
    #[must_use]
    pub fn new(driver: Box<dyn Park>) -> DriverSeat {
        let unparker = driver.unparker();
        DriverSeat { driver: Exclusive::new(driver), unparker }
    }

    /// Looks for events without waiting, unless somebody else is in the seat; false in that case.
    #[must_use = "an empty seat is a place for a worker that sleeps elsewhere"]
    pub fn poll(&self, wakers: &mut WakeList) -> bool {
        match self.driver.try_lock() {
            Some(mut driver) => {
                driver.park(Some(Duration::ZERO), wakers);
                true
            }
            None => false,
        }
    }
}

impl fmt::Debug for DriverSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverSeat").finish_non_exhaustive()
    }
}

const EMPTY: usize = 0;
const CONDVAR: usize = 1;
const DRIVER: usize = 2;
const NOTIFIED: usize = 3;

/// One worker's place to sleep. Only its owner parks; anybody unparks.
#[derive(Debug)]
pub struct Parker {
    state: AtomicUsize,
    mutex: Mutex<()>,
    condvar: Condvar,
}

impl Parker {
    /// A parker with no unpark pending.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "made by the scheduler only")]
    pub fn new() -> Parker {
        let (state, mutex) = (AtomicUsize::new(EMPTY), Mutex::new(()));
        Parker { state, mutex, condvar: Condvar::new() }
    }

    /// Sleeps until unparked or the time is up; in the driver's seat if it is free, and then also
    /// until there are events. Returns at once if unparked since the last park.
    pub fn park(&self, seat: &DriverSeat, timeout: Option<Duration>, wakers: &mut WakeList) {
        match seat.driver.try_lock() {
            Some(mut driver) => {
                if self.enter(DRIVER) {
                    driver.park(timeout, wakers);
                    // Parked or notified, both end here. Acquire pairs with the unpark's release.
                    self.state.swap(EMPTY, Ordering::AcqRel);
                }
            }
            None => self.park_on_condvar(timeout),
        }
    }

    fn park_on_condvar(&self, timeout: Option<Duration>) {
        let mut guard = self.mutex.lock();
        if !self.enter(CONDVAR) {
            return;
        }
        loop {
            let timed_out;
            (guard, timed_out) = self.condvar.wait(guard, timeout);
            let notified = self.state.load(Ordering::Acquire) == NOTIFIED;
            // A spurious wake-up with a timeout ends the park too: the caller looks at its clock.
            if notified || timed_out || timeout.is_some() {
                self.state.swap(EMPTY, Ordering::AcqRel);
                return;
            }
        }
    }

    /// Goes from empty to parked; consumes a pending unpark instead and answers false.
    fn enter(&self, parked: usize) -> bool {
        match self.state.compare_exchange(EMPTY, parked, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(_) => {
                self.state.swap(EMPTY, Ordering::AcqRel);
                false
            }
        }
    }

    /// Ends the owner's present or next park.
    pub fn unpark(&self, seat: &DriverSeat) {
        // Release: what the caller did before is visible to the owner after its park.
        match self.state.swap(NOTIFIED, Ordering::AcqRel) {
            CONDVAR => {
                // The owner set its state under the mutex, and gives the mutex up only in the wait.
                // So once the mutex is ours, the owner is in the wait, and hears the notification.
                if !weakened!(UnparkWithoutMutex) {
                    drop(self.mutex.lock());
                }
                self.condvar.notify_one();
            }
            DRIVER => seat.unparker.unpark(),
            _ => {}
        }
    }
}
