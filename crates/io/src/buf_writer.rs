//! A writer with a buffer.

use crate::DEFAULT_BUFFER;
use crate::error::write_zero;
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, SeekFrom};
use pin_project_lite::pin_project;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// Collects small writes and passes large ones on.
    ///
    /// Dropping it drops what it has collected: there is no asynchronous drop. `flush` or `close` it.
    /// Reads pass straight through.
    ///
    /// # Cancel safety
    /// Bytes that were accepted stay in the buffer until they are written, in order and once.
    pub struct BufWriter<W> {
        #[pin]
        inner: W,
        buffer: Vec<u8>,
        written: usize,
        capacity: usize,
    }
}

impl<W> BufWriter<W> {
    /// With a buffer of 8 KiB.
    pub fn new(inner: W) -> BufWriter<W> {
        BufWriter::with_capacity(DEFAULT_BUFFER, inner)
    }

    /// With a buffer of `capacity` bytes, at least one.
    pub fn with_capacity(capacity: usize, inner: W) -> BufWriter<W> {
        let capacity = capacity.max(1);
        BufWriter { inner, buffer: Vec::with_capacity(capacity), written: 0, capacity }
    }

    /// What was accepted and is not yet written.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// The inner writer. Writing to it directly overtakes what is buffered.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The inner writer. Writing to it directly overtakes what is buffered.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The inner writer and what is not yet written.
    pub fn into_parts(mut self) -> (W, Vec<u8>) {
        self.buffer.drain(..self.written);
        (self.inner, self.buffer)
    }
}

impl<W: AsyncWrite> BufWriter<W> {
    /// Writes the buffer out, without flushing the inner writer.
    pub(crate) fn poll_drain_buffer(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut this = self.project();
        while *this.written < this.buffer.len() {
            match ready!(this.inner.as_mut().poll_write(context, &this.buffer[*this.written..])) {
                Ok(0) => return Poll::Ready(Err(write_zero())),
                Ok(n) => *this.written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        this.buffer.clear();
        *this.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite> AsyncWrite for BufWriter<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.buffer.len() + buf.len() > self.capacity {
            ready!(self.as_mut().poll_drain_buffer(context))?;
        }
        let this = self.project();
        if buf.len() >= *this.capacity {
            return this.inner.poll_write(context, buf);
        }
        this.buffer.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_drain_buffer(context))?;
        self.project().inner.poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_drain_buffer(context))?;
        self.project().inner.poll_close(context)
    }
}

impl<W: AsyncWrite + AsyncSeek> AsyncSeek for BufWriter<W> {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        position: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        ready!(self.as_mut().poll_drain_buffer(context))?;
        self.project().inner.poll_seek(context, position)
    }
}

impl<W: AsyncRead> AsyncRead for BufWriter<W> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_read(context, buf)
    }
}

impl<W: AsyncBufRead> AsyncBufRead for BufWriter<W> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.project().inner.poll_fill_buf(context)
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.project().inner.consume(amount);
    }
}

impl<W: fmt::Debug> fmt::Debug for BufWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufWriter")
            .field("inner", &self.inner)
            .field("buffered", &format_args!("{}/{}", self.buffer().len(), self.capacity))
            .finish()
    }
}
