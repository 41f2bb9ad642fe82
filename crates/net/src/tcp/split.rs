//! A connection's two directions, owned apart.

use super::TcpStream;
use asupersync_io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The reading half of a [`TcpStream`]; made by [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Arc<TcpStream>,
}

/// The writing half of a [`TcpStream`]; made by [`TcpStream::into_split`]. Dropping it closes its
/// direction: the peer reads what was written and then the end.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Option<Arc<TcpStream>>,
}

pub(super) fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    (OwnedReadHalf { stream: stream.clone() }, OwnedWriteHalf { stream: Some(stream) })
}

impl OwnedReadHalf {
    /// Puts the connection together again.
    ///
    /// # Errors
    /// When the halves are of different connections; both are handed back.
    pub fn reunite(self, mut write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.stream, write.get()) {
            return Err(ReuniteError { read: self, write });
        }
        drop(write.stream.take());
        match Arc::try_unwrap(self.stream) {
            Ok(stream) => Ok(stream),
            Err(_) => unreachable!("a connection has two halves, and both are here"),
        }
    }
}

impl OwnedWriteHalf {
    fn get(&self) -> &Arc<TcpStream> {
        self.stream.as_ref().expect("present until reunited or dropped")
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            // There is nobody to tell, and the stream is closed either way.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        self.get()
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_read(context, buf)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_read_vectored(context, bufs)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get().poll_write(context, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get().poll_write(context, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get().shutdown(Shutdown::Write))
    }
}

/// Two halves that do not belong together, handed back.
#[derive(Debug)]
pub struct ReuniteError {
    /// The reading half.
    pub read: OwnedReadHalf,
    /// The writing half, of another connection.
    pub write: OwnedWriteHalf,
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these halves are of different connections; put each with its own other half")
    }
}

impl std::error::Error for ReuniteError {}
