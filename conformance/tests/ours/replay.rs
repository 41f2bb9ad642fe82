//! Seeing a failure again, from its manifest and nothing else.

use crate::campaign;
use crate::compare::Lab;
use crate::{lab, production};
use asupersync_conformance::manifest::{Build, Manifest, Subject};
use asupersync_conformance::{Runtime, cases, check};
use std::sync::Arc;

/// Names the manifest; `cargo xtask conformance --manifest FILE` sets it.
#[allow(dead_code, reason = "one test reads it, another sets it")]
pub(crate) const VARIABLE: &str = "ASUPERSYNC_CONFORMANCE_MANIFEST";

/// Runs that a host whose schedule is the machine's gets.
const TRIES: usize = 30;

/// Runs what the manifest names. Answers what was false, when it is what the manifest says; in a kernel that is to be
/// broken, the caller has broken it.
///
/// # Errors
/// What is different this time.
pub(crate) fn replay(manifest: &Manifest) -> Result<Vec<String>, String> {
    let ours = Build::this();
    if manifest.build != ours {
        println!("built as {:?}, and the manifest is of {:?}", ours, manifest.build);
    }
    let (tries, run): (usize, Box<dyn Fn() -> Vec<String>>) = match &manifest.subject {
        Subject::Program => {
            campaign::hush();
            let (lab, seed) = (Lab::new(0), manifest.seed);
            let run = move || campaign::one(&lab, seed).err().map(|found| vec![found.why]);
            (1, Box::new(move || run().unwrap_or_default()))
        }
        Subject::Case(name) => {
            let case = cases::all().into_iter().find(|case| case.name == name);
            let case = case.ok_or_else(|| format!("there is no case {name}"))?;
            let runtime = runtime(&manifest.runtime)?;
            let tries = if runtime.is_repeatable() { 1 } else { TRIES };
            let (ceiling, seed) = (manifest.ceiling, manifest.seed);
            let run = move || check::check_seed(&runtime, &case, ceiling, seed, true);
            (tries, Box::new(move || run().err().map_or_else(Vec::new, |failure| failure.failed)))
        }
    };
    let mut last = Vec::new();
    for _ in 0..tries {
        last = run();
        if last == manifest.failed {
            return Ok(last);
        }
    }
    Err(format!(
        "in {tries} runs {:?} was not seen; false in the last were {last:?}",
        manifest.failed
    ))
}

fn runtime(name: &str) -> Result<Arc<dyn Runtime>, String> {
    let all = [lab::seeded(1), production::multi_thread(), production::current_thread()];
    let found = all.into_iter().find(|runtime| runtime.name() == name);
    found.ok_or_else(|| format!("there is no runtime {name}"))
}
