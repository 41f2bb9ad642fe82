//! The encoder: source and repair symbols of one block (RFC 6330 section 5.3).

use std::fmt;
use std::ops::Range;

use crate::parameters::{BlockParameters, MAX_ESI};
use crate::plan::{Emission, EncodingPlan, Intermediate, execute, until_line};
use crate::symbol::{Inputs, Kernel};

/// Why a block or a range of symbols cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// Zero octets in a symbol, or no source at all.
    Empty,
    /// The source does not have the number of symbols that the plan is for.
    SourceLength {
        /// Octets of source.
        length: usize,
        /// Octets in a symbol.
        symbol_size: usize,
        /// Source symbols of the plan.
        symbols: u32,
    },
    /// An encoding symbol ID above 2^24 - 1.
    Esi(u32),
    /// The output is not symbols times symbol size long.
    OutputLength {
        /// Octets given.
        length: usize,
        /// Octets needed.
        needed: usize,
    },
}

impl EncodeError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "encode_empty",
            Self::SourceLength { .. } => "encode_source_length",
            Self::Esi(_) => "encode_esi",
            Self::OutputLength { .. } => "encode_output_length",
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                f.write_str("nothing to encode: source and symbol size must be positive")
            }
            Self::SourceLength { length, symbol_size, symbols } => write!(
                f,
                "{length} octets in symbols of {symbol_size} are not the {symbols} symbols of the \
                 plan; make a plan for this block"
            ),
            Self::Esi(esi) => write!(f, "encoding symbol ID {esi} is above {MAX_ESI}"),
            Self::OutputLength { length, needed } => {
                write!(f, "output has {length} octets, the symbols need {needed}")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// The octets of a block as K symbols, the last one padded with zeros if it is short.
struct Source<'a> {
    block: &'a [u8],
    symbol_size: usize,
    last: Vec<u8>,
}

impl<'a> Source<'a> {
    fn new(
        parameters: &BlockParameters,
        block: &'a [u8],
        symbol_size: usize,
    ) -> Result<Self, EncodeError> {
        if symbol_size == 0 || block.is_empty() {
            return Err(EncodeError::Empty);
        }
        if block.len().div_ceil(symbol_size) != parameters.k as usize {
            let (length, symbols) = (block.len(), parameters.k);
            return Err(EncodeError::SourceLength { length, symbol_size, symbols });
        }
        let mut last = Vec::new();
        let short = block.len() % symbol_size;
        if short != 0 {
            last.extend_from_slice(&block[block.len() - short..]);
            last.resize(symbol_size, 0);
        }
        Ok(Self { block, symbol_size, last })
    }

    fn inputs(&self) -> Option<Inputs<'_>> {
        let mut rows: Vec<&[u8]> = self.block.chunks_exact(self.symbol_size).collect();
        if !self.last.is_empty() {
            rows.push(&self.last);
        }
        Inputs::new(rows, self.symbol_size)
    }
}

fn check_range(esis: &Range<u32>) -> Result<(), EncodeError> {
    if esis.end > MAX_ESI + 1 { Err(EncodeError::Esi(esis.end - 1)) } else { Ok(()) }
}

/// Writes symbols `esis` of one block to `output`, one after the other, without keeping anything.
///
/// The fastest way to a fixed number of repair symbols: intermediate symbols exist for one tile at a
/// time, so memory is O(L times 256 octets) beyond `output`. `block` is K symbols of `symbol_size`
/// octets; the last may be short and is taken as padded with zeros.
///
/// # Errors
/// [`EncodeError`] when source, range or output do not fit the plan.
pub fn encode_symbols(
    kernel: Kernel,
    plan: &EncodingPlan,
    block: &[u8],
    symbol_size: usize,
    esis: Range<u32>,
    output: &mut [u8],
) -> Result<(), EncodeError> {
    let parameters = plan.parameters();
    let source = Source::new(parameters, block, symbol_size)?;
    check_range(&esis)?;
    let needed = esis.len() * symbol_size;
    if output.len() != needed {
        return Err(EncodeError::OutputLength { length: output.len(), needed });
    }
    let emit = emission(parameters, &plan.plan.places, esis);
    let inputs = source.inputs().ok_or(EncodeError::Empty)?;
    execute(kernel, &plan.plan, &inputs, until_line(block), Some(&emit), output, false);
    Ok(())
}

