//! Adaptors with a part of their own: `map`, `then`, `flat_map`, `chain`, `zip`, `cycle`, `fuse`, `chunks`,
//! `peekable`.

use crate::merge::{add, poll_open};
use crate::run::{IN_A_ROW, Op};
use asupersync_core::{Cancelled, TaskCx};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    pub(crate) struct Map<S, F> {
        #[pin]
        pub(crate) stream: S,
        pub(crate) f: F,
    }
}

impl<S: Stream, T, F: FnMut(S::Item) -> T> Stream for Map<S, F> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        this.stream.poll_next(context).map(|item| item.map(this.f))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

pin_project! {
    pub(crate) struct Then<S, F, Fut> {
        #[pin]
        stream: S,
        make: F,
        #[pin]
        future: Option<Fut>,
    }
}

impl<S, F, Fut> Then<S, F, Fut> {
    pub(crate) fn new(stream: S, make: F) -> Then<S, F, Fut> {
        Then { stream, make, future: None }
    }
}

impl<S, F, Fut> Stream for Then<S, F, Fut>
where
    S: Stream,
    F: FnMut(S::Item) -> Fut,
    Fut: Future,
{
    type Item = Fut::Output;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Fut::Output>> {
        let mut this = self.project();
        loop {
            if let Some(future) = this.future.as_mut().as_pin_mut() {
                let value = ready!(future.poll(context));
                this.future.set(None);
                return Poll::Ready(Some(value));
            }
            match ready!(this.stream.as_mut().poll_next(context)) {
                Some(item) => this.future.set(Some((this.make)(item))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = usize::from(self.future.is_some());
        add(self.stream.size_hint(), (here, Some(here)))
    }
}

pin_project! {
    pub(crate) struct FlatMap<S, F, U> {
        #[pin]
        pub(crate) stream: Option<S>,
        pub(crate) make: F,
        #[pin]
        pub(crate) inner: Option<U>,
    }
}

impl<S, F, U> Stream for FlatMap<S, F, U>
where
    S: Stream,
    F: FnMut(S::Item) -> U,
    U: Stream,
{
    type Item = U::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<U::Item>> {
        let mut this = self.project();
        for _ in 0..IN_A_ROW {
            if let Some(item) = ready!(poll_open(this.inner.as_mut(), context)) {
                return Poll::Ready(Some(item));
            }
            match ready!(poll_open(this.stream.as_mut(), context)) {
                Some(item) => this.inner.set(Some((this.make)(item))),
                None => return Poll::Ready(None),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pin_project! {
    pub(crate) struct Chain<A, B> {
        #[pin]
        pub(crate) a: Option<A>,
        #[pin]
        pub(crate) b: Option<B>,
    }
}

impl<A: Stream, B: Stream<Item = A::Item>> Stream for Chain<A, B> {
    type Item = A::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<A::Item>> {
        let this = self.project();
        match ready!(poll_open(this.a, context)) {
            Some(item) => Poll::Ready(Some(item)),
            None => poll_open(this.b, context),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let a = self.a.as_ref().map_or((0, Some(0)), Stream::size_hint);
        add(a, self.b.as_ref().map_or((0, Some(0)), Stream::size_hint))
    }
}

pin_project! {
    pub(crate) struct Zip<A: Stream, B: Stream> {
        #[pin]
        a: A,
        #[pin]
        b: B,
        left: Option<A::Item>,
        right: Option<B::Item>,
        over: bool,
    }
}

impl<A: Stream, B: Stream> Zip<A, B> {
    pub(crate) fn new(a: A, b: B) -> Zip<A, B> {
        Zip { a, b, left: None, right: None, over: false }
    }
}

impl<A: Stream, B: Stream> Stream for Zip<A, B> {
    type Item = (A::Item, B::Item);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        if this.left.is_none() {
            match this.a.poll_next(context) {
                Poll::Ready(None) => {
                    *this.over = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(item) => *this.left = item,
                Poll::Pending => {}
            }
        }
        if this.right.is_none() {
            match this.b.poll_next(context) {
                Poll::Ready(None) => {
                    *this.over = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(item) => *this.right = item,
                Poll::Pending => {}
            }
        }
        match (this.left.take(), this.right.take()) {
            (Some(left), Some(right)) => Poll::Ready(Some((left, right))),
            (left, right) => {
                (*this.left, *this.right) = (left, right);
                Poll::Pending
            }
        }
    }
}

pin_project! {
    pub(crate) struct Cycle<S> {
        pub(crate) original: S,
        #[pin]
        pub(crate) stream: S,
    }
}

impl<S: Stream + Clone> Stream for Cycle<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        if let Some(item) = ready!(this.stream.as_mut().poll_next(context)) {
            return Poll::Ready(Some(item));
        }
        this.stream.set(this.original.clone());
        // An empty stream stays empty.
        this.stream.poll_next(context)
    }
}

pin_project! {
    pub(crate) struct Fuse<S> {
        #[pin]
        pub(crate) stream: Option<S>,
    }
}

impl<S: Stream> Stream for Fuse<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        poll_open(self.project().stream, context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

pin_project! {
    pub(crate) struct Chunks<S: Stream> {
        #[pin]
        pub(crate) stream: Option<S>,
        pub(crate) size: usize,
        pub(crate) chunk: Vec<S::Item>,
    }
}

impl<S: Stream> Stream for Chunks<S> {
    type Item = Vec<S::Item>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        for _ in 0..IN_A_ROW {
            match ready!(poll_open(this.stream.as_mut(), context)) {
                Some(item) => this.chunk.push(item),
                None if this.chunk.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(std::mem::take(this.chunk))),
            }
            if this.chunk.len() >= *this.size {
                return Poll::Ready(Some(std::mem::take(this.chunk)));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pin_project! {
    /// A stream whose next item can be looked at; made by [`peekable`](crate::StreamExt::peekable).
    #[must_use = "streams do nothing unless polled"]
    pub struct Peekable<S: Stream> {
        #[pin]
        pub(crate) stream: Option<S>,
        pub(crate) peeked: Option<S::Item>,
    }
}

impl<S: Stream> Peekable<S> {
    /// Waits until the next item is there, and shows it.
    ///
    /// # Errors
    /// `Cancelled` when the enclosing scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost: an item that is there stays until it is taken. A cancel request is answered
    /// within one poll.
    #[track_caller]
    pub fn peek<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<Option<&'a S::Item>, Cancelled>>
    where
        S: Unpin,
    {
        let Op { label, site, .. } = Op::new("stream::peek");
        async move {
            cx.wait_at(label, site, |context| {
                if self.peeked.is_none() {
                    self.peeked = ready!(poll_open(Pin::new(&mut self.stream), context));
                }
                Poll::Ready(())
            })
            .await?;
            Ok(self.peeked.as_ref())
        }
    }
}

impl<S: Stream> Stream for Peekable<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        match this.peeked.take() {
            Some(item) => Poll::Ready(Some(item)),
            None => poll_open(this.stream, context),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = usize::from(self.peeked.is_some());
        let rest = self.stream.as_ref().map_or((0, Some(0)), Stream::size_hint);
        add(rest, (here, Some(here)))
    }
}

impl<S: Stream> fmt::Debug for Peekable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peekable").field("peeked", &self.peeked.is_some()).finish_non_exhaustive()
    }
}
