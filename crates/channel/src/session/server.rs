//! The answering end.

use super::Envelope;
use crate::error::RecvError;
use crate::{mpsc, oneshot};
use asupersync_core::{Duty, ObligationKind, Settlement, TaskCx};
use std::fmt;

static REPLY: ObligationKind = ObligationKind::new("session::Reply");

/// Takes requests, in the order in which they were sent. Dropped, it tells the clients whose requests
/// it has not taken.
pub struct Server<Q, R> {
    queue: mpsc::Receiver<Envelope<Q, R>>,
}

impl<Q, R> Server<Q, R> {
    pub(super) fn new(queue: mpsc::Receiver<Envelope<Q, R>>) -> Server<Q, R> {
        Server { queue }
    }

    /// Waits for a request. Its reply is owed from then on, by the region this task works in.
    ///
    /// # Cancel safety
    /// Nothing is lost: a request is answered here or still in the queue. A cancel request is answered
    /// within one poll.
    ///
    /// # Errors
    /// [`RecvError`]; `Closed` when no client is left and no request either.
    #[track_caller]
    pub fn next<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<(Q, Reply<R>), RecvError>> {
        let receiving = self.queue.recv(cx);
        async move {
            let Envelope { request, reply, taken } = receiving.await?;
            let duty = cx.duty(&REPLY);
            // A client that has left does not care.
            let _ = taken.send(duty.watch());
            Ok((request, Reply { duty, reply }))
        }
    }

    /// Takes no new requests: clients hear `Closed`. Those that were sent can still be taken.
    pub fn close(&mut self) {
        self.queue.close();
    }

    /// How many requests wait to be taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no request waits to be taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl<Q, R> fmt::Debug for Server<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("session::Server").field("queue", &self.queue).finish()
    }
}

/// A reply that is owed: a must-resolve obligation. Dropped, or still owed when its region closes, it
/// is reported as a leak, and the client hears [`Lost`](super::ReplyError::Lost).
#[must_use = "a reply that is dropped is a leak"]
pub struct Reply<R> {
    duty: Duty,
    reply: oneshot::Sender<R>,
}

impl<R> Reply<R> {
    /// Replies.
    ///
    /// # Errors
    /// The reply, when nobody waits for it any more: the client has left, or was told that the reply
    /// is lost because the region that owed it has closed. The duty is done in either case.
    pub fn send(self, reply: R) -> Result<(), R> {
        if self.duty.commit().is_err() {
            return Err(reply);
        }
        self.reply.send(reply)
    }

    /// Declines to reply; the client hears [`Declined`](super::ReplyError::Declined).
    pub fn decline(self) {
        // Settled before: the client has heard of that.
        let _ = self.duty.abort();
    }

    /// Whether nobody waits for the reply any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.duty.settlement() != Settlement::Reserved || self.reply.is_closed()
    }

    /// Moves the debt into the region of `cx`'s task, so that the reply may be given after the region
    /// that took the request has closed.
    pub fn transfer(self, cx: &TaskCx) -> Reply<R> {
        Reply { duty: self.duty.transfer(cx), reply: self.reply }
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("session::Reply").field("duty", &self.duty).finish_non_exhaustive()
    }
}
