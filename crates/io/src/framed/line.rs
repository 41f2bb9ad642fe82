//! Lines as frames.

use super::{Decoder, Encoder, FrameError};
use bytes::{BufMut, BytesMut};

/// Each frame is a line of UTF-8, ended by `\n` or `\r\n`; `\n` is written, but `\r\n` after a line that ends
/// with `\r` itself, so that it is read as it was.
///
/// A last line without its ending counts as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineCodec {
    limit: usize,
    searched: usize,
}

impl LineCodec {
    /// Lines of at most `limit` bytes, their ending not counted, in both directions.
    #[must_use]
    pub const fn new(limit: usize) -> LineCodec {
        LineCodec { limit, searched: 0 }
    }

    fn line(&self, line: &[u8]) -> Result<String, FrameError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.limit {
            return Err(FrameError::TooLong { length: line.len() as u64, limit: self.limit });
        }
        std::str::from_utf8(line).map(str::to_owned).map_err(FrameError::InvalidUtf8)
    }
}

impl Decoder for LineCodec {
    type Item = String;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<String>, FrameError> {
        match memchr::memchr(b'\n', &bytes[self.searched..]) {
            Some(index) => {
                let line = bytes.split_to(self.searched + index + 1);
                self.searched = 0;
                self.line(&line[..line.len() - 1]).map(Some)
            }
            // A carriage return may be the first half of the ending.
            None if bytes.len() > self.limit.saturating_add(1) => {
                Err(FrameError::TooLong { length: bytes.len() as u64, limit: self.limit })
            }
            None => {
                self.searched = bytes.len();
                Ok(None)
            }
        }
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<String>, FrameError> {
        match self.decode(bytes)? {
            Some(line) => Ok(Some(line)),
            None if bytes.is_empty() => Ok(None),
            None => {
                self.searched = 0;
                let line = bytes.split();
                self.line(&line).map(Some)
            }
        }
    }
}

impl<T: AsRef<str>> Encoder<T> for LineCodec {
    type Error = FrameError;

    fn encode(&mut self, line: T, bytes: &mut BytesMut) -> Result<(), FrameError> {
        let line = line.as_ref().as_bytes();
        if line.len() > self.limit {
            return Err(FrameError::TooLong { length: line.len() as u64, limit: self.limit });
        }
        if memchr::memchr(b'\n', line).is_some() {
            return Err(FrameError::LineFeedInLine);
        }
        let ending: &[u8] = if line.ends_with(b"\r") { b"\r\n" } else { b"\n" };
        bytes.reserve(line.len() + ending.len());
        bytes.put_slice(line);
        bytes.put_slice(ending);
        Ok(())
    }
}
