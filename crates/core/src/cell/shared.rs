//! Storage for locks with many readers: a value, and one writer or any number of readers.

use super::part::{PartMut, PartRef, Release};
use crate::mutant::mutant;
use crate::primitive::{AtomicU64, Ordering, UnsafeCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A value that one writer or many readers at a time may claim, without waiting.
///
/// What [`ExclusiveCell`](crate::ExclusiveCell) is to a mutex, this is to a read-write lock: the part
/// that needs `unsafe`. Uncontended, a claim is one compare-and-swap and its release one atomic
/// operation. It has the same mark.
///
/// # Invariants
/// One word says which claims exist: `READ` counts the `ReadClaim`s, `DETACHED` the read claims that
/// were detached, and one bit each stands for a `WriteClaim` and a detached one. Either both bits are
/// clear, or exactly one is set and both counts are zero. The value is reached only through a claim.
/// The mark is one more bit, which says nothing about claims.
/// Attaching takes one off `DETACHED` (or clears its bit) and adds the claim in one compare-and-swap, so
/// there are never more claims than were made, whichever tokens were given.
pub struct SharedCell<T> {
    state: AtomicU64,
    value: UnsafeCell<T>,
}

const FREE: u64 = 0;
const READ: u64 = 1;
const DETACHED: u64 = 1 << 30;
const COUNT: u64 = DETACHED - 1;
const MARKED: u64 = 1 << 60;
const WRITE: u64 = 1 << 62;
const WRITE_DETACHED: u64 = 1 << 63;

fn readers(state: u64) -> u64 {
    state & COUNT
}

fn detached(state: u64) -> u64 {
    (state / DETACHED) & COUNT
}

// SAFETY: a shared cell hands out `&mut T` to one thread at a time, which takes `T: Send`, and `&T` to
// several at once, which takes `T: Sync`. Claims hold a reference to the cell and so ask the same.
unsafe impl<T: Send + Sync> Sync for SharedCell<T> {}

impl<T> SharedCell<T> {
    /// An unclaimed cell.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Self {
        SharedCell { state: AtomicU64::new(FREE), value: UnsafeCell::new(value) }
    }

    /// An unclaimed cell.
    #[cfg(loom)]
    pub fn new(value: T) -> Self {
        SharedCell { state: AtomicU64::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Claims the value for reading, unless it is claimed for writing or the cell is marked.
    ///
    /// Refused too when 2^30 - 1 read claims exist, which takes that many that were forgotten.
    #[inline]
    pub fn try_read(&self) -> Option<ReadClaim<'_, T>> {
        self.read(MARKED)
    }

    /// As [`try_read`](SharedCell::try_read), whether or not the cell is marked: for those who serve the
    /// line, or stand in it.
    pub fn try_read_marked(&self) -> Option<ReadClaim<'_, T>> {
        self.read(WRITE)
    }

    /// Claims for reading in a state below `least_refused`.
    #[inline]
    fn read(&self, least_refused: u64) -> Option<ReadClaim<'_, T>> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state >= least_refused || readers(state) + detached(state) == COUNT {
                return None;
            }
            // Acquire pairs with the Release in `WriteClaim::drop`, directly or through the chain of
            // readers' operations since: what the last writer wrote is seen.
            let claimed = self.state.compare_exchange_weak(
                state,
                state + READ,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match claimed {
                // INVARIANT: counted, while no writer exists; neither count can reach the next field,
                // because their sum does not.
                Ok(_) => return Some(ReadClaim { cell: self }),
                Err(now) => state = now,
            }
        }
    }

    /// Claims the value for writing, if nobody has it and the cell is not marked.
    #[inline]
    pub fn try_write(&self) -> Option<WriteClaim<'_, T>> {
        self.write(FREE)
    }

    /// Claims the value of a marked cell for writing, if nobody has it: for those who serve the line, or
    /// stand in it.
    pub fn try_write_marked(&self) -> Option<WriteClaim<'_, T>> {
        self.write(FREE | MARKED)
    }

    #[inline]
    fn write(&self, free: u64) -> Option<WriteClaim<'_, T>> {
        // Acquire pairs with the Release of every reader and of the last writer: their accesses are
        // over before this claim's first.
        self.state
            .compare_exchange(free, free | WRITE, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            // INVARIANT: the state went from FREE, where no claim exists, to WRITE.
            .then(|| WriteClaim { cell: self })
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

    /// Turns a detached read claim on this cell back into access to the value.
    ///
    /// # Panics
    /// When this cell has no detached read claim: the token is of another cell.
    pub fn attach_read(&self, token: DetachedRead) -> ReadClaim<'_, T> {
        let DetachedRead(()) = token;
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            assert!(detached(state) > 0, "a detached claim belongs to the cell it came from");
            // Acquire as in `try_read`: this may be another thread than the one that claimed.
            let attached = self.state.compare_exchange_weak(
                state,
                state - DETACHED + READ,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match attached {
                // INVARIANT: one detached claim became one read claim; a writer is kept out throughout.
                Ok(_) => return ReadClaim { cell: self },
                Err(now) => state = now,
            }
        }
    }

    /// Turns a detached write claim on this cell back into access to the value.
    ///
    /// # Panics
    /// When this cell has no detached write claim: the token is of another cell.
    pub fn attach_write(&self, token: DetachedWrite) -> WriteClaim<'_, T> {
        let DetachedWrite(()) = token;
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let ours = state & !MARKED == WRITE_DETACHED;
            assert!(ours, "a detached claim belongs to the cell it came from");
            // Acquire pairs with the Release in `WriteClaim::detach`.
            let attached = self.state.compare_exchange_weak(
                state,
                state - WRITE_DETACHED + WRITE,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match attached {
                // INVARIANT: the state went from WRITE_DETACHED, where no claim exists, to WRITE.
                Ok(_) => return WriteClaim { cell: self },
                Err(now) => state = now,
            }
        }
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

