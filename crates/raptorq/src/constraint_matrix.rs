//! The constraint matrix of RFC 6330 section 5.3.3.4: which intermediate symbols each row sums.
//!
//! LDPC and LT rows are binary and sparse and are stored as column lists. HDPC rows are dense over
//! GF(2^8) and are never written out: they are `MT * GAMMA`, and `GAMMA` is a running sum, so a pass
//! over the columns with the two rows of `MT` that each column touches is all that is needed.

use crate::parameters::BlockParameters;
use crate::tuple::{Tuple, rand};

/// The binary rows: S LDPC rows, then one row for each received or padding symbol.
pub(crate) struct ConstraintMatrix {
    /// The code parameters.
    pub parameters: BlockParameters,
    /// By row: where its LT columns start, where its PI columns do. The next row follows.
    starts: Vec<(u32, u32)>,
    columns: Vec<u32>,
}

impl ConstraintMatrix {
    /// The LDPC rows and the LT rows of `isis`, in that order.
    pub(crate) fn new(parameters: BlockParameters, isis: impl Iterator<Item = u32>) -> Self {
        let rows = isis.size_hint().0 + parameters.s as usize;
        let mut matrix = Self {
            parameters,
            starts: Vec::with_capacity(rows),
            columns: Vec::with_capacity(8 * rows),
        };
        matrix.push_ldpc();
        for isi in isis {
            matrix.push(isi);
        }
        matrix
    }

    /// Section 5.3.3.3, the first relationship. Columns of a row may come in any order.
    fn push_ldpc(&mut self) {
        let BlockParameters { s, b, w, p, .. } = self.parameters;
        let visit = |f: &mut dyn FnMut(u32, u32)| {
            for column in 0..b {
                let step = 1 + column / s;
                let mut row = column % s;
                f(row, column);
                for _ in 0..2 {
                    row = (row + step) % s;
                    f(row, column);
                }
            }
        };
        let mut counts = vec![3u32; s as usize];
        visit(&mut |row, _| counts[row as usize] += 1);
        let mut next = Vec::with_capacity(s as usize);
        let mut end = 0;
        for count in counts {
            next.push(end);
            end += count;
            self.starts.push((end - count, end - 2));
        }
        self.columns.resize(end as usize, 0);
        let mut put = |row: u32, column: u32| {
            self.columns[next[row as usize] as usize] = column;
            next[row as usize] += 1;
        };
        visit(&mut put);
        for row in 0..s {
            put(row, b + row);
            put(row, w + row % p);
            put(row, w + (row + 1) % p);
        }
    }

    /// Appends the LT row of an internal symbol.
    pub(crate) fn push(&mut self, isi: u32) {
        let tuple = Tuple::new(&self.parameters, isi);
        let start = self.columns.len() as u32;
        self.starts.push((start, start + tuple.d));
        tuple.columns(&self.parameters, |column| self.columns.push(column));
    }

    /// Number of binary rows.
    pub(crate) fn rows(&self) -> u32 {
        self.starts.len() as u32
    }

    /// The columns of binary row `row`, LT and PI.
    pub(crate) fn row(&self, row: u32) -> &[u32] {
        let start = self.starts[row as usize].0 as usize;
        let end =
            self.starts.get(row as usize + 1).map_or(self.columns.len(), |next| next.0 as usize);
        &self.columns[start..end]
    }

    /// The PI columns of binary row `row`.
    pub(crate) fn pi(&self, row: u32) -> &[u32] {
        let start = self.starts[row as usize].1 as usize;
        let end =
            self.starts.get(row as usize + 1).map_or(self.columns.len(), |next| next.0 as usize);
        &self.columns[start..end]
    }

    /// The LT columns of binary row `row`.
    pub(crate) fn lt(&self, row: u32) -> &[u32] {
        let (start, end) = self.starts[row as usize];
        &self.columns[start as usize..end as usize]
    }
}

/// For each of the first K' + S - 1 columns of `MT`, the two rows that have a one (section 5.3.3.3,
/// the second relationship). Column K' + S - 1 holds alpha to the power of the row instead.
pub(crate) fn hdpc_pairs(parameters: &BlockParameters) -> Vec<(u8, u8)> {
    let BlockParameters { k_prime, s, h, .. } = *parameters;
    (1..k_prime + s)
        .map(|column| {
            let first = rand(column, 6, h);
            let second = (first + rand(column, 7, h - 1) + 1) % h;
            (first as u8, second as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ldpc_column_is_in_three_rows_and_every_identity_column_in_one() {
        for k in [10, 257, 10_017] {
            let parameters = BlockParameters::for_symbols(k).unwrap();
            let matrix = ConstraintMatrix::new(parameters, std::iter::empty());
            assert_eq!(matrix.rows(), parameters.s);
            let mut counts = vec![0; parameters.l as usize];
            for row in 0..matrix.rows() {
                for &column in matrix.row(row) {
                    counts[column as usize] += 1;
                }
            }
            let (b, w) = (parameters.b as usize, parameters.w as usize);
            assert!(counts[..b].iter().all(|&count| count == 3));
            assert!(counts[b..w].iter().all(|&count| count == 1));
            assert_eq!(counts[w..].iter().sum::<u32>(), 2 * parameters.s);
        }
    }
}
