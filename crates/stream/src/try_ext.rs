//! What streams of results can do.

use crate::ext::StreamExt;
use crate::flight::InFlight;
use crate::run::{Op, Run};
use crate::sequence::{Map, Then};
use crate::sink::{Collect, Ignore, Try, TryFold};
use crate::steps::{Step, Steps};
use asupersync_core::{Cancelled, TaskCx};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<S, T, E> TryStreamExt for S
where
    S: Stream<Item = Result<T, E>> + ?Sized,
{
    type Ok = T;
    type Error = E;
}

/// Adaptors and terminal operations of streams of `Result`.
///
/// Adaptors pass errors on as items, and go on. Terminal operations stop at the first error: what is in
/// flight inside is cancelled with [`FailFast`](asupersync_core::CancelKind::FailFast) and has ended
/// when they return it. When the enclosing scope is cancelled they answer `Cancelled`, turned into the
/// error type. For the rest, see [`StreamExt`].
pub trait TryStreamExt: Stream<Item = Result<Self::Ok, Self::Error>> {
    /// What an item is in success.
    type Ok;
    /// What it is otherwise.
    type Error;

    /// Waits for the next item: `Ok(None)` is the end.
    ///
    /// # Errors
    /// The item's error, or `Cancelled` turned into its type.
    ///
    /// # Cancel safety
    /// As [`StreamExt::next`].
    #[track_caller]
    fn try_next<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<Option<Self::Ok>, Self::Error>>
    where
        Self: Unpin,
        Self::Error: From<Cancelled>,
    {
        let next = self.next(cx);
        async move { next.await?.transpose() }
    }

    /// Applies a function to each success.
    fn map_ok<T>(
        self,
        mut f: impl FnMut(Self::Ok) -> T,
    ) -> impl Stream<Item = Result<T, Self::Error>>
    where
        Self: Sized,
    {
        self.map(move |item| item.map(&mut f))
    }

    /// Applies a function to each error.
    fn map_err<E>(
        self,
        mut f: impl FnMut(Self::Error) -> E,
    ) -> impl Stream<Item = Result<Self::Ok, E>>
    where
        Self: Sized,
    {
        self.map(move |item| item.map_err(&mut f))
    }

    /// Keeps the errors, and the successes for which the predicate holds.
    fn try_filter(
        self,
        mut predicate: impl FnMut(&Self::Ok) -> bool,
    ) -> impl Stream<Item = Result<Self::Ok, Self::Error>>
    where
        Self: Sized,
    {
        self.filter(move |item| item.as_ref().map_or(true, &mut predicate))
    }

    /// Applies a fallible function to each success, and keeps the errors and the answers that are `Some`.
    fn try_filter_map<T>(
        self,
        mut f: impl FnMut(Self::Ok) -> Result<Option<T>, Self::Error>,
    ) -> impl Stream<Item = Result<T, Self::Error>>
    where
        Self: Sized,
    {
        self.filter_map(move |item| item.and_then(&mut f).transpose())
    }

    /// The successes while the predicate holds for them. Errors are passed on.
    fn try_take_while(
        self,
        mut predicate: impl FnMut(&Self::Ok) -> bool,
    ) -> impl Stream<Item = Result<Self::Ok, Self::Error>>
    where
        Self: Sized,
    {
        self.take_while(move |item| item.as_ref().map_or(true, &mut predicate))
    }

    /// The items up to and with the first error.
    ///
    /// # Cancel safety
    /// As [`StreamExt::take`].
    fn until_err(self) -> impl Stream<Item = Result<Self::Ok, Self::Error>>
    where
        Self: Sized,
    {
        Steps::new(
            self,
            |item: Result<_, _>| if item.is_err() { Step::Last(item) } else { Step::Emit(item) },
        )
    }

    /// Runs a fallible future for each success, one after the other.
    ///
    /// # Cancel safety
    /// As [`StreamExt::then`].
    fn and_then<T, F, Fut>(self, mut f: F) -> impl Stream<Item = Result<T, Self::Error>>
    where
        Self: Sized,
        F: FnMut(Self::Ok) -> Fut,
        Fut: Future<Output = Result<T, Self::Error>>,
    {
        Then::new(self, move |item: Result<_, _>| Flat::new(item.map(&mut f)))
    }

