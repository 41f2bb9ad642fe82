//! The one door for synchronisation: `parking_lot` and `std`, or loom under `cfg(loom)`.

#[cfg(not(loom))]
mod imp {
    /// A mutex that is only ever tried.
    pub(crate) use parking_lot::Mutex as Exclusive;
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
    use std::time::Duration;

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar::default()
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        /// Waits for a notification; answers the guard and whether the time ran out first.
        pub(crate) fn wait<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            timeout: Option<Duration>,
        ) -> (MutexGuard<'a, T>, bool) {
            let timed_out = match timeout {
                Some(timeout) => self.0.wait_for(&mut guard, timeout).timed_out(),
                None => {
                    self.0.wait(&mut guard);
                    false
                }
            };
            (guard, timed_out)
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    /// A mutex that is only ever tried. Loom 0.7 blocks a thread in its `try_lock` while another holds
    /// the mutex, so a flag decides, and the mutex behind it is always free.
    #[derive(Debug)]
    pub(crate) struct Exclusive<T> {
        taken: AtomicUsize,
        value: Mutex<T>,
    }

    pub(crate) struct ExclusiveGuard<'a, T> {
        value: Option<MutexGuard<'a, T>>,
        taken: &'a AtomicUsize,
    }

    impl<T> Exclusive<T> {
        pub(crate) fn new(value: T) -> Self {
            Exclusive { taken: AtomicUsize::new(0), value: Mutex::new(value) }
        }

        pub(crate) fn try_lock(&self) -> Option<ExclusiveGuard<'_, T>> {
            let free = self.taken.swap(1, Ordering::Acquire) == 0;
            free.then(|| ExclusiveGuard { value: Some(self.value.lock()), taken: &self.taken })
        }
    }

    impl<T> Deref for ExclusiveGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.value.as_ref().expect("held until dropped")
        }
    }

    impl<T> DerefMut for ExclusiveGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.value.as_mut().expect("held until dropped")
        }
    }

    impl<T> Drop for ExclusiveGuard<'_, T> {
        fn drop(&mut self) {
            self.value = None;
            // Once a model has failed, loom's atomics abort.
            if !std::thread::panicking() {
                self.taken.store(0, Ordering::Release);
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar(loom::sync::Condvar::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        /// Loom has no time: a wait with a timeout is one without.
        pub(crate) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            _timeout: Option<Duration>,
        ) -> (MutexGuard<'a, T>, bool) {
            (self.0.wait(guard).unwrap(), false)
        }
    }
}

pub(crate) use imp::*;

/// A way to break this crate, so that its models can show that they would notice.
#[cfg(loom)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakening {
    /// `Idle::notify` looks for sleepers without a fence before.
    NotifyWithoutFence,
    /// `Parker::unpark` notifies without having had the mutex.
    UnparkWithoutMutex,
}

#[cfg(loom)]
thread_local! {
    /// Loom runs all threads of a model on the thread of its test.
    static WEAKENED: std::cell::Cell<Option<Weakening>> = const { std::cell::Cell::new(None) };
}

/// Breaks the crate for the models of the calling thread.
#[cfg(loom)]
pub fn weaken(weakening: Weakening) {
    WEAKENED.set(Some(weakening));
}

macro_rules! weakened {
    ($name:ident) => {{
        #[cfg(loom)]
        {
            $crate::sync::is_weakened($crate::sync::Weakening::$name)
        }
        #[cfg(not(loom))]
        {
            false
        }
    }};
}
pub(crate) use weakened;

#[cfg(loom)]
pub(crate) fn is_weakened(weakening: Weakening) -> bool {
    WEAKENED.get() == Some(weakening)
}
