//! What a failing test prints, and the file it leaves.

use crate::check::SHRINK;
use crate::config::LabConfig;
use crate::explore::shares;
use crate::script::Plan;
use crate::shrink::{Shrunk, Size, shrink};
use crate::story::{self, Marks};
use crate::trial::{Trial, Trials, Wanted};
use crate::twin;
use asupersync_trace::{Limits, Pack, Share, Trace, shell_word};
use std::fmt::Write as _;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// Which test it is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// Whether the name is the test harness's, so that it can be given to `cargo test`.
    pub(crate) is_filter: bool,
    /// The call that runs the lab, of which a test may have several.
    pub(crate) site: Option<&'static Location<'static>>,
}

impl Place {
    /// The test whose thread this is.
    #[track_caller]
    pub(crate) fn here() -> Place {
        let site = Location::caller();
        let thread = std::thread::current();
        match thread.name().filter(|name| *name != "main") {
            Some(name) => Place { name: name.to_owned(), is_filter: true, site: Some(site) },
            None => {
                let name = format!("{}:{}", site.file(), site.line());
                Place { name, is_filter: false, site: Some(site) }
            }
        }
    }

    /// The header's options that say whose trace it is.
    pub(crate) fn header(&self) -> Vec<(String, String)> {
        let site = self.site.map(|site| format!("{}:{}", site.file(), site.line()));
        site.map(|site| ("site".to_owned(), site)).into_iter().collect()
    }

    /// Whether a recording is of this call.
    pub(crate) fn is_of(&self, trace: &Trace) -> bool {
        let mine = self.header();
        let theirs = trace.header().options.iter().find(|(name, _)| name == "site");
        // One that does not say may be any's.
        theirs.is_none_or(|theirs| mine.first().is_none_or(|mine| mine == theirs))
    }

    /// The command that runs this test alone.
    pub(crate) fn command(&self) -> String {
        let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}"));
        let package = package.unwrap_or_default();
        if self.is_filter {
            format!("cargo test{package} {} -- --exact", self.name)
        } else {
            format!("cargo test{package}")
        }
    }

    /// Writes a file of this test into a folder.
    pub(crate) fn write(&self, dir: &Path, suffix: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        // Tests of several packages write into one folder; their names need not differ.
        let name: String = format!("{}.{}", binary(), self.name)
            .replace("::", ".")
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' })
            .take(160)
            .collect();
        let path = dir.join(format!("{name}-{suffix}"));
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }
}

/// The running test binary, as its package and target without the build's hash.
fn binary() -> String {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let exe = std::env::current_exe().unwrap_or_default();
    let stem = exe.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let target = stem.rsplit_once('-').map_or(stem.as_str(), |(target, _)| target);
    format!("{package}.{target}")
}

/// The run that failed.
pub(crate) struct Failed<'a> {
    pub(crate) place: &'a Place,
    pub(crate) config: &'a LabConfig,
    pub(crate) seed: u64,
    pub(crate) choices: Vec<u32>,
    pub(crate) cancel_at: Option<u64>,
    pub(crate) fingerprint: Option<asupersync_trace::Fingerprint>,
    /// It was replayed from this file, and is not to be shrunk again.
    pub(crate) replayed: Option<&'a Path>,
    /// How it is called, after the test's name.
    pub(crate) title: String,
    /// The variables that replay the run as it was found; none where no seed does.
    pub(crate) by_seed: Option<String>,
}

/// What was found out about a failure.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) choices: Vec<u32>,
    pub(crate) file: Option<PathBuf>,
}

