//! What Unix sockets are bound to.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a Unix socket is bound to: a path, a name in Linux's abstract namespace, or nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixAddr(Kind);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Unnamed,
    Path(PathBuf),
    Abstract(Vec<u8>),
}

impl UnixAddr {
    /// A name in the abstract namespace: no file, gone with its socket. At most 107 bytes, of any kind.
    #[must_use]
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> UnixAddr {
        UnixAddr(Kind::Abstract(name.into()))
    }

    pub(crate) const UNNAMED: UnixAddr = UnixAddr(Kind::Unnamed);

    /// The path, if it is one.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Path(path) => Some(path),
            _ => None,
        }
    }

    /// The abstract name, if it is one.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Abstract(name) => Some(name),
            _ => None,
        }
    }

    /// A socket that is bound to nothing: the connecting end of a stream, say.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.0 == Kind::Unnamed
    }

    pub(crate) fn to_std(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Kind::Path(path) => SocketAddr::from_pathname(path),
            Kind::Abstract(name) => SocketAddr::from_abstract_name(name),
            Kind::Unnamed => {
                let what = "a socket without a name cannot be bound or connected to";
                Err(io::Error::new(io::ErrorKind::InvalidInput, what))
            }
        }
    }

    pub(crate) fn from_std(address: &SocketAddr) -> UnixAddr {
        let path = address.as_pathname().map(|path| Kind::Path(path.to_owned()));
        let name = || address.as_abstract_name().map(|name| Kind::Abstract(name.to_owned()));
        UnixAddr(path.or_else(name).unwrap_or(Kind::Unnamed))
    }

    /// As words, to name a stream of entropy by.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        let bytes = match &self.0 {
            Kind::Unnamed => &[],
            Kind::Path(path) => path.as_os_str().as_encoded_bytes(),
            Kind::Abstract(name) => name,
        };
        let word = |bytes: &[u8]| bytes.iter().fold(1, |word, byte| word << 8 | u64::from(*byte));
        bytes.chunks(7).map(word).collect::<Vec<u64>>().into_iter()
    }
}

impl fmt::Display for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Unnamed => f.write_str("(unnamed)"),
            Kind::Path(path) => write!(f, "{}", path.display()),
            Kind::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

impl fmt::Debug for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! from_path {
    ($($of:ty),*) => {
        $(impl From<$of> for UnixAddr {
            fn from(path: $of) -> UnixAddr {
                UnixAddr(Kind::Path(path.into()))
            }
        })*
    };
}

from_path!(PathBuf, &PathBuf, &Path, String, &String, &str);

impl From<&UnixAddr> for UnixAddr {
    fn from(address: &UnixAddr) -> UnixAddr {
        address.clone()
    }
}
