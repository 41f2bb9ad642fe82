//! The decoder of one block: takes symbols in any order until they determine the source.

use std::collections::BTreeMap;
use std::fmt;

use crate::parameters::{BlockParameters, MAX_ESI};
use crate::plan::{Emission, Plan, execute, until_line};
use crate::solver::{Inverse, Solver};
use crate::symbol::{Inputs, Kernel};

/// Symbols beyond K that a decoder stores while it cannot yet decode.
///
/// The chance that K + 64 random symbols are not enough is far below 2^-500.
pub const MAX_OVERHEAD: u32 = 64;

/// Full runs of the solver that a block may cost. After the first, further symbols continue it; only
/// symbols so unusual that the sparse phase itself failed lead to another.
pub const MAX_SOLVER_RUNS: u32 = 8;

/// Why a symbol was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The block would have no or too many symbols, or symbols no octets.
    Parameters {
        /// Source symbols K.
        symbols: u32,
        /// Octets in a symbol.
        symbol_size: usize,
    },
    /// The payload is not one symbol long.
    SymbolSize {
        /// Octets received.
        length: usize,
        /// Octets in a symbol.
        symbol_size: usize,
    },
    /// An encoding symbol ID above 2^24 - 1.
    Esi(u32),
    /// K + [`MAX_OVERHEAD`] symbols are stored and still do not determine the block.
    Exhausted {
        /// Symbols stored.
        stored: u32,
    },
}

impl DecodeError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Parameters { .. } => "decode_parameters",
            Self::SymbolSize { .. } => "decode_symbol_size",
            Self::Esi(_) => "decode_esi",
            Self::Exhausted { .. } => "decode_exhausted",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameters { symbols, symbol_size } => {
                write!(f, "{symbols} symbols of {symbol_size} octets are no block")
            }
            Self::SymbolSize { length, symbol_size } => {
                write!(
                    f,
                    "payload has {length} octets, a symbol has {symbol_size}; drop the packet"
                )
            }
            Self::Esi(esi) => write!(f, "encoding symbol ID {esi} is above {MAX_ESI}"),
            Self::Exhausted { stored } => write!(
                f,
                "{stored} symbols do not determine the block; they were chosen badly, start again"
            ),
        }
    }
}

impl std::error::Error for DecodeError {}

/// What came of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// Stored; the block is not determined yet.
    Stored,
    /// A symbol with this ID was here before; the new one is dropped.
    Duplicate,
    /// The symbols determine the block: call [`BlockDecoder::decode`].
    Ready,
}

/// A set of encoding symbol IDs: bits, 512 neighbours together. IDs mostly come in order, and then a
/// page is found at once; at worst there is a page for each symbol.
#[derive(Default)]
struct EsiSet {
    pages: BTreeMap<u32, [u64; 8]>,
}

impl EsiSet {
    /// Adds an ID; false if it was there.
    fn insert(&mut self, esi: u32) -> bool {
        let word = &mut self.pages.entry(esi / 512).or_default()[esi as usize / 64 % 8];
        let before = *word;
        *word |= 1 << (esi % 64);
        *word != before
    }
}

/// The state of one block at a receiver.
///
/// Memory is at most `(K + 64) * (T + 256)` octets of symbols and IDs, plus, while decoding, the
/// solver's `O(L)` words and the output. The solver runs at most [`MAX_SOLVER_RUNS`] times.
pub struct BlockDecoder {
    kernel: Kernel,
    parameters: BlockParameters,
    symbol_size: usize,
    esis: Vec<u32>,
    symbols: Vec<Vec<u8>>,
    seen: EsiSet,
    source: u32,
    solver: Option<Box<Solver>>,
    /// How the dense system is solved; there once the symbols determine the block.
    inverse: Option<Inverse>,
    runs: u32,
    /// Symbols needed before the next full run of the solver.
    next_run: u32,
    /// Symbols that the solver started with.
    started: u32,
    ready: bool,
}

