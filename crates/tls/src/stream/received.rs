//! Bytes of the stream beneath that the session has not taken yet.

use std::io::{self, Read};

/// The session asks for 4 KiB at a time, a quarter of a record. A peer that keeps sending is read in
/// larger pieces, so that a record does not cost four calls of the system.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Empty, and without an allocation, unless bytes are coming in faster than the session asks.
    buffer: Vec<u8>,
    /// What of it is still to be taken.
    from: usize,
    to: usize,
    /// How much to ask for at once; less than [`LEAST`]: as much as the session does.
    piece: usize,
}

/// The smallest piece that is worth a copy, in bytes.
const LEAST: usize = 16 << 10;
/// The largest.
const MOST: usize = 64 << 10;

impl Received {
    /// What the session reads from: what is here, then the stream.
    pub(super) fn reader<R: Read>(&mut self, stream: R) -> impl Read {
        Reader { received: self, stream }
    }

    fn is_empty(&self) -> bool {
        self.from == self.to
    }
}

struct Reader<'a, R> {
    received: &'a mut Received,
    stream: R,
}

impl<R: Read> Read for Reader<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Reader { received, stream } = self;
        if received.is_empty() {
            if received.piece < LEAST || buf.is_empty() {
                received.buffer = Vec::new();
                let n = stream.read(buf)?;
                if n == buf.len() {
                    received.piece = LEAST;
                }
                return Ok(n);
            }
            received.fill(stream)?;
        }
        let n = buf.len().min(received.to - received.from);
        buf[..n].copy_from_slice(&received.buffer[received.from..received.from + n]);
        received.from += n;
        Ok(n)
    }
}

impl Received {
    fn fill(&mut self, stream: &mut impl Read) -> io::Result<()> {
        if self.buffer.len() != self.piece {
            self.buffer = vec![0; self.piece];
        }
        match stream.read(&mut self.buffer) {
            Ok(n) => {
                (self.from, self.to) = (0, n);
                if n == self.piece {
                    self.piece = (self.piece * 2).min(MOST);
                } else if n < self.piece / 4 {
                    self.piece /= 2;
                }
                Ok(())
            }
            Err(error) => {
                // Who waits may wait for long: without memory.
                self.buffer = Vec::new();
                (self.from, self.to) = (0, 0);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out so many bytes a call, and counts the calls.
    struct Stream {
        left: usize,
        most: usize,
        calls: usize,
        at: u8,
    }

    impl Read for Stream {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.left == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = buf.len().min(self.most).min(self.left);
            for byte in &mut buf[..n] {
                *byte = self.at;
                self.at = self.at.wrapping_add(1);
            }
            self.left -= n;
            Ok(n)
        }
    }

    /// Reads all of it as the session does, and answers with how many calls.
    fn read_all(received: &mut Received, left: usize, most: usize) -> usize {
        let mut stream = Stream { left, most, calls: 0, at: 0 };
        let (mut total, mut buf) = (0, [0; 4096]);
        loop {
            let read = received.reader(&mut stream).read(&mut buf);
            match read {
                Ok(n) => {
                    assert!(
                        n > 0 && buf[..n].iter().enumerate().all(|(i, b)| *b == (total + i) as u8)
                    );
                    total += n;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    assert_eq!((total, received.buffer.capacity()), (left, 0));
                    return stream.calls;
                }
            }
        }
    }

    #[test]
    fn a_peer_that_keeps_sending_is_read_in_large_pieces_and_a_silent_one_costs_no_memory() {
        let mut received = Received::default();
        let calls = read_all(&mut received, 1 << 20, usize::MAX);
        assert!(calls < 24, "{calls}");
        // A peer of few words needs no copies again.
        for _ in 0..20 {
            assert_eq!(read_all(&mut received, 100, usize::MAX), 2);
        }
        assert!(received.piece < LEAST);
        for most in [1, 100, 5000, 20_000] {
            read_all(&mut received, 50_000, most);
        }
    }

    #[test]
    fn the_end_is_passed_on() {
        let mut received = Received::default();
        for piece in [0, LEAST] {
            received.piece = piece;
            assert_eq!(received.reader(io::empty()).read(&mut [0; 100]).unwrap(), 0);
        }
    }
}
