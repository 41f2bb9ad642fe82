//! What this crate answers instead of growing without bound.

use std::fmt;
use std::io;

/// The peer sent more than the caller allowed; found inside an `io::Error` of kind `InvalidData`.
///
/// The bytes already taken are where the operation puts its bytes; the rest is still in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
}

impl LimitExceeded {
    /// The stable code of this error.
    pub const CODE: &'static str = "ASY-0501";

    /// For readers outside of this crate: what was read, and its limit in bytes.
    #[must_use]
    pub const fn new(what: &'static str, limit: usize) -> LimitExceeded {
        LimitExceeded { what, limit }
    }

    /// The limit, in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        Self::CODE
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} is longer than its limit of {} bytes; raise the limit of the call if the peer is \
             trusted, or close the stream",
            Self::CODE,
            self.what,
            self.limit
        )
    }
}

impl std::error::Error for LimitExceeded {}

impl From<LimitExceeded> for io::Error {
    fn from(exceeded: LimitExceeded) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, exceeded)
    }
}

impl From<LimitExceeded> for asupersync_core::Error {
    #[track_caller]
    fn from(exceeded: LimitExceeded) -> Self {
        io::Error::from(exceeded).into()
    }
}

pub(crate) fn unexpected_eof(wanted: usize, got: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the stream ended after {got} of {wanted} bytes"),
    )
}

pub(crate) fn write_zero() -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, "the stream takes no more bytes")
}
