//! The one generator that seeds, names and draws are made of.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
/// figure 1 with the mixing constants of David Stafford's variant 13).
///
/// Ids, the lab's choices and the draws of virtual drivers come from it, so its exact output is part of
/// what a seed means. Not for keys: whoever sees a number knows all that follow.
#[derive(Clone, Debug, Default)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> SplitMix64 {
        SplitMix64 { state: seed }
    }

    /// The next number.
    #[must_use]
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be zero: the next one, reduced by multiplication (Lemire, "Fast random
    /// integer generation in an interval", 2019, without the rejection step: the bias is below `end / 2^64`).
    #[must_use]
    pub const fn below(&mut self, end: u64) -> u64 {
        ((self.next_u64() as u128 * end as u128) >> 64) as u64
    }

    /// The first number of the stream of this seed: a bijection on 64 bits that spreads neighbouring
    /// inputs.
    #[must_use]
    pub const fn mix(seed: u64) -> u64 {
        SplitMix64::new(seed).next_u64()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::SplitMix64;

    #[test]
    fn the_numbers_are_those_of_the_reference_implementation() {
        // The first of the seed 1234567 by Sebastiano Vigna's splitmix64.c.
        let mut stream = SplitMix64::new(1_234_567);
        let first = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([stream.next_u64(), stream.next_u64()], first);
        assert!((0..100).all(|_| stream.below(3) < 3));
    }
}
