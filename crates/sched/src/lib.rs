//! The production scheduler: work-stealing workers, their sleep, their timers, the blocking pool.
//!
//! [`Scheduler`] takes over runnable tasks and timers; each [`Worker`] is a loop over its own lanes,
//! the shared injector and, when those are empty, the queues of the others. One worker alone, run on
//! the caller's thread, is the current-thread flavour. [`BlockingThreads`] is the pool behind
//! `cx.spawn_blocking`.
//!
//! How long a task may have to wait for others, as a number of polls, stands in [`fairness`]. A wake-up
//! is never lost: [`Idle`], [`Parker`] and [`Mailbox`] say why, and are modelled with loom.
//!
//! What this crate does not know: sockets. A worker with nothing to do sleeps in whatever driver
//! implements [`Park`], one worker at a time, and the others on condition variables. One that leaves the
//! driver and stays at work for a tenth of a millisecond wakes one of the others to take its seat.
//!
//! # Example
//! ```
//! use asupersync_core::{Time, WakeList};
//! use asupersync_sched::{Park, Scheduler, Unpark};
//! use std::sync::Arc;
//! use std::task::Waker;
//! use std::time::Duration;
//!
//! /// A driver without events: sleeping threads.
//! struct Sleep(std::thread::Thread);
//!
//! impl Park for Sleep {
//!     fn park(&mut self, timeout: Option<Duration>, _: &mut WakeList) {
//!         self.0 = std::thread::current();
//!         std::thread::park_timeout(timeout.unwrap_or(Duration::from_millis(1)));
//!     }
//!     fn unparker(&self) -> Arc<dyn Unpark> {
//!         struct Nothing;
//!         impl Unpark for Nothing {
//!             fn unpark(&self) {}
//!         }
//!         Arc::new(Nothing)
//!     }
//! }
//!
//! let driver = Sleep(std::thread::current());
//! let (scheduler, mut workers) = Scheduler::new(1, Box::new(driver));
//! scheduler.arm_timer(scheduler.now() + Duration::from_millis(2), Waker::noop().clone());
//! let end = scheduler.now() + Duration::from_millis(5);
//! workers[0].run_until(|| scheduler.now() >= end);
//! assert!(scheduler.now() >= end);
//! ```
//!
//! # Limitations
//! - A task in a worker's next slot, and the timers of a worker, wait while that worker is inside a
//!   long poll; an idle worker that wakes helps with the timers, not with the slot.
//! - While the worker that left the driver last is inside a long first poll, and all others sleep, nobody
//!   waits for events.
//! - Cancelled tasks are served in the order they come, not by severity. There is no timed lane.
//! - Beyond 64 workers, timer wheels are shared; each holds at most 2^26 timers.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "the production host is where the clock is read")]

mod blocking;
mod clock;
mod idle;
mod lanes;
mod park;
mod pinned;
mod scheduler;
mod sync;
mod threads;
mod timers;
mod worker;

/// The bounds of fairness, in polls.
pub mod fairness {
    pub use crate::lanes::{CANCEL_STREAK, INJECTOR_INTERVAL, NEXT_STREAK};
}

pub use blocking::{BlockingConfig, BlockingThreads};
pub use clock::Clock;
pub use idle::Idle;
pub use park::{DriverSeat, Park, Parker, Unpark};
pub use pinned::Mailbox;
pub use scheduler::Scheduler;
#[cfg(loom)]
pub use sync::{Weakening, weaken};
pub use threads::WorkerThreads;
pub use worker::{Worker, on_worker_thread};
