//! The concurrency models: every order of the steps of a few small stories (`--cfg loom`).
//!
//! A package's models stand in `tests/loom.rs` when its public items suffice, else in
//! `src/**/loom.rs`. A model that takes seconds is an ordinary test; a slower one is `#[ignore]`d
//! and runs with `--all`, which also allows one more preemption.

use std::time::Duration;

use crate::context::Context;
use crate::shell::Cmd;
use crate::step::{Outcome, Step, nothing, passed};
use crate::test::counted;
use crate::workspace::files;

pub(crate) static STEP: Step =
    Step { name: "loom", about: "the concurrency models hold in every order", rerun: "loom", run };

fn run(context: &Context, arguments: &[String]) -> Outcome {
    let all = arguments.iter().any(|word| word == "--all");
    let files = files(&context.root)?;
    let (mut count, mut holders) = (0, 0);
    for package in &context.workspace.packages {
        let outside = package.has_test("loom");
        let source = format!("{}/src/", package.dir);
        let inside = package.library().is_some()
            && files.iter().any(|file| file.starts_with(&source) && file.ends_with("/loom.rs"));
        if outside {
            let cmd = context.cargo(&["test", "--release", "-p", &package.name, "--test", "loom"]);
            count += counted(&model(context, cmd, all, &[]))?;
        }
        if inside {
            let cmd = context.cargo(&["test", "--release", "-p", &package.name, "--lib"]);
            count += counted(&model(context, cmd, all, &["loom::"]))?;
        }
        holders += usize::from(outside || inside);
    }
    if holders == 0 {
        return nothing("no package has tests/loom.rs or src/**/loom.rs");
    }
    passed(format!("{count} models in {holders} packages{}", if all { ", all" } else { "" }))
}

fn model(context: &Context, cmd: Cmd, all: bool, filter: &[&str]) -> Cmd {
    let ignored: &[&str] = if all { &["--include-ignored"] } else { &[] };
    let mut cmd = cmd
        .args(filter)
        .arg("--")
        .args(ignored)
        // With the mutants, for the twin of each model that must fail.
        .env("RUSTFLAGS", "--cfg loom --cfg mutants")
        // The models' own assertions are the point of the run.
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("CARGO_TARGET_DIR", context.target.join("loom"))
        .ceiling(Duration::from_secs(if all { 4 * 3600 } else { 900 }))
        .loud();
    // Two preemptions find nearly every bug that three find, in a fraction of the orders.
    for (key, value) in
        [("LOOM_MAX_PREEMPTIONS", if all { "3" } else { "2" }), ("LOOM_MAX_BRANCHES", "100000")]
    {
        if std::env::var_os(key).is_none() {
            cmd = cmd.env(key, value);
        }
    }
    cmd
}
