//! A peer's bytes, cut anywhere: the same lines as in one piece, none longer than the limit, and those
//! between the line feeds. The first byte says how long the pieces are.
#![no_main]

use asupersync_io::{Decoder, LineCodec};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 40;

/// The lines in `bytes`, arriving in pieces, up to the first that is refused.
fn lines(bytes: &[u8], piece: usize) -> (Vec<String>, bool) {
    let mut codec = LineCodec::new(LIMIT);
    let mut buffer = BytesMut::new();
    let mut lines = Vec::new();
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(_) => return (lines, true),
            }
        }
    }
    loop {
        match codec.decode_eof(&mut buffer) {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => return (lines, false),
            Err(_) => return (lines, true),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let in_pieces = lines(bytes, usize::from(*first).max(1));
    assert_eq!(in_pieces, lines(bytes, bytes.len().max(1)));
    let (got, refused) = in_pieces;
    assert!(got.iter().all(|line| line.len() <= LIMIT && !line.contains('\n')));
    if !refused {
        let text = std::str::from_utf8(bytes).expect("every line was text");
        let mut wanted: Vec<&str> = text.split('\n').collect();
        // What follows the last line feed is a line only if it is something.
        wanted.pop_if(|last| last.is_empty());
        let wanted = wanted.into_iter().map(|line| line.strip_suffix('\r').unwrap_or(line));
        assert!(got.iter().map(String::as_str).eq(wanted), "{got:?} of {text:?}");
    }
});
