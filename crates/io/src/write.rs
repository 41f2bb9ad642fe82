//! Writing.

use crate::BURST;
use crate::error::write_zero;
use asupersync_core::TaskCx;
use futures_io::{AsyncWrite, IoSlice};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Writing to any [`AsyncWrite`] through the wait door.
///
/// Every call answers an error that carries `Cancelled` in a cancelled, unmasked scope, before it
/// looks at the stream. Cleanup that must still write does so inside `cx.masked(..)`.
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes some bytes of `buf` and says how many.
    ///
    /// # Cancel safety
    /// A cancelled call has written nothing.
    #[track_caller]
    fn write<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        buf: &'a [u8],
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::write", site, |context| Pin::new(&mut *self).poll_write(context, buf))
                .await?
        }
    }

    /// As [`write`](Self::write), from several buffers in order.
    ///
    /// # Cancel safety
    /// A cancelled call has written nothing.
    #[track_caller]
    fn write_vectored<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        bufs: &'a [IoSlice<'a>],
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::write_vectored", site, |context| {
                Pin::new(&mut *self).poll_write_vectored(context, bufs)
            })
            .await?
        }
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// `WriteZero` when the stream takes no more bytes.
    ///
    /// # Cancel safety
    /// A cancelled call has written an **unknown** part; only closing the stream makes sense then.
    /// [`write_all_resume`](Self::write_all_resume) keeps count.
    #[track_caller]
    fn write_all<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        buf: &'a [u8],
    ) -> impl Future<Output = io::Result<()>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            let mut written = 0;
            cx.wait_at("io::write_all", site, |context| {
                poll_drain(Pin::new(&mut *self), context, buf, &mut written)
            })
            .await?
        }
    }

    /// Writes `buf[*written..]`, keeping count in `written`: the `write_all` whose progress belongs to
    /// the caller.
    ///
    /// # Errors
    /// `WriteZero` when the stream takes no more bytes; `written` says how far it came.
    ///
    /// # Cancel safety
    /// A cancelled call loses nothing: call again with the same `buf` and `written`.
    ///
    /// # Panics
    /// When `*written` is greater than `buf.len()`.
    #[track_caller]
    fn write_all_resume<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        buf: &'a [u8],
        written: &'a mut usize,
    ) -> impl Future<Output = io::Result<()>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::write_all", site, |context| {
                poll_drain(Pin::new(&mut *self), context, buf, written)
            })
            .await?
        }
    }

    /// Writes all of several buffers. The slices are advanced as their bytes are written.
    ///
    /// # Errors
    /// `WriteZero` when the stream takes no more bytes.
    ///
    /// # Cancel safety
    /// A cancelled call has written an **unknown** part, as [`write_all`](Self::write_all).
    #[track_caller]
    fn write_all_vectored<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        bufs: &'a mut [IoSlice<'a>],
    ) -> impl Future<Output = io::Result<()>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            let mut rest = bufs;
            // Leading empty slices would make the first write look like a stream that is full.
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let answer = cx
                    .wait_at("io::write_all_vectored", site, |context| {
                        Pin::new(&mut *self).poll_write_vectored(context, rest)
                    })
                    .await?;
                match answer {
                    Ok(0) => return Err(write_zero()),
                    Ok(n) => IoSlice::advance_slices(&mut rest, n),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    }

    /// Waits until everything written so far has left the stream's own buffers.
    ///
    /// # Cancel safety
    /// A cancelled call loses nothing; call again.
    #[track_caller]
    fn flush<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = io::Result<()>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::flush", site, |context| Pin::new(&mut *self).poll_flush(context))
                .await?
        }
    }

    /// Flushes, then closes the writing direction; the peer reads the end of the stream. Reading goes
    /// on.
    ///
    /// # Cancel safety
    /// A cancelled call may be repeated.
    #[track_caller]
    fn close<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = io::Result<()>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::close", site, |context| Pin::new(&mut *self).poll_close(context))
                .await?
        }
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}

pub(crate) fn poll_drain<W: AsyncWrite + ?Sized>(
    mut writer: Pin<&mut W>,
    context: &mut Context<'_>,
    buf: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    let mut rounds = 0;
    while *written < buf.len() {
        if rounds == BURST {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        rounds += 1;
        match ready!(writer.as_mut().poll_write(context, &buf[*written..])) {
            Ok(0) => return Poll::Ready(Err(write_zero())),
            Ok(n) => *written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    assert!(
        *written == buf.len(),
        "`written` ({written}) lies beyond the buffer's {} bytes",
        buf.len()
    );
    Poll::Ready(Ok(()))
}
