use std::fmt;
use std::marker::PhantomData;

use crate::{LogE, StatsError};

/// How the null hypothesis of a [`Ledger`] assigns probabilities: [`Simple`] or [`Composite`].
pub trait Null: sealed::Sealed {
    /// Whether a Bayes factor against such a null is an e-value.
    const IS_E_VALUE: bool;
    /// The clause a rendered ledger prints.
    const CLAUSE: &'static str;
}

/// The null is one distribution. `E[P1(x) / P0(x)]` is then at most 1 under it, so the Bayes
/// factor is an e-value, and item by item a test martingale (Ramdas et al. 2023).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simple {}

/// The null is a family averaged over a prior. The Bayes factor averages to at most 1 over that
/// prior but may exceed 1 at a member of the family, so it is *not* an e-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Composite {}

impl Null for Simple {
    const IS_E_VALUE: bool = true;
    const CLAUSE: &'static str = "simple null: B is an e-value";
}

impl Null for Composite {
    const IS_E_VALUE: bool = false;
    const CLAUSE: &'static str = "composite null: B is not an e-value";
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Simple {}
    impl Sealed for super::Composite {}
}

/// `B = P(data | H1) / P(data | H0)`, kept as a logarithm; infinite if H0 (or H1) is impossible.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct BayesFactor {
    ln: f64,
}

impl BayesFactor {
    /// The natural logarithm, in nats. Positive speaks for H1.
    #[must_use]
    pub fn ln(self) -> f64 {
        self.ln
    }

    /// The decimal logarithm, in bans: 1 is odds of ten to one.
    #[must_use]
    pub fn bans(self) -> f64 {
        self.ln * std::f64::consts::LOG10_E
    }
}

/// Words for the size of a Bayes factor, whichever hypothesis it favours.
///
/// Both tables are in Kass & Raftery 1995, section 3.2. A value on a boundary takes the weaker
/// word. The words are conventions, not error rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// `2 ln B`: up to 2, 6, 10 and beyond (Kass & Raftery's own).
    KassRaftery,
    /// `log10 B`: up to 1/2, 1, 2 and beyond (after Jeffreys, *Theory of Probability*, app. B).
    Jeffreys,
}

impl Scale {
    /// The word for this factor.
    #[must_use]
    pub fn grade(self, factor: BayesFactor) -> &'static str {
        const BARE: &str = "not worth more than a bare mention";
        let (size, table, beyond) = match self {
            Self::KassRaftery => (
                2.0 * factor.ln().abs(),
                [(2.0, BARE), (6.0, "positive"), (10.0, "strong")],
                "very strong",
            ),
            Self::Jeffreys => (
                factor.bans().abs(),
                [(0.5, BARE), (1.0, "substantial"), (2.0, "strong")],
                "decisive",
            ),
        };
        table.iter().find(|(upto, _)| size <= *upto).map_or(beyond, |(_, word)| word)
    }
}

/// One piece of evidence: how probable it is under each hypothesis, and why that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    name: String,
    ln_h1: f64,
    ln_h0: f64,
    working: String,
    intuition: String,
}

impl Item {
    /// An item from its log-likelihoods `ln P(x | H1)` and `ln P(x | H0)`; minus infinity says
    /// impossible. Under a [`Composite`] null they are marginal over the prior.
    ///
    /// # Errors
    ///
    /// [`StatsError::LogLikelihood`] for NaN or plus infinity, [`StatsError::BothImpossible`],
    /// [`StatsError::Text`] unless name and intuition are one line each.
    pub fn new(name: &str, ln_h1: f64, ln_h0: f64, intuition: &str) -> Result<Self, StatsError> {
        let working = format!("ln P(x|H1) - ln P(x|H0) = {ln_h1:.4} - ({ln_h0:.4})");
        Self::with_working(name, ln_h1, ln_h0, working, intuition)
    }

    /// An item from independent trials: `hits` of `trials`, with probability `p1` each under H1
    /// and `p0` under H0. The binomial coefficient cancels and is left out.
    ///
    /// # Errors
    ///
    /// [`StatsError::Counts`] if `hits > trials`, [`StatsError::Probability`] for a probability
    /// outside [0, 1]; otherwise as [`Item::new`].
    pub fn trials(
        name: &str,
        hits: u64,
        trials: u64,
        p1: f64,
        p0: f64,
        intuition: &str,
    ) -> Result<Self, StatsError> {
        let item = || name.to_owned();
        let Some(misses) = trials.checked_sub(hits) else {
            return Err(StatsError::Counts { item: item(), hits, trials });
        };
        if let Some(value) = [p1, p0].into_iter().find(|p| !(0.0..=1.0).contains(p)) {
            return Err(StatsError::Probability { item: item(), value });
        }
        let ln = |p: f64| times_ln(hits, p.ln()) + times_ln(misses, (-p).ln_1p());
        let working = format!(
            "k ln(p1/p0) + (n-k) ln((1-p1)/(1-p0)), k={hits}, n={trials}, p1={p1}, p0={p0}"
        );
        Self::with_working(name, ln(p1), ln(p0), working, intuition)
    }

    fn with_working(
        name: &str,
        ln_h1: f64,
        ln_h0: f64,
        working: String,
        intuition: &str,
    ) -> Result<Self, StatsError> {
        let name = one_line("item name", name)?;
        let intuition = one_line("intuition", intuition)?;
        if let Some(value) = [ln_h1, ln_h0].into_iter().find(|v| v.is_nan() || *v == f64::INFINITY)
        {
            return Err(StatsError::LogLikelihood { item: name, value });
        }
        if ln_h1 == f64::NEG_INFINITY && ln_h0 == f64::NEG_INFINITY {
            return Err(StatsError::BothImpossible { item: name });
        }
        Ok(Self { name, ln_h1, ln_h0, working, intuition })
    }

