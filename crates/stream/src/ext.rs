//! What every stream can do.

use crate::flight::InFlight;
use crate::merge::Merge;
use crate::run::{Leave, Op, Run};
use crate::sequence::{Chain, Chunks, Cycle, FlatMap, Fuse, Map, Peekable, Then, Zip};
use crate::sink::{Collect, Exists, Find, Fold, Ignore, Partition, Unzip};
use crate::steps::{Step, Steps};
use crate::timed::{ChunksTimeout, Debounce, Elapsed, Throttle, Timeout};
use asupersync_channel::{Delivery, SendError, mpsc};
use asupersync_core::cap::HasTime;
use asupersync_core::{Cancelled, Cx, TaskCx};
use futures_core::Stream;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

impl<S: Stream + ?Sized> StreamExt for S {}

/// Adaptors and terminal operations of every [`Stream`].
///
/// An adaptor does nothing until it is polled and holds no item back unless it says so. Dropping an
/// adaptor drops what it holds.
///
/// A *terminal operation* takes the context and consumes the stream. When it stops before the stream's
/// end (it is cancelled, it has its answer, a function panics), what is in flight inside is told and
/// polled to its end before it returns; items that come meanwhile are dropped. Cancelled, it answers
/// within one poll of the last of them. Its partial result is dropped. All of them answer
/// `Err(Cancelled)` when the enclosing scope is cancelled.
pub trait StreamExt: Stream {
    // ---- one item at a time ----

    /// Waits for the next item; `None` is the end.
    ///
    /// # Errors
    /// `Cancelled` when the enclosing scope is cancelled, even if an item is there.
    ///
    /// # Cancel safety
    /// Nothing is lost: an item is answered or still in the stream. A cancel request is answered within
    /// one poll; futures in flight inside stay there until the stream is polled again or
    /// [drained](StreamExt::drain).
    #[track_caller]
    fn next<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<Option<Self::Item>, Cancelled>>
    where
        Self: Unpin,
    {
        let Op { label, site, .. } = Op::new("stream::next");
        cx.wait_at(label, site, move |context| {
            cx.in_turn(context, |context| Pin::new(&mut *self).poll_next(context))
        })
    }

    /// Applies a function to each item.
    fn map<T, F>(self, f: F) -> impl Stream<Item = T>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> T,
    {
        Map { stream: self, f }
    }

