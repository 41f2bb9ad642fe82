//! Pipes.

use crate::async_fd::reactor;
use asupersync_core::Cx;
use asupersync_core::cap::HasIo;
use asupersync_io::{AsyncRead, AsyncWrite};
use asupersync_reactor::{Direction, FdSource, Io, Reactor};
use mio::Interest;
use rustix::pipe::{PipeFlags, pipe_with};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The end of a pipe that reads. The stream ends when every writing end is closed.
///
/// # Cancel safety
/// A cancelled read has taken no byte.
pub struct PipeReader {
    backend: Reader,
}

enum Reader {
    Real(Io<FdSource<OwnedFd>>),
    Virtual(asupersync_io::PipeReader),
}

/// The end of a pipe that writes. Dropping it, or `close`, ends the reader's stream. Writing while nobody
/// reads answers `BrokenPipe`.
///
/// # Cancel safety
/// A cancelled write has written no byte.
pub struct PipeWriter {
    backend: Writer,
}

enum Writer {
    /// None once closed.
    Real(Option<Io<FdSource<OwnedFd>>>),
    Virtual(asupersync_io::PipeWriter),
}

/// What Linux lets a pipe hold.
const CAPACITY: usize = 64 * 1024;

/// A pipe of the system's; in the lab, one in memory.
///
/// # Errors
/// The system's: too many descriptors.
pub fn pipe<C: HasIo>(cx: &Cx<C>) -> io::Result<(PipeReader, PipeWriter)> {
    let Some(reactor) = cx.service::<Reactor>() else {
        let (reader, writer) = asupersync_io::pipe(CAPACITY);
        let reader = PipeReader { backend: Reader::Virtual(reader) };
        return Ok((reader, PipeWriter { backend: Writer::Virtual(writer) }));
    };
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok((PipeReader::watch(&reactor, reader)?, PipeWriter::watch(&reactor, writer)?))
}

impl PipeReader {
    /// Takes over the reading end of a pipe, and makes it non-blocking.
    ///
    /// # Errors
    /// ASY-0004 inside in the lab, or the system's.
    #[track_caller]
    pub fn from_fd<C: HasIo>(cx: &Cx<C>, fd: OwnedFd) -> io::Result<PipeReader> {
        let reactor = reactor(cx, "take over a pipe", Location::caller())?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        PipeReader::watch(&reactor, fd)
    }

    fn watch(reactor: &Reactor, fd: OwnedFd) -> io::Result<PipeReader> {
        let io = Io::new(reactor, FdSource(fd), Interest::READABLE)?;
        Ok(PipeReader { backend: Reader::Real(io) })
    }

    /// The descriptor, blocking again: for a child process, say.
    ///
    /// # Errors
    /// `Unsupported` in the lab, or the system's.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        match self.backend {
            Reader::Real(io) => blocking(io),
            Reader::Virtual(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl PipeWriter {
    /// Takes over the writing end of a pipe, and makes it non-blocking.
    ///
    /// # Errors
    /// ASY-0004 inside in the lab, or the system's.
    #[track_caller]
    pub fn from_fd<C: HasIo>(cx: &Cx<C>, fd: OwnedFd) -> io::Result<PipeWriter> {
        let reactor = reactor(cx, "take over a pipe", Location::caller())?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        PipeWriter::watch(&reactor, fd)
    }

    fn watch(reactor: &Reactor, fd: OwnedFd) -> io::Result<PipeWriter> {
        let io = Io::new(reactor, FdSource(fd), Interest::WRITABLE)?;
        Ok(PipeWriter { backend: Writer::Real(Some(io)) })
    }

    /// The descriptor, blocking again: for a child process, say.
    ///
    /// # Errors
    /// `Unsupported` in the lab, `BrokenPipe` once closed, or the system's.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        match self.backend {
            Writer::Real(Some(io)) => blocking(io),
            Writer::Real(None) => Err(io::ErrorKind::BrokenPipe.into()),
            Writer::Virtual(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

fn blocking(io: Io<FdSource<OwnedFd>>) -> io::Result<OwnedFd> {
    let FdSource(fd) = io.into_inner()?;
    rustix::io::ioctl_fionbio(&fd, false)?;
    Ok(fd)
}

impl AsyncRead for PipeReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match &mut self.backend {
            Reader::Real(io) => io.poll_io(Direction::Read, context, |source| {
                Ok(rustix::io::read(&source.0, &mut *buf)?)
            }),
            Reader::Virtual(pipe) => Pin::new(pipe).poll_read(context, buf),
        }
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.backend {
            Writer::Real(Some(io)) => io.poll_io(Direction::Write, context, |source| {
                Ok(rustix::io::write(&source.0, bytes)?)
            }),
            Writer::Real(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Writer::Virtual(pipe) => Pin::new(pipe).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.backend {
            Writer::Real(io) => *io = None,
            Writer::Virtual(pipe) => ready!(Pin::new(pipe).poll_close(context))?,
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeReader")
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeWriter")
    }
}