/// The symbols of a range of ESIs, to output rows `0..`.
fn emission(parameters: &BlockParameters, places: &[u16], esis: Range<u32>) -> Emission {
    let first = esis.start;
    let symbols = (0..esis.len()).map(|row| (row, parameters.isi(first + row as u32)));
    Emission::new(parameters, places, symbols)
}

/// One block, ready to give any of its 2^24 symbols.
///
/// Holds the L intermediate symbols, so about as many octets as the block.
#[derive(Clone)]
pub struct BlockEncoder {
    kernel: Kernel,
    parameters: BlockParameters,
    symbol_size: usize,
    intermediate: Intermediate,
}

impl fmt::Debug for BlockEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parameters, symbol_size, .. } = self;
        f.debug_struct("BlockEncoder")
            .field("symbols", &parameters.k)
            .field("symbol_size", symbol_size)
            .finish_non_exhaustive()
    }
}

impl BlockEncoder {
    /// Computes the intermediate symbols of `block` (K symbols of `symbol_size` octets, the last one
    /// possibly short) with the fastest kernel.
    ///
    /// # Errors
    /// [`EncodeError`] when the block does not fit the plan.
    pub fn new(plan: &EncodingPlan, block: &[u8], symbol_size: usize) -> Result<Self, EncodeError> {
        Self::with_kernel(Kernel::detect(), plan, block, symbol_size)
    }

    /// As [`new`](Self::new) with a given kernel.
    ///
    /// # Errors
    /// [`EncodeError`] when the block does not fit the plan.
    pub fn with_kernel(
        kernel: Kernel,
        plan: &EncodingPlan,
        block: &[u8],
        symbol_size: usize,
    ) -> Result<Self, EncodeError> {
        let parameters = *plan.parameters();
        let source = Source::new(&parameters, block, symbol_size)?;
        let inputs = source.inputs().ok_or(EncodeError::Empty)?;
        let intermediate =
            execute(kernel, &plan.plan, &inputs, until_line(block), None, &mut [], true)
                .ok_or(EncodeError::Empty)?;
        Ok(Self { kernel, parameters, symbol_size, intermediate })
    }

    /// The code parameters of the block.
    #[must_use]
    pub const fn parameters(&self) -> &BlockParameters {
        &self.parameters
    }

    /// Octets in a symbol.
    #[must_use]
    pub const fn symbol_size(&self) -> usize {
        self.symbol_size
    }

    /// Symbol `esi`; below K a source symbol, from K a repair symbol.
    ///
    /// # Errors
    /// [`EncodeError::Esi`] above 2^24 - 1.
    pub fn symbol(&self, esi: u32) -> Result<Vec<u8>, EncodeError> {
        if esi > MAX_ESI {
            return Err(EncodeError::Esi(esi));
        }
        self.symbols(esi..esi + 1)
    }

    /// Symbols `esis`, one after the other. Cheaper than one by one: each tile is visited once.
    ///
    /// # Errors
    /// [`EncodeError::Esi`] above 2^24 - 1.
    pub fn symbols(&self, esis: Range<u32>) -> Result<Vec<u8>, EncodeError> {
        check_range(&esis)?;
        let mut output = vec![0; esis.len() * self.symbol_size];
        let emit = emission(&self.parameters, self.intermediate.places(), esis);
        self.intermediate.emit(self.kernel, &emit, &mut output, self.symbol_size);
        Ok(output)
    }

    /// The symbols with the given IDs, one after the other.
    ///
    /// # Errors
    /// [`EncodeError::Esi`] above 2^24 - 1.
    pub fn select(
        &self,
        esis: impl ExactSizeIterator<Item = u32> + Clone,
    ) -> Result<Vec<u8>, EncodeError> {
        if let Some(esi) = esis.clone().find(|&esi| esi > MAX_ESI) {
            return Err(EncodeError::Esi(esi));
        }
        let mut output = vec![0; esis.len() * self.symbol_size];
        let isis = esis.map(|esi| self.parameters.isi(esi));
        let emit = Emission::new(&self.parameters, self.intermediate.places(), isis.enumerate());
        self.intermediate.emit(self.kernel, &emit, &mut output, self.symbol_size);
        Ok(output)
    }
}
