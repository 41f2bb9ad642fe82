//! Waiting without a context: a thread that parks.
//!
//! The machine beneath the `blocking_` operations of locks and channels, for crates of the family. They are
//! for plain threads and for closures on the blocking pool, which have no context to wait with. Parking a
//! thread is the one thing this crate does that is not an effect of a host; it makes no thread and reads
//! no clock. In a task it would stop the worker, and in the lab the whole program, so there it is refused.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until ready, parking the thread in between.
///
/// # Panics
/// When it would have to park a thread that runs a task's step.
#[track_caller]
pub fn wait<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut context) {
            return value;
        }
        // Not before the first look: what is there at once can be had anywhere, also in a blocking
        // closure that the lab runs within a step.
        assert!(
            !asupersync_core::in_step(),
            "a blocking operation would have to wait on a thread that runs tasks, which could \
             then run none: await the operation, or call it in `cx.spawn_blocking` (in the lab, which has \
             one thread, only where it finds what it waits for)"
        );
        // A wake between the poll and here makes this return at once.
        std::thread::park();
    }
}
