//! The front door: a test body under many seeds, with a failure report that replays.

use crate::config::LabConfig;
use crate::report::LabReport;
use crate::runtime::LabRuntime;
use asupersync_core::{Cx, Outcome, TaskBody, Time, cap};
use asupersync_trace::{Fingerprint, Limits, Trace, first_difference};
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// Runs a body once, with this seed and default options.
pub fn run<F, T, E>(seed: u64, body: F) -> LabReport<T, E>
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    LabRuntime::new(LabConfig::default().seed(seed)).run(body)
}

/// Runs a body once for each seed and demands `Ok`, no finding, and content oracles of each run. The
/// test's name is the running thread's, as the test harness sets it.
///
/// # Panics
/// On the first run that fails, with a report that ends in the line that replays it.
#[track_caller]
pub fn check<F, T, E>(seeds: Range<u64>, body: F) -> Summary
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    LabTest::here().seeds(seeds).run(body)
}

/// Runs a body with this seed, then once more for each of its steps, cancelling the root region just
/// before that step. The uncancelled run must end with `Ok`; the cancelled ones may end as they like
/// but for a panic, and must be sound: no deadlock, nothing leaked, everything drained.
///
/// # Panics
/// On the first run that fails, with a report that ends in the line that replays it.
#[track_caller]
pub fn cancel_everywhere<F, T, E>(seed: u64, body: F) -> Summary
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    LabTest::here().seeds(seed..seed + 1).inject_cancel(true).run(body)
}

/// What a test's runs amounted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Runs, cancelled ones included.
    pub runs: u64,
    /// Polls of all runs together.
    pub steps: u64,
    /// Different behaviours among the runs: classes under reordering of independent steps.
    pub classes: usize,
    /// The furthest that any run's clock got.
    pub virtual_time: Time,
}

/// A named test: what `#[asupersync::test]` expands to.
///
/// It obeys the environment: `ASUPERSYNC_LAB_SEED=n` runs that seed only,
/// `ASUPERSYNC_LAB_CANCEL_AT=n` only with a cancellation at that step, `ASUPERSYNC_LAB_REPLAY=FILE`
/// runs what a trace file records and compares event by event, and with `ASUPERSYNC_TRACE_DIR=DIR`
/// each run leaves its trace there as `<package>.<target>.<test>-<seed>.trace`, with `-cancel-<step>`
/// after the seed where a cancellation was injected.
#[derive(Clone, Debug)]
#[must_use = "a test does nothing until it is run"]
pub struct LabTest {
    name: String,
    /// Whether the name is the test harness's, so that it can be given to `cargo test`.
    is_filter: bool,
    seeds: Range<u64>,
    inject_cancel: bool,
    config: LabConfig,
}

impl LabTest {
    /// A test of seed 0 with default options. `path` is the function's path with its crate:
    /// `concat!(module_path!(), "::", stringify!(name))`.
    pub fn new(path: &str) -> LabTest {
        let name = path.split_once("::").map_or(path, |(_, name)| name);
        LabTest {
            name: name.to_owned(),
            is_filter: true,
            seeds: 0..1,
            inject_cancel: false,
            config: LabConfig::default(),
        }
    }

    #[track_caller]
    fn here() -> LabTest {
        let thread = std::thread::current();
        match thread.name().filter(|name| *name != "main") {
            Some(name) => LabTest { name: name.to_owned(), ..LabTest::new("") },
            None => {
                let site = Location::caller();
                let name = format!("{}:{}", site.file(), site.line());
                LabTest { name, is_filter: false, ..LabTest::new("") }
            }
        }
    }

    /// The seeds to run.
    pub fn seeds(mut self, seeds: Range<u64>) -> LabTest {
        self.seeds = seeds;
        self
    }

    /// Whether each seed is run again with a cancellation at each of its steps, as
    /// [`cancel_everywhere`] does.
    pub fn inject_cancel(mut self, inject: bool) -> LabTest {
        self.inject_cancel = inject;
        self
    }

    /// The options of each run; the seed in it is not used.
    pub fn config(mut self, config: LabConfig) -> LabTest {
        self.config = config;
        self
    }

