//! Edges between crates point strictly down: the floors of the architecture, checked against
//! `cargo metadata`, and drawn when they break.

use std::fmt::Write;

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, passed};
use crate::workspace::{Graph, Kind, Package, Workspace};

pub(crate) static STEP: Step =
    Step { name: "layers", about: "crate edges point strictly down", rerun: "layers", run };

/// Every member's floor, from the ground up. Normal and build dependencies go to a lower floor;
/// dev-dependencies are free.
const FLOORS: &[(&str, u8)] = &[
    ("core", 0),
    ("macros", 0),
    ("stats", 0),
    ("channel", 1),
    ("io", 1),
    ("raptorq", 1),
    ("sync", 1),
    ("time", 1),
    ("trace", 1),
    ("combinator", 2),
    ("reactor", 2),
    ("sched", 2),
    ("stream", 2),
    ("net", 3),
    ("os", 3),
    ("plan", 3),
    ("runtime", 3),
    ("dns", 4),
    ("h2", 4),
    ("lab", 4),
    ("tls", 4),
    ("websocket", 4),
    ("db", 5),
    ("http", 5),
    ("spork", 5),
    ("compat", 6),
    ("db-mysql", 6),
    ("db-postgres", 6),
    ("db-sqlite", 6),
    ("observe", 6),
    ("remote", 7),
    ("snapshot", 7),
    ("asupersync", 8),
    ("cli", 9),
    ("bench", TOP),
    ("conformance", 9),
    ("conformance-tokio", TOP),
    ("examples", TOP),
    ("xtask", TOP),
];

/// Programs that stand on everything else. Nothing may depend on them.
const TOP: u8 = 10;

/// Edges that do not point down, each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "channel",
    "sync",
    "the capacity of a bounded channel is the semaphore's machine, `sync::slots::Slots`: one wait queue, not two",
)];

/// The kernel is what a reader must trust first: this many dependencies and no more.
const CORE_DEPENDENCIES: usize = 4;

/// The other runtime. Only programs of the top floor may stand on it, to measure against it.
const FOREIGN_RUNTIME: &str = "tokio";

/// Crates whose subject is the foreign runtime itself.
const BRIDGES: &[&str] = &["compat"];

fn run(context: &Context, arguments: &[String]) -> Outcome {
    let drawing = arguments.iter().any(|word| word == "--draw");
    if drawing {
        print!("{}", draw(&context.workspace));
    }
    let mut findings = judge(&context.workspace, FLOORS, EXCEPTIONS);
    findings.extend(judge_graph(&context.workspace, &Graph::read(&context.root)?));
    if findings.is_empty() {
        let edges: usize = context.workspace.packages.iter().map(|p| edges(p).count()).sum();
        return passed(format!("{edges} edges between crates, all down"));
    }
    if !drawing {
        print!("{}", draw(&context.workspace));
    }
    Err(Failure(findings.join("\n")))
}

fn edges(package: &Package) -> impl Iterator<Item = &str> {
    let ours = |name: &&str| *name == "asupersync" || name.starts_with("asupersync-");
    let names = package.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev);
    names.map(|dependency| dependency.name.as_str()).filter(ours)
}

fn short(name: &str) -> &str {
    name.strip_prefix("asupersync-").unwrap_or(name)
}

/// One line a finding: place, fact, remedy.
fn judge(
    workspace: &Workspace,
    floors: &[(&str, u8)],
    exceptions: &[(&str, &str, &str)],
) -> Vec<String> {
    let floor = |name: &str| floors.iter().find(|(other, _)| *other == name).map(|(_, n)| *n);
    let mut findings = Vec::new();
    let mut used = Vec::new();
    for package in &workspace.packages {
        let from = package.short();
        let place = format!("{}/Cargo.toml", package.dir);
        let Some(height) = floor(from) else {
            findings.push(format!(
                "{place}: `{from}` has no floor; give it one in xtask/src/layers.rs"
            ));
            continue;
        };
        for name in edges(package) {
            let to = short(name);
            if let Some(at) = exceptions.iter().position(|(a, b, _)| *a == from && *b == to) {
                used.push(at);
            } else if floor(to).is_some_and(|lower| lower >= height) {
                let lower = floor(to).unwrap_or_default();
                findings.push(format!(
                    "{place}: `{from}` (floor {height}) depends on `{to}` (floor {lower}); move one \
                     of them, or list the edge with its reason in xtask/src/layers.rs"
                ));
            }
        }
        let normal = package.dependencies.iter().filter(|d| d.kind == Kind::Normal && !d.for_loom);
        let normal = normal.count();
        if from == "core" && normal > CORE_DEPENDENCIES {
            findings.push(format!(
                "{place}: the kernel has {normal} dependencies, more than {CORE_DEPENDENCIES}; do \
                 without, or move the part that needs them up a floor"
            ));
        }
    }
    for (at, (from, to, _)) in exceptions.iter().enumerate() {
        let built = |name: &str| workspace.package(name).is_some();
        if !used.contains(&at) && built(from) && built(to) {
            findings.push(format!(
                "xtask/src/layers.rs: the exception `{from}` to `{to}` is no edge any more; remove it"
            ));
        }
    }
    findings
}

