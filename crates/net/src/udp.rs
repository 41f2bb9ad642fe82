//! Datagrams.

mod segments;

use crate::ToAddress;
use crate::error::{bind_failed, no_network};
use crate::tcp::real::BOTH;
use crate::virtual_network::{VirtualNetwork, VirtualUdp};
use asupersync_core::cap::HasIo;
use asupersync_core::{Cx, TaskCx};
use asupersync_reactor::{Direction, Io, Reactor};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::Location;
use std::task::{Context, Poll};

/// A socket for UDP. All methods take `&self`: any number of tasks may send and receive.
///
/// A datagram is received whole; what does not fit the buffer is lost. In the lab datagrams are lost,
/// doubled and overtaken as the network's options say, and sent to nobody they vanish; on a machine
/// a connected socket may learn of that by a `ConnectionRefused` from a later call.
///
/// # Cancel safety
/// A cancelled receive has taken no datagram, a cancelled send has sent none.
pub struct UdpSocket {
    backend: Backend,
}

enum Backend {
    Real(Io<mio::net::UdpSocket>),
    Virtual(VirtualUdp),
}

/// How to bind a [`UdpSocket`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpOptions {
    /// Several sockets may bind the address, for multicast (`SO_REUSEADDR`). The virtual network refuses
    /// the second.
    pub reuse_address: bool,
    /// Several sockets share the address and its datagrams (`SO_REUSEPORT`). The virtual network
    /// refuses the second.
    pub reuse_port: bool,
    /// The size of the system's receive buffer, in bytes; the system may cut it down. The virtual
    /// network has its own option.
    pub receive_buffer: Option<usize>,
    /// The size of the system's send buffer, in bytes.
    pub send_buffer: Option<usize>,
}

impl UdpOptions {
    /// The usual ones.
    #[must_use]
    pub fn new() -> UdpOptions {
        UdpOptions::default()
    }

    /// Lets several sockets bind the address.
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> UdpOptions {
        self.reuse_address = reuse;
        self
    }

    /// Lets several sockets share the address.
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> UdpOptions {
        self.reuse_port = reuse;
        self
    }

    /// Sets the size of the receive buffer.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> UdpOptions {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Sets the size of the send buffer.
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> UdpOptions {
        self.send_buffer = Some(bytes);
        self
    }
}