    /// Keeps the items for which the predicate holds.
    fn filter(
        self,
        mut predicate: impl FnMut(&Self::Item) -> bool,
    ) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        Steps::new(self, move |item| if predicate(&item) { Step::Emit(item) } else { Step::Skip })
    }

    /// Applies a function to each item, and keeps the answers that are `Some`.
    fn filter_map<T>(self, mut f: impl FnMut(Self::Item) -> Option<T>) -> impl Stream<Item = T>
    where
        Self: Sized,
    {
        Steps::new(self, move |item| f(item).map_or(Step::Skip, Step::Emit))
    }

    /// Shows each item to a function on its way.
    fn inspect(self, mut f: impl FnMut(&Self::Item)) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        let step = move |item| {
            f(&item);
            Step::Emit(item)
        };
        Steps::new(self, step).one_to_one()
    }

    /// Numbers the items, from zero.
    fn enumerate(self) -> impl Stream<Item = (usize, Self::Item)>
    where
        Self: Sized,
    {
        let mut count = 0;
        let step = move |item| {
            count += 1;
            Step::Emit((count - 1, item))
        };
        Steps::new(self, step).one_to_one()
    }

    /// The first `n` items. The stream beneath is not asked for another.
    ///
    /// # Cancel safety
    /// What is in flight beneath when the last item has come is dropped with the stream, not drained.
    fn take(self, n: usize) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        let mut left = n;
        let step = move |item| {
            left -= 1;
            if left == 0 { Step::Last(item) } else { Step::Emit(item) }
        };
        Steps::new(self, step).over_if(n == 0)
    }

    /// All but the first `n` items.
    fn skip(self, n: usize) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        let mut left = n;
        let step = move |item| {
            if left == 0 {
                return Step::Emit(item);
            }
            left -= 1;
            Step::Skip
        };
        Steps::new(self, step)
    }

    /// The items before the first for which the predicate does not hold. That one is dropped.
    ///
    /// # Cancel safety
    /// As [`take`](StreamExt::take).
    fn take_while(
        self,
        mut predicate: impl FnMut(&Self::Item) -> bool,
    ) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        Steps::new(self, move |item| if predicate(&item) { Step::Emit(item) } else { Step::End })
    }

    /// The items from the first on for which the predicate does not hold.
    fn skip_while(
        self,
        mut predicate: impl FnMut(&Self::Item) -> bool,
    ) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        let mut skipping = true;
        let step = move |item| {
            skipping = skipping && predicate(&item);
            if skipping { Step::Skip } else { Step::Emit(item) }
        };
        Steps::new(self, step)
    }

    /// Carries a state along: the function sees it with each item, and ends the stream with `None`.
    fn scan<T, A>(
        self,
        mut state: A,
        mut f: impl FnMut(&mut A, Self::Item) -> Option<T>,
    ) -> impl Stream<Item = T>
    where
        Self: Sized,
    {
        Steps::new(self, move |item| f(&mut state, item).map_or(Step::End, Step::Emit))
    }

    /// Every run of `size` neighbouring items, from the first full one on. Zero counts as one.
    fn window(self, size: usize) -> impl Stream<Item = Vec<Self::Item>>
    where
        Self: Sized,
        Self::Item: Clone,
    {
        let size = size.max(1);
        let mut window = VecDeque::new();
        let step = move |item| {
            if window.len() == size {
                window.pop_front();
            }
            window.push_back(item);
            if window.len() == size {
                Step::Emit(window.iter().cloned().collect())
            } else {
                Step::Skip
            }
        };
        Steps::new(self, step)
    }

    // ---- several items, several streams ----

    /// Runs a future for each item, one after the other, and yields what they return.
    ///
    /// # Cancel safety
    /// The future under way is kept between polls. Where the stream is dropped, so is it, with its item.
    fn then<F, Fut>(self, f: F) -> impl Stream<Item = Fut::Output>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> Fut,
        Fut: Future,
    {
        Then::new(self, f)
    }

    /// Makes a stream of each item, and yields their items, one stream after the other.
    fn flat_map<U, F>(self, f: F) -> impl Stream<Item = U::Item>
    where
        Self: Sized,
        U: Stream,
        F: FnMut(Self::Item) -> U,
    {
        FlatMap { stream: Some(self), make: f, inner: None }
    }

    /// The items of streams of streams, one stream after the other.
    fn flatten(self) -> impl Stream<Item = <Self::Item as Stream>::Item>
    where
        Self: Sized,
        Self::Item: Stream,
    {
        self.flat_map(|stream| stream)
    }

    /// This stream's items, then the other's.
    fn chain(self, other: impl Stream<Item = Self::Item>) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        Chain { a: Some(self), b: Some(other) }
    }

    /// The items of both as they come, until both have ended. For many there is
    /// [`merge_all`](crate::merge_all).
    ///
    /// A wake of one costs one poll of that one, and neither starves the other.
    fn merge(self, other: impl Stream<Item = Self::Item>) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        Merge::new(self, other)
    }

    /// Pairs of items, until one of the streams ends.
    ///
    /// # Cancel safety
    /// An item whose partner has not come is kept between polls, and is dropped when either the adaptor
    /// is, or the other stream ends.
    fn zip<U: Stream>(self, other: U) -> impl Stream<Item = (Self::Item, U::Item)>
    where
        Self: Sized,
    {
        Zip::new(self, other)
    }

    /// Begins again at the end, with a clone of the stream as it is now. An empty stream stays empty.
    fn cycle(self) -> impl Stream<Item = Self::Item>
    where
        Self: Sized + Clone,
    {
        Cycle { original: self.clone(), stream: self }
    }

    /// Stays at its end once that is reached, and drops the stream beneath there.
    fn fuse(self) -> impl Stream<Item = Self::Item>
    where
        Self: Sized,
    {
        Fuse { stream: Some(self) }
    }

    /// Lets the next item be looked at.
    fn peekable(self) -> Peekable<Self>
    where
        Self: Sized,
    {
        Peekable { stream: Some(self), peeked: None }
    }

    /// Items by the `size`; the last chunk may be shorter. Zero counts as one.
    ///
    /// # Cancel safety
    /// The unfinished chunk is kept between polls, and dropped with the adaptor.
    fn chunks(self, size: usize) -> impl Stream<Item = Vec<Self::Item>>
    where
        Self: Sized,
    {
        Chunks { stream: Some(self), size: size.max(1), chunk: Vec::new() }
    }

    /// Behind a pointer, its type forgotten.
    fn boxed<'a>(self) -> Pin<Box<dyn Stream<Item = Self::Item> + Send + 'a>>
    where
        Self: Sized + Send + 'a,
    {
        Box::pin(self)
    }

    // ---- futures in flight ----

    /// Runs the futures that this stream yields, at most `limit` at once (zero counts as one), and yields
    /// what they return in the order of the futures. A value that is ready early counts against the limit
    /// until it is its turn.
    ///
    /// A wake of one costs one poll of that one.
    ///
    /// # Cancel safety
    /// The futures wait with contexts of their own and are told by them; once the scope is cancelled, no
    /// further future is taken from the stream beneath, and when the last in flight has ended this waits
    /// for nothing more. A terminal operation drains it. *Dropped*, it drops what is in flight.
    fn buffered<'a>(
        self,
        cx: &'a TaskCx,
        limit: usize,
    ) -> impl Stream<Item = <Self::Item as Future>::Output>
    where
        Self: Sized + 'a,
        Self::Item: Future,
    {
        InFlight::new(cx, self, limit, true)
    }

    /// As [`buffered`](StreamExt::buffered), in the order in which they are done.
    ///
    /// # Cancel safety
    /// As [`buffered`](StreamExt::buffered).
    fn buffer_unordered<'a>(
        self,
        cx: &'a TaskCx,
        limit: usize,
    ) -> impl Stream<Item = <Self::Item as Future>::Output>
    where
        Self: Sized + 'a,
        Self::Item: Future,
    {
        InFlight::new(cx, self, limit, false)
    }

    // ---- with a clock ----

    /// After each item, asks for no other for as long as `every`. None is dropped.
    fn throttle<'a, C: HasTime>(
        self,
        cx: &'a Cx<C>,
        every: Duration,
    ) -> impl Stream<Item = Self::Item>
    where
        Self: Sized + 'a,
    {
        Throttle::new(self, cx, every)
    }

    /// An item once nothing has come after it for as long as `quiet`, or at the stream's end. Those that
    /// were followed sooner are dropped.
    ///
    /// # Cancel safety
    /// The latest item is kept between polls, and dropped with the adaptor.
    fn debounce<'a, C: HasTime>(
        self,
        cx: &'a Cx<C>,
        quiet: Duration,
    ) -> impl Stream<Item = Self::Item>
    where
        Self: Sized + 'a,
    {
        Debounce::new(self, cx, quiet)
    }

    /// Each item as `Ok`, and one `Err` when none has come for `limit` since it was asked for. The
    /// stream goes on: the next item may still come, and its successor is waited for as long again.
    fn timeout<'a, C: HasTime>(
        self,
        cx: &'a Cx<C>,
        limit: Duration,
    ) -> impl Stream<Item = Result<Self::Item, Elapsed>>
    where
        Self: Sized + 'a,
    {
        Timeout::new(self, cx, limit)
    }

    /// Items by the `size` (zero counts as one), or as many as have come `limit` after a chunk's first.
    ///
    /// # Cancel safety
    /// As [`chunks`](StreamExt::chunks).
    fn chunks_timeout<'a, C: HasTime>(
        self,
        cx: &'a Cx<C>,
        size: usize,
        limit: Duration,
    ) -> impl Stream<Item = Vec<Self::Item>>
    where
        Self: Sized + 'a,
    {
        ChunksTimeout::new(self, cx, size, limit)
    }

    // ---- terminal operations ----

    /// Folds the items, first to last.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn fold<'a, A, F>(
        self,
        cx: &'a TaskCx,
        init: A,
        f: F,
    ) -> impl Future<Output = Result<A, Cancelled>>
    where
        Self: Sized + 'a,
        F: FnMut(A, Self::Item) -> A,
    {
        Run::new(cx, Op::new("stream::fold"), self, Fold { folded: Some(init), f })
    }

    /// All items, in a collection of your choice.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn collect<'a, B>(self, cx: &'a TaskCx) -> impl Future<Output = Result<B, Cancelled>>
    where
        Self: Sized + 'a,
        B: Default + Extend<Self::Item>,
    {
        Run::new(cx, Op::new("stream::collect"), self, Collect(B::default()))
    }

    /// How many items there are.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn count<'a>(self, cx: &'a TaskCx) -> impl Future<Output = Result<usize, Cancelled>>
    where
        Self: Sized + 'a,
    {
        let sink = Fold { folded: Some(0), f: |count, _| count + 1 };
        Run::new(cx, Op::new("stream::count"), self, sink)
    }

    /// Runs a future for each item, one after the other.
    ///
    /// # Cancel safety
    /// The future under way is told by its own waits and ends by itself; after that no other is begun.
    #[track_caller]
    fn for_each<'a, F, Fut>(
        self,
        cx: &'a TaskCx,
        f: F,
    ) -> impl Future<Output = Result<(), Cancelled>>
    where
        Self: Sized + 'a,
        F: FnMut(Self::Item) -> Fut,
        Fut: Future<Output = ()>,
    {
        Run::new(cx, Op::new("stream::for_each"), Then::new(self, f), Ignore)
    }

    /// Runs a future for each item, at most `limit` at once (zero counts as one).
    ///
    /// # Cancel safety
    /// Those in flight are told by their own waits and have ended when this returns; no other is begun.
    #[track_caller]
    fn for_each_concurrent<'a, F, Fut>(
        self,
        cx: &'a TaskCx,
        limit: usize,
        f: F,
    ) -> impl Future<Output = Result<(), Cancelled>>
    where
        Self: Sized + 'a,
        F: FnMut(Self::Item) -> Fut,
        Fut: Future<Output = ()>,
    {
        let flight = InFlight::new(cx, Map { stream: self, f }, limit, false);
        Run::new(cx, Op::new("stream::for_each_concurrent"), flight, Ignore)
    }

    /// Whether the predicate holds for some item; stops at the first for which it does.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn any<'a, F>(
        self,
        cx: &'a TaskCx,
        predicate: F,
    ) -> impl Future<Output = Result<bool, Cancelled>>
    where
        Self: Sized + 'a,
        F: FnMut(Self::Item) -> bool,
    {
        let sink = Exists { wanted: true, found: false, predicate };
        Run::new(cx, Op::new("stream::any"), self, sink)
    }

    /// Whether the predicate holds for every item; stops at the first for which it does not.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn all<'a, F>(
        self,
        cx: &'a TaskCx,
        predicate: F,
    ) -> impl Future<Output = Result<bool, Cancelled>>
    where
        Self: Sized + 'a,
        F: FnMut(Self::Item) -> bool,
    {
        let sink = Exists { wanted: false, found: false, predicate };
        Run::new(cx, Op::new("stream::all"), self, sink)
    }

    /// The first item for which the predicate holds.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn find<'a, F>(
        self,
        cx: &'a TaskCx,
        predicate: F,
    ) -> impl Future<Output = Result<Option<Self::Item>, Cancelled>>
    where
        Self: Sized + 'a,
        F: FnMut(&Self::Item) -> bool,
    {
        Run::new(cx, Op::new("stream::find"), self, Find { found: None, predicate })
    }

    /// The least item; of equal ones the first.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn min<'a>(self, cx: &'a TaskCx) -> impl Future<Output = Result<Option<Self::Item>, Cancelled>>
    where
        Self: Sized + 'a,
        Self::Item: Ord,
    {
        let f = |least: Option<Self::Item>, item| match least {
            Some(least) if least <= item => Some(least),
            _ => Some(item),
        };
        Run::new(cx, Op::new("stream::min"), self, Fold { folded: Some(None), f })
    }

    /// The greatest item; of equal ones the last.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn max<'a>(self, cx: &'a TaskCx) -> impl Future<Output = Result<Option<Self::Item>, Cancelled>>
    where
        Self: Sized + 'a,
        Self::Item: Ord,
    {
        let f = |greatest: Option<Self::Item>, item| match greatest {
            Some(greatest) if greatest > item => Some(greatest),
            _ => Some(item),
        };
        Run::new(cx, Op::new("stream::max"), self, Fold { folded: Some(None), f })
    }

    /// The items for which the predicate holds, and the others.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn partition<'a, B, F>(
        self,
        cx: &'a TaskCx,
        predicate: F,
    ) -> impl Future<Output = Result<(B, B), Cancelled>>
    where
        Self: Sized + 'a,
        B: Default + Extend<Self::Item>,
        F: FnMut(&Self::Item) -> bool,
    {
        let sink = Partition { yes: B::default(), no: B::default(), predicate };
        Run::new(cx, Op::new("stream::partition"), self, sink)
    }

    /// The left and the right halves of pairs.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn unzip<'a, L, R, A, B>(
        self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<(A, B), Cancelled>>
    where
        Self: Stream<Item = (L, R)> + Sized + 'a,
        A: Default + Extend<L>,
        B: Default + Extend<R>,
    {
        Run::new(cx, Op::new("stream::unzip"), self, Unzip(A::default(), B::default()))
    }

    /// Sends every item into a channel, and answers how many were.
    ///
    /// Room is reserved first and only then is the next item asked for, so no item is ever in between.
    /// The stream is borrowed: what has not been sent is still in it.
    ///
    /// # Errors
    /// [`SendError::Closed`] when the receiver is gone before an item was taken. One that goes away while
    /// the stream is waited for is noticed at the next item, which is dropped then, as every message of a
    /// channel without a receiver is. [`SendError::Cancelled`] when the enclosing scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost: an item is in the channel or still in the stream. A cancel request is answered
    /// within one poll.
    #[track_caller]
    fn forward<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        sender: &'a mpsc::Sender<Self::Item>,
    ) -> impl Future<Output = Result<usize, SendError>>
    where
        Self: Unpin,
    {
        let Op { label, site, .. } = Op::new("stream::forward");
        async move {
            let mut sent = 0;
            loop {
                let permit = sender.reserve(cx).await?;
                let wait = cx.wait_at(label, site, |context| {
                    cx.in_turn(context, |context| Pin::new(&mut *self).poll_next(context))
                });
                match wait.await {
                    Ok(Some(item)) => match permit.send(item) {
                        Delivery::Queued => sent += 1,
                        Delivery::HandedBack(_) => return Err(SendError::Closed),
                    },
                    Ok(None) => {
                        permit.abort();
                        return Ok(sent);
                    }
                    Err(cancelled) => {
                        permit.abort();
                        return Err(cancelled.into());
                    }
                }
            }
        }
    }

    /// Cancels what is in flight inside with [`RaceLost`](asupersync_core::CancelKind::RaceLost), and
    /// polls it to its end. For a stream that is left behind before its end after calls of
    /// [`next`](StreamExt::next); the items that come are dropped.
    ///
    /// Works in a cancelled scope too.
    ///
    /// # Cancel safety
    /// Awaited, everything in flight ends by itself, within its cleanup time.
    #[track_caller]
    fn drain<'a>(self, cx: &'a TaskCx) -> impl Future<Output = ()>
    where
        Self: Sized + 'a,
    {
        Leave::new(cx, Op::new("stream::drain"), self)
    }
}
