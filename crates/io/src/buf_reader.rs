//! A reader with a buffer.

use crate::error::unexpected_eof;
use crate::{BURST, DEFAULT_BUFFER};
use asupersync_core::TaskCx;
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, IoSlice, SeekFrom};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// Reads large pieces from an inner reader and hands out small ones.
    ///
    /// Writes pass straight through, so a `BufReader` around a socket is still a socket.
    ///
    /// # Cancel safety
    /// What was read ahead stays in the buffer. [`peek`](BufReader::peek) is the `read_exact` that
    /// takes all or nothing.
    pub struct BufReader<R> {
        #[pin]
        inner: R,
        buffer: Box<[u8]>,
        start: usize,
        end: usize,
    }
}

impl<R> BufReader<R> {
    /// With a buffer of 8 KiB.
    pub fn new(inner: R) -> BufReader<R> {
        BufReader::with_capacity(DEFAULT_BUFFER, inner)
    }

    /// With a buffer of `capacity` bytes, at least one.
    pub fn with_capacity(capacity: usize, inner: R) -> BufReader<R> {
        let buffer = vec![0; capacity.max(1)].into_boxed_slice();
        BufReader { inner, buffer, start: 0, end: 0 }
    }

    /// What was read ahead.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The size of the buffer, in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// The inner reader. Reading from it directly misses what was read ahead.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The inner reader. Reading from it directly misses what was read ahead.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The inner reader; what was read ahead is **dropped**. See [`into_parts`](Self::into_parts).
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The inner reader and what was read ahead.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        let ahead = self.buffer().to_vec();
        (self.inner, ahead)
    }
}

impl<R: AsyncRead + Unpin> BufReader<R> {
    /// Waits until `n` bytes are buffered and answers them, without taking them: `consume(n)` does
    /// that, or reading them.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends first (the bytes stay in the buffer), `InvalidInput` when
    /// `n` is larger than the buffer.
    ///
    /// # Cancel safety
    /// A cancelled call loses nothing. `peek` and `consume` make a `read_exact` that takes all or
    /// nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn peek<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        n: usize,
    ) -> impl Future<Output = io::Result<&'a [u8]>> + use<'a, R> {
        let site = Location::caller();
        async move {
            cx.wait_at("io::peek", site, |context| self.poll_buffered(context, n)).await??;
            Ok(&self.buffer[self.start..self.start + n])
        }
    }

    /// Takes `n` bytes out of the buffer.
    ///
    /// # Panics
    /// When fewer than `n` bytes are buffered.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.end - self.start, "consumed more bytes than are buffered");
        self.start += n;
    }

    fn poll_buffered(&mut self, context: &mut Context<'_>, n: usize) -> Poll<io::Result<()>> {
        if n > self.buffer.len() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot peek {n} bytes with a buffer of {}", self.buffer.len()),
            )));
        }
        if self.start + n > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut rounds = 0;
        while self.end - self.start < n {
            if rounds == BURST {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            rounds += 1;
            let free = &mut self.buffer[self.end..];
            match ready!(Pin::new(&mut self.inner).poll_read(context, free)) {
                Ok(0) => return Poll::Ready(Err(unexpected_eof(n, self.end - self.start))),
                Ok(got) => self.end += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead> AsyncRead for BufReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.start == self.end && buf.len() >= self.buffer.len() {
            return self.project().inner.poll_read(context, buf);
        }
        let available = ready!(self.as_mut().poll_fill_buf(context))?;
        let n = available.len().min(buf.len());
        buf[..n].copy_from_slice(&available[..n]);
        *self.project().start += n;
        Poll::Ready(Ok(n))
    }
}

impl<R: AsyncRead> AsyncBufRead for BufReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        if *this.start == *this.end {
            (*this.start, *this.end) = (0, 0);
            *this.end = ready!(this.inner.poll_read(context, this.buffer))?;
        }
        Poll::Ready(Ok(&this.buffer[*this.start..*this.end]))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.project();
        *this.start = (*this.start + amount).min(*this.end);
    }
}

impl<R: AsyncSeek> AsyncSeek for BufReader<R> {
    fn poll_seek(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        position: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        let this = self.project();
        let ahead = (*this.end - *this.start) as i64;
        // The inner reader stands `ahead` bytes further than this one.
        let position = match position {
            SeekFrom::Current(by) => match by.checked_sub(ahead) {
                Some(by) => SeekFrom::Current(by),
                None => return Poll::Ready(Err(io::ErrorKind::InvalidInput.into())),
            },
            other => other,
        };
        let answer = ready!(this.inner.poll_seek(context, position))?;
        (*this.start, *this.end) = (0, 0);
        Poll::Ready(Ok(answer))
    }
}

impl<R: AsyncWrite> AsyncWrite for BufReader<R> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(context, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(context, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_close(context)
    }
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("inner", &self.inner)
            .field("buffered", &format_args!("{}/{}", self.end - self.start, self.buffer.len()))
            .finish()
    }
}
