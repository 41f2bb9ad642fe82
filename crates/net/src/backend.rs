//! What a stream is made of: a socket of the kernel's on the reactor, an end of a virtual link, or what a
//! recorded run has of either.

use crate::virtual_network::End;
use asupersync_io::{IoSlice, IoSliceMut};
use asupersync_reactor::{Direction, Io};
use mio::event::Source;
use socket2::SockRef;
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

/// Chosen when the stream is made.
pub(crate) enum Backend<R: Source, V, T = Infallible> {
    Real(Io<R>),
    Virtual(V),
    /// Of streams that cannot be recorded there are none.
    Taped(T),
}

impl<R: Source, V, T> Backend<R, V, T> {
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Backend::Virtual(_))
    }
}

impl<R, V, T> Backend<R, V, T>
where
    R: Source + AsFd,
    for<'s> &'s R: Read + Write,
    V: AsRef<End>,
    T: Socket,
{
    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Backend::Real(stream) => {
                let wanted = buf.len();
                let read = |mut stream: &R| stream.read(buf);
                poll_transfer(stream, Direction::Read, context, wanted, read)
            }
            Backend::Virtual(stream) => stream.as_ref().poll_read(context, buf),
            Backend::Taped(stream) => stream.poll_read(context, buf),
        }
    }

    pub(crate) fn poll_read_vectored(
        &self,
        context: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Backend::Real(stream) => {
                let wanted = bufs.iter().map(|buf| buf.len()).sum();
                let read = |mut stream: &R| stream.read_vectored(bufs);
                poll_transfer(stream, Direction::Read, context, wanted, read)
            }
            // The first buffer with room, as the trait's own default does.
            Backend::Virtual(stream) => {
                let buf = bufs.iter_mut().find(|buf| !buf.is_empty());
                stream.as_ref().poll_read(context, buf.map_or(&mut [], |buf| &mut **buf))
            }
            Backend::Taped(stream) => stream.poll_read_vectored(context, bufs),
        }
    }

    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Backend::Real(stream) => {
                let wanted = bufs.iter().map(|buf| buf.len()).sum();
                let write = |mut stream: &R| match bufs {
                    [buf] => stream.write(buf),
                    bufs => stream.write_vectored(bufs),
                };
                poll_transfer(stream, Direction::Write, context, wanted, write)
            }
            Backend::Virtual(stream) => stream.as_ref().poll_write(context, bufs),
            Backend::Taped(stream) => stream.poll_write(context, bufs),
        }
    }

    /// Shuts one direction down, or both. What the peer has reset is shut down already.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Backend::Real(stream) => match SockRef::from(stream.get_ref()).shutdown(how) {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                answer => answer,
            },
            Backend::Virtual(stream) => {
                stream.as_ref().shutdown(how);
                Ok(())
            }
            Backend::Taped(stream) => stream.shutdown(how),
        }
    }
}

/// Moves bytes by `operation`. When fewer than `wanted` moved, the system's buffer is exhausted and
/// the next try would only learn so.
fn poll_transfer<S: Source>(
    stream: &Io<S>,
    direction: Direction,
    context: &mut Context<'_>,
    wanted: usize,
    mut operation: impl FnMut(&S) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    let registration = stream.registration();
    loop {
        let ready = ready!(registration.poll_ready(direction, context));
        match operation(stream.get_ref()) {
            Ok(n) => {
                if 0 < n && n < wanted {
                    registration.clear_drained(ready);
                }
                return Poll::Ready(Ok(n));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                registration.clear_ready(ready);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// A stream that is read and written through a shared reference: what its halves need of it.
pub trait Socket: Send + Sync {
    fn poll_read(&self, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    fn poll_read_vectored(
        &self,
        context: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>>;
    fn poll_write(
        &self,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

impl Socket for Infallible {
    fn poll_read(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_read_vectored(
        &self,
        _: &mut Context<'_>,
        _: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_write(&self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        match *self {}
    }
}

/// The traits of a stream whose field `backend` is a [`Backend`].
macro_rules! stream_traits {
    ($stream:ty) => {
        impl $crate::backend::Socket for $stream {
            fn poll_read(
                &self,
                context: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.backend.poll_read(context, buf)
            }

            fn poll_read_vectored(
                &self,
                context: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self.backend.poll_read_vectored(context, bufs)
            }

            fn poll_write(
                &self,
                context: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.backend.poll_write(context, bufs)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.backend.shutdown(how)
            }
        }

        $crate::backend::stream_traits!(of $stream);
        $crate::backend::stream_traits!(of &$stream);
    };
    (of $of:ty) => {
        impl AsyncRead for $of {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.backend.poll_read(context, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self.backend.poll_read_vectored(context, bufs)
            }
        }

        impl AsyncWrite for $of {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.backend.poll_write(context, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.backend.poll_write(context, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.backend.shutdown(Shutdown::Write))
            }
        }
    };
}

pub(crate) use stream_traits;
