//! The receiving end.

use super::shared::Shared;
use crate::blocking;
use crate::error::{RecvError, TryRecvError};
use crate::mutant::mutant;
use asupersync_core::TaskCx;
use asupersync_core::primitive::Arc;
use asupersync_sync::slots::Slots;
use futures_core::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Receives from a channel, in the order in which messages were sent.
///
/// It takes everything the channel holds under one lock and then serves itself from that; a slot is
/// given back only when its message is received, so the channel's capacity holds for both together.
///
/// As a [`Stream`] it ends where [`recv`](Receiver::recv) answers `Closed`. A stream's `poll_next` has
/// no context and so cannot be cancelled by itself; whoever awaits it through the kernel's wait door
/// can.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// Messages taken out of the shared queue and not yet received.
    batch: VecDeque<T>,
}

/// What a look into the channel found.
enum Look {
    Message,
    Nothing,
    Finished,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Receiver<T> {
        Receiver { shared, batch: VecDeque::new() }
    }

    /// Waits for a message.
    ///
    /// # Cancel safety
    /// Nothing is lost: a message is either answered or still in the channel. A cancel request is
    /// answered within one poll; in a cancelled scope messages that are there can be had by
    /// [`try_recv`](Receiver::try_recv), or under a mask.
    ///
    /// # Errors
    /// [`RecvError`].
    #[track_caller]
    pub fn recv<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = Result<T, RecvError>> {
        let site = Location::caller();
        async move {
            cx.checkpoint()?;
            if let Some(message) = self.next_in_batch() {
                return Ok(message);
            }
            self.fill(cx, site).await?;
            self.next_in_batch().ok_or(RecvError::Closed)
        }
    }

