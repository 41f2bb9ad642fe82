//! Same seed, same trace, byte for byte: the lab tests run in three processes, twice as debug
//! builds and once as a release build, and what they wrote is compared. In `ci` the first of the
//! three is the run of the steps before.
//!
//! Convention: with `ASUPERSYNC_TRACE_DIR` set, a lab test writes its trace's bytes to
//! `<test>-<seed>.trace` in that folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::shell::Cmd;
use crate::step::{Failure, Outcome, Step, nothing, passed};
use crate::test::{counted, fresh_folder, runner};
use crate::workspace::Package;

pub(crate) static STEP: Step = Step {
    name: "determinism",
    about: "a seed gives the same trace in every process and build",
    rerun: "determinism",
    run,
};

fn run(context: &Context, _: &[String]) -> Outcome {
    let packages = &context.workspace.packages;
    let names: Vec<&str> =
        packages.iter().filter(|p| has_lab_tests(p)).map(|p| p.name.as_str()).collect();
    if names.is_empty() {
        return nothing("no package depends on the lab");
    }
    let base = context.target.join("determinism");
    let mut runs: Vec<(&str, Traces)> = Vec::new();
    let before: Vec<_> = BEFORE.iter().map(|step| base.join(step)).collect();
    let ran_before = BEFORE.iter().all(|step| context.traced.borrow().contains(step));
    if ran_before {
        println!("  debug-1: the runs of {}", BEFORE.join(" and "));
        let mut all = Traces::new();
        for folder in &before {
            all.extend(traces(folder)?);
        }
        runs.push(("debug-1", all));
    }
    let own = [("debug-1", false), ("debug-2", false), ("release", true)];
    for (label, release) in own.into_iter().skip(runs.len()) {
        let folder = base.join(label);
        fresh_folder(&folder)?;
        let cmd = runner(context)
            .args(names.iter().flat_map(|name| ["-p", name]))
            .arg("--tests")
            .args(if release { &["--release"][..] } else { &[] })
            .env("ASUPERSYNC_TRACE_DIR", &folder);
        println!("  {label}");
        counted(&cmd)?;
        runs.push((label, traces(&folder)?));
    }
    let (first, rest) = runs.split_first().expect("three runs were made");
    if first.1.is_empty() {
        return Err(Failure(format!(
            "no test wrote a trace to {}: lab tests must heed ASUPERSYNC_TRACE_DIR",
            base.join(first.0).display()
        )));
    }
    let findings: Vec<String> =
        rest.iter().flat_map(|other| differences(&base, first, other)).collect();
    if findings.is_empty() {
        let bytes: usize = first.1.values().map(Vec::len).sum();
        return passed(format!("{} traces, {bytes} bytes, equal in 3 runs", first.1.len()));
    }
    Err(Failure(findings.join("\n")))
}

/// The steps that run lab tests anyway, as debug builds, each once and between them all.
const BEFORE: [&str; 2] = ["unit", "conformance"];

/// The test call of such a step, which leaves its traces for this step.
pub(crate) fn traced(context: &Context, step: &'static str, cmd: Cmd) -> Result<Cmd, Failure> {
    let folder = context.target.join("determinism").join(step);
    fresh_folder(&folder)?;
    context.traced.borrow_mut().push(step);
    Ok(cmd.env("ASUPERSYNC_TRACE_DIR", &folder))
}

type Traces = BTreeMap<PathBuf, Vec<u8>>;

fn has_lab_tests(package: &Package) -> bool {
    const LAB: [&str; 2] = ["asupersync", "asupersync-lab"];
    if matches!(package.short(), "bench" | "examples") {
        return false;
    }
    LAB.contains(&package.name.as_str())
        || package.dependencies.iter().any(|dependency| LAB.contains(&dependency.name.as_str()))
}

fn traces(folder: &Path) -> Result<Traces, Failure> {
    let mut found = Traces::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "trace") {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_path_buf();
                found.insert(name, std::fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

fn differences(base: &Path, one: &(&str, Traces), other: &(&str, Traces)) -> Vec<String> {
    let names = one.1.keys().chain(other.1.keys().filter(|name| !one.1.contains_key(*name)));
    let judge = |name: &PathBuf| match (one.1.get(name), other.1.get(name)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(a), Some(b)) => {
            let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
            let sizes = format!("{} and {} bytes", a.len(), b.len());
            Some(format!("differs at byte {at} between {} and {} ({sizes})", one.0, other.0))
        }
        (Some(_), None) => Some(format!("was written in {} but not in {}", one.0, other.0)),
        (None, _) => Some(format!("was written in {} but not in {}", other.0, one.0)),
    };
    names
        .filter_map(|name| Some((name, judge(name)?)))
        .map(|(name, fact)| {
            format!("{}: {fact}; compare the files under {}", name.display(), base.display())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(label: &'static str, files: &[(&str, &[u8])]) -> (&'static str, Traces) {
        (label, files.iter().map(|(name, bytes)| (PathBuf::from(name), bytes.to_vec())).collect())
    }

    #[test]
    fn equal_traces_have_no_difference() {
        let one = made("debug-1", &[("a-1.trace", b"xyz")]);
        let other = made("release", &[("a-1.trace", b"xyz")]);
        assert!(differences(Path::new("t"), &one, &other).is_empty());
    }

    #[test]
    fn a_changed_byte_a_longer_file_and_a_missing_file_are_found() {
        let one = made("debug-1", &[("a.trace", b"xyz"), ("b.trace", b"x"), ("c.trace", b"")]);
        let other = made("debug-2", &[("a.trace", b"xYz"), ("b.trace", b"xx"), ("d.trace", b"")]);
        let found = differences(Path::new("t"), &one, &other);
        assert_eq!(found.len(), 4);
        assert!(found[0].starts_with("a.trace: differs at byte 1"));
        assert!(found[1].starts_with("b.trace: differs at byte 1"));
        assert!(found[2].contains("in debug-1 but not in debug-2"));
        assert!(found[3].contains("in debug-2 but not in debug-1"));
    }
}
