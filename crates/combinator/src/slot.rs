//! One branch of a combinator, from open to ended.

use asupersync_core::{Branch, BranchEnd, BranchOptions, CancelReason, TaskCx};
use pin_project_lite::pin_project;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A branch and, once it has finished, its value.
    pub(crate) struct Slot<'a, F>
    where
        F: Future,
    {
        #[pin]
        state: State<'a, F>,
        // Whether this value settles the whole combinator: an error for `try_join`, anything for `race`.
        decides: fn(&F::Output) -> bool,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<'a, F>
    where
        F: Future,
    {
        Open { #[pin] branch: Branch<'a, F> },
        Finished { value: Option<F::Output> },
        Dropped,
    }
}

/// What one poll of a slot did.
pub(crate) enum Step {
    Pending,
    /// The branch returned; `decides` when its value settles the combinator.
    Finished {
        decides: bool,
    },
    /// The kernel dropped the branch after a cancellation.
    Dropped,
    Panicked(Box<dyn Any + Send>),
}

impl<'a, F: Future> Slot<'a, F> {
    /// Opens the branch beneath the scope that is being polled, so this is done at the combinator's
    /// first poll and not when it is called: its future may be on its way into another combinator.
    pub(crate) fn new(cx: &'a TaskCx, decides: fn(&F::Output) -> bool, future: F) -> Slot<'a, F> {
        let branch = Branch::new(cx, BranchOptions::default(), future);
        Slot { state: State::Open { branch }, decides }
    }

    /// The finished branch's value, once.
    pub(crate) fn take(self: Pin<&mut Self>) -> Option<F::Output> {
        match self.project().state.project() {
            StateProjection::Finished { value } => value.take(),
            StateProjection::Open { .. } | StateProjection::Dropped => None,
        }
    }
}

/// A slot whose future's type is forgotten, so that one driver serves tuples and lists.
pub(crate) trait AnySlot {
    fn is_open(&self) -> bool;
    /// Polls an open branch; its future is gone when this answers anything but `Pending`.
    fn step(self: Pin<&mut Self>, context: &mut Context<'_>) -> Step;
    /// Requests cancellation of an open branch; an ended one is left alone.
    fn cancel(self: Pin<&mut Self>, reason: CancelReason);
}

impl<F: Future> AnySlot for Slot<'_, F> {
    fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn step(self: Pin<&mut Self>, context: &mut Context<'_>) -> Step {
        let mut this = self.project();
        let StateProjection::Open { branch } = this.state.as_mut().project() else {
            unreachable!("an ended branch is not polled again");
        };
        let poll = catch_unwind(AssertUnwindSafe(|| branch.poll(context)));
        let (state, step) = match poll {
            Ok(Poll::Pending) => return Step::Pending,
            Ok(Poll::Ready(BranchEnd::Finished(value))) => {
                let decides = (this.decides)(&value);
                (State::Finished { value: Some(value) }, Step::Finished { decides })
            }
            Ok(Poll::Ready(BranchEnd::Dropped(_))) => (State::Dropped, Step::Dropped),
            Err(payload) => (State::Dropped, Step::Panicked(payload)),
        };
        // What the future still holds is dropped here, and that is foreign code too.
        match catch_unwind(AssertUnwindSafe(|| this.state.set(state))) {
            Ok(()) => step,
            Err(payload) if matches!(step, Step::Panicked(_)) => {
                drop(payload);
                step
            }
            Err(payload) => Step::Panicked(payload),
        }
    }

    fn cancel(self: Pin<&mut Self>, reason: CancelReason) {
        if let StateProjection::Open { branch } = self.project().state.project() {
            branch.cancel(reason);
        }
    }
}
