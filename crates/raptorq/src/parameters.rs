//! Parameters: source block sizes, partitioning and the object transmission information.
//!
//! RFC 6330 sections 3.3, 4.3, 4.4.1 and 5.6. Everything a peer can send is checked here and
//! nowhere else: an [`ObjectTransmissionInformation`] or [`PayloadId`] that exists is in bounds.

mod oti;
mod table;

use std::fmt;

pub use oti::{Limits, ObjectTransmissionInformation, OtiError};
use table::SYSTEMATIC_INDICES;

/// The largest number of source symbols in a block, K'_max (section 5.6).
pub const MAX_SYMBOLS_PER_BLOCK: u32 = 56_403;

/// The largest encoding symbol ID: ESIs have 24 bits (section 3.2).
pub const MAX_ESI: u32 = (1 << 24) - 1;

/// The code parameters of one source block of `k` source symbols (section 5.3.3.3 and 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockParameters {
    /// K: source symbols in the block.
    pub k: u32,
    /// K': source symbols with padding, the next row of Table 2.
    pub k_prime: u32,
    /// J(K'): the systematic index.
    pub j: u32,
    /// S(K'): LDPC symbols.
    pub s: u32,
    /// H(K'): HDPC symbols.
    pub h: u32,
    /// W(K'): LT symbols among the intermediate symbols.
    pub w: u32,
    /// L = K' + S + H: intermediate symbols.
    pub l: u32,
    /// P = L - W: permanently inactive symbols.
    pub p: u32,
    /// P1: the smallest prime that is at least P.
    pub p1: u32,
    /// B = W - S: LT symbols that are not LDPC symbols.
    pub b: u32,
}

impl BlockParameters {
    /// The parameters for `k` source symbols; `None` unless `1 <= k <= 56,403`.
    #[must_use]
    pub fn for_symbols(k: u32) -> Option<Self> {
        if k == 0 {
            return None;
        }
        let row = SYSTEMATIC_INDICES.partition_point(|row| row.0 < k);
        let &(k_prime, j, s, h, w) = SYSTEMATIC_INDICES.get(row)?;
        let l = k_prime + s + h;
        let p = l - w;
        let p1 = (p..).find(|&n| is_prime(n))?;
        Some(Self { k, k_prime, j, s, h, w, l, p, p1, b: w - s })
    }

    /// The internal symbol ID of an encoding symbol (section 5.3.1): padding lies between source
    /// and repair.
    #[must_use]
    pub const fn isi(&self, esi: u32) -> u32 {
        if esi < self.k { esi } else { esi + (self.k_prime - self.k) }
    }
}

/// Every K' of Table 2, ascending.
pub fn block_sizes() -> impl ExactSizeIterator<Item = u32> {
    SYSTEMATIC_INDICES.iter().map(|row| row.0)
}

/// The largest K' of Table 2 that is at most `symbols`; `None` below 10.
pub(crate) fn largest_block_size(symbols: u64) -> Option<u32> {
    let end = SYSTEMATIC_INDICES.partition_point(|row| u64::from(row.0) <= symbols);
    Some(SYSTEMATIC_INDICES.get(end.checked_sub(1)?)?.0)
}

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// `Partition[I, J]` of section 4.4.1.2: `i` items in `j` nearly equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// IL: items in each of the first `long_parts` parts.
    pub long: u64,
    /// IS: items in each of the others.
    pub short: u64,
    /// JL: number of long parts.
    pub long_parts: u64,
    /// JS: number of short parts.
    pub short_parts: u64,
}

impl Partition {
    /// Splits `i` items in `j` parts; `None` when `j` is zero.
    #[must_use]
    pub const fn new(i: u64, j: u64) -> Option<Self> {
        if j == 0 {
            return None;
        }
        let (long, short) = (i.div_ceil(j), i / j);
        let long_parts = i - short * j;
        Some(Self { long, short, long_parts, short_parts: j - long_parts })
    }

