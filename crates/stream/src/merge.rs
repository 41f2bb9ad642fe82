//! Several streams as one, in the order in which their items come.

use asupersync_core::Woken;
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Merges streams of one type into one that yields each item as it comes, and ends when all have
/// ended.
///
/// A wake of one costs one poll of that one, however many there are. A stream that has yielded goes to
/// the end of the line, so one that is always ready starves no other.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_stream::{StreamExt, iter, merge_all};
///
/// async fn merged(cx: &Cx) -> Result<(), Error> {
///     let streams = [vec![1, 4], vec![2], vec![3, 5]].map(iter);
///     let items: Vec<u32> = merge_all(streams).collect(cx).await?;
///     assert_eq!(items, [1, 2, 3, 4, 5]);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(merged).is_ok());
/// ```
///
/// # Cancel safety
/// It holds no item back, so it loses what its streams lose.
pub fn merge_all<S: Stream>(streams: impl IntoIterator<Item = S>) -> MergeAll<S> {
    let streams: Vec<_> = streams.into_iter().map(|stream| Some(Box::pin(stream))).collect();
    let mut woken = Woken::new();
    for _ in &streams {
        woken.add();
    }
    MergeAll { live: streams.len(), streams, woken }
}

/// The stream of [`merge_all`].
#[must_use = "streams do nothing unless polled"]
pub struct MergeAll<S> {
    streams: Vec<Option<Pin<Box<S>>>>,
    woken: Woken,
    live: usize,
}

impl<S> fmt::Debug for MergeAll<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeAll").field("live", &self.live).finish_non_exhaustive()
    }
}

impl<S: Stream> Stream for MergeAll<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        for _ in 0..this.woken.begin(context.waker()) {
            let Some(index) = this.woken.pop() else { break };
            let Some(stream) = &mut this.streams[index] else { continue };
            let mut context = Context::from_waker(this.woken.waker(index));
            match stream.as_mut().poll_next(&mut context) {
                Poll::Pending => {}
                Poll::Ready(Some(item)) => {
                    this.woken.rouse(index);
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) => {
                    this.streams[index] = None;
                    this.live -= 1;
                }
            }
        }
        if this.live == 0 { Poll::Ready(None) } else { Poll::Pending }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let hints = self.streams.iter().flatten().map(|stream| stream.size_hint());
        hints.fold((0, Some(0)), add)
    }
}

/// The hint for the items of both.
pub(crate) fn add(a: (usize, Option<usize>), b: (usize, Option<usize>)) -> (usize, Option<usize>) {
    let upper = a.1.zip(b.1).and_then(|(a, b)| a.checked_add(b));
    (a.0.saturating_add(b.0), upper)
}

pin_project! {
    /// Two streams of different types.
    pub(crate) struct Merge<A, B> {
        #[pin]
        a: Option<A>,
        #[pin]
        b: Option<B>,
        woken: Woken,
    }
}

impl<A, B> Merge<A, B> {
    pub(crate) fn new(a: A, b: B) -> Merge<A, B> {
        let mut woken = Woken::new();
        woken.add();
        woken.add();
        Merge { a: Some(a), b: Some(b), woken }
    }
}

impl<A: Stream, B: Stream<Item = A::Item>> Stream for Merge<A, B> {
    type Item = A::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<A::Item>> {
        let mut this = self.project();
        for _ in 0..this.woken.begin(context.waker()) {
            let Some(index) = this.woken.pop() else { break };
            let mut context = Context::from_waker(this.woken.waker(index));
            let poll = match index {
                0 => poll_open(this.a.as_mut(), &mut context),
                _ => poll_open(this.b.as_mut(), &mut context),
            };
            if let Poll::Ready(Some(item)) = poll {
                this.woken.rouse(index);
                return Poll::Ready(Some(item));
            }
        }
        if this.a.is_none() && this.b.is_none() { Poll::Ready(None) } else { Poll::Pending }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let a = self.a.as_ref().map_or((0, Some(0)), Stream::size_hint);
        add(a, self.b.as_ref().map_or((0, Some(0)), Stream::size_hint))
    }
}

/// Polls a stream that may have ended, and lets go of one that has.
pub(crate) fn poll_open<S: Stream>(
    mut stream: Pin<&mut Option<S>>,
    context: &mut Context<'_>,
) -> Poll<Option<S::Item>> {
    let Some(open) = stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
    let poll = open.poll_next(context);
    if let Poll::Ready(None) = poll {
        stream.set(None);
    }
    poll
}
