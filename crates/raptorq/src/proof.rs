//! Proofs: a transcript of a decoding that anyone with the decoded block can check.
//!
//! A [`DecodeProof`] says which symbols arrived (by ID and digest), in which order the solver
//! eliminated them, and what came out (by digest). [`DecodeProof::verify`] replays it and establishes
//! two things:
//!
//! 1. *the symbols determine the block*: the elimination order is replayed row by row and the dense
//!    rest is shown to have full rank, so no other block has these symbols;
//! 2. *the block has these symbols*: each is encoded anew from the block and compared by digest.
//!
//! Together: the block is the only one that fits what arrived. The proof does not say who sent the
//! symbols; that is what the tags of [`crate::pipeline`] are for.
//!
//! # Cost
//! Making a proof costs the digests of N symbols beyond decoding. Verifying costs one encoding of the
//! block with its plan, N symbols of it, N + 1 digests, one pass over the ones of the constraint
//! matrix and one dense elimination of the inactive columns; nothing is searched for. The proof itself
//! holds 36 octets for each symbol and 12 for each pivot.

use std::fmt;

use crate::constraint_matrix::ConstraintMatrix;
use crate::decoder::BlockDecoder;
use crate::encoder::{BlockEncoder, EncodeError};
use crate::parameters::{BlockParameters, MAX_ESI};
use crate::plan::EncodingPlan;
use crate::solver::{Peeling, Solver, inactive_limit};

/// A digest, BLAKE3.
pub type Digest = [u8; 32];

/// One symbol that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its encoding symbol ID.
    pub esi: u32,
    /// Digest of its octets.
    pub digest: Digest,
}

/// The transcript of a decoding. All fields are data of the claim; [`verify`](Self::verify) trusts
/// none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeProof {
    /// Source symbols K.
    pub symbols: u32,
    /// Octets in a symbol.
    pub symbol_size: usize,
    /// The symbols, in order of arrival.
    pub received: Vec<Received>,
    /// `(row, column)` in elimination order. Rows are numbered: S LDPC rows, the received symbols,
    /// K' - K padding symbols. Empty if all K source symbols arrived.
    pub pivots: Vec<(u32, u32)>,
    /// LT columns made inactive, in order.
    pub inactivated: Vec<u32>,
    /// Digest of the decoded block, K times symbol size octets.
    pub block: Digest,
}

/// What a proof fails on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// No block has these numbers of symbols and octets.
    Parameters,
    /// A symbol is listed twice, or has an impossible ID.
    Symbol {
        /// Its ID.
        esi: u32,
    },
    /// The elimination order is none: a pivot is not determined by what comes before it.
    Elimination,
    /// The symbols do not determine a block.
    Undetermined,
    /// The block given is not the one the proof is about.
    Block,
    /// The block does not have this symbol.
    Mismatch {
        /// The symbol's ID.
        esi: u32,
    },
}

impl ProofError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Parameters => "proof_parameters",
            Self::Symbol { .. } => "proof_symbol",
            Self::Elimination => "proof_elimination",
            Self::Undetermined => "proof_undetermined",
            Self::Block => "proof_block",
            Self::Mismatch { .. } => "proof_mismatch",
        }
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameters => f.write_str("the proof is about no possible block"),
            Self::Symbol { esi } => write!(f, "symbol {esi} is listed twice or is out of range"),
            Self::Elimination => f.write_str("the elimination order does not hold"),
            Self::Undetermined => f.write_str("the symbols listed do not determine the block"),
            Self::Block => f.write_str("the block is not the one the proof is about"),
            Self::Mismatch { esi } => {
                write!(f, "symbol {esi} of the block is not the one received")
            }
        }
    }
}

impl std::error::Error for ProofError {}

impl From<EncodeError> for ProofError {
    fn from(_: EncodeError) -> Self {
        Self::Parameters
    }
}

impl DecodeProof {
    /// The transcript of a decoding; `None` while `decoder` is not ready.
    ///
    /// `block` is what it decoded.
    #[must_use]
    pub fn new(decoder: &BlockDecoder, block: &[u8]) -> Option<Self> {
        if !decoder.is_ready() {
            return None;
        }
        let parameters = decoder.parameters();
        let received = decoder.received();
        let received =
            received.map(|(esi, octets)| Received { esi, digest: blake3::hash(octets).into() });
        let (mut pivots, mut inactivated) = (Vec::new(), Vec::new());
        if let Some((solver, started)) = decoder.solver() {
            // The decoder has the padding before symbols that came late; the proof has it last.
            let padding = parameters.k_prime - parameters.k;
            let late = decoder.stored() - started;
            let first = parameters.s + started;
            let renumber = |row: u32| match row.checked_sub(first) {
                None => row,
                Some(i) if i < padding => row + late,
                Some(_) => row - padding,
            };
            pivots.extend(solver.peeling.pivots.iter().map(|&(row, c)| (renumber(row), c)));
            inactivated.extend_from_slice(&solver.peeling.inactive[parameters.p as usize..]);
        }
        Some(Self {
            symbols: parameters.k,
            symbol_size: decoder.symbol_size(),
            received: received.collect(),
            pivots,
            inactivated,
            block: blake3::hash(block).into(),
        })
    }

