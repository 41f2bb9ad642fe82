//! A reply that is waited for.

use super::ReplyError;
use crate::oneshot;
use asupersync_core::{DutyWatch, Settlement, TaskCx};
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request that was sent. Dropped, it gives up on the reply, not on the request.
#[must_use = "the reply comes back to the server when nobody waits for it"]
pub struct Pending<R> {
    reply: oneshot::Receiver<R>,
    taken: oneshot::Receiver<DutyWatch>,
    /// Once the request was taken: how its reply stands.
    watch: Option<DutyWatch>,
}

impl<R> Pending<R> {
    pub(super) fn new(
        reply: oneshot::Receiver<R>,
        taken: oneshot::Receiver<DutyWatch>,
    ) -> Pending<R> {
        Pending { reply, taken, watch: None }
    }

    /// Waits for the reply.
    ///
    /// # Cancel safety
    /// Nothing is lost: the reply is answered, or still to be had by another call. A cancel request is
    /// answered within one poll.
    ///
    /// # Errors
    /// [`ReplyError`]; after the reply was received, `Lost`.
    #[track_caller]
    pub fn recv<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = Result<R, ReplyError>> {
        let site = Location::caller();
        self.recv_at(cx, site)
    }

    pub(super) async fn recv_at(
        &mut self,
        cx: &TaskCx,
        site: &'static Location<'static>,
    ) -> Result<R, ReplyError> {
        cx.wait_at("session::reply", site, |context| self.poll(context)).await?
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<R, ReplyError>> {
        if let Poll::Ready(Ok(reply)) = Pin::new(&mut self.reply).poll(context) {
            return Poll::Ready(Ok(reply));
        }
        if self.watch.is_none() {
            match Pin::new(&mut self.taken).poll(context) {
                Poll::Ready(Ok(watch)) => self.watch = Some(watch),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(ReplyError::NotTaken)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let settled = match &self.watch {
            Some(watch) => watch.poll_settled(context),
            None => Poll::Pending,
        };
        match settled {
            Poll::Ready(Settlement::Aborted) => Poll::Ready(Err(ReplyError::Declined)),
            Poll::Ready(Settlement::Leaked | Settlement::Expired) => {
                Poll::Ready(Err(ReplyError::Lost))
            }
            // The reply is sent in the step that commits it, which this poll may have looked past.
            Poll::Ready(Settlement::Committed) => match Pin::new(&mut self.reply).poll(context) {
                Poll::Ready(reply) => Poll::Ready(reply.map_err(|_| ReplyError::Lost)),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Settlement::Reserved) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<R> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("session::Pending")
            .field("taken", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}
