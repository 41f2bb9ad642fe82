//! Who waits for the stream beneath to take bytes.

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
            writer.wake();
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
        match (read, write) {
            (Some(read), Some(write)) if read.will_wake(&write) => write.wake(),
            (read, write) => {
                if let Some(read) = read {
                    read.wake();
                }
                if let Some(write) = write {
                    write.wake();
                }
            }
        }
    }
}
