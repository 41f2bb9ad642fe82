//! Deliberately broken kernels and primitives (`--cfg mutants`): each must be caught by the check
//! that is meant for it. Every package with a `tests/mutants.rs` prints its table from there.

use crate::context::Context;
use crate::step::{Outcome, Step, nothing, passed};
use crate::test::counted;

pub(crate) static STEP: Step = Step {
    name: "mutants",
    about: "every broken variant is caught by its check",
    rerun: "mutants",
    run,
};

fn run(context: &Context, _: &[String]) -> Outcome {
    let holders = context.workspace.packages.iter().filter(|package| package.has_test("mutants"));
    let names: Vec<&str> = holders.map(|package| package.name.as_str()).collect();
    if names.is_empty() {
        return nothing("no package has tests/mutants.rs");
    }
    let mut count = 0;
    for name in &names {
        let cmd = context.cargo(&["test", "-p", name, "--test", "mutants", "--", "--nocapture"]);
        let cmd = cmd.env("RUSTFLAGS", "--cfg mutants");
        count += counted(&cmd.env("CARGO_TARGET_DIR", context.target.join("mutants")).loud())?;
    }
    passed(format!("{count} checks in {}", names.join(", ")))
}
