//! What the kernel asks of the machine it runs on.
//!
//! Only four things differ between production and the lab: the clock, the choice of the next task,
//! the entropy, and the drivers. They are this trait.

use crate::event::Event;
use crate::task::Runnable;
use crate::time::Time;
use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// thread of its choice, or of [`Runnable::home`]'s; to drop a `Runnable` unrun is to strand its task.
    fn schedule(&self, task: Runnable, lane: Lane);

    /// Where a pinned task that is spawned now shall live: a number below `u32::MAX` that means one of the
    /// host's threads, for as long as that task lives.
    fn home(&self) -> u32 {
        0
    }

    /// The present moment.
    fn now(&self) -> Time;

    /// Arranges for `waker` to be woken at `at` or as soon after as can be. A time in the past is
    /// due at once.
    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey;

    /// Forgets a timer; without effect on one that has fired.
    fn disarm_timer(&self, key: TimerKey);

    /// At these times something changes that is read off the clock, and nobody may be waiting: what is under way
    /// arrives, say. A host whose clock jumps from one timer to the next may stop there too.
    fn foresee(&self, instants: &mut dyn Iterator<Item = Time>) {
        let _ = instants;
    }

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

/// A closure on its way to a blocking thread. It runs at most once. A host runs every one: the task of one
/// that is dropped waits until it is cancelled.
pub struct BlockingJob(pub(crate) Arc<dyn BlockingClosure>);

/// A [`BlockingJob`] that no cancellation takes back any more.
pub struct ClaimedJob(Arc<dyn BlockingClosure>);

/// A [`ClaimedJob`] whose closure has ended, which its task does not know yet.
pub struct EndedJob(Arc<dyn BlockingClosure>);

/// What a job is of, whatever its closure answers.
pub(crate) trait BlockingClosure: Send + Sync {
    /// Keeps the task from taking the closure back.
    fn claim(&self);
    /// Runs the closure, unless it was taken back, and keeps its result from the task.
    fn perform(&self);
    /// Lets the task have the result.
    fn publish(&self);
}

/// Any closure, as a job that no task waits for.
struct Plain<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> BlockingClosure for Plain<F> {
    fn claim(&self) {}

    fn perform(&self) {
        let closure = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(closure) = closure {
            closure();
        }
    }

    fn publish(&self) {}
}

impl BlockingJob {
    /// A closure of the host's own.
    #[must_use]
    pub fn new(closure: impl FnOnce() + Send + 'static) -> BlockingJob {
        BlockingJob(Arc::new(Plain(Mutex::new(Some(closure)))))
    }

    /// Runs the closure; a panic in it is kept for the task that waits, not passed on.
    pub fn run(self) {
        self.0.perform();
        self.0.publish();
    }

    /// Takes the closure for good: a cancellation from now on waits for its end. With this and
    /// [`EndedJob::publish`] a host says when its tasks learn of a thread's doings, and only then.
    #[must_use = "a claimed job must be run"]
    pub fn claim(self) -> ClaimedJob {
        self.0.claim();
        ClaimedJob(self.0)
    }
}

impl ClaimedJob {
    /// Runs the closure, on any thread; as [`BlockingJob::run`], but that the task is not told.
    #[must_use = "the task waits until it is told"]
    pub fn run(self) -> EndedJob {
        self.0.perform();
        EndedJob(self.0)
    }
}

impl EndedJob {
    /// Tells the task.
    pub fn publish(self) {
        self.0.publish();
    }
}

impl std::fmt::Debug for BlockingJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlockingJob")
    }
}

impl std::fmt::Debug for ClaimedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimedJob")
    }
}

impl std::fmt::Debug for EndedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndedJob")
    }
}
