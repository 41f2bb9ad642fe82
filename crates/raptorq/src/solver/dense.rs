//! Phases two to four of inactivation decoding: the dense system of the inactive columns.
//!
//! Binary rows are kept in reduced row echelon form together with the combination of residual rows
//! that each stands for, 64 columns to a word; rows can be added one by one. The H rows over
//! GF(2^8) fill the columns without a binary pivot (RFC 6330 section 5.4.2.3).

use crate::octet;

/// Octets of 64 columns as bit planes: bit `c` of word `i` is bit `i` of the octet of column `c`.
pub(crate) type Planes = [u64; 8];

/// `z <- alpha * z` for 64 octets.
pub(crate) fn times_alpha(z: &mut Planes) {
    let [z0, z1, z2, z3, z4, z5, z6, z7] = *z;
    *z = [z7, z0, z1 ^ z7, z2 ^ z7, z3 ^ z7, z4, z5, z6];
}

/// The binary part: linearly independent rows over `width` inactive columns.
pub(crate) struct Dense {
    width: usize,
    words: usize,
    /// Each row: `words` of coefficients, then `words` of combination (over accepted rows).
    rows: Vec<u64>,
    /// By row: its pivot column.
    pivots: Vec<u32>,
    /// Set where a column is some row's pivot.
    pivot_mask: Vec<u64>,
    /// By row: the residual row accepted.
    pub accepted: Vec<u32>,
    scratch: Vec<u64>,
}

/// The inactive columns as sums of residual rows.
pub(crate) struct Inverse {
    /// Columns without a binary pivot, solved by the HDPC rows.
    pub free: Vec<u32>,
    /// `free.len() * accepted` octets: coefficient of each accepted row in each free column.
    pub free_from_rows: Vec<u8>,
    /// `free.len() * h` octets: coefficient of each HDPC row in each free column.
    pub free_from_hdpc: Vec<u8>,
}

impl Dense {
    pub(crate) fn new(width: usize) -> Self {
        let words = width.div_ceil(64);
        Self {
            width,
            words,
            rows: Vec::with_capacity(width * 2 * words),
            pivots: Vec::with_capacity(width),
            pivot_mask: vec![0; words],
            accepted: Vec::with_capacity(width),
            scratch: vec![0; 2 * words],
        }
    }

    /// Adds residual row `id` with the given coefficients; false when it depends on earlier ones.
    pub(crate) fn add(&mut self, id: u32, coefficients: &[u64]) -> bool {
        let words = self.words;
        let mut row = std::mem::take(&mut self.scratch);
        self.reduce(coefficients, &mut row);
        let found = (0..words).find(|&i| row[i] != 0);
        if let Some(word) = found {
            let pivot = word * 64 + row[word].trailing_zeros() as usize;
            let ordinal = self.pivots.len();
            row[words + ordinal / 64] |= 1 << (ordinal % 64);
            for other in self.rows.chunks_exact_mut(2 * words) {
                if other[word] >> (pivot % 64) & 1 != 0 {
                    xor_words(other, &row);
                }
            }
            self.rows.extend_from_slice(&row);
            self.pivots.push(pivot as u32);
            self.pivot_mask[word] |= 1 << (pivot % 64);
            self.accepted.push(id);
        }
        self.scratch = row;
        found.is_some()
    }

    /// Writes a sum of columns as one of columns without a pivot, then as words of combination what the
    /// rows add to that.
    pub(crate) fn reduce(&self, coefficients: &[u64], row: &mut [u64]) {
        let words = self.words;
        row[..words].copy_from_slice(coefficients);
        row[words..].fill(0);
        // A pivot column occurs in its own row only, so the pivots to clear are known up front.
        if self.pivot_mask.iter().zip(coefficients).all(|(mask, word)| mask & word == 0) {
            return;
        }
        for (&pivot, other) in self.pivots.iter().zip(self.rows.chunks_exact(2 * words.max(1))) {
            if coefficients[pivot as usize / 64] >> (pivot % 64) & 1 != 0 {
                xor_words(row, other);
            }
        }
    }

    /// How many more independent rows would make the binary rows alone sufficient.
    pub(crate) fn missing(&self) -> usize {
        self.width - self.pivots.len()
    }

