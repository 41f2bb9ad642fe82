//! A fair mutex.

mod guard;

pub use guard::{MappedMutexGuard, MutexGuard, OwnedMutexGuard};

use crate::blocking;
use crate::mutant::mutant;
use crate::promptly::{at_once, promptly};
use asupersync_core::{
    Cancelled, Claim, Detached, ExclusiveCell, Holding, Object, ObligationKind, OwnedMut, Removed,
    TaskCx, Wait, WaitKey, WaitQueue, WakeList, primitive,
};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

static GUARD: ObligationKind = ObligationKind::abort_on_drop("Mutex::Guard");

/// Mutual exclusion between tasks, first come, first served.
///
/// The lock is handed from holder to waiter directly, so nobody overtakes the line. Uncontended, it
/// is one compare-and-swap. The guard is an obligation: the inspector names the task and source
/// line that holds it.
///
/// # Poisoning
/// There is none, on purpose: a guard dropped by a panic unlocks, and the next holder sees whatever the
/// panicking one left. A mark on the lock would turn one panic into an error in every task that shares
/// it, while a panic already has a place to go: it is the outcome of the task and, under the fail-fast
/// policy, cancels the siblings that could see the value. A guard is dropped in mid-change by a
/// cancellation just as well, so a value that can be left half-changed keeps its own mark of that.
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// use asupersync_sync::Mutex;
///
/// async fn count(cx: &Cx, hits: &Mutex<u64>) -> Result<(), Error> {
///     *hits.lock(cx).await? += 1;
///     Ok(())
/// }
/// ```
pub struct Mutex<T> {
    /// Marked while somebody stands in line; the mark changes under the line's lock.
    cell: ExclusiveCell<T>,
    /// A granted waiter's payload is the claim handed to it.
    line: primitive::Mutex<WaitQueue<Option<Detached>>>,
    object: Object,
}

impl<T> Mutex<T> {
    /// An unlocked mutex around `value`.
    #[must_use]
    pub fn new(value: T) -> Mutex<T> {
        Mutex {
            cell: ExclusiveCell::new(value),
            line: primitive::Mutex::new(WaitQueue::new()),
            object: Object::new("Mutex"),
        }
    }

