//! What a failed case leaves behind for whoever looks into it.

use crate::check::{Failure, SEED_VARIABLE};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Names the folder that failures leave their bundles in.
const FOLDER_VARIABLE: &str = "ASUPERSYNC_TEST_ARTIFACTS_DIR";

/// Writes the bundle, when a folder is named; says where, or why it could not.
pub(crate) fn leave(failure: &Failure) -> Option<String> {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE)?);
    let folder = folder.join(&failure.runtime).join(failure.case);
    Some(match write(&folder, failure) {
        Ok(()) => format!("  artifacts: {}", folder.display()),
        Err(error) => format!("  no artifacts in {}: {error}", folder.display()),
    })
}

pub(crate) fn write(folder: &Path, failure: &Failure) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut log = String::new();
    for (at, entry) in failure.log.entries().iter().enumerate() {
        let _ = writeln!(log, "{at:>5} {entry}");
    }
    std::fs::write(folder.join("event_log.txt"), log)?;
    let failed: Vec<_> = failure.failed.iter().map(|false_| json!({ "false": false_ })).collect();
    let failed = json!({
        "case": failure.case,
        "runtime": failure.runtime,
        "seed": failure.seed,
        "failed": failed,
    });
    std::fs::write(folder.join("failed_assertions.json"), format!("{failed:#}\n"))?;
    let manifest = json!({
        "schema": 1,
        "case": failure.case,
        "runtime": failure.runtime,
        "seed": failure.seed,
        "command": replay_line(failure),
        "files": ["event_log.txt", "failed_assertions.json"],
    });
    std::fs::write(folder.join("repro_manifest.json"), format!("{manifest:#}\n"))
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

    #[test]
    fn a_bundle_holds_the_log_the_false_sentences_and_the_way_back() {
        let log = Log::default();
        log.write(MAIN, Event::Note("hello"));
        let (runtime, failed) = ("lab".to_owned(), vec!["water is wet".to_owned()]);
        let failure = Failure { case: "a_case", runtime, seed: 7, failed, log };
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &failure).unwrap();

        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("event_log.txt"), "    0 root#0 main#0: \"hello\"\n");
        assert!(read("failed_assertions.json").contains("water is wet"));
        let manifest: serde_json::Value =
            serde_json::from_str(&read("repro_manifest.json")).unwrap();
        assert_eq!(manifest["seed"], 7);
        assert_eq!(
            manifest["command"],
            "ASUPERSYNC_CONFORMANCE_SEED=7 cargo test -p asupersync-conformance --test lab -- --exact a_case"
        );
    }
}