impl<T> fmt::Debug for SharedCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.load(Ordering::Relaxed);
        f.debug_struct("SharedCell")
            .field("readers", &(readers(state) + detached(state)))
            .field("writer", &(state >= WRITE))
            .finish_non_exhaustive()
    }
}

/// Shared access to a cell's value; released when dropped.
pub struct ReadClaim<'a, T> {
    cell: &'a SharedCell<T>,
}

impl<'a, T> ReadClaim<'a, T> {
    /// The same claim, as one on the whole of a value of which parts can be taken.
    pub fn into_part(self) -> PartRef<'a, T> {
        let claim = ManuallyDrop::new(self);
        let cell: &'a SharedCell<T> = claim.cell;
        // INVARIANT: this claim ends here without its `Drop`, and its right passes to the part.
        let release = Release::Shared(NonNull::from(&cell.state), READ);
        // SAFETY: a cell's own address is not null.
        let value = cell.value.with(|value| unsafe { NonNull::new_unchecked(value.cast_mut()) });
        PartRef::new(value, release)
    }

    /// Keeps the cell claimed without borrowing it, so that the claim can be handed to a waiter.
    pub fn detach(self) -> DetachedRead {
        let claim = ManuallyDrop::new(self);
        // INVARIANT: this claim ends here without its `Drop`, and is counted as detached instead.
        // Release: its reads, if any, are over before a later writer's claim.
        claim.cell.state.fetch_add(DETACHED - READ, Ordering::Release);
        DetachedRead(())
    }
}

impl<T> Deref for ReadClaim<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by the type invariant no `WriteClaim` exists beside this claim, so nobody has or can
        // make a `&mut T`; the borrow of `self` keeps this claim, and with it writers away.
        self.cell.value.with(|value| unsafe { &*value })
    }
}

impl<T> Drop for ReadClaim<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let order = if mutant!(ReadReleaseRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        // INVARIANT: this claim's own count is taken off, so `READ` was not zero.
        self.cell.state.fetch_sub(READ, order);
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadClaim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadClaim").field(&**self).finish()
    }
}

/// Exclusive access to a cell's value; released when dropped.
pub struct WriteClaim<'a, T> {
    cell: &'a SharedCell<T>,
}

