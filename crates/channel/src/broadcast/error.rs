//! What a subscriber can hear instead of a message.

use asupersync_core::{Cancelled, Error, ErrorKind};
use std::fmt;

/// Why no message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// This many messages were pushed out before this receiver had them. The next call goes on with
    /// the oldest that is there.
    Lagged(u64),
    /// Every message was received, and nobody is left who could send.
    Closed,
    /// The waiting scope was cancelled; every message is still there.
    Cancelled(Cancelled),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Lagged(missed) => lagged(*missed, f),
            RecvError::Closed => {
                f.write_str("every message was received, and nobody is left who could send")
            }
            RecvError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

fn lagged(missed: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "{missed} messages were pushed out before they were received: receive faster, make the \
         channel larger, or go on without them"
    )
}

impl std::error::Error for RecvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecvError::Cancelled(cancelled) => Some(cancelled),
            RecvError::Lagged(_) | RecvError::Closed => None,
        }
    }
}

impl From<Cancelled> for RecvError {
    fn from(cancelled: Cancelled) -> RecvError {
        RecvError::Cancelled(cancelled)
    }
}

impl From<RecvError> for Error {
    #[track_caller]
    fn from(error: RecvError) -> Error {
        match error {
            RecvError::Lagged(_) => Error::new(ErrorKind::Other, error.to_string()),
            RecvError::Closed => Error::new(ErrorKind::ChannelClosed, error.to_string()),
            RecvError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

/// Why no message was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Every message was received.
    Empty,
    /// This many messages were pushed out before this receiver had them.
    Lagged(u64),
    /// Every message was received, and nobody is left who could send.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("every message was received"),
            TryRecvError::Lagged(missed) => lagged(*missed, f),
            TryRecvError::Closed => RecvError::Closed.fmt(f),
        }
    }
}

impl std::error::Error for TryRecvError {}

impl From<TryRecvError> for Error {
    #[track_caller]
    fn from(error: TryRecvError) -> Error {
        let kind = match error {
            TryRecvError::Empty | TryRecvError::Lagged(_) => ErrorKind::Other,
            TryRecvError::Closed => ErrorKind::ChannelClosed,
        };
        Error::new(kind, error.to_string())
    }
}
