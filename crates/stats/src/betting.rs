use crate::evalue::ln_mean_exp;
use crate::{LogE, Peak, StatsError};

/// The bets [`BoundedMean::new`] mixes, as far as the null rate allows them.
pub const DEFAULT_BETS: [f64; 6] = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0];

/// A sequential test of H0: each observation in [0, 1] has mean at most `p0`, given the past.
///
/// A gambler starts with 1 and stakes a fixed `l` on each observation, so that the wealth after
/// `t` of them is `prod(1 + l (x_s - p0))`; the value of the process is the average wealth over
/// several `l` in (0, 1/p0]. Under H0 it is a supermartingale from 1 (a martingale if every mean
/// is `p0`), hence an e-process; observations need be neither independent nor alike
/// (Waudby-Smith & Ramdas 2024; mixtures: Ramdas et al. 2023).
///
/// The test is one-sided: observations below `p0` shrink the wealth. With the default bets,
/// `p0 = 0.05` and level 0.05, a rate of 0.2 is found after about 30 observations on average.
/// When `p0` is far below 1/16, larger bets than the default ones find an excess sooner.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundedMean {
    state: BoundedMeanState,
}

/// Everything a [`BoundedMean`] remembers, to be stored and resumed.
///
/// Store the numbers exactly (their bits, or Rust's shortest decimal form) and the resumed
/// process continues bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundedMeanState {
    /// The null rate.
    pub p0: f64,
    /// Each bet with the natural logarithm of its wealth.
    pub wealth: Vec<(f64, f64)>,
    /// The number of observations.
    pub observations: u64,
    /// The natural logarithm of the largest average wealth so far.
    pub ln_peak: f64,
}

impl BoundedMean {
    /// A test of "the mean is at most `p0`" with those [`DEFAULT_BETS`] that cannot be ruined.
    ///
    /// # Errors
    ///
    /// [`StatsError::NullRate`] unless `0 < p0 < 1`.
    pub fn new(p0: f64) -> Result<Self, StatsError> {
        let solvent: Vec<f64> = DEFAULT_BETS.into_iter().filter(|bet| bet * p0 < 1.0).collect();
        Self::with_bets(p0, &solvent)
    }

    /// A test with equal shares in the given bets, which must be chosen before the observations.
    ///
    /// # Errors
    ///
    /// [`StatsError::NullRate`] unless `0 < p0 < 1`, [`StatsError::NoBets`] for an empty list,
    /// [`StatsError::Bet`] for a bet outside (0, 1/p0].
    pub fn with_bets(p0: f64, bets: &[f64]) -> Result<Self, StatsError> {
        Self::resume(BoundedMeanState {
            p0,
            wealth: bets.iter().map(|&bet| (bet, 0.0)).collect(),
            observations: 0,
            ln_peak: 0.0,
        })
    }

    /// Continues from a stored state.
    ///
    /// # Errors
    ///
    /// As [`BoundedMean::with_bets`]; [`StatsError::State`] where the numbers contradict each
    /// other. A consistent but altered state cannot be told from an honest one.
    pub fn resume(state: BoundedMeanState) -> Result<Self, StatsError> {
        let p0 = state.p0;
        if !(p0 > 0.0 && p0 < 1.0) {
            return Err(StatsError::NullRate { p0 });
        }
        if state.wealth.is_empty() {
            return Err(StatsError::NoBets);
        }
        for (index, &(bet, ln)) in state.wealth.iter().enumerate() {
            if !(bet > 0.0 && bet * p0 <= 1.0) {
                return Err(StatsError::Bet { index, bet, p0 });
            }
            if ln.is_nan() || ln == f64::INFINITY {
                return Err(StatsError::State { reason: "a wealth is not a finite amount" });
            }
            if state.observations == 0 && ln != 0.0 {
                return Err(StatsError::State { reason: "wealth changed without an observation" });
            }
        }
        let resumed = Self { state };
        let peak = resumed.state.ln_peak;
        // Also false for NaN.
        if !(peak >= 0.0 && peak >= resumed.log_e().ln() && peak < f64::INFINITY) {
            return Err(StatsError::State { reason: "the peak is below a value it had" });
        }
        if resumed.state.observations == 0 && peak != 0.0 {
            return Err(StatsError::State { reason: "a peak without an observation" });
        }
        Ok(resumed)
    }

    /// Takes in the next observation and returns the value of the process after it.
    ///
    /// # Errors
    ///
    /// [`StatsError::Observation`] for a value outside [0, 1] or NaN; the process is unchanged.
    pub fn observe(&mut self, x: f64) -> Result<LogE, StatsError> {
        let state = &mut self.state;
        if !(0.0..=1.0).contains(&x) {
            return Err(StatsError::Observation { index: state.observations, value: x });
        }
        for (bet, ln) in &mut state.wealth {
            // At least -bet * p0, which `resume` found to be at least -1.
            *ln += (*bet * (x - state.p0)).ln_1p();
        }
        state.observations = state.observations.saturating_add(1);
        let now = self.log_e();
        self.state.ln_peak = self.state.ln_peak.max(now.ln());
        Ok(now)
    }

    /// The current value of the process.
    #[must_use]
    pub fn log_e(&self) -> LogE {
        let mean = ln_mean_exp(self.state.wealth.iter().map(|&(_, ln)| ln));
        // No wealth is NaN or plus infinity, so their mean is not NaN.
        LogE::from_ln(mean).unwrap_or(LogE::ONE)
    }

    /// The largest value so far, which decides.
    #[must_use]
    pub fn peak(&self) -> Peak {
        let mut peak = Peak::new();
        if let Ok(value) = LogE::from_ln(self.state.ln_peak) {
            peak.observe(value);
        }
        peak
    }

    /// What to store in order to [`resume`](Self::resume) later.
    #[must_use]
    pub fn state(&self) -> &BoundedMeanState {
        &self.state
    }
}
