//! The sending side.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use super::{Context, ObjectId, SymbolKey};
use crate::encoder::{EncodeError, encode_symbols};
use crate::parameters::{MAX_ESI, ObjectTransmissionInformation, PayloadId};
use crate::plan::PlanCache;
use crate::sub_blocks::to_symbols;
use crate::symbol::Kernel;

/// Why a block was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The window is full, or all blocks were given: see [`Sender::wanted`].
    NotWanted,
    /// The block has another length than [`Sender::wanted`] says.
    Length {
        /// Octets given.
        given: usize,
        /// Octets wanted.
        wanted: u64,
    },
    /// More repair symbols than there are encoding symbol IDs.
    Encode(EncodeError),
}

impl SendError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotWanted => "send_not_wanted",
            Self::Length { .. } => "send_length",
            Self::Encode(error) => error.code(),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => f.write_str("no block is wanted now; take packets first"),
            Self::Length { given, wanted } => {
                write!(f, "the block has {given} octets, {wanted} are wanted")
            }
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

/// A block being sent.
#[derive(Debug)]
struct Open {
    block: u8,
    next: u32,
    /// Source symbols, then repair symbols.
    symbols: Vec<u8>,
}

/// Cuts an object to packets: source symbols first, then repair, blocks of a window interleaved.
///
/// Holds at most `window` blocks of (K + repair) symbols and the plans of two block sizes.
#[derive(Debug)]
pub struct Sender {
    context: Context,
    key: SymbolKey,
    kernel: Kernel,
    plans: PlanCache,
    repair: u32,
    window: usize,
    next_block: u16,
    open: VecDeque<Open>,
}

impl Sender {
    /// Sends `repair` repair symbols for each block and interleaves up to `window` blocks (at least
    /// one), so that a burst of losses spreads over all of them.
    #[must_use]
    pub fn new(
        object: ObjectId,
        oti: ObjectTransmissionInformation,
        key: SymbolKey,
        repair: u32,
        window: u8,
    ) -> Self {
        Self {
            context: Context { object, oti },
            key,
            kernel: Kernel::detect(),
            plans: PlanCache::default(),
            repair,
            window: usize::from(window.max(1)),
            next_block: 0,
            open: VecDeque::new(),
        }
    }

    fn next_block(&self) -> Option<u8> {
        let next = u8::try_from(self.next_block).ok()?;
        (next < self.context.oti.source_blocks()).then_some(next)
    }

    /// The octets of the object that the next block consists of; `None` while the window is full and
    /// after the last block.
    #[must_use]
    pub fn wanted(&self) -> Option<Range<u64>> {
        if self.open.len() >= self.window {
            return None;
        }
        self.context.oti.block_range(self.next_block()?)
    }

    /// Gives the next block, exactly the octets [`wanted`](Self::wanted).
    ///
    /// # Errors
    /// [`SendError`]; nothing changes then.
    pub fn push(&mut self, block: &[u8]) -> Result<(), SendError> {
        let range = self.wanted().ok_or(SendError::NotWanted)?;
        let number = self.next_block().ok_or(SendError::NotWanted)?;
        let wanted = range.end - range.start;
        if block.len() as u64 != wanted {
            return Err(SendError::Length { given: block.len(), wanted });
        }
        let oti = self.context.oti;
        let k = oti.symbols_in_block(number).ok_or(SendError::NotWanted)?;
        let end = k.checked_add(self.repair).filter(|&end| end <= MAX_ESI + 1);
        let end = end.ok_or(SendError::Encode(EncodeError::Esi(u32::MAX)))?;
        let size = usize::from(oti.symbol_size());
        let source = to_symbols(&oti, k as usize, block);
        let mut symbols = source.to_vec();
        if self.repair > 0 {
            let plan = self.plans.get(k).ok_or(SendError::NotWanted)?;
            symbols.resize(end as usize * size, 0);
            let repair = &mut symbols[k as usize * size..];
            encode_symbols(self.kernel, &plan, &source, size, k..end, repair)
                .map_err(SendError::Encode)?;
        }
        self.open.push_back(Open { block: number, next: 0, symbols });
        self.next_block += 1;
        Ok(())
    }

    /// Writes the next packet to `packet`, replacing what it held; false when all blocks given so far
    /// are sent.
    pub fn poll(&mut self, packet: &mut Vec<u8>) -> bool {
        let Some(mut open) = self.open.pop_front() else { return false };
        let size = usize::from(self.context.oti.symbol_size());
        let at = open.next as usize * size;
        // A block is open only while it has a symbol left, and its IDs were checked in `push`.
        let Some(id) = PayloadId::new(open.block, open.next) else { return false };
        let symbol = &open.symbols[at..at + size];
        packet.clear();
        packet.extend_from_slice(&id.to_bytes());
        packet.extend_from_slice(&self.key.tag(&self.context, id, symbol));
        packet.extend_from_slice(symbol);
        open.next += 1;
        if at + size < open.symbols.len() {
            self.open.push_back(open);
        }
        true
    }

    /// Whether every block was given and every packet taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.open.is_empty() && self.next_block().is_none()
    }
}