    /// Replays the transcript against the block it claims; `plan` is that of K.
    ///
    /// # Errors
    /// The first step that does not hold.
    pub fn verify(&self, plan: &EncodingPlan, block: &[u8]) -> Result<(), ProofError> {
        let parameters = *plan.parameters();
        let octets = (self.symbols as usize).checked_mul(self.symbol_size);
        if parameters.k != self.symbols || octets != Some(block.len()) {
            return Err(ProofError::Parameters);
        }
        if blake3::hash(block) != blake3::Hash::from(self.block) {
            return Err(ProofError::Block);
        }
        let mut esis: Vec<u32> = self.received.iter().map(|symbol| symbol.esi).collect();
        esis.sort_unstable();
        let twice = esis.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        if let Some(esi) = twice.or(esis.last().copied().filter(|&esi| esi > MAX_ESI)) {
            return Err(ProofError::Symbol { esi });
        }
        let source = esis.partition_point(|&esi| esi < self.symbols);
        if source < self.symbols as usize {
            self.verify_rank(parameters)?;
        }
        let encoder = BlockEncoder::new(plan, block, self.symbol_size)?;
        let symbols = encoder.select(self.received.iter().map(|symbol| symbol.esi))?;
        let symbols = symbols.chunks_exact(self.symbol_size);
        for (received, symbol) in self.received.iter().zip(symbols) {
            if blake3::hash(symbol) != blake3::Hash::from(received.digest) {
                return Err(ProofError::Mismatch { esi: received.esi });
            }
        }
        Ok(())
    }

    fn verify_rank(&self, parameters: BlockParameters) -> Result<(), ProofError> {
        if self.inactivated.len() + parameters.p as usize > inactive_limit(&parameters) {
            return Err(ProofError::Elimination);
        }
        let received = self.received.iter().map(|symbol| parameters.isi(symbol.esi));
        let padding = parameters.k..parameters.k_prime;
        let matrix = ConstraintMatrix::new(parameters, received.chain(padding));
        let peeling = Peeling::replay(&matrix, &self.pivots, &self.inactivated)
            .ok_or(ProofError::Elimination)?;
        let mut solver = Solver::from_peeling(matrix, peeling);
        solver.invert().map(|_| ()).ok_or(ProofError::Undetermined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Added;

    /// A block, its plan and a proof from repair symbols with a few source symbols between.
    fn proven(k: u32) -> (Vec<u8>, EncodingPlan, DecodeProof) {
        let block: Vec<u8> = (0..k as usize * 16).map(|i| (i * i / 11) as u8).collect();
        let plan = EncodingPlan::new(k).unwrap();
        let encoder = BlockEncoder::new(&plan, &block, 16).unwrap();
        let mut decoder = BlockDecoder::new(k, 16).unwrap();
        let esis = (0..k / 4).map(|i| 3 * i).chain(5 * k..);
        for esi in esis {
            if decoder.add(esi, encoder.symbol(esi).unwrap()).unwrap() == Added::Ready {
                break;
            }
        }
        let decoded = decoder.decode().unwrap();
        assert_eq!(decoded, block);
        let proof = DecodeProof::new(&decoder, &decoded).unwrap();
        (block, plan, proof)
    }

    #[test]
    fn an_honest_proof_is_accepted() {
        for k in [1, 10, 57, 300] {
            let (block, plan, proof) = proven(k);
            assert_eq!(proof.verify(&plan, &block), Ok(()));
        }
    }

    #[test]
    fn any_change_is_refused() {
        let (block, plan, proof) = proven(57);
        let refused = |change: &dyn Fn(&mut DecodeProof)| {
            let mut changed = proof.clone();
            change(&mut changed);
            changed.verify(&plan, &block).unwrap_err()
        };
        assert_eq!(refused(&|p| p.symbols += 1), ProofError::Parameters);
        assert_eq!(refused(&|p| p.symbol_size = 15), ProofError::Parameters);
        assert_eq!(refused(&|p| p.block[0] ^= 1), ProofError::Block);
        let esi = proof.received[7].esi;
        assert_eq!(refused(&|p| p.received[7].digest[31] ^= 1), ProofError::Mismatch { esi });
        assert_eq!(refused(&|p| p.received[8] = p.received[7]), ProofError::Symbol { esi });
        let far = |p: &mut DecodeProof| p.received[7].esi = 1 << 24;
        assert_eq!(refused(&far), ProofError::Symbol { esi: 1 << 24 });
        assert_eq!(refused(&|p| p.pivots.swap(0, 40)), ProofError::Elimination);
        assert_eq!(refused(&|p| p.pivots.truncate(9)), ProofError::Elimination);
        assert_eq!(refused(&|p| p.pivots[0].0 = u32::MAX), ProofError::Elimination);
        assert_eq!(refused(&|p| p.inactivated.push(u32::MAX)), ProofError::Elimination);
        let mut other = block.clone();
        other[0] ^= 1;
        assert_eq!(proof.verify(&plan, &other), Err(ProofError::Block));
    }

    #[test]
    fn too_few_symbols_are_not_proof_of_a_block() {
        let (block, plan, mut proof) = proven(300);
        let keep = proof.received.len() - 20;
        proof.received.truncate(keep);
        assert!(proof.verify(&plan, &block).is_err());
    }

    #[test]
    fn a_consistent_lie_about_the_block_meets_the_digests() {
        let (block, plan, mut proof) = proven(57);
        let mut other = block;
        other[100] ^= 0x40;
        proof.block = blake3::hash(&other).into();
        assert!(matches!(proof.verify(&plan, &other), Err(ProofError::Mismatch { .. })));
    }
}
