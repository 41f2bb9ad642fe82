//! Plans: a solved elimination as a program over symbols, and its execution in column tiles.
//!
//! A plan works on one *slot* for each intermediate symbol:
//!
//! 1. every pivot column in elimination order, as if all inactive columns were zero;
//! 2. the residual rows, and the HDPC rows as one running sum over all columns;
//! 3. the inactive columns: those without a binary pivot from the HDPC rows, the others as binary
//!    combinations, eight (or so) residual rows at a time through tables of their sums (the method
//!    of four Russians);
//! 4. every pivot column again, from the original sparse rows and the true inactive columns.
//!
//! Each destination is written once a pass, however many terms it sums. The whole program runs on
//! one tile of every symbol at a time, so that the slots stay in the cache and only the sources and
//! the results travel to memory. Nothing depends on the symbol size: a plan is good for any.
//!
//! Slots are numbered in the order in which the program writes them: reads go anywhere, but every
//! pass writes its pivots as they lie.

mod cache;
mod compile;
mod emission;
mod tables;
mod tile;

use std::sync::Arc;

pub use cache::PlanCache;
pub(crate) use emission::Emission;
pub(crate) use tile::{Intermediate, execute, until_line};

use crate::parameters::BlockParameters;
use crate::solver::Solver;
use crate::symbol::{Program, Step};

/// A program that computes the intermediate symbols of a block.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub parameters: BlockParameters,
    program: Program,
    /// By column: its slot, one of the first L.
    pub places: Arc<[u16]>,
}

/// Up to so many columns, tiles of 256 octets and the sources stay in the second cache.
const SHORT: usize = 3_000;

/// Up to so many, tiles of 128 octets nearly stay there, and leave room for sources asked for ahead.
const MEDIUM: usize = 20_000;

/// What one pass of a plan costs, in vector operations for each source symbol.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanCost {
    /// Symbol reads.
    pub loads: f64,
    /// Symbol writes.
    pub stores: f64,
    /// Columns left to the dense system, in all.
    pub inactive: usize,
    /// Bytes that the plan itself holds.
    pub bytes: usize,
}

impl Plan {
    pub(crate) fn cost(&self) -> PlanCost {
        let (mut loads, mut stores, mut inactive) = (0, 0, 0);
        for step in self.program.steps() {
            match step {
                Step::Sums(sums) => {
                    loads += sums.loads();
                    stores += sums.stores();
                }
                Step::Linear { to, from, .. } => {
                    loads += to.len() * from.len();
                    stores += to.len();
                    inactive += from.len() + to.len() - self.parameters.h as usize;
                }
                Step::Load { to } => {
                    loads += to.len();
                    stores += to.len();
                }
                Step::Scan { pairs, .. } => {
                    loads += 3 * pairs.len();
                    stores += 2 * pairs.len();
                }
            }
        }
        let each = f64::from(self.parameters.k_prime);
        PlanCost {
            loads: loads as f64 / each,
            stores: stores as f64 / each,
            inactive,
            bytes: self.program.bytes() + 2 * self.places.len(),
        }
    }
}

/// A plan for encoding any block of K source symbols, whatever their size.
///
/// Costs a run of the solver to make; reuse it for every block of the same K.
#[derive(Clone, Debug)]
pub struct EncodingPlan {
    pub(crate) plan: Plan,
}

impl EncodingPlan {
    /// Solves the code for `symbols` source symbols; `None` unless `1 <= symbols <= 56,403`.
    #[must_use]
    pub fn new(symbols: u32) -> Option<Self> {
        let parameters = BlockParameters::for_symbols(symbols)?;
        let mut solver = Solver::new(parameters, 0..parameters.k_prime)?;
        // The systematic indices of Table 2 are chosen so that this system is never singular.
        let inverse = solver.invert()?;
        let input = |row: u32| (row < symbols).then_some(row);
        Some(Self { plan: Plan::compile(&solver, &inverse, symbols, input) })
    }

    /// The code parameters of the block.
    #[must_use]
    pub fn parameters(&self) -> &BlockParameters {
        &self.plan.parameters
    }

    /// What one encoding costs.
    #[must_use]
    pub fn cost(&self) -> PlanCost {
        self.plan.cost()
    }
}