    /// Waits for a message, then takes all that are there, up to `max`, to the end of `messages`.
    /// Answers how many; zero only when `max` is.
    ///
    /// # Cancel safety
    /// Nothing is lost: `messages` grows only in the poll that answers. A cancel request is answered
    /// within one poll.
    ///
    /// # Errors
    /// [`RecvError`]; `messages` is then as it was.
    #[track_caller]
    pub fn recv_many<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        messages: &'a mut Vec<T>,
        max: usize,
    ) -> impl Future<Output = Result<usize, RecvError>> {
        let site = Location::caller();
        async move {
            cx.checkpoint()?;
            if max == 0 {
                return Ok(0);
            }
            if self.batch.is_empty() {
                self.fill(cx, site).await?;
            }
            Ok(self.take_many(messages, max))
        }
    }

    /// Moves what is there, up to `max`, beginning with the batch.
    fn take_many(&mut self, messages: &mut Vec<T>, max: usize) -> usize {
        let mut n = self.batch.len().min(max);
        messages.extend(self.batch.drain(..n));
        if n < max {
            if let Look::Message = self.look(None) {
                let more = self.batch.len().min(max - n);
                messages.extend(self.batch.drain(..more));
                n += more;
            }
        }
        self.shared.received(n);
        n
    }

    /// Fills the empty batch, waiting if need be.
    async fn fill(
        &mut self,
        cx: &TaskCx,
        site: &'static Location<'static>,
    ) -> Result<(), RecvError> {
        // All slots at home: nothing is there, so the first look may leave the waker at once.
        if self.shared.slots.peek_free() < self.shared.capacity && !cx.is_turn_over() {
            match self.look(None) {
                Look::Message => {
                    cx.take_turn(self.batch.len());
                    return Ok(());
                }
                Look::Finished => return Err(RecvError::Closed),
                Look::Nothing => {}
            }
        }
        let mut park = Park { receiver: self, parked: false };
        let poll = |context: &mut Context<'_>| cx.in_turn(context, |context| park.poll(context));
        cx.wait_at("mpsc::recv", site, poll).await?
    }

    /// Fills the empty batch from the shared queue. Finding nothing, it leaves the waker there, if it
    /// has one.
    fn look(&mut self, context: Option<&Context<'_>>) -> Look {
        debug_assert!(self.batch.is_empty());
        self.shared.object.write();
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = context.map(|context| context.waker().clone());
        let mut queue = self.shared.queue.lock_backing_off();
        if !queue.messages.is_empty() {
            // Both buffers keep their memory, so a steady flow allocates nothing.
            std::mem::swap(&mut queue.messages, &mut self.batch);
            return Look::Message;
        }
        if self.shared.is_finished() {
            return Look::Finished;
        }
        if mutant!(ParkWithoutSecondLook) {
            drop(queue);
            queue = self.shared.queue.lock();
        }
        if waker.is_some() {
            std::mem::swap(&mut queue.receiver, &mut waker);
        }
        Look::Nothing
    }

    fn next_in_batch(&mut self) -> Option<T> {
        let message = self.batch.pop_front()?;
        self.shared.received(1);
        Some(message)
    }

    /// Waits for a message by parking the thread: for plain threads, and for closures on the blocking
    /// pool. Nothing cancels it but the channel's end.
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        if let Some(message) = self.next_in_batch() {
            return Ok(message);
        }
        let mut park = Park { receiver: self, parked: false };
        blocking::wait(|context| park.poll(context))?;
        drop(park);
        self.next_in_batch().ok_or(RecvError::Closed)
    }

    /// Waits for a message by parking the thread, then takes all that are there, up to `max`, to the end
    /// of `messages`; as [`recv_many`](Receiver::recv_many) and [`blocking_recv`](Receiver::blocking_recv).
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_recv_many(
        &mut self,
        messages: &mut Vec<T>,
        max: usize,
    ) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        if self.batch.is_empty() {
            let mut park = Park { receiver: self, parked: false };
            blocking::wait(|context| park.poll(context))?;
        }
        Ok(self.take_many(messages, max))
    }

    /// A message, if one is there. Works in a cancelled scope too.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if self.batch.is_empty() {
            match self.look(None) {
                Look::Message => {}
                Look::Nothing => return Err(TryRecvError::Empty),
                Look::Finished => return Err(TryRecvError::Closed),
            }
        }
        self.next_in_batch().ok_or(TryRecvError::Empty)
    }

    /// Gives no more permits: senders in line and later ones hear `Closed`. What was sent, and what
    /// is sent through permits that are out, can still be received; then comes `Closed`.
    pub fn close(&mut self) {
        self.shared.slots.close();
    }

    /// Whether the channel was closed, or no sender is left. Messages may still be there.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.object.read();
        self.shared.slots.is_closed()
            || self.shared.senders.load(asupersync_core::primitive::Ordering::Acquire) == 0
    }

    /// How many messages are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.object.read();
        self.batch.len() + self.shared.queue.lock().messages.len()
    }

    /// Whether no message is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most messages and permits the channel holds; `None` when it has no limit.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        (self.shared.capacity < Slots::MAX).then_some(self.shared.capacity)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.object.write();
        self.shared.slots.close();
        let mut queue = self.shared.queue.lock();
        queue.gone = true;
        // Dropped after the lock: messages and wakers run foreign code.
        let _messages = if mutant!(ReceiverLeavesMessages) {
            Default::default()
        } else {
            std::mem::take(&mut queue.messages)
        };
        let _waker = queue.receiver.take();
        drop(queue);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl<T> Unpin for Receiver<T> {}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.batch.is_empty() {
            match self.look(Some(context)) {
                Look::Message => {}
                Look::Nothing => return Poll::Pending,
                Look::Finished => return Poll::Ready(None),
            }
        }
        Poll::Ready(self.next_in_batch())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), None)
    }
}

/// A parked receiver that takes its waker back when dropped.
struct Park<'a, T> {
    receiver: &'a mut Receiver<T>,
    parked: bool,
}

impl<T> Park<'_, T> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), RecvError>> {
        // Most polls after the first come from a message's wake, and need no second waker.
        let mut look = if self.parked { self.receiver.look(None) } else { Look::Nothing };
        if let Look::Nothing = look {
            look = self.receiver.look(Some(context));
        }
        self.parked = matches!(look, Look::Nothing);
        match look {
            Look::Message => Poll::Ready(Ok(())),
            Look::Finished => Poll::Ready(Err(RecvError::Closed)),
            Look::Nothing => Poll::Pending,
        }
    }
}

impl<T> Drop for Park<'_, T> {
    fn drop(&mut self) {
        if self.parked {
            // Who sends after this finds nobody to wake.
            self.receiver.shared.object.write();
            let waker = self.receiver.shared.queue.lock().receiver.take();
            drop(waker);
        }
    }
}
