//! The oldest compiler each crate promises: the promise is written down, nothing it pulls in asks
//! for more, no newer item of the standard library is used, and where the old compiler is
//! installed it builds the crate.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, passed};
use crate::workspace::{Graph, Workspace};

pub(crate) static STEP: Step = Step {
    name: "msrv",
    about: "each crate keeps to the compiler version it promises",
    rerun: "msrv",
    run,
};

fn run(context: &Context, _: &[String]) -> Outcome {
    let mut findings = unset(&context.workspace);
    findings.extend(too_new(&context.workspace, &Graph::read(&context.root)?));
    if !findings.is_empty() {
        return Err(Failure(findings.join("\n")));
    }
    let mut promises: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in context.workspace.packages.iter().filter(|package| package.is_library()) {
        let promise = package.rust_version.as_deref().unwrap_or_default();
        promises.entry(promise).or_default().extend(["-p", &package.name]);
    }
    let call = ["clippy", "--quiet", "--lib"];
    let lint = ["--", "-D", "clippy::incompatible_msrv"];
    context.cargo(&call).args(promises.values().flatten()).args(lint).check()?;
    let mut built = Vec::new();
    for (promise, packages) in &promises {
        if let Some(toolchain) = installed(context, promise) {
            let cmd = context.cargo(&[&format!("+{toolchain}"), "check", "--quiet", "--lib"]);
            let own = context.target.join("msrv").join(promise);
            cmd.args(packages).env("CARGO_TARGET_DIR", own).check()?;
            built.push(*promise);
        }
    }
    let versions: Vec<&str> = promises.keys().copied().collect();
    passed(match built.is_empty() {
        true => format!(
            "promised: {}; no such compiler is installed to build with",
            versions.join(", ")
        ),
        false => format!("promised: {}; built with {}", versions.join(", "), built.join(", ")),
    })
}

/// The name of an installed toolchain of this version.
fn installed(context: &Context, version: &str) -> Option<String> {
    let output = context.tool("rustup", &["toolchain", "list"]).run().ok()?;
    let dotted = format!("{version}.");
    let dashed = format!("{version}-");
    let names = output.stdout.lines().filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).find(|name| name.starts_with(&dotted) || name.starts_with(&dashed))
}

fn unset(workspace: &Workspace) -> Vec<String> {
    let silent = workspace.packages.iter().filter(|package| package.rust_version.is_none());
    let say = "promises no compiler version; add `rust-version.workspace = true`";
    silent.map(|package| format!("{}/Cargo.toml: {say}", package.dir)).collect()
}

fn too_new(workspace: &Workspace, graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for package in workspace.packages.iter().filter(|package| package.is_library()) {
        let Some(promise) = package.rust_version.as_deref().map(parts) else { continue };
        let Some(start) =
            graph.nodes.iter().find(|(_, node)| node.member && node.name == package.name)
        else {
            continue;
        };
        let (mut seen, mut open) = (BTreeSet::from([start.0]), vec![start.0]);
        while let Some(id) = open.pop() {
            let node = &graph.nodes[id];
            if node.rust_version.as_deref().is_some_and(|needs| parts(needs) > promise) {
                findings.push(format!(
                    "{}/Cargo.toml: promises {} but pulls in {} {}, which needs {}; use an older \
                     version of it or raise the promise",
                    package.dir,
                    package.rust_version.as_deref().unwrap_or_default(),
                    node.name,
                    node.version,
                    node.rust_version.as_deref().unwrap_or_default()
                ));
            }
            open.extend(
                node.pulls
                    .iter()
                    .filter(|next| graph.nodes.contains_key(*next) && seen.insert(next)),
            );
        }
    }
    findings
}

fn parts(version: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = version.split('.').map(|n| n.parse().unwrap_or(0)).collect();
    numbers.resize(3, 0);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Node, Package, Target};

    fn setting(promise: Option<&str>, needs: &str) -> (Workspace, Graph) {
        let target =
            Target { name: "a".into(), kind: "lib".into(), source: "crates/a/src/lib.rs".into() };
        let package = Package {
            name: "asupersync-a".into(),
            dir: "crates/a".into(),
            rust_version: promise.map(str::to_owned),
            targets: vec![target],
            ..Package::default()
        };
        let node = |name: &str, needs: &str, member, pulls: &[&str]| Node {
            name: name.into(),
            version: "1.0.0".into(),
            rust_version: Some(needs.into()),
            member,
            pulls: pulls.iter().map(|id| (*id).to_owned()).collect(),
        };
        let nodes = [
            ("a".to_owned(), node("asupersync-a", "1.85", true, &["b"])),
            ("b".to_owned(), node("b", needs, false, &["a"])),
        ];
        (Workspace { packages: vec![package] }, Graph { nodes: nodes.into_iter().collect() })
    }

    #[test]
    fn a_dependency_that_needs_a_newer_compiler_is_found() {
        let (workspace, graph) = setting(Some("1.85"), "1.86.1");
        assert!(too_new(&workspace, &graph)[0].contains("pulls in b 1.0.0, which needs 1.86.1"));
    }

    #[test]
    fn the_same_version_spelled_with_three_numbers_is_fine() {
        let (workspace, graph) = setting(Some("1.85"), "1.85.0");
        assert!(too_new(&workspace, &graph).is_empty());
    }

    #[test]
    fn a_crate_without_a_promise_is_found() {
        assert_eq!(unset(&setting(None, "1.0").0).len(), 1);
    }
}
