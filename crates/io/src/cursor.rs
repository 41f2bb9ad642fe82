//! Bytes in memory as a stream.

use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, SeekFrom};
use std::io::{self, BufRead, Read, Seek, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

/// `std`'s cursor as an asynchronous stream that is always ready: reads and seeks in anything that
/// is a slice of bytes, writes into what `std`'s cursor can write into (a `Vec<u8>`, a `&mut [u8]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor<T>(io::Cursor<T>);

impl<T> Cursor<T> {
    /// At the start of `bytes`.
    pub const fn new(bytes: T) -> Cursor<T> {
        Cursor(io::Cursor::new(bytes))
    }

    /// The offset from the start, in bytes.
    pub const fn position(&self) -> u64 {
        self.0.position()
    }

    /// The bytes.
    pub const fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    /// The bytes, without the cursor.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: AsRef<[u8]> + Unpin> AsyncRead for Cursor<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.read(buf))
    }
}

impl<T: AsRef<[u8]> + Unpin> AsyncBufRead for Cursor<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(self.get_mut().0.fill_buf())
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.0.consume(amount);
    }
}

impl<T: AsRef<[u8]> + Unpin> AsyncSeek for Cursor<T> {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        position: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        Poll::Ready(self.0.seek(position))
    }
}

impl<T: Unpin> AsyncWrite for Cursor<T>
where
    io::Cursor<T>: Write,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
