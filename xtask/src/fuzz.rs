//! Fuzz targets (`crates/*/fuzz`): each corpus is replayed, then each target runs for N seconds.

use std::time::Duration;

use crate::context::Context;
use crate::step::{Done, Failure, Outcome, Step, nothing, passed};
use crate::tools::{CARGO_FUZZ, CPP, NIGHTLY};
use crate::workspace::files;

pub(crate) static STEP: Step = Step {
    name: "fuzz",
    about: "corpora are replayed, then each target runs for N seconds (20)",
    rerun: "fuzz",
    run,
};

const SECONDS: u64 = 20;

fn run(context: &Context, arguments: &[String]) -> Outcome {
    let seconds = seconds(arguments)?;
    let files = files(&context.root)?;
    let targets: Vec<(&str, &str)> = files.iter().filter_map(|file| target(file)).collect();
    if targets.is_empty() {
        return nothing("no crate has fuzz/fuzz_targets");
    }
    for tool in [&NIGHTLY, &CARGO_FUZZ, &CPP] {
        if let Err(skip) = tool.require(context) {
            return Ok(Done::Skipped(skip));
        }
    }
    let mut findings = Vec::new();
    for (folder, name) in &targets {
        let budget = format!("-max_total_time={seconds}");
        // New inputs go to the first folder; those that are committed are only read.
        let scratch = context.target.join("fuzz-corpus").join(name);
        std::fs::create_dir_all(&scratch)?;
        let committed = context.root.join(folder).join("corpus").join(name);
        let corpora = [Some(&scratch), committed.is_dir().then_some(&committed)];
        let cmd = context
            .cargo(&["+nightly", "fuzz", "run", name])
            .args(corpora.into_iter().flatten())
            .args(["--", &budget, "-print_final_stats=1"])
            .dir(context.root.join(folder).parent().unwrap_or(&context.root))
            // The fuzzer's flags differ from all other builds'.
            .env("CARGO_TARGET_DIR", context.target.join("fuzz"))
            .ceiling(Duration::from_secs(900 + seconds));
        match cmd.check() {
            Ok(output) => {
                let ran =
                    output.text.lines().find(|line| line.contains("number_of_executed_units"));
                let ran = ran.and_then(|line| line.split_whitespace().last()).unwrap_or("0");
                println!("  {folder} {name}: {ran} runs");
                if ran == "0" {
                    findings.push(format!("{folder} {name}: made no run"));
                }
            }
            Err(failure) => findings.push(format!("{folder} {name}\n{failure}")),
        }
    }
    if findings.is_empty() {
        return passed(format!("{} targets, {seconds} s each", targets.len()));
    }
    Err(Failure(findings.join("\n")))
}

fn seconds(arguments: &[String]) -> Result<u64, Failure> {
    match arguments.iter().position(|word| word == "--seconds") {
        None => Ok(SECONDS),
        Some(at) => arguments
            .get(at + 1)
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| "`--seconds` wants a whole number".into()),
    }
}

/// `crates/x/fuzz/fuzz_targets/y.rs` is target `y` of `crates/x/fuzz`.
fn target(file: &str) -> Option<(&str, &str)> {
    let (folder, name) = file.split_once("/fuzz_targets/")?;
    let name = name.strip_suffix(".rs")?;
    (folder.starts_with("crates/") && folder.ends_with("/fuzz") && !name.contains('/'))
        .then_some((folder, name))
}

#[cfg(test)]
mod tests {
    use super::{seconds, target};

    #[test]
    fn a_fuzz_target_is_told_by_its_place() {
        let file = "crates/raptorq/fuzz/fuzz_targets/decode.rs";
        assert_eq!(target(file), Some(("crates/raptorq/fuzz", "decode")));
        assert_eq!(target("crates/raptorq/fuzz/fuzz_targets/shared/input.rs"), None);
        assert_eq!(target("crates/raptorq/src/lib.rs"), None);
    }

    #[test]
    fn a_time_that_is_no_number_is_refused() {
        assert_eq!(seconds(&["--seconds".into(), "7".into()]).unwrap(), 7);
        assert!(seconds(&["--seconds".into()]).is_err());
        assert!(seconds(&["--seconds".into(), "soon".into()]).is_err());
    }
}
