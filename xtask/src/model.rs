//! The kernel against the reference model of its rules, on random programs, in a release build.

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, passed};
use crate::test::tests_passed;

pub(crate) static STEP: Step = Step {
    name: "model",
    about: "the kernel does what the reference model says, on 100,000 random programs",
    rerun: "model",
    run,
};

fn run(context: &Context, arguments: &[String]) -> Outcome {
    let all = arguments.iter().any(|word| word == "--all");
    let call = ["test", "--release", "-p", "asupersync-conformance", "--test", "model", "--"];
    // What records runs for TLC is `cargo xtask traces`'.
    let cmd = context.cargo(&call).args(["--include-ignored", "--nocapture"]);
    let cmd = cmd.args(["--skip", "runs_are_recorded"]);
    let cmd = if all { cmd } else { cmd.args(["--skip", "a_million"]) };
    let output = cmd.check()?;
    let compared = output.text.lines().find(|line| line.ends_with("compared"));
    match (tests_passed(&output.text), compared) {
        (count, Some(line)) if count > 0 => passed(format!("{count} tests; {line}")),
        _ => Err(Failure(format!("`{}` compared nothing", cmd.line()))),
    }
}
