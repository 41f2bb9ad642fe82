//! The handle of a spawned task: cancel it, join it, or let it go.

use super::cell::Finished;
use super::{Header, TaskRef};
use crate::cancel::{CancelReason, Cancelled};
use crate::cx::TaskCx;
use crate::event::Access;
use crate::id::TaskId;
use crate::mutant::mutant;
use crate::outcome::Outcome;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::task::{Context, Poll};

/// A spawned task, seen by who may join it.
///
/// Dropping the handle has no effect on the task: its region waits for it in any case, and takes its
/// error when nobody joins. A value that nobody joins for is dropped before the region closes.
#[must_use = "dropping the handle leaves the outcome to the region; say so with `let _ =`, or join it"]
pub struct TaskHandle<T, E> {
    task: TaskRef,
    beside: Option<E>,
    /// Somebody else takes the outcome.
    passed_on: bool,
    output: PhantomData<fn() -> T>,
}

impl<T, E> TaskHandle<T, E> {
    pub(crate) fn new(task: TaskRef) -> TaskHandle<T, E> {
        TaskHandle { task, beside: None, passed_on: false, output: PhantomData }
    }

    pub(crate) fn into_task(mut self) -> TaskRef {
        self.passed_on = true;
        self.task.clone()
    }

    /// Which task this is.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.header().id
    }

    /// Whether the outcome is published.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let finished = self.task.header().state.is_complete();
        self.task.header().touch_outcome(Access::Read);
        finished
    }

    /// Requests the task's cancellation: a request, not a drop. The task drains within its cleanup
    /// budget and ends in its own time; a join yields `Cancelled` unless the body returns `Ok`.
    ///
    /// A task cancelled through its handle does not lower its region's outcome. A milder or equal
    /// reason than the one in force changes nothing.
    #[track_caller]
    pub fn cancel(&self, reason: CancelReason) {
        // A task that has ended is not cancelled: whether it has is part of what this step depends on.
        self.task.header().touch_outcome(Access::Read);
        self.task.cancel_alone(reason, true);
    }

    /// Asks the task to finish, and cancels it for `reason` if it has not ended `grace` later. See
    /// [`Scope::cancel_soft`](crate::Scope::cancel_soft).
    #[track_caller]
    pub fn cancel_soft(&self, reason: CancelReason, grace: std::time::Duration) {
        self.task.header().touch_outcome(Access::Read);
        self.task.cancel_soft(reason, grace);
    }

    /// The poll form of [`join`](TaskHandle::join), for hosts and foreign executors: it knows no caller
    /// to cancel. One waker is kept, the last.
    pub fn poll_join(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Outcome<T, E>, JoinError>> {
        let header = self.task.header();
        if !header.state.is_complete() {
            let mut waker = Some(context.waker().clone());
            let mut inner = header.inner.lock();
            // COMPLETE is set under this lock: either it is seen here, or the waker is.
            if !header.state.is_complete() || mutant!(JoinLooksOnce) {
                std::mem::swap(&mut inner.joiner, &mut waker);
                drop(inner);
                drop(waker);
                // Whether it has ended is what this step depends on, as when it has.
                header.touch_outcome(Access::Read);
                return Poll::Pending;
            }
        }
        header.touch_outcome(Access::Write);
        if !header.state.claim_to_join() {
            return Poll::Ready(Err(JoinError::AlreadyTaken { task: header.id }));
        }
        let mut finished: Option<Finished<T, E>> = None;
        let out = std::ptr::from_mut(&mut finished).cast();
        // SAFETY: the task is complete and the claim is ours. `out` points at an `Option<Finished<T, E>>`,
        // and `T` and `E` are the task's own: a `TaskHandle<T, E>` is made only by the spawn of a
        // `TaskBody<_, T, E>`.
        unsafe { (header.vtable.take)(self.task.as_raw(), out) };
        Poll::Ready(match finished {
            Some(finished) => {
                self.beside = finished.beside;
                Ok(finished.outcome)
            }
            None => Err(JoinError::AlreadyTaken { task: header.id }),
        })
    }

    /// The error that the body returned after it was told of its cancellation, once joined.
    pub fn take_cleanup_error(&mut self) -> Option<E> {
        self.beside.take()
    }
}

