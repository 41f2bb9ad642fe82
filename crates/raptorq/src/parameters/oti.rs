//! The object transmission information of RFC 6330 sections 3.3.2 and 3.3.3.

use std::fmt;

use super::{MAX_SYMBOLS_PER_BLOCK, Partition, largest_block_size};

/// The largest transfer length: K'_max symbols of 65,535 octets in 255 blocks (erratum 5548).
const MAX_TRANSFER_LENGTH: u64 = MAX_SYMBOLS_PER_BLOCK as u64 * 65_535 * 255;

/// What a receiver is ready to handle, checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest object, in bytes.
    pub transfer_length: u64,
    /// Largest source block, in bytes (source symbols times symbol size).
    pub block_bytes: u64,
}

impl Default for Limits {
    /// Objects up to 1 TiB in blocks up to 128 MiB.
    fn default() -> Self {
        Self { transfer_length: 1 << 40, block_bytes: 128 << 20 }
    }
}

/// Why object transmission information was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtiError {
    /// F is zero or above 942,574,504,275 octets.
    TransferLength(u64),
    /// T is zero, or no multiple of the alignment.
    SymbolSize {
        /// The symbol size T.
        symbol_size: u16,
        /// The symbol alignment Al.
        alignment: u8,
    },
    /// Al is zero.
    Alignment,
    /// Z is zero, or larger than the number of source symbols.
    SourceBlocks(u8),
    /// N is zero, or larger than T / Al.
    SubBlocks(u16),
    /// A source block would have more than 56,403 symbols.
    BlockTooLong {
        /// Symbols in the longest block.
        symbols: u64,
    },
    /// Beyond the receiver's own [`Limits`].
    Limit {
        /// What was asked for, in bytes.
        bytes: u64,
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// The reserved octet is not zero.
    Reserved(u8),
}

impl OtiError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TransferLength(_) => "oti_transfer_length",
            Self::SymbolSize { .. } => "oti_symbol_size",
            Self::Alignment => "oti_alignment",
            Self::SourceBlocks(_) => "oti_source_blocks",
            Self::SubBlocks(_) => "oti_sub_blocks",
            Self::BlockTooLong { .. } => "oti_block_too_long",
            Self::Limit { .. } => "oti_limit",
            Self::Reserved(_) => "oti_reserved",
        }
    }
}

impl fmt::Display for OtiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TransferLength(bytes) => write!(
                f,
                "transfer length {bytes} is outside 1 to {MAX_TRANSFER_LENGTH} octets; split the object"
            ),
            Self::SymbolSize { symbol_size, alignment } => write!(
                f,
                "symbol size {symbol_size} is not a positive multiple of the alignment {alignment}"
            ),
            Self::Alignment => f.write_str("symbol alignment is zero; use 1, 4 or 8"),
            Self::SourceBlocks(blocks) => {
                write!(f, "{blocks} source blocks is zero or more than there are source symbols")
            }
            Self::SubBlocks(blocks) => {
                write!(f, "{blocks} sub-blocks is zero or more than a symbol has alignment units")
            }
            Self::BlockTooLong { symbols } => write!(
                f,
                "a source block would have {symbols} symbols, above {MAX_SYMBOLS_PER_BLOCK}; \
                 use more blocks or larger symbols"
            ),
            Self::Limit { bytes, limit } => {
                write!(
                    f,
                    "{bytes} bytes are above the receiver's limit of {limit}; raise it to accept"
                )
            }
            Self::Reserved(octet) => write!(f, "the reserved octet is {octet}, not zero"),
        }
    }
}

impl std::error::Error for OtiError {}

/// F, T, Z, N and Al: all that a receiver must know before the first packet.
///
/// # Invariants
/// `1 <= F <= 942,574,504,275`; `T` is a positive multiple of `Al >= 1`; `1 <= Z <= ceil(F/T)`;
/// `1 <= N <= T/Al`; every block has at most 56,403 symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectTransmissionInformation {
    transfer_length: u64,
    symbol_size: u16,
    source_blocks: u8,
    sub_blocks: u16,
    alignment: u8,
}

impl ObjectTransmissionInformation {
    /// Checks and builds: F in octets, T in octets, Z, N, Al in octets.
    ///
    /// # Errors
    /// The first invariant of the type that does not hold.
    pub fn new(
        transfer_length: u64,
        symbol_size: u16,
        source_blocks: u8,
        sub_blocks: u16,
        alignment: u8,
    ) -> Result<Self, OtiError> {
        if transfer_length == 0 || transfer_length > MAX_TRANSFER_LENGTH {
            return Err(OtiError::TransferLength(transfer_length));
        }
        if alignment == 0 {
            return Err(OtiError::Alignment);
        }
        if symbol_size == 0 || !symbol_size.is_multiple_of(u16::from(alignment)) {
            return Err(OtiError::SymbolSize { symbol_size, alignment });
        }
        let total = transfer_length.div_ceil(u64::from(symbol_size));
        if source_blocks == 0 || u64::from(source_blocks) > total {
            return Err(OtiError::SourceBlocks(source_blocks));
        }
        if sub_blocks == 0 || sub_blocks > symbol_size / u16::from(alignment) {
            return Err(OtiError::SubBlocks(sub_blocks));
        }
        let symbols = total.div_ceil(u64::from(source_blocks));
        if symbols > u64::from(MAX_SYMBOLS_PER_BLOCK) {
            return Err(OtiError::BlockTooLong { symbols });
        }
        Ok(Self { transfer_length, symbol_size, source_blocks, sub_blocks, alignment })
    }

