//! Who waits for the stream beneath to take bytes.

use asupersync_core::WakeList;
use asupersync_core::primitive::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A read has to write at times (an alert, a key update, a ticket), while another task may be waiting
/// for the same stream to take its bytes. A stream remembers one waker for writing, so whoever comes
/// last would rob the other of its wake. All writing beneath is polled with a waker of our own, which
/// wakes both.
#[derive(Debug)]
pub(super) struct Waiters {
    slots: Arc<Slots>,
    waker: Waker,
}

/// On whose behalf bytes are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Read = 0,
    Write = 1,
}

#[derive(Debug, Default)]
struct Slots(Mutex<[Option<Waker>; 2]>);

impl Waiters {
    pub(super) fn new() -> Waiters {
        let slots = Arc::new(Slots::default());
        Waiters { waker: Waker::from(slots.clone()), slots }
    }

    /// Polls with the waker that wakes both, after remembering this context's.
    pub(super) fn poll<T>(
        &self,
        direction: Direction,
        context: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.remember(direction, context.waker());
        poll(&mut Context::from_waker(&self.waker))
    }

    /// Wakes whoever waits to write.
    pub(super) fn wake_writer(&self) {
        let writer = self.slots.0.lock()[Direction::Write as usize].take();
        if let Some(writer) = writer {
            WakeList::wake_one(writer);
        }
    }

    fn remember(&self, direction: Direction, waker: &Waker) {
        let known = |slot: &Option<Waker>| slot.as_ref().is_some_and(|old| old.will_wake(waker));
        if known(&self.slots.0.lock()[direction as usize]) {
            return;
        }
        // Wakers run foreign code: cloned before the lock, dropped after it.
        let new = Some(waker.clone());
        let old = std::mem::replace(&mut self.slots.0.lock()[direction as usize], new);
        drop(old);
    }
}

impl Wake for Slots {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let [read, write] = std::mem::take(&mut *self.0.lock());
        let both_are_one =
            read.as_ref().zip(write.as_ref()).is_some_and(|(read, write)| read.will_wake(write));
        let mut wakers = WakeList::new();
        wakers.extend(read.filter(|_| !both_are_one));
        wakers.extend(write);
        wakers.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Hostile;

    impl Wake for Hostile {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    fn waits(waiters: &Waiters, direction: Direction, waker: &Waker) {
        let _ = waiters.poll(direction, &Context::from_waker(waker), |_| Poll::<()>::Pending);
    }

    #[test]
    fn a_waker_that_panics_robs_nobody_of_a_wake() {
        let (waiters, woken) = (Waiters::new(), Arc::new(Woken::default()));
        waits(&waiters, Direction::Read, &Arc::new(Hostile).into());
        waits(&waiters, Direction::Write, &woken.clone().into());
        waiters.waker.wake_by_ref();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        waits(&waiters, Direction::Write, &Arc::new(Hostile).into());
        waiters.wake_writer();
    }

    #[test]
    fn a_task_that_waits_in_both_directions_is_woken_once() {
        let (waiters, woken) = (Waiters::new(), Arc::new(Woken::default()));
        let waker = woken.clone().into();
        waits(&waiters, Direction::Read, &waker);
        waits(&waiters, Direction::Write, &waker);
        waiters.waker.wake_by_ref();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
}
