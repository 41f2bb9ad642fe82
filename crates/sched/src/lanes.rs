//! One worker's queues, and the bounds that keep them fair.
//!
//! A worker takes, in this order: tasks being cancelled; the task woken last (the *next* slot, whose
//! data is warm); its own queue, oldest first; the shared injector. Three bounds keep each from
//! starving the others:
//!
//! - after [`CANCEL_STREAK`] cancelled tasks in a row one ready task is taken, if there is any;
//! - after [`NEXT_STREAK`] polls from the next slot in a row its task goes to the queue's end;
//! - every [`INJECTOR_INTERVAL`]-th ready task comes from the injector, if it has any.
//!
//! So while a worker runs, the oldest task of its queue is polled after at most
//! `(NEXT_STREAK + 2) * (CANCEL_STREAK + 1)` other polls, and the injector's oldest, on one worker,
//! after at most `INJECTOR_INTERVAL * (CANCEL_STREAK + 1)`.

use asupersync_core::{Lane, Runnable, TaskId};
use crossbeam_deque::{Injector, Steal, Stealer, Worker as Queue};
use std::cell::Cell;

/// Consecutive polls of cancelled tasks before a ready one gets its turn.
pub const CANCEL_STREAK: u32 = 16;
/// Consecutive polls from the next slot before the queue gets its turn.
pub const NEXT_STREAK: u32 = 8;
/// Ready polls from one look into the injector to the next.
pub const INJECTOR_INTERVAL: u32 = 31;

/// What only the worker's own thread touches.
pub(crate) struct Local {
    /// Which scheduler's worker this is, by address.
    pub(crate) scheduler: usize,
    pub(crate) worker: usize,
    cancel: Queue<Runnable>,
    ready: Queue<Runnable>,
    next: Cell<Option<Runnable>>,
    running: Cell<Option<TaskId>>,
    /// Several wakers are being woken: tasks queue in that order, and others are told afterwards.
    batch: Cell<bool>,
    cancel_streak: Cell<u32>,
    next_streak: Cell<u32>,
    ready_polls: Cell<u32>,
}

/// What other workers may take from this one.
pub(crate) struct Stealers {
    cancel: Stealer<Runnable>,
    ready: Stealer<Runnable>,
}

/// What anybody may add to and every worker takes from.
pub(crate) struct Injectors {
    cancel: Injector<Runnable>,
    ready: Injector<Runnable>,
}

impl Local {
    pub(crate) fn new(worker: usize) -> (Local, Stealers) {
        let (cancel, ready) = (Queue::new_fifo(), Queue::new_fifo());
        let stealers = Stealers { cancel: cancel.stealer(), ready: ready.stealer() };
        let local = Local {
            scheduler: 0,
            worker,
            cancel,
            ready,
            next: Cell::new(None),
            running: Cell::new(None),
            batch: Cell::new(false),
            cancel_streak: Cell::new(0),
            next_streak: Cell::new(0),
            ready_polls: Cell::new(0),
        };
        (local, stealers)
    }

    /// Takes a task over; true if there is now more than the worker will come to next, so that
    /// another one could help.
    pub(crate) fn push(&self, task: Runnable, lane: Lane) -> bool {
        if let Lane::Cancel(_) = lane {
            let first = self.cancel.is_empty();
            self.cancel.push(task);
            return !first && !self.batch.get();
        }
        if self.batch.get() {
            self.ready.push(task);
            return false;
        }
        if self.running.get() == Some(task.task_id()) {
            // It woke itself: it yields, and everybody else comes first.
            let alone = self.ready.is_empty() && !self.has_next();
            self.ready.push(task);
            return !alone;
        }
        match self.next.replace(Some(task)) {
            Some(displaced) => {
                self.ready.push(displaced);
                true
            }
            None => false,
        }
    }

    /// The next task to poll, unless it must be stolen.
    pub(crate) fn pop(&self, injectors: &Injectors) -> Option<Runnable> {
        let streak = self.cancel_streak.get();
        if streak < CANCEL_STREAK {
            if let Some(task) = self.pop_cancel(injectors) {
                self.cancel_streak.set(streak + 1);
                return Some(task);
            }
            self.cancel_streak.set(0);
            return self.pop_ready(injectors);
        }
        self.cancel_streak.set(0);
        self.pop_ready(injectors).or_else(|| self.pop_cancel(injectors))
    }

    fn pop_cancel(&self, injectors: &Injectors) -> Option<Runnable> {
        if let Some(task) = self.cancel.pop() {
            return Some(task);
        }
        if injectors.cancel.is_empty() {
            return None;
        }
        retry(|| injectors.cancel.steal_batch_and_pop(&self.cancel))
    }

    fn pop_ready(&self, injectors: &Injectors) -> Option<Runnable> {
        let polls = self.ready_polls.get().wrapping_add(1);
        self.ready_polls.set(polls);
        if polls % INJECTOR_INTERVAL == 0 && !injectors.ready.is_empty() {
            if let Some(task) = retry(|| injectors.ready.steal()) {
                return Some(task);
            }
        }
        if let Some(task) = self.next.take() {
            let streak = self.next_streak.get();
            if streak < NEXT_STREAK {
                self.next_streak.set(streak + 1);
                return Some(task);
            }
            self.ready.push(task);
        }
        self.next_streak.set(0);
        if let Some(task) = self.ready.pop() {
            return Some(task);
        }
        if injectors.ready.is_empty() {
            return None;
        }
        retry(|| injectors.ready.steal_batch_and_pop(&self.ready))
    }

    /// Takes from another worker, up to half of what it has.
    pub(crate) fn steal(&self, from: &Stealers) -> Option<Runnable> {
        retry(|| from.cancel.steal_batch_and_pop(&self.cancel))
            .or_else(|| retry(|| from.ready.steal_batch_and_pop(&self.ready)))
    }

    /// Polls a task.
    pub(crate) fn run(&self, task: Runnable) {
        self.running.set(Some(task.task_id()));
        task.run();
        self.running.set(None);
    }

    /// Runs `wake`, which wakes any number of tasks; answers how many are queued then.
    pub(crate) fn batch(&self, wake: impl FnOnce()) -> usize {
        self.batch.set(true);
        wake();
        self.batch.set(false);
        self.ready.len() + self.cancel.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.cancel.is_empty() && !self.has_next()
    }

    fn has_next(&self) -> bool {
        let next = self.next.take();
        let some = next.is_some();
        self.next.set(next);
        some
    }
}

impl Stealers {
    pub(crate) fn is_empty(&self) -> bool {
        self.cancel.is_empty() && self.ready.is_empty()
    }
}

impl Injectors {
    pub(crate) fn new() -> Injectors {
        Injectors { cancel: Injector::new(), ready: Injector::new() }
    }

    pub(crate) fn push(&self, task: Runnable, lane: Lane) {
        match lane {
            Lane::Cancel(_) => self.cancel.push(task),
            Lane::Ready => self.ready.push(task),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cancel.is_empty() && self.ready.is_empty()
    }

    /// Takes one task, for a caller that wants to be rid of them all.
    pub(crate) fn pop(&self) -> Option<Runnable> {
        retry(|| self.cancel.steal()).or_else(|| retry(|| self.ready.steal()))
    }
}

fn retry(mut steal: impl FnMut() -> Steal<Runnable>) -> Option<Runnable> {
    loop {
        match steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}
