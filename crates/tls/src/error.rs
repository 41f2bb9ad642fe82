//! What goes wrong, by what to do about it.

mod classify;
mod kind;

pub use kind::TlsErrorKind;

use crate::Alert;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Which end of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that connected.
    Client,
    /// The end that accepted.
    Server,
}

/// A failure of TLS: what it was, on which side, with whom, and what can be done.
///
/// Streams and handshakes answer `io::Error`s, with this inside: [`TlsError::inside`] finds it.
#[derive(Clone)]
pub struct TlsError(Arc<Inner>);

struct Inner {
    kind: TlsErrorKind,
    side: Option<Side>,
    /// The server's name, where it is known.
    name: Option<String>,
    detail: Cow<'static, str>,
    source: Option<rustls::Error>,
}

impl TlsError {
    /// One that no peer has a part in.
    pub(crate) fn local(kind: TlsErrorKind, detail: impl Into<Cow<'static, str>>) -> TlsError {
        TlsError::new(kind, None, None, detail)
    }

    pub(crate) fn new(
        kind: TlsErrorKind,
        side: Option<Side>,
        name: Option<String>,
        detail: impl Into<Cow<'static, str>>,
    ) -> TlsError {
        TlsError(Arc::new(Inner { kind, side, name, detail: detail.into(), source: None }))
    }

    /// What the library says, on a connection.
    pub(crate) fn of_peer(
        source: rustls::Error,
        side: Side,
        name: Option<String>,
        stage: Stage,
    ) -> TlsError {
        let kind = classify::kind(&source, side, stage);
        let detail = source.to_string().into();
        TlsError(Arc::new(Inner { kind, side: Some(side), name, detail, source: Some(source) }))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> TlsErrorKind {
        self.0.kind
    }

    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// Which end we were; none where there was no connection yet.
    #[must_use]
    pub fn side(&self) -> Option<Side> {
        self.0.side
    }

    /// The server's name: what the client connected to, or asked for.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The peer's alert, if it was the peer that gave up.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        match self.0.kind {
            TlsErrorKind::PeerAlert(alert) => Some(alert),
            _ => None,
        }
    }

    /// The TLS failure inside an `io::Error`, if there is one.
    #[must_use]
    pub fn inside(error: &io::Error) -> Option<&TlsError> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, side, name, detail, .. } = &*self.0;
        write!(f, "{}: TLS", kind.code())?;
        match (side, name) {
            (Some(Side::Client), Some(name)) => write!(f, " to `{name}`")?,
            (Some(Side::Server), Some(name)) => write!(f, " as `{name}`")?,
            _ => {}
        }
        write!(f, ": {}", kind.what())?;
        if let TlsErrorKind::PeerAlert(alert) = kind {
            write!(f, " `{alert}`")?;
        } else if !detail.is_empty() {
            write!(f, " ({detail})")?;
        }
        write!(f, "; {}", kind.advice())
    }
}

impl fmt::Debug for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsError({:?}, {self})", self.0.kind)
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        io::Error::new(error.kind().io_kind(), error)
    }
}

impl From<TlsError> for asupersync_core::Error {
    #[track_caller]
    fn from(error: TlsError) -> asupersync_core::Error {
        use asupersync_core::ErrorKind;
        let kind = match error.kind() {
            TlsErrorKind::HandshakeTimeout => ErrorKind::TimedOut,
            kind if kind.is_local() => ErrorKind::InvalidInput,
            _ => ErrorKind::Io,
        };
        asupersync_core::Error::new(kind, error.to_string()).with_source(error)
    }
}

/// How far a connection was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not one message of the peer's has been understood.
    FirstMessage,
    /// Before the handshake's end.
    Handshake,
    /// After it.
    Data,
}
