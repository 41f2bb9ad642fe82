//! Streams that need no peer: nothing, the same byte for ever, a hole.

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream that is at its end; made by [`empty`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

/// A stream that is at its end.
#[must_use]
pub const fn empty() -> Empty {
    Empty
}

impl AsyncRead for Empty {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }
}

impl AsyncBufRead for Empty {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(&[]))
    }

    fn consume(self: Pin<&mut Self>, _: usize) {}
}

/// One byte for ever; made by [`repeat`].
#[derive(Clone, Copy, Debug)]
pub struct Repeat(u8);

/// A reader that never ends and never waits.
#[must_use]
pub const fn repeat(byte: u8) -> Repeat {
    Repeat(byte)
}

impl AsyncRead for Repeat {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        buf.fill(self.0);
        Poll::Ready(Ok(buf.len()))
    }
}

/// Takes every byte and keeps none; made by [`sink`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sink;

/// A writer that takes every byte and keeps none.
#[must_use]
pub const fn sink() -> Sink {
    Sink
}

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
