//! Claims on a part of a value, and claims that keep their lock alive.

use super::CLAIMED;
use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

/// Ends a claim when dropped.
///
/// # Invariants
/// The word is that of a cell that lives at least as long as this, and the claim that this ends was
/// given up to it: made once, ended once, here.
pub(super) enum Release {
    /// An exclusive claim.
    Exclusive(NonNull<AtomicU32>),
    /// A claim for reading or writing: what is taken off the word.
    Shared(NonNull<AtomicU64>, u64),
}

impl Drop for Release {
    #[inline]
    fn drop(&mut self) {
        match *self {
            Release::Exclusive(state) => {
                // SAFETY: by the type invariant the word is alive.
                let state = unsafe { state.as_ref() };
                debug_assert!(state.load(Ordering::Relaxed) & CLAIMED != 0);
                // Release pairs with the next claim's Acquire: what this holder wrote is seen.
                state.fetch_sub(CLAIMED, Ordering::Release);
            }
            Release::Shared(state, claim) => {
                // SAFETY: as above. INVARIANT: this claim's own count or bit is taken off, once.
                unsafe { state.as_ref() }.fetch_sub(claim, Ordering::Release);
            }
        }
    }
}

// SAFETY: ending a claim is one atomic operation, on any thread; the right to the value is the business
// of the part that holds this.
unsafe impl Send for Release {}
// SAFETY: a shared `Release` does nothing.
unsafe impl Sync for Release {}

/// Exclusive access to a part of a claimed value; the claim ends when this is dropped.
///
/// # Invariants
/// `value` points into the value that `release` keeps claimed, and nothing else reaches that part.
pub struct PartMut<'a, U: ?Sized> {
    value: NonNull<U>,
    release: Release,
    lifetime: PhantomData<&'a mut U>,
}

/// Shared access to a part of a claimed value; the claim ends when this is dropped.
///
/// # Invariants
/// `value` points into the value that `release` keeps claimed, and nobody writes it.
pub struct PartRef<'a, U: ?Sized> {
    value: NonNull<U>,
    release: Release,
    lifetime: PhantomData<&'a U>,
}

// SAFETY: sending a part sends `&mut U`.
unsafe impl<U: ?Sized + Send> Send for PartMut<'_, U> {}
// SAFETY: sharing a part shares `&U`.
unsafe impl<U: ?Sized + Sync> Sync for PartMut<'_, U> {}
// SAFETY: sending a part sends `&U`.
unsafe impl<U: ?Sized + Sync> Send for PartRef<'_, U> {}
// SAFETY: sharing a part shares `&U`.
unsafe impl<U: ?Sized + Sync> Sync for PartRef<'_, U> {}

impl<'a, U: ?Sized> PartMut<'a, U> {
    pub(super) fn new(value: NonNull<U>, release: Release) -> PartMut<'a, U> {
        PartMut { value, release, lifetime: PhantomData }
    }

    /// Access to a part of this part. If `part` panics, the claim ends.
    pub fn map<V: ?Sized>(mut self, part: impl FnOnce(&mut U) -> &mut V) -> PartMut<'a, V> {
        let value = NonNull::from(part(&mut self));
        PartMut::new(value, self.release)
    }

    /// Access to a part of this part, or all of it back.
    ///
    /// # Errors
    /// This part, when there is no such part in it.
    pub fn try_map<V: ?Sized>(
        mut self,
        part: impl FnOnce(&mut U) -> Option<&mut V>,
    ) -> Result<PartMut<'a, V>, PartMut<'a, U>> {
        match part(&mut self).map(NonNull::from) {
            Some(value) => Ok(PartMut::new(value, self.release)),
            None => Err(self),
        }
    }
}

