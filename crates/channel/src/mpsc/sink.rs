//! The sending end as a sink.

use super::sender::Sender;
use crate::error::SendError;
use asupersync_core::WaitKey;
use futures_sink::Sink;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A [`Sender`] as a [`Sink`], from [`Sender::into_sink`].
///
/// The two phases are the channel's own: `poll_ready` reserves, `start_send` commits. So readiness that
/// is not used holds one place in the channel until this is dropped. A sink has no context: what it has
/// reserved is no obligation, and it cannot be cancelled by itself, only through whatever awaits it.
///
/// # Cancel safety
/// Dropped while it waits, it gives up its place in line; dropped when ready, its capacity goes to the
/// next sender. A message is in the channel as soon as `start_send` has returned `Ok`, so flushing has
/// nothing to do.
pub struct SenderSink<T> {
    /// Dropped by `poll_close`.
    sender: Option<Sender<T>>,
    key: Option<WaitKey>,
    reserved: bool,
}

impl<T> SenderSink<T> {
    pub(super) fn new(sender: Sender<T>) -> SenderSink<T> {
        SenderSink { sender: Some(sender), key: None, reserved: false }
    }

    /// The sender, unless the sink was closed. What was reserved goes to the next sender.
    #[must_use]
    pub fn into_sender(mut self) -> Option<Sender<T>> {
        self.let_go();
        self.sender.take()
    }

    fn let_go(&mut self) {
        let Some(sender) = &self.sender else { return };
        sender.shared().slots.leave(&mut self.key);
        if std::mem::take(&mut self.reserved) {
            sender.shared().abort(1);
        }
    }
}

impl<T> Drop for SenderSink<T> {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl<T> Unpin for SenderSink<T> {}

impl<T> Sink<T> for SenderSink<T> {
    type Error = SendError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        let this = &mut *self;
        let Some(sender) = &this.sender else { return Poll::Ready(Err(SendError::Closed)) };
        if !this.reserved {
            match sender.shared().slots.poll_take(1, &mut this.key, context) {
                Poll::Ready(Ok(())) => this.reserved = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends. When the receiver has gone since `poll_ready`, the message is dropped: a sink's error
    /// cannot carry it; [`Permit::send`](super::Permit::send) hands it back.
    ///
    /// # Panics
    /// Without a `poll_ready` that answered `Ok` before it, as the trait demands.
    fn start_send(mut self: Pin<&mut Self>, message: T) -> Result<(), SendError> {
        let reserved = std::mem::take(&mut self.reserved);
        match &self.sender {
            Some(sender) if reserved => {
                sender.shared().push(message).into_result().map_err(|_| SendError::Closed)
            }
            _ => panic!("`start_send` was called without a `poll_ready` that answered `Ok`"),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.let_go();
        self.sender = None;
        Poll::Ready(Ok(()))
    }
}

impl<T> fmt::Debug for SenderSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderSink")
            .field("sender", &self.sender)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}