    /// Runs the body as often as the options say.
    ///
    /// # Panics
    /// On the first run that fails, with a report that ends in the line that replays it; also if the
    /// environment asks for what cannot be done, and says so.
    #[track_caller]
    pub fn run<F, T, E>(self, body: F) -> Summary
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        let result = match Environment::read() {
            Ok(environment) => self.run_in(environment, body),
            Err(message) => Err(message),
        };
        match result {
            Ok(summary) => summary,
            Err(failure) => panic!("{failure}"),
        }
    }

    fn run_in<F, T, E>(mut self, environment: Environment, body: F) -> Result<Summary, String>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        let mut only_cancel_at = environment.cancel_at;
        if let Some(seed) = environment.seed {
            self.seeds = seed..seed + 1;
        }
        if let Some(recorded) = &environment.replay {
            let seed = recorded.header().seed;
            self.seeds = seed..seed + 1;
            self.config.choices = recorded.choices().collect();
            only_cancel_at = option(recorded, "inject-cancel-at");
            if let Some(steps) = option(recorded, "max-steps") {
                self.config.max_steps = steps;
            }
        }
        let lab = LabRuntime::new(self.config.clone());
        let capture = environment.trace_dir.is_some()
            || environment.replay.is_some()
            || self.config.capture_trace;
        let mut tally = Tally::default();
        let mut one = |seed: u64, cancel_at: Option<u64>| -> Result<u64, String> {
            let report = lab.run_seeded(seed, cancel_at, capture, body.clone());
            tally.add(&report);
            if let (Some(dir), Some(trace)) = (&environment.trace_dir, &report.trace) {
                self.write(dir, seed, cancel_at, trace)?;
            }
            if let (Some(recorded), Some(trace)) = (&environment.replay, &report.trace) {
                let again = parse(trace)?;
                if let Some(difference) = first_difference(recorded, &again) {
                    return Err(format!(
                        "{}: the replay is not the recorded run (left), so the program depends on \
                         hidden shared state or has changed: {difference}",
                        self.name
                    ));
                }
            }
            if failed(&report, cancel_at.is_some()) {
                return Err(self.failure(&lab, &report, cancel_at, &environment, body.clone()));
            }
            Ok(report.steps)
        };
        for seed in self.seeds.clone() {
            if only_cancel_at.is_some() {
                one(seed, only_cancel_at)?;
                continue;
            }
            let steps = one(seed, None)?;
            if self.inject_cancel && environment.replay.is_none() {
                for step in 0..steps {
                    one(seed, Some(step))?;
                }
            }
        }
        Ok(tally.summary())
    }

    /// The report of a failed run. It is run again with its trace captured, which shows at the same
    /// time whether it can be repeated at all.
    fn failure<F, T, E>(
        &self,
        lab: &LabRuntime,
        report: &LabReport<T, E>,
        cancel_at: Option<u64>,
        environment: &Environment,
        body: F,
    ) -> String
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        use fmt::Write as _;
        let seed = report.seed;
        let mut text = format!("{}: failed with seed {seed}", self.name);
        if let Some(step) = cancel_at {
            write!(text, " and a cancellation at step {step}").expect("strings take all");
        }
        write!(text, "\n{report}").expect("strings take all");

        let again = lab.run_seeded(seed, cancel_at, true, body);
        if again.choices != report.choices || again.fingerprint != report.fingerprint {
            text.push_str(
                "\nwarning: run again, it went another way: the program depends on something that \
                 is neither its seed nor its choices (a clock, a thread, a static, a randomly seeded \
                 map), and the lines below may not replay it",
            );
        }
        let dir = environment.trace_dir.clone();
        let dir = dir.unwrap_or_else(|| std::env::temp_dir().join("asupersync-lab"));
        let trace = again.trace.unwrap_or_default();
        let written = self.write(&dir, seed, cancel_at, &trace);
        if let Ok(trace) = parse(&trace) {
            let story = crate::story::tell(&trace);
            write!(text, "\nthe steps that led to it:\n{story}").expect("strings take all");
        }
        let command = self.command();
        match written {
            Ok(file) => {
                let file = file.display();
                write!(text, "\ntrace, with every choice: {file}").expect("strings take all");
                write!(text, "\nreplay the trace: ASUPERSYNC_LAB_REPLAY={file} {command}")
            }
            Err(error) => write!(text, "\nthe trace could not be kept: {error}"),
        }
        .expect("strings take all");
        let cancel = cancel_at.map(|step| format!("ASUPERSYNC_LAB_CANCEL_AT={step} "));
        let cancel = cancel.unwrap_or_default();
        write!(text, "\nreplay the seed:  ASUPERSYNC_LAB_SEED={seed} {cancel}{command}")
            .expect("strings take all");
        text
    }

    fn command(&self) -> String {
        let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}"));
        let package = package.unwrap_or_default();
        if self.is_filter {
            format!("cargo test{package} {} -- --exact", self.name)
        } else {
            format!("cargo test{package}")
        }
    }

    fn write(
        &self,
        dir: &Path,
        seed: u64,
        cancel_at: Option<u64>,
        trace: &[u8],
    ) -> Result<PathBuf, String> {
        // Tests of several packages write into one folder; their names need not differ.
        let name: String = format!("{}.{}", binary(), self.name)
            .replace("::", ".")
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' })
            .take(160)
            .collect();
        let cancel = cancel_at.map(|step| format!("-cancel-{step}")).unwrap_or_default();
        let path = dir.join(format!("{name}-{seed}{cancel}.trace"));
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&path, trace))
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