impl<T: Send + 'static, E: Send + 'static> TaskHandle<T, E> {
    /// Waits for the task's outcome and takes it.
    ///
    /// The outer error is the caller's own (cancelled while waiting, or a join that could never end);
    /// the inner outcome is the task's.
    ///
    /// # Errors
    /// [`JoinError::Cancelled`] when the caller's scope is cancelled; the task goes on, and may be joined
    /// again. [`JoinError::WouldDeadlock`] at once when the task is the caller, or waits for a region that
    /// contains the caller. [`JoinError::AlreadyTaken`] when the outcome went to an earlier join or, as an
    /// unclaimed error, to the region's own outcome.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future: the outcome stays until taken. A cancelled wait answers
    /// within one poll.
    #[track_caller]
    pub fn join<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<Outcome<T, E>, JoinError>> + Send + use<'a, T, E> {
        let site = Location::caller();
        async move {
            if !self.task.header().state.is_complete() && cx.waits_within(&self.task) {
                return Err(JoinError::WouldDeadlock { task: self.id() });
            }
            let guard = mutant!(JoinDropCancels).then(|| CancelOnDrop(self.task.clone()));
            let joined = cx.wait_at("join", site, |context| self.poll_join(context)).await;
            std::mem::forget(guard);
            joined.map_err(JoinError::Cancelled)?
        }
    }
}

/// What the mutant `JoinDropCancels` does; never made otherwise.
struct CancelOnDrop(TaskRef);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel_alone(CancelReason::user("join dropped"), true);
    }
}

impl<T, E> Drop for TaskHandle<T, E> {
    fn drop(&mut self) {
        // The task's own reference may go after its region has closed; a value must not stay so long.
        if self.passed_on || !std::mem::needs_drop::<T>() {
            return;
        }
        self.task.header().touch_outcome(Access::Read);
        if self.task.header().state.let_go() {
            self.task.drop_outcome();
        }
    }
}

impl TaskRef {
    /// Drops the outcome of a task that has ended, unless somebody was first to take it.
    pub(super) fn drop_outcome(&self) {
        let header = self.header();
        if header.state.claim() {
            // SAFETY: the task is complete and the claim is ours.
            let take = || unsafe { (header.vtable.take_failure)(self.as_raw()) };
            // A value's drop is foreign code, whose panic has no one to go to.
            let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(take));
            crate::wake::drop_quietly(taken);
        }
    }
}

impl<T, E> fmt::Debug for TaskHandle<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header: &Header = self.task.header();
        f.debug_struct("TaskHandle")
            .field("id", &header.id)
            .field("state", &header.state.describe())
            .finish()
    }
}

/// Why a join gave no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// The scope of the one who joins was cancelled.
    Cancelled(Cancelled),
    /// The task waits, directly or through its regions, for the one who joins.
    WouldDeadlock {
        /// The task that was to be joined.
        task: TaskId,
    },
    /// The outcome was taken before.
    AlreadyTaken {
        /// The task that was to be joined.
        task: TaskId,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Cancelled(cancelled) => write!(f, "{cancelled} while joining"),
            JoinError::WouldDeadlock { task } => {
                write!(f, "joining {task} from inside its own region tree would never end")
            }
            JoinError::AlreadyTaken { task } => {
                write!(f, "the outcome of {task} was already taken, by a join or by its region")
            }
        }
    }
}

impl std::error::Error for JoinError {}

impl From<Cancelled> for JoinError {
    fn from(cancelled: Cancelled) -> JoinError {
        JoinError::Cancelled(cancelled)
    }
}

impl TaskCx {
    /// Whether `target` is this task, or the opener of a region this task lives in: then it cannot end
    /// before this task does.
    fn waits_within(&self, target: &TaskRef) -> bool {
        if self.task().is_same(target) {
            return true;
        }
        // A region that contains this task was there before it: whatever the target opens from now on is none.
        if !target.header().state.has_opened() {
            return false;
        }
        let mut region = Some(&self.header().region);
        while let Some(here) = region {
            if here.is_opened_by(target) {
                return true;
            }
            region = here.parent.as_ref();
        }
        false
    }
}
