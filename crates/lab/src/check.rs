//! The front door: a test body under many seeds, with a failure report that replays.

use crate::config::LabConfig;
use crate::explore::{ExploreOptions, explore_at};
use crate::failure::{Failed, Place};
use crate::faults::Faults;
use crate::repeat;
use crate::report::LabReport;
use crate::runtime::{LEFT_OUT, LabRuntime, TIME_RACES};
use crate::strategy::{Pct, Pos, Random, Strategy};
use crate::trial::{failed, trials};
use asupersync_core::{Cx, TaskBody, Time, cap};
use asupersync_trace::{EventLog, Fingerprint, Limits, Pack, Recording, Trace, first_difference};
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::ops::Range;
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
/// runs what a trace file or pack records and compares event by event, `ASUPERSYNC_LAB_SHRINK=FILE` beside it
/// shrinks the failure anew into that pack, and with `ASUPERSYNC_TRACE_DIR=DIR`
/// each run leaves its trace there as `<package>.<target>.<test>-<seed>.trace`, with `-cancel-<step>`
/// after the seed where a cancellation was injected.
#[derive(Clone, Debug)]
#[must_use = "a test does nothing until it is run"]
pub struct LabTest {
    place: Place,
    seeds: Range<u64>,
    inject_cancel: bool,
    config: LabConfig,
    strategy: Strategies,
    explore: Option<ExploreOptions>,
    faults: Faults,
    time_races: u32,
}

/// Which orders a test's seeds give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategies {
    /// [`Random`](crate::Random).
    #[default]
    Random,
    /// [`Pct`](crate::Pct), with this depth and number of steps.
    Pct(u32, u64),
    /// [`Pos`](crate::Pos).
    Pos,
}

impl Strategies {
    fn make(self) -> Box<dyn Strategy> {
        match self {
            Strategies::Random => Box::new(Random::default()),
            Strategies::Pct(depth, steps) => Box::new(Pct::new(depth, steps)),
            Strategies::Pos => Box::new(Pos::default()),
        }
    }
}

impl LabTest {
    /// A test of seed 0 with default options. `path` is the function's path with its crate:
    /// `concat!(module_path!(), "::", stringify!(name))`.
    pub fn new(path: &str) -> LabTest {
        let name = path.split_once("::").map_or(path, |(_, name)| name);
        LabTest::at(Place { name: name.to_owned(), is_filter: true, site: None })
    }

    fn at(place: Place) -> LabTest {
        LabTest {
            config: LabConfig { header: place.header(), ..LabConfig::default() },
            place,
            seeds: 0..1,
            inject_cancel: false,
            strategy: Strategies::default(),
            explore: None,
            faults: Faults::default(),
            time_races: 0,
        }
    }

    #[track_caller]
    fn here() -> LabTest {
        LabTest::at(Place::here())
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
        self.config = LabConfig { header: self.place.header(), ..config };
        self
    }

    /// Which order each seed gives; [`Strategies::Random`] by default.
    pub fn strategy(mut self, strategy: Strategies) -> LabTest {
        self.strategy = strategy;
        self
    }

    /// Has the body [explored](crate::explore), for each seed, in place of run: the test passes when no run
    /// failed and nothing was left out. Cancellations, if there are any, are injected into the run that the
    /// seed gives.
    pub fn explore(mut self, options: ExploreOptions) -> LabTest {
        self.explore = Some(options);
        self
    }

    /// Lets things go wrong in each run, as its seed says: see [`LabConfig::faults`].
    pub fn faults(mut self, faults: Faults) -> LabTest {
        self.faults = faults;
        self
    }

