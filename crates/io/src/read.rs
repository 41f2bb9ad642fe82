//! Reading.

use crate::error::{LimitExceeded, unexpected_eof};
use crate::{BURST, Chain, Take};
use asupersync_core::TaskCx;
use futures_io::{AsyncRead, IoSliceMut};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Reading from any [`AsyncRead`] through the wait door.
///
/// Every call answers an error that carries `Cancelled` in a cancelled, unmasked scope, before it
/// looks at the stream.
pub trait AsyncReadExt: AsyncRead {
    /// Reads some bytes into `buf`, at least one unless `buf` is empty or the stream is at its end.
    ///
    /// # Cancel safety
    /// A cancelled call has taken nothing from the stream.
    #[track_caller]
    fn read<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::read", site, |context| Pin::new(&mut *self).poll_read(context, buf))
                .await?
        }
    }

    /// As [`read`](Self::read), into several buffers, filled in order.
    ///
    /// # Cancel safety
    /// A cancelled call has taken nothing from the stream.
    #[track_caller]
    fn read_vectored<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        bufs: &'a mut [IoSliceMut<'a>],
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::read_vectored", site, |context| {
                Pin::new(&mut *self).poll_read_vectored(context, bufs)
            })
            .await?
        }
    }

    /// Fills `buf`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends first.
    ///
    /// # Cancel safety
    /// A cancelled call **loses** the bytes it had taken: they are in `buf`, but nobody knows how
    /// many. Where that matters use [`read_exact_resume`](Self::read_exact_resume) or
    /// [`BufReader::peek`](crate::BufReader::peek).
    #[track_caller]
    fn read_exact<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<()>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            let mut filled = 0;
            cx.wait_at("io::read_exact", site, |context| {
                poll_fill(Pin::new(&mut *self), context, buf, &mut filled)
            })
            .await?
        }
    }

    /// Fills `buf[*filled..]`, keeping count in `filled`: the `read_exact` whose progress belongs to
    /// the caller.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends first; `filled` says how far it came.
    ///
    /// # Cancel safety
    /// A cancelled call loses nothing: call again with the same `buf` and `filled`.
    ///
    /// # Panics
    /// When `*filled` is greater than `buf.len()`.
    #[track_caller]
    fn read_exact_resume<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        buf: &'a mut [u8],
        filled: &'a mut usize,
    ) -> impl Future<Output = io::Result<()>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::read_exact", site, |context| {
                poll_fill(Pin::new(&mut *self), context, buf, filled)
            })
            .await?
        }
    }

    /// Reads to the end of the stream and appends to `buf`, at most `limit` bytes in this call.
    /// Answers the number of bytes appended.
    ///
    /// # Errors
    /// [`LimitExceeded`] when the stream holds more than `limit` bytes; `buf` then has `limit + 1` of them.
    ///
    /// # Cancel safety
    /// A cancelled call loses nothing: what it took is in `buf`; call again to continue.
    #[track_caller]
    fn read_to_end<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        buf: &'a mut Vec<u8>,
        limit: usize,
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            let start = buf.len();
            let mut chunk = FIRST_CHUNK;
            cx.wait_at("io::read_to_end", site, |context| {
                poll_to_end(Pin::new(&mut *self), context, buf, start, limit, &mut chunk)
            })
            .await?
        }
    }

    /// Reads to the end of the stream and appends to `text`, at most `limit` bytes.
    ///
    /// # Errors
    /// `InvalidData` when the bytes are not UTF-8, [`LimitExceeded`] beyond `limit`. `text` is then
    /// what it was.
    ///
    /// # Cancel safety
    /// A cancelled call **loses** the bytes it had taken; [`read_to_end`](Self::read_to_end) does not.
    #[track_caller]
    fn read_to_string<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        text: &'a mut String,
        limit: usize,
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            let mut bytes = Vec::new();
            let mut chunk = FIRST_CHUNK;
            cx.wait_at("io::read_to_string", site, |context| {
                poll_to_end(Pin::new(&mut *self), context, &mut bytes, 0, limit, &mut chunk)
            })
            .await??;
            text.push_str(std::str::from_utf8(&bytes).map_err(invalid_utf8)?);
            Ok(bytes.len())
        }
    }

    /// A reader of at most the next `limit` bytes of this one.
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take::new(self, limit)
    }

    /// A reader of this one's bytes, then `next`'s.
    fn chain<R: AsyncRead>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
    {
        Chain::new(self, next)
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}

const FIRST_CHUNK: usize = 512;
const LARGEST_CHUNK: usize = 64 * 1024;

pub(crate) fn invalid_utf8(error: std::str::Utf8Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn poll_fill<R: AsyncRead + ?Sized>(
    mut reader: Pin<&mut R>,
    context: &mut Context<'_>,
    buf: &mut [u8],
    filled: &mut usize,
) -> Poll<io::Result<()>> {
    let mut rounds = 0;
    while *filled < buf.len() {
        if rounds == BURST {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        rounds += 1;
        match ready!(reader.as_mut().poll_read(context, &mut buf[*filled..])) {
            Ok(0) => return Poll::Ready(Err(unexpected_eof(buf.len(), *filled))),
            Ok(n) => *filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    assert!(
        *filled == buf.len(),
        "`filled` ({filled}) lies beyond the buffer's {} bytes",
        buf.len()
    );
    Poll::Ready(Ok(()))
}

fn poll_to_end<R: AsyncRead + ?Sized>(
    mut reader: Pin<&mut R>,
    context: &mut Context<'_>,
    buf: &mut Vec<u8>,
    start: usize,
    limit: usize,
    chunk: &mut usize,
) -> Poll<io::Result<usize>> {
    for _ in 0..BURST {
        let end = buf.len();
        // One byte beyond the limit tells "exactly at the limit" from "more than the limit".
        let room = limit.saturating_add(1) - (end - start);
        if room == 0 {
            return Poll::Ready(Err(LimitExceeded { what: "the stream", limit }.into()));
        }
        let step = room.min(*chunk);
        buf.resize(end + step, 0);
        let answer = reader.as_mut().poll_read(context, &mut buf[end..]);
        let got = match &answer {
            Poll::Ready(Ok(n)) => *n,
            _ => 0,
        };
        buf.truncate(end + got);
        match ready!(answer) {
            Ok(0) => return Poll::Ready(Ok(end - start)),
            Ok(n) if n == step => *chunk = (*chunk * 2).min(LARGEST_CHUNK),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}
