//! A meeting point.

use asupersync_core::primitive::Mutex;
use asupersync_core::{Cancelled, Object, Removed, TaskCx, WaitKey, WaitQueue, WakeList};
use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

/// Lets tasks go on once `n` of them have arrived; then starts anew.
///
/// A task that is cancelled or dropped while it waits has not arrived: the barrier goes on waiting for
/// somebody in its place.
pub struct Barrier {
    n: usize,
    line: Mutex<WaitQueue<()>>,
    object: Object,
}

impl Barrier {
    /// A barrier for `n` tasks; zero counts as one.
    #[must_use]
    pub fn new(n: usize) -> Barrier {
        Barrier { n: n.max(1), line: Mutex::new(WaitQueue::new()), object: Object::new("Barrier") }
    }

    /// How many have arrived and wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.object.read();
        self.line.lock().len()
    }

    /// Waits until `n` tasks have arrived, this one included. Exactly one of them, the last to arrive,
    /// is answered `true`.
    ///
    /// # Cancel safety
    /// A waiter that is cancelled or dropped before the barrier opened counts as not arrived. One that
    /// is cancelled *after* it opened, but before it was polled again, counted: the others have gone on.
    /// A cancel request is answered within one poll.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn wait<'a>(&'a self, cx: &'a TaskCx) -> impl Future<Output = Result<bool, Cancelled>> {
        let site = Location::caller();
        async move {
            let mut place = Place { barrier: self, key: None };
            cx.wait_at("Barrier::wait", site, |context| place.poll(context)).await
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("n", &self.n).field("waiting", &self.waiting()).finish()
    }
}

/// An arrival that is taken back when dropped.
struct Place<'a> {
    barrier: &'a Barrier,
    key: Option<WaitKey>,
}

impl Place<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut wakes = WakeList::new();
        let mut line = self.barrier.line.lock();
        let Some(key) = &self.key else {
            self.barrier.object.write();
            if line.len() + 1 == self.barrier.n {
                line.grant_all(&mut wakes);
                drop(line);
                wakes.wake();
                return Poll::Ready(true);
            }
            let waker = waker.take().unwrap_or_else(|| context.waker().clone());
            self.key = Some(line.push_back((), waker));
            return Poll::Pending;
        };
        let opened = line.poll(key, &mut waker).is_some();
        drop(line);
        if !opened {
            return Poll::Pending;
        }
        self.key = None;
        Poll::Ready(false)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        self.barrier.object.write();
        let mut waker = None;
        let removed = self.barrier.line.lock().remove(key, &mut waker);
        // Granted: the barrier has opened, and nothing of it is this waiter's to pass on.
        let (Removed::Waiting(()) | Removed::Granted(())) = removed;
    }
}
