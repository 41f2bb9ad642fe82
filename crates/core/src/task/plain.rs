//! The wait of a task that waits in its own scope, with its own waker: the common case, without a lock.
//!
//! Such a wait needs no waker kept for cancellation, because cancelling the task's own scope wakes the
//! task. What is kept is what reports need, the label and the source line, published by a version that is
//! odd while a wait is in (a sequence lock; Boehm, "Can seqlocks get along with programming language
//! memory models?", 2012).

use crate::mutant::mutant;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};
use std::panic::Location;
use std::ptr;

pub(crate) struct PlainWait {
    /// Odd while a wait is in.
    version: AtomicU32,
    label: AtomicPtr<u8>,
    label_len: AtomicUsize,
    site: AtomicPtr<Location<'static>>,
}

impl PlainWait {
    pub(crate) fn none() -> PlainWait {
        PlainWait {
            version: AtomicU32::new(0),
            label: AtomicPtr::new(ptr::null_mut()),
            label_len: AtomicUsize::new(0),
            site: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(crate) fn is_in(&self) -> bool {
        self.version.load(Ordering::Acquire) & 1 == 1
    }

    /// Changes with every wait that is entered or left.
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// Enters a wait unless one is in. To be called only inside the task's step: there is one at a time,
    /// so the fields have one writer.
    #[inline]
    pub(crate) fn enter(&self, label: &'static str, site: &'static Location<'static>) -> bool {
        // Acquire: the wait that was here before was taken out, perhaps by another thread.
        let version = self.version.load(Ordering::Acquire);
        if version & 1 == 1 {
            return false;
        }
        // Pairs with the fence in `read`: who sees a field of this wait sees that the one before is out.
        fence(Ordering::Release);
        self.label.store(label.as_ptr().cast_mut(), Ordering::Relaxed);
        self.label_len.store(label.len(), Ordering::Relaxed);
        self.site.store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Release);
        true
    }

    /// Takes the wait out. Only by the one who entered it.
    #[inline]
    pub(crate) fn leave(&self) {
        // Relaxed: nobody else changes the version while a wait is in.
        let version = self.version.load(Ordering::Relaxed);
        debug_assert!(version & 1 == 1);
        self.version.store(version.wrapping_add(1), Ordering::Release);
    }

    /// The wait that is in, if any; none also when it changes meanwhile.
    pub(crate) fn read(&self) -> Option<(&'static str, &'static Location<'static>)> {
        let version = self.version.load(Ordering::Acquire);
        if version & 1 == 0 {
            return None;
        }
        let label = self.label.load(Ordering::Relaxed);
        let len = self.label_len.load(Ordering::Relaxed);
        let site = self.site.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if self.version.load(Ordering::Relaxed) != version && !mutant!(WaitReadOnce) {
            return None;
        }
        // SAFETY: the version did not change while the fields were read, so all three are of one `enter`,
        // which took them from a `&'static str` and a `&'static Location`.
        unsafe {
            let label = std::str::from_utf8_unchecked(std::slice::from_raw_parts(label, len));
            Some((label, &*site))
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_wait_at_a_time_and_only_while_it_is_in() {
        let wait = PlainWait::none();
        let site = Location::caller();
        assert!(wait.read().is_none());
        assert!(wait.enter("first", site));
        assert!(!wait.enter("second", site));
        assert_eq!(wait.read(), Some(("first", site)));
        wait.leave();
        assert!(wait.read().is_none() && !wait.is_in());
        assert!(wait.enter("second", site));
        assert_eq!(wait.read().unwrap().0, "second");
    }
}
