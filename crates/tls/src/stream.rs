//! A connection.

mod progress;
mod received;
mod waiters;

use crate::error::{Side, Stage, TlsError, TlsErrorKind};
use crate::{Identities, Version};
use asupersync_combinator::{TimeoutError, timeout};
use asupersync_core::Cx;
use asupersync_core::cap::HasTime;
use asupersync_io::{AsyncRead, AsyncWrite, IoSlice};
use received::Received;
use rustls::{Connection, HandshakeKind};
use std::fmt;
use std::io::{self, Cursor, Read as _, Write as _};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use waiters::{Direction, Waiters};

/// A TLS connection over the stream `S`. Reads and writes by `futures-io`'s traits.
///
/// Zero bytes read mean that the peer said farewell. A stream that ends without is an error:
/// [`TlsErrorKind::DataTruncated`]. After a failure every further call answers the same failure.
///
/// What is written is encrypted at once and sent as far as the stream beneath takes it; `flush` waits
/// until it has taken all. `close` flushes, says farewell and closes the writing direction beneath;
/// reading goes on. Dropping the connection sends nothing, and the peer sees a truncation.
///
/// [`asupersync_io::split`] makes halves for two tasks.
///
/// # Cancel safety
/// A cancelled read has taken nothing. A cancelled write has taken what it says, or nothing.
pub struct TlsStream<S> {
    io: S,
    session: Box<Connection>,
    received: Received,
    waiters: Waiters,
    /// The server's name as the client gave it.
    name: Option<String>,
    /// A server's table, to tell an unknown name from an unfit key.
    identities: Option<Identities>,
    /// How many of the stream's first bytes were early data.
    early: usize,
    /// A client's early data that nobody has read yet.
    early_unread: Cursor<Vec<u8>>,
    stage: Stage,
    closing: bool,
    failed: Option<TlsError>,
}

impl<S> TlsStream<S> {
    pub(crate) fn new(
        io: S,
        session: Connection,
        name: Option<String>,
        identities: Option<Identities>,
    ) -> TlsStream<S> {
        TlsStream {
            io,
            session: Box::new(session),
            received: Received::default(),
            waiters: Waiters::new(),
            name,
            identities,
            early: 0,
            early_unread: Cursor::default(),
            stage: Stage::FirstMessage,
            closing: false,
            failed: None,
        }
    }

    /// Which end we are.
    #[must_use]
    pub fn side(&self) -> Side {
        match *self.session {
            Connection::Client(_) => Side::Client,
            Connection::Server(_) => Side::Server,
        }
    }

    /// The server's name: what the client connected to, or asked for (SNI).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        match &*self.session {
            Connection::Client(_) => self.name.as_deref(),
            Connection::Server(session) => session.server_name(),
        }
    }

    /// The protocol's version.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.session.protocol_version().and_then(Version::negotiated)
    }

    /// The cipher suite, by its name in IANA's registry.
    #[must_use]
    pub fn cipher_suite(&self) -> Option<&'static str> {
        self.session.negotiated_cipher_suite()?.suite().as_str()
    }

    /// The application protocol that was agreed on (ALPN).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// The peer's certificates in DER, its own first; none if it presented none.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.session.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref)
    }

    /// Whether this connection took up an earlier one's session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// How many of the first bytes that the client wrote were early data: sent before the handshake
    /// had ended, and taken so. They may be a replay of what an earlier connection carried.
    #[must_use]
    pub fn early_bytes(&self) -> usize {
        self.early
    }

    /// Notes that the client sent so many bytes early, and answers how many of them the server took.
    pub(crate) fn sent_early(&mut self, sent: usize) -> usize {
        let taken = match &*self.session {
            Connection::Client(client) => client.is_early_data_accepted(),
            Connection::Server(_) => false,
        };
        self.early = if taken { sent } else { 0 };
        self.early
    }

    /// Takes out what a client sent early, once the handshake has ended.
    fn receive_early(&mut self) -> io::Result<()> {
        if let Connection::Server(server) = &mut *self.session
            && let Some(mut early) = server.early_data()
        {
            let mut bytes = Vec::new();
            self.early = early.read_to_end(&mut bytes)?;
            self.early_unread = Cursor::new(bytes);
        }
        Ok(())
    }

    /// Fills `secret` with bytes that both ends can derive and nobody else (RFC 8446 section 7.5).
    ///
    /// # Errors
    /// [`TlsErrorKind::Internal`] when so many cannot be had.
    pub fn export_secret(
        &self,
        secret: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), TlsError> {
        let exported = self.session.export_keying_material(secret, label, context);
        exported.map(drop).map_err(|error| self.failure(TlsErrorKind::Internal, error.to_string()))
    }

    /// The stream beneath.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The stream beneath, for its options. Reading from it or writing to it breaks the connection.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }

    /// The stream beneath, without a farewell. What was received of the connection is lost.
    pub fn into_inner(self) -> S {
        self.io
    }

    fn failure(&self, kind: TlsErrorKind, detail: impl Into<String>) -> TlsError {
        let name = self.server_name().map(str::to_owned);
        TlsError::new(kind, Some(self.side()), name, detail.into())
    }
}

