//! Two readers, one after the other.

use futures_io::{AsyncBufRead, AsyncRead};
use pin_project_lite::pin_project;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A reader of one stream and then another; made by
    /// [`AsyncReadExt::chain`](crate::AsyncReadExt::chain).
    ///
    /// # Cancel safety
    /// Takes from the inner readers only what it hands out.
    #[derive(Debug)]
    pub struct Chain<A, B> {
        #[pin]
        first: A,
        #[pin]
        second: B,
        first_ended: bool,
    }
}

impl<A, B> Chain<A, B> {
    pub(crate) fn new(first: A, second: B) -> Chain<A, B> {
        Chain { first, second, first_ended: false }
    }

    /// Both readers.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }
}

impl<A: AsyncRead, B: AsyncRead> AsyncRead for Chain<A, B> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        if !*this.first_ended {
            let n = ready!(this.first.poll_read(context, buf))?;
            if n > 0 || buf.is_empty() {
                return Poll::Ready(Ok(n));
            }
            *this.first_ended = true;
        }
        this.second.poll_read(context, buf)
    }
}

impl<A: AsyncBufRead, B: AsyncBufRead> AsyncBufRead for Chain<A, B> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        if !*this.first_ended {
            let buf = ready!(this.first.poll_fill_buf(context))?;
            if !buf.is_empty() {
                return Poll::Ready(Ok(buf));
            }
            *this.first_ended = true;
        }
        this.second.poll_fill_buf(context)
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.project();
        if *this.first_ended {
            this.second.consume(amount);
        } else {
            this.first.consume(amount);
        }
    }
}
