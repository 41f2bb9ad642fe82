//! What no compiler checks: names, dead files, front doors, the unsafe budget, snippets in the
//! pages, places that must not be named, long files, error codes and their pages.
//!
//! A finding is one line: place, fact, remedy. Each check is a file under `tidy/` and a function of
//! the [`Tree`], so that its tests fabricate the input.

mod banned;
mod dead_files;
mod error_codes;
mod front_doors;
mod long_files;
mod manifests;
mod places;
mod rules;
mod scan;
mod snippets;
mod unsafe_budget;

use std::collections::BTreeMap;
use std::fmt;

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, passed};
use crate::workspace::{Package, files};

pub(crate) static STEP: Step = Step {
    name: "tidy",
    about: "names, dead files, crate docs, unsafe budget, snippets, error pages",
    rerun: "tidy",
    run,
};

/// One line of the report.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    place: String,
    fact: String,
    remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.fact, self.remedy)
    }
}

/// A finding about a file, or about one of its lines (counted from 1).
fn finding(
    place: impl Into<String>,
    fact: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding { place: place.into(), fact: fact.into(), remedy: remedy.into() }
}

/// All that the checks look at: the text of every file git knows, by path, and the members.
#[derive(Default)]
struct Tree {
    files: BTreeMap<String, String>,
    packages: Vec<Package>,
}

type Check = fn(&Tree) -> Vec<Finding>;

static CHECKS: &[(&str, Check)] = &[
    ("banned", banned::check),
    ("dead files", dead_files::check),
    ("error codes", error_codes::check),
    ("front doors", front_doors::check),
    ("long files", long_files::check),
    ("manifests", manifests::check),
    ("places", places::check),
    ("rules", rules::check),
    ("snippets", snippets::check),
    ("unsafe", unsafe_budget::check),
];

fn run(context: &Context, _: &[String]) -> Outcome {
    let mut tree = Tree { packages: context.workspace.packages.clone(), files: BTreeMap::new() };
    for path in files(&context.root)? {
        // What is no text has no lines to judge.
        if let Ok(text) = std::fs::read_to_string(context.root.join(&path)) {
            tree.files.insert(path, text);
        }
    }
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|(_, check)| check(&tree)).collect();
    findings.sort();
    if findings.is_empty() {
        let used = unsafe_budget::used(&tree);
        return passed(format!(
            "{} checks of {} files; `unsafe`: {used}",
            CHECKS.len(),
            tree.files.len()
        ));
    }
    let lines: Vec<String> = findings.iter().map(|finding| format!("  {finding}")).collect();
    Err(Failure(format!("{}\n{} findings", lines.join("\n"), lines.len())))
}

impl Tree {
    /// Rust sources, the checker's own excepted: its tables name what it looks for.
    fn judged_sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sources().filter(|(path, _)| !path.starts_with("xtask/src/tidy"))
    }

    fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

/// Whether a file holds tests and nothing else.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/loom.rs")
}

#[cfg(test)]
mod fabricated {
    use super::*;
    use crate::workspace::Target;

    /// A tree of these files with one member, the library `crates/a`.
    pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
        let target = |kind: &str, name: &str, source: &str| Target {
            kind: kind.into(),
            name: name.into(),
            source: source.into(),
        };
        let mut targets = vec![target("lib", "a", "crates/a/src/lib.rs")];
        for (path, _) in files {
            if let Some(name) = path.strip_prefix("crates/a/tests/")
                && !name.contains('/')
                && name.ends_with(".rs")
            {
                targets.push(target("test", name.trim_end_matches(".rs"), path));
            }
        }
        let package = Package {
            name: "asupersync-a".into(),
            dir: "crates/a".into(),
            targets,
            ..Package::default()
        };
        Tree {
            files: files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect(),
            packages: vec![package],
        }
    }

    #[test]
    fn a_finding_is_one_line_of_place_fact_and_remedy() {
        assert_eq!(
            finding("a.rs:3", "is long", "split it").to_string(),
            "a.rs:3: is long; split it"
        );
    }
}
