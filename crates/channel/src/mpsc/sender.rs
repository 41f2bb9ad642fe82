//! The sending end.

use super::permit::{OwnedPermit, PERMIT, Permit, Permits};
use super::shared::Shared;
use super::sink::SenderSink;
use crate::blocking;
use crate::error::{Delivery, SendError, TrySendError, Unsent};
use crate::mutant::mutant;
use asupersync_core::primitive::{Arc, Ordering};
use asupersync_core::{TaskCx, WaitKey};
use asupersync_sync::slots::{NotTaken, Slots};
use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

/// Sends into a channel. Clones send into the same one; when the last is dropped and its messages are
/// received, the receiver hears `Closed`.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    pub(super) fn first(shared: Arc<Shared<T>>) -> Sender<T> {
        Sender { shared }
    }

    pub(super) fn shared(&self) -> &Shared<T> {
        &self.shared
    }

    /// Waits for capacity for one message.
    ///
    /// # Cancel safety
    /// Nothing is lost: there is no message yet. A waiter that is cancelled or dropped gives up its
    /// place in line, and capacity that had already been handed to it goes to the next. A cancel
    /// request is answered within one poll.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::Cancelled`].
    #[track_caller]
    pub fn reserve<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<Permit<'a, T>, SendError>> {
        let site = Location::caller();
        async move {
            if !self.shared.slots.take_now(cx, 1)? {
                self.shared.slots.take_in_turn(cx, 1, "mpsc::reserve", site).await?;
            }
            Ok(Permit::new(self, cx.obligation_at(&PERMIT, site)))
        }
    }

    /// Waits for capacity for one message; the permit keeps the channel open instead of borrowing
    /// this sender.
    ///
    /// # Cancel safety
    /// As [`reserve`](Sender::reserve).
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::Cancelled`].
    #[track_caller]
    pub fn reserve_owned<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<OwnedPermit<T>, SendError>> {
        let site = Location::caller();
        async move {
            if !self.shared.slots.take_now(cx, 1)? {
                self.shared.slots.take_in_turn(cx, 1, "mpsc::reserve", site).await?;
            }
            Ok(OwnedPermit::new(self.clone(), cx.obligation_at(&PERMIT, site)))
        }
    }

    /// Waits for capacity for `n` messages at once.
    ///
    /// The messages need not follow each other in the channel: other senders' may come between.
    ///
    /// # Cancel safety
    /// As [`reserve`](Sender::reserve): capacity is handed over all at once, so a waiter never sits
    /// on a part of it.
    ///
    /// # Errors
    /// [`SendError`]; `TooMany` when `n` exceeds the channel's capacity.
    #[track_caller]
    pub fn reserve_many<'a>(
        &'a self,
        cx: &'a TaskCx,
        n: usize,
    ) -> impl Future<Output = Result<Permits<'a, T>, SendError>> {
        let site = Location::caller();
        async move {
            if n > self.shared.capacity {
                return Err(SendError::TooMany { asked: n, capacity: self.shared.capacity });
            }
            if !self.shared.slots.take_now(cx, n)? {
                self.shared.slots.take_in_turn(cx, n, "mpsc::reserve", site).await?;
            }
            Ok(Permits::new(self, n, cx.obligation_at(&PERMIT, site)))
        }
    }

    /// Waits for capacity and sends the value.
    ///
    /// # Cancel safety
    /// When the scope is cancelled, the value comes back in the error. When the *future* is dropped
    /// before it is ready, the value it owns is dropped with it, unsent; where that matters, use
    /// [`reserve`](Sender::reserve). The value is never sent and handed back both. A cancel request is
    /// answered within one poll.
    ///
    /// # Errors
    /// [`Unsent`] with the value and the reason.
    #[track_caller]
    pub fn send<'a>(
        &'a self,
        cx: &'a TaskCx,
        value: T,
    ) -> impl Future<Output = Result<(), Unsent<T>>> {
        let site = Location::caller();
        async move {
            let taken = match self.shared.slots.take_now(cx, 1) {
                Ok(true) => Ok(()),
                Ok(false) => self.shared.slots.take_in_turn(cx, 1, "mpsc::send", site).await,
                Err(error) => Err(error),
            };
            match taken {
                // Reserved and committed within one poll: nothing in between can be cancelled, so
                // there is no permit to keep books about.
                Ok(()) => match self.shared.push(value) {
                    Delivery::Queued => Ok(()),
                    Delivery::HandedBack(value) => Err(Unsent { value, error: SendError::Closed }),
                },
                Err(error) => Err(Unsent { value, error: error.into() }),
            }
        }
    }

    /// Waits for capacity by parking the thread, and sends the value: for plain threads, and for
    /// closures on the blocking pool. Nothing cancels it but the channel's end.
    ///
    /// # Errors
    /// [`Unsent`] with the value; its error is `Closed`.
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), Unsent<T>> {
        let mut line = Line { shared: &*self.shared, key: None };
        let taken = blocking::wait(|context| line.poll(context));
        if let Err(error) = taken {
            return Err(Unsent { value, error: error.into() });
        }
        match self.shared.push(value) {
            Delivery::Queued => Ok(()),
            Delivery::HandedBack(value) => Err(Unsent { value, error: SendError::Closed }),
        }
    }

    /// This sender as a [`Sink`](futures_sink::Sink).
    #[must_use]
    pub fn into_sink(self) -> SenderSink<T> {
        SenderSink::new(self)
    }

    /// Capacity for one message, if some is free and no sender is first.
    ///
    /// # Errors
    /// [`TrySendError`].
    #[track_caller]
    pub fn try_reserve(&self, cx: &TaskCx) -> Result<Permit<'_, T>, TrySendError<()>> {
        match self.shared.slots.try_take(1) {
            Ok(()) => Ok(Permit::new(self, cx.obligation(&PERMIT))),
            Err(refused) => Err(TrySendError::refused(refused, ())),
        }
    }

    /// Sends the value if capacity is free and no sender is first. Needs no context, for it cannot
    /// wait.
    ///
    /// # Errors
    /// [`TrySendError`] with the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.shared.slots.try_take(1) {
            Ok(()) => self.shared.push(value).into_result().map_err(TrySendError::Closed),
            Err(refused) => Err(TrySendError::refused(refused, value)),
        }
    }

    /// The most messages and permits the channel holds; `None` when it has no limit.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        (self.shared.capacity < Slots::MAX).then_some(self.shared.capacity)
    }

    /// How many messages and permits are out now: sent and not yet received, or reserved.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.capacity - self.shared.slots.free().min(self.shared.capacity)
    }

    /// Whether the receiver is gone or closed the channel.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.slots.is_closed()
    }

    /// Whether both send into the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// A sender that does not keep the channel open.
    #[must_use]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { shared: self.shared.clone() }
    }
}

/// A place in line without a context, given up when dropped.
struct Line<'a, T> {
    shared: &'a Shared<T>,
    key: Option<WaitKey>,
}

impl<T> Line<'_, T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NotTaken>> {
        self.shared.slots.poll_take(1, &mut self.key, context)
    }
}

impl<T> Drop for Line<'_, T> {
    fn drop(&mut self) {
        self.shared.slots.leave(&mut self.key);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        // Relaxed: a new sender is made from one that exists.
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // Whether it is the last one depends on who was dropped before.
        self.shared.object.write();
        // Release: this sender's messages are seen by whoever sees it gone.
        let last = self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && !mutant!(LastSenderLeavesSilently) {
            self.shared.wake_receiver();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("in_flight", &self.in_flight())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// A [`Sender`] that does not keep the channel open.
pub struct WeakSender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> WeakSender<T> {
    /// A full sender, while at least one other exists.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.shared.object.read();
        let senders = &self.shared.senders;
        let mut count = senders.load(Ordering::Relaxed);
        while count != 0 {
            match senders.compare_exchange_weak(
                count,
                count + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Sender { shared: self.shared.clone() }),
                Err(now) => count = now,
            }
        }
        None
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> WeakSender<T> {
        WeakSender { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}
