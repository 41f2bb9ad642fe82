use std::fmt;

/// Input that has no statistical meaning. Whatever was asked to change is unchanged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StatsError {
    /// A level outside (0, 1).
    Level {
        /// What was given.
        alpha: f64,
    },
    /// A null rate outside (0, 1).
    NullRate {
        /// What was given.
        p0: f64,
    },
    /// A mixture of no bets.
    NoBets,
    /// A bet that could lose more than everything, or bets on nothing.
    Bet {
        /// Position in the list of bets.
        index: usize,
        /// What was given.
        bet: f64,
        /// The null rate it bets against.
        p0: f64,
    },
    /// An observation outside [0, 1].
    Observation {
        /// How many observations came before it.
        index: u64,
        /// What was given.
        value: f64,
    },
    /// A saved state that no sequence of observations leads to.
    State {
        /// What contradicts what.
        reason: &'static str,
    },
    /// The logarithm of an e-value is not a number.
    LogE,
    /// The average of no e-values.
    NoEValues,
    /// A nonconformity score is not a number.
    Score {
        /// Position among the scores or candidates.
        index: usize,
    },
    /// The centre of a prediction interval is not finite.
    Centre {
        /// What was given.
        value: f64,
    },
    /// A log-likelihood that is not a number or is plus infinity.
    LogLikelihood {
        /// The item's name.
        item: String,
        /// What was given.
        value: f64,
    },
    /// A probability outside [0, 1].
    Probability {
        /// The item's name.
        item: String,
        /// What was given.
        value: f64,
    },
    /// More hits than trials.
    Counts {
        /// The item's name.
        item: String,
        /// Hits given.
        hits: u64,
        /// Trials given.
        trials: u64,
    },
    /// With this item, both hypotheses have probability zero: no ratio exists.
    BothImpossible {
        /// The item's name.
        item: String,
    },
    /// A text of a ledger is empty or longer than one line.
    Text {
        /// Which text.
        field: &'static str,
    },
}

impl StatsError {
    /// The stable name of this kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Level { .. } => "stats-level",
            Self::NullRate { .. } => "stats-null-rate",
            Self::NoBets => "stats-no-bets",
            Self::Bet { .. } => "stats-bet",
            Self::Observation { .. } => "stats-observation",
            Self::State { .. } => "stats-state",
            Self::LogE => "stats-log-e",
            Self::NoEValues => "stats-no-e-values",
            Self::Score { .. } => "stats-score",
            Self::Centre { .. } => "stats-centre",
            Self::LogLikelihood { .. } => "stats-log-likelihood",
            Self::Probability { .. } => "stats-probability",
            Self::Counts { .. } => "stats-counts",
            Self::BothImpossible { .. } => "stats-both-impossible",
            Self::Text { .. } => "stats-text",
        }
    }
}

impl fmt::Display for StatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            Self::Level { alpha } => {
                write!(f, "level {alpha} is not inside (0, 1); 0.05 is customary")
            }
            Self::NullRate { p0 } => write!(
                f,
                "null rate {p0} is not inside (0, 1); for a rate of 0 the first hit is proof, \
                 so count hits instead"
            ),
            Self::NoBets => write!(f, "a mixture needs a bet; use the default bets"),
            Self::Bet { index, bet, p0 } => write!(
                f,
                "bet {index} is {bet}, outside (0, 1/p0] for p0 = {p0}; lower the bet or leave \
                 it out"
            ),
            Self::Observation { index, value } => write!(
                f,
                "observation {index} is {value}, outside [0, 1]; scale it by a bound known in \
                 advance"
            ),
            Self::State { reason } => {
                write!(f, "saved state: {reason}; start a new process instead of resuming")
            }
            Self::LogE => write!(f, "the logarithm of an e-value is NaN; e-values are >= 0"),
            Self::NoEValues => write!(f, "the average of no e-values; give at least one"),
            Self::Score { index } => {
                write!(f, "score {index} is NaN; make the score function total")
            }
            Self::Centre { value } => {
                write!(f, "interval centre {value} is not finite; predict a finite value")
            }
            Self::LogLikelihood { item, value } => write!(
                f,
                "item {item:?}: log-likelihood {value}; give a finite number, or -inf for \
                 impossible"
            ),
            Self::Probability { item, value } => {
                write!(f, "item {item:?}: probability {value} is outside [0, 1]; correct it")
            }
            Self::Counts { item, hits, trials } => write!(
                f,
                "item {item:?}: {hits} hits in {trials} trials; count each hit as a trial too"
            ),
            Self::BothImpossible { item } => write!(
                f,
                "item {item:?}: both hypotheses are now impossible; neither describes the data, \
                 so state another"
            ),
            Self::Text { field } => {
                write!(f, "{field} must be one non-empty line without control characters")
            }
        }
    }
}

impl std::error::Error for StatsError {}
