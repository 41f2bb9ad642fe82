//! The runtime cases on both hosts. A case that fails leaves what it knows (log, what was
//! false, manifest) in the folder named by `ASUPERSYNC_TEST_ARTIFACTS_DIR`; from the manifest alone it is seen again.

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

/// Runtimes of others with an adapter in `conformance/`.
const PEERS: &[(&str, &str)] = &[("tokio", "asupersync-conformance-tokio")];

fn run(context: &Context, arguments: &[String]) -> Outcome {
    if let [flag, word] = arguments {
        match flag.as_str() {
            "--peer" => return compare(context, word),
            "--manifest" => return see_again(context, word),
            _ => {}
        }
    }
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

/// The table of a peer: printed, and no verdict on it.
fn compare(context: &Context, peer: &str) -> Outcome {
    let Some((_, package)) = PEERS.iter().find(|(name, _)| *name == peer) else {
        let known: Vec<&str> = PEERS.iter().map(|(name, _)| *name).collect();
        return Err(Failure(format!("no adapter for `{peer}`; there is one for {known:?}")));
    };
    let cmd = context.cargo(&["test", "-p", package, "--", "--nocapture"]);
    let output = cmd.loud().check()?;
    let summary = output.text.lines().find(|line| line.starts_with(&format!("{peer}: ")));
    passed(summary.unwrap_or("no summary").to_owned())
}

/// A failure, from the manifest that it left: the same build, and nothing else of the first time.
fn see_again(context: &Context, file: &str) -> Outcome {
    let path = std::path::absolute(file)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure(format!("cannot read {}: {error}", path.display())))?;
    let manifest: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure(format!("{} is no manifest: {error}", path.display())))?;
    let was = |flag: &str| manifest["build"][flag] == true;
    let test = ["the_failure_of_the_manifest_is_seen_again", "--exact", "--ignored", "--nocapture"];
    let mut cmd = context.cargo(&["test", "-p", PACKAGE, "--test", "replay"]);
    if was("release") {
        cmd = cmd.args(["--release"]);
    }
    if was("mutants") {
        cmd = cmd.env("RUSTFLAGS", "--cfg mutants");
        cmd = cmd.env("CARGO_TARGET_DIR", context.target.join("mutants"));
    }
    let cmd = cmd.args(["--"]).args(test).env("ASUPERSYNC_CONFORMANCE_MANIFEST", &path);
    counted(&cmd.loud())?;
    passed(format!("the failure of {file} is seen again"))
}