    /// Lets time race with the tasks in each run, so often: see [`LabConfig::time_races`].
    pub fn time_races(mut self, most: u32) -> LabTest {
        self.time_races = most;
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
        if self.faults != Faults::default() {
            self.config.faults = self.faults;
        }
        if self.time_races > 0 {
            self.config.time_races = self.time_races;
        }
        let mut only_cancel_at = environment.cancel_at;
        if let Some(seed) = environment.seed {
            self.seeds = seed..seed + 1;
        }
        let replay = environment.replay.as_ref().filter(|replay| self.place.is_of(&replay.trace));
        if let Some(replay) = replay {
            let seed = replay.trace.header().seed;
            self.seeds = seed..seed + 1;
            self.config.choices = replay.choices();
            only_cancel_at = option(&replay.trace, "inject-cancel-at");
            self.config.left_out = left_out(&replay.trace);
            self.config.time_races = time_races(&replay.trace);
            if let Some(steps) = option(&replay.trace, "max-steps") {
                self.config.max_steps = steps;
            }
        }
        let mut tally = Tally::default();
        if let (Some(options), None) = (&self.explore, only_cancel_at) {
            for seed in self.seeds.clone() {
                self.explored(options.clone(), seed, &mut tally, body.clone())?;
            }
            // A recorded run without a cancellation has been replayed.
            if replay.is_some() || !self.inject_cancel {
                return Ok(tally.summary());
            }
        }
        let lab = LabRuntime::with_strategy(self.config.clone(), self.strategy.make());
        let capture =
            environment.trace_dir.is_some() || replay.is_some() || self.config.capture_trace;
        let mut one = |seed: u64, cancel_at: Option<u64>| -> Result<u64, String> {
            let mut report = lab.run_seeded(seed, cancel_at, capture, body.clone());
            tally.add(&report);
            let wanted = environment.trace_dir.is_some() || replay.is_some();
            let trace = report.trace.take().filter(|_| wanted).map(EventLog::into_bytes);
            if let (Some(dir), Some(trace)) = (&environment.trace_dir, &trace) {
                let cancel = cancel_at.map(|step| format!("-cancel-{step}")).unwrap_or_default();
                self.place.write(dir, &format!("{seed}{cancel}.trace"), trace)?;
            }
            if let (Some(replay), Some(trace)) = (&replay, &trace) {
                replay.compare(&self.place.name, trace)?;
            }
            if failed(&report, cancel_at.is_some()) {
                let file = replay.and_then(Replay::shown_from);
                return Err(self.failure(&report, cancel_at, file, body.clone()));
            }
            Ok(report.steps)
        };
        let first = self.seeds.start;
        for seed in self.seeds.clone() {
            if only_cancel_at.is_some() {
                one(seed, only_cancel_at)?;
                continue;
            }
            let steps = one(seed, None)?;
            if seed == first && replay.is_none() && self.config.observe {
                self.demand_repeatable(&lab, seed, &body)?;
            }
            if self.inject_cancel && replay.is_none() {
                for step in 0..steps {
                    one(seed, Some(step))?;
                }
            }
        }
        Ok(tally.summary())
    }

    /// A run that cannot be repeated makes the replay of a later failure worth nothing.
    fn demand_repeatable<F, T, E>(
        &self,
        lab: &LabRuntime,
        seed: u64,
        body: &F,
    ) -> Result<(), String>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        let trace =
            || lab.run_seeded(seed, None, true, body.clone()).trace.map(EventLog::into_bytes);
        let verdict = repeat::compare(&trace().unwrap_or_default(), &trace().unwrap_or_default());
        if verdict.is_ok() {
            return Ok(());
        }
        Err(format!(
            "{}: not repeatable: two runs with seed {seed} differ, so the program depends on something \
             that is neither its seed nor its choices (a clock, a thread, a static, a randomly seeded \
             map)\noracle {verdict}",
            self.place.name
        ))
    }

    fn explored<F, T, E>(
        &self,
        mut options: ExploreOptions,
        seed: u64,
        tally: &mut Tally,
        body: F,
    ) -> Result<(), String>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        let config = options.config_mut();
        // Several seeds are said by the test, and one may be said by the options.
        if self.seeds != (0..1) {
            config.seed = seed;
        }
        if self.config.faults != Faults::default() {
            config.faults = self.config.faults;
            config.live_within = self.config.live_within;
        }
        if self.config.time_races > 0 {
            config.time_races = self.config.time_races;
        }
        let found = explore_at(&self.place, options, body);
        if found.failure.is_some() || !found.exhausted {
            return Err(format!("{}: seed {seed}: {found}", self.place.name));
        }
        tally.runs += found.runs;
        tally.steps += found.steps;
        tally.classes.extend(found.classes);
        tally.virtual_time = tally.virtual_time.max(found.virtual_time);
        Ok(())
    }

    /// The report of a failed run. It is run again, which shows whether it can be repeated at all.
    fn failure<F, T, E>(
        &self,
        report: &LabReport<T, E>,
        cancel_at: Option<u64>,
        replayed: Option<&Path>,
        body: F,
    ) -> String
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        let seed = report.seed;
        let mut title = format!("failed with seed {seed}");
        let mut by_seed = format!("ASUPERSYNC_LAB_SEED={seed} ");
        if let Some(step) = cancel_at {
            title.push_str(&format!(" and a cancellation at step {step}"));
            by_seed.push_str(&format!("ASUPERSYNC_LAB_CANCEL_AT={step} "));
        }
        let failed = Failed {
            place: &self.place,
            config: &self.config,
            seed,
            choices: report.choices.clone(),
            cancel_at,
            fingerprint: report.fingerprint,
            replayed,
            title,
            by_seed: Some(by_seed),
        };
        failed.tell(&mut trials(&self.config, seed, body)).text
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
    replay: Option<Replay>,
    trace_dir: Option<PathBuf>,
}

