//! A child cancel scope around a future: what timeouts, races and hedges are made of.

use crate::cancel::CancelReason;
use crate::cx::{BodyEnd, TaskCx};
use crate::event::Event;
use crate::mutant::mutant;
use crate::task::scopes::{Child, ScopeKey};
use crate::time::Time;
use crate::timer::{Fires, arm};
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// How a branch is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct BranchOptions {
    /// When the branch is cancelled with [`CancelKind::Timeout`](crate::CancelKind::Timeout).
    pub deadline: Option<Time>,
    /// The line to name when the deadline fires; the one that opens the branch unless a combinator
    /// passes on its caller's.
    pub site: Option<&'static Location<'static>>,
}

/// How a branch ended.
#[derive(Debug)]
#[must_use]
pub enum BranchEnd<T> {
    /// Its future finished, cancelled or not.
    Finished(T),
    /// It was cancelled, and its future dropped: cancellation could not reach it, or its cleanup time was
    /// over.
    Dropped(CancelReason),
}

pin_project_lite::pin_project! {
    /// A future in a cancel scope of its own, finer than its task.
    ///
    /// Cancelling the branch does not cancel the task; cancelling the task cancels the branch. After a
    /// cancel it must be polled to its end: a future that is pending without a kernel wait, mask or region
    /// of its own is dropped at the first poll, any other has the reason's cleanup time.
    ///
    /// # Cancel safety
    /// *Dropping* a branch drops its future without draining it; regions inside are cancelled and stay
    /// children of their parent region.
    ///
    /// # Panics
    /// A panic of the future passes through `poll`, after the branch has ended.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Branch<'a, F: Future> {
        cx: &'a TaskCx,
        key: Option<ScopeKey>,
        number: u32,
        cancelled: Option<CancelReason>,
        told: Option<CancelReason>,
        #[pin]
        future: Option<F>,
    }

    impl<F: Future> PinnedDrop for Branch<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(key) = this.key.take() {
                let cx = *this.cx;
                cx.enter_to_drop(key, || this.future.set(None));
                close(cx, key, *this.number, true);
            }
        }
    }
}

impl<'a, F: Future> Branch<'a, F> {
    /// Opens a scope beneath the innermost one. A deadline that is not earlier than the surrounding one
    /// arms no timer.
    #[track_caller]
    pub fn new(cx: &'a TaskCx, options: BranchOptions, future: F) -> Branch<'a, F> {
        let site = options.site.unwrap_or(Location::caller());
        let header = cx.header();
        let above = {
            let inner = header.inner.lock();
            let own = inner.extra.as_ref().and_then(|extra| extra.budget.deadline);
            let scopes = inner.scopes.deadline(inner.scopes.current);
            [header.region.budget.deadline, own, scopes].into_iter().flatten().min()
        };
        let key = cx.open_scope(Child { deadline: options.deadline, ..Child::new() });
        let earlier = options
            .deadline
            .filter(|deadline| above.is_none_or(|above| *deadline < above))
            .filter(|_| !mutant!(DeadlineNotArmed));
        if let Some(deadline) = earlier {
            let fires = Fires::ScopeDeadline(cx.task().clone(), key, site);
            let timer = arm(&header.region.host, deadline, fires);
            let mut inner = header.inner.lock();
            if let Some(child) = inner.scopes.child_mut(key) {
                child.deadline_timer = Some(timer);
            }
        }
        let number = key.serial();
        header.region.observe(&Event::BranchOpened { task: header.id, branch: number });
        Branch { cx, key: Some(key), number, cancelled: None, told: None, future: Some(future) }
    }

    /// Requests the branch's cancellation; a milder or equal reason than the one in force changes nothing.
    pub fn cancel(self: Pin<&mut Self>, reason: CancelReason) {
        let this = self.project();
        if let Some(key) = *this.key {
            this.cx.cancel_scope(key, reason.clone());
            *this.cancelled = Some(reason);
        }
    }

    /// Whether the branch has ended.
    pub fn is_ended(&self) -> bool {
        self.key.is_none()
    }

    /// Why the branch was cancelled, itself and not a scope around it, if that reached its future
    /// before it ended: a wait or checkpoint inside has answered `Cancelled`. Known once it has ended.
    ///
    /// A future that finished without having been told finished on its own account, however late.
    pub fn told_reason(&self) -> Option<&CancelReason> {
        self.told.as_ref()
    }

    /// Why the branch is cancelled: itself, not a scope around it.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        let key = self.key?;
        let inner = self.cx.header().inner.lock();
        inner.scopes.child(key).and_then(|child| child.node.cancel.clone())
    }
}

impl<F: Future> Future for Branch<'_, F> {
    type Output = BranchEnd<F::Output>;

    /// # Panics
    /// When polled after it ended, and with the future's own panic.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let cx = *this.cx;
        let Some(key) = *this.key else { panic!("a branch was polled after it ended") };
        let Poll::Ready(end) = cx.poll_scoped(key, this.future, context) else {
            return Poll::Pending;
        };
        *this.key = None;
        *this.told = {
            let inner = cx.header().inner.lock();
            let node = inner.scopes.child(key).map(|child| &child.node);
            node.filter(|node| node.told).and_then(|node| node.cancel.clone())
        };
        let dropped = matches!(end, BodyEnd::Dropped(_));
        close(cx, key, *this.number, dropped);
        Poll::Ready(match end {
            BodyEnd::Returned(output) => BranchEnd::Finished(output),
            BodyEnd::Dropped(reason) => BranchEnd::Dropped(reason),
            BodyEnd::Panicked(panic) => resume_unwind(panic),
        })
    }
}

impl<F: Future> std::fmt::Debug for Branch<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Branch").field("number", &self.number).finish_non_exhaustive()
    }
}

fn close(cx: &TaskCx, key: ScopeKey, branch: u32, dropped: bool) {
    cx.close_scope(key);
    let header = cx.header();
    header.region.observe(&Event::BranchClosed { task: header.id, branch, dropped });
}

impl TaskCx {
    /// [`Branch::new`] as a method.
    #[track_caller]
    pub fn branch<F: Future>(&self, options: BranchOptions, future: F) -> Branch<'_, F> {
        Branch::new(self, options, future)
    }

    /// Tells observers that a combinator returns while `open` of its branches have not ended: 0 keeps
    /// invariant I6.
    pub fn branches_left(&self, open: usize) {
        let header = self.header();
        header.region.observe(&Event::BranchesLeft { task: header.id, open: open as u32 });
    }
}
