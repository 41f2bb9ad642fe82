//! Messages over byte streams.

mod bytes;
mod codec;
mod length;
mod line;
mod state;

pub use self::bytes::BytesCodec;
pub use self::codec::{Decoder, Encoder, FrameError};
pub use self::length::LengthDelimited;
pub use self::line::LineCodec;

use self::state::{ReadState, WriteState};
use ::bytes::BytesMut;
use asupersync_core::TaskCx;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream of bytes as a stream of messages, in both directions.
///
/// Reading: [`next`](Framed::next). Writing in two steps that nothing can be lost between:
/// [`ready`](Framed::ready) waits for room, [`feed`](Framed::feed) puts the message into the buffer
/// and cannot wait, [`flush`](Framed::flush) sees it out; or [`send`](Framed::send), all three. Also a
/// `Stream` and a `Sink`.
///
/// # Cancel safety
/// `next`, `ready` and `flush` lose nothing. See `send` for what it does.
#[derive(Debug)]
pub struct Framed<S, C> {
    io: S,
    codec: C,
    read: ReadState,
    write: WriteState,
}

/// Messages read from a stream: the reading half of [`Framed`], for the read half of a split stream.
#[derive(Debug)]
pub struct FramedRead<S, C> {
    io: S,
    codec: C,
    read: ReadState,
}

/// Messages written to a stream: the writing half of [`Framed`], for the write half of a split
/// stream.
#[derive(Debug)]
pub struct FramedWrite<S, C> {
    io: S,
    codec: C,
    write: WriteState,
}

/// What a framed stream is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct FramedParts<S, C> {
    /// The stream of bytes.
    pub io: S,
    /// The codec.
    pub codec: C,
    /// Bytes that were read and not yet decoded.
    pub read: BytesMut,
    /// Bytes that were encoded and not yet written.
    pub write: BytesMut,
}

impl<S, C> Framed<S, C> {
    /// Messages of `codec` over `io`.
    pub fn new(io: S, codec: C) -> Framed<S, C> {
        Framed { io, codec, read: ReadState::default(), write: WriteState::default() }
    }

    /// The stream, the codec and what lies in the buffers.
    pub fn into_parts(self) -> FramedParts<S, C> {
        FramedParts {
            io: self.io,
            codec: self.codec,
            read: self.read.buffer,
            write: self.write.buffer,
        }
    }
}

impl<S, C> FramedRead<S, C> {
    /// Messages of `codec` from `io`.
    pub fn new(io: S, codec: C) -> FramedRead<S, C> {
        FramedRead { io, codec, read: ReadState::default() }
    }

    /// The stream, the codec and what was read and not yet decoded.
    pub fn into_parts(self) -> FramedParts<S, C> {
        FramedParts {
            io: self.io,
            codec: self.codec,
            read: self.read.buffer,
            write: BytesMut::new(),
        }
    }
}

impl<S, C> FramedWrite<S, C> {
    /// Messages of `codec` to `io`.
    pub fn new(io: S, codec: C) -> FramedWrite<S, C> {
        FramedWrite { io, codec, write: WriteState::default() }
    }

    /// The stream, the codec and what was encoded and not yet written.
    pub fn into_parts(self) -> FramedParts<S, C> {
        FramedParts {
            io: self.io,
            codec: self.codec,
            read: BytesMut::new(),
            write: self.write.buffer,
        }
    }
}

macro_rules! common {
    ($name:ident) => {
        impl<S, C> $name<S, C> {
            /// The stream of bytes.
            pub fn get_ref(&self) -> &S {
                &self.io
            }

            /// The stream of bytes. Reading or writing it directly breaks the framing.
            pub fn get_mut(&mut self) -> &mut S {
                &mut self.io
            }

            /// The codec.
            pub fn codec(&self) -> &C {
                &self.codec
            }
        }
    };
}

common!(Framed);
common!(FramedRead);
common!(FramedWrite);

macro_rules! reading {
    ($name:ident) => {
        impl<S: AsyncRead + Unpin, C: Decoder> $name<S, C> {
            /// The next message; none at the end of the stream, and after an error of the codec.
            ///
            /// # Errors
            /// What the codec found wrong, or what the stream answered, `Cancelled` included.
            ///
            /// # Cancel safety
            /// A cancelled call loses nothing: the part of a message that has arrived stays in
            /// here. A cancel request is answered within one poll.
            #[track_caller]
            pub fn next<'a>(
                &'a mut self,
                cx: &'a TaskCx,
            ) -> impl Future<Output = Result<Option<C::Item>, C::Error>> + use<'a, S, C> {
                let site = Location::caller();
                async move {
                    let $name { io, codec, read, .. } = self;
                    cx.wait_at("io::next_frame", site, |context| read.poll_next(io, codec, context))
                        .await
                        .map_err(io::Error::from)?
                        .transpose()
                }
            }
        }

        impl<S: AsyncRead + Unpin, C: Decoder + Unpin> Stream for $name<S, C> {
            type Item = Result<C::Item, C::Error>;

            fn poll_next(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                let $name { io, codec, read, .. } = self.get_mut();
                read.poll_next(io, codec, context)
            }
        }
    };
}

