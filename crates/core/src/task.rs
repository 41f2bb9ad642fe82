//! A task: one allocation that holds its header and, in turn, its body, its future and its outcome.
//!
//! Join handles, wakers, run queues, the region's child list and `Cx` are counted references to that
//! one allocation.
//!
//! # Who may touch what
//! | field | read | written |
//! |---|---|---|
//! | `state`, `refs`, `eff`, `quota`, `ordinals`, `draws`, `obligation`, `wait` | anyone | by each one's own rules |
//! | `inner` | under its lock | under its lock; no other lock is taken while it is held |
//! | `slot` | under the region's lock | under the region's lock |
//! | the stage (`cell.rs`) | the poller while RUNNING; after COMPLETE, who won the claim | the same |
//! | the rest | anyone | before the first submit |

pub(crate) mod cell;
pub(crate) mod handle;
pub(crate) mod plain;
pub(crate) mod run;
pub(crate) mod scopes;
pub(crate) mod state;
pub(crate) mod waker;

pub use cell::TaskBody;
pub use handle::{JoinError, TaskHandle};
pub use run::Runnable;

use crate::budget::Budget;
use crate::cancel::{CancelReason, Cancelled};
use crate::cx::TaskCx;
use crate::event::Event;
use crate::host::{Lane, TimerKey};
use crate::id::TaskId;
use crate::mutant;
use crate::obligation::Slot;
use crate::outcome::Severity;
use crate::primitive::{AtomicBool, AtomicU32, AtomicUsize, Mutex, Ordering, fence};
use crate::region::Region;
use crate::time::Time;
use plain::PlainWait;
use scopes::{Effects, Scopes, decode, told};
use state::{Next, State};
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// How a task is spawned, beyond its body.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) budget: Budget,
    pub(crate) service: bool,
    pub(crate) on_end: Option<Listener>,
}

impl TaskOptions {
    /// No name, no limits of its own.
    #[must_use]
    pub fn new() -> TaskOptions {
        TaskOptions::default()
    }

    /// A name for reports.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> TaskOptions {
        self.name = Some(name.into());
        self
    }

    /// Limits, which meet with the region's.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> TaskOptions {
        self.budget = budget;
        self
    }

    /// The task serves its siblings: it is cancelled last, when no other child of its region is left;
    /// see [`Scope::spawn_service`](crate::Scope::spawn_service).
    #[must_use]
    pub fn service(mut self) -> TaskOptions {
        self.service = true;
        self
    }
}

/// Who is told first that a task has ended.
pub(crate) trait OnEnd: Send + Sync {
    /// The outcome is published. True when whoever listens answers for it: then it does not count as its
    /// region's failure or cancellation.
    fn ended(&self, task: &TaskRef, severity: Severity) -> bool;
}

#[derive(Clone)]
pub(crate) struct Listener(pub(crate) Arc<dyn OnEnd>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// What every task has in front of its stage.
pub(crate) struct Header {
    pub(crate) state: State,
    /// The innermost scope's cancellation as [`scopes::encode`] packs it; 0 is "go on". Written under
    /// `inner`'s lock; `checkpoint` is one load of it.
    pub(crate) eff: AtomicU32,
    refs: AtomicUsize,
    pub(crate) vtable: &'static cell::Vtable,
    pub(crate) region: Arc<Region>,
    pub(crate) id: TaskId,
    /// Polls left; `u32::MAX` is unlimited and stays so.
    quota: AtomicU32,
    /// The task's place in its region's child table.
    pub(crate) slot: AtomicU32,
    /// How many things this task has created, for their ids.
    ordinals: AtomicU32,
    /// How many random numbers this task has drawn.
    pub(crate) draws: AtomicU32,
    pub(crate) obligation: Slot,
    /// The task's wait, when it is in its own scope and on its own waker.
    pub(crate) wait: PlainWait,
    /// Whether the innermost scope is another than the task's own. Written under `inner`'s lock.
    pub(crate) nested: AtomicBool,
    /// Counts the waits that were entered into and taken out of the list under the lock.
    pub(crate) listed: AtomicU32,
    pub(crate) spawned_at: &'static Location<'static>,
    /// What `&Cx` points at: a reference to this very header with the whole allocation's provenance.
    pub(crate) cx: TaskCx,
    pub(crate) inner: Mutex<Inner>,
}

/// The part of a header that needs the lock.
pub(crate) struct Inner {
    pub(crate) scopes: Scopes,
    pub(crate) joiner: Option<Waker>,
    pub(crate) extra: Option<Box<Extra>>,
}

/// What few tasks have.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) budget: Budget,
    pub(crate) account: Option<Arc<crate::charge::Account>>,
    pub(crate) deadline_timer: Option<TimerKey>,
    pub(crate) cleanup_timer: Option<TimerKey>,
    pub(crate) obligations: crate::obligation::Overflow,
    /// Somebody cancelled this very task, by its handle.
    pub(crate) cancelled_by_handle: bool,
    pub(crate) on_end: Option<Listener>,
    /// When a soft cancellation becomes a hard one.
    pub(crate) grace_timer: Option<(Time, TimerKey)>,
}