/// Shakes hands within the limit and the scope.
pub(crate) async fn handshake<C: HasTime, S: AsyncRead + AsyncWrite + Unpin>(
    cx: &Cx<C>,
    mut stream: TlsStream<S>,
    limit: Duration,
    label: &'static str,
    site: &'static Location<'static>,
) -> io::Result<TlsStream<S>> {
    let shaking = cx.wait_at(label, site, |context| stream.poll_handshake(context));
    match timeout(cx, limit, shaking).await {
        Ok(answer) => answer??,
        Err(TimeoutError::Cancelled(cancelled)) => return Err(cancelled.into()),
        Err(_) => {
            let detail = format!("the limit is {limit:?}");
            return Err(stream.failure(TlsErrorKind::HandshakeTimeout, detail).into());
        }
    }
    Ok(stream)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match this.early_unread.read(buf)? {
            0 => this.early_unread = Cursor::default(),
            n => return Poll::Ready(Ok(n)),
        }
        loop {
            match this.session.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let cut = this.failure(TlsErrorKind::DataTruncated, "");
                    return Poll::Ready(Err(this.fail(cut).into()));
                }
                answer => return Poll::Ready(answer),
            }
            if let Some(failed) = &this.failed {
                return Poll::Ready(Err(failed.clone().into()));
            }
            this.send_unsent(context);
            match ready!(this.poll_receive(context)) {
                // What came whole before the failure is handed out first.
                Err(error) if this.failed.is_none() => return Poll::Ready(Err(error)),
                _ => {}
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypt(context, buf.is_empty(), |writer| writer.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let empty = bufs.iter().all(|buf| buf.is_empty());
        self.get_mut().poll_encrypt(context, empty, |writer| writer.write_vectored(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(failed) = &this.failed {
            return Poll::Ready(Err(failed.clone().into()));
        }
        this.session.writer().flush()?;
        ready!(this.poll_send(context, Direction::Write))?;
        this.poll_flush_beneath(context, Direction::Write)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closing {
            this.closing = true;
            if this.failed.is_none() {
                this.session.send_close_notify();
            }
        }
        // After a failure the alert goes out, if it can.
        if let Err(error) = ready!(this.poll_send(context, Direction::Write))
            && this.failed.is_none()
        {
            return Poll::Ready(Err(error));
        }
        this.waiters
            .poll(Direction::Write, context, |context| Pin::new(&mut this.io).poll_close(context))
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("side", &self.side())
            .field("name", &self.server_name())
            .field("version", &self.version())
            .field("failed", &self.failed.as_ref().map(TlsError::kind))
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}
