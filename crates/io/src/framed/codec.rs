//! The two halves of a codec, and what can go wrong.

use bytes::BytesMut;
use std::fmt;
use std::io;

/// Finds messages in bytes.
///
/// A decoder bounds what it waits for: one that answers "not yet" for ever makes its stream buffer
/// for ever. The codecs of this crate all take a limit.
pub trait Decoder {
    /// A message.
    type Item;
    /// What can be wrong with the bytes.
    type Error: From<io::Error>;

    /// Takes one message off the front of `bytes`, or answers none and leaves `bytes` to grow. After
    /// an error the stream is not read further.
    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error>;

    /// As [`decode`](Self::decode), when no more bytes will come. What is left must be a message, or
    /// nothing.
    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        match self.decode(bytes)? {
            Some(item) => Ok(Some(item)),
            None if bytes.is_empty() => Ok(None),
            None => Err(io::Error::from(FrameError::Truncated { left: bytes.len() }).into()),
        }
    }
}

/// Turns messages into bytes.
pub trait Encoder<T> {
    /// What can be wrong with a message.
    type Error: From<io::Error>;

    /// Appends `message` to `bytes`. On an error `bytes` is cut back to what it was.
    fn encode(&mut self, message: T, bytes: &mut BytesMut) -> Result<(), Self::Error>;
}

/// Why a frame could not be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is longer than the codec's limit, in bytes; `length` is what its header claims, or
    /// what has arrived of it.
    TooLong {
        /// The frame's length.
        length: u64,
        /// The codec's limit.
        limit: usize,
    },
    /// The stream ended inside a frame, with this many bytes of it.
    Truncated {
        /// The bytes that are left.
        left: usize,
    },
    /// A line is not UTF-8.
    InvalidUtf8(std::str::Utf8Error),
    /// A line to be sent contains a line feed, which would make it two.
    LineFeedInLine,
    /// The stream failed, or the wait was cancelled.
    Io(io::Error),
}

impl FrameError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            FrameError::TooLong { .. } => "ASY-0502",
            FrameError::Truncated { .. } => "ASY-0503",
            FrameError::InvalidUtf8(_) => "ASY-0504",
            FrameError::LineFeedInLine => "ASY-0505",
            FrameError::Io(_) => "ASY-0506",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            FrameError::TooLong { length, limit } => write!(
                f,
                "a frame of {length} bytes exceeds the codec's limit of {limit}; raise the limit on \
                 both sides, or send smaller messages"
            ),
            FrameError::Truncated { left } => write!(
                f,
                "the stream ended {left} bytes into a frame; the peer went away without finishing it"
            ),
            FrameError::InvalidUtf8(error) => {
                write!(f, "a line is not UTF-8: {error}; read it with `BytesCodec` or `read_until`")
            }
            FrameError::LineFeedInLine => {
                f.write_str("a line to send contains a line feed; send it as two lines")
            }
            FrameError::Io(error) => write!(f, "the stream under the frames failed: {error}"),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FrameError::InvalidUtf8(error) => Some(error),
            FrameError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<FrameError>() {
            Ok(error) => error,
            Err(error) => FrameError::Io(error),
        }
    }
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match error {
            FrameError::Io(error) => return error,
            FrameError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            FrameError::LineFeedInLine => io::ErrorKind::InvalidInput,
            FrameError::TooLong { .. } | FrameError::InvalidUtf8(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

impl From<asupersync_core::Cancelled> for FrameError {
    fn from(cancelled: asupersync_core::Cancelled) -> Self {
        FrameError::Io(cancelled.into())
    }
}

impl From<FrameError> for asupersync_core::Error {
    #[track_caller]
    fn from(error: FrameError) -> Self {
        io::Error::from(error).into()
    }
}
