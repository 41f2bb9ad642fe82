//! The network's entropy: one stream a direction, so that connections do not disturb one another.

use asupersync_core::SplitMix64;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Replay depends on its exact output.
#[derive(Clone, Debug)]
pub(crate) struct Rng(SplitMix64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(SplitMix64::new(seed))
    }

    /// A stream for one purpose, named by a seed and a list of words.
    pub(crate) fn named(seed: u64, words: impl IntoIterator<Item = u64>) -> Rng {
        let name = |state, word| SplitMix64::mix(state ^ word);
        Rng::new(words.into_iter().fold(SplitMix64::mix(seed), name))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in the range, up to a bias below 2^-32 for the ranges used here.
    pub(crate) fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let width = u128::from(range.end().saturating_sub(*range.start())) + 1;
        let scaled = (u128::from(self.next()) * width) >> 64;
        range.start() + scaled as u64
    }

    pub(crate) fn chance(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.within(&(0..=999_999)) < u64::from(per_million)
    }
}

/// An address as words for [`Rng::named`].
pub(crate) fn words(address: SocketAddr) -> [u64; 3] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    [(ip >> 64) as u64, ip as u64, u64::from(address.port())]
}
