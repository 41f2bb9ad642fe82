//! The one loop behind every combinator: poll the branches, settle, cancel the rest, drain.

use crate::slot::{AnySlot, Step};
use asupersync_core::{CancelKind, CancelReason, Cancelled, TaskCx};
use pin_project_lite::pin_project;
use std::any::Any;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A set of branches that is polled together. The implementations are a tuple's slots, and slots with wakers of their own.
pub(crate) trait Slots {
    fn open(&self) -> usize;

    /// Calls `visit` for each open slot that has been woken since it was last visited, with the
    /// context to poll it with, until `visit` breaks.
    fn woken(self: Pin<&mut Self>, context: &mut Context<'_>, visit: Visit<'_>);

    /// Calls `visit` for each open slot, and counts each as woken.
    fn rouse(self: Pin<&mut Self>, visit: &mut dyn FnMut(Pin<&mut dyn AnySlot>));
}

pub(crate) type Visit<'v> =
    &'v mut dyn FnMut(usize, Pin<&mut dyn AnySlot>, &mut Context<'_>) -> ControlFlow<()>;

pin_project! {
    /// The future of a combinator over the branches `S`, which yields an `R`.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Drive<'a, S, R> {
        #[pin]
        slots: S,
        cx: &'a TaskCx,
        site: &'static Location<'static>,
        // What the rest is cancelled with once the matter is settled.
        loss: CancelKind,
        open: usize,
        winner: Option<usize>,
        panic: Option<Box<dyn Any + Send>>,
        finish: fn(Pin<&mut S>, Option<usize>) -> Option<R>,
    }
}

impl<'a, S: Slots, R> Drive<'a, S, R> {
    /// `finish` collects the result when all branches have ended, told which one settled the
    /// matter; `None` says that a branch it needed was dropped by a cancellation from outside.
    pub(crate) fn new(
        cx: &'a TaskCx,
        site: &'static Location<'static>,
        loss: CancelKind,
        slots: S,
        finish: fn(Pin<&mut S>, Option<usize>) -> Option<R>,
    ) -> Drive<'a, S, R> {
        let open = slots.open();
        Drive { slots, cx, site, loss, open, winner: None, panic: None, finish }
    }
}

impl<S: Slots, R> Future for Drive<'_, S, R> {
    /// `None`: a branch whose value is needed was dropped after the enclosing scope was cancelled.
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<R>> {
        let mut this = self.project();
        loop {
            let settled_before = this.winner.is_some() || this.panic.is_some();
            this.slots.as_mut().woken(context, &mut |index, slot, context| {
                match slot.step(context) {
                    Step::Pending => return ControlFlow::Continue(()),
                    Step::Finished { decides } => {
                        if decides && this.winner.is_none() && this.panic.is_none() {
                            *this.winner = Some(index);
                        }
                    }
                    Step::Dropped => {}
                    // A second panic has nobody left to be told to.
                    Step::Panicked(payload) => drop(this.panic.get_or_insert(payload)),
                }
                *this.open -= 1;
                if settled_before || (this.winner.is_none() && this.panic.is_none()) {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            let settled = this.winner.is_some() || this.panic.is_some();
            if *this.open == 0 || settled == settled_before {
                break;
            }
            // A branch without a kernel wait is woken by nobody: each is polled once more at once.
            let reason = this.cx.attribute(CancelReason::new(*this.loss).at_site(this.site));
            this.slots.as_mut().rouse(&mut |slot| slot.cancel(reason.clone()));
        }
        if *this.open > 0 {
            return Poll::Pending;
        }
        this.cx.branches_left(this.slots.open());
        if let Some(payload) = this.panic.take() {
            resume_unwind(payload);
        }
        Poll::Ready((this.finish)(this.slots.as_mut(), *this.winner))
    }
}

/// The answer when a value is missing: the enclosing scope's cancellation, waited for where it has
/// not come (a race of nothing has no other end).
pub(crate) async fn cancelled(
    cx: &TaskCx,
    label: &'static str,
    site: &'static Location<'static>,
) -> Cancelled {
    match cx.wait_at(label, site, |_| Poll::<Infallible>::Pending).await {
        Err(cancelled) => cancelled,
        Ok(never) => match never {},
    }
}
