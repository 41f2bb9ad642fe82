//! A peer's bytes, cut anywhere: the same frames as in one piece, within the limit, and the same bytes
//! again when written. The first byte says how long the pieces are.
#![no_main]

use asupersync_io::{Decoder, Encoder, LengthDelimited};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 300;

/// The frames in `bytes`, arriving in pieces; whether one was refused; and what was left.
fn frames(bytes: &[u8], piece: usize) -> (Vec<Bytes>, bool, usize) {
    let mut codec = LengthDelimited::new(LIMIT);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    let mut arrived = 0;
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true, bytes.len() - arrived + buffer.len()),
            }
        }
    }
    (frames, false, buffer.len())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let in_pieces = frames(bytes, usize::from(*first).max(1));
    assert_eq!(in_pieces, frames(bytes, bytes.len().max(1)));
    let (got, _, left) = in_pieces;
    let mut again = BytesMut::new();
    for frame in got {
        assert!(frame.len() <= LIMIT);
        LengthDelimited::new(LIMIT).encode(frame, &mut again).expect("within the limit");
    }
    assert_eq!(again, bytes[..bytes.len() - left]);
});