/// An option of both kinds of socket: the real one's call beside the virtual one's field.
macro_rules! option {
    ($(#[$doc:meta])* $set:ident, $get:ident, $of:ty, $field:ident) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// The system's.
        pub fn $set(&self, value: $of) -> io::Result<()> {
            match &self.backend {
                Backend::Real(socket) => socket.get_ref().$set(value),
                Backend::Virtual(socket) => {
                    socket.set(|settings| settings.$field = value);
                    Ok(())
                }
            }
        }

        #[doc = concat!("What [`", stringify!($set), "`](Self::", stringify!($set), ") set.")]
        ///
        /// # Errors
        /// The system's.
        pub fn $get(&self) -> io::Result<$of> {
            match &self.backend {
                Backend::Real(socket) => socket.get_ref().$get(),
                Backend::Virtual(socket) => Ok(socket.settings().$field),
            }
        }
    };
}

impl UdpSocket {
    /// Binds `address`; port 0 is given a free one, see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    /// [`NetError`](crate::NetError) inside the `io::Error`: the address is taken, not ours, or not
    /// an address (ASY-0510, ASY-0512). ASY-0004 inside it when the host has no network.
    ///
    /// # Cancel safety
    /// Does not wait. In a cancelled scope it is refused.
    #[track_caller]
    pub fn bind<'a, C: HasIo, A: ToAddress + 'a>(
        cx: &'a Cx<C>,
        address: A,
    ) -> impl Future<Output = io::Result<UdpSocket>> + 'a {
        let (address, site) = (address.to_address(), Location::caller());
        async move { bind(cx, address?, &UdpOptions::default(), site) }
    }

    /// As [`bind`](Self::bind), with options.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Cancel safety
    /// Does not wait. In a cancelled scope it is refused.
    #[track_caller]
    pub fn bind_with<'a, C: HasIo, A: ToAddress + 'a>(
        cx: &'a Cx<C>,
        address: A,
        options: &'a UdpOptions,
    ) -> impl Future<Output = io::Result<UdpSocket>> + 'a {
        let (address, site) = (address.to_address(), Location::caller());
        async move { bind(cx, address?, options, site) }
    }

    /// Takes over a bound socket: one inherited from a parent process, say.
    ///
    /// # Errors
    /// ASY-0004 inside when the host does not drive kernel sockets, or the system's error.
    #[track_caller]
    pub fn from_std<C: HasIo>(cx: &Cx<C>, socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        let Some(reactor) = cx.service::<Reactor>() else {
            let local = socket.local_addr().ok();
            return Err(no_network("take over the socket of", local, Location::caller()));
        };
        socket.set_nonblocking(true)?;
        let socket = Io::new(&reactor, mio::net::UdpSocket::from_std(socket), BOTH)?;
        Ok(UdpSocket { backend: Backend::Real(socket) })
    }

    /// Names the peer that [`send`](Self::send) sends to; datagrams of others are no longer received.
    /// Nothing is sent, and nobody needs to listen there.
    ///
    /// # Errors
    /// ASY-0512 inside when it is not an address, or the system's error.
    pub fn connect(&self, peer: impl ToAddress) -> io::Result<()> {
        let peer = peer.to_address()?;
        match &self.backend {
            Backend::Real(socket) => socket.get_ref().connect(peer),
            Backend::Virtual(socket) => {
                socket.connect(peer);
                Ok(())
            }
        }
    }

    /// Sends a datagram to the peer that was named by [`connect`](Self::connect).
    ///
    /// # Errors
    /// `NotConnected`, EMSGSIZE for a datagram that is too long, the system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has sent nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn send<'a>(
        &'a self,
        cx: &'a TaskCx,
        datagram: &'a [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let poll = |context: &mut Context<'_>| self.poll_send(context, datagram, None);
        let wait = cx.wait_at("UdpSocket::send", Location::caller(), poll);
        async move { wait.await? }
    }

    /// Sends a datagram to `to`.
    ///
    /// # Errors
    /// EMSGSIZE for a datagram that is too long, `PermissionDenied` for a broadcast without
    /// [`set_broadcast`](Self::set_broadcast), the system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has sent nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn send_to<'a>(
        &'a self,
        cx: &'a TaskCx,
        datagram: &'a [u8],
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let poll = move |context: &mut Context<'_>| self.poll_send(context, datagram, Some(to));
        let wait = cx.wait_at("UdpSocket::send_to", Location::caller(), poll);
        async move { wait.await? }
    }

    /// Sends bytes as datagrams of `size` bytes each, the last one shorter perhaps, to `to` or to the
    /// peer that was named by [`connect`](Self::connect). Answers how many bytes went, which are whole
    /// datagrams: call again with the rest.
    ///
    /// The system cuts them up (segmentation offload, `UDP_SEGMENT`), which is cheaper than a call for
    /// each: up to 64 of them, and 65,507 bytes, go at once. Where it cannot, one goes. No bytes are no
    /// datagram.
    ///
    /// # Errors
    /// `InvalidInput` for a size of 0; else as [`send_to`](Self::send_to).
    ///
    /// # Cancel safety
    /// A cancelled call has sent nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn send_segments<'a>(
        &'a self,
        cx: &'a TaskCx,
        bytes: &'a [u8],
        size: usize,
        to: Option<SocketAddr>,
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let batch = segments::batch(bytes, size);
        let poll = move |context: &mut Context<'_>| match (batch, &self.backend) {
            (None, _) => Poll::Ready(Err(segments::no_size())),
            (Some([]), _) => Poll::Ready(Ok(0)),
            (Some(batch), Backend::Real(socket)) => {
                socket.poll_io(Direction::Write, context, |socket| {
                    segments::send(socket, batch, size, to).map_err(nobody_named)
                })
            }
            (Some(batch), Backend::Virtual(socket)) => {
                let mut datagrams = batch.chunks(size);
                Poll::Ready(datagrams.try_fold(0, |sum, part| Ok(sum + socket.send(part, to)?)))
            }
        };
        let wait = cx.wait_at("UdpSocket::send_segments", Location::caller(), poll);
        async move { wait.await? }
    }

    /// Receives a datagram: as much of it as fits `buf`. Answers how much that is.
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
        let poll = |context: &mut Context<'_>| match &self.backend {
            Backend::Real(socket) => {
                socket.poll_io(Direction::Read, context, |socket| socket.recv(buf))
            }
            Backend::Virtual(socket) => socket.poll_recv(context, buf, false).map_ok(|(n, _)| n),
        };
        let wait = cx.wait_at("UdpSocket::recv", Location::caller(), poll);
        async move { wait.await? }
    }

    /// As [`recv`](Self::recv), with the sender's address.
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
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'a {
        let poll = |context: &mut Context<'_>| self.poll_recv(context, buf, false);
        let wait = cx.wait_at("UdpSocket::recv_from", Location::caller(), poll);
        async move { wait.await? }
    }

    /// As [`recv`](Self::recv), but the datagram stays: the next receive gets it again.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Nothing is lost. A cancel request is answered within one poll.
    #[track_caller]
    pub fn peek<'a>(
        &'a self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let poll = |context: &mut Context<'_>| self.poll_recv(context, buf, true);
        let wait = cx.wait_at("UdpSocket::peek", Location::caller(), poll);
        async move { Ok(wait.await??.0) }
    }

    /// As [`recv_from`](Self::recv_from), but the datagram stays.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Nothing is lost. A cancel request is answered within one poll.
    #[track_caller]
    pub fn peek_from<'a>(
        &'a self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'a {
        let poll = |context: &mut Context<'_>| self.poll_recv(context, buf, true);
        let wait = cx.wait_at("UdpSocket::peek_from", Location::caller(), poll);
        async move { wait.await? }
    }

    fn poll_send(
        &self,
        context: &mut Context<'_>,
        datagram: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<io::Result<usize>> {
        match &self.backend {
            Backend::Real(socket) => socket.poll_io(Direction::Write, context, |socket| match to {
                Some(to) => socket.send_to(datagram, to),
                None => socket.send(datagram).map_err(nobody_named),
            }),
            Backend::Virtual(socket) => Poll::Ready(socket.send(datagram, to)),
        }
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
        peek: bool,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        match &self.backend {
            Backend::Real(socket) => socket.poll_io(Direction::Read, context, |socket| {
                if peek { socket.peek_from(buf) } else { socket.recv_from(buf) }
            }),
            Backend::Virtual(socket) => socket.poll_recv(context, buf, peek),
        }
    }

    /// The address that is bound, with the port that was given.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.backend {
            Backend::Real(socket) => socket.get_ref().local_addr(),
            Backend::Virtual(socket) => Ok(socket.local_addr()),
        }
    }

    /// The peer that [`connect`](Self::connect) named.
    ///
    /// # Errors
    /// `NotConnected` without one, or the system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.backend {
            Backend::Real(socket) => socket.get_ref().peer_addr(),
            Backend::Virtual(socket) => {
                socket.peer_addr().ok_or_else(|| io::ErrorKind::NotConnected.into())
            }
        }
    }

    option! {
        /// Whether datagrams may be sent to the broadcast address (`SO_BROADCAST`).
        set_broadcast, broadcast, bool, broadcast
    }
    option! {
        /// Over how many hops datagrams go (`IP_TTL`).
        set_ttl, ttl, u32, ttl
    }
    option! {
        /// Whether our own sockets receive what is sent to a group they joined (`IP_MULTICAST_LOOP`).
        set_multicast_loop_v4, multicast_loop_v4, bool, multicast_loop
    }
    option! {
        /// The same for groups of IPv6 (`IPV6_MULTICAST_LOOP`).
        set_multicast_loop_v6, multicast_loop_v6, bool, multicast_loop
    }
    option! {
        /// Over how many hops datagrams to a group go (`IP_MULTICAST_TTL`).
        set_multicast_ttl_v4, multicast_ttl_v4, u32, multicast_ttl
    }

    /// Receives what is sent to a multicast group, through one interface (unspecified: any).
    ///
    /// # Errors
    /// `AddrInUse` when it has joined already, `InvalidInput` for what is no group, the system's.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        match &self.backend {
            Backend::Real(socket) => socket.get_ref().join_multicast_v4(&group, &interface),
            Backend::Virtual(socket) => socket.join(group.into()),
        }
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    /// `AddrNotAvailable` when it has not joined, the system's.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        match &self.backend {
            Backend::Real(socket) => socket.get_ref().leave_multicast_v4(&group, &interface),
            Backend::Virtual(socket) => socket.leave(group.into()),
        }
    }

    /// Receives what is sent to a multicast group, through the interface of this index (0: any).
    ///
    /// # Errors
    /// As [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        match &self.backend {
            Backend::Real(socket) => socket.get_ref().join_multicast_v6(&group, interface),
            Backend::Virtual(socket) => socket.join(IpAddr::V6(group)),
        }
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    /// As [`leave_multicast_v4`](Self::leave_multicast_v4).
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        match &self.backend {
            Backend::Real(socket) => socket.get_ref().leave_multicast_v6(&group, interface),
            Backend::Virtual(socket) => socket.leave(IpAddr::V6(group)),
        }
    }

    /// The size of the system's receive buffer in bytes (Linux counts its own bookkeeping too); none on
    /// the virtual network.
    ///
    /// # Errors
    /// The system's.
    pub fn receive_buffer(&self) -> io::Result<Option<usize>> {
        match &self.backend {
            Backend::Real(socket) => SockRef::from(socket.get_ref()).recv_buffer_size().map(Some),
            Backend::Virtual(_) => Ok(None),
        }
    }
}