impl fmt::Debug for BlockDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockDecoder")
            .field("symbols", &self.parameters.k)
            .field("stored", &self.symbols.len())
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl BlockDecoder {
    /// A decoder for K = `symbols` source symbols of `symbol_size` octets, with the fastest kernel.
    ///
    /// # Errors
    /// [`DecodeError::Parameters`] unless `1 <= symbols <= 56,403` and `symbol_size` is positive.
    pub fn new(symbols: u32, symbol_size: usize) -> Result<Self, DecodeError> {
        Self::with_kernel(Kernel::detect(), symbols, symbol_size)
    }

    /// As [`new`](Self::new) with a given kernel.
    ///
    /// # Errors
    /// [`DecodeError::Parameters`] unless `1 <= symbols <= 56,403` and `symbol_size` is positive.
    pub fn with_kernel(
        kernel: Kernel,
        symbols: u32,
        symbol_size: usize,
    ) -> Result<Self, DecodeError> {
        let parameters = BlockParameters::for_symbols(symbols)
            .filter(|_| symbol_size > 0)
            .ok_or(DecodeError::Parameters { symbols, symbol_size })?;
        Ok(Self {
            kernel,
            parameters,
            symbol_size,
            esis: Vec::new(),
            symbols: Vec::new(),
            seen: EsiSet::default(),
            source: 0,
            solver: None,
            inverse: None,
            runs: 0,
            next_run: symbols,
            started: 0,
            ready: false,
        })
    }

    /// The code parameters of the block.
    #[must_use]
    pub const fn parameters(&self) -> &BlockParameters {
        &self.parameters
    }

    /// Distinct symbols stored.
    #[must_use]
    pub fn stored(&self) -> u32 {
        self.symbols.len() as u32
    }

    /// The IDs of the symbols stored, in order of arrival.
    #[must_use]
    pub fn esis(&self) -> &[u32] {
        &self.esis
    }

    /// Octets in a symbol.
    #[must_use]
    pub const fn symbol_size(&self) -> usize {
        self.symbol_size
    }

    /// The symbols stored with their IDs, in order of arrival.
    pub fn received(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.esis.iter().copied().zip(self.symbols.iter().map(Vec::as_slice))
    }

    /// The elimination, and how many symbols it started with; `None` if it was never needed.
    pub(crate) fn solver(&self) -> Option<(&Solver, u32)> {
        self.solver.as_deref().map(|solver| (solver, self.started))
    }

    /// Whether the symbols determine the block.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Full runs of the solver so far; at most [`MAX_SOLVER_RUNS`].
    #[must_use]
    pub const fn solver_runs(&self) -> u32 {
        self.runs
    }

    /// Takes one symbol. From the K-th on, each is checked for whether the block is determined.
    ///
    /// Once the block is determined further symbols are dropped and reported as `Ready`.
    ///
    /// # Errors
    /// [`DecodeError`] when the symbol cannot belong to the block; nothing changes then.
    pub fn add(&mut self, esi: u32, symbol: Vec<u8>) -> Result<Added, DecodeError> {
        if esi > MAX_ESI {
            return Err(DecodeError::Esi(esi));
        }
        if symbol.len() != self.symbol_size {
            let (length, symbol_size) = (symbol.len(), self.symbol_size);
            return Err(DecodeError::SymbolSize { length, symbol_size });
        }
        if self.ready {
            return Ok(Added::Ready);
        }
        let stored = self.stored();
        let is_source = esi < self.parameters.k;
        if stored >= self.parameters.k + MAX_OVERHEAD {
            return Err(DecodeError::Exhausted { stored });
        }
        if !self.seen.insert(esi) {
            return Ok(Added::Duplicate);
        }
        self.esis.push(esi);
        self.symbols.push(symbol);
        self.source += u32::from(is_source);
        if self.stored() >= self.parameters.k {
            self.ready = self.source == self.parameters.k || self.solve(esi);
        }
        Ok(if self.ready { Added::Ready } else { Added::Stored })
    }

    /// Continues the elimination with the symbol just stored, or starts it.
    fn solve(&mut self, esi: u32) -> bool {
        let parameters = self.parameters;
        if let Some(solver) = &mut self.solver {
            if solver.add(parameters.isi(esi)) {
                self.inverse = solver.invert();
            }
            return self.inverse.is_some();
        }
        if self.stored() < self.next_run || self.runs >= MAX_SOLVER_RUNS {
            return false;
        }
        self.runs += 1;
        self.started = self.stored();
        // If peeling fails the next try waits for an eighth of the overhead that may be stored.
        self.next_run = self.stored() + MAX_OVERHEAD / MAX_SOLVER_RUNS;
        let padding = parameters.k..parameters.k_prime;
        let received: Vec<u32> = self.esis.iter().map(|&esi| parameters.isi(esi)).collect();
        self.solver = Solver::new(parameters, received.into_iter().chain(padding)).map(Box::new);
        self.inverse = self.solver.as_mut().and_then(|solver| solver.invert());
        self.inverse.is_some()
    }

    /// The K source symbols, one after the other; `None` until [`is_ready`](Self::is_ready).
    ///
    /// May be called again; each call repeats the work on the symbols, not the solver's.
    #[must_use]
    pub fn decode(&self) -> Option<Vec<u8>> {
        if !self.ready {
            return None;
        }
        let mut output = vec![0; self.parameters.k as usize * self.symbol_size];
        self.decode_into(&mut output).then_some(output)
    }

    /// As [`decode`](Self::decode) to a buffer of K times symbol size octets; false, and nothing
    /// written, when it has another length or the block is not ready.
    pub fn decode_into(&self, output: &mut [u8]) -> bool {
        let parameters = self.parameters;
        let k = parameters.k;
        if !self.ready || output.len() != k as usize * self.symbol_size {
            return false;
        }
        let mut missing = vec![true; k as usize];
        for (&esi, symbol) in self.esis.iter().zip(&self.symbols) {
            if esi < k {
                missing[esi as usize] = false;
                let at = esi as usize * self.symbol_size;
                output[at..at + self.symbol_size].copy_from_slice(symbol);
            }
        }
        if self.source == k {
            return true;
        }
        let total = self.stored();
        let (Some(solver), Some(inverse)) = (&self.solver, &self.inverse) else { return false };
        // LT rows of the matrix: what had arrived when the solver started, padding, what came later.
        let started = self.started;
        let padding_end = started + (parameters.k_prime - k);
        let input = |row: u32| match row {
            row if row < started => Some(row),
            row if row < padding_end => None,
            row => Some(row - (padding_end - started)),
        };
        let plan = Plan::compile(solver, inverse, total, input);
        let rows = self.symbols.iter().map(Vec::as_slice).collect();
        let Some(inputs) = Inputs::new(rows, self.symbol_size) else { return false };
        let wanted: Vec<(usize, u32)> =
            (0..k).filter(|&esi| missing[esi as usize]).map(|esi| (esi as usize, esi)).collect();
        let emit = Emission::new(&parameters, &plan.places, wanted.into_iter());
        // Received symbols lie anywhere; the output is what can be cut at its lines.
        let head = until_line(output);
        execute(self.kernel, &plan, &inputs, head, Some(&emit), output, false);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuple::Tuple;
    use crate::{BlockEncoder, EncodingPlan};

    /// An adversary who can choose encoding symbol IDs picks rows of high degree only, on which the
    /// sparse phase cannot start: almost all columns would go to the dense system, at cubic cost.
    #[test]
    fn symbols_of_high_degree_only_are_given_up_after_few_solver_runs() {
        let mut decoder = BlockDecoder::new(2_000, 1).unwrap();
        let parameters = *decoder.parameters();
        let long = |&esi: &u32| Tuple::new(&parameters, parameters.isi(esi)).d >= 12;
        let mut last = Ok(Added::Stored);
        for esi in (2_000..).filter(long).take(2_000 + MAX_OVERHEAD as usize + 1) {
            last = decoder.add(esi, vec![0]);
        }
        assert_eq!(last, Err(DecodeError::Exhausted { stored: 2_000 + MAX_OVERHEAD }));
        assert_eq!(decoder.solver_runs(), MAX_SOLVER_RUNS);
        assert!(decoder.decode().is_none());
    }

    #[test]
    fn symbols_that_cannot_belong_to_the_block_change_nothing() {
        assert!(BlockDecoder::new(0, 1).is_err());
        assert!(BlockDecoder::new(56_404, 1).is_err());
        assert!(BlockDecoder::new(1, 0).is_err());
        let mut decoder = BlockDecoder::new(2, 4).unwrap();
        assert_eq!(decoder.add(MAX_ESI + 1, vec![0; 4]), Err(DecodeError::Esi(MAX_ESI + 1)));
        let error = DecodeError::SymbolSize { length: 5, symbol_size: 4 };
        assert_eq!(decoder.add(0, vec![0; 5]), Err(error));
        assert_eq!(decoder.add(0, vec![1; 4]), Ok(Added::Stored));
        assert_eq!(decoder.add(0, vec![2; 4]), Ok(Added::Duplicate));
        assert_eq!(decoder.stored(), 1);
        assert_eq!(decoder.add(1, vec![3; 4]), Ok(Added::Ready));
        assert_eq!(decoder.decode(), Some(vec![1, 1, 1, 1, 3, 3, 3, 3]));
        assert!(!decoder.decode_into(&mut [0; 7]));
    }

    #[test]
    fn every_kernel_decodes_the_same_block() {
        let block: Vec<u8> = (0..90 * 333u32).map(|i| ((i * i) >> 7) as u8).collect();
        let plan = EncodingPlan::new(90).unwrap();
        let encoder = BlockEncoder::new(&plan, &block, 333).unwrap();
        for kernel in crate::Isa::ALL.into_iter().filter_map(Kernel::with_isa) {
            let mut decoder = BlockDecoder::with_kernel(kernel, 90, 333).unwrap();
            for esi in (0..90).filter(|esi| esi % 4 != 0).chain(200..) {
                if decoder.add(esi, encoder.symbol(esi).unwrap()) == Ok(Added::Ready) {
                    break;
                }
            }
            assert!(decoder.decode().as_deref() == Some(&block[..]), "{kernel:?}");
        }
    }
}