    /// The fewest blocks for an object, without sub-blocks and with alignment 1.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn for_object(transfer_length: u64, symbol_size: u16) -> Result<Self, OtiError> {
        if symbol_size == 0 {
            return Err(OtiError::SymbolSize { symbol_size, alignment: 1 });
        }
        let total = transfer_length.div_ceil(u64::from(symbol_size));
        let blocks = total.div_ceil(u64::from(MAX_SYMBOLS_PER_BLOCK)).max(1);
        let blocks = u8::try_from(blocks).map_err(|_| OtiError::TransferLength(transfer_length))?;
        Self::new(transfer_length, symbol_size, blocks, 1, 1)
    }

    /// The parameter derivation of section 4.3.
    ///
    /// `max_payload` is P' (octets, becomes T), `working_memory` is WS (octets a receiver can spend on
    /// decoding a sub-block), `alignment` is Al and `min_sub_symbol` is SS (in units of Al).
    ///
    /// # Errors
    /// As [`new`](Self::new); [`OtiError::BlockTooLong`] when `working_memory` holds not even the
    /// smallest block.
    pub fn derive(
        transfer_length: u64,
        max_payload: u16,
        working_memory: u64,
        alignment: u8,
        min_sub_symbol: u16,
    ) -> Result<Self, OtiError> {
        if alignment == 0 {
            return Err(OtiError::Alignment);
        }
        let (al, t) = (u64::from(alignment), u64::from(max_payload));
        if t == 0 || !t.is_multiple_of(al) {
            return Err(OtiError::SymbolSize { symbol_size: max_payload, alignment });
        }
        let total = transfer_length.div_ceil(t);
        let most = (t / (u64::from(min_sub_symbol.max(1)) * al)).max(1);
        // KL(n): the largest K' whose sub-block of n-th part symbols fits the working memory.
        let longest = |n: u64| largest_block_size(working_memory / (al * t.div_ceil(al * n)));
        let too_long = OtiError::BlockTooLong { symbols: total };
        let blocks = total.div_ceil(u64::from(longest(most).ok_or(too_long)?));
        let blocks = u8::try_from(blocks.max(1)).map_err(|_| too_long)?;
        let block = total.div_ceil(u64::from(blocks));
        let fits = |&n: &u64| longest(n).is_some_and(|k| block <= u64::from(k));
        let sub_blocks = (1..=most).find(fits).ok_or(too_long)?;
        let sub_blocks = u16::try_from(sub_blocks).map_err(|_| too_long)?;
        Self::new(transfer_length, max_payload, blocks, sub_blocks, alignment)
    }

    /// Reads the twelve octets of sections 3.3.2 and 3.3.3.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`OtiError::Reserved`] when the reserved octet is set.
    pub fn from_bytes(bytes: [u8; 12]) -> Result<Self, OtiError> {
        let [f0, f1, f2, f3, f4, reserved, t0, t1, z, n0, n1, al] = bytes;
        if reserved != 0 {
            return Err(OtiError::Reserved(reserved));
        }
        Self::new(
            u64::from_be_bytes([0, 0, 0, f0, f1, f2, f3, f4]),
            u16::from_be_bytes([t0, t1]),
            z,
            u16::from_be_bytes([n0, n1]),
            al,
        )
    }

    /// The twelve octets of sections 3.3.2 and 3.3.3.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 12] {
        let [_, _, _, f0, f1, f2, f3, f4] = self.transfer_length.to_be_bytes();
        let [t0, t1] = self.symbol_size.to_be_bytes();
        let [n0, n1] = self.sub_blocks.to_be_bytes();
        [f0, f1, f2, f3, f4, 0, t0, t1, self.source_blocks, n0, n1, self.alignment]
    }

    /// Refuses objects and blocks beyond what the receiver is ready to hold.
    ///
    /// # Errors
    /// [`OtiError::Limit`].
    pub fn check(&self, limits: &Limits) -> Result<(), OtiError> {
        let block = self.symbols_in_block(0).map_or(0, u64::from) * u64::from(self.symbol_size);
        for (bytes, limit) in
            [(self.transfer_length, limits.transfer_length), (block, limits.block_bytes)]
        {
            if bytes > limit {
                return Err(OtiError::Limit { bytes, limit });
            }
        }
        Ok(())
    }

    /// F: octets in the object.
    #[must_use]
    pub const fn transfer_length(&self) -> u64 {
        self.transfer_length
    }

    /// T: octets in a symbol.
    #[must_use]
    pub const fn symbol_size(&self) -> u16 {
        self.symbol_size
    }

    /// Z: source blocks.
    #[must_use]
    pub const fn source_blocks(&self) -> u8 {
        self.source_blocks
    }

    /// N: sub-blocks in each source block.
    #[must_use]
    pub const fn sub_blocks(&self) -> u16 {
        self.sub_blocks
    }

    /// Al: octets of which every sub-symbol size is a multiple.
    #[must_use]
    pub const fn alignment(&self) -> u8 {
        self.alignment
    }

    fn blocks(&self) -> Partition {
        let total = self.transfer_length.div_ceil(u64::from(self.symbol_size));
        let z = u64::from(self.source_blocks);
        Partition {
            long: total.div_ceil(z),
            short: total / z,
            long_parts: total % z,
            short_parts: z - total % z,
        }
    }

    /// K of source block `block`; `None` beyond the last block.
    #[must_use]
    pub fn symbols_in_block(&self, block: u8) -> Option<u32> {
        let (_, symbols) = self.blocks().part(u64::from(block))?;
        u32::try_from(symbols).ok()
    }

    /// The bytes of the object in source block `block`, without the padding at the object's end.
    #[must_use]
    pub fn block_range(&self, block: u8) -> Option<std::ops::Range<u64>> {
        let (start, symbols) = self.blocks().part(u64::from(block))?;
        let t = u64::from(self.symbol_size);
        Some(start * t..((start + symbols) * t).min(self.transfer_length))
    }

    /// Sizes in octets of the sub-symbols of a symbol, in order; they sum to T (section 4.4.1.2).
    pub fn sub_symbol_sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let (units, n) = (self.symbol_size / u16::from(self.alignment), self.sub_blocks);
        let (long, al) = (units % n, usize::from(self.alignment));
        (0..n).map(move |i| (usize::from(units / n) + usize::from(i < long)) * al)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twelve_octets_survive_a_round_trip() {
        let oti = ObjectTransmissionInformation::new(1_000_003, 1280, 3, 4, 8).unwrap();
        assert_eq!(ObjectTransmissionInformation::from_bytes(oti.to_bytes()), Ok(oti));
        let mut bytes = oti.to_bytes();
        bytes[5] = 1;
        assert_eq!(ObjectTransmissionInformation::from_bytes(bytes), Err(OtiError::Reserved(1)));
    }

    #[test]
    fn every_bound_of_the_rfc_is_enforced() {
        let new = ObjectTransmissionInformation::new;
        assert_eq!(new(0, 8, 1, 1, 8), Err(OtiError::TransferLength(0)));
        let above = MAX_TRANSFER_LENGTH + 1;
        assert_eq!(new(above, 65_535, 255, 1, 1), Err(OtiError::TransferLength(above)));
        assert!(new(MAX_TRANSFER_LENGTH, 65_535, 255, 1, 1).is_ok());
        assert_eq!(new(8, 8, 1, 1, 0), Err(OtiError::Alignment));
        let size = |symbol_size| OtiError::SymbolSize { symbol_size, alignment: 8 };
        assert_eq!(new(8, 0, 1, 1, 8), Err(size(0)));
        assert_eq!(new(8, 12, 1, 1, 8), Err(size(12)));
        assert_eq!(new(8, 8, 0, 1, 8), Err(OtiError::SourceBlocks(0)));
        assert_eq!(new(8, 8, 2, 1, 8), Err(OtiError::SourceBlocks(2)));
        assert_eq!(new(8, 8, 1, 0, 8), Err(OtiError::SubBlocks(0)));
        assert_eq!(new(8, 8, 1, 2, 8), Err(OtiError::SubBlocks(2)));
        assert_eq!(new(56_404, 1, 1, 1, 1), Err(OtiError::BlockTooLong { symbols: 56_404 }));
    }

    #[test]
    fn blocks_and_sub_symbols_cover_the_object() {
        let oti = ObjectTransmissionInformation::new(100_001, 40, 7, 3, 4).unwrap();
        let mut next = 0;
        for block in 0..7 {
            let range = oti.block_range(block).unwrap();
            assert_eq!(range.start, next);
            next = range.end;
        }
        assert_eq!(next, 100_001);
        assert_eq!(oti.block_range(7), None);
        assert_eq!(oti.sub_symbol_sizes().collect::<Vec<_>>(), [16, 12, 12]);
    }

    #[test]
    fn limits_are_checked_before_a_receiver_allocates() {
        let oti = ObjectTransmissionInformation::for_object(1 << 20, 1024).unwrap();
        assert_eq!(oti.check(&Limits::default()), Ok(()));
        let limits = Limits { block_bytes: 1 << 19, ..Limits::default() };
        let error = OtiError::Limit { bytes: 1 << 20, limit: 1 << 19 };
        assert_eq!(oti.check(&limits), Err(error));
    }
}
