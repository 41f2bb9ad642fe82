//! Benches: a group's side-by-side table with its counts of instructions, and those counts against the
//! committed ones. `explore` is a table of counts of runs, not of times: it needs no rounds, and runs the corpus of bugs.
//!
//! Wall time is measured, never asserted. What is asserted is the count of instructions of one
//! scenario in one binary, which does not depend on the load: see [`counts`].

use serde_json::{Value, json};

use crate::context::Context;
use crate::counts::{self, Counter, Counts};
use crate::shell::tail;
use crate::step::{Done, Failure, Outcome, Skip, Step, nothing, passed};
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

fn run(context: &Context, arguments: &[String]) -> Outcome {
    match arguments.first().map(String::as_str) {
        Some("check") => check(context, &arguments[1..]),
        Some("explore") => explore(context),
        Some(group) => {
            let call =
                ["run", "--quiet", "--profile", "bench", "-p", PACKAGE, "--bin", PACKAGE, "--"];
            context.cargo(&call).args(arguments).loud().check()?;
            let note = instructions(context, group)?;
            passed(format!("{}; {note}", arguments.join(" ")))
        }
        None => Err("which group? `cargo xtask bench GROUP [--quick]`, or `bench check`".into()),
    }
}

/// How many runs each strategy needs to find each bug of the corpus, on average.
fn explore(context: &Context) -> Outcome {
    let call = ["test", "--release", "-p", "asupersync-conformance", "--test", "bugs", "--"];
    let cmd = context.cargo(&call).args(["--nocapture", "--test-threads=1"]);
    let output = cmd.env("ASUPERSYNC_RUNS_TO_BUG", "1").check()?;
    let mut lines: Vec<&str> =
        output.text.lines().filter_map(|l| l.split("runs to ").nth(1)).collect();
    lines.sort_unstable();
    println!(
        "  {:<40} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "mean runs until found", "random", "pct(2)", "pos", "topol.", "optimal", "classes"
    );
    lines.iter().for_each(|line| println!("  {line}"));
    if lines.is_empty() {
        return Err(Failure(format!("{}nothing was measured", tail(&output.text))));
    }
    passed(format!("{} bugs", lines.len()))
}

fn check(context: &Context, arguments: &[String]) -> Outcome {
    let bless = arguments.iter().any(|word| word == "--bless");
    let committed = context.root.join(counts::COMMITTED).is_file();
    if context.workspace.package(PACKAGE).is_none() || (!committed && !bless) {
        return nothing(format!("there is no {}", counts::COMMITTED));
    }
    if let Err(skip) = VALGRIND.require(context) {
        return Ok(Done::Skipped(skip));
    }
    counts::check(context, bless)
}

/// Prints the counts of a group's scenarios beside the committed ones, and adds them to its results.
fn instructions(context: &Context, group: &str) -> Result<String, Failure> {
    if let Err(skip) = VALGRIND.require(context) {
        return Ok(match skip {
            Skip::Missing { tool, remedy } => {
                format!("instructions not counted (needs {tool}: {remedy})")
            }
            Skip::Unreachable(why) | Skip::Nothing(why) => {
                format!("instructions not counted ({why})")
            }
        });
    }
    let counter = Counter::build(context)?;
    let names = counter.names(Some(group))?;
    if names.is_empty() {
        return Ok("none of its instructions are counted".into());
    }
    let page = counts::committed(context).unwrap_or_default();
    println!(
        "{:<34} {:>12} {:>12} an operation, under callgrind",
        "instructions", "now", "committed"
    );
    let mut measured = Counts::new();
    let mut rows = Vec::new();
    for name in names {
        let count = counter.count(&name)?;
        let bench = name.split('/').next_back().unwrap_or(&name);
        match page["counts"][&name].as_f64() {
            Some(before) => {
                println!("{bench:<34} {count:>12.1} {before:>12.1}");
                rows.push(json!({
                    "bench": bench, "ours": count, "peer": "committed", "theirs": before,
                    "unit": "instructions", "ratio": before / count, "spread": 0.0
                }));
            }
            None => println!("{bench:<34} {count:>12.1} {:>12}", "-"),
        }
        measured.insert(name, count);
    }
    append(context, group, rows)?;
    let mut note = format!("{} counts", measured.len());
    if group == "kernel" {
        let share = counts::unheard_share(context, &measured)?;
        note += &format!("; events unheard cost {:.2} % of a spawn and join", share * 100.0);
    }
    Ok(note)
}

fn append(context: &Context, group: &str, rows: Vec<Value>) -> Result<(), Failure> {
    let path = context.target.join("bench").join(format!("{group}.json"));
    let text = std::fs::read_to_string(&path)?;
    let mut all: Vec<Value> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    all.extend(rows);
    let text = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
    std::fs::write(&path, text + "\n")?;
    Ok(())
}
