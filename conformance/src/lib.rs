//! What a structured-concurrency runtime must do: one list of cases, run on every host.
//!
//! A [`Case`](case::Case) is a program and a judgement. The program is *data*
//! ([`program::Step`]): spawn this, wait there, cancel that. The judgement reads the
//! [`Log`] that the program left behind. Between them stands the runtime under test, which
//! has one duty: to implement [`Runtime`], an interpreter of the steps in its own terms.
//!
//! What this crate does not know: any runtime. It has no async function, no context type and no
//! dependency on the runtime it is used for; the interpreter for ours is in `tests/ours/`.
//!
//! # The trait
//! [`Runtime::run`] runs a program to its end, that is until the runtime itself says that nothing of
//! it is left, and returns what the main task came to. While it runs, the interpreter writes to the
//! log it was given:
//!
//! - [`Log::spawn`](log::Log::spawn) before each spawn. It hands out a
//!   [`Held`](log::Held), which goes into the closure that is spawned: it notes when the body and all
//!   it captured are gone, whether the task ran, was dropped half-way or was never admitted.
//! - [`Log::open`](log::Log::open) before a region opens, and
//!   [`Log::closed`](log::Log::closed) when it has answered.
//! - [`Log::write`](log::Log::write) for the steps that say so in their documentation.
//!
//! From these entries the harness judges, for every case alike, the laws in [`laws`]: every spawned
//! body is dropped exactly once, nothing of a region is heard after it has closed, nothing at all
//! after `run` has returned, and the run took seconds of the runtime's own clock, not hours. Then
//! comes the case's own judgement.
//!
//! Beside the cases stands the [`model`]: the kernel's rules as a plain state machine, with random
//! programs to compare a kernel with it.
//!
//! # Running
//! ```text
//! asupersync_conformance::conformance!(my_runtime());   // one #[test] a case
//! ```
//! A case that hangs fails at its ceiling. With `ASUPERSYNC_TEST_ARTIFACTS_DIR` set, a failure
//! leaves `event_log.txt`, `failed_assertions.json` and `repro_manifest.json` in a folder of its own
//! there. The [`manifest`] alone is enough to see it again: `cargo xtask conformance --manifest FILE`. `ASUPERSYNC_CONFORMANCE_SEED` runs one seed instead of all that the runtime asks for.
//!
//! # Limitations
//! A hung run's threads cannot be ended: they stay until the test process exits. Bounds are
//! ceilings against hanging, not measurements.

#![forbid(unsafe_code)]

pub mod artifacts;
pub mod case;
pub mod cases;
pub mod check;
pub mod laws;
pub mod log;
pub mod manifest;
pub mod model;
pub mod program;

use crate::log::{End, Log};
use crate::program::Program;
use std::time::Duration;

/// A runtime under test: an interpreter of programs.
pub trait Runtime: Send + Sync {
    /// What to call it in reports; a word that can be part of a file name.
    fn name(&self) -> &str;

    /// How many seeds are worth trying: more than one where the seed decides the schedule.
    fn seeds(&self) -> u64 {
        1
    }

    /// Whether the same seed gives the same run, entry by entry.
    fn is_repeatable(&self) -> bool {
        false
    }

    /// Whether it knows what a cancellation was for. Where not, one reason passes for another.
    fn knows_reasons(&self) -> bool {
        true
    }

    /// Runs the program as the body of a main task until the runtime says that nothing is left of
    /// it, and writes to `log` what its steps ask for.
    ///
    /// # Errors
    /// The runtime's own words when it could not run the program to its end (in a lab: a deadlock).
    fn run(&self, program: &Program, seed: u64, log: &Log) -> Result<Run, String>;
}

/// What a finished run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// How the main task ended.
    pub end: End,
    /// The time between its first step and the end, by the runtime's own clock.
    pub took: Duration,
}
