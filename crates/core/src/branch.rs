//! A child cancel scope around a future: what timeouts, races and hedges are made of.

use crate::cancel::{CancelKind, CancelReason};
use crate::cx::{BodyEnd, TaskCx};
use crate::event::Event;
use crate::mutant::mutant;
use crate::task::scopes::{Child, ScopeKey, earlier};
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
                cx.close_scope(key);
                tell_closed(cx, *this.number, true);
            }
        }
    }
}

impl<'a, F: Future> Branch<'a, F> {
    /// Opens a scope beneath the innermost one. A deadline that is not earlier than the surrounding one
    /// arms no timer, unless a mask hides that, or comes to hide it.
    #[track_caller]
    pub fn new(cx: &'a TaskCx, options: BranchOptions, future: F) -> Branch<'a, F> {
        let site = options.site.unwrap_or(Location::caller());
        let header = cx.header();
        let key = match options.deadline {
            None => cx.open_scope(0),
            Some(deadline) => open_until(cx, deadline, site),
        };
        let number = key.serial();
        header.observe(|| Event::BranchOpened { task: header.id, branch: number });
        Branch { cx, key: Some(key), number, told: None, future: Some(future) }
    }

    /// Requests the branch's cancellation; a milder or equal reason than the one in force changes nothing.
    pub fn cancel(self: Pin<&mut Self>, reason: CancelReason) {
        if let Some(key) = self.key {
            self.cx.cancel_scope(key, reason);
        }
    }

    /// Whether the branch has ended.
    pub fn is_ended(&self) -> bool {
        self.key.is_none()
    }

    /// Why the branch was cancelled, itself and not a scope around it, if that reached its future
    /// before it ended: a wait or checkpoint inside has answered `Cancelled`, or it was dropped. Known once
    /// it has ended.
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
        if mutant!(LoserLeftBehind) {
            let inner = cx.header().inner.lock();
            let cancelled = inner.scopes.child(key).and_then(|child| child.node.cancel.clone());
            if let Some(reason) = cancelled.filter(|r| r.kind() != CancelKind::Timeout) {
                *this.key = None;
                return Poll::Ready(BranchEnd::Dropped(reason));
            }
        }
        let Poll::Ready((end, inside)) = cx.poll_scoped(key, this.future, context) else {
            return Poll::Pending;
        };
        *this.key = None;
        let dropped = matches!(end, BodyEnd::Dropped(_));
        *this.told = inside.close(dropped);
        tell_closed(cx, *this.number, dropped);
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

/// Opens a scope with a deadline.
fn open_until(cx: &TaskCx, deadline: Time, site: &'static Location<'static>) -> ScopeKey {
    let header = cx.header();
    let (key, above) = {
        let mut inner = header.inner.lock();
        let own = inner.extra.as_ref().and_then(|extra| extra.budget.deadline);
        let parent = inner.scopes.current;
        let reach = inner.scopes.reached_by(parent);
        let mut child = Child::new(parent, Some(deadline));
        child.site = Some(site);
        let key = inner.scopes.insert(child);
        let around = if reach.masked { None } else { earlier(own, header.region.due) };
        (key, earlier(reach.deadline, around))
    };
    if above.is_none_or(|above| deadline < above) && !mutant!(DeadlineNotArmed) {
        arm_deadline(cx, key, deadline, site);
    }
    key
}

#[inline]
fn arm_deadline(cx: &TaskCx, key: ScopeKey, at: Time, site: &'static Location<'static>) {
    let header = cx.header();
    let timer = arm(&header.region.host, at, Fires::ScopeDeadline(cx.task().clone(), key, site));
    header.inner.lock().scopes.armed(key, timer);
}

/// Arms the deadlines that relied on another one around them and cannot any more: there is a mask between them
/// now, or the branch hangs somewhere else.
#[cold]
pub(crate) fn arm_uncovered(cx: &TaskCx) {
    let header = cx.header();
    let uncovered = {
        let inner = header.inner.lock();
        let own = inner.extra.as_ref().and_then(|extra| extra.budget.deadline);
        inner.scopes.uncovered(earlier(own, header.region.due))
    };
    for (key, at, site) in uncovered {
        if !mutant!(DeadlineNotArmed) {
            arm_deadline(cx, key, at, site);
        }
    }
}

fn tell_closed(cx: &TaskCx, branch: u32, dropped: bool) {
    let header = cx.header();
    header.observe(|| Event::BranchClosed { task: header.id, branch, dropped });
}

impl TaskCx {
    /// [`Branch::new`] as a method.
    #[track_caller]
    pub fn branch<F: Future>(&self, options: BranchOptions, future: F) -> Branch<'_, F> {
        Branch::new(self, options, future)
    }

    /// The reason with what it does not say yet: the time, this task and its region. For one that is given to many
    /// branches, which would each have to make a copy of it otherwise.
    #[must_use]
    pub fn attribute(&self, reason: CancelReason) -> CancelReason {
        self.task().attributed(reason)
    }

    /// Tells observers that a combinator returns while `open` of its branches have not ended: 0 keeps
    /// invariant I6.
    pub fn branches_left(&self, open: usize) {
        let header = self.header();
        header.observe(|| Event::BranchesLeft { task: header.id, open: open as u32 });
    }
}
