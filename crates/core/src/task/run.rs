//! One step of a task: what a host's thread does with a [`Runnable`].

use super::scopes::ScopeKey;
use super::state::{Begun, Next};
use super::{TaskRef, waker};
use crate::cancel::{CancelKind, CancelReason};
use crate::event::{Access, Event};
use crate::host::Lane;
use crate::id::TaskId;
use crate::outcome::Severity;
use crate::step::Step;
use std::sync::Arc;
use std::task::Context;

/// A task that wants to be polled, on its way through a host's queues.
///
/// There is at most one for each task at any time.
#[must_use = "a runnable that is dropped strands its task"]
pub struct Runnable(pub(crate) TaskRef);

impl Runnable {
    /// Which task this is.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.0.header().id
    }

    /// The task's name, when it was given one.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        self.0.header().name()
    }

    /// Where the task must run, if it is pinned: what [`Host::home`](crate::Host::home) answered when it
    /// was spawned. A host runs it on one and the same thread each time.
    #[must_use]
    pub fn home(&self) -> Option<u32> {
        let home = self.0.header().home;
        (home != super::ANYWHERE).then_some(home)
    }

    /// The lane the task belongs into now.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self.0.header().cancelled_now() {
            Some(cancelled) => Lane::Cancel(cancelled.severity() as u8),
            None => Lane::Ready,
        }
    }

    /// Polls the task once. Never panics: a panic in the body becomes the task's outcome.
    pub fn run(self) {
        match self.0.header().state.begin_poll() {
            Begun::PLAIN => run::<false>(self.0, Begun::PLAIN),
            begun => run_special(self.0, begun),
        }
    }
}

#[cold]
#[inline(never)]
fn run_special(task: TaskRef, begun: Begun) {
    run::<true>(task, begun);
}

/// One step. `SPECIAL`: somebody listens, or the task is escalated; the rest pays for neither question.
#[inline]
fn run<const SPECIAL: bool>(task: TaskRef, begun: Begun) {
    let header = task.header();
    let region = &header.region;
    let observed = SPECIAL && begun.is_observed();
    let step = Step::enter(task.as_raw(), observed);
    if observed {
        region.tell(|| Event::PollBegin { task: header.id, at: region.host.now() });
    }
    let escalated = SPECIAL && begun.is_escalated();
    let ended = if escalated { Some(abandon(&task)) } else { poll(&task) };
    // The completion is part of the step, so its events come before the step's end; a task that
    // goes on may be polled by another thread as soon as `end_poll` has answered.
    let left = ended.and_then(|severity| complete::<SPECIAL>(&task, severity));
    if observed {
        region.tell(|| Event::PollEnd { task: header.id, ready: ended.is_some() });
    }
    // Before `end_poll`, after which another thread may run the next step.
    drop(step);
    if ended.is_some() {
        TaskRef::drop_with(task, left);
    } else if header.state.end_poll() == Next::Submit {
        task.submit();
    }
}

impl std::fmt::Debug for Runnable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Runnable").field(&self.task_id()).finish()
    }
}

#[inline(always)]
fn poll(task: &TaskRef) -> Option<Severity> {
    let header = task.header();
    if !task.spend_poll() {
        if let Some(severity) = spent(task) {
            return Some(severity);
        }
    }
    let waker = waker::borrowed(task);
    let mut context = Context::from_waker(&waker);
    // SAFETY: this thread set RUNNING in `begin_poll`, and the task is not complete.
    let ended = unsafe { (header.vtable.poll)(task.as_raw(), &mut context) };
    if ended.is_none() && header.cancelled_now().is_some() { if_stuck(task) } else { ended }
}

/// The poll quota is gone. Some when the task has ended for it.
#[cold]
fn spent(task: &TaskRef) -> Option<Severity> {
    let header = task.header();
    let cancelled = header.inner.lock().scopes.base.cancel.is_some();
    if cancelled {
        // The cleanup budget's polls are gone as well.
        header.region.record_straggler(task);
        header.observe(|| Event::TaskEscalated { task: header.id });
        return Some(abandon(task));
    }
    let reason = CancelReason::new(CancelKind::Quota).with_message("the poll quota is spent");
    task.cancel_alone(reason, false);
    None
}

