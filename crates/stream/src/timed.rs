//! Adaptors with a clock: `throttle`, `debounce`, `timeout`, `chunks_timeout`.

use crate::merge::poll_open;
use crate::run::IN_A_ROW;
use asupersync_core::cap::HasTime;
use asupersync_core::{Cx, Error, ErrorKind, Sleep};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// No item came within the limit of [`timeout`](crate::StreamExt::timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// How long nothing came.
    pub limit: Duration,
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream had no item for {:?}", self.limit)
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for Error {
    #[track_caller]
    fn from(elapsed: Elapsed) -> Error {
        Error::new(ErrorKind::TimedOut, elapsed.to_string())
    }
}

/// An alarm that may be set. A cancelled one never rings: whoever polls the stream hears of the
/// cancellation by its own wait.
struct Alarm<'a>(Option<Sleep<'a>>);

impl<'a> Alarm<'a> {
    fn set<C: HasTime>(&mut self, cx: &'a Cx<C>, after: Duration) {
        self.0 = Some(cx.sleep(after));
    }

    /// Ready when it is not set, and once when it rings.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.0 {
            if ready!(Pin::new(sleep).poll(context)).is_err() {
                return Poll::Pending;
            }
            self.0 = None;
        }
        Poll::Ready(())
    }
}

pin_project! {
    pub(crate) struct Throttle<'a, S, C> {
        #[pin]
        stream: S,
        cx: &'a Cx<C>,
        every: Duration,
        pause: Alarm<'a>,
    }
}

impl<'a, S, C> Throttle<'a, S, C> {
    pub(crate) fn new(stream: S, cx: &'a Cx<C>, every: Duration) -> Self {
        Throttle { stream, cx, every, pause: Alarm(None) }
    }
}

impl<S: Stream, C: HasTime> Stream for Throttle<'_, S, C> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        ready!(this.pause.poll(context));
        let item = ready!(this.stream.poll_next(context));
        if item.is_some() {
            this.pause.set(this.cx, *this.every);
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

pin_project! {
    pub(crate) struct Debounce<'a, S: Stream, C> {
        #[pin]
        stream: Option<S>,
        cx: &'a Cx<C>,
        quiet: Duration,
        latest: Option<S::Item>,
        alarm: Alarm<'a>,
    }
}

impl<'a, S: Stream, C> Debounce<'a, S, C> {
    pub(crate) fn new(stream: S, cx: &'a Cx<C>, quiet: Duration) -> Self {
        Debounce { stream: Some(stream), cx, quiet, latest: None, alarm: Alarm(None) }
    }
}

impl<S: Stream, C: HasTime> Stream for Debounce<'_, S, C> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        for _ in 0..IN_A_ROW {
            match poll_open(this.stream.as_mut(), context) {
                Poll::Ready(Some(item)) => {
                    *this.latest = Some(item);
                    this.alarm.set(this.cx, *this.quiet);
                }
                // After the end nothing can replace the last one.
                Poll::Ready(None) => return Poll::Ready(this.latest.take()),
                Poll::Pending if this.latest.is_none() => return Poll::Pending,
                Poll::Pending => {
                    ready!(this.alarm.poll(context));
                    return Poll::Ready(this.latest.take());
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pin_project! {
    pub(crate) struct Timeout<'a, S, C> {
        #[pin]
        stream: S,
        cx: &'a Cx<C>,
        limit: Duration,
        alarm: Alarm<'a>,
        // The silence has been reported.
        reported: bool,
    }
}

impl<'a, S, C> Timeout<'a, S, C> {
    pub(crate) fn new(stream: S, cx: &'a Cx<C>, limit: Duration) -> Self {
        Timeout { stream, cx, limit, alarm: Alarm(None), reported: false }
    }
}

impl<S: Stream, C: HasTime> Stream for Timeout<'_, S, C> {
    type Item = Result<S::Item, Elapsed>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if let Poll::Ready(item) = this.stream.poll_next(context) {
            this.alarm.0 = None;
            *this.reported = false;
            return Poll::Ready(item.map(Ok));
        }
        if *this.reported {
            return Poll::Pending;
        }
        if this.alarm.0.is_none() {
            this.alarm.set(this.cx, *this.limit);
        }
        ready!(this.alarm.poll(context));
        *this.reported = true;
        Poll::Ready(Some(Err(Elapsed { limit: *this.limit })))
    }
}

pin_project! {
    pub(crate) struct ChunksTimeout<'a, S: Stream, C> {
        #[pin]
        stream: Option<S>,
        cx: &'a Cx<C>,
        size: usize,
        limit: Duration,
        chunk: Vec<S::Item>,
        alarm: Alarm<'a>,
    }
}

impl<'a, S: Stream, C> ChunksTimeout<'a, S, C> {
    pub(crate) fn new(stream: S, cx: &'a Cx<C>, size: usize, limit: Duration) -> Self {
        let (stream, size) = (Some(stream), size.max(1));
        ChunksTimeout { stream, cx, size, limit, chunk: Vec::new(), alarm: Alarm(None) }
    }
}

impl<S: Stream, C: HasTime> Stream for ChunksTimeout<'_, S, C> {
    type Item = Vec<S::Item>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        for _ in 0..IN_A_ROW {
            match poll_open(this.stream.as_mut(), context) {
                Poll::Ready(Some(item)) => {
                    if this.chunk.is_empty() {
                        this.alarm.set(this.cx, *this.limit);
                    }
                    this.chunk.push(item);
                    if this.chunk.len() < *this.size {
                        continue;
                    }
                }
                Poll::Ready(None) if this.chunk.is_empty() => return Poll::Ready(None),
                Poll::Ready(None) => {}
                Poll::Pending if this.chunk.is_empty() => return Poll::Pending,
                Poll::Pending => ready!(this.alarm.poll(context)),
            }
            this.alarm.0 = None;
            return Poll::Ready(Some(std::mem::take(this.chunk)));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
