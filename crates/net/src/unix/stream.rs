//! A connection between two processes of the machine.

use super::UnixAddr;
use super::fds::{self, ReceivedFds};
use crate::backend::{Backend, stream_traits};
use crate::error::{no_network, unix_connect_failed};
use crate::split::{OwnedReadHalf, OwnedWriteHalf, split};
use crate::tcp::real::BOTH;
use crate::virtual_network::{VirtualNetwork, VirtualUnixStream};
use asupersync_core::cap::{HasIo, HasTime};
use asupersync_core::{Cx, TaskCx};
use asupersync_io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};
use asupersync_reactor::{Direction, Io, Reactor};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A Unix stream connection. Reads and writes by `futures-io`'s traits, on itself or on a shared
/// reference, as [`TcpStream`](crate::TcpStream) does.
///
/// # Cancel safety
/// A cancelled read or write has moved no byte, and no descriptor.
pub struct UnixStream {
    backend: Backend<mio::net::UnixStream, VirtualUnixStream>,
}

/// Who is at the other end: the process that connected or listened, when it did so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixCredentials {
    /// Its process.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A full queue is tried again after 1 ms, 2 ms, .. up to this long: the system offers no event for it.
const LONGEST_BACK_OFF: Duration = Duration::from_millis(50);

impl UnixStream {
    pub(super) fn from_real(stream: Io<mio::net::UnixStream>) -> UnixStream {
        UnixStream { backend: Backend::Real(stream) }
    }

    pub(super) fn from_virtual(stream: VirtualUnixStream) -> UnixStream {
        UnixStream { backend: Backend::Virtual(stream) }
    }