impl Failed<'_> {
    /// Shrinks the failure, looks for its passing twin, writes the pack, and tells.
    pub(crate) fn tell(self, trials: &mut Trials<'_>) -> Told {
        let mut text = format!("{}: {}", self.place.name, self.title);
        let exact = |choices: &[u32], cancel_at, capture, left_out: &[usize]| Wanted {
            plan: Plan::Exact { choices: choices.to_vec(), cancel_at },
            capture,
            max_steps: None,
            left_out: left_out.to_vec(),
        };
        let mut left_out = self.config.left_out.clone();
        let again = trials(exact(&self.choices, self.cancel_at, false, &left_out));
        let repeats = again.choices == self.choices && again.fingerprint == self.fingerprint;
        let mut sizes = String::new();
        let mut small = match (self.replayed, repeats && again.failure.is_some()) {
            (None, true) => {
                let shrunk = shrink(trials, again, self.config.plan(self.seed).numbers(), left_out);
                sizes = describe(&shrunk);
                left_out = shrunk.left_out;
                trials(exact(&shrunk.trial.choices, shrunk.trial.cancel_at, true, &left_out))
            }
            _ => trials(exact(&self.choices, self.cancel_at, true, &left_out)),
        };
        line(&mut text, format_args!("{}", small.text));
        if !repeats {
            text.push_str(
                "\nwarning: run again, it went another way: the program depends on something that \
                 is neither its seed nor its choices (a clock, a thread, a static, a randomly seeded \
                 map), and the lines below may not replay it",
            );
        }
        let twin = match repeats {
            true => twin::find(trials, &mut small, &left_out),
            false => Err(0),
        };
        let shares = match repeats && small.failure.is_some() {
            true => shares(trials, &small, &left_out),
            false => Vec::new(),
        };
        let trace = small.trace.take().unwrap_or_default();
        if self.config.faults.is_any() {
            let plan = self.config.faults.expand(self.seed).without(&left_out);
            line(&mut text, format_args!("what went wrong around it:\n{plan}"));
        }
        let marks = match &twin {
            Ok(twin) => Marks { first: Some(twin.first), second: twin.second },
            Err(_) => Marks::default(),
        };
        if !sizes.is_empty() {
            line(&mut text, format_args!("the smallest schedule found: {sizes}"));
        }
        if let Ok(trace) = Trace::parse(&trace, &Limits::default()) {
            let story = story::tell(&trace, marks);
            line(&mut text, format_args!("the steps that led to it:\n{story}"));
            let order = match &twin {
                Ok(twin) => order(&trace, &small, twin),
                Err(tried) => format!(
                    "none found: no run with one race the other way round passes ({tried} tried)"
                ),
            };
            line(&mut text, format_args!("the order that matters: {order}"));
            if let Some(told) = share(&trace, &small, &shares) {
                line(&mut text, format_args!("the share that fails: {told}"));
            }
        }
        let file = self.keep(&mut text, &small, trace, twin.ok(), marks, (sizes, shares));
        Told { text, choices: small.choices, file }
    }

    fn keep(
        &self,
        text: &mut String,
        small: &Trial,
        trace: Vec<u8>,
        twin: Option<twin::Twin>,
        marks: Marks,
        (sizes, shares): (String, Vec<Share>),
    ) -> Option<PathBuf> {
        let command = self.place.command();
        if let Some(file) = self.replayed {
            line(text, format_args!("replayed from: {}", file.display()));
            line(text, format_args!("{}", replay(file, &command)));
            return None;
        }
        let pack = Pack {
            seed: self.seed,
            fingerprint: small.fingerprint.unwrap_or_default(),
            cancel_at: small.cancel_at,
            choices: small.choices.clone(),
            first: marks.first.map(|at| at as u64),
            second: marks.second.map(|at| at as u64),
            failure: small.headline.chars().take(4_000).collect(),
            shrunk: sizes,
            command: format!("ASUPERSYNC_LAB_REPLAY={{}} {command}"),
            shares,
            trace,
            twin: twin.and_then(|twin| twin.trial.trace).unwrap_or_default(),
        };
        let cancel = self.cancel_at.map(|step| format!("-cancel-{step}")).unwrap_or_default();
        let line_of = self.place.site.map(|site| format!("-line-{}", site.line()));
        let suffix = format!("{}{cancel}{}.pack", self.seed, line_of.unwrap_or_default());
        let bytes = pack.to_bytes();
        let wanted = std::env::var_os(SHRINK).map(PathBuf::from);
        let file = match std::env::var_os("ASUPERSYNC_TRACE_DIR") {
            _ if wanted.is_some() => {
                let path = wanted.unwrap_or_default();
                let written = std::fs::write(&path, &bytes);
                let told = |error| format!("cannot write {}: {error}", path.display());
                written.map(|()| path.clone()).map_err(told)
            }
            Some(dir) => self.place.write(&PathBuf::from(dir), &suffix, &bytes),
            None => {
                let shared = std::env::temp_dir().join("asupersync-lab");
                // Another user of the machine may have made that folder; this one is nobody's yet.
                let own =
                    std::env::temp_dir().join(format!("asupersync-lab-{}", std::process::id()));
                let first = self.place.write(&shared, &suffix, &bytes);
                first.or_else(|_| self.place.write(&own, &suffix, &bytes))
            }
        };
        match &file {
            Ok(file) => {
                let shown = file.display();
                line(
                    text,
                    format_args!("written, with every choice, the trace and the twin: {shown}"),
                );
                line(text, format_args!("{}", replay(file, &command)));
            }
            Err(error) => line(text, format_args!("the failure could not be kept: {error}")),
        }
        if let Some(variables) = &self.by_seed {
            line(text, format_args!("as it was found: {variables}{command}"));
        }
        let options = [
            ("max_steps", self.config.max_steps),
            ("futurelock_max_idle_steps", self.config.futurelock_max_idle_steps),
            ("max_overtakes", self.config.max_overtakes),
            ("time_races", self.config.time_races.into()),
        ];
        let told = |(name, value): &&(&str, u64)| *name != "time_races" || *value > 0;
        let options: Vec<String> =
            options.iter().filter(told).map(|(name, value)| format!("{name} = {value}")).collect();
        line(text, format_args!("options: seed = {}, {}", self.seed, options.join(", ")));
        if self.config.faults.is_any() {
            let (faults, plan) = (self.config.faults, self.config.faults.expand(self.seed));
            line(
                text,
                format_args!("faults = {faults}, which seed {} expands to:\n{plan}", self.seed),
            );
        }
        file.ok()
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.push('\n');
    text.write_fmt(arguments).expect("strings take all");
}

