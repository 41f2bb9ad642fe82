//! Many things polled by one task, each with a waker of its own: a wake of one costs one poll.
//!
//! The machine beneath `join_all` and its kin, and beneath streams that poll many others. For
//! crates of the family; it keeps no futures, only the numbers of those that want a poll.
//!
//! ```
//! use asupersync_sync::woken::Woken;
//! use std::task::Waker;
//!
//! let mut woken = Woken::new();
//! let (a, b) = (woken.add(), woken.add()); // new ones want their first poll
//! assert_eq!(woken.begin(Waker::noop()), 2);
//! assert_eq!((woken.pop(), woken.pop(), woken.pop()), (Some(a), Some(b), None));
//! woken.waker(b).wake_by_ref();
//! assert_eq!(woken.pop(), Some(b));
//! ```

use asupersync_core::primitive::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// Which of the numbered slots want a poll, in the order in which they were woken, and whom to tell.
#[derive(Default)]
pub struct Woken {
    shared: Arc<Shared>,
    wakers: Vec<Waker>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    queue: VecDeque<usize>,
    queued: Vec<bool>,
    // Taken by the first wake after `begin`; the later ones find the task told already.
    task: Option<Waker>,
}

impl State {
    fn push(&mut self, index: usize) -> bool {
        let fresh = !std::mem::replace(&mut self.queued[index], true);
        if fresh {
            self.queue.push_back(index);
        }
        fresh
    }
}

struct Slot {
    index: usize,
    shared: Arc<Shared>,
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = {
            let mut state = self.shared.0.lock();
            if !state.push(self.index) {
                return;
            }
            state.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Woken {
    /// Without slots.
    #[must_use]
    pub fn new() -> Woken {
        Woken::default()
    }

    /// Adds a slot, which counts as woken, and answers its number: one more than the last.
    pub fn add(&mut self) -> usize {
        let index = self.wakers.len();
        self.wakers.push(Waker::from(Arc::new(Slot { index, shared: self.shared.clone() })));
        let mut state = self.shared.0.lock();
        state.queued.push(false);
        state.push(index);
        index
    }

    /// The waker to poll this slot with.
    #[must_use]
    pub fn waker(&self, index: usize) -> &Waker {
        &self.wakers[index]
    }

    /// Counts a slot as woken, without telling the task: for a slot's new tenant, or by the task itself.
    pub fn rouse(&self, index: usize) {
        self.shared.0.lock().push(index);
    }

    /// Has the task told of the next wake, and answers how many slots are woken now. To be called before
    /// the slots are looked at: a wake in between is either seen there or finds somebody to tell.
    pub fn begin(&self, task: &Waker) -> usize {
        // Cloned before and dropped after the lock is held: wakers are foreign code.
        let mut task = Some(task.clone());
        let mut state = self.shared.0.lock();
        std::mem::swap(&mut state.task, &mut task);
        let count = state.queue.len();
        drop(state);
        drop(task);
        count
    }

    /// Takes the slot out of the queue that was woken first. The slots that are left stay woken.
    #[must_use]
    pub fn pop(&self) -> Option<usize> {
        let mut state = self.shared.0.lock();
        let index = state.queue.pop_front()?;
        state.queued[index] = false;
        Some(index)
    }
}

impl fmt::Debug for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Woken")
            .field("slots", &self.wakers.len())
            .field("woken", &self.shared.0.lock().queue)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_wakes_tell_the_task_once_and_name_each_slot_once() {
        let task = Arc::new(Task::default());
        let mut woken = Woken::new();
        for _ in 0..3 {
            woken.add();
        }
        assert_eq!(woken.begin(&task.clone().into()), 3);
        while woken.pop().is_some() {}
        for index in [2, 0, 2, 0] {
            woken.waker(index).wake_by_ref();
        }
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert_eq!(woken.begin(&task.clone().into()), 2);
        assert_eq!((woken.pop(), woken.pop(), woken.pop()), (Some(2), Some(0), None));
    }

    #[test]
    fn a_slot_left_in_the_queue_stays_woken() {
        let mut woken = Woken::new();
        let (a, b) = (woken.add(), woken.add());
        assert_eq!(woken.pop(), Some(a));
        woken.rouse(a);
        assert_eq!(woken.begin(Waker::noop()), 2);
        assert_eq!((woken.pop(), woken.pop()), (Some(b), Some(a)));
    }

    #[test]
    fn a_waker_outlives_its_machine() {
        let mut woken = Woken::new();
        woken.add();
        let waker = woken.waker(0).clone();
        drop(woken);
        waker.wake();
    }
}