impl Inner {
    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

impl Header {
    pub(crate) fn next_ordinal(&self) -> u32 {
        self.ordinals.fetch_add(1, Ordering::Relaxed)
    }

    /// A wait was entered into the list, or taken out.
    pub(crate) fn count_listed(&self) {
        // Not a read-modify-write: a count lost to another thread's would only make two snapshots look
        // alike, and there is one step of a task at a time.
        let count = self.listed.load(Ordering::Relaxed);
        self.listed.store(count.wrapping_add(1), Ordering::Relaxed);
    }

    /// The innermost scope's cancellation, if any: one load.
    #[inline]
    pub(crate) fn cancelled_now(&self) -> Option<Cancelled> {
        match self.eff.load(Ordering::Acquire) {
            0 => None,
            word => Some(decode(word)),
        }
    }

    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.inner.lock().extra.as_ref().and_then(|extra| extra.name.clone())
    }

    /// Marks every cancelled scope that the current wait sees as told.
    #[cold]
    pub(crate) fn tell(&self) -> Option<Cancelled> {
        let mut inner = self.inner.lock();
        let current = inner.scopes.current;
        let (cancelled, first_time) = told(&mut inner.scopes, current)?;
        drop(inner);
        if first_time {
            self.region.observe(&Event::TaskCancelTold { task: self.id });
        }
        Some(cancelled)
    }

    /// Whether the task's own scope has answered `Cancelled`, and why.
    pub(crate) fn told_reason(&self) -> Option<CancelReason> {
        let inner = self.inner.lock();
        inner.scopes.base.told.then(|| inner.scopes.base.cancel.clone()).flatten()
    }
}

