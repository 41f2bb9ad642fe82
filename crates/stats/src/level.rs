use std::num::NonZeroUsize;

use crate::StatsError;

/// The probability of a wrong answer one accepts, `alpha`, strictly between 0 and 1.
///
/// For a test it is the chance of rejecting a true hypothesis; for a prediction set the chance
/// that the set misses.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Level(f64);

impl Level {
    /// # Errors
    ///
    /// [`StatsError::Level`] unless `0 < alpha < 1`.
    pub fn new(alpha: f64) -> Result<Self, StatsError> {
        if alpha > 0.0 && alpha < 1.0 { Ok(Self(alpha)) } else { Err(StatsError::Level { alpha }) }
    }

    /// `alpha`.
    #[must_use]
    pub fn alpha(self) -> f64 {
        self.0
    }

    /// The level for each of `parts` tests such that *any* of them errs with probability at most
    /// `alpha` (the union bound); an e-process then rejects at `parts / alpha`.
    #[must_use]
    pub fn split(self, parts: NonZeroUsize) -> Self {
        // A positive alpha over a huge count could underflow to zero, which is no level. Nothing is
        // smaller than what takes its place, so that a part is never more than the whole.
        Self((self.0 / parts.get() as f64).max(f64::from_bits(1)))
    }
}
