//! Futures that are not `Send`, kept on one thread.

use super::TaskBody;
use crate::cap::Capabilities;
use crate::cx::Cx;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

/// What can be spawned pinned: a `Send` function of `&Cx` whose future need not be `Send`.
///
/// Async closures `async |cx| ..` are, whatever they make inside; nobody implements this by hand.
#[diagnostic::on_unimplemented(
    message = "this cannot be the body of a pinned task",
    label = "not an async function of `&Cx` that returns a `Result`",
    note = "a body is `async |cx| {{ .. }}` or `async fn body(cx: &Cx) -> Result<T, E>`"
)]
pub trait PinnedBody<'a, C, T, E>: FnOnce(&'a Cx<C>) -> Self::Future
where
    C: Capabilities,
{
    /// The future the body makes.
    type Future: Future<Output = Result<T, E>> + 'a;
}

impl<'a, C, T, E, F, Fut> PinnedBody<'a, C, T, E> for F
where
    C: Capabilities,
    F: FnOnce(&'a Cx<C>) -> Fut,
    Fut: Future<Output = Result<T, E>> + 'a,
{
    type Future = Fut;
}

/// A task body out of one whose future stays on the thread that makes it.
pub(crate) fn confine<C, T, E, F>(
    body: F,
) -> impl for<'a> TaskBody<'a, C, T, E, Future = Confined<<F as PinnedBody<'a, C, T, E>>::Future>>
+ Send
+ 'static
where
    C: Capabilities,
    F: for<'a> PinnedBody<'a, C, T, E> + Send + 'static,
{
    fn typed<C, T, E, F, G>(body: G) -> G
    where
        C: Capabilities,
        F: for<'a> PinnedBody<'a, C, T, E>,
        G: for<'a> FnOnce(&'a Cx<C>) -> Confined<<F as PinnedBody<'a, C, T, E>>::Future>,
    {
        body
    }
    typed::<C, T, E, F, _>(move |cx| Confined::new(body(cx)))
}

/// A future that is polled and dropped on the thread that made it, and nowhere else.
///
/// Whether a host keeps to that is checked here, so a host that does not breaks a promise, but no memory:
/// a poll from another thread panics, and a drop on another thread leaks the future.
pub(crate) struct Confined<Fut> {
    home: ThreadId,
    future: ManuallyDrop<Fut>,
}

// SAFETY: the future inside, which need not be `Send`, is touched by `poll` and `drop` only, and both look
// first whether they run on the thread that made it. `ThreadId`s are never used again. It is never moved out.
unsafe impl<Fut> Send for Confined<Fut> {}

impl<Fut> Confined<Fut> {
    fn new(future: Fut) -> Confined<Fut> {
        Confined { home: thread::current().id(), future: ManuallyDrop::new(future) }
    }

    fn is_home(&self) -> bool {
        thread::current().id() == self.home
    }
}

impl<Fut: Future> Future for Confined<Fut> {
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Fut::Output> {
        assert!(
            self.is_home(),
            "a pinned task was brought to another thread than it began on: another thread's `block_on` has \
             taken over the runtime's only worker; spawn pinned tasks on a runtime with worker threads, or \
             block on this one from one thread"
        );
        // SAFETY: a projection: the future is structurally pinned, as it is never moved out and `drop` drops
        // it where it is.
        unsafe { self.map_unchecked_mut(|this| &mut *this.future) }.poll(context)
    }
}

impl<Fut> Drop for Confined<Fut> {
    fn drop(&mut self) {
        if self.is_home() {
            // SAFETY: dropped here once, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.future) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::future::ready;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::task::Waker;

    #[test]
    fn another_thread_can_neither_poll_nor_drop_it() {
        let witness = Arc::new(());
        let inside = Arc::clone(&witness);
        let confined = Confined::new(async move {
            ready(()).await;
            drop(inside);
        });
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut confined = Box::pin(confined);
                let poll = || confined.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
                drop(confined);
            });
        });
        assert_eq!(Arc::strong_count(&witness), 2, "leaked, not dropped");
    }
}
