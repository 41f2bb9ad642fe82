//! Streams in memory: a pipe, and two of them as a connection.

use crate::Waiter;
use asupersync_core::primitive::{Arc, Mutex};
use asupersync_core::{Object, WakeList};
use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A one-way stream that holds at most `capacity` bytes (at least one).
///
/// The writer waits while the pipe is full. When the writer is closed or dropped, the reader reads
/// what is left and then the end; when the reader is dropped, the writer gets `BrokenPipe`.
///
/// # Cancel safety
/// A byte is in the pipe, or it is not: a cancelled read or write moves none.
#[must_use]
pub fn pipe(capacity: usize) -> (PipeReader, PipeWriter) {
    let pipe = Arc::new(Pipe {
        object: Object::new("pipe"),
        state: Mutex::new(State {
            bytes: VecDeque::new(),
            capacity: capacity.max(1),
            write_closed: false,
            read_closed: false,
            reader: Waiter::new(),
            writer: Waiter::new(),
        }),
    });
    (PipeReader { pipe: pipe.clone() }, PipeWriter { pipe })
}

/// A connection in memory: two ends, each direction holding at most `capacity` bytes (at least one).
///
/// `close` closes one direction only; dropping an end closes both.
#[must_use]
pub fn duplex(capacity: usize) -> (DuplexStream, DuplexStream) {
    let (near_reader, far_writer) = pipe(capacity);
    let (far_reader, near_writer) = pipe(capacity);
    (
        DuplexStream { reader: near_reader, writer: near_writer },
        DuplexStream { reader: far_reader, writer: far_writer },
    )
}

struct Pipe {
    object: Object,
    state: Mutex<State>,
}

struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    write_closed: bool,
    read_closed: bool,
    reader: Waiter,
    writer: Waiter,
}

impl Pipe {
    fn poll_read(&self, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut spare = None;
        loop {
            let mut state = self.state.lock();
            if !state.bytes.is_empty() {
                // A ring reads up to its seam; the second read takes what lies behind it.
                let mut n = state.bytes.read(buf)?;
                n += state.bytes.read(&mut buf[n..])?;
                let writer = state.writer.take();
                drop(state);
                self.object.write();
                wake(writer);
                return Poll::Ready(Ok(n));
            }
            if state.write_closed {
                drop(state);
                self.object.read();
                return Poll::Ready(Ok(0));
            }
            if state.reader.park(context, &mut spare) {
                drop(state);
                self.object.read();
                return Poll::Pending;
            }
            drop(state);
            spare = Some(context.waker().clone());
        }
    }

    fn poll_write(
        &self,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut spare = None;
        loop {
            let mut state = self.state.lock();
            if state.read_closed || state.write_closed {
                drop(state);
                self.object.read();
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let mut room = state.capacity - state.bytes.len();
            if room > 0 || bufs.iter().all(|buf| buf.is_empty()) {
                let mut accepted = 0;
                for buf in bufs {
                    let n = buf.len().min(room);
                    state.bytes.extend(&buf[..n]);
                    room -= n;
                    accepted += n;
                }
                let reader = state.reader.take();
                drop(state);
                self.object.write();
                wake(reader);
                return Poll::Ready(Ok(accepted));
            }
            if state.writer.park(context, &mut spare) {
                drop(state);
                self.object.read();
                return Poll::Pending;
            }
            drop(state);
            spare = Some(context.waker().clone());
        }
    }

    fn close_write(&self) {
        self.object.write();
        let mut state = self.state.lock();
        state.write_closed = true;
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().for_each(wake);
    }

    fn close_read(&self) {
        self.object.write();
        let mut state = self.state.lock();
        state.read_closed = true;
        let bytes = std::mem::take(&mut state.bytes);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        drop(bytes);
        wakers.into_iter().for_each(wake);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        WakeList::wake_one(waker);
    }
}

/// The reading end of a [`pipe`].
pub struct PipeReader {
    pipe: Arc<Pipe>,
}

/// The writing end of a [`pipe`].
pub struct PipeWriter {
    pipe: Arc<Pipe>,
}

/// One end of a [`duplex`] connection.
#[derive(Debug)]
pub struct DuplexStream {
    reader: PipeReader,
    writer: PipeWriter,
}

impl DuplexStream {
    /// The two directions, each usable by a task of its own.
    #[must_use]
    pub fn into_split(self) -> (PipeReader, PipeWriter) {
        (self.reader, self.writer)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.pipe.close_read();
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.pipe.close_write();
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe.poll_read(context, buf)
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe.poll_write(context, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pipe.poll_write(context, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.close_write();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for DuplexStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reader.pipe.poll_read(context, buf)
    }
}

impl AsyncWrite for DuplexStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer.pipe.poll_write(context, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer.pipe.poll_write(context, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.pipe.close_write();
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeReader").field("buffered", &self.pipe.state.lock().bytes.len()).finish()
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeWriter").field("buffered", &self.pipe.state.lock().bytes.len()).finish()
    }
}
