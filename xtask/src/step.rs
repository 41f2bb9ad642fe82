//! Steps: a named check, its verdict, and the runner that times and reports a list of them.

#![expect(clippy::disallowed_methods, reason = "a step's time is wall time")]

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::context::Context;

/// One check.
pub(crate) struct Step {
    /// What the report calls it.
    pub(crate) name: &'static str,
    /// What it verifies, in a clause.
    pub(crate) about: &'static str,
    /// What follows `cargo xtask` to run this step alone.
    pub(crate) rerun: &'static str,
    /// The check itself, given the words after the command's name.
    pub(crate) run: fn(&Context, &[String]) -> Outcome,
}

/// What a step answers.
pub(crate) type Outcome = Result<Done, Failure>;

/// A step that did not fail.
#[derive(Debug)]
pub(crate) enum Done {
    /// It held; the note says how much was looked at.
    Passed(String),
    /// It was not looked at.
    Skipped(Skip),
}

/// Why a step was not looked at.
#[derive(Debug)]
pub(crate) enum Skip {
    /// A tool is missing that can be had: with `CI=true` this is a failure.
    Missing {
        /// The tool.
        tool: &'static str,
        /// How to get it.
        remedy: String,
    },
    /// Something is missing that could not be fetched from here; never a failure.
    Unreachable(String),
    /// The tree holds nothing of the kind this step checks.
    Nothing(String),
}

/// Why a step failed, already in the words the reader needs.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Failure(text.to_owned())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure(error.to_string())
    }
}

/// Shorthand for a step that held.
pub(crate) fn passed(note: impl Into<String>) -> Outcome {
    Ok(Done::Passed(note.into()))
}

/// Shorthand for a step with nothing to look at.
pub(crate) fn nothing(note: impl Into<String>) -> Outcome {
    Ok(Done::Skipped(Skip::Nothing(note.into())))
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

struct Line {
    name: &'static str,
    rerun: &'static str,
    verdict: Verdict,
    took: Duration,
    note: String,
}

/// Runs the steps in order, all of them even after a failure, and prints the report whose last line
/// is `steps: N passed, N failed, N skipped`.
pub(crate) fn run_all(
    context: &Context,
    command: &str,
    steps: &[&Step],
    arguments: &[String],
) -> ExitCode {
    let mut lines = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        println!("── [{}/{}] {}: {}", at + 1, steps.len(), step.name, step.about);
        let start = Instant::now();
        let answer = (step.run)(context, arguments);
        let line = judge(step, answer, start.elapsed(), context.ci);
        println!("{}\n", line.headline());
        lines.push(line);
    }
    let total = lines.iter().map(|line| line.took).sum::<Duration>();
    if lines.len() > 1 {
        println!("── {command}, {:.1} s", total.as_secs_f64());
        for line in &lines {
            println!("  {:<8} {:<14} {:>7.1} s", line.word(), line.name, line.took.as_secs_f64());
        }
        for line in lines.iter().filter(|line| line.verdict == Verdict::Failed) {
            println!("  to see it again: cargo xtask {}", line.rerun);
        }
    }
    let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    let failed = count(Verdict::Failed);
    println!(
        "steps: {} passed, {failed} failed, {} skipped",
        count(Verdict::Passed),
        count(Verdict::Skipped)
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(step: &Step, answer: Outcome, took: Duration, ci: bool) -> Line {
    let (verdict, note) = match answer {
        Ok(Done::Passed(note)) => (Verdict::Passed, note),
        Ok(Done::Skipped(Skip::Nothing(note))) => (Verdict::Skipped, note),
        Ok(Done::Skipped(Skip::Unreachable(what))) => (Verdict::Skipped, format!("needs {what}")),
        Ok(Done::Skipped(Skip::Missing { tool, remedy })) if ci => (
            Verdict::Failed,
            format!("needs {tool}: {remedy}. With CI=true what can be fetched must be there"),
        ),
        Ok(Done::Skipped(Skip::Missing { tool, remedy })) => {
            (Verdict::Skipped, format!("needs {tool}: {remedy}"))
        }
        Err(Failure(text)) => (Verdict::Failed, text),
    };
    Line { name: step.name, rerun: step.rerun, verdict, took, note }
}

impl Line {
    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "SKIPPED",
        }
    }

    fn headline(&self) -> String {
        let Line { name, note, rerun, .. } = self;
        let seconds = self.took.as_secs_f64();
        match self.verdict {
            Verdict::Passed => format!("ok {name} in {seconds:.1} s: {note}"),
            Verdict::Skipped => format!("SKIPPED ({note}) {name}"),
            Verdict::Failed => {
                format!("{note}\nFAILED {name} in {seconds:.1} s; again: cargo xtask {rerun}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Step =
        Step { name: "probe", about: "", rerun: "probe", run: |_, _| passed("nothing") };

    fn verdict(answer: Outcome, ci: bool) -> Verdict {
        judge(&STEP, answer, Duration::ZERO, ci).verdict
    }

    fn missing() -> Outcome {
        Ok(Done::Skipped(Skip::Missing { tool: "a tool", remedy: "get it".into() }))
    }

    #[test]
    fn a_missing_tool_fails_only_in_ci() {
        assert_eq!(verdict(missing(), false), Verdict::Skipped);
        assert_eq!(verdict(missing(), true), Verdict::Failed);
    }

    #[test]
    fn what_cannot_be_fetched_is_skipped_even_in_ci() {
        let answer = Ok(Done::Skipped(Skip::Unreachable("a database".into())));
        assert_eq!(verdict(answer, true), Verdict::Skipped);
    }

    #[test]
    fn a_failed_step_says_how_to_see_it_again() {
        let line = judge(&STEP, Err("three findings".into()), Duration::ZERO, false);
        assert!(line.headline().contains("three findings"));
        assert!(line.headline().ends_with("again: cargo xtask probe"));
    }
}
