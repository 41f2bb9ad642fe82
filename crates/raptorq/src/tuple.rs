//! Tuples: which intermediate symbols an encoding symbol is the sum of (RFC 6330 section 5.3.5).

mod table;

use crate::parameters::BlockParameters;
use table::{DEGREE_DISTRIBUTION, V0, V1, V2, V3};

/// `Rand[y, i, m]` of section 5.3.5.1: a value in `0..m`.
///
/// `m` must be positive.
#[must_use]
pub(crate) fn rand(y: u32, i: u8, m: u32) -> u32 {
    let at = |shift: u32| ((y >> shift) as u8).wrapping_add(i) as usize;
    (V0[at(0)] ^ V1[at(8)] ^ V2[at(16)] ^ V3[at(24)]) % m
}

/// The degree of the first `v` of each 2^12: few of them have more than one, so that the search from
/// there is rarely mispredicted.
const DEGREES: [u8; 256] = {
    let mut degrees = [1; 256];
    let mut at = 0;
    while at < 256 {
        while DEGREE_DISTRIBUTION[degrees[at] as usize] <= (at as u32) << 12 {
            degrees[at] += 1;
        }
        at += 1;
    }
    degrees
};

/// `Deg[v]` of section 5.3.5.2 for `v` below 2^20.
fn degree(v: u32, w: u32) -> u32 {
    let mut d = u32::from(DEGREES[v as usize >> 12]);
    while v >= DEGREE_DISTRIBUTION[d as usize] {
        d += 1;
    }
    d.min(w - 2)
}

/// The tuple `(d, a, b, d1, a1, b1)` of section 5.3.5.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    /// Number of LT symbols summed.
    pub d: u32,
    a: u32,
    b: u32,
    /// Number of PI symbols summed.
    pub d1: u32,
    a1: u32,
    b1: u32,
}

impl Tuple {
    /// The tuple of internal symbol `isi` (section 5.3.1: padding symbols included).
    pub(crate) fn new(parameters: &BlockParameters, isi: u32) -> Self {
        let BlockParameters { j, w, p1, .. } = *parameters;
        let mut odd = 53591 + j * 997;
        odd += 1 - odd % 2;
        let y = (10267 * (j + 1)).wrapping_add(isi.wrapping_mul(odd));
        let d = degree(rand(y, 0, 1 << 20), w);
        Self {
            d,
            a: 1 + rand(y, 1, w - 1),
            b: rand(y, 2, w),
            d1: if d < 4 { 2 + rand(isi, 3, 2) } else { 2 },
            a1: 1 + rand(isi, 4, p1 - 1),
            b1: rand(isi, 5, p1),
        }
    }

    /// Calls `visit` with every intermediate symbol of `Enc[]` (section 5.3.5.3), LT symbols first.
    pub(crate) fn columns(&self, parameters: &BlockParameters, mut visit: impl FnMut(u32)) {
        let BlockParameters { w, p, p1, .. } = *parameters;
        let mut b = self.b;
        visit(b);
        for _ in 1..self.d {
            b += self.a;
            if b >= w {
                b -= w;
            }
            visit(b);
        }
        let step = |b1: u32| {
            let next = b1 + self.a1;
            if next >= p1 { next - p1 } else { next }
        };
        let mut b1 = self.b1;
        while b1 >= p {
            b1 = step(b1);
        }
        visit(w + b1);
        for _ in 1..self.d1 {
            b1 = step(b1);
            while b1 >= p {
                b1 = step(b1);
            }
            visit(w + b1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(csv: &str) -> Vec<u32> {
        csv.lines().skip(1).map(|line| line.split_once(',').unwrap().1.parse().unwrap()).collect()
    }

    #[test]
    fn random_and_degree_tables_are_those_of_the_rfc() {
        assert_eq!(values(include_str!("../data/rfc6330/v0.csv")), V0);
        assert_eq!(values(include_str!("../data/rfc6330/v1.csv")), V1);
        assert_eq!(values(include_str!("../data/rfc6330/v2.csv")), V2);
        assert_eq!(values(include_str!("../data/rfc6330/v3.csv")), V3);
        let degrees = values(include_str!("../data/rfc6330/degree_distribution.csv"));
        assert_eq!(degrees, DEGREE_DISTRIBUTION);
    }

    #[test]
    fn degree_changes_exactly_at_the_bounds_of_table_1() {
        for d in 1..=30u32 {
            let (low, high) =
                (DEGREE_DISTRIBUTION[d as usize - 1], DEGREE_DISTRIBUTION[d as usize]);
            assert_eq!(degree(low, 1000), d);
            assert_eq!(degree(high - 1, 1000), d);
        }
        assert_eq!(degree((1 << 20) - 1, 17), 15);
    }

    #[test]
    fn a_tuple_names_distinct_columns_within_the_block() {
        for k in [10, 101, 1000] {
            let parameters = BlockParameters::for_symbols(k).unwrap();
            for isi in (0..3000).chain([(1 << 24) - 1]) {
                let tuple = Tuple::new(&parameters, isi);
                let mut columns = Vec::new();
                tuple.columns(&parameters, |column| columns.push(column));
                assert_eq!(columns.len() as u32, tuple.d + tuple.d1);
                assert!(columns.iter().all(|&column| column < parameters.l));
                columns.sort_unstable();
                columns.dedup();
                assert_eq!(columns.len() as u32, tuple.d + tuple.d1);
            }
        }
    }
}
