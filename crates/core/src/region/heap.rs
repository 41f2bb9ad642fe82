//! The heap of a region: values that live as long as it does.

use super::{Region, Scope};
use crate::cx::TaskCx;
use crate::error::{Error, ErrorKind};
use crate::id::RegionId;
use std::fmt;
use std::sync::{Arc, Weak};

/// Refers to a value in a region's heap; made by [`Scope::alloc`]. Copies are cheap and may go anywhere:
/// the value is reached only from inside its region, and is gone when that has closed.
pub struct RRef<T> {
    value: Weak<T>,
    region: RegionId,
}

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
        let value = Arc::new(value);
        let reference = RRef { value: Arc::downgrade(&value), region: self.region.id };
        // The body runs, so the region is open.
        self.region.inner.lock().heap.push(value);
        reference
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
        let value = self.value.upgrade().ok_or(RRefError::Stale(self.region))?;
        // Whoever is inside keeps the region from closing meanwhile, so this is not the last reference.
        if !cx.is_inside(self.region) {
            return Err(RRefError::Outside(self.region));
        }
        Ok(use_value(&value))
    }

    /// Whose heap it is in.
    #[must_use]
    pub fn region(&self) -> RegionId {
        self.region
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
        RRef { value: Weak::clone(&self.value), region: self.region }
    }
}

impl<T> fmt::Debug for RRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RRef").field("region", &self.region).finish_non_exhaustive()
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
