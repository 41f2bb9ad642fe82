//! Datagrams between processes of the machine.

use super::UnixAddr;
use super::listener::SocketFile;
use crate::error::{no_network, unix_bind_failed, unix_connect_failed};
use crate::tcp::real::BOTH;
use crate::virtual_network::{VirtualNetwork, VirtualUnixDatagram};
use asupersync_core::cap::{HasIo, HasTime};
use asupersync_core::{Cx, TaskCx};
use asupersync_reactor::{Direction, FdSource, Io, Reactor};
use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::Duration;

/// A Unix socket for datagrams, which are neither lost nor overtaken: a sender waits for room. All
/// methods take `&self`.
///
/// Dropping it removes the socket file that `bind` made, unless another file has taken its place.
///
/// # Cancel safety
/// A cancelled receive has taken no datagram, a cancelled send has sent none.
pub struct UnixDatagram {
    backend: Backend,
}

enum Backend {
    Real { socket: Io<FdSource<StdDatagram>>, _file: Option<SocketFile> },
    Virtual(VirtualUnixDatagram),
}

const LONGEST_BACK_OFF: Duration = Duration::from_millis(50);

impl UnixDatagram {
    /// Binds a path, which must not exist, or an abstract name.
    ///
    /// # Errors
    /// As [`UnixListener::bind`](crate::UnixListener::bind).
    ///
    /// # Cancel safety
    /// Does not wait. In a cancelled scope it is refused.
    #[track_caller]
    pub fn bind<'a, C: HasIo>(
        cx: &'a Cx<C>,
        address: impl Into<UnixAddr>,
    ) -> impl Future<Output = io::Result<UnixDatagram>> + 'a {
        let (address, site) = (address.into(), Location::caller());
        async move { bind(cx, &address, site) }
    }

    /// A socket without a name: it can send, and receive from nobody but a peer it is paired with.
    ///
    /// # Errors
    /// ASY-0004 inside when the host has no network, or the system's error.
    #[track_caller]
    pub fn unbound<C: HasIo>(cx: &Cx<C>) -> io::Result<UnixDatagram> {
        if let Some(network) = cx.service::<VirtualNetwork>() {
            let socket = VirtualUnixDatagram::unbound(&network);
            return Ok(UnixDatagram { backend: Backend::Virtual(socket) });
        }
        let Some(reactor) = cx.service::<Reactor>() else {
            return Err(no_network("make a Unix socket", None, Location::caller()));
        };
        real(&reactor, StdDatagram::unbound()?, None)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// As [`unbound`](Self::unbound).
    #[track_caller]
    pub fn pair<C: HasIo>(cx: &Cx<C>) -> io::Result<(UnixDatagram, UnixDatagram)> {
        if let Some(network) = cx.service::<VirtualNetwork>() {
            let (near, far) = VirtualUnixDatagram::pair(&network);
            let of = |socket| UnixDatagram { backend: Backend::Virtual(socket) };
            return Ok((of(near), of(far)));
        }
        let Some(reactor) = cx.service::<Reactor>() else {
            return Err(no_network("make a pair of Unix sockets", None, Location::caller()));
        };
        let (near, far) = StdDatagram::pair()?;
        Ok((real(&reactor, near, None)?, real(&reactor, far, None)?))
    }

    /// Takes over a socket; its file stays when this is dropped.
    ///
    /// # Errors
    /// ASY-0004 inside when the host does not drive kernel sockets, or the system's error.
    #[track_caller]
    pub fn from_std<C: HasIo>(cx: &Cx<C>, socket: StdDatagram) -> io::Result<UnixDatagram> {
        match cx.service::<Reactor>() {
            Some(reactor) => real(&reactor, socket, None),
            None => Err(no_network("take over a Unix socket", None, Location::caller())),
        }
    }

    /// Names the peer that [`send`](Self::send) sends to; datagrams of others are no longer received.
    ///
    /// # Errors
    /// [`NetError`](crate::NetError) inside: nobody has bound it (ASY-0511).
    pub fn connect(&self, peer: impl Into<UnixAddr>) -> io::Result<()> {
        let peer = peer.into();
        let failed = |error| unix_connect_failed(peer.to_string(), error);
        let to = peer.to_std().map_err(failed)?;
        match &self.backend {
            Backend::Real { socket, .. } => socket.get_ref().0.connect_addr(&to).map_err(failed),
            Backend::Virtual(socket) => socket.connect(&peer).map_err(failed),
        }
    }

    /// Sends a datagram to the peer named by [`connect`](Self::connect), as soon as it has room.
    ///
    /// # Errors
    /// `NotConnected`, `ConnectionRefused` when the peer is gone, the system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has sent nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn send<'a>(
        &'a self,
        cx: &'a TaskCx,
        datagram: &'a [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let poll = move |context: &mut Context<'_>| match &self.backend {
            Backend::Real { socket, .. } => {
                socket.poll_io(Direction::Write, context, |socket| socket.0.send(datagram))
            }
            Backend::Virtual(socket) => socket.poll_send(context, datagram, None),
        };
        let wait = cx.wait_at("UnixDatagram::send", Location::caller(), poll);
        async move { wait.await? }
    }

    /// Sends a datagram to `to`, as soon as there is room. The system tells nobody when that is: a full
    /// receiver is tried again after 1 ms, 2 ms, .. up to 50 ms.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` where nobody has bound it, the system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has sent nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn send_to<'a, C: HasTime>(
        &'a self,
        cx: &'a Cx<C>,
        datagram: &'a [u8],
        to: impl Into<UnixAddr>,
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        let (to, site) = (to.into(), Location::caller());
        async move {
            let socket = match &self.backend {
                Backend::Real { socket, .. } => socket,
                Backend::Virtual(socket) => {
                    let send =
                        |context: &mut Context<'_>| socket.poll_send(context, datagram, Some(&to));
                    return cx.wait_at("UnixDatagram::send_to", site, send).await?;
                }
            };
            let address = to.to_std()?;
            let mut back_off = Duration::from_millis(1);
            loop {
                cx.checkpoint()?;
                match socket.get_ref().0.send_to_addr(datagram, &address) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        cx.sleep(back_off).await?;
                        back_off = (back_off * 2).min(LONGEST_BACK_OFF);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    answer => return answer,
                }
            }
        }
    }

    /// Receives a datagram, as much of it as fits `buf`. Answers how much that is.
    ///
    /// # Errors
    /// The system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has taken no datagram. A cancel request is answered within one poll.
    #[track_caller]
    pub fn recv<'a>(
        &'a self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let poll = |context: &mut Context<'_>| self.poll_recv(context, buf);
        let wait = cx.wait_at("UnixDatagram::recv", Location::caller(), poll);
        async move { Ok(wait.await??.0) }
    }

    /// As [`recv`](Self::recv), with what the sender is bound to.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// A cancelled call has taken no datagram. A cancel request is answered within one poll.
    #[track_caller]
    pub fn recv_from<'a>(
        &'a self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, UnixAddr)>> + Send + 'a {
        let poll = |context: &mut Context<'_>| self.poll_recv(context, buf);
        let wait = cx.wait_at("UnixDatagram::recv_from", Location::caller(), poll);
        async move { wait.await? }
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, UnixAddr)>> {
        match &self.backend {
            Backend::Real { socket, .. } => socket.poll_io(Direction::Read, context, |socket| {
                let (n, from) = socket.0.recv_from(buf)?;
                Ok((n, UnixAddr::from_std(&from)))
            }),
            Backend::Virtual(socket) => socket.poll_recv(context, buf).map(Ok),
        }
    }

    /// What is bound.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<UnixAddr> {
        match &self.backend {
            Backend::Real { socket, .. } => {
                Ok(UnixAddr::from_std(&socket.get_ref().0.local_addr()?))
            }
            Backend::Virtual(socket) => Ok(socket.local_addr().clone()),
        }
    }
}

