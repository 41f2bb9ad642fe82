//! Runs in the lab as behaviours of the TLA+ model: what `cargo xtask traces` has TLC check.

use crate::actions::{Action, DUTIES, PERMITS, REGIONS, Step, TASKS, Untold, rank, steps};
use crate::campaign::{SHAPE, hush};
use crate::compare::Lab;
use asupersync_conformance::model::generate::{Random, program};
use asupersync_core::CancelKind;
use std::fmt::Write;
use std::path::PathBuf;

/// Names the folder that the recorded runs are written to, by `cargo xtask traces`.
const FOLDER: &str = "ASUPERSYNC_TRACES_DIR";
/// Steps to record, at least.
const STEPS: usize = 110_000;
/// How often each action must be among them.
const TIMES: u64 = 1_000;
/// Programs after which an action that is still rare is given up.
const PROGRAMS: u64 = 100_000;

/// Runs told in the model's actions, and how often each was taken.
#[derive(Default)]
struct Records {
    runs: Vec<Vec<Step>>,
    steps: usize,
    counts: [u64; Action::ALL.len()],
    too_large: usize,
}

impl Records {
    /// Runs programs until there are so many steps, and then keeps those with an action that is still rare.
    fn make(seed: u64, steps_wanted: usize, times: u64, programs: u64) -> Records {
        hush();
        let lab = Lab::new(seed);
        let mut records = Records::default();
        for number in 0..programs {
            let enough = records.steps >= steps_wanted;
            if enough && records.counts.iter().all(|count| *count >= times) {
                break;
            }
            let main = program(&mut Random::new(seed.wrapping_add(number)), SHAPE);
            let trace = lab.trace(&main).expect("the lab keeps a trace");
            let run = match steps(&trace) {
                Ok(run) => run,
                Err(Untold::TooLarge) => {
                    records.too_large += 1;
                    continue;
                }
                Err(Untold::Odd(why)) => panic!("program {number}: {why}\n{main:#?}"),
            };
            let rare = |step: &Step| records.counts[step.action as usize - 1] < times;
            if !enough || run.iter().any(rare) {
                records.keep(run);
            }
        }
        records
    }

    fn keep(&mut self, run: Vec<Step>) {
        self.steps += run.len();
        for step in &run {
            self.counts[step.action as usize - 1] += 1;
        }
        self.runs.push(run);
    }

    /// The module that `formal/Trace.tla` extends.
    fn module(&self) -> String {
        let mut text = String::from("---- MODULE Recorded ----\nEXTENDS Naturals\nRuns == <<\n");
        for (at, run) in self.runs.iter().enumerate() {
            let codes: Vec<String> = run.iter().map(|step| step.code().to_string()).collect();
            let comma = if at + 1 < self.runs.len() { "," } else { "" };
            let _ = writeln!(text, "<<{}>>{comma}", codes.join(","));
        }
        text + ">>\n====\n"
    }
}

fn numbers(range: std::ops::Range<usize>) -> String {
    let numbers: Vec<String> = range.map(|number| number.to_string()).collect();
    format!("{{{}}}", numbers.join(", "))
}

/// The sizes that the steps' numbers are for.
fn constants() -> String {
    format!(
        "CONSTANTS\n    NR = {REGIONS}\n    NT = {TASKS}\n    Permits = {}\n    Duties = {}\n    \
         Requests = {}\n    Parent = {}\n    Maskers = {{}}\n    Deferrers = {}\n    Most = 1\n    \
         Mutant = \"none\"\n",
        numbers(0..PERMITS),
        numbers(PERMITS..PERMITS + DUTIES),
        numbers(1..CancelKind::ALL.len() + 1),
        rank(CancelKind::ParentCancelled),
        numbers(0..REGIONS),
    )
}

#[test]
fn a_run_can_be_told_in_the_actions_of_the_model() {
    let records = Records::make(1, 5_000, 1, 1_000);
    let missing = Action::ALL.iter().zip(records.counts).filter(|(_, count)| *count == 0);
    let missing: Vec<_> = missing.map(|(action, _)| action).collect();
    assert!(missing.is_empty(), "no program does {missing:?}");
    assert!(records.too_large * 10 < records.runs.len(), "{} are too large", records.too_large);
    assert!(records.module().lines().count() > records.runs.len());
}

#[test]
#[ignore = "records runs for TLC: `cargo xtask traces`"]
fn runs_are_recorded_for_the_model() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("the folder is named"));
    let records = Records::make(42_000_000, STEPS, TIMES, PROGRAMS);
    std::fs::write(folder.join("Recorded.tla"), records.module()).expect("the runs are written");
    std::fs::write(folder.join("constants"), constants()).expect("the sizes are written");
    for (action, count) in Action::ALL.iter().zip(records.counts) {
        println!("{:<16} {count:>8}", format!("{action:?}"));
    }
    println!(
        "{} runs, {} steps; {} too large",
        records.runs.len(),
        records.steps,
        records.too_large
    );
    assert!(records.counts.iter().all(|count| *count >= TIMES), "an action is too rare");
}
