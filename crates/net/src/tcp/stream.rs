//! A connection.

use super::TapedStream;
use super::real::BOTH;
use crate::backend::{Backend, stream_traits};
use crate::error::no_network;
use crate::split::{OwnedReadHalf, OwnedWriteHalf, split};
use crate::virtual_network::VirtualStream;
use asupersync_core::Cx;
use asupersync_core::cap::HasIo;
use asupersync_io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};
use asupersync_reactor::{Io, Reactor};
use socket2::SockRef;
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A TCP connection. Reads and writes by `futures-io`'s traits, on itself or on a shared reference: two
/// shared references are its halves within a task, [`into_split`](Self::into_split) gives those for two.
///
/// Dropping it closes it, without waiting: bytes that were written are still delivered, and a peer
/// whose bytes were not read gets a reset. `close` closes only the writing direction.
///
/// # Cancel safety
/// A cancelled read or write has moved no byte.
pub struct TcpStream {
    backend: Backend<mio::net::TcpStream, VirtualStream, TapedStream>,
}

impl TcpStream {
    pub(crate) fn from_real(stream: Io<mio::net::TcpStream>) -> TcpStream {
        TcpStream { backend: Backend::Real(stream) }
    }

    pub(crate) fn from_virtual(stream: VirtualStream) -> TcpStream {
        TcpStream { backend: Backend::Virtual(stream) }
    }

    pub(crate) fn from_taped(stream: TapedStream) -> TcpStream {
        TcpStream { backend: Backend::Taped(stream) }
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    /// ASY-0004 inside when the host does not drive kernel sockets, or the system's error.
    #[track_caller]
    pub fn from_std<C: HasIo>(cx: &Cx<C>, stream: std::net::TcpStream) -> io::Result<TcpStream> {
        let Some(reactor) = cx.service::<Reactor>() else {
            return Err(no_network(
                "take over the connection to",
                stream.peer_addr().ok(),
                Location::caller(),
            ));
        };
        stream.set_nonblocking(true)?;
        Io::new(&reactor, mio::net::TcpStream::from_std(stream), BOTH).map(TcpStream::from_real)
    }

    /// Two halves for two tasks. The connection closes when both are dropped; dropping the write
    /// half closes its direction.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split(self)
    }

    /// Our end's address.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.backend {
            Backend::Real(stream) => stream.get_ref().local_addr(),
            Backend::Virtual(stream) => Ok(stream.local_addr()),
            Backend::Taped(stream) => {
                stream.call("TcpStream::local_addr", &[], TcpStream::local_addr)
            }
        }
    }

    /// The peer's address.
    ///
    /// # Errors
    /// The system's; `NotConnected` when the peer has reset the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.backend {
            Backend::Real(stream) => stream.get_ref().peer_addr(),
            Backend::Virtual(stream) => Ok(stream.peer_addr()),
            Backend::Taped(stream) => {
                stream.call("TcpStream::peer_addr", &[], TcpStream::peer_addr)
            }
        }
    }

    /// Sends small segments at once instead of collecting them (`TCP_NODELAY`).
    ///
    /// # Errors
    /// The system's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match &self.backend {
            Backend::Real(stream) => stream.get_ref().set_nodelay(nodelay),
            Backend::Virtual(stream) => {
                stream.set(|settings| settings.nodelay = nodelay);
                Ok(())
            }
            Backend::Taped(stream) => {
                let input = [u8::from(nodelay)];
                stream.call("TcpStream::set_nodelay", &input, |stream| stream.set_nodelay(nodelay))
            }
        }
    }

    /// Whether small segments are sent at once.
    ///
    /// # Errors
    /// The system's.
    pub fn nodelay(&self) -> io::Result<bool> {
        match &self.backend {
            Backend::Real(stream) => stream.get_ref().nodelay(),
            Backend::Virtual(stream) => Ok(stream.settings().nodelay),
            Backend::Taped(stream) => stream.call("TcpStream::nodelay", &[], TcpStream::nodelay),
        }
    }

    /// Probes a silent peer after `idle`, and from then on in the system's interval; none turns
    /// probing off (`SO_KEEPALIVE`, `TCP_KEEPIDLE`). The system counts whole seconds: parts of one are
    /// rounded up.
    ///
    /// # Errors
    /// The system's: `InvalidInput` for no time at all, or more than 32,767 seconds on Linux. Nothing has
    /// changed then.
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        match &self.backend {
            Backend::Real(stream) => {
                let socket = SockRef::from(stream.get_ref());
                if let Some(idle) = idle {
                    rustix::net::sockopt::set_tcp_keepidle(stream.get_ref(), idle)?;
                }
                socket.set_keepalive(idle.is_some())
            }
            Backend::Virtual(stream) => {
                stream.set(|settings| settings.keepalive = idle);
                Ok(())
            }
            Backend::Taped(stream) => {
                let input = format!("{idle:?}");
                stream.call("TcpStream::set_keepalive", input.as_bytes(), |stream| {
                    stream.set_keepalive(idle)
                })
            }
        }
    }

    /// After how much silence the peer is probed; none if it is not.
    ///
    /// # Errors
    /// The system's.
    pub fn keepalive(&self) -> io::Result<Option<Duration>> {
        match &self.backend {
            Backend::Real(stream) => {
                let socket = SockRef::from(stream.get_ref());
                if socket.keepalive()? { socket.tcp_keepalive_time().map(Some) } else { Ok(None) }
            }
            Backend::Virtual(stream) => Ok(stream.settings().keepalive),
            Backend::Taped(stream) => {
                stream.call("TcpStream::keepalive", &[], TcpStream::keepalive)
            }
        }
    }

    /// What dropping the stream does with bytes not yet delivered (`SO_LINGER`). `Some(ZERO)`: they
    /// are thrown away and the peer gets a reset. `None`, the default: they are delivered in the
    /// background. Anything else would block the thread that drops the stream, and is refused.
    ///
    /// # Errors
    /// `InvalidInput` for a linger time that is not zero, or the system's.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        if linger.is_some_and(|linger| !linger.is_zero()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a stream may linger for no time (reset) or in the background (none); \
                 to wait for the peer, close and read to the end",
            ));
        }
        match &self.backend {
            Backend::Real(stream) => SockRef::from(stream.get_ref()).set_linger(linger),
            Backend::Virtual(stream) => {
                stream.set(|settings| settings.linger = linger);
                Ok(())
            }
            Backend::Taped(stream) => {
                let input = [u8::from(linger.is_some())];
                stream.call("TcpStream::set_linger", &input, |stream| stream.set_linger(linger))
            }
        }
    }

    /// Closes the connection by a reset, throwing away what is not yet delivered.
    ///
    /// # Errors
    /// The system's; the stream is closed all the same.
    pub fn abort(self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// Shuts one direction down, or both. Shutting down writing is what `close` does.
    ///
    /// # Errors
    /// The system's. A connection that the peer has reset is shut down already, which is no error.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.backend.shutdown(how)
    }
}

stream_traits!(TcpStream);

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("virtual", &self.backend.is_virtual())
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}
