//! Moving records between the session and the stream beneath.

use super::{Direction, TlsStream, Waiters};
use crate::Version;
use crate::error::{Side, Stage, TlsError, TlsErrorKind};
use asupersync_io::{AsyncRead, AsyncWrite, IoSlice};
use rustls::Connection;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Until the handshake has ended and our last message of it is on its way.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(failed) = &self.failed {
                return Poll::Ready(Err(failed.clone().into()));
            }
            let sent = match self.poll_send(context, Direction::Write) {
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.why_closed(context, error)));
                }
                sent => sent.is_ready(),
            };
            if !self.session.is_handshaking() {
                self.stage = Stage::Data;
                self.receive_early()?;
                // Our last message is what the peer waits for. Only what a server of TLS 1.3 has left are
                // tickets, which the next write, flush or read takes along.
                let tickets = self.side() == Side::Server && self.version() == Some(Version::Tls13);
                if sent {
                    ready!(self.poll_flush_beneath(context, Direction::Write))?;
                } else if !tickets {
                    return Poll::Pending;
                }
                return Poll::Ready(Ok(()));
            }
            if sent {
                // What is buffered beneath must go out before the peer can answer it.
                let _ = self.poll_flush_beneath(context, Direction::Write)?;
            }
            // Also while ours are stuck: the peer may be unable to take them before we take its own.
            ready!(self.poll_receive(context))?;
        }
    }

    /// Takes plaintext from a writer once what was written before is on its way.
    pub(super) fn poll_encrypt(
        &mut self,
        context: &mut Context<'_>,
        empty: bool,
        write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if let Some(failed) = &self.failed {
            return Poll::Ready(Err(failed.clone().into()));
        }
        if self.closing {
            let what = "the connection was closed for writing";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, what)));
        }
        ready!(self.poll_send(context, Direction::Write))?;
        let taken = write(&mut self.session.writer())?;
        if taken == 0 && !empty {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        // The text is taken, so this answers whether or not its records are; an error of sending them
        // is the next call's answer.
        match self.poll_send(context, Direction::Write) {
            Poll::Ready(Err(error)) if taken == 0 => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    /// Until the stream beneath has taken every record.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<()>> {
        if !self.session.wants_write() {
            return Poll::Ready(Ok(()));
        }
        let TlsStream { io, session, waiters, .. } = self;
        let sent = send(io, session, waiters, context, direction);
        if sent.is_ready() && matches!(direction, Direction::Read) {
            // Who waited to write has nothing left to wait for, and nobody else to hear it from.
            waiters.wake_writer();
        }
        sent
    }

    /// One step of receiving: some records are taken in, or the end is. Pending when the stream
    /// beneath has none.
    pub(super) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let TlsStream { io, session, received, .. } = self;
        let taken = session.read_tls(&mut received.reader(Blocking { io, context }));
        match taken {
            Ok(0) if session.is_handshaking() => {
                let ended = self.failure(TlsErrorKind::HandshakeTruncated, "");
                return Poll::Ready(Err(self.fail(ended).into()));
            }
            Ok(0) => return Poll::Ready(Ok(())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
        if let Err(error) = process(session, self.closing) {
            // The alert, if the stream takes it at once: nobody waits for a broken connection.
            let _ = self.poll_send(context, Direction::Read);
            let _ = self.poll_flush_beneath(context, Direction::Read);
            let error = self.explain(error);
            return Poll::Ready(Err(self.fail(error).into()));
        }
        if self.session.is_handshaking() {
            if self.session.protocol_version().is_some() {
                self.stage = Stage::Handshake;
            }
        } else {
            self.send_unsent(context);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends, on a reader's behalf, what a write took and the stream did not, and answers to what came
    /// in. If the stream takes them later, this task is woken; if it fails, the next write says so.
    pub(super) fn send_unsent(&mut self, context: &mut Context<'_>) {
        if self.session.wants_write() {
            let _ = self.poll_send(context, Direction::Read);
            let _ = self.poll_flush_beneath(context, Direction::Read);
        }
    }

    pub(super) fn poll_flush_beneath(
        &mut self,
        context: &Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<()>> {
        let TlsStream { io, waiters, .. } = self;
        waiters.poll(direction, context, |context| Pin::new(io).poll_flush(context))
    }

    /// Makes it the answer of every further call.
    pub(super) fn fail(&mut self, error: TlsError) -> TlsError {
        self.failed = Some(error.clone());
        error
    }

    fn explain(&self, error: rustls::Error) -> TlsError {
        let name = self.server_name().map(str::to_owned);
        let unknown = |identities: &crate::Identities| identities.find(name.as_deref()).is_none();
        if matches!(error, rustls::Error::General(_))
            && self.session.is_handshaking()
            && self.identities.as_ref().is_some_and(unknown)
        {
            let asked = if name.is_some() { "" } else { "the client names none" };
            return TlsError::new(TlsErrorKind::UnknownServerName, Some(self.side()), name, asked);
        }
        TlsError::of_peer(error, self.side(), name, self.stage)
    }

    /// A stream that takes no more bytes may have been closed by a peer that said why.
    fn why_closed(&mut self, context: &mut Context<'_>, error: io::Error) -> io::Error {
        loop {
            match self.poll_receive(context) {
                Poll::Ready(Ok(())) if self.session.is_handshaking() => {}
                Poll::Ready(Err(why)) if TlsError::inside(&why).is_some_and(said) => return why,
                _ => return error,
            }
        }
    }
}

/// Takes in what was received.
fn process(session: &mut Connection, closing: bool) -> Result<(), rustls::Error> {
    if !closing {
        return session.process_new_packets().map(drop);
    }
    // Once a farewell is sent, the library's debug builds panic where they would send an alert: on a
    // record that is damaged. A peer may not cause that.
    let processed = catch_unwind(AssertUnwindSafe(|| session.process_new_packets()));
    processed.map_or(Err(rustls::Error::DecryptError), |processed| processed.map(drop))
}

/// Whether the peer said something, rather than went away.
fn said(error: &TlsError) -> bool {
    error.kind() != TlsErrorKind::HandshakeTruncated
}

fn send<S: AsyncWrite + Unpin>(
    io: &mut S,
    session: &mut Connection,
    waiters: &Waiters,
    context: &Context<'_>,
    direction: Direction,
) -> Poll<io::Result<()>> {
    waiters.poll(direction, context, |context| {
        while session.wants_write() {
            match session.write_tls(&mut Blocking { io, context }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    })
}

/// A polled stream as the blocking one that the library wants.
struct Blocking<'a, 'c, S> {
    io: &'a mut S,
    context: &'a mut Context<'c>,
}

impl<S: AsyncRead + Unpin> io::Read for Blocking<'_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_read(self.context, buf))
    }
}

impl<S: AsyncWrite + Unpin> io::Write for Blocking<'_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_write(self.context, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_write_vectored(self.context, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        blocking(Pin::new(&mut *self.io).poll_flush(self.context))
    }
}

fn blocking<T>(answer: Poll<io::Result<T>>) -> io::Result<T> {
    match answer {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
