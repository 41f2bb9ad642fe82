//! A connection's two directions, owned apart.

use crate::backend::Socket;
use crate::tcp::TcpStream;
use asupersync_core::{Error, ErrorKind};
use asupersync_io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A stream that comes apart into two halves: [`TcpStream`] and [`UnixStream`](crate::UnixStream).
pub trait SplitStream: Socket {}

impl<S: Socket> SplitStream for S {}

/// The reading half of a stream; made by [`TcpStream::into_split`] and
/// [`UnixStream::into_split`](crate::UnixStream::into_split).
#[derive(Debug)]
pub struct OwnedReadHalf<S: SplitStream = TcpStream> {
    stream: Arc<S>,
}

/// The writing half of a stream. Dropping it closes its direction: the peer reads what was written and
/// then the end.
#[derive(Debug)]
pub struct OwnedWriteHalf<S: SplitStream = TcpStream> {
    stream: Option<Arc<S>>,
}

pub(crate) fn split<S: SplitStream>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    (OwnedReadHalf { stream: stream.clone() }, OwnedWriteHalf { stream: Some(stream) })
}

impl<S: SplitStream> OwnedReadHalf<S> {
    /// Puts the connection together again.
    ///
    /// # Errors
    /// When the halves are of different connections; both are handed back.
    pub fn reunite(self, mut write: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
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

impl<S: SplitStream> OwnedWriteHalf<S> {
    fn get(&self) -> &Arc<S> {
        self.stream.as_ref().expect("present until reunited or dropped")
    }
}

impl<S: SplitStream> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            // There is nobody to tell, and the stream is closed either way.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

impl<S: SplitStream> AsRef<S> for OwnedReadHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: SplitStream> AsRef<S> for OwnedWriteHalf<S> {
    fn as_ref(&self) -> &S {
        self.get()
    }
}

impl<S: SplitStream> AsyncRead for OwnedReadHalf<S> {
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

impl<S: SplitStream> AsyncWrite for OwnedWriteHalf<S> {
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
pub struct ReuniteError<S: SplitStream = TcpStream> {
    /// The reading half.
    pub read: OwnedReadHalf<S>,
    /// The writing half, of another connection.
    pub write: OwnedWriteHalf<S>,
}

impl<S: SplitStream> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these halves are of different connections; put each with its own other half")
    }
}

impl<S: SplitStream + fmt::Debug> std::error::Error for ReuniteError<S> {}

/// The halves are dropped.
impl<S: SplitStream> From<ReuniteError<S>> for Error {
    #[track_caller]
    fn from(error: ReuniteError<S>) -> Error {
        Error::new(ErrorKind::InvalidInput, error.to_string())
    }
}
