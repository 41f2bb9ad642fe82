//! What the stream beneath gave and the session has not taken yet.

use std::io;

/// A first read, as large as the session's own piece.
const SMALL: usize = 4 * 1024;
/// Two records: a read that fills the small buffer is followed by one of this size.
const LARGE: usize = 32 * 1024;

/// The session takes 4 KiB at a time, a quarter of a record. Reading beneath by larger pieces saves
/// system calls on bulk transfers; a connection that waits keeps the small buffer only.
#[derive(Debug)]
pub(super) struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Incoming {
    pub(super) const fn new() -> Incoming {
        Incoming { buffer: Vec::new(), start: 0, end: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for a read beneath. Only when empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        debug_assert!(self.is_empty());
        let filled = !self.buffer.is_empty() && self.end == self.buffer.len();
        let size = if filled { LARGE } else { self.buffer.len().max(SMALL) };
        if self.buffer.len() != size {
            self.buffer.resize(size, 0);
        }
        (self.start, self.end) = (0, 0);
        &mut self.buffer
    }

    /// So many bytes were read into the room.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = count.min(self.buffer.len());
    }

    /// Nothing is there to be read: a large buffer is given back.
    pub(super) fn rest(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.buffer.len() > SMALL {
            self.buffer = Vec::new();
        }
    }

    /// Hands bytes to whoever reads, as many as it takes.
    pub(super) fn give(
        &mut self,
        take: impl FnOnce(&mut &[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let taken = take(&mut &self.buffer[self.start..self.end])?;
        self.start = (self.start + taken).min(self.end);
        Ok(taken)
    }
}