/// What Linux calls "destination address required", and we, as for other sockets, not connected.
fn nobody_named(error: io::Error) -> io::Error {
    match error.raw_os_error() == Some(rustix::io::Errno::DESTADDRREQ.raw_os_error()) {
        true => io::Error::new(io::ErrorKind::NotConnected, error),
        false => error,
    }
}

fn bind<C: HasIo>(
    cx: &Cx<C>,
    address: SocketAddr,
    options: &UdpOptions,
    site: &'static Location<'static>,
) -> io::Result<UdpSocket> {
    cx.checkpoint()?;
    let failed = |error| bind_failed(address, error);
    let backend = if let Some(network) = cx.service::<VirtualNetwork>() {
        Backend::Virtual(VirtualUdp::bind(&network, address).map_err(failed)?)
    } else if let Some(reactor) = cx.service::<Reactor>() {
        Backend::Real(bind_real(&reactor, address, options).map_err(failed)?)
    } else {
        return Err(no_network("bind", Some(address), site));
    };
    Ok(UdpSocket { backend })
}

fn bind_real(
    reactor: &Reactor,
    address: SocketAddr,
    options: &UdpOptions,
) -> io::Result<Io<mio::net::UdpSocket>> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    socket.set_reuse_address(options.reuse_address)?;
    socket.set_reuse_port(options.reuse_port)?;
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    Io::new(reactor, mio::net::UdpSocket::from_std(socket.into()), BOTH)
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("virtual", &matches!(self.backend, Backend::Virtual(_)))
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}
