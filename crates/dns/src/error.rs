//! Why a name has no answer.

use crate::message::ResponseCode;
use crate::{InvalidName, RecordType};
use asupersync_core::{Error, ErrorKind};
use std::fmt;
use std::io;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsErrorKind {
    /// There is no such name.
    NoSuchName,
    /// The name exists, and has no record of the type.
    NoRecords,
    /// No server answered in time.
    NoAnswer,
    /// Every server that answered refused or failed; the last one by this code, which is
    /// [`ResponseCode::OK`] for one that refers to other servers.
    ServerFailed(ResponseCode),
    /// The names stand for one another without an end, or in too long a row.
    AliasChain,
    /// The text is no name.
    InvalidName(InvalidName),
    /// There is nobody to ask.
    NoServers,
}

/// A look-up that failed: what was asked, what went wrong, and what can be done.
///
/// Look-ups answer `io::Error`s, with this inside: [`DnsError::inside`] finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsError {
    kind: DnsErrorKind,
    name: String,
    of: Option<RecordType>,
}

impl DnsError {
    pub(crate) fn new(kind: DnsErrorKind, name: impl ToString, of: Option<RecordType>) -> DnsError {
        DnsError { kind, name: name.to_string(), of }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> DnsErrorKind {
        self.kind
    }

    /// The name that was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            DnsErrorKind::NoSuchName | DnsErrorKind::NoRecords => "ASY-0550",
            DnsErrorKind::NoAnswer | DnsErrorKind::ServerFailed(_) => "ASY-0551",
            DnsErrorKind::AliasChain => "ASY-0552",
            DnsErrorKind::InvalidName(_) | DnsErrorKind::NoServers => "ASY-0553",
        }
    }

    /// The failure inside an `io::Error`, if there is one.
    #[must_use]
    pub fn inside(error: &io::Error) -> Option<&DnsError> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot look up `{}`", self.code(), self.name)?;
        if let Some(of) = self.of {
            write!(f, " {of}")?;
        }
        f.write_str(": ")?;
        match self.kind {
            DnsErrorKind::NoSuchName => f.write_str(
                "there is no such name; check its spelling and the search domains",
            ),
            DnsErrorKind::NoRecords => f.write_str(
                "the name has no record of this type; ask for another one, or for another address family",
            ),
            DnsErrorKind::NoAnswer => f.write_str(
                "no server answered in time; check that the servers can be reached",
            ),
            DnsErrorKind::ServerFailed(ResponseCode::OK) => f.write_str(
                "the servers do not know the zone and ask nobody: each refers to others; ask servers that \
                 look up for their clients",
            ),
            DnsErrorKind::ServerFailed(code) => write!(
                f,
                "the servers refused or failed (code {}); ask others, or try again later",
                code.0
            ),
            DnsErrorKind::AliasChain => f.write_str(
                "its names stand for one another in too long a row; the zone is set up wrongly",
            ),
            DnsErrorKind::InvalidName(invalid) => write!(f, "{invalid}"),
            DnsErrorKind::NoServers => f.write_str(
                "there is nobody to ask; give the resolver's configuration a server",
            ),
        }
    }
}

impl std::error::Error for DnsError {}

impl From<DnsError> for io::Error {
    fn from(error: DnsError) -> io::Error {
        let kind = match error.kind {
            DnsErrorKind::NoSuchName | DnsErrorKind::NoRecords => io::ErrorKind::NotFound,
            DnsErrorKind::NoAnswer => io::ErrorKind::TimedOut,
            DnsErrorKind::ServerFailed(_) => io::ErrorKind::Other,
            DnsErrorKind::AliasChain => io::ErrorKind::InvalidData,
            DnsErrorKind::InvalidName(_) | DnsErrorKind::NoServers => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

impl From<DnsError> for Error {
    #[track_caller]
    fn from(error: DnsError) -> Error {
        let kind = match error.kind {
            DnsErrorKind::NoAnswer => ErrorKind::TimedOut,
            DnsErrorKind::InvalidName(_) | DnsErrorKind::NoServers => ErrorKind::InvalidInput,
            _ => ErrorKind::Io,
        };
        Error::new(kind, error.to_string()).with_source(error)
    }
}

impl From<InvalidName> for Error {
    #[track_caller]
    fn from(error: InvalidName) -> Error {
        Error::new(ErrorKind::InvalidInput, error.to_string()).with_source(error)
    }
}
