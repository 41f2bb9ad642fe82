//! The fast part: format, lints, unit and integration tests, doc tests. Also what every other step
//! that runs tests shares: how to call them and how to count them.

use std::path::Path;

use crate::context::Context;
use crate::determinism;
use crate::shell::Cmd;
use crate::step::{Failure, Outcome, Step, passed};

pub(crate) static FMT: Step = Step {
    name: "fmt",
    about: "the sources are formatted",
    rerun: "fmt",
    run: |context, _| {
        context.cargo(&["fmt", "--all", "--check"]).check()?;
        passed("formatted")
    },
};

pub(crate) static CLIPPY: Step = Step {
    name: "clippy",
    about: "no warning in any target",
    rerun: "clippy",
    run: |context, _| {
        let call = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        context.cargo(&call).check()?;
        passed(format!("{} packages", context.workspace.packages.len()))
    },
};

pub(crate) static UNIT: Step =
    Step { name: "unit", about: "unit and integration tests", rerun: "unit", run: unit };

pub(crate) static DOCTEST: Step = Step {
    name: "doctest",
    about: "the examples in the documentation compile and hold",
    rerun: "doctest",
    run: |context, _| {
        let cmd = context.cargo(&["test", "--workspace", "--doc"]).args(left_out(context));
        let output = cmd.loud().check()?;
        passed(format!("{} doc tests", tests_passed(&output.text)))
    },
};

pub(crate) static STEPS: &[&Step] = &[&FMT, &CLIPPY, &UNIT, &DOCTEST];

/// Packages whose tests have a step of their own, or that hold no tests and cost much to build.
const ELSEWHERE: &[&str] =
    &["asupersync-bench", "asupersync-conformance", "asupersync-conformance-tokio"];

fn left_out(context: &Context) -> Vec<&'static str> {
    let present = ELSEWHERE.iter().filter(|name| context.workspace.package(name).is_some());
    present.flat_map(|name| ["--exclude", name]).collect()
}

fn unit(context: &Context, _: &[String]) -> Outcome {
    let cmd = runner(context).args(["--workspace", "--tests"]).args(left_out(context));
    let cmd = determinism::traced(context, UNIT.name, cmd)?;
    let count = counted(&cmd.loud())?;
    passed(format!("{count} tests"))
}

/// The test runner: nextest, which ends a test that hangs, or where it is missing `cargo test`.
pub(crate) fn runner(context: &Context) -> Cmd {
    if has_nextest(context) {
        let profile = if context.ci { "ci" } else { "default" };
        return context.cargo(&["nextest", "run", "--no-fail-fast", "--profile", profile]);
    }
    println!("  cargo-nextest is not installed: `cargo test` in its place");
    context.cargo(&["test", "--no-fail-fast"])
}

/// Whether nextest answers.
pub(crate) fn has_nextest(context: &Context) -> bool {
    context.cargo(&["nextest", "--version"]).run().is_ok_and(|output| output.ok)
}

/// Runs a test call and answers how many tests passed; none at all is a failure, because a run that
/// was aborted or filtered to nothing looks green otherwise.
pub(crate) fn counted(cmd: &Cmd) -> Result<usize, Failure> {
    let output = cmd.check()?;
    match tests_passed(&output.text) {
        0 => Err(Failure(format!("`{}` ran no test", cmd.line()))),
        count => Ok(count),
    }
}

/// How many tests passed, from the closing lines of `cargo test` and nextest.
pub(crate) fn tests_passed(output: &str) -> usize {
    let before = |line: &str, word: &str| -> Option<usize> {
        line.split(word).next()?.split_whitespace().last()?.parse().ok()
    };
    let closing = |line: &&str| {
        line.starts_with("test result: ") || line.trim_start().starts_with("Summary [")
    };
    output.lines().filter(closing).filter_map(|line| before(line, " passed")).sum()
}

/// Empties a folder, and makes it when it is not there.
pub(crate) fn fresh_folder(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure(format!("cannot empty {}: {error}", folder.display()))),
    }
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure(format!("cannot make {}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::tests_passed;

    #[test]
    fn passed_tests_are_counted_from_either_runner() {
        let cargo = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored\n\
                     test result: ok. 4 passed; 0 failed; 0 ignored";
        assert_eq!(tests_passed(cargo), 7);
        let nextest = "     Summary [   0.1s] 12 tests run: 11 passed (1 slow), 1 skipped";
        assert_eq!(tests_passed(nextest), 11);
    }

    #[test]
    fn a_test_that_prints_the_word_passed_is_not_counted() {
        assert_eq!(tests_passed("5 passed\nlog: 7 passed"), 0);
    }
}
