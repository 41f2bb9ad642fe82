//! Statistics that stay valid while one watches: tests by betting, conformal thresholds, ledgers.
//!
//! Three questions come up when a program is run under many random seeds:
//!
//! * *Does this go wrong more often than it may?* [`BoundedMean`] bets against "the rate is at
//!   most `p0`". Its wealth is an e-process, so one may look after every run and stop at will.
//!   Wealth is carried as [`LogE`]; [`Peak`] reads it against Ville's inequality.
//! * *Is this measurement unusual?* [`Calibration`] turns earlier measurements into a threshold
//!   with finite-sample coverage and no assumption about their distribution.
//! * *Why do we believe it?* [`Ledger`] adds log Bayes factors and prints each with its working.
//!
//! What this crate does not know: tasks, runs, seeds, clocks, files. Numbers go in, numbers and
//! text come out; equal input gives equal output.
//!
//! # Example
//!
//! ```
//! use asupersync_stats::{BoundedMean, Level};
//!
//! let alpha = Level::new(0.05)?;
//! let mut failures = BoundedMean::new(0.05)?; // H0: at most one run in twenty fails
//! let mut runs = 0;
//! while !failures.peak().rejects(alpha) {
//!     runs += 1;
//!     failures.observe(if runs % 4 == 0 { 1.0 } else { 0.0 })?;
//! }
//! assert_eq!(runs, 20);
//! assert!(failures.peak().p_value() <= 0.05);
//! # Ok::<(), asupersync_stats::StatsError>(())
//! ```
//!
//! # Limitations
//!
//! * Explored schedules are not a random sample: each is visited because of the others. Feed
//!   these types from random-seed runs only. Exhaustive exploration gives a different verdict,
//!   and an invariant that may *never* fail needs no statistics: its first violation is proof.
//! * [`BoundedMean`] is one-sided and its bets are fixed; they do not adapt to the stream.
//! * [`Calibration`] promises coverage on average over calibration samples (marginal), not for
//!   each sample or each kind of input, and holds no longer once the measured thing changes.
//! * `ln` and `exp` come from the platform, which may differ in the last bit. One build repeats
//!   itself bit for bit; between platforms the difference grows with the number of terms added.
//!
//! # Sources
//!
//! * J. Ville, *Étude critique de la notion de collectif*, 1939.
//! * A. Ramdas, P. Grünwald, V. Vovk, G. Shafer, "Game-theoretic statistics and safe
//!   anytime-valid inference", *Statistical Science* 38(4), 2023.
//! * I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting",
//!   *J. R. Stat. Soc. B* 86(1), 2024.
//! * V. Vovk, R. Wang, "E-values: calibration, combination and applications", *Annals of
//!   Statistics* 49(3), 2021.
//! * V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a Random World*, 2005.
//! * R. Kass, A. Raftery, "Bayes factors", *J. Am. Stat. Assoc.* 90(430), 1995.

#![forbid(unsafe_code)]

mod betting;
mod conformal;
mod error;
mod evalue;
mod evidence;
mod level;

pub use betting::{BoundedMean, BoundedMeanState, DEFAULT_BETS};
pub use conformal::Calibration;
pub use error::StatsError;
pub use evalue::{LogE, Peak};
pub use evidence::{BayesFactor, Composite, Item, Ledger, Null, Scale, Simple};
pub use level::Level;
