//! The receiving side.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::{Context, HEADER, ObjectId, SymbolKey, TAG};
use crate::decoder::{Added, BlockDecoder, DecodeError, MAX_OVERHEAD};
use crate::parameters::{Limits, ObjectTransmissionInformation, OtiError, PayloadId};
use crate::sub_blocks::to_block;

/// What came of a packet that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored.
    Stored,
    /// The block is complete: [`Receiver::poll`] gives it.
    BlockReady,
}

/// Why a packet was not taken. Nothing changes but the [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// Not as long as a packet of this object.
    Length(usize),
    /// The object has no such block.
    NoSuchBlock(u8),
    /// The tag is wrong: forged, damaged, or of another object or place.
    Tag,
    /// This symbol was here before.
    Duplicate,
    /// The block is complete already.
    Late,
    /// The window is full of other blocks.
    Window,
    /// The decoder refused it.
    Decode(DecodeError),
}

impl Rejection {
    /// A stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "packet_length",
            Self::NoSuchBlock(_) => "packet_no_such_block",
            Self::Tag => "packet_tag",
            Self::Duplicate => "packet_duplicate",
            Self::Late => "packet_late",
            Self::Window => "packet_window",
            Self::Decode(error) => error.code(),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(octets) => write!(f, "{octets} octets are no packet of this object"),
            Self::NoSuchBlock(block) => write!(f, "the object has no block {block}"),
            Self::Tag => {
                f.write_str("the tag does not match; the packet was not made for this place")
            }
            Self::Duplicate => f.write_str("the symbol was received before"),
            Self::Late => f.write_str("the block is complete already"),
            Self::Window => {
                f.write_str("the window is full; take blocks or let the sender slow down")
            }
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Rejection {}

/// Packets by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Taken.
    pub accepted: u64,
    /// [`Rejection::Length`] and [`Rejection::NoSuchBlock`].
    pub malformed: u64,
    /// [`Rejection::Tag`].
    pub forged: u64,
    /// [`Rejection::Duplicate`].
    pub duplicate: u64,
    /// [`Rejection::Late`].
    pub late: u64,
    /// [`Rejection::Window`].
    pub window: u64,
    /// [`Rejection::Decode`].
    pub refused: u64,
}

/// A complete block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u8,
    /// Where it starts in the object.
    pub offset: u64,
    /// Its octets, without padding.
    pub octets: Vec<u8>,
}

/// Puts an object together from packets in any order.
///
/// Memory is bounded by [`memory_bound`](Self::memory_bound) whatever arrives.
#[derive(Debug)]
pub struct Receiver {
    context: Context,
    key: SymbolKey,
    window: usize,
    open: BTreeMap<u8, BlockDecoder>,
    ready: VecDeque<u8>,
    complete: [bool; 256],
    left: u16,
    counters: Counters,
}

impl Receiver {
    /// Collects up to `window` blocks at a time (at least one), complete ones that wait to be taken
    /// included.
    ///
    /// # Errors
    /// [`OtiError::Limit`] when the object is beyond `limits`.
    pub fn new(
        object: ObjectId,
        oti: ObjectTransmissionInformation,
        key: SymbolKey,
        limits: &Limits,
        window: u8,
    ) -> Result<Self, OtiError> {
        oti.check(limits)?;
        Ok(Self {
            context: Context { object, oti },
            key,
            window: usize::from(window.max(1)),
            open: BTreeMap::new(),
            ready: VecDeque::new(),
            complete: [false; 256],
            left: u16::from(oti.source_blocks()),
            counters: Counters::default(),
        })
    }

    /// The most octets of symbols and their bookkeeping that this receiver ever holds:
    /// `window * (K + 64) * (T + 256)`. Taking a block needs as much again as the block, and `O(L)`
    /// words for the solver.
    #[must_use]
    pub fn memory_bound(&self) -> u64 {
        let symbols = self.context.oti.symbols_in_block(0).unwrap_or(0) + MAX_OVERHEAD;
        self.window as u64 * u64::from(symbols) * (u64::from(self.context.oti.symbol_size()) + 256)
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// [`Rejection`], counted; the state is as if the packet had been lost.
    pub fn handle(&mut self, packet: &[u8]) -> Result<Accepted, Rejection> {
        let result = self.take(packet);
        let counter = match &result {
            Ok(_) => &mut self.counters.accepted,
            Err(Rejection::Length(_) | Rejection::NoSuchBlock(_)) => &mut self.counters.malformed,
            Err(Rejection::Tag) => &mut self.counters.forged,
            Err(Rejection::Duplicate) => &mut self.counters.duplicate,
            Err(Rejection::Late) => &mut self.counters.late,
            Err(Rejection::Window) => &mut self.counters.window,
            Err(Rejection::Decode(_)) => &mut self.counters.refused,
        };
        *counter += 1;
        result
    }

    fn take(&mut self, packet: &[u8]) -> Result<Accepted, Rejection> {
        let oti = self.context.oti;
        let symbol_size = usize::from(oti.symbol_size());
        let malformed = Rejection::Length(packet.len());
        let (id, rest) = packet.split_first_chunk::<4>().ok_or(malformed)?;
        let (tag, symbol) = rest.split_first_chunk::<TAG>().ok_or(malformed)?;
        if packet.len() != HEADER + symbol_size {
            return Err(malformed);
        }
        let id = PayloadId::from_bytes(*id);
        let number = id.block();
        let symbols = oti.symbols_in_block(number).ok_or(Rejection::NoSuchBlock(number))?;
        if !self.key.check(&self.context, id, symbol, tag) {
            return Err(Rejection::Tag);
        }
        if self.complete[usize::from(number)] {
            return Err(Rejection::Late);
        }
        if self.open.len() >= self.window && !self.open.contains_key(&number) {
            return Err(Rejection::Window);
        }
        let decoder = match self.open.entry(number) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(BlockDecoder::new(symbols, symbol_size).map_err(Rejection::Decode)?)
            }
        };
        match decoder.add(id.esi(), symbol.to_vec()).map_err(Rejection::Decode)? {
            Added::Stored => Ok(Accepted::Stored),
            Added::Duplicate => Err(Rejection::Duplicate),
            Added::Ready => {
                self.complete[usize::from(number)] = true;
                self.ready.push_back(number);
                Ok(Accepted::BlockReady)
            }
        }
    }

    /// The next complete block, in order of completion.
    pub fn poll(&mut self) -> Option<Block> {
        let number = self.ready.pop_front()?;
        let decoder = self.open.remove(&number)?;
        let range = self.context.oti.block_range(number)?;
        let k = decoder.parameters().k as usize;
        let mut octets = to_block(&self.context.oti, k, decoder.decode()?);
        octets.truncate((range.end - range.start) as usize);
        self.left -= 1;
        Some(Block { number, offset: range.start, octets })
    }

    /// Whether every block was given out.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.left == 0
    }

    /// Packets so far, by what came of them.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
}
