//! Questions with answers: typed requests whose reply is owed.
//!
//! A [`Client`] sends requests, one [`Server`] takes them, each with a [`Reply`] that must be resolved.
//! The order is a matter of types: a reply can be given only to a request that was taken, once, and
//! waited for only by who asked. A reply that is dropped is a leak, which the region's report names
//! with the line that took the request; the client is told at once, and never waits for nothing.
//!
//! ```
//! use asupersync_channel::session;
//! use asupersync_core::{Cx, Error};
//!
//! async fn double(cx: &Cx, mut server: session::Server<u32, u32>) -> Result<(), Error> {
//!     while let Ok((n, reply)) = server.next(cx).await {
//!         let _ = reply.send(2 * n); // the client may have left; that is not this side's concern
//!     }
//!     Ok(())
//! }
//!
//! async fn ask(cx: &Cx, client: &session::Client<u32, u32>) -> Result<u32, Error> {
//!     Ok(client.call(cx, 21).await?)
//! }
//! ```

mod error;
mod pending;
mod server;

pub use error::{CallError, ReplyError};
pub use pending::Pending;
pub use server::{Reply, Server};

use crate::error::{Delivery, SendError, Unsent};
use crate::{mpsc, oneshot};
use asupersync_core::{DutyWatch, TaskCx};
use std::fmt;

/// A session in which at most `capacity` requests wait to be taken.
#[must_use]
pub fn channel<Q, R>(capacity: usize) -> (Client<Q, R>, Server<Q, R>) {
    let (requests, queue) = mpsc::channel(capacity);
    (Client { requests }, Server::new(queue))
}

/// A request on its way.
struct Envelope<Q, R> {
    request: Q,
    reply: oneshot::Sender<R>,
    /// Tells the client that the request was taken, and how it sees the reply's fate.
    taken: oneshot::Sender<DutyWatch>,
}

/// Sends requests. Clones ask the same server; when the last is dropped, the server hears `Closed`.
pub struct Client<Q, R> {
    requests: mpsc::Sender<Envelope<Q, R>>,
}

impl<Q, R> Client<Q, R> {
    /// Sends a request and waits for its reply.
    ///
    /// # Cancel safety
    /// Cancelled before the request was sent, it hands the request back. Cancelled after, the request
    /// goes on and its reply, if any, comes back to the server; [`request`](Client::request) keeps the
    /// two apart. When the *future* is dropped before the request was sent, the request is dropped with
    /// it. A cancel request is answered within one poll.
    ///
    /// # Errors
    /// [`CallError`].
    #[track_caller]
    pub fn call<'a>(
        &'a self,
        cx: &'a TaskCx,
        request: Q,
    ) -> impl Future<Output = Result<R, CallError<Q>>> {
        let reserving = self.requests.reserve(cx);
        let waiting_at = std::panic::Location::caller();
        async move {
            let permit = match reserving.await {
                Ok(permit) => permit,
                Err(error) => return Err(CallError::Unsent(Unsent { value: request, error })),
            };
            let (envelope, mut pending) = envelope(request);
            if let Delivery::HandedBack(envelope) = permit.send(envelope) {
                let unsent = Unsent { value: envelope.request, error: SendError::Closed };
                return Err(CallError::Unsent(unsent));
            }
            pending.recv_at(cx, waiting_at).await.map_err(CallError::Unanswered)
        }
    }

    /// Waits for room for one request. What it yields sends the request without waiting, and so
    /// without anything to lose.
    ///
    /// # Cancel safety
    /// Nothing is lost: there is no request yet. A cancel request is answered within one poll.
    ///
    /// # Errors
    /// [`SendError`].
    #[track_caller]
    pub fn request<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<RequestPermit<'a, Q, R>, SendError>> {
        let reserving = self.requests.reserve(cx);
        async move { Ok(RequestPermit { permit: reserving.await? }) }
    }

    /// Whether the server is gone or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }
}

impl<Q, R> Clone for Client<Q, R> {
    fn clone(&self) -> Client<Q, R> {
        Client { requests: self.requests.clone() }
    }
}

impl<Q, R> fmt::Debug for Client<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("session::Client").field("requests", &self.requests).finish()
    }
}

/// Room for one request, from [`Client::request`]. An obligation of the abort class.
#[must_use = "a permit that is dropped sends nothing"]
pub struct RequestPermit<'a, Q, R> {
    permit: mpsc::Permit<'a, Envelope<Q, R>>,
}

impl<Q, R> RequestPermit<'_, Q, R> {
    /// Sends the request.
    ///
    /// # Errors
    /// The request, when the server is gone.
    pub fn send(self, request: Q) -> Result<Pending<R>, Q> {
        let (envelope, pending) = envelope(request);
        match self.permit.send(envelope) {
            Delivery::Queued => Ok(pending),
            Delivery::HandedBack(envelope) => Err(envelope.request),
        }
    }

    /// Gives the room back, and says so: the same as dropping the permit, but on record as intended.
    pub fn abort(self) {
        self.permit.abort();
    }
}

impl<Q, R> fmt::Debug for RequestPermit<'_, Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("session::RequestPermit").finish_non_exhaustive()
    }
}

fn envelope<Q, R>(request: Q) -> (Envelope<Q, R>, Pending<R>) {
    let (reply, replied) = oneshot::channel();
    let (taken, was_taken) = oneshot::channel();
    (Envelope { request, reply, taken }, Pending::new(replied, was_taken))
}