impl<'a, U: ?Sized> PartRef<'a, U> {
    pub(super) fn new(value: NonNull<U>, release: Release) -> PartRef<'a, U> {
        PartRef { value, release, lifetime: PhantomData }
    }

    /// Access to a part of this part. If `part` panics, the claim ends.
    pub fn map<V: ?Sized>(self, part: impl FnOnce(&U) -> &V) -> PartRef<'a, V> {
        let value = NonNull::from(part(&self));
        PartRef::new(value, self.release)
    }

    /// Access to a part of this part, or all of it back.
    ///
    /// # Errors
    /// This part, when there is no such part in it.
    pub fn try_map<V: ?Sized>(
        self,
        part: impl FnOnce(&U) -> Option<&V>,
    ) -> Result<PartRef<'a, V>, PartRef<'a, U>> {
        match part(&self).map(NonNull::from) {
            Some(value) => Ok(PartRef::new(value, self.release)),
            None => Err(self),
        }
    }
}

impl<U: ?Sized> Deref for PartMut<'_, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: by the type invariant nothing else reaches the part, and the borrow of `self` keeps
        // `deref_mut` away.
        unsafe { self.value.as_ref() }
    }
}

impl<U: ?Sized> DerefMut for PartMut<'_, U> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: by the type invariant this is the only way to the part, borrowed mutably.
        unsafe { self.value.as_mut() }
    }
}

impl<U: ?Sized> Deref for PartRef<'_, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: by the type invariant nobody writes the part while this claim lasts.
        unsafe { self.value.as_ref() }
    }
}

impl<U: ?Sized + fmt::Debug> fmt::Debug for PartMut<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartMut").field(&&**self).finish()
    }
}

impl<U: ?Sized + fmt::Debug> fmt::Debug for PartRef<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartRef").field(&&**self).finish()
    }
}

/// A claim together with the shared owner of its cell: it borrows nothing, and keeps the cell alive.
///
/// # Invariants
/// `part` was claimed through a shared borrow of the owner that could have lasted for ever. The owner
/// stays where it is, and shared, for as long as this holds a count of it; and the part goes first.
pub struct Owned<O, P> {
    // Fields drop in this order.
    part: P,
    owner: Arc<O>,
}

/// [`Owned`] exclusive access.
pub type OwnedMut<O, U> = Owned<O, PartMut<'static, U>>;
/// [`Owned`] shared access.
pub type OwnedRef<O, U> = Owned<O, PartRef<'static, U>>;

impl<O, P> Owned<O, P> {
    /// The owner of the cell.
    pub fn owner(&self) -> &Arc<O> {
        &self.owner
    }
}

impl<O, U: ?Sized + 'static> OwnedMut<O, U> {
    /// Claims through the owner, and keeps it.
    ///
    /// `claim` must take any borrow of the owner, so what it answers cannot borrow from elsewhere for
    /// less time than the owner lives.
    ///
    /// # Errors
    /// The owner, when there was nothing to claim.
    pub fn claim(
        owner: Arc<O>,
        claim: impl for<'a> FnOnce(&'a O) -> Option<PartMut<'a, U>>,
    ) -> Result<OwnedMut<O, U>, Arc<O>> {
        match claim(&owner) {
            Some(PartMut { value, release, .. }) => {
                // INVARIANT: the pointers are good for as long as the owner could be borrowed, which is
                // as long as `owner` is held here: nobody gets `&mut O` or moves it out meanwhile.
                Ok(Owned { part: PartMut::new(value, release), owner })
            }
            None => Err(owner),
        }
    }

    /// As [`claim`](OwnedMut::claim), where there surely is something to claim.
    pub fn of(
        owner: Arc<O>,
        claim: impl for<'a> FnOnce(&'a O) -> PartMut<'a, U>,
    ) -> OwnedMut<O, U> {
        let PartMut { value, release, .. } = claim(&owner);
        // INVARIANT: as in `claim`.
        Owned { part: PartMut::new(value, release), owner }
    }

    /// Access to a part of this part. If `part` panics, the claim ends.
    pub fn map<V: ?Sized>(self, part: impl FnOnce(&mut U) -> &mut V) -> OwnedMut<O, V> {
        Owned { part: self.part.map(part), owner: self.owner }
    }
}