    /// Runs the futures that this stream yields as [`buffered`](StreamExt::buffered) does; an error of
    /// the stream itself takes a future's place.
    fn try_buffered<'a, T>(
        self,
        cx: &'a TaskCx,
        limit: usize,
    ) -> impl Stream<Item = Result<T, Self::Error>>
    where
        Self: Sized + 'a,
        Self::Ok: Future<Output = Result<T, Self::Error>>,
    {
        InFlight::new(cx, Map { stream: self, f: Flat::new }, limit, true)
    }

    /// Runs the futures that this stream yields as
    /// [`buffer_unordered`](StreamExt::buffer_unordered) does; an error of the stream itself takes a
    /// future's place.
    fn try_buffer_unordered<'a, T>(
        self,
        cx: &'a TaskCx,
        limit: usize,
    ) -> impl Stream<Item = Result<T, Self::Error>>
    where
        Self: Sized + 'a,
        Self::Ok: Future<Output = Result<T, Self::Error>>,
    {
        InFlight::new(cx, Map { stream: self, f: Flat::new }, limit, false)
    }

    /// All successes, or the first error.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn try_collect<'a, B>(self, cx: &'a TaskCx) -> impl Future<Output = Result<B, Self::Error>>
    where
        Self: Sized + 'a,
        Self::Error: From<Cancelled>,
        B: Default + Extend<Self::Ok>,
    {
        let op = Op::fallible("stream::try_collect");
        Joined::new(Run::new(cx, op, self, Try::new(Collect(B::default()))))
    }

    /// Folds the successes with a fallible function, until the first error.
    ///
    /// # Cancel safety
    /// What is in flight inside is drained; what was made of the items so far is dropped. See the crate's
    /// front page.
    #[track_caller]
    fn try_fold<'a, A, F>(
        self,
        cx: &'a TaskCx,
        init: A,
        f: F,
    ) -> impl Future<Output = Result<A, Self::Error>>
    where
        Self: Sized + 'a,
        Self::Error: From<Cancelled>,
        F: FnMut(A, Self::Ok) -> Result<A, Self::Error>,
    {
        let op = Op::fallible("stream::try_fold");
        Joined::new(Run::new(cx, op, self, TryFold { folded: Some(Ok(init)), f }))
    }

    /// Runs a fallible future for each success, one after the other, until the first error.
    ///
    /// # Cancel safety
    /// As [`StreamExt::for_each`].
    #[track_caller]
    fn try_for_each<'a, F, Fut>(
        self,
        cx: &'a TaskCx,
        mut f: F,
    ) -> impl Future<Output = Result<(), Self::Error>>
    where
        Self: Sized + 'a,
        Self::Error: From<Cancelled>,
        F: FnMut(Self::Ok) -> Fut,
        Fut: Future<Output = Result<(), Self::Error>>,
    {
        let op = Op::fallible("stream::try_for_each");
        let stream = Then::new(self, move |item: Result<_, _>| Flat::new(item.map(&mut f)));
        Joined::new(Run::new(cx, op, stream, Try::new(Ignore)))
    }

    /// Runs a fallible future for each success, at most `limit` at once (zero counts as one), until the
    /// first error.
    ///
    /// # Cancel safety
    /// As [`StreamExt::for_each_concurrent`].
    #[track_caller]
    fn try_for_each_concurrent<'a, F, Fut>(
        self,
        cx: &'a TaskCx,
        limit: usize,
        mut f: F,
    ) -> impl Future<Output = Result<(), Self::Error>>
    where
        Self: Sized + 'a,
        Self::Error: From<Cancelled>,
        F: FnMut(Self::Ok) -> Fut,
        Fut: Future<Output = Result<(), Self::Error>>,
    {
        let op = Op::fallible("stream::try_for_each_concurrent");
        let f = move |item: Result<_, _>| Flat::new(item.map(&mut f));
        let flight = InFlight::new(cx, Map { stream: self, f }, limit, false);
        Joined::new(Run::new(cx, op, flight, Try::new(Ignore)))
    }
}

pin_project! {
    /// The future of a success, or the error at once.
    #[project = FlatProjection]
    enum Flat<F, E> {
        Running { #[pin] future: F },
        Failed { error: Option<E> },
    }
}

impl<F, E> Flat<F, E> {
    fn new(future: Result<F, E>) -> Flat<F, E> {
        match future {
            Ok(future) => Flat::Running { future },
            Err(error) => Flat::Failed { error: Some(error) },
        }
    }
}

impl<F, T, E> Future for Flat<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        match self.project() {
            FlatProjection::Running { future } => future.poll(context),
            FlatProjection::Failed { error } => {
                error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
            }
        }
    }
}

pin_project! {
    /// A future of a result in a result, as one.
    struct Joined<F> {
        #[pin]
        future: F,
    }
}

impl<F> Joined<F> {
    fn new(future: F) -> Joined<F> {
        Joined { future }
    }
}

impl<F, T, E> Future for Joined<F>
where
    F: Future<Output = Result<Result<T, E>, Cancelled>>,
    E: From<Cancelled>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        self.project().future.poll(context).map(|result| result?)
    }
}