/// A counted reference to a task.
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: a header is shared by design: its fields are atomics, locked, or immutable once shared, and
// the stage follows the access table above. Bodies, futures and outcomes are `Send` by `spawn`'s bounds.
unsafe impl Send for TaskRef {}
// SAFETY: as for `Send`.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// Takes over one count.
    ///
    /// # Safety
    /// `raw` points at a live task allocation and the caller owns one of its counts.
    pub(crate) unsafe fn from_raw(raw: NonNull<Header>) -> TaskRef {
        TaskRef(raw)
    }

    pub(crate) fn as_raw(&self) -> NonNull<Header> {
        self.0
    }

    /// Gives up the reference without giving up its count.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        std::mem::ManuallyDrop::new(self).0
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: this reference's count keeps the allocation alive, and headers are only ever shared.
        unsafe { self.0.as_ref() }
    }

    /// Two references out of one. Cheaper than a clone while nobody else has one.
    pub(crate) fn doubled(self) -> (TaskRef, TaskRef) {
        let refs = &self.header().refs;
        if refs.load(Ordering::Acquire) != 1 {
            let other = self.clone();
            return (self, other);
        }
        // The only reference is here, so nobody else counts meanwhile.
        refs.store(2, Ordering::Relaxed);
        let other = TaskRef(self.0);
        (self, other)
    }

    pub(crate) fn is_same(&self, other: &TaskRef) -> bool {
        self.0 == other.0
    }

    /// Makes the task runnable.
    pub(crate) fn wake(&self) {
        let header = self.header();
        if header.region.observing {
            header.region.observe(&Event::TaskWoken { task: header.id, by: crate::step::task() });
        }
        if header.state.wake() == Next::Submit {
            self.submit();
        }
    }

    /// Hands the task to its host.
    pub(crate) fn submit(&self) {
        let header = self.header();
        // A lane is a hint; the unlocked word is as good as any.
        let lane = match header.cancelled_now() {
            Some(cancelled) => Lane::Cancel(cancelled.severity() as u8),
            None => Lane::Ready,
        };
        header.region.host.schedule(Runnable(self.clone()), lane);
    }

    /// Requests the cancellation of the task's own scope. False when it had a reason as severe.
    pub(crate) fn cancel(&self, reason: CancelReason, effects: &mut Effects) -> bool {
        let header = self.header();
        if header.state.is_complete() {
            return false;
        }
        let woken = {
            let mut inner = header.inner.lock();
            if !crate::cancel_strengthens(&reason, inner.scopes.base.cancel.as_ref()) {
                return false;
            }
            inner.scopes.base.cancel = Some(reason.clone());
            // From here on polls are paid out of the cleanup budget.
            let polls = reason.severity().cleanup_polls();
            header.quota.store(polls, Ordering::Relaxed);
            inner.scopes.propagate(header, effects)
        };
        header.region.observe(&Event::TaskCancelRequested {
            task: header.id,
            kind: reason.kind(),
            severity: reason.severity(),
        });
        if !woken || !mutant::mutant!(CancelWakesWaitsOnly) {
            // For the plain wait, which kept no waker, and for foreign futures, which wait through no
            // door. A wait that is being entered meanwhile is inside a poll, after which this counts.
            self.wake();
        }
        true
    }

    /// Requests cancellation of this one task and bounds its cleanup by a timer of its own.
    pub(crate) fn cancel_alone(&self, reason: CancelReason, by_handle: bool) {
        let header = self.header();
        let now = header.region.host.now();
        let reason = reason.attributed(now, crate::step::task(), Some(header.region.id));
        let cleanup = reason.cleanup_time();
        if by_handle {
            header.inner.lock().extra().cancelled_by_handle = true;
        }
        let mut effects = Effects::default();
        if self.cancel(reason, &mut effects) {
            effects.run();
            self.arm_cleanup(cleanup);
        }
    }

    fn arm_cleanup(&self, cleanup: Duration) {
        let header = self.header();
        let host = &header.region.host;
        let timer =
            crate::timer::arm(host, host.now() + cleanup, crate::timer::Fires::Task(self.clone()));
        let stale = {
            let mut inner = header.inner.lock();
            if header.state.is_complete() {
                Some(timer)
            } else {
                inner.extra().cleanup_timer.replace(timer)
            }
        };
        if let Some(stale) = stale {
            host.disarm_timer(stale);
        }
    }

    /// The cleanup budget is spent: the future is dropped at the next poll boundary, and the region
    /// reports the task by name.
    pub(crate) fn escalate(&self) {
        if mutant::mutant!(EscalationIgnored) {
            return;
        }
        let header = self.header();
        if header.state.is_complete() {
            return;
        }
        header.region.record_straggler(self);
        header.region.observe(&Event::TaskEscalated { task: header.id });
        if header.state.escalate() == Next::Submit {
            self.submit();
        }
    }

    /// Ends a task that was never admitted: its body is dropped, its outcome is `Cancelled`.
    pub(crate) fn refuse(&self, reason: CancelReason) {
        let header = self.header();
        // SAFETY: the task was never submitted, so the stage is ours, and it is not complete.
        unsafe { (header.vtable.abandon)(self.0, reason) };
        header.state.refuse();
    }

    /// Lowers the poll quota before the first submit.
    pub(crate) fn limit_polls(&self, polls: u32) {
        self.header().quota.store(polls, Ordering::Relaxed);
    }

    /// A poll quota was set or a poll is about to be spent. False when none is left.
    fn spend_poll(&self) -> bool {
        let quota = &self.header().quota;
        match quota.load(Ordering::Relaxed) {
            u32::MAX => true,
            0 => mutant::mutant!(QuotaIgnored),
            left => {
                quota.store(left - 1, Ordering::Relaxed);
                true
            }
        }
    }

    pub(crate) fn polls_left(&self) -> u32 {
        self.header().quota.load(Ordering::Relaxed)
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> TaskRef {
        // Relaxed: a new count is made from an existing one, which keeps the allocation alive.
        let before = self.header().refs.fetch_add(1, Ordering::Relaxed);
        assert!(before < usize::MAX / 2, "a task's reference count overflowed");
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        // Release: this reference's uses happen before the free; Acquire on the last one sees them all.
        let order =
            if mutant::mutant!(RefDropRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        if self.header().refs.fetch_sub(1, order) == 1 {
            fence(Ordering::Acquire);
            if self.header().obligation.take_over(&self.header().refs) {
                return;
            }
            let free = self.header().vtable.free;
            // SAFETY: the count has just gone from one to zero, so nobody else has a reference.
            unsafe { free(self.0) };
        }
    }
}