reading!(Framed);
reading!(FramedRead);

macro_rules! writing {
    ($name:ident) => {
        impl<S: AsyncWrite + Unpin, C> $name<S, C> {
            /// Waits until the buffer has room for a message.
            ///
            /// # Cancel safety
            /// A cancelled call loses nothing. A cancel request is answered within one poll.
            #[track_caller]
            pub fn ready<'a>(
                &'a mut self,
                cx: &'a TaskCx,
            ) -> impl Future<Output = io::Result<()>> + use<'a, S, C> {
                let site = Location::caller();
                async move {
                    let $name { io, write, .. } = self;
                    cx.wait_at("io::frame_ready", site, |context| write.poll_ready(io, context))
                        .await?
                }
            }

            /// Puts a message into the buffer, whether [`ready`](Self::ready) was waited for or not.
            /// It goes out with a later `ready`, `flush` or `close`.
            ///
            /// # Errors
            /// What the codec finds wrong with the message; nothing of it is then in the buffer.
            pub fn feed<T>(&mut self, message: T) -> Result<(), C::Error>
            where
                C: Encoder<T>,
            {
                self.write.feed(&mut self.codec, message)
            }

            /// Waits until every message has left the buffer, and the stream's own.
            ///
            /// # Cancel safety
            /// A cancelled call loses nothing; call again. A cancel request is answered within one
            /// poll.
            #[track_caller]
            pub fn flush<'a>(
                &'a mut self,
                cx: &'a TaskCx,
            ) -> impl Future<Output = io::Result<()>> + use<'a, S, C> {
                let site = Location::caller();
                async move {
                    let $name { io, write, .. } = self;
                    cx.wait_at("io::flush_frames", site, |context| write.poll_flush(io, context))
                        .await?
                }
            }

            /// Flushes, then closes the stream's writing direction.
            ///
            /// # Cancel safety
            /// A cancelled call loses nothing; call again. A cancel request is answered within one
            /// poll.
            #[track_caller]
            pub fn close<'a>(
                &'a mut self,
                cx: &'a TaskCx,
            ) -> impl Future<Output = io::Result<()>> + use<'a, S, C> {
                let site = Location::caller();
                async move {
                    let $name { io, write, .. } = self;
                    cx.wait_at("io::close_frames", site, |context| write.poll_close(io, context))
                        .await?
                }
            }

            /// Waits for room, encodes the message, and flushes.
            ///
            /// # Cancel safety
            /// Cancelled while it waits for room, `message` is dropped unsent; cancelled while it
            /// flushes, the message is in the buffer, whole and once, and goes out with the next
            /// `ready`, `flush`, `send` or `close`. Who must know which takes the three steps
            /// singly. A cancel request is answered within one poll.
            #[track_caller]
            pub fn send<'a, T>(
                &'a mut self,
                cx: &'a TaskCx,
                message: T,
            ) -> impl Future<Output = Result<(), C::Error>> + use<'a, S, C, T>
            where
                C: Encoder<T>,
            {
                let site = Location::caller();
                async move {
                    let $name { io, codec, write, .. } = self;
                    cx.wait_at("io::frame_ready", site, |context| write.poll_ready(io, context))
                        .await
                        .map_err(io::Error::from)??;
                    write.feed(codec, message)?;
                    cx.wait_at("io::flush_frames", site, |context| write.poll_flush(io, context))
                        .await
                        .map_err(io::Error::from)??;
                    Ok(())
                }
            }
        }

        impl<T, S: AsyncWrite + Unpin, C: Encoder<T> + Unpin> Sink<T> for $name<S, C> {
            type Error = C::Error;

            fn poll_ready(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Result<(), Self::Error>> {
                let $name { io, write, .. } = self.get_mut();
                write.poll_ready(io, context).map_err(Into::into)
            }

            fn start_send(self: Pin<&mut Self>, message: T) -> Result<(), Self::Error> {
                self.get_mut().feed(message)
            }

            fn poll_flush(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Result<(), Self::Error>> {
                let $name { io, write, .. } = self.get_mut();
                write.poll_flush(io, context).map_err(Into::into)
            }

            fn poll_close(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Result<(), Self::Error>> {
                let $name { io, write, .. } = self.get_mut();
                write.poll_close(io, context).map_err(Into::into)
            }
        }
    };
}

writing!(Framed);
writing!(FramedWrite);
