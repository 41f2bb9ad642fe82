//! No framing at all.

use super::{Decoder, Encoder, FrameError};
use bytes::{BufMut, Bytes, BytesMut};

/// Frames without borders: whatever has arrived, up to a limit, is a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesCodec {
    limit: usize,
}

impl BytesCodec {
    /// Hands out pieces of at most `limit` bytes, at least one. Any length may be sent.
    #[must_use]
    pub const fn new(limit: usize) -> BytesCodec {
        BytesCodec { limit: if limit == 0 { 1 } else { limit } }
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let n = bytes.len().min(self.limit);
        Ok((n > 0).then(|| bytes.split_to(n).freeze()))
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for BytesCodec {
    type Error = FrameError;

    fn encode(&mut self, message: T, bytes: &mut BytesMut) -> Result<(), FrameError> {
        bytes.put_slice(message.as_ref());
        Ok(())
    }
}
