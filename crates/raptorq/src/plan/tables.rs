//! The method of four Russians: binary combinations through tables of subset sums.

use crate::symbol::SumsBuilder;

/// Sums of every subset of each group of `bits` terms.
pub(super) struct Tables<'a> {
    terms: &'a [u32],
    bits: usize,
    at: u32,
}

impl<'a> Tables<'a> {
    /// Chooses, of the group sizes whose tables end by slot `limit`, the one that needs the fewest
    /// additions for `sums` random subsets.
    pub(super) fn new(terms: &'a [u32], sums: usize, at: u32, limit: u32) -> Self {
        let tables = |bits: usize| Self { terms, bits, at };
        let fits = |bits: &usize| *bits == 1 || tables(*bits).end() <= limit;
        let cost = |&bits: &usize| {
            let subsets = 1usize << bits;
            terms.len().div_ceil(bits) * (subsets - 1 - bits + sums * (subsets - 1) / subsets)
        };
        tables((1..=7).filter(fits).min_by_key(cost).unwrap_or(1))
    }

    /// Slots of a table that are not a term itself; kept dense by numbering all subsets.
    fn slot(&self, group: usize, subset: usize) -> u32 {
        if subset.is_power_of_two() {
            return self.terms[group * self.bits + subset.trailing_zeros() as usize];
        }
        self.at + ((group << self.bits) + subset) as u32
    }

    /// The most slots that a combination needs.
    pub(super) fn groups(&self) -> usize {
        self.terms.len().div_ceil(self.bits)
    }

    /// One more than the last slot of the tables.
    pub(super) fn end(&self) -> u32 {
        if self.bits == 1 {
            return self.at;
        }
        self.at + (self.terms.len().div_ceil(self.bits) << self.bits) as u32
    }

    /// Every sum from smaller ones.
    pub(super) fn fill(&self, sums: &mut SumsBuilder) {
        for (group, terms) in self.terms.chunks(self.bits).enumerate() {
            for subset in 3..1usize << terms.len() {
                if !subset.is_power_of_two() {
                    let top = 1 << subset.ilog2();
                    sums.begin(self.slot(group, subset), None);
                    sums.add(self.slot(group, top));
                    sums.add(self.slot(group, subset - top));
                    sums.end();
                }
            }
        }
    }

    /// Adds the table entries for the subset of terms whose bit is set; a word follows the last bit.
    pub(super) fn sum(&self, wanted: &[u64], sums: &mut SumsBuilder) {
        for group in 0..self.groups() {
            let (word, bit) = (group * self.bits / 64, group * self.bits % 64);
            let pair = u128::from(wanted[word]) | u128::from(wanted[word + 1]) << 64;
            let subset = (pair >> bit) as usize & ((1 << self.bits) - 1);
            if subset != 0 {
                sums.add(self.slot(group, subset));
            }
        }
    }
}
