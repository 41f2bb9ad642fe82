//! Our ends of protocols against programs of others: `crates/*/tests/*peers.rs`.
//!
//! Elsewhere these tests pass over a program that is not installed. Here none does so silently: what
//! is missing is installed where that is allowed, what then is there is demanded, and what is not is named.

use crate::context::Context;
use crate::step::{Done, Outcome, Step, nothing, passed};
use crate::test::counted;
use crate::tools::PEERS;

pub(crate) static STEP: Step = Step {
    name: "peers",
    about: "socat, dnsmasq, dig, curl and openssl at the other end",
    rerun: "peers",
    run,
};

/// Demands these programs, by name; `crates/net/tests/support/peers.rs` reads it.
const DEMANDED: &str = "ASUPERSYNC_PEERS";

/// Packages, and the test targets in them.
const TARGETS: &[(&str, &str)] = &[
    ("asupersync-net", "peers"),
    ("asupersync-dns", "real_peers"),
    ("asupersync-tls", "real_peers"),
];

fn run(context: &Context, _: &[String]) -> Outcome {
    let has = |(package, target): &&(&str, &str)| {
        context.workspace.package(package).is_some_and(|package| package.has_test(target))
    };
    if let Some((package, target)) = TARGETS.iter().find(|target| !has(target)) {
        return nothing(format!("{package} has no test target `{target}`"));
    }
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for tool in PEERS {
        match tool.require(context) {
            Ok(()) => there.push(tool.name),
            Err(skip) => missing.push(skip),
        }
    }
    let mut tests = 0;
    for (package, target) in TARGETS {
        let cmd = context.cargo(&["test", "-p", package, "--test", target]);
        tests += counted(&cmd.env(DEMANDED, there.join(",")))?;
    }
    let held = format!("{tests} tests against {}", there.join(", "));
    if missing.is_empty() {
        return passed(held);
    }
    println!("  {held}");
    Ok(Done::Skipped(missing.swap_remove(0)))
}
