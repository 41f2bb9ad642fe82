//! What a stream is made of: a socket of the kernel's on the reactor, an end of a virtual link, or what a
//! recorded run has of either.

use crate::virtual_network::End;
use asupersync_io::{IoSlice, IoSliceMut};
use asupersync_reactor::{Direction, Io};
use mio::event::Source;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, recvmsg};
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

/// How many bytes moved, and whether the next try would only find that no more can.
pub(crate) type Moved = (usize, bool);

/// A stream socket of the kernel's.
pub(crate) trait Kernel: Source + AsFd {
    fn receive(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<Moved>;
    fn send(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// Fewer than there was room for: the system's buffer is exhausted.
fn exhausted(moved: usize, room: usize) -> bool {
    0 < moved && moved < room
}

impl Kernel for mio::net::TcpStream {
    fn receive(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<Moved> {
        let room = room(bufs);
        let mut stream = self;
        let n = match bufs {
            [buf] => stream.read(buf),
            bufs => stream.read_vectored(bufs),
        }?;
        Ok((n, exhausted(n, room)))
    }

    fn send(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write(self, bufs)
    }
}

impl Kernel for mio::net::UnixStream {
    /// The system ends a read behind the bytes that descriptors came with, and with `SO_PASSCRED` at
    /// another writer's, however many there are behind them. It says so by `MSG_CTRUNC`, because they find
    /// no room here.
    fn receive(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<Moved> {
        let room = room(bufs);
        let mut none = RecvAncillaryBuffer::default();
        let message = recvmsg(self, bufs, &mut none, RecvFlags::CMSG_CLOEXEC)?;
        let ended = message.flags.contains(ReturnFlags::CTRUNC);
        Ok((message.bytes, exhausted(message.bytes, room) && !ended))
    }

    fn send(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write(self, bufs)
    }
}

fn room(bufs: &[IoSliceMut<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}

fn write(mut stream: impl Write, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    match bufs {
        [buf] => stream.write(buf),
        bufs => stream.write_vectored(bufs),
    }
}

impl<R, V, T> Backend<R, V, T>
where
    R: Kernel,
    V: AsRef<End>,
    T: Socket,
{
    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self {
            Backend::Real(stream) => {
                let read = |stream: &R| stream.receive(&mut [IoSliceMut::new(buf)]);
                poll_transfer(stream, Direction::Read, context, read)
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
        if room(bufs) == 0 {
            return Poll::Ready(Ok(0));
        }
        match self {
            Backend::Real(stream) => {
                poll_transfer(stream, Direction::Read, context, |stream| stream.receive(bufs))
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
                let room = bufs.iter().map(|buf| buf.len()).sum();
                poll_transfer(stream, Direction::Write, context, |stream| {
                    stream.send(bufs).map(|n| (n, exhausted(n, room)))
                })
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

/// Moves bytes by `operation`.
fn poll_transfer<S: Source>(
    stream: &Io<S>,
    direction: Direction,
    context: &mut Context<'_>,
    mut operation: impl FnMut(&S) -> io::Result<Moved>,
) -> Poll<io::Result<usize>> {
    let registration = stream.registration();
    loop {
        let ready = ready!(registration.poll_ready(direction, context));
        match operation(stream.get_ref()) {
            Ok((n, exhausted)) => {
                if exhausted {
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
