//! What the workers share, and the handle through which everybody else reaches them.

use crate::clock::Clock;
use crate::idle::Idle;
use crate::lanes::{Injectors, Local, Stealers};
use crate::park::{DriverSeat, Park, Parker};
use crate::pinned::Mailbox;
use crate::timers::Timers;
use crate::worker::{Worker, current_worker, push_local};
use asupersync_core::{Lane, Runnable, Time, TimerKey};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

/// The handle to a set of workers: takes over tasks and timers from any thread.
///
/// The methods are what a host's `schedule`, `now`, `arm_timer` and `disarm_timer` need.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) injectors: Injectors,
    pub(crate) workers: Box<[Seat]>,
    pub(crate) idle: Idle,
    pub(crate) seat: DriverSeat,
    pub(crate) timers: Timers,
    pub(crate) clock: Clock,
    stopping: AtomicBool,
    /// Timers armed from outside go round.
    next_wheel: AtomicUsize,
    /// Pinned tasks go round.
    next_home: AtomicUsize,
}

/// What others see of a worker.
pub(crate) struct Seat {
    pub(crate) stealers: Stealers,
    pub(crate) parker: Parker,
    /// Tasks that only this worker may run.
    pub(crate) pinned: Mailbox<Runnable>,
}

impl Scheduler {
    /// A scheduler and its workers (at least one), each to be run on a thread of its own. The driver is
    /// what one of them at a time sleeps in.
    #[must_use]
    pub fn new(workers: usize, driver: Box<dyn Park>) -> (Scheduler, Vec<Worker>) {
        Scheduler::with_observer(workers, driver, None)
    }

    /// As [`new`](Scheduler::new); the observer is told the moment by which timers fire, each time before
    /// any does, on the thread that then wakes who waits for them.
    #[must_use]
    pub fn with_observer(
        workers: usize,
        driver: Box<dyn Park>,
        observer: Option<Arc<dyn Fn(Time) + Send + Sync>>,
    ) -> (Scheduler, Vec<Worker>) {
        let (locals, seats): (Vec<_>, Vec<_>) = (0..workers.max(1))
            .map(|worker| {
                let (local, stealers) = Local::new(worker);
                (local, Seat { stealers, parker: Parker::new(), pinned: Mailbox::new() })
            })
            .unzip();
        let shared = Arc::new(Shared {
            injectors: Injectors::new(),
            idle: Idle::new(seats.len()),
            timers: Timers::new(seats.len(), observer),
            workers: seats.into(),
            seat: DriverSeat::new(driver),
            clock: Clock::new(),
            stopping: AtomicBool::new(false),
            next_wheel: AtomicUsize::new(0),
            next_home: AtomicUsize::new(0),
        });
        let workers = locals.into_iter().map(|local| Worker::new(shared.clone(), local)).collect();
        (Scheduler { shared }, workers)
    }

    /// Takes over a task. Called on a worker's thread it stays with that worker, if nobody is idle;
    /// otherwise it goes through the injector. A pinned task goes to the worker where it lives.
    pub fn schedule(&self, task: Runnable, lane: Lane) {
        let shared = &*self.shared;
        if let Some(home) = task.home() {
            let worker = home as usize % shared.workers.len();
            shared.workers[worker].pinned.push(task, matches!(lane, Lane::Cancel(_)));
            if current_worker(shared.id()) != Some(worker) {
                self.unpark(worker);
            }
            return;
        }
        match push_local(shared.id(), task, lane) {
            Ok(false) => {}
            Ok(true) => shared.notify(),
            Err(task) => {
                shared.injectors.push(task, lane);
                shared.notify();
            }
        }
    }

    /// A worker for the next pinned task: each in turn.
    #[must_use]
    pub fn home(&self) -> u32 {
        let turn = self.shared.next_home.fetch_add(1, Ordering::Relaxed);
        (turn % self.shared.workers.len()) as u32
    }

    /// The time since the scheduler was made, by the monotonic clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Arranges for a waker to be woken at `at` or soon after.
    ///
    /// # Panics
    /// When one worker has 2^26 timers.
    pub fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        let shared = &*self.shared;
        if let Some(worker) = current_worker(shared.id()) {
            // The worker looks at its timers before it sleeps.
            return shared.timers.arm(worker, at, waker).0;
        }
        let worker = shared.next_wheel.fetch_add(1, Ordering::Relaxed) % shared.workers.len();
        let (key, earliest) = shared.timers.arm(worker, at, waker);
        if earliest {
            // It may sleep until later than this.
            self.unpark(worker);
        }
        key
    }

    /// Forgets a timer; without effect on one that has fired.
    pub fn disarm_timer(&self, key: TimerKey) {
        self.shared.timers.disarm(key);
    }

    /// Makes a worker look up, from its sleep or before its next one.
    pub fn unpark(&self, worker: usize) {
        let shared = &*self.shared;
        shared.workers[worker].parker.unpark(&shared.seat);
    }

    /// Makes all workers leave their loops after their present polls. Tasks still queued are not
    /// polled any more.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for worker in 0..self.shared.workers.len() {
            self.unpark(worker);
        }
    }

    /// Drops queued tasks and armed timers; for after the workers have ended. What it drops is
    /// stranded: this is how an abandoned runtime gives its memory back.
    pub fn clear(&self) {
        while self.shared.injectors.pop().is_some() {}
        for seat in &self.shared.workers {
            while seat.pinned.pop().is_some() {}
        }
        self.shared.timers.clear();
    }
}

impl Shared {
    /// Tells the schedulers of one process apart.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Wakes a worker for work just added, if there is one to wake and none is searching.
    pub(crate) fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.workers[worker].parker.unpark(&self.seat);
        }
    }

    /// Whether there is anything this worker could take from others, of whom so many sleep.
    pub(crate) fn has_work(&self, worker: usize, asleep: usize) -> bool {
        if !self.injectors.is_empty() {
            return true;
        }
        let mut others = self.workers.iter().enumerate().filter(|(other, _)| *other != worker);
        asleep + 1 < self.workers.len() && others.any(|(_, seat)| !seat.stealers.is_empty())
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("workers", &self.shared.workers.len()).finish()
    }
}
