//! The solver: inactivation decoding on the structure of the code, without touching symbol data.
//!
//! It decides *which* sums of received symbols give each intermediate symbol; [`crate::plan`] turns
//! the answer into a program over symbols. Symbols may be added after a failed attempt: they are
//! reduced against what is already known, so the sparse phase is never repeated.

mod dense;
mod peel;

pub(crate) use dense::Inverse;
use dense::{Dense, Planes, times_alpha};
pub(crate) use peel::Peeling;

use crate::constraint_matrix::{ConstraintMatrix, hdpc_pairs};
use crate::parameters::BlockParameters;

/// The most columns a block may leave to the dense system: twice what ordinary symbols need, so
/// that symbols chosen by an adversary cannot make the cubic part expensive.
pub(crate) fn inactive_limit(parameters: &BlockParameters) -> usize {
    let root = f64::from(parameters.k_prime).sqrt() as usize;
    parameters.p as usize + 4 * root + 32
}

/// The state of an elimination.
pub(crate) struct Solver {
    pub matrix: ConstraintMatrix,
    pub peeling: Peeling,
    pub dense: Dense,
    /// The rows of `MT`, one pair for each column but the last.
    pub pairs: Vec<(u8, u8)>,
    /// By LT column: its sum of inactive columns, `words` to a column; itself, if it is one.
    sums: Vec<u64>,
    words: usize,
    /// H rows of `words` planes: HDPC coefficients of the inactive columns. Empty until needed.
    hdpc: Vec<Planes>,
}

impl Solver {
    /// Eliminates the rows of `isis`. `None` when they leave more columns to the dense system than
    /// [`inactive_limit`] allows: other symbols are needed.
    pub(crate) fn new(
        parameters: BlockParameters,
        isis: impl Iterator<Item = u32>,
    ) -> Option<Self> {
        let matrix = ConstraintMatrix::new(parameters, isis);
        let peeling = peel::peel(&matrix, inactive_limit(&parameters)).ok()?;
        Some(Self::from_peeling(matrix, peeling))
    }

    /// Continues from an elimination order.
    pub(crate) fn from_peeling(matrix: ConstraintMatrix, peeling: Peeling) -> Self {
        let width = peeling.inactive.len();
        let words = width.div_ceil(64);
        let mut solver = Self {
            dense: Dense::new(width),
            pairs: Vec::new(),
            sums: vec![0; words * matrix.parameters.w as usize],
            words,
            hdpc: Vec::new(),
            matrix,
            peeling,
        };
        let lt_inactive = &solver.peeling.inactive[solver.matrix.parameters.p as usize..];
        for (&column, index) in lt_inactive.iter().zip(solver.matrix.parameters.p as usize..) {
            solver.sums[column as usize * words + index / 64] |= 1 << (index % 64);
        }
        let mut sum = vec![0; words];
        for at in 0..solver.peeling.pivots.len() {
            let (row, column) = solver.peeling.pivots[at];
            solver.sum_row(row, &mut sum);
            let start = column as usize * words;
            solver.sums[start..start + words].copy_from_slice(&sum);
        }
        for at in 0..solver.peeling.residual.len() {
            let row = solver.peeling.residual[at];
            solver.sum_row(row, &mut sum);
            solver.dense.add(row, &sum);
        }
        solver
    }

    /// The sum of inactive columns that `row` comes to. A column that has no value yet counts as
    /// nothing, so a pivot row gives the sum of its own column.
    fn sum_row(&self, row: u32, sum: &mut [u64]) {
        // In registers, if they are few.
        match self.words {
            1 => self.sum_lt::<1>(row, sum),
            2 => self.sum_lt::<2>(row, sum),
            3 => self.sum_lt::<3>(row, sum),
            4 => self.sum_lt::<4>(row, sum),
            5 => self.sum_lt::<5>(row, sum),
            6 => self.sum_lt::<6>(row, sum),
            7 => self.sum_lt::<7>(row, sum),
            8 => self.sum_lt::<8>(row, sum),
            words => {
                sum.fill(0);
                for &column in self.matrix.lt(row) {
                    let start = column as usize * words;
                    for (to, from) in sum.iter_mut().zip(&self.sums[start..start + words]) {
                        *to ^= from;
                    }
                }
            }
        }
        for &column in self.matrix.pi(row) {
            let index = column - self.matrix.parameters.w;
            sum[index as usize / 64] ^= 1 << (index % 64);
        }
    }

