//! The context: what a task may know, wait for and do.

mod mask;
mod scoped;

pub use mask::{MaskGuard, Masked};
pub(crate) use scoped::BodyEnd;

use crate::blocking;
use crate::budget::Budget;
use crate::cancel::{CancelReason, Cancelled};
use crate::cap::{
    All, Capabilities, HasBlocking, HasIo, HasRandom, HasSpawn, HasTime, HasTrace, Includes,
};
use crate::event::Event;
use crate::id::{RegionId, TaskId};
use crate::mutant::mutant;
use crate::obligation::{Duty, Holding, Lease, Obligation, ObligationKind};
use crate::primitive::Ordering;
use crate::random::SplitMix64;
use crate::spawn;
use crate::task::{Header, TaskBody, TaskHandle, TaskOptions, TaskRef};
use crate::time::Time;
use crate::wait::{Sleep, Wait};
use std::any::{Any, TypeId};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering as StdOrdering;
use std::task::{Context, Poll};
use std::time::Duration;

/// What every task has: an identity, cancellation, waiting.
///
/// `Cx<C>` dereferences to it, so a function that only waits takes `cx: &TaskCx` and is called with any
/// `&Cx`. It is `Sync`, so that two futures of one task may use it at once, and not `Clone`: a task has
/// one.
#[repr(transparent)]
pub struct TaskCx {
    /// A task's own reference to itself; it carries no count.
    task: ManuallyDrop<TaskRef>,
}

/// A task's context with the capabilities `C`.
///
/// Every effect goes through one: there is no ambient runtime to reach for. What a `Cx` is bound to
/// decides what the effect means: the production runtime or the lab.
#[repr(transparent)]
pub struct Cx<C = All> {
    cx: TaskCx,
    capabilities: PhantomData<fn() -> C>,
}

impl TaskCx {
    /// A placeholder until the task's address is known; never used.
    pub(crate) fn dangling() -> TaskCx {
        // SAFETY: the reference is overwritten before anyone can see it, and is never dropped.
        TaskCx { task: ManuallyDrop::new(unsafe { TaskRef::from_raw(NonNull::dangling()) }) }
    }

    /// The context inside the header that `raw` points at.
    ///
    /// # Safety
    /// `raw` points at a live task, and the `TaskCx` does not outlive it.
    pub(crate) unsafe fn of(raw: NonNull<Header>) -> TaskCx {
        // SAFETY: not dropping the reference keeps it from giving up a count it does not have.
        TaskCx { task: ManuallyDrop::new(unsafe { TaskRef::from_raw(raw) }) }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.task.header()
    }