    /// Of each row its pivot column, and in words its coefficients, then its combination.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, &[u64])> {
        self.pivots.iter().copied().zip(self.rows.chunks_exact(2 * self.words.max(1)))
    }

    /// Solves for the free columns with the HDPC rows (`h` rows of `words` planes each); `None` when
    /// the whole system is singular.
    pub(crate) fn invert(&self, hdpc: &[Planes], h: usize) -> Option<Inverse> {
        let free: Vec<u32> = (0..self.width)
            .filter(|&c| self.pivot_mask[c / 64] >> (c % 64) & 1 == 0)
            .map(|c| c as u32)
            .collect();
        let n = free.len();
        if n > h {
            return None;
        }
        if n == 0 {
            return Some(Inverse { free, free_from_rows: Vec::new(), free_from_hdpc: Vec::new() });
        }
        let octet_at = |i: usize, column: u32| {
            let planes = &hdpc[i * self.words + column as usize / 64];
            (0..8).fold(0u8, |o, bit| o | ((planes[bit] >> (column % 64)) as u8 & 1) << bit)
        };
        let rank = self.pivots.len();
        // The HDPC coefficients at the pivot columns: what substituting the binary rows adds.
        let at_pivots: Vec<u8> =
            (0..h).flat_map(|i| self.pivots.iter().map(move |&p| octet_at(i, p))).collect();
        // [E' | I]: the free columns after that substitution.
        let width = n + h;
        let mut system = vec![0u8; h * width];
        for (i, row) in system.chunks_exact_mut(width).enumerate() {
            for (slot, &column) in row.iter_mut().zip(&free) {
                *slot = octet_at(i, column);
            }
            row[n + i] = 1;
        }
        for (r, (_, coefficients)) in self.rows().enumerate() {
            for (f, &column) in free.iter().enumerate() {
                if coefficients[column as usize / 64] >> (column % 64) & 1 != 0 {
                    for i in 0..h {
                        system[i * width + f] ^= at_pivots[i * rank + r];
                    }
                }
            }
        }
        let order = reduce(&mut system, width, n)?;
        let mut free_from_hdpc = vec![0u8; n * h];
        for (f, &row) in order.iter().enumerate() {
            let start = row * width + n;
            free_from_hdpc[f * h..(f + 1) * h].copy_from_slice(&system[start..start + h]);
        }
        let mut free_from_rows = vec![0u8; n * rank];
        let mut sums = vec![[0u64; 8]; self.words];
        for (f, from_rows) in free_from_rows.chunks_exact_mut(rank.max(1)).enumerate() {
            sums.fill([0; 8]);
            for (r, (_, row)) in self.rows().enumerate() {
                let combination = &row[self.words..];
                let factor = (0..h).fold(0, |sum, i| {
                    sum ^ octet::mul(free_from_hdpc[f * h + i], at_pivots[i * rank + r])
                });
                if factor != 0 {
                    for (planes, &word) in sums.iter_mut().zip(combination) {
                        for (bit, plane) in planes.iter_mut().enumerate() {
                            *plane ^= word & 0u64.wrapping_sub(u64::from(factor >> bit & 1));
                        }
                    }
                }
            }
            for (j, slot) in from_rows.iter_mut().enumerate() {
                let planes = &sums[j / 64];
                *slot = (0..8).fold(0, |o, bit| o | ((planes[bit] >> (j % 64)) as u8 & 1) << bit);
            }
        }
        Some(Inverse { free, free_from_rows, free_from_hdpc })
    }
}

fn xor_words(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= from;
    }
}

/// Gauss-Jordan over GF(2^8) on the first `n` columns; gives the row that solves each column.
fn reduce(system: &mut [u8], width: usize, n: usize) -> Option<Vec<usize>> {
    let mut used = vec![false; system.len() / width];
    let mut order = Vec::with_capacity(n);
    for column in 0..n {
        let row = (0..used.len()).find(|&r| !used[r] && system[r * width + column] != 0)?;
        used[row] = true;
        order.push(row);
        let inverse = octet::inverse(system[row * width + column])?;
        let pivot: Vec<u8> = system[row * width..(row + 1) * width]
            .iter()
            .map(|&value| octet::mul(value, inverse))
            .collect();
        system[row * width..(row + 1) * width].copy_from_slice(&pivot);
        for r in (0..used.len()).filter(|&r| r != row) {
            let factor = system[r * width + column];
            if factor != 0 {
                for (value, &p) in system[r * width..(r + 1) * width].iter_mut().zip(&pivot) {
                    *value ^= octet::mul(factor, p);
                }
            }
        }
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_times_alpha_is_the_octet_times_two() {
        for value in 0..=255u8 {
            let mut planes = [0u64; 8];
            for (bit, plane) in planes.iter_mut().enumerate() {
                *plane = u64::from(value >> bit & 1) << 17;
            }
            times_alpha(&mut planes);
            let octet = (0..8).fold(0, |o, bit| o | ((planes[bit] >> 17) as u8) << bit);
            assert_eq!(octet, octet::mul(2, value));
        }
    }

    #[test]
    fn a_row_that_is_a_sum_of_others_is_not_accepted() {
        let mut dense = Dense::new(3);
        assert!(dense.add(0, &[0b011]));
        assert!(dense.add(1, &[0b110]));
        assert!(!dense.add(2, &[0b101]));
        assert!(dense.add(3, &[0b100]));
        assert_eq!(dense.missing(), 0);
        assert_eq!(dense.accepted, [0, 1, 3]);
    }
}