    /// Connects to the listener at `address`. While its queue is full, waits.
    ///
    /// # Errors
    /// [`NetError`](crate::NetError) inside the `io::Error`: not there, refused (ASY-0511). ASY-0004
    /// inside it when the host has no network. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call closes what it had begun. A cancel request is answered within one poll.
    #[track_caller]
    pub fn connect<'a, C: HasIo + HasTime>(
        cx: &'a Cx<C>,
        address: impl Into<UnixAddr>,
    ) -> impl Future<Output = io::Result<UnixStream>> + 'a {
        let (address, site) = (address.into(), Location::caller());
        async move {
            cx.checkpoint()?;
            let mut back_off = Duration::from_millis(1);
            loop {
                match connect(cx, &address, site) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        cx.sleep(back_off).await?;
                        back_off = (back_off * 2).min(LONGEST_BACK_OFF);
                    }
                    answer => return answer,
                }
            }
        }
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    /// ASY-0004 inside when the host has no network, or the system's error.
    #[track_caller]
    pub fn pair<C: HasIo>(cx: &Cx<C>) -> io::Result<(UnixStream, UnixStream)> {
        if let Some(network) = cx.service::<VirtualNetwork>() {
            let [near, far] = network.unix_pair(&UnixAddr::UNNAMED)?;
            return Ok((UnixStream::from_virtual(near), UnixStream::from_virtual(far)));
        }
        let Some(reactor) = cx.service::<Reactor>() else {
            return Err(no_network("make a pair of Unix sockets", None, Location::caller()));
        };
        let (near, far) = mio::net::UnixStream::pair()?;
        let (near, far) = (Io::new(&reactor, near, BOTH)?, Io::new(&reactor, far, BOTH)?);
        Ok((UnixStream::from_real(near), UnixStream::from_real(far)))
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    /// ASY-0004 inside when the host does not drive kernel sockets, or the system's error.
    #[track_caller]
    pub fn from_std<C: HasIo>(
        cx: &Cx<C>,
        stream: std::os::unix::net::UnixStream,
    ) -> io::Result<UnixStream> {
        let Some(reactor) = cx.service::<Reactor>() else {
            return Err(no_network("take over a Unix connection", None, Location::caller()));
        };
        stream.set_nonblocking(true)?;
        Io::new(&reactor, mio::net::UnixStream::from_std(stream), BOTH).map(UnixStream::from_real)
    }

    /// Two halves for two tasks. The connection closes when both are dropped; dropping the write
    /// half closes its direction.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf<UnixStream>, OwnedWriteHalf<UnixStream>) {
        split(self)
    }

    /// Sends bytes, and descriptors with them: the peer gets duplicates. Answers how many bytes were
    /// taken; unless it is an error, the descriptors went with the first of them. Send at least one byte:
    /// without one, descriptors do not travel.
    ///
    /// # Errors
    /// `InvalidInput` for more than 64 descriptors or no byte, `Unsupported` in the lab, the system's.
    /// `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has sent no byte and no descriptor. A cancel request is answered within one
    /// poll.
    #[track_caller]
    pub fn send_with_fds<'a>(
        &'a self,
        cx: &'a TaskCx,
        bytes: &'a [u8],
        fds: &'a [BorrowedFd<'a>],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let poll = move |context: &mut Context<'_>| match &self.backend {
            _ if bytes.is_empty() => {
                let what = "descriptors travel with at least one byte";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, what)))
            }
            Backend::Real(stream) => {
                let send = |stream: &mio::net::UnixStream| fds::send(stream, bytes, fds);
                stream.poll_io(Direction::Write, context, send)
            }
            Backend::Virtual(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            Backend::Taped(never) => match *never {},
        };
        let wait = cx.wait_at("UnixStream::send_with_fds", Location::caller(), poll);
        async move { wait.await? }
    }

    /// Receives bytes, and the descriptors that came with them.
    ///
    /// # Errors
    /// `Unsupported` in the lab, the system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has taken no byte and no descriptor. A cancel request is answered within
    /// one poll.
    #[track_caller]
    pub fn recv_with_fds<'a>(
        &'a self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<ReceivedFds>> + Send + 'a {
        let poll = move |context: &mut Context<'_>| match &self.backend {
            Backend::Real(stream) => {
                stream.poll_io(Direction::Read, context, |stream| fds::recv(stream, buf))
            }
            Backend::Virtual(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            Backend::Taped(never) => match *never {},
        };
        let wait = cx.wait_at("UnixStream::recv_with_fds", Location::caller(), poll);
        async move { wait.await? }
    }

    /// Who is at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// `Unsupported` in the lab, or the system's.
    pub fn peer_credentials(&self) -> io::Result<UnixCredentials> {
        match &self.backend {
            Backend::Real(stream) => {
                let peer = rustix::net::sockopt::socket_peercred(stream.get_ref())?;
                let pid = peer.pid.as_raw_nonzero().get();
                Ok(UnixCredentials { pid, uid: peer.uid.as_raw(), gid: peer.gid.as_raw() })
            }
            Backend::Virtual(_) => Err(io::ErrorKind::Unsupported.into()),
            Backend::Taped(never) => match *never {},
        }
    }

    /// What our end is bound to.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<UnixAddr> {
        match &self.backend {
            Backend::Real(stream) => Ok(UnixAddr::from_std(&stream.get_ref().local_addr()?)),
            Backend::Virtual(stream) => Ok(stream.local_addr().clone()),
            Backend::Taped(never) => match *never {},
        }
    }

    /// What the other end is bound to.
    ///
    /// # Errors
    /// The system's.
    pub fn peer_addr(&self) -> io::Result<UnixAddr> {
        match &self.backend {
            Backend::Real(stream) => Ok(UnixAddr::from_std(&stream.get_ref().peer_addr()?)),
            Backend::Virtual(stream) => Ok(stream.peer_addr().clone()),
            Backend::Taped(never) => match *never {},
        }
    }

    /// Shuts one direction down, or both. Shutting down writing is what `close` does.
    ///
    /// # Errors
    /// The system's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.backend.shutdown(how)
    }
}

stream_traits!(UnixStream);

fn connect<C: HasIo>(
    cx: &Cx<C>,
    address: &UnixAddr,
    site: &'static Location<'static>,
) -> io::Result<UnixStream> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => error,
        _ => unix_connect_failed(address.to_string(), error),
    };
    let to = address.to_std().map_err(failed)?;
    if let Some(network) = cx.service::<VirtualNetwork>() {
        network.unix_connect(address).map(UnixStream::from_virtual).map_err(failed)
    } else if let Some(reactor) = cx.service::<Reactor>() {
        let stream = mio::net::UnixStream::connect_addr(&to).map_err(failed)?;
        Io::new(&reactor, stream, BOTH).map(UnixStream::from_real).map_err(failed)
    } else {
        Err(no_network("connect to a Unix socket", None, site))
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixStream")
            .field("virtual", &self.backend.is_virtual())
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}