fn judge_graph(workspace: &Workspace, graph: &Graph) -> Vec<String> {
    let production = workspace.packages.iter().filter(|package| {
        let floor = FLOORS.iter().find(|(name, _)| *name == package.short());
        floor.is_some_and(|(name, height)| *height < TOP && !BRIDGES.contains(name))
    });
    production
        .filter_map(|package| {
            let way = graph.way(&package.name, FOREIGN_RUNTIME)?;
            Some(format!(
                "{}/Cargo.toml: pulls in {FOREIGN_RUNTIME} ({}); production code stands on our \
                 kernel alone, so turn the feature off or choose another library",
                package.dir,
                way.join(" > ")
            ))
        })
        .collect()
}

/// The picture: a floor a line, the highest first, each crate with the crates it stands on.
fn draw(workspace: &Workspace) -> String {
    let mut picture = String::new();
    for height in (0..=TOP).rev() {
        let on_floor = FLOORS.iter().filter(|(_, floor)| *floor == height);
        let crates = on_floor.filter_map(|(name, _)| workspace.package(name));
        for (at, package) in crates.enumerate() {
            let mut below: Vec<String> = edges(package)
                .map(|name| {
                    let known = FLOORS.iter().find(|(other, _)| *other == short(name));
                    let up = known.is_some_and(|(_, floor)| *floor >= height);
                    format!("{}{}", short(name), if up { " <- NOT DOWN" } else { "" })
                })
                .collect();
            below.sort();
            let label = if at == 0 { format!("{height:>2}") } else { "  ".to_owned() };
            let _ = writeln!(picture, "{label} | {:<12} {}", package.short(), below.join(", "));
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, Node};

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, kind)| Dependency {
            name: (*name).to_owned(),
            code_name: name.replace('-', "_"),
            kind: *kind,
            for_loom: false,
        });
        let dir = format!("crates/{}", short(name));
        Package {
            name: name.into(),
            dir,
            dependencies: dependencies.collect(),
            ..Package::default()
        }
    }

    fn findings(packages: Vec<Package>, exceptions: &[(&str, &str, &str)]) -> Vec<String> {
        judge(&Workspace { packages }, FLOORS, exceptions)
    }

    const CORE: &str = "asupersync-core";
    const SYNC: &str = "asupersync-sync";

    #[test]
    fn an_edge_down_is_fine() {
        assert!(findings(vec![package(SYNC, &[(CORE, Kind::Normal)])], &[]).is_empty());
    }

    #[test]
    fn an_edge_up_and_an_edge_sideways_are_found() {
        let up = findings(vec![package(CORE, &[(SYNC, Kind::Normal)])], &[]);
        assert_eq!(up.len(), 1);
        assert!(up[0].starts_with("crates/core/Cargo.toml: `core` (floor 0) depends on `sync`"));
        let side = package(SYNC, &[("asupersync-channel", Kind::Build)]);
        assert_eq!(findings(vec![side], &[]).len(), 1);
    }

    #[test]
    fn a_dev_dependency_may_point_anywhere() {
        assert!(findings(vec![package(CORE, &[(SYNC, Kind::Dev)])], &[]).is_empty());
    }

    #[test]
    fn a_listed_exception_holds_until_it_is_stale() {
        let exceptions = [("core", "sync", "a reason")];
        let used = vec![package(CORE, &[(SYNC, Kind::Normal)]), package(SYNC, &[])];
        assert!(findings(used, &exceptions).is_empty());
        let stale = vec![package(CORE, &[]), package(SYNC, &[])];
        assert!(findings(stale, &exceptions)[0].contains("no edge any more"));
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        assert!(findings(vec![package("asupersync-new", &[])], &[])[0].contains("has no floor"));
    }

    #[test]
    fn a_fifth_dependency_of_the_kernel_is_found() {
        let five = ["a", "b", "c", "d", "e"].map(|name| (name, Kind::Normal));
        assert!(findings(vec![package(CORE, &five)], &[])[0].contains("5 dependencies"));
        assert!(findings(vec![package(CORE, &five[..4])], &[]).is_empty());
    }

    fn node(name: &str, pulls: &[&str]) -> (String, Node) {
        let node = Node {
            name: name.into(),
            version: "1.0.0".into(),
            rust_version: None,
            member: name.starts_with("asupersync"),
            pulls: pulls.iter().map(|id| (*id).to_owned()).collect(),
        };
        (name.to_owned(), node)
    }

    #[test]
    fn a_foreign_runtime_deep_in_a_production_crate_is_found_with_the_way_to_it() {
        let nodes = [node(SYNC, &["middle"]), node("middle", &["tokio"]), node("tokio", &[])];
        let graph = Graph { nodes: nodes.into_iter().collect() };
        let workspace = Workspace { packages: vec![package(SYNC, &[])] };
        let found = judge_graph(&workspace, &graph);
        assert!(found[0].contains("asupersync-sync > middle > tokio"), "{found:?}");
    }

    #[test]
    fn the_benches_may_measure_against_the_foreign_runtime() {
        let nodes = [node("asupersync-bench", &["tokio"]), node("tokio", &[])];
        let graph = Graph { nodes: nodes.into_iter().collect() };
        let workspace = Workspace { packages: vec![package("asupersync-bench", &[])] };
        assert!(judge_graph(&workspace, &graph).is_empty());
    }
}
