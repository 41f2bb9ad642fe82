use std::ops::RangeInclusive;

use crate::{Level, StatsError};

/// A threshold on nonconformity scores with finite-sample coverage: split conformal prediction.
///
/// Given the scores of `n` calibration points and a level `alpha`, let
/// `k = ceil((n + 1)(1 - alpha))`. The threshold is the `k`-th smallest score, or plus infinity
/// when `k > n`. If the next score is exchangeable with the calibration scores, it is at most the
/// threshold with probability at least `1 - alpha`, and exactly `k / (n + 1)` when ties have
/// probability zero (Vovk, Gammerman & Shafer 2005, chapters 2 and 4).
///
/// The score function must not have been fitted to the calibration points: that is the split.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    threshold: f64,
    samples: usize,
    rank: usize,
}

impl Calibration {
    /// Calibrates on scores in any order; larger means stranger. Infinite scores are allowed.
    ///
    /// # Errors
    ///
    /// [`StatsError::Score`] with the position of the first NaN.
    pub fn new(scores: &[f64], level: Level) -> Result<Self, StatsError> {
        if let Some(index) = scores.iter().position(|score| score.is_nan()) {
            return Err(StatsError::Score { index });
        }
        let rank = rank(scores.len(), level);
        let mut scores = scores.to_vec();
        let threshold = if rank <= scores.len() {
            *scores.select_nth_unstable_by(rank - 1, f64::total_cmp).1
        } else {
            f64::INFINITY
        };
        Ok(Self { threshold, samples: scores.len(), rank })
    }

    /// The largest score that conforms. Plus infinity when there are too few calibration points
    /// to exclude anything: at least `1/alpha - 1` are needed.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The coverage when ties have probability zero, `k / (n + 1)` or 1; at least `1 - alpha`.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        if self.rank > self.samples { 1.0 } else { self.rank as f64 / (self.samples as f64 + 1.0) }
    }

    /// Whether a new score conforms; if not, the measurement is unusual at this level.
    ///
    /// # Errors
    ///
    /// [`StatsError::Score`] with index 0 for NaN.
    pub fn conforms(&self, score: f64) -> Result<bool, StatsError> {
        if score.is_nan() {
            Err(StatsError::Score { index: 0 })
        } else {
            Ok(score <= self.threshold)
        }
    }

    /// The prediction set: those candidate labels whose score conforms, in the given order.
    ///
    /// # Errors
    ///
    /// [`StatsError::Score`] with the position of the first candidate whose score is NaN.
    pub fn prediction_set<Y>(
        &self,
        candidates: impl IntoIterator<Item = Y>,
        mut score: impl FnMut(&Y) -> f64,
    ) -> Result<Vec<Y>, StatsError> {
        let mut set = Vec::new();
        for (index, candidate) in candidates.into_iter().enumerate() {
            let score = score(&candidate);
            if score.is_nan() {
                return Err(StatsError::Score { index });
            }
            if score <= self.threshold {
                set.push(candidate);
            }
        }
        Ok(set)
    }

    /// The prediction set for a real quantity whose score is `|y - prediction|`. Empty if the
    /// threshold is negative, which such scores never give.
    ///
    /// # Errors
    ///
    /// [`StatsError::Centre`] unless `prediction` is finite.
    pub fn interval(&self, prediction: f64) -> Result<RangeInclusive<f64>, StatsError> {
        if !prediction.is_finite() {
            return Err(StatsError::Centre { value: prediction });
        }
        Ok(prediction - self.threshold..=prediction + self.threshold)
    }
}

/// `ceil((n + 1)(1 - alpha))`, from 1 to `n + 1`.
///
/// Written as `n + 1 - floor((n + 1) alpha)`. A product within two units in the last place of an
/// integer is that integer: `0.29` is not representable and `100 * 0.29` falls just below 29.
fn rank(n: usize, level: Level) -> usize {
    let excluded = (n as f64 + 1.0) * level.alpha();
    let nearest = excluded.round();
    let snapped = if (excluded - nearest).abs() <= 2.0 * f64::EPSILON * excluded {
        nearest
    } else {
        excluded.floor()
    };
    // At most n: with a level just below 1 even the smallest score must stay inside.
    n - (snapped as usize).min(n) + 1
}
