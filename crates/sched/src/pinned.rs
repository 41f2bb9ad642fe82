//! Tasks that only one worker may run, on their way to it.

use crate::sync::{AtomicUsize, Mutex, Ordering};
use std::collections::VecDeque;

/// One worker's own queue: anybody adds, only the owner takes.
///
/// Who adds a task unparks the owner afterwards, unless it is the owner; so the owner needs no second look
/// before it sleeps (see [`Parker`](crate::Parker)).
#[derive(Debug)]
pub struct Mailbox<T> {
    /// How many there are, so that an owner that has none takes no lock.
    count: AtomicUsize,
    queues: Mutex<Queues<T>>,
}

#[derive(Debug)]
struct Queues<T> {
    cancelled: VecDeque<T>,
    ready: VecDeque<T>,
}

impl<T> Mailbox<T> {
    /// An empty one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "made by the scheduler only")]
    pub fn new() -> Mailbox<T> {
        let queues = Queues { cancelled: VecDeque::new(), ready: VecDeque::new() };
        Mailbox { count: AtomicUsize::new(0), queues: Mutex::new(queues) }
    }

    /// Adds a task: one that is being cancelled comes before all others.
    pub fn push(&self, task: T, cancelled: bool) {
        let mut queues = self.queues.lock();
        if cancelled {
            queues.cancelled.push_back(task);
        } else {
            queues.ready.push_back(task);
        }
        // Counted under the lock, so that it never says fewer than there are to one who holds it. A
        // reader without the lock is told by the unpark that follows.
        self.count.store(queues.cancelled.len() + queues.ready.len(), Ordering::Release);
    }

    /// Takes the oldest.
    pub fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut queues = self.queues.lock();
        let task = queues.cancelled.pop_front().or_else(|| queues.ready.pop_front());
        self.count.store(queues.cancelled.len() + queues.ready.len(), Ordering::Release);
        task
    }

    /// Whether there is nothing, as far as the caller can know.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }
}