impl Environment {
    fn read() -> Result<Environment, String> {
        let replay = match std::env::var_os("ASUPERSYNC_LAB_REPLAY") {
            Some(path) => Some(Replay::read(Path::new(&path))?),
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

/// The variable that has a replayed failure shrunk, into the file that it names.
pub(crate) const SHRINK: &str = "ASUPERSYNC_LAB_SHRINK";

/// A recording that is to be run again.
pub(crate) struct Replay {
    pub(crate) path: PathBuf,
    pub(crate) trace: Trace,
    pack: Option<Pack>,
}

impl Replay {
    /// What the environment asks to replay.
    pub(crate) fn asked() -> Result<Option<Replay>, String> {
        Ok(Environment::read()?.replay)
    }

    fn read(path: &Path) -> Result<Replay, String> {
        let limits = Limits::default();
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(limits.file_bytes as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let recording = Recording::parse(&bytes, &limits)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let Recording { trace, pack } = recording;
        Ok(Replay { path: path.to_owned(), trace, pack })
    }

    pub(crate) fn choices(&self) -> Vec<u32> {
        match &self.pack {
            Some(pack) => pack.choices.clone(),
            None => self.trace.choices().collect(),
        }
    }

    /// The file, where the failure is to be shown as it was recorded, and not shrunk.
    pub(crate) fn shown_from(&self) -> Option<&Path> {
        std::env::var_os(SHRINK).is_none().then_some(&self.path)
    }

    /// Demands that the run was the recorded one.
    pub(crate) fn compare(&self, name: &str, trace: &[u8]) -> Result<(), String> {
        let again = Trace::parse(trace, &Limits::default()).map_err(|error| error.to_string())?;
        match first_difference(&self.trace, &again) {
            None => Ok(()),
            Some(difference) => Err(format!(
                "{name}: the replay is not the recorded run (left), so the program depends on hidden \
                 shared state or has changed: {difference}"
            )),
        }
    }
}

/// The faults that did not happen in a recorded run.
pub(crate) fn left_out(trace: &Trace) -> Vec<usize> {
    let options = &trace.header().options;
    let list = options.iter().find(|(known, _)| known == LEFT_OUT);
    let words = list.map(|(_, value)| value.split(' ')).into_iter().flatten();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// How often time could pass while a task could run in a recorded run.
pub(crate) fn time_races(trace: &Trace) -> u32 {
    option(trace, TIME_RACES).map_or(0, |most| u32::try_from(most).unwrap_or(u32::MAX))
}

pub(crate) fn option(trace: &Trace, name: &str) -> Option<u64> {
    let (_, value) = trace.header().options.iter().find(|(known, _)| known == name)?;
    value.parse().ok()
}