impl<O, U: ?Sized + 'static> OwnedRef<O, U> {
    /// As [`OwnedMut::claim`], for reading.
    ///
    /// # Errors
    /// The owner, when there was nothing to claim.
    pub fn claim(
        owner: Arc<O>,
        claim: impl for<'a> FnOnce(&'a O) -> Option<PartRef<'a, U>>,
    ) -> Result<OwnedRef<O, U>, Arc<O>> {
        match claim(&owner) {
            // INVARIANT: as in `OwnedMut::claim`.
            Some(PartRef { value, release, .. }) => {
                Ok(Owned { part: PartRef::new(value, release), owner })
            }
            None => Err(owner),
        }
    }

    /// As [`claim`](OwnedRef::claim), where there surely is something to claim.
    pub fn of(
        owner: Arc<O>,
        claim: impl for<'a> FnOnce(&'a O) -> PartRef<'a, U>,
    ) -> OwnedRef<O, U> {
        let PartRef { value, release, .. } = claim(&owner);
        // INVARIANT: as in `OwnedMut::claim`.
        Owned { part: PartRef::new(value, release), owner }
    }

    /// Access to a part of this part. If `part` panics, the claim ends.
    pub fn map<V: ?Sized>(self, part: impl FnOnce(&U) -> &V) -> OwnedRef<O, V> {
        Owned { part: self.part.map(part), owner: self.owner }
    }
}

impl<O, P: Deref> Deref for Owned<O, P> {
    type Target = P::Target;

    #[inline]
    fn deref(&self) -> &P::Target {
        &self.part
    }
}

impl<O, P: DerefMut> DerefMut for Owned<O, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut P::Target {
        &mut self.part
    }
}

impl<O, P: fmt::Debug> fmt::Debug for Owned<O, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owned").field(&self.part).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{ExclusiveCell, SharedCell};
    use super::*;

    #[test]
    fn a_part_keeps_the_whole_cell_claimed_until_it_is_dropped() {
        let cell = ExclusiveCell::new((1, 2));
        let mut part = cell.try_claim().unwrap().into_part().map(|pair| &mut pair.1);
        *part += 1;
        assert!(cell.try_claim().is_none());
        let part = part.try_map(|_| None::<&mut u8>).unwrap_err();
        drop(part);
        assert_eq!(*cell.try_claim().unwrap(), (1, 3));
    }

    #[test]
    fn a_projection_that_panics_ends_the_claim() {
        let cell = ExclusiveCell::new(1);
        let part = cell.try_claim().unwrap().into_part();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(part.map(|_| -> &mut u8 { panic!("no such part") }));
        }));
        assert!(panicked.is_err());
        assert!(cell.try_claim().is_some());
    }

    #[test]
    fn parts_of_readers_share_and_a_downgraded_writer_is_one_of_them() {
        let cell = SharedCell::new((1, 2));
        let writer = cell.try_write().unwrap();
        let reader = writer.downgrade();
        let part = cell.try_read().unwrap().into_part().map(|pair| &pair.0);
        assert_eq!((*part, reader.1), (1, 2));
        drop(reader);
        assert!(cell.try_write().is_none());
        drop(part);
        let mut part = cell.try_write().unwrap().into_part().map(|pair| &mut pair.0);
        *part = 9;
        assert!(cell.try_read().is_none());
        drop(part);
        assert_eq!(cell.into_inner(), (9, 2));
    }

    #[test]
    fn an_owned_claim_outlives_every_other_reference_to_its_cell() {
        let cell = Arc::new(ExclusiveCell::new(vec![1, 2]));
        let claim = |cell: Arc<ExclusiveCell<Vec<i32>>>| {
            OwnedMut::claim(cell, |cell| Some(cell.try_claim()?.into_part()))
        };
        let owned = claim(Arc::clone(&cell)).unwrap();
        assert!(claim(Arc::clone(&cell)).is_err());
        drop(cell);
        let mut last = std::thread::scope(|scope| {
            scope.spawn(move || owned.map(|list| &mut list[1])).join().unwrap()
        });
        *last += 1;
        assert_eq!((*last, last.owner().is_claimed()), (3, true));
    }
}