fn real(
    reactor: &Reactor,
    socket: StdDatagram,
    file: Option<SocketFile>,
) -> io::Result<UnixDatagram> {
    socket.set_nonblocking(true)?;
    let socket = Io::new(reactor, FdSource(socket), BOTH)?;
    Ok(UnixDatagram { backend: Backend::Real { socket, _file: file } })
}

fn bind<C: HasIo>(
    cx: &Cx<C>,
    address: &UnixAddr,
    site: &'static Location<'static>,
) -> io::Result<UnixDatagram> {
    cx.checkpoint()?;
    let failed = |error| unix_bind_failed(address.to_string(), error);
    let at = address.to_std().map_err(failed)?;
    if let Some(network) = cx.service::<VirtualNetwork>() {
        let socket = VirtualUnixDatagram::bind(&network, address).map_err(failed)?;
        Ok(UnixDatagram { backend: Backend::Virtual(socket) })
    } else if let Some(reactor) = cx.service::<Reactor>() {
        let socket = StdDatagram::bind_addr(&at).map_err(failed)?;
        real(&reactor, socket, SocketFile::of(address)).map_err(failed)
    } else {
        Err(no_network("bind a Unix socket", None, site))
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixDatagram")
            .field("virtual", &matches!(self.backend, Backend::Virtual(_)))
            .field("local", &self.local_addr().ok())
            .finish()
    }
}
