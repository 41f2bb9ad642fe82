//! Sub-blocks: how the octets of a source block become symbols (RFC 6330 section 4.4.1.2).
//!
//! With N sub-blocks, a symbol is the concatenation of its N sub-symbols, and the block holds all
//! first sub-symbols, then all second ones, and so on; so a receiver of little memory could decode one
//! sub-block at a time.

use std::borrow::Cow;

use crate::parameters::ObjectTransmissionInformation;

/// The symbols of `block`, one after the other, padded with zeros to `symbols` whole ones.
pub(crate) fn to_symbols<'a>(
    oti: &ObjectTransmissionInformation,
    symbols: usize,
    block: &'a [u8],
) -> Cow<'a, [u8]> {
    let symbol_size = usize::from(oti.symbol_size());
    if oti.sub_blocks() == 1 {
        if block.len() == symbols * symbol_size {
            return Cow::Borrowed(block);
        }
        let mut padded = block.to_vec();
        padded.resize(symbols * symbol_size, 0);
        return Cow::Owned(padded);
    }
    let mut to = vec![0; symbols * symbol_size];
    for_each_piece(oti, symbols, |in_block, in_symbols, size| {
        let available = block.len().saturating_sub(in_block).min(size);
        to[in_symbols..in_symbols + available]
            .copy_from_slice(&block[in_block.min(block.len())..][..available]);
    });
    Cow::Owned(to)
}

/// The inverse of [`to_symbols`], padding included.
pub(crate) fn to_block(
    oti: &ObjectTransmissionInformation,
    symbols: usize,
    from: Vec<u8>,
) -> Vec<u8> {
    if oti.sub_blocks() == 1 {
        return from;
    }
    let mut block = vec![0; from.len()];
    for_each_piece(oti, symbols, |in_block, in_symbols, size| {
        block[in_block..in_block + size].copy_from_slice(&from[in_symbols..in_symbols + size]);
    });
    block
}

/// Calls `visit(place in the block, place in the symbols, octets)` for every sub-symbol.
fn for_each_piece(
    oti: &ObjectTransmissionInformation,
    symbols: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let symbol_size = usize::from(oti.symbol_size());
    let (mut in_block, mut in_symbol) = (0, 0);
    for size in oti.sub_symbol_sizes() {
        for symbol in 0..symbols {
            visit(in_block, symbol * symbol_size + in_symbol, size);
            in_block += size;
        }
        in_symbol += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_symbols_are_gathered_from_their_sub_blocks() {
        let oti = ObjectTransmissionInformation::new(18, 6, 1, 2, 2).unwrap();
        // Sub-symbols of 4 and 2 octets; three symbols.
        let block: Vec<u8> = (0..18).collect();
        let symbols = to_symbols(&oti, 3, &block).into_owned();
        assert_eq!(symbols, [0, 1, 2, 3, 12, 13, 4, 5, 6, 7, 14, 15, 8, 9, 10, 11, 16, 17]);
        assert_eq!(to_block(&oti, 3, symbols), block);
    }

    #[test]
    fn a_short_block_is_padded_with_zeros() {
        for sub_blocks in [1, 2] {
            let oti = ObjectTransmissionInformation::new(13, 6, 1, sub_blocks, 2).unwrap();
            let symbols = to_symbols(&oti, 3, &[9; 13]).into_owned();
            let mut expected = vec![9; 13];
            expected.resize(18, 0);
            assert_eq!(to_block(&oti, 3, symbols), expected);
        }
    }
}
