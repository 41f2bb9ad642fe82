//! Benches: a group's side-by-side table, and instruction counts against the committed ones.
//!
//! Wall time is measured, never asserted. What is asserted is the count of instructions of one
//! scenario in one binary under `valgrind --tool=callgrind`, which does not depend on the load.
//! Convention: `asupersync-bench instructions` prints the scenarios' names, one a line, and
//! `asupersync-bench instructions NAME` runs one. `crates/bench/instructions.json` holds
//! `{"tolerance": 0.03, "counts": {NAME: N}}`; `bench check --bless` writes it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::context::Context;
use crate::shell::tail;
use crate::step::{Done, Failure, Outcome, Step, nothing, passed};
use crate::tools::VALGRIND;

pub(crate) static STEP: Step = Step {
    name: "bench",
    about: "a group's table beside Tokio's; `check` compares instruction counts",
    rerun: "bench",
    run,
};

pub(crate) static CHECK: Step = Step {
    name: "bench check",
    about: "instruction counts are what was committed",
    rerun: "bench check",
    run: |context, arguments| check(context, arguments),
};

const PACKAGE: &str = "asupersync-bench";
const COMMITTED: &str = "crates/bench/instructions.json";
const TOLERANCE: f64 = 0.03;

fn run(context: &Context, arguments: &[String]) -> Outcome {
    match arguments.first().map(String::as_str) {
        Some("check") => check(context, &arguments[1..]),
        Some(_) => {
            let call = ["run", "--quiet", "--profile", "bench", "-p", PACKAGE, "--"];
            context.cargo(&call).args(arguments).loud().check()?;
            passed(arguments.join(" "))
        }
        None => Err("which group? `cargo xtask bench GROUP [--quick]`, or `bench check`".into()),
    }
}

fn check(context: &Context, arguments: &[String]) -> Outcome {
    let bless = arguments.iter().any(|word| word == "--bless");
    let committed = std::fs::read_to_string(context.root.join(COMMITTED));
    if context.workspace.package(PACKAGE).is_none() || (committed.is_err() && !bless) {
        return nothing(format!("there is no {COMMITTED}"));
    }
    if let Err(skip) = VALGRIND.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let build = ["build", "--quiet", "--profile", "bench", "-p", PACKAGE];
    context.cargo(&build).check()?;
    let program = context.target.join("release").join(PACKAGE);
    let names = crate::shell::Cmd::new(&program).arg("instructions").check()?;
    let mut measured = BTreeMap::new();
    for name in names.stdout.lines() {
        let output = context
            .tool("valgrind", &["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(&program)
            .args(["instructions", name])
            .check()?;
        let count = collected(&output.text)
            .ok_or_else(|| format!("no count of instructions in\n{}", tail(&output.text)))?;
        println!("  {name:<32} {count:>14}");
        measured.insert(name.to_owned(), count);
    }
    if bless {
        let page = json!({"tolerance": TOLERANCE, "counts": measured});
        let text = serde_json::to_string_pretty(&page).map_err(|error| error.to_string())?;
        std::fs::write(context.root.join(COMMITTED), text + "\n")?;
        return passed(format!("{} counts written to {COMMITTED}", measured.len()));
    }
    let page: Value = serde_json::from_str(&committed?).map_err(|error| {
        format!("{COMMITTED}: {error}; write it anew with `bench check --bless`")
    })?;
    let findings = compare(&page, &measured);
    if findings.is_empty() {
        return passed(format!("{} counts", measured.len()));
    }
    Err(Failure(findings.join("\n")))
}

/// Valgrind's closing line: `==123== Collected : 4567`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().rfind(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.split_whitespace().next()?.parse().ok()
}

fn compare(page: &Value, measured: &BTreeMap<String, u64>) -> Vec<String> {
    let tolerance = page["tolerance"].as_f64().unwrap_or(TOLERANCE);
    let committed: BTreeMap<&String, f64> = page["counts"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, count)| Some((name, count.as_f64()?)))
        .collect();
    let mut findings = Vec::new();
    for (name, count) in measured {
        let Some(before) = committed.get(name) else {
            findings.push(format!("{name}: not in {COMMITTED}; run `bench check --bless`"));
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
        let change = *count as f64 / before - 1.0;
        if change.abs() > tolerance {
            findings.push(format!(
                "{name}: {count} instructions, {:+.1} % of the committed {before}; find out why, or \
                 run `bench check --bless` and say why in the commit",
                change * 100.0
            ));
        }
    }
    let gone = committed.keys().filter(|name| !measured.contains_key(**name));
    findings.extend(gone.map(|name| format!("{name}: committed, but no longer measured")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_closing_line() {
        let text = "==9== Events    : Ir\n==9== Collected : 123456\n==9== \n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("killed"), None);
    }

    #[test]
    fn more_and_fewer_new_and_missing_are_found_and_noise_is_not() {
        let page = json!({"tolerance": 0.03, "counts": {"a": 1000, "b": 1000, "c": 1000, "d": 1}});
        let pairs = [("a", 1029), ("b", 1031), ("c", 969), ("e", 5)];
        let measured = pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        let found = compare(&page, &measured);
        let starts: Vec<&str> = found.iter().map(|line| &line[..1]).collect();
        assert_eq!(starts, ["b", "c", "e", "d"]);
    }
}
