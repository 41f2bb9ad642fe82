use crate::{Level, StatsError};

/// The natural logarithm of an e-value.
///
/// An e-value is a non-negative statistic with expectation at most 1 while the null hypothesis
/// holds: the wealth of a gambler who starts with 1 and bets against it. The logarithm may be
/// minus infinity (ruined) or plus infinity (something happened that the null rules out).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct LogE(f64);

impl LogE {
    /// An e-value of 1: no evidence.
    pub const ONE: Self = Self(0.0);

    /// The e-value `exp(ln)`. That it *is* one (expectation at most 1) is the caller's claim.
    ///
    /// # Errors
    ///
    /// [`StatsError::LogE`] for NaN.
    pub fn from_ln(ln: f64) -> Result<Self, StatsError> {
        if ln.is_nan() { Err(StatsError::LogE) } else { Ok(Self(ln)) }
    }

    /// The natural logarithm.
    #[must_use]
    pub fn ln(self) -> f64 {
        self.0
    }

    /// The average, which is an e-value however the given ones depend on each other (Vovk & Wang
    /// 2021). For processes: average the *current* values after each step, not their
    /// peaks, and follow the result with a [`Peak`].
    ///
    /// # Errors
    ///
    /// [`StatsError::NoEValues`] if there are none.
    pub fn average(of: &[Self]) -> Result<Self, StatsError> {
        if of.is_empty() {
            return Err(StatsError::NoEValues);
        }
        Ok(Self(ln_mean_exp(of.iter().map(|e| e.0))))
    }

    /// The product, 1 for none. Zero times infinity is zero, the cautious reading.
    ///
    /// It is an e-value if each factor has expectation at most 1 *given the others before it*:
    /// independent streams, or successive stretches of one stream (Vovk & Wang 2021).
    /// For dependent e-values it is not; use [`LogE::average`].
    #[must_use]
    pub fn product(of: &[Self]) -> Self {
        if of.iter().any(|e| e.0 == f64::NEG_INFINITY) {
            return Self(f64::NEG_INFINITY);
        }
        Self(of.iter().map(|e| e.0).sum())
    }
}

/// `ln((1/n) sum exp(v))`, without overflow. `values` is not empty.
pub(crate) fn ln_mean_exp(values: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let n = values.len() as f64;
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if max.is_infinite() {
        return max;
    }
    max + (values.map(|v| (v - max).exp()).sum::<f64>() / n).ln()
}

/// The largest value an e-process has had, starting from 1.
///
/// Ville's inequality (1939): for an e-process `E` and under the null,
/// `P(some t has E_t >= 1/alpha) <= alpha`. So the peak may be read after every observation and a
/// rejection stands, whatever the process does later. The peak itself is *not* an e-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak(LogE);

impl Peak {
    /// The peak before any observation.
    #[must_use]
    pub fn new() -> Self {
        Self(LogE::ONE)
    }

    /// Takes in the current value of the process.
    pub fn observe(&mut self, now: LogE) {
        if now > self.0 {
            self.0 = now;
        }
    }

    /// The largest value so far; at least [`LogE::ONE`].
    #[must_use]
    pub fn log_e(self) -> LogE {
        self.0
    }

    /// `1 / peak`, a p-value that is valid at every stopping time.
    #[must_use]
    pub fn p_value(self) -> f64 {
        (-self.0.0).exp()
    }

    /// Whether the process has ever reached `1 / alpha`.
    #[must_use]
    pub fn rejects(self, level: Level) -> bool {
        self.0.0 >= -level.alpha().ln()
    }
}

impl Default for Peak {
    fn default() -> Self {
        Self::new()
    }
}
