//! Futures in flight: `buffered` and `buffer_unordered`.

use crate::run::IN_A_ROW;
use asupersync_core::{TaskCx, Woken};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The slot of the stream that the futures come from.
const SOURCE: usize = 0;

pin_project! {
    /// Runs the futures that a stream yields, up to `limit` at once, each with a waker of its own.
    pub(crate) struct InFlight<'a, S>
    where
        S: Stream,
        S::Item: Future,
    {
        cx: &'a TaskCx,
        #[pin]
        source: S,
        exhausted: bool,
        // The source was woken, or has more, while there was no room.
        source_waits: bool,
        limit: usize,
        woken: Woken,
        // By slot, less the source's: a future, and as which one it came.
        futures: Vec<Option<(u64, Pin<Box<S::Item>>)>>,
        free: Vec<usize>,
        live: usize,
        // With an order to keep: the values from `front` on, as far as they are there.
        ordered: bool,
        values: VecDeque<Option<<S::Item as Future>::Output>>,
        front: u64,
        next: u64,
        cancelled: bool,
    }
}

impl<'a, S> InFlight<'a, S>
where
    S: Stream,
    S::Item: Future,
{
    pub(crate) fn new(cx: &'a TaskCx, source: S, limit: usize, ordered: bool) -> Self {
        let mut woken = Woken::new();
        woken.add();
        InFlight {
            cx,
            source,
            exhausted: false,
            source_waits: false,
            limit: limit.max(1),
            woken,
            futures: Vec::new(),
            free: Vec::new(),
            live: 0,
            ordered,
            values: VecDeque::new(),
            front: 0,
            next: 0,
            cancelled: false,
        }
    }
}

impl<S> Stream for InFlight<'_, S>
where
    S: Stream,
    S::Item: Future,
{
    type Item = <S::Item as Future>::Output;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let cancelled = this.cx.is_cancel_requested();
        let was_cancelled = std::mem::replace(this.cancelled, cancelled);
        if cancelled && !was_cancelled {
            // The scope that was cancelled may be a new one, of which their waits have not heard.
            for (index, future) in this.futures.iter().enumerate() {
                if future.is_some() {
                    this.woken.rouse(index + 1);
                }
            }
        }
        let room =
            |live: usize, values: usize| if *this.ordered { values } else { live } < *this.limit;
        if !cancelled && *this.source_waits && room(*this.live, this.values.len()) {
            *this.source_waits = false;
            this.woken.rouse(SOURCE);
        }
        let mut left = this.woken.begin(context.waker());
        while left > 0 {
            if let Some(Some(_)) = this.values.front() {
                break;
            }
            left -= 1;
            let Some(slot) = this.woken.pop() else { break };
            if slot == SOURCE {
                for taken in 0.. {
                    if *this.exhausted {
                        break;
                    }
                    if cancelled || !room(*this.live, this.values.len()) {
                        *this.source_waits = true;
                        break;
                    }
                    if taken == IN_A_ROW {
                        this.woken.rouse(SOURCE);
                        left += 1;
                        break;
                    }
                    let mut context = Context::from_waker(this.woken.waker(SOURCE));
                    let future = match this.source.as_mut().poll_next(&mut context) {
                        Poll::Pending => break,
                        Poll::Ready(None) => {
                            *this.exhausted = true;
                            break;
                        }
                        Poll::Ready(Some(future)) => Some((*this.next, Box::pin(future))),
                    };
                    *this.next += 1;
                    *this.live += 1;
                    if *this.ordered {
                        this.values.push_back(None);
                    }
                    if let Some(index) = this.free.pop() {
                        this.futures[index] = future;
                        this.woken.rouse(index + 1);
                    } else {
                        this.futures.push(future);
                        this.woken.add();
                    }
                    left += 1;
                }
                continue;
            }
            let index = slot - 1;
            // Out of its slot while it is polled: one that panics is gone.
            let Some((number, mut future)) = this.futures[index].take() else { continue };
            *this.live -= 1;
            let mut context = Context::from_waker(this.woken.waker(slot));
            let Poll::Ready(value) = future.as_mut().poll(&mut context) else {
                *this.live += 1;
                this.futures[index] = Some((number, future));
                continue;
            };
            drop(future);
            this.free.push(index);
            if !*this.ordered {
                return Poll::Ready(Some(value));
            }
            // The window is at most `limit` long.
            this.values[(number - *this.front) as usize] = Some(value);
        }
        if let Some(Some(_)) = this.values.front() {
            *this.front += 1;
            return Poll::Ready(this.values.pop_front().flatten());
        }
        if *this.exhausted && *this.live == 0 {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = if self.ordered { self.values.len() } else { self.live };
        if self.exhausted {
            return (here, Some(here));
        }
        let (lower, upper) = self.source.size_hint();
        (lower.saturating_add(here), upper.and_then(|upper| upper.checked_add(here)))
    }
}
