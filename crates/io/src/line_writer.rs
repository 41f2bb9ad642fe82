//! A writer that keeps back what is not yet a line.

use crate::BufWriter;
use futures_io::AsyncWrite;
use pin_project_lite::pin_project;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// Buffers the last, incomplete line; complete lines go out.
    ///
    /// A completed line is offered to the inner writer by the write that completes it; if that writer
    /// has no room just then, the line goes out first thing in the next write, flush or close.
    /// Dropping it drops what it has buffered.
    ///
    /// # Cancel safety
    /// Bytes that were accepted stay in the buffer until they are written, in order and once.
    #[derive(Debug)]
    pub struct LineWriter<W> {
        #[pin]
        inner: BufWriter<W>,
        line_waits: bool,
    }
}

impl<W> LineWriter<W> {
    /// With a buffer of 1 KiB; a longer incomplete line goes out in pieces.
    pub fn new(inner: W) -> LineWriter<W> {
        LineWriter::with_capacity(1024, inner)
    }

    /// With a buffer of `capacity` bytes, at least one.
    pub fn with_capacity(capacity: usize, inner: W) -> LineWriter<W> {
        LineWriter { inner: BufWriter::with_capacity(capacity, inner), line_waits: false }
    }

    /// What was accepted and is not yet written.
    pub fn buffer(&self) -> &[u8] {
        self.inner.buffer()
    }

    /// The inner writer and what is not yet written.
    pub fn into_parts(self) -> (W, Vec<u8>) {
        self.inner.into_parts()
    }
}

impl<W: AsyncWrite> AsyncWrite for LineWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        if *this.line_waits {
            ready!(this.inner.as_mut().poll_drain_buffer(context))?;
            *this.line_waits = false;
        }
        let Some(end_of_line) = memchr::memrchr(b'\n', buf) else {
            return this.inner.poll_write(context, buf);
        };
        let lines = &buf[..=end_of_line];
        let accepted = ready!(this.inner.as_mut().poll_write(context, lines))?;
        if accepted == lines.len() {
            // The bytes are accepted whatever becomes of this; an error shows in the next call.
            *this.line_waits =
                !matches!(this.inner.as_mut().poll_drain_buffer(context), Poll::Ready(Ok(())));
        }
        Poll::Ready(Ok(accepted))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        ready!(this.inner.poll_flush(context))?;
        *this.line_waits = false;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_close(context)
    }
}
