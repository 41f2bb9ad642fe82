//! The buffers of a framed stream, without their owner.

use super::{Decoder, Encoder};
use crate::BURST;
use crate::write::poll_drain;
use bytes::{Buf, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How much is read at a time, in bytes.
const CHUNK: usize = 8 * 1024;
/// With this much encoded and not yet written, "ready" waits.
const HIGH_WATER: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct ReadState {
    pub(super) buffer: BytesMut,
    stage: Stage,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The buffer may hold a whole message.
    #[default]
    Decode,
    /// The decoder has asked for more bytes.
    Read,
    /// The stream is at its end; what is buffered is all there is.
    Drain,
    /// The end was answered, or an error of the codec.
    Ended,
}

impl ReadState {
    pub(super) fn poll_next<S: AsyncRead + Unpin, C: Decoder>(
        &mut self,
        io: &mut S,
        codec: &mut C,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<C::Item, C::Error>>> {
        let mut rounds = 0;
        loop {
            match self.stage {
                Stage::Decode => match codec.decode(&mut self.buffer) {
                    Ok(Some(item)) => return Poll::Ready(Some(Ok(item))),
                    Ok(None) => self.stage = Stage::Read,
                    Err(error) => {
                        self.stage = Stage::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                Stage::Read => {
                    if rounds == BURST {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    rounds += 1;
                    match ready!(self.poll_fill(io, context)) {
                        Ok(0) => self.stage = Stage::Drain,
                        Ok(_) => self.stage = Stage::Decode,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Poll::Ready(Some(Err(error.into()))),
                    }
                }
                Stage::Drain => {
                    let answer = codec.decode_eof(&mut self.buffer).transpose();
                    if !matches!(answer, Some(Ok(_))) {
                        self.stage = Stage::Ended;
                    }
                    return Poll::Ready(answer);
                }
                Stage::Ended => return Poll::Ready(None),
            }
        }
    }

    fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let end = self.buffer.len();
        self.buffer.resize(end + CHUNK, 0);
        let answer = Pin::new(io).poll_read(context, &mut self.buffer[end..]);
        let got = match &answer {
            Poll::Ready(Ok(n)) => *n,
            _ => 0,
        };
        self.buffer.truncate(end + got);
        answer
    }
}

#[derive(Debug, Default)]
pub(super) struct WriteState {
    pub(super) buffer: BytesMut,
}

impl WriteState {
    pub(super) fn feed<T, C: Encoder<T>>(
        &mut self,
        codec: &mut C,
        message: T,
    ) -> Result<(), C::Error> {
        let before = self.buffer.len();
        codec.encode(message, &mut self.buffer).inspect_err(|_| self.buffer.truncate(before))
    }

    pub(super) fn poll_ready<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.buffer.len() < HIGH_WATER {
            Poll::Ready(Ok(()))
        } else {
            self.poll_write(io, context)
        }
    }

    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(io, context))?;
        Pin::new(io).poll_flush(context)
    }

    pub(super) fn poll_close<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(io, context))?;
        Pin::new(io).poll_close(context)
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut written = 0;
        let answer = poll_drain(Pin::new(io), context, &self.buffer, &mut written);
        self.buffer.advance(written);
        answer
    }
}
