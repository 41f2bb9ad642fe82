//! What a client can hear instead of a reply.

use crate::error::Unsent;
use asupersync_core::{Cancelled, Error, ErrorKind};
use std::fmt;

/// Why a call has no reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CallError<Q> {
    /// The request was not sent; here it is, with the reason.
    Unsent(Unsent<Q>),
    /// The request was sent, and there is no reply.
    Unanswered(ReplyError),
}

impl<Q> fmt::Debug for CallError<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Unsent(unsent) => f.debug_tuple("Unsent").field(unsent).finish(),
            CallError::Unanswered(error) => f.debug_tuple("Unanswered").field(error).finish(),
        }
    }
}

impl<Q> fmt::Display for CallError<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Unsent(unsent) => unsent.fmt(f),
            CallError::Unanswered(error) => error.fmt(f),
        }
    }
}

impl<Q> std::error::Error for CallError<Q> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Unsent(unsent) => std::error::Error::source(unsent),
            CallError::Unanswered(error) => std::error::Error::source(error),
        }
    }
}

impl<Q> From<CallError<Q>> for Error {
    #[track_caller]
    fn from(error: CallError<Q>) -> Error {
        match error {
            CallError::Unsent(unsent) => unsent.into(),
            CallError::Unanswered(error) => error.into(),
        }
    }
}

/// Why a request that was sent has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The server went away before it took the request: nothing was done.
    NotTaken,
    /// The server took the request and declined it.
    Declined,
    /// The server took the request and lost the reply: it was dropped, or its region closed over it.
    /// What was done is unknown.
    Lost,
    /// The waiting scope was cancelled.
    Cancelled(Cancelled),
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplyError::NotTaken => "the server went away before it took the request",
            ReplyError::Declined => "the server declined the request",
            ReplyError::Lost => {
                "the server took the request and dropped its reply: what was done is unknown"
            }
            ReplyError::Cancelled(cancelled) => return cancelled.fmt(f),
        })
    }
}

impl std::error::Error for ReplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReplyError::Cancelled(cancelled) => Some(cancelled),
            ReplyError::NotTaken | ReplyError::Declined | ReplyError::Lost => None,
        }
    }
}

impl From<Cancelled> for ReplyError {
    fn from(cancelled: Cancelled) -> ReplyError {
        ReplyError::Cancelled(cancelled)
    }
}

impl From<ReplyError> for Error {
    #[track_caller]
    fn from(error: ReplyError) -> Error {
        match error {
            ReplyError::NotTaken => Error::new(ErrorKind::ChannelClosed, error.to_string()),
            ReplyError::Declined => Error::new(ErrorKind::Other, error.to_string()),
            ReplyError::Lost => Error::new(ErrorKind::ObligationLeak, error.to_string()),
            ReplyError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}