/// The line that replays a file, for a shell.
fn replay(file: &Path, command: &str) -> String {
    let file = file.display().to_string();
    format!("replay: ASUPERSYNC_LAB_REPLAY={} {command}", shell_word(&file))
}

fn describe(shrunk: &Shrunk) -> String {
    let Size { steps, switches, forced } = shrunk.stages.last().expect("there is one").1;
    let mut text = format!(
        "{steps} steps, {switches} switches of task, {forced} choices forced (steps/switches/choices"
    );
    for (at, (name, size)) in shrunk.stages.iter().enumerate() {
        let Size { steps, switches, forced } = size;
        let before = if at == 0 { ';' } else { ',' };
        write!(text, "{before} {name}: {steps}/{switches}/{forced}").expect("strings take all");
    }
    let minimal = if shrunk.is_minimal {
        "no single choice can be left out"
    } else {
        "shrinking was cut short"
    };
    write!(text, "; {} runs; {minimal})", shrunk.runs).expect("strings take all");
    text
}

fn order(trace: &Trace, failing: &Trial, twin: &twin::Twin) -> String {
    let names = story::Names::of(trace);
    let schedule = &failing.seen.schedule;
    let first = format!("step {} ({})", twin.first, names.task(schedule[twin.first]));
    let then = "the other way round, the run passes";
    let tried = twin.tried;
    match twin.second {
        Some(second) => format!(
            "{first} comes before step {second} ({}); {then} ({tried} races tried)",
            names.task(schedule[second])
        ),
        None => {
            let passing = &twin.trial.seen.schedule;
            let instead = passing.get(twin.first).map(|task| names.task(*task));
            let instead = instead.unwrap_or_else(|| "another task".to_owned());
            format!(
                "{first} comes first; with {instead} in its place, the run passes ({tried} races \
                 tried)"
            )
        }
    }
}

/// Which of the failing run's steps decides, by the shares of classes that fail.
fn share(trace: &Trace, failing: &Trial, shares: &[Share]) -> Option<String> {
    let of = |share: &Share| match (share.failed, share.classes) {
        (1, 1) => "the only one".to_owned(),
        (failed, classes) if failed == classes => format!("all {classes}"),
        (failed, classes) => format!("{failed} of {classes}"),
    };
    let first = shares.first()?;
    let mut text = match first.classes {
        1 => "the only class of orders".to_owned(),
        _ => format!("{} classes of orders", of(first)),
    };
    if let Some(last) = first.steps.checked_sub(1) {
        write!(text, " that begin with steps 0 to {last} (there are too many to count them all)")
            .expect("strings take all");
    }
    let decides = shares.iter().position(|share| share.failed == share.classes)?;
    for (at, share) in shares.iter().enumerate().take(decides + 1).skip(1) {
        let step = usize::try_from(share.steps).ok()?.checked_sub(1)?;
        if at == decides {
            let who = story::Names::of(trace).task(*failing.seen.schedule.get(step)?);
            write!(text, "; after step {step} ({who}), which decides it, {}", of(share))
                .expect("strings take all");
        } else if at + 1 == decides {
            write!(text, "; after step {step}, {}", of(share)).expect("strings take all");
        }
    }
    Some(text)
}
