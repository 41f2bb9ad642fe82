//! Why a pool gave nothing.

use crate::slots::NotTaken;
use asupersync_core::{Cancelled, Error, ErrorKind};
use std::fmt;

/// Why a pool gave no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// No object could be had within [`PoolOptions::acquire_timeout`](super::PoolOptions).
    TimedOut,
    /// The pool was closed.
    Closed,
    /// The waiting scope was cancelled.
    Cancelled(Cancelled),
    /// The maker could not make one.
    Create(E),
}

impl<E: fmt::Display> fmt::Display for PoolError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::TimedOut => f.write_str(
                "the pool gave no object in time: make it larger, or hold its objects for less long",
            ),
            PoolError::Closed => f.write_str("the pool is closed and gives no more objects"),
            PoolError::Cancelled(cancelled) => cancelled.fmt(f),
            PoolError::Create(error) => write!(f, "the pool could not make an object: {error}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for PoolError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PoolError::TimedOut | PoolError::Closed => None,
            PoolError::Cancelled(cancelled) => Some(cancelled),
            PoolError::Create(error) => Some(error),
        }
    }
}

impl<E> From<Cancelled> for PoolError<E> {
    fn from(cancelled: Cancelled) -> PoolError<E> {
        PoolError::Cancelled(cancelled)
    }
}

impl<E> From<NotTaken> for PoolError<E> {
    fn from(error: NotTaken) -> PoolError<E> {
        match error {
            NotTaken::Closed => PoolError::Closed,
            NotTaken::Cancelled(cancelled) => PoolError::Cancelled(cancelled),
        }
    }
}

impl<E: Into<Error>> From<PoolError<E>> for Error {
    #[track_caller]
    fn from(error: PoolError<E>) -> Error {
        let text = |error: PoolError<std::convert::Infallible>| error.to_string();
        match error {
            PoolError::TimedOut => Error::new(ErrorKind::TimedOut, text(PoolError::TimedOut)),
            PoolError::Closed => Error::msg(text(PoolError::Closed)),
            PoolError::Cancelled(cancelled) => cancelled.into(),
            PoolError::Create(error) => error.into(),
        }
    }
}
