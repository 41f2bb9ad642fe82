//! Counts of instructions under `valgrind --tool=callgrind`: what an operation of one binary takes, under
//! any load.
//!
//! `asupersync-counts` lists scenarios, `GROUP/NAME` a line; `asupersync-counts NAME TIMES` does one so many
//! times. What is counted is the difference of two runs, for each time more: the start of the process and of
//! the runtime cancels out. `crates/bench/instructions.json` holds the committed counts.
//!
//! Between machines counts would differ in one place: the C library chooses its `memcpy` and its like by the
//! processor. Under valgrind it is told to take the plainest. The rest is the compiler's, which is pinned,
//! and the allocator's; the tolerance is for those, and for what depends on the clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::context::Context;
use crate::shell::{Cmd, tail};
use crate::step::{Failure, Outcome, passed};

pub(crate) const COMMITTED: &str = "crates/bench/instructions.json";
const TOLERANCE: f64 = 0.03;
/// The share of spawning and joining that the kernel's events may take while nobody listens.
const UNHEARD: f64 = 0.02;
const SPAWN_JOIN: &str = "kernel/spawn_join";

const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

/// Without these the C library's string functions are the same on every x86-64; a name that a version of it
/// does not know is passed over.
const PLAIN_LIBC: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-BMI2,-ERMS,-FSRM,-SSE4_2,-SSE4_1,-SSSE3,\
     -AVX_Fast_Unaligned_Load,-Fast_Unaligned_Copy,-Prefer_No_VZEROUPPER";

/// The program whose scenarios are counted.
pub(crate) struct Counter<'c> {
    context: &'c Context,
    program: PathBuf,
}

/// Instructions an operation, by scenario.
pub(crate) type Counts = BTreeMap<String, f64>;

impl<'c> Counter<'c> {
    /// Builds the program with the bench profile.
    pub(crate) fn build(context: &'c Context) -> Result<Self, Failure> {
        Counter::built(context, &context.target, None)
    }

    /// Builds it with a kernel that tells nobody anything.
    fn build_unheard(context: &'c Context) -> Result<Self, Failure> {
        Counter::built(context, &context.target.join("unheard"), Some("--cfg unheard"))
    }

    fn built(context: &'c Context, target: &Path, flags: Option<&str>) -> Result<Self, Failure> {
        let package = ["build", "--quiet", "--profile", "bench", "-p", "asupersync-bench"];
        let mut cmd = context
            .cargo(&package)
            .args(["--no-default-features", "--bin", "asupersync-counts"])
            .env("CARGO_TARGET_DIR", target);
        if let Some(flags) = flags {
            cmd = cmd.env("RUSTFLAGS", flags);
        }
        cmd.check()?;
        Ok(Counter { context, program: target.join("release").join("asupersync-counts") })
    }

    /// The scenarios of a group, or all of them.
    pub(crate) fn names(&self, group: Option<&str>) -> Result<Vec<String>, Failure> {
        let all = Cmd::new(&self.program).check()?.stdout;
        let of = |name: &&str| group.is_none_or(|group| name.split('/').next() == Some(group));
        Ok(all.lines().filter(of).map(str::to_owned).collect())
    }

    /// Instructions that one operation of the scenario takes.
    pub(crate) fn count(&self, name: &str) -> Result<f64, Failure> {
        let (few, many) = (self.run(name, FEW)?, self.run(name, MANY)?);
        #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
        let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
        Ok((each * 10.0).round() / 10.0)
    }

