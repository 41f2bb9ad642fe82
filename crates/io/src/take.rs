//! A reader that stops early.

use futures_io::{AsyncBufRead, AsyncRead};
use pin_project_lite::pin_project;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A reader of at most a number of bytes; made by [`AsyncReadExt::take`](crate::AsyncReadExt::take).
    ///
    /// # Cancel safety
    /// Takes from the inner reader only what it hands out.
    #[derive(Debug)]
    pub struct Take<R> {
        #[pin]
        inner: R,
        left: u64,
    }
}

impl<R> Take<R> {
    pub(crate) fn new(inner: R, limit: u64) -> Take<R> {
        Take { inner, left: limit }
    }

    /// How many bytes may still be read.
    pub fn limit(&self) -> u64 {
        self.left
    }

    /// Allows `limit` more bytes, however many were read before.
    pub fn set_limit(&mut self, limit: u64) {
        self.left = limit;
    }

    /// The inner reader, positioned after the last byte handed out.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

fn clamp(left: u64, len: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(len)
}

impl<R: AsyncRead> AsyncRead for Take<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let most = clamp(*this.left, buf.len());
        if most == 0 {
            return Poll::Ready(Ok(0));
        }
        let n = ready!(this.inner.poll_read(context, &mut buf[..most]))?;
        *this.left -= n as u64;
        Poll::Ready(Ok(n))
    }
}

impl<R: AsyncBufRead> AsyncBufRead for Take<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        if *this.left == 0 {
            return Poll::Ready(Ok(&[]));
        }
        let buf = ready!(this.inner.poll_fill_buf(context))?;
        Poll::Ready(Ok(&buf[..clamp(*this.left, buf.len())]))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.project();
        let amount = clamp(*this.left, amount);
        *this.left -= amount as u64;
        this.inner.consume(amount);
    }
}
