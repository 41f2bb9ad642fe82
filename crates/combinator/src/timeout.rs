//! One future and a time limit.

use asupersync_core::cap::HasTime;
use asupersync_core::{
    Branch, BranchEnd, BranchOptions, CancelKind, Cancelled, Cx, Error, ErrorKind, Time,
};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Why [`timeout`] has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutError {
    /// The limit passed first; the future has ended.
    Elapsed {
        /// The moment at which it was cancelled.
        deadline: Time,
    },
    /// The enclosing scope was cancelled first, and the future was dropped for it.
    Cancelled(Cancelled),
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeoutError::Elapsed { deadline } => {
                write!(f, "the time limit passed (at {deadline:?} of the host's clock)")
            }
            TimeoutError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl std::error::Error for TimeoutError {}

impl From<Cancelled> for TimeoutError {
    fn from(cancelled: Cancelled) -> TimeoutError {
        TimeoutError::Cancelled(cancelled)
    }
}

impl From<TimeoutError> for Error {
    fn from(error: TimeoutError) -> Error {
        match error {
            TimeoutError::Elapsed { .. } => Error::new(ErrorKind::Timeout, error.to_string()),
            TimeoutError::Cancelled(cancelled) => Error::from(cancelled),
        }
    }
}
