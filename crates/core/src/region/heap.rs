//! The heap of a region: values that live as long as it does.

mod arena;
#[cfg(all(test, loom))]
mod loom;

use super::{Region, Scope};
use crate::cx::TaskCx;
use crate::error::{Error, ErrorKind};
use crate::id::RegionId;
use crate::mutant::mutant;
use crate::primitive::{AtomicUsize, Mutex, Ordering};
use arena::Arena;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// Refers to a value in a region's heap; made by [`Scope::alloc`]. Copies are cheap and may go anywhere:
/// the value is reached only from inside its region, and is gone when that has closed.
pub struct RRef<T> {
    heap: Arc<Heap>,
    value: NonNull<T>,
}

// SAFETY: it gives `&T` to whichever thread it is on, which `T: Sync` allows. Values are dropped on another thread
// than the one that made them, which `T: Send` allows.
unsafe impl<T: Send + Sync> Send for RRef<T> {}
// SAFETY: as above; there is no more to be had from a shared reference.
unsafe impl<T: Send + Sync> Sync for RRef<T> {}

/// Why a reference into a region's heap gave no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RRefError {
    /// The region has closed, and the value is gone.
    Stale(RegionId),
    /// The task is not inside the region: neither one of its tasks, nor running its body, nor beneath it.
    Outside(RegionId),
}

impl<E, C> Scope<E, C> {
    /// Puts a value into the region's heap. It is dropped when the region closes, after the last
    /// finalizer, in the reverse order of allocation; a panic of its drop harms nobody.
    ///
    /// Values stand side by side in chunks of 512 bytes to 64 KiB, which are given back together when the region
    /// closes. What needs no drop takes its own size, everything else two words more. Nothing is given back before:
    /// a region that lives long and allocates again and again grows.
    ///
    /// ```
    /// use asupersync_core::{Cx, Error};
    ///
    /// async fn words(cx: &Cx) -> Result<usize, Error> {
    ///     let outcome = cx
    ///         .region(async |scope| {
    ///             let text = scope.alloc(String::from("one two three"));
    ///             let mut child = scope.spawn(async move |cx: &Cx| {
    ///                 Ok::<_, Error>(text.with(cx, |text| text.split(' ').count())?)
    ///             });
    ///             Ok(child.join(cx).await?.into_result()?)
    ///         })
    ///         .await;
    ///     Ok(outcome.into_result()?)
    /// }
    /// ```
    pub fn alloc<T: Send + Sync + 'static>(&self, value: T) -> RRef<T> {
        let heap = {
            let mut inner = self.region.inner.lock();
            let owner = inner.rare().heap.get_or_insert_with(|| Owner::new(self.region.id));
            Arc::clone(&owner.0)
        };
        let value = heap.arena.lock().put(value);
        RRef { heap, value }
    }
}

impl<T> RRef<T> {
    /// Lets `use_value` see the value.
    ///
    /// It is a function and not a borrow, so that nothing can hold on to the value across a wait, and so
    /// beyond its region's close.
    ///
    /// # Errors
    /// [`RRefError::Stale`] when the region has closed, [`RRefError::Outside`] when `cx`'s task is not inside it.
    pub fn with<R>(&self, cx: &TaskCx, use_value: impl FnOnce(&T) -> R) -> Result<R, RRefError> {
        let region = self.heap.region;
        // Before the use begins: who is outside keeps nothing from being freed.
        if self.heap.is_closed() {
            return Err(RRefError::Stale(region));
        }
        if !cx.is_inside(region) {
            return Err(RRefError::Outside(region));
        }
        let _use = self.heap.begin_use().ok_or(RRefError::Stale(region))?;
        // SAFETY: `put` wrote the value before this reference was made, and nothing borrows it exclusively but its
        // drop, which comes after the end of every use that has begun.
        Ok(use_value(unsafe { self.value.as_ref() }))
    }

    /// Whose heap it is in.
    #[must_use]
    pub fn region(&self) -> RegionId {
        self.heap.region
    }
}

/// The region's hold on its heap. With it the values go.
pub(super) struct Owner(Arc<Heap>);

impl Owner {
    fn new(region: RegionId) -> Owner {
        let (uses, arena) = (AtomicUsize::new(0), Mutex::new(Arena::new()));
        Owner(Arc::new(Heap { region, uses, arena }))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What region and references share. The values go when the region closes; this goes with the last reference.
///
/// A region that closes has nobody inside, so no use is under way then. Memory is not to depend on a promise so large:
/// uses are counted, and should one be left over, its end frees the values.
struct Heap {
    region: RegionId,
    /// [`CLOSED`], and [`USE`] for each use under way.
    uses: AtomicUsize,
    arena: Mutex<Arena>,
}

const CLOSED: usize = 1;
const USE: usize = 2;

impl Heap {
    fn is_closed(&self) -> bool {
        self.uses.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Keeps the values until the answer is dropped; `None` when they are gone or going.
    fn begin_use(&self) -> Option<Use<'_>> {
        let mut uses = self.uses.load(Ordering::Relaxed);
        while uses & CLOSED == 0 {
            // Relaxed: whoever closes later finds this use in the count, and whoever sees the reference has seen the value.
            let (before, after) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.uses.compare_exchange_weak(uses, uses + USE, before, after) {
                Ok(_) => return Some(Use(self)),
                Err(now) => uses = now,
            }
        }
        None
    }

    fn close(&self) {
        // Acquire: every use that is over comes before the drops.
        let before = self.uses.fetch_or(CLOSED, Ordering::AcqRel);
        if before == 0 || mutant!(CloseIgnoresUses) {
            self.free();
        }
    }

    /// Called once: by the close, or by the end of the last use after it.
    fn free(&self) {
        let arena = std::mem::replace(&mut *self.arena.lock(), Arena::new());
        drop(arena);
    }
}

/// A use that is under way.
struct Use<'h>(&'h Heap);

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let order = if mutant!(UseEndsRelaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
        // Release: the use comes before the drops. Acquire: so do all others, if this is the last.
        if self.0.uses.fetch_sub(USE, order) == USE | CLOSED {
            self.0.free();
        }
    }
}

impl TaskCx {
    /// Whether the task is one of the region's, runs its body, or is beneath it.
    fn is_inside(&self, region: RegionId) -> bool {
        let header = self.header();
        let enclosing = {
            let inner = header.inner.lock();
            inner.scopes.enclosing_region(inner.scopes.current)
        };
        let innermost: &Arc<Region> = enclosing.as_ref().unwrap_or(&header.region);
        let mut upward = std::iter::successors(Some(innermost), |region| region.parent.as_ref());
        upward.any(|here| here.id == region)
    }
}

impl<T> Clone for RRef<T> {
    fn clone(&self) -> RRef<T> {
        RRef { heap: Arc::clone(&self.heap), value: self.value }
    }
}

impl<T> fmt::Debug for RRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RRef").field("region", &self.heap.region).finish_non_exhaustive()
    }
}

impl fmt::Display for RRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RRefError::Stale(region) => write!(f, "{region} has closed, and what it held is gone"),
            RRefError::Outside(region) => {
                write!(f, "the value belongs to {region}, and this task is not inside it")
            }
        }
    }
}

impl std::error::Error for RRefError {}

impl From<RRefError> for Error {
    #[track_caller]
    fn from(error: RRefError) -> Error {
        Error::new(ErrorKind::InvalidInput, error.to_string())
    }
}
