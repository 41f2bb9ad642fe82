//! Bytes of the stream beneath that the session has not taken yet.

use std::io::{self, Read};

/// The session reads into a buffer of its own, which has room for a record once one has come in pieces, and
/// begins again with 4 KiB whenever it has been emptied. What it asks for in one piece it gets from the
/// stream; a peer that keeps sending is not asked for each 4 KiB, so that a record does not cost four
/// calls of the system.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Without an allocation, unless bytes are coming in faster than the session asks.
    buffer: Vec<u8>,
    /// What of it is still to be taken.
    from: usize,
    to: usize,
    /// The peer keeps sending.
    eager: bool,
}

/// What the session asks for at first.
const FIRST: usize = 4 << 10;
/// A record of the largest size, in bytes, as the session counts it.
const RECORD: usize = 18 << 10;

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
            if !received.eager || buf.len() > FIRST || buf.is_empty() {
                let n = received.or_let_go(stream.read(buf))?;
                received.eager |= n == buf.len();
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
        self.buffer.resize(RECORD, 0);
        let read = stream.read(&mut self.buffer);
        let n = self.or_let_go(read)?;
        (self.from, self.to) = (0, n);
        self.eager = n > FIRST;
        Ok(())
    }

    /// Who has to wait may wait for long: without memory.
    fn or_let_go(&mut self, read: io::Result<usize>) -> io::Result<usize> {
        if read.is_err() {
            self.buffer = Vec::new();
            (self.from, self.to) = (0, 0);
        }
        read
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

    /// Reads all of it in pieces of such a size, and answers with how many calls.
    fn read_all(received: &mut Received, left: usize, most: usize, piece: usize) -> usize {
        let mut stream = Stream { left, most, calls: 0, at: 0 };
        let (mut total, mut buf) = (0, vec![0; piece]);
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
    fn a_peer_that_keeps_sending_is_read_by_the_record_and_a_silent_one_costs_no_memory() {
        let mut received = Received::default();
        let calls = read_all(&mut received, 1 << 20, usize::MAX, FIRST);
        assert!(calls <= (1 << 20) / RECORD + 3, "{calls}");
        // A peer of few words needs no copies again.
        for _ in 0..3 {
            assert_eq!(read_all(&mut received, 100, usize::MAX, FIRST), 2);
        }
        assert!(!received.eager);
        for most in [1, 100, 5000, 20_000] {
            read_all(&mut received, 50_000, most, FIRST);
            read_all(&mut received, 50_000, most, RECORD);
        }
    }

    #[test]
    fn what_is_asked_for_in_one_piece_is_not_copied() {
        let mut received = Received { eager: true, ..Received::default() };
        let mut stream = Stream { left: RECORD, most: usize::MAX, calls: 0, at: 0 };
        let read = received.reader(&mut stream).read(&mut [0; RECORD]).unwrap();
        assert_eq!((read, stream.calls, received.buffer.capacity()), (RECORD, 1, 0));
    }

    #[test]
    fn the_end_is_passed_on() {
        for eager in [false, true] {
            let mut received = Received { eager, ..Received::default() };
            assert_eq!(received.reader(io::empty()).read(&mut [0; 100]).unwrap(), 0);
        }
    }
}
