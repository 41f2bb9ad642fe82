//! Accepting Unix connections.

use super::{UnixAddr, UnixStream};
use crate::error::{no_network, unix_bind_failed};
use crate::tcp::real::{self, BOTH};
use crate::virtual_network::{VirtualNetwork, VirtualUnixListener};
use asupersync_core::cap::{HasIo, HasTime};
use asupersync_core::{Cx, TaskCx};
use asupersync_reactor::{Direction, Io, Reactor};
use mio::Interest;
use rustix::fs::{Stat, stat};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A socket that accepts Unix connections. Any number of tasks may accept from one listener.
///
/// Dropping it stops listening and removes the socket file that `bind` made, unless another file has
/// taken its place.
///
/// # Cancel safety
/// A cancelled `accept` leaves the connection in the queue.
pub struct UnixListener {
    backend: Backend,
}

enum Backend {
    Real { listener: Io<mio::net::UnixListener>, reactor: Arc<Reactor>, _file: Option<SocketFile> },
    Virtual(VirtualUnixListener),
}

/// A file that `bind` made, removed when dropped.
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file at `address`, which was bound a moment ago.
    pub(super) fn of(address: &UnixAddr) -> Option<SocketFile> {
        let path = std::path::absolute(address.as_path()?).ok()?;
        let Stat { st_dev, st_ino, .. } = stat(&path).ok()?;
        Some(SocketFile { path, device: st_dev, inode: st_ino })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |found: Stat| (found.st_dev, found.st_ino) == (self.device, self.inode);
        if stat(&self.path).is_ok_and(is_ours) {
            // There is nobody to tell; a file left behind says "connection refused".
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

impl UnixListener {
    /// Listens on a path, which must not exist, or on an abstract name.
    ///
    /// # Errors
    /// [`NetError`](crate::NetError) inside the `io::Error`: the file exists, its directory does not,
    /// the path is too long (ASY-0510). ASY-0004 inside it when the host has no network.
    ///
    /// # Cancel safety
    /// Does not wait. In a cancelled scope it is refused.
    #[track_caller]
    pub fn bind<'a, C: HasIo>(
        cx: &'a Cx<C>,
        address: impl Into<UnixAddr>,
    ) -> impl Future<Output = io::Result<UnixListener>> + 'a {
        let (address, site) = (address.into(), Location::caller());
        async move { bind(cx, &address, site) }
    }

    /// Takes over a socket that listens already; its file stays when this is dropped.
    ///
    /// # Errors
    /// ASY-0004 inside when the host does not drive kernel sockets, or the system's error.
    #[track_caller]
    pub fn from_std<C: HasIo>(
        cx: &Cx<C>,
        listener: std::os::unix::net::UnixListener,
    ) -> io::Result<UnixListener> {
        let Some(reactor) = cx.service::<Reactor>() else {
            return Err(no_network("take over a Unix listener", None, Location::caller()));
        };
        listener.set_nonblocking(true)?;
        let listener = mio::net::UnixListener::from_std(listener);
        let listener = Io::new(&reactor, listener, Interest::READABLE)?;
        Ok(UnixListener { backend: Backend::Real { listener, reactor, _file: None } })
    }

    /// Waits for a connection. When no descriptors are left, backs off as
    /// [`TcpListener::accept`](crate::TcpListener::accept) does.
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
    ) -> impl Future<Output = io::Result<UnixStream>> + 'a {
        let site = Location::caller();
        async move { real::accept(cx, || self.accept_one(cx, site)).await }
    }

    async fn accept_one(
        &self,
        cx: &TaskCx,
        site: &'static Location<'static>,
    ) -> io::Result<UnixStream> {
        cx.wait_at("UnixListener::accept", site, |context| match &self.backend {
            Backend::Real { listener, reactor, .. } => poll_accept(listener, reactor, context),
            Backend::Virtual(listener) => {
                listener.poll_accept(context).map(|stream| Ok(UnixStream::from_virtual(stream)))
            }
        })
        .await?
    }

    /// What is listened on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<UnixAddr> {
        match &self.backend {
            Backend::Real { listener, .. } => {
                Ok(UnixAddr::from_std(&listener.get_ref().local_addr()?))
            }
            Backend::Virtual(listener) => Ok(listener.local_addr().clone()),
        }
    }
}

fn poll_accept(
    listener: &Io<mio::net::UnixListener>,
    reactor: &Reactor,
    context: &mut Context<'_>,
) -> Poll<io::Result<UnixStream>> {
    loop {
        match ready!(listener.poll_io(Direction::Read, context, mio::net::UnixListener::accept)) {
            Ok((stream, _)) => {
                return Poll::Ready(Io::new(reactor, stream, BOTH).map(UnixStream::from_real));
            }
            Err(error) if real::is_of_the_connection(&error) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

fn bind<C: HasIo>(
    cx: &Cx<C>,
    address: &UnixAddr,
    site: &'static Location<'static>,
) -> io::Result<UnixListener> {
    cx.checkpoint()?;
    let failed = |error| unix_bind_failed(address.to_string(), error);
    let at = address.to_std().map_err(failed)?;
    let backend = if let Some(network) = cx.service::<VirtualNetwork>() {
        Backend::Virtual(VirtualUnixListener::bind(&network, address).map_err(failed)?)
    } else if let Some(reactor) = cx.service::<Reactor>() {
        let listener = mio::net::UnixListener::bind_addr(&at).map_err(failed)?;
        let file = SocketFile::of(address);
        let listener = Io::new(&reactor, listener, Interest::READABLE).map_err(failed)?;
        Backend::Real { listener, reactor, _file: file }
    } else {
        return Err(no_network("listen on a Unix socket", None, site));
    };
    Ok(UnixListener { backend })
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixListener")
            .field("virtual", &matches!(self.backend, Backend::Virtual(_)))
            .field("local", &self.local_addr().ok())
            .finish()
    }
}
