//! What a failure leaves behind for whoever looks into it.

use crate::check::{Failure, SEED_VARIABLE};
use crate::manifest::{Manifest, Subject};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Names the folder that failures leave their bundles in.
const FOLDER_VARIABLE: &str = "ASUPERSYNC_TEST_ARTIFACTS_DIR";

/// Writes the bundle, when a folder is named; says where, or why it could not. `log` is what happened, in whatever
/// form there is.
#[must_use]
pub fn leave(manifest: &Manifest, log: &str) -> Option<String> {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE)?);
    let name = match &manifest.subject {
        Subject::Case(name) => name.clone(),
        Subject::Program => format!("program-{}", manifest.seed),
    };
    let folder = folder.join(&manifest.runtime).join(name);
    Some(match write(&folder, manifest, log) {
        Ok(()) => format!("  artifacts: {}", folder.display()),
        Err(error) => format!("  no artifacts in {}: {error}", folder.display()),
    })
}

fn write(folder: &Path, manifest: &Manifest, log: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("event_log.txt"), log)?;
    let failed: Vec<_> = manifest.failed.iter().map(|false_| json!({ "false": false_ })).collect();
    let failed = json!({ "runtime": manifest.runtime, "seed": manifest.seed, "failed": failed });
    std::fs::write(folder.join("failed_assertions.json"), format!("{failed:#}\n"))?;
    std::fs::write(folder.join("repro_manifest.json"), manifest.text())
}

/// The entries of a failed case's log, numbered.
pub(crate) fn log_of(failure: &Failure) -> String {
    let mut log = String::new();
    for (at, entry) in failure.log.entries().iter().enumerate() {
        let _ = writeln!(log, "{at:>5} {entry}");
    }
    log
}

/// The command that runs the failed case again. A runtime's tests are in the file of its name.
pub(crate) fn replay_line(failure: &Failure) -> String {
    let Failure { case, runtime, seed, .. } = failure;
    format!(
        "{SEED_VARIABLE}={seed} cargo test -p asupersync-conformance --test {runtime} -- --exact {case}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Event, Log, MAIN};
    use std::time::Duration;

    #[test]
    fn a_bundle_holds_the_log_the_false_sentences_and_the_way_back() {
        let log = Log::default();
        log.write(MAIN, Event::Note("hello"));
        let (runtime, failed) = ("lab".to_owned(), vec!["water is wet".to_owned()]);
        let ceiling = Duration::from_secs(20);
        let failure = Failure { case: "a_case", runtime, seed: 7, ceiling, failed, log };
        let folder = tempfile::tempdir().unwrap();
        let manifest = failure.manifest();
        write(folder.path(), &manifest, &log_of(&failure)).unwrap();

        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("event_log.txt"), "    0 root#0 main#0: \"hello\"\n");
        assert!(read("failed_assertions.json").contains("water is wet"));
        assert_eq!(Manifest::parse(&read("repro_manifest.json")), Ok(manifest));
        assert_eq!(
            replay_line(&failure),
            "ASUPERSYNC_CONFORMANCE_SEED=7 cargo test -p asupersync-conformance --test lab -- --exact a_case"
        );
    }
}
