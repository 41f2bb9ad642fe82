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
pub(crate) mod pinned;
pub(crate) mod plain;
pub(crate) mod run;
pub(crate) mod scopes;
pub(crate) mod state;
pub(crate) mod waker;

pub use cell::TaskBody;
pub use handle::{JoinError, TaskHandle};
pub use pinned::PinnedBody;
pub use run::Runnable;

use crate::budget::Budget;
use crate::cancel::{CancelReason, Cancelled};
use crate::cx::TaskCx;
use crate::event::Event;
use crate::host::{Host, Lane, TimerKey};
use crate::id::TaskId;
use crate::mutant;
use crate::obligation::Slot;
use crate::outcome::Severity;
use crate::primitive::{AtomicBool, AtomicU32, AtomicUsize, Mutex, Ordering};
use crate::region::Region;
use crate::time::Time;
use plain::PlainWait;
use scopes::{Effects, ScopeKey, Scopes, decode, told};
use state::{Next, State};
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::task::Waker;
use std::time::Duration;

/// How a task is spawned, beyond its body.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) budget: Budget,
    pub(crate) service: bool,
    pub(crate) on_end: Option<Listener>,
    /// The host's number for where a pinned task lives.
    pub(crate) home: Option<u32>,
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

/// The home of a task that is not pinned.
pub(crate) const ANYWHERE: u32 = u32::MAX;

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
    /// How many things in a row were there at once, for [`TaskCx::in_turn`]. Read by who polls the task.
    pub(crate) row: AtomicU8,
    /// Counts the waits that were entered into and taken out of the list under the lock.
    pub(crate) listed: AtomicU32,
    /// Where the task must run, as the host counts; `ANYWHERE` unless it is pinned.
    pub(crate) home: u32,
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
    /// Whether somebody listens to the kernel's events; what [`Region::is_observed`] says, at hand.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.state.is_observed()
    }

    /// Tells whoever listens.
    #[inline]
    pub(crate) fn observe<'e>(&self, event: impl FnOnce() -> Event<'e>) {
        if self.is_observed() {
            self.region.tell(event);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_of_wake(&self) {
        self.region.tell(|| Event::TaskWoken { task: self.id, by: crate::step::task() });
    }

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

    /// Whether what is around the innermost scope is hidden from it by a mask.
    pub(crate) fn is_masked(&self) -> bool {
        let inner = self.inner.lock();
        inner.scopes.reached_by(inner.scopes.current).masked
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
            self.observe(|| Event::TaskCancelTold { task: self.id });
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

    /// Three references out of one: the handle's, the region's and the run queue's. Cheaper than clones
    /// while nobody else has one.
    pub(crate) fn tripled(self) -> (TaskRef, TaskRef, TaskRef) {
        let refs = &self.header().refs;
        if refs.load(Ordering::Acquire) != 1 {
            let (second, third) = (self.clone(), self.clone());
            return (self, second, third);
        }
        // The only reference is here, so nobody else counts meanwhile.
        refs.store(3, Ordering::Relaxed);
        let (second, third) = (TaskRef(self.0), TaskRef(self.0));
        (self, second, third)
    }

    /// How many references there are to the task now, this one included. Where none but known ones are
    /// left, a handle is not among them, and none will come.
    pub(crate) fn references(&self) -> usize {
        self.header().refs.load(Ordering::Acquire)
    }

    /// Drops two references to the same task at once, or one.
    pub(crate) fn drop_with(self, other: Option<TaskRef>) {
        let Some(other) = other else { return };
        debug_assert!(self.is_same(&other));
        let raw = self.into_raw();
        let _ = other.into_raw();
        // SAFETY: both counts were ours.
        unsafe { TaskRef::release(raw, 2) };
    }

    /// Gives up `count` counts, and frees the task if they were the last.
    ///
    /// # Safety
    /// `raw` points at a live task of which the caller owns so many counts.
    #[inline]
    unsafe fn release(raw: NonNull<Header>, count: usize) {
        // SAFETY: the caller's counts keep the allocation alive until they are given up.
        let refs = unsafe { &raw.as_ref().refs };
        // Release: these references' uses happen before the free. The last one's Acquire load sees them all,
        // every drop being part of the same release sequence. (Not a fence: the thread sanitizer knows none.)
        let order =
            if mutant::mutant!(RefDropRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        if refs.fetch_sub(count, order) == count {
            refs.load(Ordering::Acquire);
            // SAFETY: the counts have just gone to zero: nobody else has a reference, and nothing frees it
            // but this.
            let header = unsafe { raw.as_ref() };
            if header.obligation.take_over(&header.refs) {
                return;
            }
            let free = header.vtable.free;
            // SAFETY: as above.
            unsafe { free(raw) };
        }
    }

    pub(crate) fn is_same(&self, other: &TaskRef) -> bool {
        self.0 == other.0
    }

    /// Makes the task runnable.
    pub(crate) fn wake(&self) {
        let header = self.header();
        if header.is_observed() {
            header.tell_of_wake();
        }
        if header.state.wake() == Next::Submit {
            self.submit();
        }
    }

    /// Hands the task to its host.
    pub(crate) fn submit(&self) {
        // Counted, and not passed on: the task, and its region and host with it, may be gone before the
        // host's function has returned.
        self.clone().submit_to(&*self.header().region.host);
    }

    /// Hands the task to its host, which somebody else keeps alive meanwhile.
    pub(crate) fn submit_to(self, host: &dyn Host) {
        // A lane is a hint; the unlocked word is as good as any.
        let lane = match self.header().cancelled_now() {
            Some(cancelled) => Lane::Cancel(cancelled.severity() as u8),
            None => Lane::Ready,
        };
        host.schedule(Runnable(self), lane);
    }

    /// Requests the cancellation of the task's own scope. False when it had a reason as severe.
    pub(crate) fn cancel(&self, reason: CancelReason, effects: &mut Effects) -> bool {
        let header = self.header();
        if header.state.is_complete() {
            return false;
        }
        let woken = {
            let mut inner = header.inner.lock();
            if !inner.scopes.cancel(ScopeKey::BASE, &reason) {
                drop(inner);
                header.observe(|| Event::TaskCancelIgnored { task: header.id });
                return false;
            }
            // From here on polls are paid out of the cleanup budget.
            let polls = reason.severity().cleanup_polls();
            header.quota.store(polls, Ordering::Relaxed);
            inner.scopes.propagate(header, effects)
        };
        header.observe(|| Event::TaskCancelRequested {
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
        header.observe(|| Event::TaskEscalated { task: header.id });
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
        // SAFETY: this reference's count is given up here, once.
        unsafe { TaskRef::release(self.0, 1) };
    }
}