    fn run(&self, name: &str, times: u64) -> Result<u64, Failure> {
        let output = self
            .context
            .tool("valgrind", &["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(&self.program)
            .args([name, &times.to_string()])
            .env("GLIBC_TUNABLES", PLAIN_LIBC)
            .check()?;
        collected(&output.text)
            .ok_or_else(|| Failure(format!("no count of instructions in\n{}", tail(&output.text))))
    }
}

/// Counts every scenario and compares with what is committed, or writes that anew.
pub(crate) fn check(context: &Context, bless: bool) -> Outcome {
    let counter = Counter::build(context)?;
    let mut measured = Counts::new();
    for name in counter.names(None)? {
        let count = counter.count(&name)?;
        println!("  {name:<32} {count:>10.1}");
        measured.insert(name, count);
    }
    let share = unheard_share(context, &measured)?;
    if bless {
        let page = json!({"tolerance": TOLERANCE, "counts": measured});
        let text = serde_json::to_string_pretty(&page).map_err(|error| error.to_string())?;
        std::fs::write(context.root.join(COMMITTED), text + "\n")?;
        return passed(format!("{} counts written to {COMMITTED}", measured.len()));
    }
    let mut findings = compare(&committed(context)?, &measured);
    if share > UNHEARD {
        findings.push(format!(
            "events that nobody hears are {:.2} % of {SPAWN_JOIN}; at most {:.1} % are allowed",
            share * 100.0,
            UNHEARD * 100.0
        ));
    }
    if findings.is_empty() {
        return passed(format!(
            "{} counts; events unheard cost {:.2} % of a spawn and join",
            measured.len(),
            share * 100.0
        ));
    }
    Err(Failure(findings.join("\n")))
}

/// What the look for a listener adds to spawning and joining: against a build that never looks.
pub(crate) fn unheard_share(context: &Context, measured: &Counts) -> Result<f64, Failure> {
    let Some(heard) = measured.get(SPAWN_JOIN) else {
        return Err(Failure(format!("there is no scenario {SPAWN_JOIN}")));
    };
    let without = Counter::build_unheard(context)?.count(SPAWN_JOIN)?;
    println!("  {:<32} {without:>10.1}", format!("{SPAWN_JOIN}, no events"));
    Ok(heard / without - 1.0)
}

/// The committed counts.
pub(crate) fn committed(context: &Context) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(context.root.join(COMMITTED))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure(format!("{COMMITTED}: {error}; write it anew with `bench check --bless`"))
    })
}

/// Valgrind's closing line: `==123== Collected : 4567`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().rfind(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.split_whitespace().next()?.parse().ok()
}

fn compare(page: &Value, measured: &Counts) -> Vec<String> {
    let tolerance = page["tolerance"].as_f64().unwrap_or(TOLERANCE);
    let committed: BTreeMap<&String, f64> = page["counts"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, count)| Some((name, count.as_f64()?)))
        .collect();
    let mut findings = Vec::new();
    for (name, count) in measured {
        let Some(before) = committed.get(name) else {
            findings.push(format!("{name}: not in {COMMITTED}; run `bench check --bless`"));
            continue;
        };
        let change = count / before - 1.0;
        if change.abs() > tolerance {
            findings.push(format!(
                "{name}: {count} instructions, {:+.1} % of the committed {before}; find out why, or \
                 run `bench check --bless` and say why in the commit",
                change * 100.0
            ));
        }
    }
    let gone = committed.keys().filter(|name| !measured.contains_key(**name));
    findings.extend(gone.map(|name| format!("{name}: committed, but no longer measured")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_closing_line() {
        let text = "==9== Events    : Ir\n==9== Collected : 123456\n==9== \n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("killed"), None);
    }

    #[test]
    fn more_and_fewer_new_and_missing_are_found_and_noise_is_not() {
        let page = json!({"tolerance": 0.03, "counts": {"a": 1000, "b": 1000, "c": 1000, "d": 1}});
        let pairs = [("a", 1029.0), ("b", 1031.0), ("c", 969.0), ("e", 5.0)];
        let measured = pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        let found = compare(&page, &measured);
        let starts: Vec<&str> = found.iter().map(|line| &line[..1]).collect();
        assert_eq!(starts, ["b", "c", "e", "d"]);
    }
}
