//! What goes wrong before a connection exists.

use asupersync_core::ErrorKind;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

/// A socket operation that failed, with its address and what can be done; found inside an `io::Error`
/// of the underlying error's kind.
#[derive(Debug)]
pub struct NetError {
    code: &'static str,
    what: &'static str,
    subject: Subject,
    advice: &'static str,
    source: io::Error,
}

/// What the operation was about.
#[derive(Debug)]
enum Subject {
    None,
    Address(SocketAddr),
    Name(Box<str>),
}

impl NetError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The address that was bound or connected to.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self.subject {
            Subject::Address(address) => Some(address),
            _ => None,
        }
    }

    /// The name that was resolved, or the Unix address.
    #[must_use]
    pub const fn name(&self) -> Option<&str> {
        match &self.subject {
            Subject::Name(name) => Some(name),
            _ => None,
        }
    }

    fn into_io(self) -> io::Error {
        io::Error::new(self.source.kind(), self)
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot {}", self.code, self.what)?;
        match &self.subject {
            Subject::None => {}
            Subject::Address(address) => write!(f, " {address}")?,
            Subject::Name(name) => write!(f, " `{}`", name.escape_debug())?,
        }
        write!(f, ": {}; {}", self.source, self.advice)
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// By way of an `io::Error`, which most of these come in.
impl From<NetError> for asupersync_core::Error {
    #[track_caller]
    fn from(error: NetError) -> Self {
        error.into_io().into()
    }
}

/// The host offers neither a reactor nor a virtual network.
pub(crate) fn no_network(
    what: &str,
    address: Option<SocketAddr>,
    site: &'static Location<'static>,
) -> io::Error {
    let address = address.map(|address| format!(" {address}")).unwrap_or_default();
    let what = format!("cannot {what}{address}: this host has no network");
    let error = asupersync_core::Error::at(ErrorKind::ServiceMissing, what, site);
    io::Error::new(io::ErrorKind::Unsupported, error)
}

pub(crate) fn bind_failed(address: SocketAddr, source: io::Error) -> io::Error {
    let advice = match source.kind() {
        io::ErrorKind::AddrInUse => "another socket has it; bind port 0 to be given a free one",
        io::ErrorKind::AddrNotAvailable => "the address is not one of this machine's",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; take a higher one",
        _ => "see the system's error",
    };
    let subject = Subject::Address(address);
    NetError { code: "ASY-0510", what: "listen on", subject, advice, source }.into_io()
}

pub(crate) fn connect_failed(address: SocketAddr, source: io::Error) -> io::Error {
    let advice = match source.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there",
        io::ErrorKind::TimedOut => "the peer did not answer: unreachable, or its backlog is full",
        io::ErrorKind::AddrNotAvailable => "no local port is free for it, or the address is void",
        _ => "see the system's error",
    };
    let subject = Subject::Address(address);
    NetError { code: "ASY-0511", what: "connect to", subject, advice, source }.into_io()
}

pub(crate) fn unix_bind_failed(name: String, source: io::Error) -> io::Error {
    let advice = match source.kind() {
        io::ErrorKind::AddrInUse => "a socket file is there; if its owner is gone, remove it first",
        io::ErrorKind::NotFound => "the directory does not exist",
        io::ErrorKind::InvalidInput => "a path has at most 107 bytes and no NUL",
        _ => "see the system's error",
    };
    let subject = Subject::Name(name.into());
    NetError { code: "ASY-0510", what: "listen on", subject, advice, source }.into_io()
}

pub(crate) fn unix_connect_failed(name: String, source: io::Error) -> io::Error {
    let advice = match source.kind() {
        io::ErrorKind::NotFound => "there is no such socket",
        io::ErrorKind::ConnectionRefused => "nobody listens there any more",
        io::ErrorKind::InvalidInput => "a path has at most 107 bytes and no NUL",
        _ => "see the system's error",
    };
    let subject = Subject::Name(name.into());
    NetError { code: "ASY-0511", what: "connect to", subject, advice, source }.into_io()
}

pub(crate) fn not_an_address(text: &str) -> io::Error {
    let source = io::Error::new(io::ErrorKind::InvalidInput, format!("`{text}` is not `IP:port`"));
    let advice = "write it as 127.0.0.1:80 or [::1]:80, or resolve the name first";
    NetError { code: "ASY-0512", what: "use the address", subject: Subject::None, advice, source }
        .into_io()
}

pub(crate) fn not_a_host(text: &str) -> io::Error {
    let shown: String = text.chars().take(80).collect();
    let text = format!("`{}` is not `host:port`", shown.escape_debug());
    let source = io::Error::new(io::ErrorKind::InvalidInput, text);
    let advice = "write it as example.org:443, 127.0.0.1:80 or [::1]:80";
    NetError { code: "ASY-0512", what: "use the address", subject: Subject::None, advice, source }
        .into_io()
}

pub(crate) fn resolve_failed(name: &str, source: io::Error) -> io::Error {
    let advice = match source.kind() {
        io::ErrorKind::TimedOut => "no name server answered; is the network up?",
        io::ErrorKind::NotFound => "the name does not exist, or has no address",
        _ => "is the name spelled right, and does this machine know a name server?",
    };
    let subject = Subject::Name(name.into());
    NetError { code: "ASY-0513", what: "resolve", subject, advice, source }.into_io()
}
