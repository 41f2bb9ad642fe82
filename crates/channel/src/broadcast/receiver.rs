//! The receiving end.

use super::{RecvError, Shared, State, TryRecvError};
use crate::blocking;
use crate::mutant::mutant;
use asupersync_core::primitive::Arc;
use asupersync_core::{TaskCx, WaitKey};
use futures_core::Stream;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Receives every message that is sent while it exists, in order.
///
/// As a [`Stream`] it yields messages and, as `Err(n)`, that `n` were missed; it ends where
/// [`recv`](Receiver::recv) answers `Closed`. A stream's `poll_next` has no context and so cannot be
/// cancelled by itself.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The number of the message to receive next.
    next: u64,
    /// The place in line, while this receiver waits.
    key: Option<WaitKey>,
}

impl<T> Receiver<T> {
    pub(super) fn subscribe(shared: &Arc<Shared<T>>) -> Receiver<T> {
        shared.object.write();
        let mut state = shared.state.lock();
        state.receivers += 1;
        let next = state.next();
        drop(state);
        Receiver { shared: shared.clone(), next, key: None }
    }

    /// A further receiver, of messages that are sent from now on, not of those this one has not had.
    #[must_use]
    pub fn resubscribe(&self) -> Receiver<T> {
        Receiver::subscribe(&self.shared)
    }

    /// How many messages are there for this receiver; those it has missed are not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.object.read();
        let state = self.shared.state.lock();
        // At most the ring's length.
        (state.next() - self.next.max(state.first)) as usize
    }

    /// Whether both receive from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether no sender is left. Messages may still be there.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.object.read();
        self.shared.state.lock().senders == 0
    }

    /// Whether no message is there for this receiver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Result<Arc<T>, TryRecvError>> {
        self.shared.object.write();
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut state = self.shared.state.lock();
        if let Some(key) = &self.key {
            if state.line.poll(key, &mut waker).is_none() {
                return Poll::Pending;
            }
            self.key = None;
        }
        match state.take(&mut self.next) {
            Err(TryRecvError::Empty) => {
                let waker = waker.take().unwrap_or_else(|| context.waker().clone());
                self.key = Some(state.line.push_back((), waker));
                Poll::Pending
            }
            answer => Poll::Ready(answer),
        }
    }

    /// Leaves the line. A granted waiter has nothing to pass on: everybody was told of the same.
    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        if mutant!(BroadcastWaiterLeftInLine) {
            return;
        }
        self.shared.object.write();
        let mut waker = None;
        let _ = self.shared.state.lock().line.remove(key, &mut waker);
    }
}

impl<T> State<T> {
    /// Takes message `next` out of the channel, for a receiver that has had those before it.
    fn take(&mut self, next: &mut u64) -> Result<Arc<T>, TryRecvError> {
        let missed = self.first.saturating_sub(*next);
        if missed > 0 {
            *next = self.first;
            if !mutant!(LagNotReported) {
                return Err(TryRecvError::Lagged(missed));
            }
        }
        // At most the ring's length: nobody has received more than was sent.
        let place = (*next - self.first) as usize;
        let Some(slot) = self.ring.get_mut(place) else {
            return Err(if self.senders == 0 { TryRecvError::Closed } else { TryRecvError::Empty });
        };
        *next += 1;
        slot.remaining -= 1;
        if slot.remaining > 0 {
            return Ok(slot.value.clone());
        }
        // The last to receive it: everybody has had what came before, so it is the first in the ring.
        debug_assert_eq!(place, 0);
        let Some(slot) = self.ring.pop_front() else { unreachable!("the slot is in the ring") };
        self.first += 1;
        Ok(slot.value)
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next message. The last receiver of a message gets the message itself, the others
    /// a clone.
    ///
    /// # Cancel safety
    /// Nothing is lost: a message is answered or still there for this receiver. A cancel request is
    /// answered within one poll; in a cancelled scope messages that are there can be had by
    /// [`try_recv`](Receiver::try_recv).
    ///
    /// # Errors
    /// [`RecvError`].
    #[track_caller]
    pub fn recv<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = Result<T, RecvError>> {
        let site = Location::caller();
        async move {
            let park = Park { receiver: self };
            let wait = cx.wait_at("broadcast::recv", site, |context| {
                cx.in_turn(context, |context| park.receiver.poll_take(context))
            });
            received(wait.await?)
        }
    }

    /// Waits for the next message by parking the thread: for plain threads, and for closures on the
    /// blocking pool. Nothing cancels it but the channel's end.
    ///
    /// # Errors
    /// [`RecvError::Lagged`], [`RecvError::Closed`].
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        let park = Park { receiver: self };
        received(blocking::wait(|context| park.receiver.poll_take(context)))
    }

    /// The next message, if it is there. Works in a cancelled scope too.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.object.write();
        let taken = self.shared.state.lock().take(&mut self.next);
        taken.map(owned)
    }
}

fn received<T: Clone>(taken: Result<Arc<T>, TryRecvError>) -> Result<T, RecvError> {
    match taken {
        Ok(value) => Ok(owned(value)),
        Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
        Err(TryRecvError::Empty | TryRecvError::Closed) => Err(RecvError::Closed),
    }
}

/// The message itself if nobody else has it, or a copy.
fn owned<T: Clone>(value: Arc<T>) -> T {
    Arc::try_unwrap(value).unwrap_or_else(|value| T::clone(&value))
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.leave();
        self.shared.object.write();
        let mut dropped = Vec::new();
        let mut state = self.shared.state.lock();
        state.receivers -= 1;
        // At most the ring's length.
        let place = self.next.saturating_sub(state.first) as usize;
        for slot in state.ring.range_mut(place..) {
            slot.remaining -= usize::from(!mutant!(BroadcastLeaverCountedOn));
        }
        while state.ring.front().is_some_and(|slot| slot.remaining == 0) {
            dropped.extend(state.ring.pop_front());
            state.first += 1;
        }
        drop(state);
        // After the lock: messages are foreign code.
        drop(dropped);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> Unpin for Receiver<T> {}

impl<T: Clone> Stream for Receiver<T> {
    type Item = Result<T, u64>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, u64>>> {
        match self.poll_take(context) {
            Poll::Ready(Ok(value)) => Poll::Ready(Some(Ok(owned(value)))),
            Poll::Ready(Err(TryRecvError::Lagged(missed))) => Poll::Ready(Some(Err(missed))),
            Poll::Ready(Err(TryRecvError::Closed | TryRecvError::Empty)) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A waiting receiver that leaves the line when dropped.
struct Park<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Drop for Park<'_, T> {
    fn drop(&mut self) {
        self.receiver.leave();
    }
}
