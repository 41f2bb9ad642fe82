//! Accepting connections.

use super::real;
use super::taped::TapedListener;
use crate::ToAddress;
use crate::error::{bind_failed, no_network};
use crate::tcp::TcpStream;
use crate::virtual_network::{VirtualListener, VirtualNetwork};
use asupersync_core::cap::{HasIo, HasTime};
use asupersync_core::{Cx, TaskCx};
use asupersync_reactor::{Io, Reactor, Taped};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;

/// A socket that accepts connections. Any number of tasks may accept from one listener.
///
/// Dropping it stops listening; connections that nobody accepted are reset.
///
/// # Cancel safety
/// A cancelled `accept` leaves the connection in the queue.
pub struct TcpListener {
    backend: Backend,
}

enum Backend {
    Real(Io<mio::net::TcpListener>, Arc<Reactor>),
    Virtual(VirtualListener),
    Taped(TapedListener),
}

/// How to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// The longest queue of connections not yet accepted. Unless given: 1,024 on a machine (which may
    /// cut it down), the network's own limit on a virtual one.
    pub backlog: Option<usize>,
    /// Several sockets may listen on the same address, and share its connections (`SO_REUSEPORT`). The
    /// virtual network refuses the second.
    pub reuse_port: bool,
}

impl ListenOptions {
    /// The usual ones.
    #[must_use]
    pub fn new() -> ListenOptions {
        ListenOptions::default()
    }

    /// Sets the longest queue.
    #[must_use]
    pub fn backlog(mut self, backlog: usize) -> ListenOptions {
        self.backlog = Some(backlog);
        self
    }

    /// Lets several sockets share the address.
    #[must_use]
    pub fn reuse_port(mut self, reuse_port: bool) -> ListenOptions {
        self.reuse_port = reuse_port;
        self
    }
}

impl TcpListener {
    /// Listens on `address`; port 0 is given a free one, see [`local_addr`](Self::local_addr).
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
    ) -> impl Future<Output = io::Result<TcpListener>> + 'a {
        let (address, site) = (address.to_address(), Location::caller());
        async move { listen(cx, address?, &ListenOptions::default(), site) }
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
        options: &'a ListenOptions,
    ) -> impl Future<Output = io::Result<TcpListener>> + 'a {
        let (address, site) = (address.to_address(), Location::caller());
        async move { listen(cx, address?, options, site) }
    }

    /// Takes over a socket that listens already: one inherited from a parent process, say.
    ///
    /// # Errors
    /// ASY-0004 inside when the host does not drive kernel sockets, or the system's error.
    #[track_caller]
    pub fn from_std<C: HasIo>(
        cx: &Cx<C>,
        listener: std::net::TcpListener,
    ) -> io::Result<TcpListener> {
        let Some(reactor) = cx.service::<Reactor>() else {
            return Err(no_network(
                "take over the listener",
                listener.local_addr().ok(),
                Location::caller(),
            ));
        };
        listener.set_nonblocking(true)?;
        let listener = mio::net::TcpListener::from_std(listener);
        let listener = Io::new(&reactor, listener, mio::Interest::READABLE)?;
        Ok(TcpListener { backend: Backend::Real(listener, reactor) })
    }

    /// Waits for a connection and answers it with the address of its peer.
    ///
    /// A connection that failed while it waited in the queue is passed over. When the process or the
    /// system has no descriptors left, the connection stays in the queue and is tried again after
    /// 5 ms, 10 ms, .. up to a second: the wait shows in the inspector as a sleep inside `accept`.
    ///
    /// # Errors
    /// `Cancelled`, or the system's error about the listening socket itself.
    ///
    /// # Cancel safety
    /// A cancelled call has taken no connection. A cancel request is answered within one poll.
    #[track_caller]
    pub fn accept<'a, C: HasIo + HasTime>(
        &'a self,
        cx: &'a Cx<C>,
    ) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + 'a {
        let site = Location::caller();
        async move { real::accept(cx, || self.accept_one(cx, site)).await }
    }

    async fn accept_one(
        &self,
        cx: &TaskCx,
        site: &'static Location<'static>,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.backend {
            Backend::Real(listener, reactor) => {
                let (stream, peer) = cx
                    .wait_at("TcpListener::accept", site, |context| {
                        real::poll_accept(listener, reactor, context)
                    })
                    .await??;
                Ok((TcpStream::from_real(stream), peer))
            }
            Backend::Virtual(listener) => {
                let stream = cx
                    .wait_at("TcpListener::accept", site, |context| listener.poll_accept(context))
                    .await?;
                let peer = stream.peer_addr();
                Ok((TcpStream::from_virtual(stream), peer))
            }
            Backend::Taped(listener) => {
                cx.wait_at("TcpListener::accept", site, |context| listener.poll_accept(context))
                    .await?
            }
        }
    }

    /// The address that is listened on, with the port that was given.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.backend {
            Backend::Real(listener, _) => listener.get_ref().local_addr(),
            Backend::Virtual(listener) => Ok(listener.local_addr()),
            Backend::Taped(listener) => listener.local_addr(),
        }
    }
}

fn listen<C: HasIo>(
    cx: &Cx<C>,
    address: SocketAddr,
    options: &ListenOptions,
    site: &'static Location<'static>,
) -> io::Result<TcpListener> {
    cx.checkpoint()?;
    let failed = |error| bind_failed(address, error);
    let backend = if let Some(network) = cx.service::<VirtualNetwork>() {
        let listener = VirtualListener::bind(&network, address, options.backlog);
        Backend::Virtual(listener.map_err(failed)?)
    } else if let Some(reactor) = cx.service::<Reactor>() {
        let listener = real::listen(&reactor, address, options.backlog, options.reuse_port);
        Backend::Real(listener.map_err(failed)?, reactor)
    } else if let Some(taped) = cx.service::<Taped>() {
        let listener = TapedListener::listen(&taped, address, options.backlog, options.reuse_port);
        Backend::Taped(listener.map_err(failed)?)
    } else {
        return Err(no_network("listen on", Some(address), site));
    };
    Ok(TcpListener { backend })
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("virtual", &matches!(self.backend, Backend::Virtual(_)))
            .field("local", &self.local_addr().ok())
            .finish()
    }
}