/// The task is cancelled and still pending: drops its future where cancellation cannot reach it.
#[cold]
fn if_stuck(task: &TaskRef) -> Option<Severity> {
    let header = task.header();
    if header.state.woken_meanwhile() || header.wait.is_in() {
        return None;
    }
    let stuck = header.inner.lock().scopes.is_stuck(ScopeKey::BASE);
    stuck.then(|| abandon(task))
}

/// Drops the future; the outcome is `Cancelled`.
#[cold]
fn abandon(task: &TaskRef) -> Severity {
    let header = task.header();
    let reason = header.inner.lock().scopes.base.cancel.clone();
    let reason = reason.unwrap_or_else(|| header.region.cancel_reason());
    // SAFETY: this thread set RUNNING in `begin_poll`, and the task is not complete.
    unsafe { (header.vtable.abandon)(task.as_raw(), reason) }
}

/// Publishes the outcome, then tells the region. Answers the reference that the region had.
#[inline]
fn complete<const SPECIAL: bool>(task: &TaskRef, severity: Severity) -> Option<TaskRef> {
    let header = task.header();
    let region = &header.region;
    let (joiner, timers, listener, nobodys, mut ended) = {
        let mut inner = header.inner.lock();
        if inner.scopes.regions().next().is_some() {
            // A region whose future was forgotten rather than dropped counts as dropped now. (Not a loop
            // until none is left: one that has closed since is past being abandoned, and stays.)
            let forgotten: Vec<_> = inner.scopes.regions().cloned().collect();
            drop(inner);
            for opened in forgotten {
                opened.abandon();
            }
            inner = header.inner.lock();
        }
        let mut timers = [None, None, None];
        let mut by_handle = false;
        let mut listener = None;
        if let Some(extra) = &mut inner.extra {
            let grace = extra.grace_timer.take().map(|(_, timer)| timer);
            timers = [extra.deadline_timer.take(), extra.cleanup_timer.take(), grace];
            listener = extra.on_end.take();
            by_handle = extra.cancelled_by_handle;
            if let Some(account) = &extra.account {
                account.orphan();
            }
        }
        // Of the cancelled ones, the region keeps the first.
        let counts = severity == Severity::Cancelled && !by_handle;
        // Whoever listens is told of each.
        let counts = counts && (!region.knows_cancelled() || header.is_observed());
        let ended = Ended {
            severity,
            cancelled: counts.then(|| inner.scopes.base.cancel.clone()).flatten(),
            holds: crate::obligation::holds(header, &inner),
            taken: false,
        };
        // Under the lock, so that a joiner either sees COMPLETE or leaves its waker in time.
        let failed = matches!(severity, Severity::Err | Severity::Panicked);
        let nobodys = header.state.complete(failed);
        (inner.joiner.take(), timers, listener, nobodys, ended)
    };
    for timer in timers.into_iter().flatten() {
        region.host.disarm_timer(timer);
    }
    if SPECIAL && header.is_observed() {
        header.touch_outcome(Access::Write);
        region.tell(|| Event::TaskCompleted { task: header.id, region: region.id, severity });
    }
    if let Some(joiner) = joiner {
        crate::wake::wake(joiner);
    }
    if let Some(listener) = listener {
        ended.taken = listener.0.ended(task, severity);
    }
    // What the task leaves behind is gone before its region may close.
    if nobodys {
        task.drop_outcome();
    }
    region.child_ended(task, ended)
}

/// What a region needs to know of a task that has ended.
pub(crate) struct Ended {
    pub(crate) severity: Severity,
    /// Why it was cancelled, where that counts: not by its own handle.
    pub(crate) cancelled: Option<CancelReason>,
    /// It leaves abort-class obligations open.
    pub(crate) holds: bool,
    /// A group answers for its failure or cancellation.
    pub(crate) taken: bool,
}

impl super::Header {
    /// Completion writes, and a join reads, the task's outcome.
    #[inline]
    pub(crate) fn touch_outcome(&self, access: Access) {
        if self.is_observed() {
            self.tell_of_outcome(access);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_of_outcome(&self, access: Access) {
        self.region.tell(|| Event::Access {
            task: crate::step::task(),
            object: crate::id::ObjectId::of(self.id.to_bits(), u32::MAX),
            access,
            label: "outcome",
        });
    }
}