    /// Start and length, in items, of part `index`; `None` beyond the last.
    #[must_use]
    pub const fn part(&self, index: u64) -> Option<(u64, u64)> {
        if index < self.long_parts {
            Some((index * self.long, self.long))
        } else if index < self.long_parts + self.short_parts {
            let start = self.long_parts * self.long + (index - self.long_parts) * self.short;
            Some((start, self.short))
        } else {
            None
        }
    }
}

/// The FEC payload ID of section 3.2: which symbol of which block a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadId {
    block: u8,
    esi: u32,
}

impl PayloadId {
    /// A payload ID; `None` when `esi` needs more than 24 bits.
    #[must_use]
    pub const fn new(block: u8, esi: u32) -> Option<Self> {
        if esi > MAX_ESI { None } else { Some(Self { block, esi }) }
    }

    /// Reads the four octets of section 3.2. Every value is valid.
    #[must_use]
    pub const fn from_bytes([block, a, b, c]: [u8; 4]) -> Self {
        Self { block, esi: u32::from_be_bytes([0, a, b, c]) }
    }

    /// The four octets of section 3.2.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        let [_, a, b, c] = self.esi.to_be_bytes();
        [self.block, a, b, c]
    }

    /// The source block number.
    #[must_use]
    pub const fn block(self) -> u8 {
        self.block
    }

    /// The encoding symbol ID.
    #[must_use]
    pub const fn esi(self) -> u32 {
        self.esi
    }
}

impl fmt::Display for PayloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} symbol {}", self.block, self.esi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_2_is_that_of_the_rfc() {
        let rows = include_str!("../data/rfc6330/systematic_indices.csv").lines().skip(1);
        let mut count = 0;
        for (line, &(k_prime, j, s, h, w)) in rows.zip(&SYSTEMATIC_INDICES) {
            assert_eq!(line, format!("{k_prime},{j},{s},{h},{w}"));
            count += 1;
        }
        assert_eq!(count, 477);
    }

    #[test]
    fn a_block_size_takes_the_next_row_of_table_2() {
        assert_eq!(BlockParameters::for_symbols(0), None);
        assert_eq!(BlockParameters::for_symbols(1).unwrap().k_prime, 10);
        assert_eq!(BlockParameters::for_symbols(10).unwrap().k_prime, 10);
        assert_eq!(BlockParameters::for_symbols(11).unwrap().k_prime, 12);
        assert_eq!(BlockParameters::for_symbols(MAX_SYMBOLS_PER_BLOCK).unwrap().k_prime, 56_403);
        assert_eq!(BlockParameters::for_symbols(MAX_SYMBOLS_PER_BLOCK + 1), None);
        assert_eq!(largest_block_size(9), None);
        assert_eq!(largest_block_size(11), Some(10));
        assert_eq!(largest_block_size(u64::MAX), Some(56_403));
    }

    #[test]
    fn the_parts_of_a_partition_cover_it_without_gaps() {
        for (i, j) in [(0, 1), (1, 1), (10, 3), (56_403, 255), (7, 9)] {
            let partition = Partition::new(i, j).unwrap();
            let mut next = 0;
            for index in 0..j {
                let (start, length) = partition.part(index).unwrap();
                assert_eq!(start, next);
                next += length;
            }
            assert_eq!(next, i);
            assert_eq!(partition.part(j), None);
        }
        assert_eq!(Partition::new(1, 0), None);
    }

    #[test]
    fn a_payload_id_survives_its_four_octets() {
        let id = PayloadId::new(7, 0x12_3456).unwrap();
        assert_eq!(id.to_bytes(), [7, 0x12, 0x34, 0x56]);
        assert_eq!(PayloadId::from_bytes(id.to_bytes()), id);
        assert_eq!(PayloadId::new(0, MAX_ESI + 1), None);
    }
}