    /// The item's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The item's own Bayes factor.
    #[must_use]
    pub fn bayes_factor(&self) -> BayesFactor {
        // Adding zero turns -0.0, which would print as a negative number, into 0.0.
        BayesFactor { ln: self.ln_h1 - self.ln_h0 + 0.0 }
    }
}

/// Evidence for a hypothesis H1 against a null H0, item by item.
///
/// Log Bayes factors add when the items are independent given each hypothesis, or when each is
/// given conditionally on the items before it (`ln P(x_i | x_1..x_(i-1), H)`). Items that share
/// an unknown parameter of a [`Composite`] null are not independent given it.
///
/// [`Display`](fmt::Display) prints items in the order added, numbers to four decimals:
///
/// ```
/// use asupersync_stats::{Item, Ledger, Simple};
///
/// let mut ledger = Ledger::<Simple>::new("task leak", "clean close")?;
/// ledger.push(Item::trials("late tasks", 3, 4, 0.5, 0.1, "closed regions own no tasks")?)?;
/// assert_eq!(ledger.to_string(), "\
/// H1 task leak against H0 clean close (simple null: B is an e-value)
///  1. late tasks: +4.2405 nats, +1.8416 bans
///     k ln(p1/p0) + (n-k) ln((1-p1)/(1-p0)), k=3, n=4, p1=0.5, p0=0.1
///     closed regions own no tasks
/// total: ln B = +4.2405, log10 B = +1.8416, 2 ln B = +8.4811
/// for task leak: strong (Kass & Raftery), strong (Jeffreys)
/// ");
/// assert!(ledger.is_e_value() && ledger.e_value().ln() > 4.0);
/// # Ok::<(), asupersync_stats::StatsError>(())
/// ```
///
/// A composite null has no e-value to ask for:
///
/// ```compile_fail,E0599
/// use asupersync_stats::{Composite, Ledger};
/// let ledger = Ledger::<Composite>::new("task leak", "rate at most 0.1").unwrap();
/// ledger.e_value();
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger<N: Null> {
    h1: String,
    h0: String,
    items: Vec<Item>,
    null: PhantomData<N>,
}

impl<N: Null> Ledger<N> {
    /// A ledger without items; the hypotheses are named for the reader.
    ///
    /// # Errors
    ///
    /// [`StatsError::Text`] unless both names are one line.
    pub fn new(h1: &str, h0: &str) -> Result<Self, StatsError> {
        let (h1, h0) = (one_line("H1", h1)?, one_line("H0", h0)?);
        Ok(Self { h1, h0, items: Vec::new(), null: PhantomData })
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// [`StatsError::BothImpossible`] if one hypothesis was impossible already and this item
    /// rules out the other; the ledger is unchanged.
    pub fn push(&mut self, item: Item) -> Result<(), StatsError> {
        if (self.bayes_factor().ln() + item.bayes_factor().ln()).is_nan() {
            return Err(StatsError::BothImpossible { item: item.name });
        }
        self.items.push(item);
        Ok(())
    }

    /// The items in the order added.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The Bayes factor of all items together; 1 without items.
    #[must_use]
    pub fn bayes_factor(&self) -> BayesFactor {
        BayesFactor { ln: self.items.iter().fold(0.0, |sum, i| sum + i.bayes_factor().ln()) }
    }

    /// Whether the Bayes factor is an e-value: true for a [`Simple`] null.
    #[must_use]
    pub fn is_e_value(&self) -> bool {
        N::IS_E_VALUE
    }
}

impl Ledger<Simple> {
    /// The Bayes factor as an e-value. H1 must have been fixed before the data were seen.
    #[must_use]
    pub fn e_value(&self) -> LogE {
        // `push` keeps the sum from being NaN.
        LogE::from_ln(self.bayes_factor().ln()).unwrap_or(LogE::ONE)
    }
}

impl<N: Null> fmt::Display for Ledger<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "H1 {} against H0 {} ({})", self.h1, self.h0, N::CLAUSE)?;
        for (number, item) in (1..).zip(&self.items) {
            let factor = item.bayes_factor();
            let (nats, bans) = (factor.ln(), factor.bans());
            writeln!(f, "{number:2}. {}: {nats:+.4} nats, {bans:+.4} bans", item.name)?;
            writeln!(f, "    {}\n    {}", item.working, item.intuition)?;
        }
        let total = self.bayes_factor();
        let (nats, bans) = (total.ln(), total.bans());
        writeln!(f, "total: ln B = {nats:+.4}, log10 B = {bans:+.4}, 2 ln B = {:+.4}", 2.0 * nats)?;
        let (kass, jeffreys) = (Scale::KassRaftery.grade(total), Scale::Jeffreys.grade(total));
        match nats.partial_cmp(&0.0) {
            Some(std::cmp::Ordering::Equal) | None => writeln!(f, "for neither"),
            Some(side) => {
                let favoured = if side.is_gt() { &self.h1 } else { &self.h0 };
                writeln!(f, "for {favoured}: {kass} (Kass & Raftery), {jeffreys} (Jeffreys)")
            }
        }
    }
}

/// `count * ln`, where an event that never happened costs nothing even if it was impossible.
fn times_ln(count: u64, ln: f64) -> f64 {
    if count == 0 { 0.0 } else { count as f64 * ln }
}

fn one_line(field: &'static str, text: &str) -> Result<String, StatsError> {
    // Unicode's line and paragraph separators are not control characters.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.trim().is_empty() || text.contains(breaks) {
        return Err(StatsError::Text { field });
    }
    Ok(text.to_owned())
}
