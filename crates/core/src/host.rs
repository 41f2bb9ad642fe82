//! What the kernel asks of the machine it runs on.
//!
//! Only four things differ between production and the lab: the clock, the choice of the next task,
//! the entropy, and the drivers. They are this trait.

use crate::event::Event;
use crate::task::Runnable;
use crate::time::Time;
use std::any::{Any, TypeId};
use std::sync::Arc;
use std::task::Waker;

/// Which queue a runnable task belongs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The task is being cancelled, with this severity (0 mildest to 6); served first.
    Cancel(u8),
    /// Everything else.
    Ready,
}

impl Lane {
    /// Scheduling priority as the documentation counts it: 200 and more while being cancelled.
    #[must_use]
    pub const fn priority(self) -> u8 {
        match self {
            Lane::Cancel(severity) => 200 + severity,
            Lane::Ready => 0,
        }
    }
}

/// Names an armed timer. Chosen by the host; a key is not used again while it may still be disarmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey(pub u64);

/// The machine beneath the kernel.
///
/// Every method may be called from any thread, and from inside a task's poll. A host must not call a
/// waker, or drop one, while it holds one of its own locks: wakers run foreign code.
pub trait Host: Send + Sync + 'static {
    /// Takes over a task that wants to be polled. The host calls [`Runnable::run`] once, soon, on a
    /// thread of its choice; to drop a `Runnable` unrun is to strand its task.
    fn schedule(&self, task: Runnable, lane: Lane);

    /// The present moment.
    fn now(&self) -> Time;

    /// Arranges for `waker` to be woken at `at` or as soon after as can be. A time in the past is
    /// due at once.
    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey;

    /// Forgets a timer; without effect on one that has fired.
    fn disarm_timer(&self, key: TimerKey);

    /// The number all tasks' random streams are derived from; fixed for the host's life.
    fn seed(&self) -> u64;

    /// Whether [`observe`](Host::observe) wants events. Read once for each region when it opens.
    fn observing(&self) -> bool {
        false
    }

    /// Receives a kernel event; called only while [`observing`](Host::observing). Must not call
    /// back into the kernel.
    fn observe(&self, event: &Event<'_>) {
        let _ = event;
    }

    /// A driver by its type: a reactor, a virtual network, a blocking pool.
    fn service(&self, service: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        let _ = service;
        None
    }
}

/// Runs closures that block a thread; the service behind `cx.spawn_blocking`.
///
/// A host registers it as the service type `Arc<dyn BlockingPool>`.
pub trait BlockingPool: Send + Sync + 'static {
    /// Takes over a job and runs it on a thread where blocking harms nobody. The lab runs it inline.
    fn submit(&self, job: BlockingJob);
}

/// A closure on its way to a blocking thread. Running it more than once is impossible; dropping it
/// unrun tells its task so.
pub struct BlockingJob(pub(crate) Box<dyn FnOnce() + Send>);

impl BlockingJob {
    /// Runs the closure; a panic in it is kept for the task that waits, not passed on.
    pub fn run(self) {
        (self.0)();
    }
}

impl std::fmt::Debug for BlockingJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlockingJob")
    }
}