    /// Which task this is.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.header().id
    }

    /// Which region owns this task.
    #[must_use]
    pub fn region_id(&self) -> RegionId {
        self.header().region.id
    }

    /// Answers `Err` when the innermost scope is cancelled and not masked: the place to stop in a loop
    /// that does not wait. One load; reads no clock.
    ///
    /// # Errors
    /// [`Cancelled`]. Once it has answered so, an `Err` from the body counts as the cancellation's.
    #[inline]
    pub fn checkpoint(&self) -> Result<(), Cancelled> {
        if self.header().eff.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        self.header().tell().map_or(Ok(()), Err)
    }

    /// Whether a cancellation was requested that a checkpoint would report. Does not count as being told.
    #[must_use]
    pub fn is_cancel_requested(&self) -> bool {
        self.header().cancelled_now().is_some()
    }

    /// Why the innermost scope is cancelled, masks aside.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        let inner = self.header().inner.lock();
        inner.scopes.reason_behind_masks(inner.scopes.current)
    }

    /// The limits in force for the innermost scope, with what is left of quotas.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let header = self.header();
        let inner = header.inner.lock();
        let mut budget = header.region.budget;
        let mut account = header.region.account.clone();
        if let Some(extra) = &inner.extra {
            budget = budget.meet(extra.budget);
            account = extra.account.clone().or(account);
        }
        if let Some(region) = inner.scopes.enclosing_region(inner.scopes.current) {
            budget = budget.meet(region.budget);
            account = region.account.clone().or(account);
        }
        if let Some(deadline) = inner.scopes.deadline(inner.scopes.current) {
            budget = budget.meet(Budget::new().with_deadline(deadline));
        }
        budget.poll_quota = self.task.polls_left();
        budget.cost_quota = account.map(|account| account.left());
        budget
    }

    /// Spends cost units from the nearest account and all above it; free where no cost quota was set.
    ///
    /// # Errors
    /// [`Cancelled`] when the scope is cancelled, by this charge or before.
    #[track_caller]
    pub fn charge(&self, units: u64) -> Result<(), Cancelled> {
        let site = Location::caller();
        let account = {
            let header = self.header();
            let inner = header.inner.lock();
            let enclosing = inner.scopes.enclosing_region(inner.scopes.current);
            let of_task = inner.extra.as_ref().and_then(|extra| extra.account.clone());
            let of_region = || header.region.account.clone();
            match enclosing {
                Some(region) => region.account.clone(),
                None => of_task.or_else(of_region),
            }
        };
        if let Some(account) = account.filter(|_| !mutant!(ChargeIgnored)) {
            account.charge(units, site);
        }
        self.checkpoint()
    }

    /// The wait door: every blocking wait of every crate goes through here.
    ///
    /// `poll` looks at its event and, when there is nothing, registers the context's waker with it. The
    /// door adds what a wait needs besides: the scope's cancellation and deadline wake it, the inspector
    /// sees what is waited for and where, and the explorer sees the step. No lock is held while `poll`
    /// runs.
    ///
    /// # Errors
    /// [`Cancelled`] when the innermost scope is cancelled and not masked, before `poll` is asked: the
    /// event, if it has happened, is still there for whoever comes next.
    #[track_caller]
    pub fn wait<T, F>(&self, label: &'static str, poll: F) -> Wait<'_, F>
    where
        F: FnMut(&mut Context<'_>) -> Poll<T>,
    {
        self.wait_at(label, Location::caller(), poll)
    }

    /// [`wait`](TaskCx::wait) on behalf of another source line, for primitives that took it from their
    /// caller.
    pub fn wait_at<T, F>(
        &self,
        label: &'static str,
        site: &'static Location<'static>,
        poll: F,
    ) -> Wait<'_, F>
    where
        F: FnMut(&mut Context<'_>) -> Poll<T>,
    {
        Wait::new(self, label, site, poll)
    }

    /// So many answers that were there at once a task takes in a row, before it lets others go first.
    pub const IN_A_ROW: usize = 64;

    /// Polls, and lets others go first after [`IN_A_ROW`](Self::IN_A_ROW) answers in a row that were there at
    /// once: then it wakes its own waker, and is pending without having polled.
    ///
    /// For waits that a program repeats and whose event may always be there. The task would keep its thread
    /// otherwise, and with it other tasks, timers and events.
    ///
    /// ```
    /// # use asupersync_core::{Cancelled, Cx, Error};
    /// # use std::task::Poll;
    /// async fn next(cx: &Cx, items: &mut impl Iterator<Item = u32>) -> Result<Option<u32>, Cancelled> {
    ///     cx.wait("next", |context| cx.in_turn(context, |_| Poll::Ready(items.next()))).await
    /// }
    /// ```
    pub fn in_turn<T>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Relaxed: there is one step of a task at a time.
        let row = &self.header().row;
        if self.is_turn_over() {
            row.store(0, StdOrdering::Relaxed);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let answer = poll(context);
        match answer {
            Poll::Ready(_) => self.take_turn(1),
            Poll::Pending => row.store(0, StdOrdering::Relaxed),
        }
        answer
    }

    /// Whether [`in_turn`](Self::in_turn) would let others go first. For a wait that answers at once, without
    /// a future, what is there: not now.
    #[must_use]
    pub fn is_turn_over(&self) -> bool {
        usize::from(self.header().row.load(StdOrdering::Relaxed)) >= Self::IN_A_ROW
    }

    /// Counts answers that were there at once, and were not polled for through [`in_turn`](Self::in_turn).
    pub fn take_turn(&self, answers: usize) {
        let row = &self.header().row;
        let before = usize::from(row.load(StdOrdering::Relaxed));
        row.store(before.saturating_add(answers).min(Self::IN_A_ROW) as u8, StdOrdering::Relaxed);
    }

    /// Lets every other runnable task go first.
    ///
    /// # Errors
    /// [`Cancelled`] in a cancelled scope.
    #[track_caller]
    pub fn yield_now(&self) -> impl Future<Output = Result<(), Cancelled>> + Send + use<'_> {
        let mut yielded = false;
        self.wait("yield_now", move |context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Takes on an abort-class obligation: for permits and guards.
    #[track_caller]
    pub fn obligation(&self, kind: &'static ObligationKind) -> Obligation {
        Obligation::reserve(self.task(), kind, Location::caller())
    }

    /// [`obligation`](TaskCx::obligation) on behalf of another source line.
    #[inline]
    pub fn obligation_at(
        &self,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Obligation {
        Obligation::reserve(self.task(), kind, site)
    }

    /// Takes on an abort-class obligation that is fulfilled by being dropped: for guards.
    #[inline]
    pub fn holding_at(
        &self,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Holding {
        Holding::reserve(self.task(), kind, site)
    }

    /// Takes on an obligation that must be resolved before the innermost region closes.
    #[track_caller]
    pub fn duty(&self, kind: &'static ObligationKind) -> Duty {
        self.enter_duty(kind, Location::caller(), false)
    }

    pub(crate) fn enter_duty(
        &self,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
        timed: bool,
    ) -> Duty {
        let header = self.header();
        let enclosing = {
            let inner = header.inner.lock();
            inner.scopes.enclosing_region(inner.scopes.current)
        };
        let region = enclosing.unwrap_or_else(|| Arc::clone(&header.region));
        Duty::reserve(self.task(), region, kind, site, timed)
    }
}

impl<C: Capabilities> Cx<C> {
    /// # Safety
    /// `C` is what the task was spawned with, or less.
    pub(crate) unsafe fn from_task(cx: &TaskCx) -> &Cx<C> {
        // SAFETY: `Cx<C>` is a transparent wrapper around `TaskCx`.
        unsafe { &*std::ptr::from_ref(cx).cast::<Cx<C>>() }
    }

    /// The same context with fewer capabilities.
    #[must_use]
    pub fn narrow<D: Capabilities>(&self) -> &Cx<D>
    where
        C: Includes<D>,
    {
        // SAFETY: `C: Includes<D>` makes `D` at most `C`.
        unsafe { Cx::from_task(&self.cx) }
    }

    /// Spawns a task into the region that owns this one, which closes only after it has ended.
    ///
    /// Refused when that region is cancelled: the body is dropped unrun, and the handle yields
    /// `Cancelled`.
    #[track_caller]
    pub fn spawn<F, T, E>(&self, body: F) -> TaskHandle<T, E>
    where
        C: HasSpawn,
        T: Send + 'static,
        E: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
    {
        let site = Location::caller();
        let region = &self.header().region;
        spawn::into_region::<C, T, E, F>(region, Some(self.task()), TaskOptions::new(), site, body)
    }

    /// Runs a closure that blocks its thread on the host's blocking pool, as a task of this one's region.
    ///
    /// Cancelling it removes a closure that is still queued; one that is running cannot be stopped, and
    /// the region's close waits for it. Under a mask, in a finalizer for one, the closure is part of the masked
    /// section: a region that is cancelled or finalizes takes it in, and it is seen through. In the lab the closure
    /// runs inline, as one step.
    #[track_caller]
    pub fn spawn_blocking<F, T, E>(&self, work: F) -> TaskHandle<T, E>
    where
        C: HasSpawn + HasBlocking,
        T: Send + 'static,
        E: Send + From<Cancelled> + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let site = Location::caller();
        let options = TaskOptions::new().name("blocking");
        let region = &self.header().region;
        blocking::spawn(region, self.task(), options, site, work)
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Time
    where
        C: HasTime,
    {
        self.header().region.host.now()
    }

    /// Waits for `duration`.
    ///
    /// # Errors
    /// [`Cancelled`] when the scope is cancelled first.
    #[track_caller]
    pub fn sleep(&self, duration: Duration) -> Sleep<'_>
    where
        C: HasTime,
    {
        let ahead = !duration.is_zero();
        Sleep::new(self, self.now() + duration, ahead, Location::caller())
    }

    /// Waits until `deadline`; a moment in the past is due at once.
    ///
    /// # Errors
    /// [`Cancelled`] when the scope is cancelled first.
    #[track_caller]
    pub fn sleep_until(&self, deadline: Time) -> Sleep<'_>
    where
        C: HasTime,
    {
        Sleep::new(self, deadline, false, Location::caller())
    }

    /// The next number of this task's own random stream.
    ///
    /// A counter-based generator: SplitMix64 of the host's seed, the task's id and the count of numbers
    /// drawn. A task draws the same numbers in every schedule. Not for keys.
    #[must_use]
    pub fn random_u64(&self) -> u64
    where
        C: HasRandom,
    {
        let header = self.header();
        let drawn = header.draws.fetch_add(1, Ordering::Relaxed);
        let stream = SplitMix64::mix(header.region.host.seed() ^ header.id.to_bits());
        SplitMix64::mix(stream ^ SplitMix64::mix(u64::from(drawn)))
    }

    /// Writes a trace point of the program's own.
    pub fn trace(&self, message: impl AsRef<str>)
    where
        C: HasTrace,
    {
        let header = self.header();
        header.observe(|| Event::User { task: header.id, message: message.as_ref() });
    }

    /// A driver of the host by its type: the door to sockets, files and names.
    #[must_use]
    pub fn service<S: Any + Send + Sync>(&self) -> Option<Arc<S>>
    where
        C: HasIo,
    {
        let service = self.header().region.host.service(TypeId::of::<S>())?;
        service.downcast().ok()
    }

    /// Takes on an obligation that expires at `until` unless renewed.
    #[track_caller]
    pub fn lease(&self, kind: &'static ObligationKind, until: Time) -> Lease
    where
        C: HasTime,
    {
        Lease::reserve(self.enter_duty(kind, Location::caller(), true), until)
    }
}

impl<C> Deref for Cx<C> {
    type Target = TaskCx;

    #[inline]
    fn deref(&self) -> &TaskCx {
        &self.cx
    }
}

impl<C> fmt::Debug for Cx<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cx").field(&self.task_id()).finish()
    }
}

impl fmt::Debug for TaskCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskCx").field(&self.task_id()).finish()
    }
}
