//! Operations that mostly need not wait.
//!
//! An `async` block is one function that holds the whole of it, the wait too, and is too large to become
//! part of its caller. Its answer then travels through memory, in pieces that the processor cannot
//! forward from store to load: for a lock that is free, that took several times as long as the lock. Here
//! what is done at once is small enough to be inlined, and the wait stays out of its way.

use asupersync_core::{Cancelled, TaskCx};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What is free, or that the scope is cancelled: a lock's `now`.
#[inline]
pub(crate) fn at_once<C>(
    cx: &TaskCx,
    free: impl FnOnce() -> Option<C>,
) -> Option<Result<C, Cancelled>> {
    cx.checkpoint().map_or_else(|told| Some(Err(told)), |()| free().map(Ok))
}

/// A future that answers `now`'s answer if there is one, or else waits.
///
/// `now` is asked at the first poll. If it has none, what `wait` makes is polled to its end and then
/// dropped at once. `done` makes the answer of either, so that each is written once.
pub(crate) struct Promptly<N, M, W, D> {
    now: N,
    wait: M,
    waiting: Option<W>,
    done: D,
}

pub(crate) fn promptly<A, R, W>(
    now: impl FnMut() -> Option<A> + Unpin,
    wait: impl FnMut() -> W + Unpin,
    done: impl FnMut(A) -> R + Unpin,
) -> impl Future<Output = R>
where
    W: Future<Output = A> + Unpin,
{
    Promptly { now, wait, waiting: None, done }
}

impl<A, R, N, M, W, D> Future for Promptly<N, M, W, D>
where
    N: FnMut() -> Option<A> + Unpin,
    M: FnMut() -> W + Unpin,
    W: Future<Output = A> + Unpin,
    D: FnMut(A) -> R + Unpin,
{
    type Output = R;

    // Two callers are enough for a mere hint to be passed over.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        if this.waiting.is_none() {
            if let Some(answer) = (this.now)() {
                return Poll::Ready((this.done)(answer));
            }
        }
        match this.in_turn(context) {
            Poll::Ready(answer) => Poll::Ready((this.done)(answer)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<A, N, M, W, D> Promptly<N, M, W, D>
where
    M: FnMut() -> W,
    W: Future<Output = A> + Unpin,
{
    #[cold]
    #[inline(never)]
    fn in_turn(&mut self, context: &mut Context<'_>) -> Poll<A> {
        let answer = Pin::new(self.waiting.get_or_insert_with(&mut self.wait)).poll(context);
        if answer.is_ready() {
            self.waiting = None;
        }
        answer
    }
}