    /// Waits for the lock.
    ///
    /// A task that already holds the lock and asks again waits for itself; the lab reports it.
    ///
    /// # Cancel safety
    /// Nothing is lost. A waiter that is cancelled or dropped gives up its place; the lock, if it had
    /// already been handed over, goes to the next in line. A cancel request is answered within one
    /// poll.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn lock<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<MutexGuard<'a, T>, Cancelled>> {
        let site = Location::caller();
        promptly(
            move || at_once(cx, || self.claim_free()),
            move || self.claim_in_turn(cx, site),
            move |claim| Ok(MutexGuard::new(self, claim?, cx.holding_at(&GUARD, site))),
        )
    }

    /// Waits for the lock; the guard keeps the mutex alive instead of borrowing it.
    ///
    /// # Cancel safety
    /// As [`lock`](Mutex::lock).
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn lock_owned<'a>(
        self: &'a Arc<Self>,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<OwnedMutexGuard<T>, Cancelled>>
    where
        T: 'static,
    {
        let site = Location::caller();
        async move {
            cx.checkpoint()?;
            let claim = match self.claim_owned() {
                Some(claim) => claim,
                None => {
                    let claim = self.claim_in_turn(cx, site).await?.detach();
                    OwnedMut::of(Arc::clone(self), |mutex| mutex.cell.attach(claim).into_part())
                }
            };
            Ok(OwnedMutexGuard::new(Arc::clone(self), claim, cx.holding_at(&GUARD, site)))
        }
    }

    /// The lock, if it is free and nobody stands in line; the guard keeps the mutex alive.
    #[track_caller]
    pub fn try_lock_owned(self: &Arc<Self>, cx: &TaskCx) -> Option<OwnedMutexGuard<T>>
    where
        T: 'static,
    {
        let Some(claim) = self.claim_owned() else {
            self.object.read();
            return None;
        };
        let holding = cx.holding_at(&GUARD, Location::caller());
        Some(OwnedMutexGuard::new(Arc::clone(self), claim, holding))
    }

    /// Waits for the lock by parking the thread: for plain threads, and for closures on the blocking pool.
    /// They stand in the same line as tasks. Nothing cancels it, and no report names the holder.
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        let claim = self.claim_free().unwrap_or_else(|| {
            let mut place = Place { mutex: self, key: None };
            blocking::wait(|context| place.poll(context))
        });
        MutexGuard::new(self, claim, Holding::of_a_thread())
    }

    /// How many tasks and threads wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.object.read();
        self.line.lock().len()
    }

    fn claim_owned(self: &Arc<Self>) -> Option<OwnedMut<Mutex<T>, T>>
    where
        T: 'static,
    {
        let claim =
            OwnedMut::claim(Arc::clone(self), |mutex| Some(mutex.claim_free()?.into_part()));
        claim.ok()
    }

    /// The lock, after standing in line for it.
    fn claim_in_turn<'a>(
        &'a self,
        cx: &'a TaskCx,
        site: &'static Location<'static>,
    ) -> Wait<'a, impl FnMut(&mut Context<'_>) -> Poll<Claim<'a, T>>> {
        let mut place = Place { mutex: self, key: None };
        cx.wait_at("Mutex::lock", site, move |context| place.poll(context))
    }

    /// The lock, if it is free and nobody stands in line.
    #[track_caller]
    pub fn try_lock(&self, cx: &TaskCx) -> Option<MutexGuard<'_, T>> {
        self.try_lock_at(cx, Location::caller())
    }

    pub(crate) fn try_lock_at(
        &self,
        cx: &TaskCx,
        site: &'static Location<'static>,
    ) -> Option<MutexGuard<'_, T>> {
        let Some(claim) = self.claim_free() else {
            self.object.read();
            return None;
        };
        Some(MutexGuard::new(self, claim, cx.holding_at(&GUARD, site)))
    }

    /// The value; no locking is needed to take a mutex apart.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.cell.into_inner()
    }

    /// The value in place; exclusive access to the mutex is exclusive access to its value.
    pub fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }

    #[inline]
    fn claim_free(&self) -> Option<Claim<'_, T>> {
        let claim = self.cell.try_claim()?;
        self.object.write();
        Some(claim)
    }

    /// The lock, after marking the cell.
    fn look_again(&self) -> Option<Claim<'_, T>> {
        if mutant!(EntryWithoutSecondLook) {
            return None;
        }
        self.cell.try_claim_marked()
    }

    /// Hands the free lock to the head of the line, if there is one. Whoever releases a claim of the marked
    /// cell owes this call.
    #[cold]
    fn pass_on(&self) {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        if let Some(turn) = line.front_mut() {
            // Refused: somebody who saw an empty line took the lock in between. It will see the mark
            // when it unlocks.
            if let Some(claim) = self.cell.try_claim_marked() {
                *turn = Some(claim.detach());
                wakes.extend(line.grant_front());
                if line.is_empty() {
                    self.cell.unmark();
                }
            }
        }
        drop(line);
        wakes.wake();
    }

    /// After a release: looks whether anybody waits.
    #[inline]
    fn released(&self) {
        if self.cell.is_marked() {
            self.pass_on();
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("waiting", &self.line.lock().len()).finish_non_exhaustive()
    }
}

/// A place in line that is given up when dropped.
struct Place<'a, T> {
    mutex: &'a Mutex<T>,
    key: Option<WaitKey>,
}

impl<'a, T> Place<'a, T> {
    // Out of the way of those who need not wait.
    #[cold]
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Claim<'a, T>> {
        let mutex = self.mutex;
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut line = mutex.line.lock();
        let Some(key) = &self.key else {
            mutex.object.write();
            if line.is_empty() {
                // Announced first: a holder who releases from here on sees the mark and hands the lock
                // over, one who released before has left it free.
                mutex.cell.mark();
                if let Some(claim) = mutex.look_again() {
                    mutex.cell.unmark();
                    drop(line);
                    return Poll::Ready(claim);
                }
            }
            let waker = waker.take().unwrap_or_else(|| context.waker().clone());
            self.key = Some(line.push_back(None, waker));
            return Poll::Pending;
        };
        let turn = line.poll(key, &mut waker);
        drop(line);
        let Some(turn) = turn else { return Poll::Pending };
        self.key = None;
        match turn {
            Some(detached) => Poll::Ready(mutex.cell.attach(detached)),
            None => unreachable!("a granted waiter was given the claim"),
        }
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mutex = self.mutex;
        mutex.object.write();
        let mut waker = None;
        let mut line = mutex.line.lock();
        let removed = line.remove(key, &mut waker);
        if line.is_empty() {
            mutex.cell.unmark();
        }
        drop(line);
        if let Removed::Granted(Some(detached)) = removed {
            if mutant!(GrantNotPassedOn) {
                return;
            }
            mutex.cell.release(detached);
            mutex.released();
        }
    }
}
