//! Running a case against a runtime, with a ceiling against hanging.

use crate::case::{Case, Seen};
use crate::log::{Event, Log, MAIN};
use crate::manifest::{Manifest, Subject};
use crate::{Run, Runtime, artifacts, cases, laws};
use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long a case may take before it counts as hung; ten times and more what the slowest needs.
pub const CEILING: Duration = Duration::from_secs(20);

/// Runs one seed only, in place of all that a runtime asks for.
pub const SEED_VARIABLE: &str = "ASUPERSYNC_CONFORMANCE_SEED";

/// A case that failed on a runtime.
#[derive(Debug)]
pub struct Failure {
    /// The case.
    pub case: &'static str,
    /// The runtime's name.
    pub runtime: String,
    /// The seed.
    pub seed: u64,
    /// After what time a run counted as hung.
    pub ceiling: Duration,
    /// What is false, a sentence each.
    pub failed: Vec<String>,
    /// What the program had written when it was judged, or when the ceiling was reached.
    pub log: Log,
}

impl Failure {
    /// All that it takes to see it again.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        let Failure { case, runtime, seed, ceiling, failed, .. } = self;
        Manifest::new(Subject::Case((*case).to_owned()), runtime, *seed, *ceiling, failed.clone())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} fails on {} with seed {}:", self.case, self.runtime, self.seed)?;
        for sentence in &self.failed {
            writeln!(f, "  false: {sentence}")?;
        }
        writeln!(f, "  the run wrote:")?;
        for entry in self.log.entries() {
            writeln!(f, "    {entry}")?;
        }
        write!(f, "  again: {}", artifacts::replay_line(self))
    }
}

/// Runs the case for each of the runtime's seeds.
///
/// # Errors
/// The first seed's failure.
pub fn check(
    runtime: &Arc<dyn Runtime>,
    case: &Case,
    ceiling: Duration,
) -> Result<(), Box<Failure>> {
    let chosen = std::env::var(SEED_VARIABLE).ok().and_then(|text| text.parse().ok());
    let seeds = chosen.map_or(0..runtime.seeds(), |seed: u64| seed..seed + 1);
    let first = seeds.start;
    for seed in seeds {
        check_seed(runtime, case, ceiling, seed, seed == first)?;
    }
    Ok(())
}

/// Runs the case for one seed; `twice` when a runtime that repeats its runs is to show that.
///
/// # Errors
/// What was false.
pub fn check_seed(
    runtime: &Arc<dyn Runtime>,
    case: &Case,
    ceiling: Duration,
    seed: u64,
    twice: bool,
) -> Result<(), Box<Failure>> {
    let log = Log::default();
    let mut failed = match run(runtime, case, seed, &log, ceiling) {
        Err(sentence) => vec![sentence],
        Ok(run) => {
            let mut seen = Seen::new(&run, &log, runtime.knows_reasons());
            (case.judge)(&mut seen);
            let mut failed = seen.into_failed();
            failed.extend(laws::broken(&log, &run));
            let repeats = runtime.is_repeatable() && twice;
            if failed.is_empty() && (repeats || case.repeats) {
                let again = Log::default();
                if let Err(sentence) = self::run(runtime, case, seed, &again, ceiling) {
                    failed.push(sentence);
                }
                failed.extend(laws::differs(&log, &again, repeats));
            }
            failed
        }
    };
    if failed.is_empty() {
        return Ok(());
    }
    failed.dedup();
    let (case, runtime) = (case.name, runtime.name().to_owned());
    Err(Box::new(Failure { case, runtime, seed, ceiling, failed, log }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a run that hangs must not hang its judge, so it gets a thread of its own"
)]
fn run(
    runtime: &Arc<dyn Runtime>,
    case: &Case,
    seed: u64,
    log: &Log,
    ceiling: Duration,
) -> Result<Run, String> {
    let (sender, receiver) = mpsc::channel();
    let (runtime, program, its_log) = (runtime.clone(), case.program.clone(), log.clone());
    let thread = std::thread::spawn(move || {
        let result = runtime.run(&program, seed, &its_log);
        its_log.write(MAIN, Event::Returned);
        drop(runtime);
        // The judge may have given up by now.
        let _ = sender.send(result);
    });
    match receiver.recv_timeout(ceiling) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(format!("the run ends: it was still going after {} s", ceiling.as_secs()))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let payload = thread.join().err();
            let message = payload.as_ref().and_then(|payload| {
                let text = payload.downcast_ref::<&str>().copied();
                text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            });
            Err(format!("the runtime returns: it panicked with {message:?}"))
        }
    }
}

/// Runs the case of this name, and panics with what is false.
///
/// # Panics
/// When the case fails; artifacts are written first, where they are wanted. When no case has this
/// name.
pub fn passes(runtime: Arc<dyn Runtime>, name: &str) {
    let case = cases::all().into_iter().find(|case| case.name == name);
    let case = case.expect("the list of cases has one of each name");
    if let Err(failure) = check(&runtime, &case, CEILING) {
        let left = artifacts::leave(&failure.manifest(), &artifacts::log_of(&failure));
        panic!("{failure}{}", left.map_or(String::new(), |line| format!("\n{line}")));
    }
}
