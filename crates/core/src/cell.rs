//! Storage for locks: a value and one claim on it, or many to read it.

mod part;
mod shared;

pub use part::{Owned, OwnedMut, OwnedRef, PartMut, PartRef};
pub use shared::{DetachedRead, DetachedWrite, ReadClaim, SharedCell, WriteClaim};

use crate::mutant::mutant;
use crate::primitive::{AtomicU32, Ordering, UnsafeCell};
use part::Release;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A value that one party at a time may claim, without waiting.
///
/// This is the part of a lock that needs `unsafe`; who waits, and in what order, is the business of
/// the lock built on it (a [`WaitQueue`](crate::WaitQueue) beside it). Uncontended, a claim is one
/// compare-and-swap and its release one atomic subtraction.
///
/// The word that says who has the value has room for one bit of the lock's own, the *mark*: somebody
/// stands in line. While it is set [`try_claim`](ExclusiveCell::try_claim) refuses, and whoever releases
/// a claim sees it. Because it is a bit of the same word, a release and a mark come in an order that both
/// see, and neither side needs a fence: either the one who marks finds the value free, or the one who
/// releases finds the mark.
///
/// # Invariants
/// In state `CLAIMED` exactly one `Claim` of this cell exists, in any other state none does; the value
/// is reached only through a `Claim`. `DETACHED` becomes `CLAIMED` by one compare-and-swap, so at most
/// one `attach` succeeds for each `detach`, whichever token it was given. The mark is beside the state
/// and says nothing about claims.
pub struct ExclusiveCell<T> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

const FREE: u32 = 0;
const CLAIMED: u32 = 1;
const DETACHED: u32 = 2;
/// Beside any of the three.
const MARKED: u32 = 4;

// SAFETY: a shared cell hands out `&mut T` to one thread at a time, so it moves the `T` between
// threads but never shares it: `T: Send` is what that takes.
unsafe impl<T: Send> Sync for ExclusiveCell<T> {}

impl<T> ExclusiveCell<T> {
    /// An unclaimed cell.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Self {
        ExclusiveCell { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// An unclaimed cell.
    #[cfg(loom)]
    pub fn new(value: T) -> Self {
        ExclusiveCell { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Claims the value if nobody has and the cell is not marked.
    #[inline]
    pub fn try_claim(&self) -> Option<Claim<'_, T>> {
        self.claim(FREE)
    }

    /// Claims the value of a marked cell if nobody has: for those who serve the line, or stand in it.
    pub fn try_claim_marked(&self) -> Option<Claim<'_, T>> {
        self.claim(FREE | MARKED)
    }

    #[inline]
    fn claim(&self, free: u32) -> Option<Claim<'_, T>> {
        // Acquire pairs with the Release in `Claim::drop`: what the last holder wrote is seen. (Marking
        // in between is a read-modify-write, which passes the release on.)
        self.state
            .compare_exchange(free, free | CLAIMED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            // INVARIANT: the state went from FREE to CLAIMED here, so this is the only claim.
            .then(|| Claim { cell: self })
    }

    /// Sets the mark.
    pub fn mark(&self) {
        self.state.fetch_or(MARKED, Ordering::Relaxed);
    }

    /// Takes the mark away.
    pub fn unmark(&self) {
        self.state.fetch_and(!MARKED, Ordering::Relaxed);
    }

    /// Whether the cell is marked. To whoever has just released a claim the answer is no older than the
    /// release.
    #[inline]
    pub fn is_marked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & MARKED != 0
    }

    /// Whether somebody holds the value; out of date at once.
    pub fn is_claimed(&self) -> bool {
        self.state.load(Ordering::Relaxed) & !MARKED != FREE
    }

    /// Turns a detached claim on this cell back into access to the value.
    ///
    /// # Panics
    /// When this cell's claim is not detached: the token is of another cell.
    pub fn attach(&self, detached: Detached) -> Claim<'_, T> {
        let _ = detached;
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            assert!(
                state & !MARKED == DETACHED,
                "a detached claim belongs to the cell it came from"
            );
            // Acquire pairs with the Release in `Claim::detach`.
            let attached = self.state.compare_exchange_weak(
                state,
                state - DETACHED + CLAIMED,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match attached {
                // INVARIANT: the state went from DETACHED, where no claim exists, to CLAIMED.
                Ok(_) => return Claim { cell: self },
                Err(now) => state = now,
            }
        }
    }

    /// Gives a detached claim up without touching the value.
    ///
    /// # Panics
    /// When this cell's claim is not detached: the token is of another cell.
    pub fn release(&self, detached: Detached) {
        drop(self.attach(detached));
    }

    /// The value, through the exclusive borrow.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self` proves that no claim borrows the cell; by the type invariant nothing else
        // reaches the value.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> fmt::Debug for ExclusiveCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusiveCell").field("claimed", &self.is_claimed()).finish_non_exhaustive()
    }
}

