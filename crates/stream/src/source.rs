//! Streams that come from something else.

use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream of an iterator's items, which are all there already.
pub fn iter<I: IntoIterator>(items: I) -> Iter<I::IntoIter> {
    Iter(items.into_iter())
}

/// The stream of [`iter`].
#[derive(Clone, Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Iter<I>(I);

impl<I> Unpin for Iter<I> {}

impl<I: Iterator> Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// A stream of what `poll` answers. `poll` is asked again after it has answered `None`, if somebody
/// polls on.
pub fn poll_fn<T, F>(poll: F) -> PollFn<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<T>>,
{
    PollFn(poll)
}

/// The stream of [`poll_fn`].
#[must_use = "streams do nothing unless polled"]
pub struct PollFn<F>(F);

impl<F> Unpin for PollFn<F> {}

impl<F> fmt::Debug for PollFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollFn").finish_non_exhaustive()
    }
}

impl<T, F: FnMut(&mut Context<'_>) -> Poll<Option<T>>> Stream for PollFn<F> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        (self.0)(context)
    }
}

/// A stream that carries a state along: `next` makes the next item and the next state out of it, or
/// ends the stream.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_stream::{StreamExt, unfold};
///
/// async fn ticks(cx: &Cx) -> Result<(), Error> {
///     let second = std::time::Duration::from_secs(1);
///     let ticks = unfold(0, async |n| cx.sleep(second).await.ok().map(|()| (n, n + 1)));
///     assert_eq!(ticks.take(3).collect::<Vec<_>>(cx).await?, [0, 1, 2]);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(ticks).is_ok());
/// ```
///
/// # Cancel safety
/// The future that is under way is kept between polls, so nothing is lost by leaving a `next` early. When
/// the stream is dropped, it is dropped with the state.
// Not by its name: with closures that borrow, the compiler would not find it `Send`.
pub fn unfold<T, I, F, Fut>(state: T, next: F) -> impl Stream<Item = I>
where
    F: FnMut(T) -> Fut,
    Fut: Future<Output = Option<(I, T)>>,
{
    Unfold { state: Some(state), next, future: None }
}

pin_project! {
    struct Unfold<T, F, Fut> {
        state: Option<T>,
        next: F,
        #[pin]
        future: Option<Fut>,
    }
}

impl<T, I, F, Fut> Stream for Unfold<T, F, Fut>
where
    F: FnMut(T) -> Fut,
    Fut: Future<Output = Option<(I, T)>>,
{
    type Item = I;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<I>> {
        let mut this = self.project();
        if let Some(state) = this.state.take() {
            this.future.set(Some((this.next)(state)));
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Poll::Ready(made) = future.poll(context) else { return Poll::Pending };
        this.future.set(None);
        Poll::Ready(made.map(|(item, state)| {
            *this.state = Some(state);
            item
        }))
    }
}
