//! Foreign descriptors.

use asupersync_core::cap::HasIo;
use asupersync_core::{Cx, Error, ErrorKind, TaskCx};
use asupersync_reactor::{Direction, FdSource, Io, Reactor};
use mio::Interest;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use std::task::{Context, Poll};

/// Anything with a descriptor that the system can watch: a device, an inotify, a library's socket.
///
/// The descriptor must not block (`O_NONBLOCK`): an operation is tried when the descriptor is ready,
/// and says `WouldBlock` when it was not after all. Dropping this stops watching and drops the value.
///
/// # Cancel safety
/// A cancelled call has not had its operation succeed.
pub struct AsyncFd<T: AsFd> {
    io: Io<FdSource<T>>,
}

/// The service that watches descriptors, or the error that there is none.
pub(crate) fn reactor<C: HasIo>(
    cx: &Cx<C>,
    what: &str,
    site: &'static Location<'static>,
) -> io::Result<std::sync::Arc<Reactor>> {
    cx.service::<Reactor>().ok_or_else(|| {
        let what = format!("cannot {what}: this host watches no descriptors");
        let error = Error::at(ErrorKind::ServiceMissing, what, site);
        io::Error::new(io::ErrorKind::Unsupported, error)
    })
}

impl<T: AsFd> AsyncFd<T> {
    /// Watches a descriptor, to read and to write.
    ///
    /// # Errors
    /// `PermissionDenied` for what cannot be watched (plain files, directories), `AlreadyExists` when it
    /// is watched already, the system's. ASY-0004 inside in the lab.
    #[track_caller]
    pub fn new<C: HasIo>(cx: &Cx<C>, value: T) -> io::Result<AsyncFd<T>> {
        let reactor = reactor(cx, "watch a descriptor", Location::caller())?;
        let both = Interest::READABLE.add(Interest::WRITABLE);
        Ok(AsyncFd { io: Io::new(&reactor, FdSource(value), both)? })
    }

    /// Tries `operation` whenever the descriptor may be read, until it answers anything but `WouldBlock`.
    ///
    /// # Errors
    /// The operation's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has not tried since it last found nothing. A cancel request is answered
    /// within one poll.
    #[track_caller]
    pub fn read_with<'a, R, F>(
        &'a self,
        cx: &'a TaskCx,
        operation: F,
    ) -> impl Future<Output = io::Result<R>> + 'a
    where
        R: 'a,
        F: FnMut(&T) -> io::Result<R> + 'a,
    {
        self.wait(cx, "AsyncFd::read_with", Direction::Read, operation, Location::caller())
    }

    /// Tries `operation` whenever the descriptor may be written.
    ///
    /// # Errors
    /// The operation's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has not tried since it last found no room. A cancel request is answered
    /// within one poll.
    #[track_caller]
    pub fn write_with<'a, R, F>(
        &'a self,
        cx: &'a TaskCx,
        operation: F,
    ) -> impl Future<Output = io::Result<R>> + 'a
    where
        R: 'a,
        F: FnMut(&T) -> io::Result<R> + 'a,
    {
        self.wait(cx, "AsyncFd::write_with", Direction::Write, operation, Location::caller())
    }

    async fn wait<R>(
        &self,
        cx: &TaskCx,
        label: &'static str,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
        site: &'static Location<'static>,
    ) -> io::Result<R> {
        cx.wait_at(label, site, |context| {
            self.io.poll_io(direction, context, |source| operation(&source.0))
        })
        .await?
    }

    /// As [`read_with`](Self::read_with), for implementing `AsyncRead`.
    ///
    /// # Errors
    /// The operation's.
    pub fn poll_read_with<R>(
        &self,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.io.poll_io(Direction::Read, context, |source| operation(&source.0))
    }

    /// As [`write_with`](Self::write_with), for implementing `AsyncWrite`.
    ///
    /// # Errors
    /// The operation's.
    pub fn poll_write_with<R>(
        &self,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.io.poll_io(Direction::Write, context, |source| operation(&source.0))
    }

    /// The value.
    pub fn get_ref(&self) -> &T {
        &self.io.get_ref().0
    }

    /// Stops watching, and gives the value back.
    ///
    /// # Errors
    /// The system's; the value is dropped then.
    pub fn into_inner(self) -> io::Result<T> {
        Ok(self.io.into_inner()?.0)
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(self.get_ref()).finish()
    }
}