/// Access to a cell's value; released when dropped.
pub struct Claim<'a, T> {
    cell: &'a ExclusiveCell<T>,
}

// SAFETY: sharing a claim shares `&T`.
unsafe impl<T: Sync> Sync for Claim<'_, T> {}
// SAFETY: sending a claim sends `&mut T`. (The reference to the cell alone would ask the same.)
unsafe impl<T: Send> Send for Claim<'_, T> {}

impl<'a, T> Claim<'a, T> {
    /// The same claim, as one on the whole of a value of which parts can be taken.
    pub fn into_part(self) -> PartMut<'a, T> {
        let claim = ManuallyDrop::new(self);
        let cell: &'a ExclusiveCell<T> = claim.cell;
        // INVARIANT: this claim ends here without its `Drop`, and its right passes to the part.
        let release = Release::Exclusive(NonNull::from(&cell.state));
        // SAFETY: a cell's own address is not null.
        let value = cell.value.with_mut(|value| unsafe { NonNull::new_unchecked(value) });
        PartMut::new(value, release)
    }

    /// Keeps the cell claimed without borrowing it, so that the claim can be handed to a waiter.
    pub fn detach(self) -> Detached {
        let claim = ManuallyDrop::new(self);
        // INVARIANT: this claim ends here without its `Drop`. Release pairs with Acquire in `attach`.
        claim.cell.state.fetch_add(DETACHED - CLAIMED, Ordering::Release);
        Detached(())
    }
}

impl<T> Deref for Claim<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by the type invariant this claim is the only way to the value, and the borrow of
        // `self` keeps `deref_mut` away.
        self.cell.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for Claim<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the type invariant this claim is the only way to the value, borrowed mutably.
        self.cell.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for Claim<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let order = if mutant!(ReleaseRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        if mutant!(ReleaseLosesMark) {
            self.cell.state.store(FREE, order);
            return;
        }
        // INVARIANT: this claim's own bit is taken off; the mark beside it stays.
        self.cell.state.fetch_sub(CLAIMED, order);
    }
}

impl<T: fmt::Debug> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&**self).finish()
    }
}

/// The token of a detached claim: it can wait in a queue. Dropping it leaves the cell claimed for ever.
#[derive(Debug)]
#[must_use = "a dropped detached claim leaves its cell claimed for ever"]
pub struct Detached(());

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_claim_excludes_others_until_it_is_dropped() {
        let cell = ExclusiveCell::new(1);
        let mut claim = cell.try_claim().unwrap();
        assert!(cell.try_claim().is_none());
        *claim += 1;
        drop(claim);
        assert_eq!(*cell.try_claim().unwrap(), 2);
    }

    #[test]
    fn a_marked_cell_is_claimed_only_by_those_who_know_and_stays_marked() {
        let cell = ExclusiveCell::new(());
        cell.mark();
        assert!(cell.try_claim().is_none() && !cell.is_claimed());
        let claim = cell.try_claim_marked().unwrap();
        assert!(cell.try_claim_marked().is_none());
        let detached = claim.detach();
        assert!(cell.is_claimed() && cell.is_marked());
        let claim = cell.attach(detached);
        drop(claim.into_part());
        assert!(cell.is_marked() && !cell.is_claimed());
        cell.unmark();
        assert!(cell.try_claim_marked().is_none() && cell.try_claim().is_some());
    }

    #[test]
    fn a_detached_claim_comes_back_only_to_its_own_cell() {
        let (one, other) = (ExclusiveCell::new(1), ExclusiveCell::new(2));
        let detached = one.try_claim().unwrap().detach();
        assert!(one.try_claim().is_none());
        assert_eq!(*one.attach(detached), 1);
        let detached = one.try_claim().unwrap().detach();
        let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(other.attach(detached));
        }));
        assert!(wrong.is_err());
    }
}
