//! Frames with their length in front.

use super::{Decoder, Encoder, FrameError};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Each frame is its length as four bytes in network order, then that many bytes.
///
/// The length does not count itself. A frame may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthDelimited {
    limit: usize,
}

const HEADER: usize = 4;

impl LengthDelimited {
    /// Frames of at most `limit` bytes (and at most `u32::MAX`), in both directions. The limit is
    /// checked against the header, before anything is buffered for the frame.
    #[must_use]
    pub const fn new(limit: usize) -> LengthDelimited {
        LengthDelimited { limit }
    }

    /// The longest frame, in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }
}

impl Decoder for LengthDelimited {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*header);
        let length = match usize::try_from(announced) {
            Ok(length) if length <= self.limit => length,
            _ => return Err(FrameError::TooLong { length: announced.into(), limit: self.limit }),
        };
        if bytes.len() - HEADER < length {
            return Ok(None);
        }
        bytes.advance(HEADER);
        Ok(Some(bytes.split_to(length).freeze()))
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for LengthDelimited {
    type Error = FrameError;

    fn encode(&mut self, message: T, bytes: &mut BytesMut) -> Result<(), FrameError> {
        let message = message.as_ref();
        let length = match u32::try_from(message.len()) {
            Ok(length) if message.len() <= self.limit => length,
            _ => {
                return Err(FrameError::TooLong {
                    length: message.len() as u64,
                    limit: self.limit,
                });
            }
        };
        bytes.reserve(HEADER + message.len());
        bytes.put_u32(length);
        bytes.put_slice(message);
        Ok(())
    }
}