fn failed<T, E>(report: &LabReport<T, E>, cancelled: bool) -> bool {
    if cancelled {
        !report.is_sound() || matches!(report.outcome, Outcome::Panicked(_))
    } else {
        !report.is_ok()
    }
}

#[derive(Default)]
struct Tally {
    runs: u64,
    steps: u64,
    classes: BTreeSet<Fingerprint>,
    virtual_time: Time,
}

impl Tally {
    fn add<T, E>(&mut self, report: &LabReport<T, E>) {
        self.runs += 1;
        self.steps += report.steps;
        self.classes.extend(report.fingerprint);
        self.virtual_time = self.virtual_time.max(report.virtual_time);
    }

    fn summary(self) -> Summary {
        Summary {
            runs: self.runs,
            steps: self.steps,
            classes: self.classes.len(),
            virtual_time: self.virtual_time,
        }
    }
}

/// What the environment asks of a test.
#[derive(Default)]
struct Environment {
    seed: Option<u64>,
    cancel_at: Option<u64>,
    replay: Option<Trace>,
    trace_dir: Option<PathBuf>,
}

impl Environment {
    fn read() -> Result<Environment, String> {
        let replay = match std::env::var_os("ASUPERSYNC_LAB_REPLAY") {
            Some(path) => Some(read_trace(Path::new(&path))?),
            None => None,
        };
        Ok(Environment {
            seed: number("ASUPERSYNC_LAB_SEED")?,
            cancel_at: number("ASUPERSYNC_LAB_CANCEL_AT")?,
            replay,
            trace_dir: std::env::var_os("ASUPERSYNC_TRACE_DIR").map(PathBuf::from),
        })
    }
}

fn number(variable: &str) -> Result<Option<u64>, String> {
    let Ok(value) = std::env::var(variable) else { return Ok(None) };
    let parsed = value.parse();
    parsed.map(Some).map_err(|_| format!("{variable} must be a number, and is {value:?}"))
}

fn read_trace(path: &Path) -> Result<Trace, String> {
    let limits = Limits::default();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limits.file_bytes as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read the trace {}: {error}", path.display()))?;
    Trace::parse(&bytes, &limits).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(trace: &[u8]) -> Result<Trace, String> {
    Trace::parse(trace, &Limits::default()).map_err(|error| error.to_string())
}

fn option(trace: &Trace, name: &str) -> Option<u64> {
    let (_, value) = trace.header().options.iter().find(|(known, _)| known == name)?;
    value.parse().ok()
}
