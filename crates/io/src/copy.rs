//! Moving bytes from a reader to a writer.

use crate::error::write_zero;
use crate::{BURST, DEFAULT_BUFFER};
use asupersync_core::TaskCx;
use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Copies everything from `reader` to `writer`, flushes, and answers the number of bytes. The writer
/// is left open.
///
/// When the reader has nothing just now, what was written is flushed before the wait.
///
/// # Cancel safety
/// A cancelled call **loses** what it had read and not yet written, at most 8 KiB; [`copy_buf`]
/// loses nothing. A cancel request is answered within one poll.
#[track_caller]
pub fn copy<'a, R, W>(
    cx: &'a TaskCx,
    reader: &'a mut R,
    writer: &'a mut W,
) -> impl Future<Output = io::Result<u64>> + use<'a, R, W>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let site = Location::caller();
    async move {
        let mut transfer = Transfer::new();
        cx.wait_at("io::copy", site, |context| {
            transfer.poll(context, Pin::new(&mut *reader), Pin::new(&mut *writer))
        })
        .await?
    }
}

/// Copies everything from a buffered reader to `writer`, flushes, and adds the number of bytes to
/// `copied` as they are written. The writer is left open.
///
/// # Cancel safety
/// A cancelled call loses nothing: bytes are taken from the reader when the writer has them, and
/// `copied` counts them. A cancel request is answered within one poll.
#[track_caller]
pub fn copy_buf<'a, R, W>(
    cx: &'a TaskCx,
    reader: &'a mut R,
    writer: &'a mut W,
    copied: &'a mut u64,
) -> impl Future<Output = io::Result<()>> + use<'a, R, W>
where
    R: AsyncBufRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let site = Location::caller();
    async move {
        let mut unflushed = false;
        cx.wait_at("io::copy_buf", site, |context| {
            let (mut reader, mut writer) = (Pin::new(&mut *reader), Pin::new(&mut *writer));
            for _ in 0..BURST {
                let Poll::Ready(available) = reader.as_mut().poll_fill_buf(context)? else {
                    if unflushed {
                        ready!(writer.as_mut().poll_flush(context))?;
                        unflushed = false;
                    }
                    return Poll::Pending;
                };
                if available.is_empty() {
                    return writer.as_mut().poll_flush(context);
                }
                match ready!(writer.as_mut().poll_write(context, available))? {
                    0 => return Poll::Ready(Err(write_zero())),
                    n => {
                        reader.as_mut().consume(n);
                        *copied += n as u64;
                        unflushed = true;
                    }
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await?
    }
}

/// Copies in both directions at once until both have ended. The end of one direction closes the
/// other side's writing half, so a half-close passes through. Answers the bytes copied from `a` to
/// `b` and from `b` to `a`.
///
/// # Errors
/// The first error of either direction ends both.
///
/// # Cancel safety
/// A cancelled call **loses** what it had read and not yet written, at most 8 KiB each way. A
/// cancel request is answered within one poll.
#[track_caller]
pub fn copy_bidirectional<'a, A, B>(
    cx: &'a TaskCx,
    a: &'a mut A,
    b: &'a mut B,
) -> impl Future<Output = io::Result<(u64, u64)>> + use<'a, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let site = Location::caller();
    async move {
        let (mut forth, mut back) = (OneWay::new(), OneWay::new());
        cx.wait_at("io::copy_bidirectional", site, |context| {
            // Both are polled before either may answer "pending".
            let forth = forth.poll(context, Pin::new(&mut *a), Pin::new(&mut *b))?;
            let back = back.poll(context, Pin::new(&mut *b), Pin::new(&mut *a))?;
            match (forth, back) {
                (Poll::Ready(forth), Poll::Ready(back)) => Poll::Ready(Ok((forth, back))),
                _ => Poll::Pending,
            }
        })
        .await?
    }
}

/// A copy in progress.
struct Transfer {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    unflushed: bool,
    copied: u64,
}

impl Transfer {
    fn new() -> Transfer {
        let buffer = vec![0; DEFAULT_BUFFER].into_boxed_slice();
        Transfer { buffer, start: 0, end: 0, ended: false, unflushed: false, copied: 0 }
    }

    fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        for _ in 0..BURST {
            if self.start == self.end && !self.ended {
                match reader.as_mut().poll_read(context, &mut self.buffer)? {
                    Poll::Ready(n) => {
                        (self.start, self.end) = (0, n);
                        self.ended = n == 0;
                    }
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(writer.as_mut().poll_flush(context))?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                }
            }
            while self.start < self.end {
                let waiting = &self.buffer[self.start..self.end];
                match ready!(writer.as_mut().poll_write(context, waiting))? {
                    0 => return Poll::Ready(Err(write_zero())),
                    n => {
                        self.start += n;
                        self.copied += n as u64;
                        self.unflushed = true;
                    }
                }
            }
            if self.ended {
                ready!(writer.as_mut().poll_flush(context))?;
                return Poll::Ready(Ok(self.copied));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// One direction of a bidirectional copy: the transfer, then the half-close.
enum OneWay {
    Moving(Transfer),
    Closing(u64),
    Done(u64),
}

impl OneWay {
    fn new() -> OneWay {
        OneWay::Moving(Transfer::new())
    }

    fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        loop {
            *self = match self {
                OneWay::Moving(transfer) => OneWay::Closing(ready!(transfer.poll(
                    context,
                    reader.as_mut(),
                    writer.as_mut()
                ))?),
                OneWay::Closing(copied) => {
                    ready!(writer.as_mut().poll_close(context))?;
                    OneWay::Done(*copied)
                }
                OneWay::Done(copied) => return Poll::Ready(Ok(*copied)),
            };
        }
    }
}