impl<'a, T> WriteClaim<'a, T> {
    /// The same claim, as one on the whole of a value of which parts can be taken.
    pub fn into_part(self) -> PartMut<'a, T> {
        let claim = ManuallyDrop::new(self);
        let cell: &'a SharedCell<T> = claim.cell;
        // INVARIANT: this claim ends here without its `Drop`, and its right passes to the part.
        let release = Release::Shared(NonNull::from(&cell.state), WRITE);
        // SAFETY: a cell's own address is not null.
        let value = cell.value.with_mut(|value| unsafe { NonNull::new_unchecked(value) });
        PartMut::new(value, release)
    }

    /// Shared access instead of exclusive, with no moment in between at which another could write.
    pub fn downgrade(self) -> ReadClaim<'a, T> {
        let claim = ManuallyDrop::new(self);
        // INVARIANT: this claim ends here without its `Drop` and becomes one read claim; the mark stays.
        // Release: readers that come see what was written.
        claim.cell.state.fetch_sub(WRITE - READ, Ordering::Release);
        ReadClaim { cell: claim.cell }
    }

    /// Keeps the cell claimed without borrowing it, so that the claim can be handed to a waiter.
    pub fn detach(self) -> DetachedWrite {
        let claim = ManuallyDrop::new(self);
        // INVARIANT: this claim ends here without its `Drop`, and its bit becomes the other; the mark
        // stays. Release pairs with Acquire in `attach_write`.
        claim.cell.state.fetch_add(WRITE_DETACHED - WRITE, Ordering::Release);
        DetachedWrite(())
    }
}

impl<T> Deref for WriteClaim<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by the type invariant this claim is the only way to the value, and the borrow of
        // `self` keeps `deref_mut` away.
        self.cell.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for WriteClaim<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the type invariant this claim is the only way to the value, borrowed mutably.
        self.cell.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for WriteClaim<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let order =
            if mutant!(WriteReleaseRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        if mutant!(ReleaseLosesMark) {
            self.cell.state.store(FREE, order);
            return;
        }
        // INVARIANT: this claim's own bit is taken off; the mark beside it stays.
        self.cell.state.fetch_sub(WRITE, order);
    }
}

impl<T: fmt::Debug> fmt::Debug for WriteClaim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteClaim").field(&**self).finish()
    }
}

/// The token of a detached read claim: it can wait in a queue. Dropping it keeps writers out for ever.
#[derive(Debug)]
#[must_use = "a dropped detached claim leaves its cell claimed for ever"]
pub struct DetachedRead(());

/// The token of a detached write claim: it can wait in a queue. Dropping it leaves the cell claimed
/// for ever.
#[derive(Debug)]
#[must_use = "a dropped detached claim leaves its cell claimed for ever"]
pub struct DetachedWrite(());

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_keep_writers_out_until_the_last_is_gone() {
        let cell = SharedCell::new(1);
        let (one, two) = (cell.try_read().unwrap(), cell.try_read().unwrap());
        assert_eq!(*one + *two, 2);
        drop(one);
        assert!(cell.try_write().is_none());
        drop(two);
        let mut writer = cell.try_write().unwrap();
        assert!(cell.try_read().is_none() && cell.try_write().is_none());
        *writer += 1;
        drop(writer);
        assert_eq!(*cell.try_read().unwrap(), 2);
    }

    #[test]
    fn a_marked_cell_is_claimed_only_by_those_who_know_and_stays_marked() {
        let cell = SharedCell::new(());
        let reader = cell.try_read().unwrap();
        cell.mark();
        assert!(cell.try_read().is_none() && cell.try_write().is_none());
        let detached = cell.try_read_marked().unwrap().detach();
        drop(reader);
        assert!(cell.try_write_marked().is_none());
        drop(cell.attach_read(detached).into_part());
        let detached = cell.try_write_marked().unwrap().detach();
        assert!(cell.try_read_marked().is_none() && cell.try_write_marked().is_none());
        let reader = cell.attach_write(detached).downgrade();
        assert!(cell.is_marked() && cell.try_read_marked().is_some());
        drop(reader);
        drop(cell.try_write_marked().unwrap());
        assert!(cell.is_marked());
        cell.unmark();
        assert!(cell.try_write().is_some());
    }

    #[test]
    fn a_detached_claim_keeps_its_cell_claimed_and_comes_back_to_no_other() {
        let (one, other) = (SharedCell::new(1), SharedCell::new(2));
        let read = one.try_read().unwrap().detach();
        assert!(one.try_write().is_none() && one.try_read().is_some());
        assert_eq!(*one.attach_read(read), 1);
        let write = one.try_write().unwrap().detach();
        assert!(one.try_read().is_none());
        drop(one.attach_write(write));
        let (read, write) = (one.try_read().unwrap().detach(), other.try_write().unwrap().detach());
        let refused = |wrong: &mut dyn FnMut()| {
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(wrong)).is_err());
        };
        let (mut read, mut write) = (Some(read), Some(write));
        refused(&mut || drop(read.take().map(|token| other.attach_read(token))));
        refused(&mut || drop(write.take().map(|token| one.attach_write(token))));
    }
}
