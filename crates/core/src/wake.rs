//! Wakers, woken outside of every lock.

use smallvec::SmallVec;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakers collected under a lock, to be woken after it is released.
///
/// A waker is foreign code: it may panic, or call back into what woke it. So nothing in the family
/// wakes, clones or drops one under a lock, and a panic in one waker does not keep the others from
/// being woken: it is swallowed here, because it belongs to no caller.
#[derive(Debug, Default)]
#[must_use = "collected wakers must be woken"]
pub struct WakeList(SmallVec<[Waker; 4]>);

impl WakeList {
    /// An empty list.
    pub fn new() -> WakeList {
        WakeList(SmallVec::new())
    }

    /// Adds a waker.
    pub fn push(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Wakes one waker, without a list: its panic is swallowed too.
    pub fn wake_one(waker: Waker) {
        wake(waker);
    }

    /// Wakes them all, in the order in which they were added.
    pub fn wake(mut self) {
        // Mostly there is one, or none.
        if self.0.len() == 1 {
            let only = self.0.pop();
            return only.into_iter().for_each(wake);
        }
        for waker in self.0 {
            wake(waker);
        }
    }
}

impl Extend<Waker> for WakeList {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        self.0.extend(wakers);
    }
}

/// Wakes one waker; its panic harms nobody.
pub(crate) fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

/// Drops what may run foreign code; its panic harms nobody.
pub(crate) fn drop_quietly<T>(value: T) {
    if cfg!(loom) {
        // A model's findings are panics, and must not be kept quiet.
        return drop(value);
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}
