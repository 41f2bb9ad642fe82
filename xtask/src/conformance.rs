//! The runtime cases on both hosts. A case that fails leaves what it knows (seed, trace, report) in
//! the folder named by `ASUPERSYNC_TEST_ARTIFACTS_DIR`.

use crate::context::Context;
use crate::determinism;
use crate::step::{Failure, Outcome, Step, nothing, passed};
use crate::test::{counted, fresh_folder, runner};

pub(crate) static STEP: Step = Step {
    name: "conformance",
    about: "the runtime cases hold on both hosts",
    rerun: "conformance",
    run,
};

const PACKAGE: &str = "asupersync-conformance";

fn run(context: &Context, _: &[String]) -> Outcome {
    if context.workspace.package(PACKAGE).is_none() {
        return nothing("there is no conformance/ yet");
    }
    let artifacts = context.target.join("conformance");
    fresh_folder(&artifacts)?;
    let cmd = runner(context).args(["-p", PACKAGE, "--tests"]);
    let cmd = cmd.env("ASUPERSYNC_TEST_ARTIFACTS_DIR", &artifacts);
    let cmd = determinism::traced(context, STEP.name, cmd)?.loud();
    let count = counted(&cmd).map_err(|failure| {
        let left = std::fs::read_dir(&artifacts).map_or(0, Iterator::count);
        Failure(format!("{failure}\n{left} artifact bundles in {}", artifacts.display()))
    })?;
    passed(format!("{count} cases"))
}