    fn sum_lt<const WORDS: usize>(&self, row: u32, sum: &mut [u64]) {
        let mut total = [0; WORDS];
        for &column in self.matrix.lt(row) {
            let start = column as usize * WORDS;
            for (to, from) in total.iter_mut().zip(&self.sums[start..start + WORDS]) {
                *to ^= from;
            }
        }
        sum.copy_from_slice(&total);
    }

    /// The inactive columns that LT column `column` depends on, solved: in words, the columns without a
    /// binary pivot, then the accepted rows.
    pub(crate) fn solved(&self, column: u32) -> Vec<u64> {
        let mut solved = vec![0; 2 * self.words];
        let start = column as usize * self.words;
        self.dense.reduce(&self.sums[start..start + self.words], &mut solved);
        solved
    }

    /// Adds one more symbol; the sparse phase is kept. True when it told something new.
    pub(crate) fn add(&mut self, isi: u32) -> bool {
        self.matrix.push(isi);
        let row = self.matrix.rows() - 1;
        let mut sum = vec![0; self.words];
        self.sum_row(row, &mut sum);
        self.dense.add(row, &sum)
    }

    /// The inverse of the dense system; `None` while the symbols do not determine the block.
    pub(crate) fn invert(&mut self) -> Option<Inverse> {
        let h = self.matrix.parameters.h as usize;
        let missing = self.dense.missing();
        if missing > h {
            return None;
        }
        if missing > 0 && self.hdpc.is_empty() {
            self.evaluate_hdpc();
        }
        self.dense.invert(&self.hdpc, h)
    }

    /// The HDPC rows over the inactive columns: `MT * (GAMMA * sums)` with `GAMMA` as a running sum.
    fn evaluate_hdpc(&mut self) {
        let parameters = self.matrix.parameters;
        let (h, words) = (parameters.h as usize, self.words);
        self.pairs = hdpc_pairs(&parameters);
        let mut hdpc = vec![[0u64; 8]; h * words];
        let mut z = vec![[0u64; 8]; words];
        let columns = parameters.k_prime + parameters.s;
        for column in 0..columns {
            z.iter_mut().for_each(times_alpha);
            if let Some(index) = column.checked_sub(parameters.w) {
                z[index as usize / 64][0] ^= 1 << (index % 64);
            } else {
                let start = column as usize * words;
                for (z, sum) in z.iter_mut().zip(&self.sums[start..start + words]) {
                    z[0] ^= sum;
                }
            }
            if let Some(&(a, b)) = self.pairs.get(column as usize) {
                for row in [a, b] {
                    let start = row as usize * words;
                    for (to, from) in hdpc[start..start + words].iter_mut().zip(&z) {
                        for bit in 0..8 {
                            to[bit] ^= from[bit];
                        }
                    }
                }
            }
        }
        // The last column of MT is alpha^0, alpha^1, ..; the last H columns are the identity.
        for row in 0..h {
            for (to, from) in hdpc[row * words..(row + 1) * words].iter_mut().zip(&z) {
                for bit in 0..8 {
                    to[bit] ^= from[bit];
                }
            }
            z.iter_mut().for_each(times_alpha);
            let index = columns as usize + row - parameters.w as usize;
            hdpc[row * words + index / 64][0] ^= 1 << (index % 64);
        }
        self.hdpc = hdpc;
    }
}
