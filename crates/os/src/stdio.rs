//! Standard input, output and error.
//!
//! They are shared with other processes (the shell, for one), so they are left as they are: blocking.
//! Before each read and write the system is asked whether it would wait.

use crate::async_fd::reactor;
use asupersync_core::Cx;
use asupersync_core::cap::HasIo;
use asupersync_io::{AsyncRead, AsyncWrite};
use asupersync_reactor::{Direction, FdSource, Io};
use mio::Interest;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A pipe that is ready takes this much without waiting (`PIPE_BUF` in pipe(7)).
const PIPE_BUF: usize = 4096;

/// The process's standard input: a terminal, a pipe, a socket or a file. Unbuffered; wrap it in a
/// [`BufReader`](asupersync_io::BufReader).
///
/// # Cancel safety
/// A cancelled read has taken no byte. If several read the same input, or another process does, one of
/// them may wait with its thread.
pub struct Stdin {
    stream: Standard,
}

/// The process's standard output or error. Unbuffered; wrap it in a
/// [`LineWriter`](asupersync_io::LineWriter).
///
/// # Cancel safety
/// A cancelled write has written no byte.
pub struct Output {
    stream: Standard,
}

/// Standard input.
///
/// # Errors
/// ASY-0004 inside in the lab, or the system's: it is closed.
#[track_caller]
pub fn stdin<C: HasIo>(cx: &Cx<C>) -> io::Result<Stdin> {
    let stream = Standard::new(cx, &io::stdin(), Interest::READABLE, Location::caller())?;
    Ok(Stdin { stream })
}

/// Standard output.
///
/// # Errors
/// ASY-0004 inside in the lab, or the system's: it is closed.
#[track_caller]
pub fn stdout<C: HasIo>(cx: &Cx<C>) -> io::Result<Output> {
    let stream = Standard::new(cx, &io::stdout(), Interest::WRITABLE, Location::caller())?;
    Ok(Output { stream })
}

/// Standard error.
///
/// # Errors
/// ASY-0004 inside in the lab, or the system's: it is closed.
#[track_caller]
pub fn stderr<C: HasIo>(cx: &Cx<C>) -> io::Result<Output> {
    let stream = Standard::new(cx, &io::stderr(), Interest::WRITABLE, Location::caller())?;
    Ok(Output { stream })
}

enum Standard {
    /// Something that may wait: a duplicate, because the system watches a descriptor once.
    Watched(Io<FdSource<OwnedFd>>),
    /// A plain file, which is always ready.
    Plain(OwnedFd),
}

impl Standard {
    fn new<C: HasIo>(
        cx: &Cx<C>,
        of: &impl AsFd,
        interests: Interest,
        site: &'static Location<'static>,
    ) -> io::Result<Standard> {
        let reactor = reactor(cx, "use the standard streams", site)?;
        let fd = of.as_fd().try_clone_to_owned()?;
        let plain = fd.try_clone()?;
        match Io::new(&reactor, FdSource(fd), interests) {
            Ok(watched) => Ok(Standard::Watched(watched)),
            // What epoll says about plain files and directories.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Ok(Standard::Plain(plain))
            }
            Err(error) => Err(error),
        }
    }

    fn poll_with(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&OwnedFd) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let io = match self {
            Standard::Plain(fd) => return Poll::Ready(Ok(operation(fd)?)),
            Standard::Watched(io) => io,
        };
        loop {
            let ready = ready!(io.registration().poll_ready(direction, context));
            let fd = &io.get_ref().0;
            if !would_not_wait(fd, direction)? {
                io.registration().clear_ready(ready);
                continue;
            }
            match operation(fd) {
                Err(rustix::io::Errno::INTR) => {}
                // Somebody made it non-blocking, and somebody was faster.
                Err(rustix::io::Errno::AGAIN) => io.registration().clear_ready(ready),
                answer => return Poll::Ready(Ok(answer?)),
            }
        }
    }
}

fn would_not_wait(fd: &OwnedFd, direction: Direction) -> io::Result<bool> {
    let wanted = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::new(fd, wanted)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut fds, Some(&at_once)) {
        // Hang-up and errors count: the operation tells.
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let read = |fd: &OwnedFd| rustix::io::read(fd, &mut *buf);
        self.stream.poll_with(context, Direction::Read, read)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(PIPE_BUF)];
        self.stream.poll_with(context, Direction::Write, |fd| rustix::io::write(fd, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The process's own stream stays open.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stdin")
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}
