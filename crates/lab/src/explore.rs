//! Every order that can matter, each once.

mod closing;
mod engine;
mod foresight;
mod guide;
mod history;
mod label;
mod order;
mod share;
mod tree;
mod units;

use crate::check::{Replay, left_out, option, time_races};
use crate::config::LabConfig;
use crate::failure::{Failed, Place};
use crate::progress::Progress;
use crate::quiet::Quiet;
use crate::report::{Finding, LabReport};
use crate::runtime::LabRuntime;
use crate::script::Plan;
use crate::trial::{Trials, Wanted, trials, with_place};
use asupersync_core::{Cx, TaskBody, TaskId, Time, cap};
use asupersync_trace::Fingerprint;
use engine::{Engine, Seat};
pub(crate) use guide::Guide;
pub(crate) use history::{History, RacePair};
pub(crate) use share::shares;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use units::{Ran, Runner, Turn, Units};

/// How orders are enumerated. The first three find the same classes; the bounded two leave some out, say so,
/// and run some classes several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Wakeup trees (Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order reduction",
    /// POPL 2014): one run for each class.
    #[default]
    Optimal,
    /// Sleep sets alone (Godefroid, 1996): each class once, and runs that are given up on the way. No race
    /// is looked for, so this checks `Optimal`.
    SleepSets,
    /// Every order. Checks the other two, where there are few.
    Naive,
    /// Every order in which at most so many times a task is left that could go on (Musuvathi and Qadeer,
    /// "Iterative context bounding for systematic testing of multithreaded programs", PLDI 2007). For programs
    /// too large for the others; many bugs need two or fewer. Where time races, to let it pass while a task can run
    /// counts as one.
    Preemptions(u32),
    /// Every order that departs from the default one at most so many times: where the default takes the
    /// first of the tasks that can run, the second costs one, the third two (Emmi, Qadeer and Rakamarić,
    /// "Delay-bounded scheduling", POPL 2011). Fewer runs than [`Method::Preemptions`]. Where time races, to let
    /// it pass while a task can run costs one.
    Delays(u32),
}

/// What an exploration may be told.
#[derive(Clone, Debug)]
pub struct ExploreOptions {
    config: LabConfig,
    method: Method,
    order: u64,
    max_runs: u64,
    threads: usize,
    stop_at_first_failure: bool,
    shrink: bool,
}

impl Default for ExploreOptions {
    fn default() -> ExploreOptions {
        ExploreOptions {
            config: LabConfig::default(),
            method: Method::Optimal,
            order: 0,
            max_runs: 1_000_000,
            threads: 1,
            stop_at_first_failure: true,
            shrink: true,
        }
    }
}

impl ExploreOptions {
    /// The options of each run. Its choices are not used, nor its seed for choosing.
    #[must_use]
    pub fn config(mut self, config: LabConfig) -> ExploreOptions {
        self.config = config;
        self
    }

    /// The options of each run, to be changed by a test that has some of its own.
    pub(crate) fn config_mut(&mut self) -> &mut LabConfig {
        &mut self.config
    }

    /// How orders are enumerated; [`Method::Optimal`] by default.
    #[must_use]
    pub fn method(mut self, method: Method) -> ExploreOptions {
        self.method = method;
        self
    }

    /// Which order comes first, and so the order of the runs; never which classes are found. 0 by
    /// default.
    #[must_use]
    pub fn order(mut self, order: u64) -> ExploreOptions {
        self.order = order;
        self
    }

    /// Runs after which to give up. A million by default.
    #[must_use]
    pub fn max_runs(mut self, runs: u64) -> ExploreOptions {
        self.max_runs = runs;
        self
    }

    /// Threads that share the work of [`Method::Preemptions`], [`Method::Delays`] and [`Method::Naive`], at least one; one by
    /// default. Only how long it takes depends on it, not what is found, nor which failure is the first. The other methods, and the
    /// first thousand runs, are one thread's.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> ExploreOptions {
        self.threads = threads.max(1);
        self
    }

    /// Whether the first failed run is the last. Yes by default.
    #[must_use]
    pub fn stop_at_first_failure(mut self, stop: bool) -> ExploreOptions {
        self.stop_at_first_failure = stop;
        self
    }

    /// Whether the first failure is shrunk, told with its passing twin, and written to a file. Yes by
    /// default.
    #[must_use]
    pub fn shrink(mut self, shrink: bool) -> ExploreOptions {
        self.shrink = shrink;
        self
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exploration {
    /// Nothing is left to run: what held in these runs holds in all.
    pub exhausted: bool,
    /// Runs to an end, closed or stuck.
    pub runs: u64,
    /// Runs given up because all that could follow had been run already. None with
    /// [`Method::Optimal`] as far as its theory reaches; see [`explore`].
    pub blocked: u64,
    /// The classes of the runs.
    pub classes: BTreeSet<Fingerprint>,
    /// Those of them that end in a deadlock.
    pub stuck: BTreeSet<Fingerprint>,
    /// Runs that failed.
    pub failures: u64,
    /// The first of these.
    pub failure: Option<ExploreFailure>,
    /// Polls of all runs together.
    pub steps: u64,
    /// The furthest that any run's clock got.
    pub virtual_time: Time,
}

/// A failed run, and how it came about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExploreFailure {
    /// What was wrong with it.
    pub message: String,
    /// What [`LabConfig::choices`] replays it with.
    pub choices: Vec<u32>,
    /// The tasks in the order of their polls.
    pub schedule: Vec<TaskId>,
    /// The poll, as a position in `schedule`, whose coming sooner led here, and the task whose next
    /// step it now precedes; a deadlock may keep that step from coming at all. None in the first run, and
    /// in methods that look for no races.
    pub reversed: Option<(usize, TaskId)>,
    /// The whole story: the smallest schedule found, the two steps whose order matters, the file, the line
    /// that replays it. Empty when [`ExploreOptions::shrink`] is off.
    pub story: String,
    /// The pack that was written.
    pub file: Option<PathBuf>,
}

impl Exploration {
    /// Before the first run.
    fn nothing() -> Exploration {
        Exploration {
            exhausted: false,
            runs: 0,
            blocked: 0,
            classes: BTreeSet::new(),
            stuck: BTreeSet::new(),
            failures: 0,
            failure: None,
            steps: 0,
            virtual_time: Time::ZERO,
        }
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exhausted {
            true => f.write_str("exhausted: ")?,
            false => write!(f, "bounded({}): ", self.runs)?,
        }
        let (runs, classes, stuck) = (self.runs, self.classes.len(), self.stuck.len());
        write!(
            f,
            "{runs} runs, {classes} classes, {stuck} of them stuck, {} blocked",
            self.blocked
        )?;
        if let Some(failure) = &self.failure {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ExploreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.story.is_empty() {
            return f.write_str(&self.story);
        }
        write!(f, "{}\nchoices: {:?}", self.message, self.choices)?;
        if let Some((first, other)) = self.reversed {
            let task = self.schedule[first];
            write!(
                f,
                "\nthe order that matters: poll {first}, of task {task}, before task {other}"
            )?;
        }
        Ok(())
    }
}

/// Runs a body in every order that can matter: one run for each Mazurkiewicz class, on the kernel that
/// programs run on.
///
/// A step is one poll with all that it touches; two steps commute when they are of different tasks and
/// touch nothing in common, or only read it. A run fails when it is not
/// [`is_ok`](LabReport::is_ok). The body must be repeatable, see the crate's documentation.
///
/// For programs over [`Shared`](crate::Shared), [`Atomic`](crate::Atomic), [`Mutex`](crate::Mutex)
/// and [`Queue`](crate::Queue),
/// whose outcomes can be told beforehand, [`Method::Optimal`] gives up no run, as long as no poll does something
/// else, such as to release a lock, only if it read this and not that. With other primitives, and with cancellation,
/// a step that is moved may turn out to touch something else. A state is left only when what was decided there
/// by such a guess is known to be right, or was planned again, so no class is lost for it; but a run may be given
/// up, and `blocked` counts it. [`Method::SleepSets`] foresees nothing, and finds the same classes.
///
/// # Example
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::{ExploreOptions, Shared, explore};
///
/// // Two tasks increment by reading and then writing.
/// let found = explore(ExploreOptions::default(), async |cx: &Cx| {
///     let count = Shared::new(0_u32);
///     cx.region(async |scope| {
///         for _ in 0..2 {
///             let count = count.clone();
///             let _ = scope.spawn(async move |cx: &Cx| {
///                 let seen = count.get(cx).await?;
///                 count.set(cx, seen + 1).await?;
///                 Ok::<_, Error>(())
///             });
///         }
///         Ok::<_, Error>(())
///     }).await.into_result()?;
///     assert_eq!(count.get(cx).await?, 2);
///     Ok::<_, Error>(())
/// });
/// assert!(found.failure.unwrap().reversed.is_some());
/// ```
///
/// # Limitations
/// Timers, arrivals on the network and injected faults come when no task can run, unless
/// [time races](LabConfig::time_races) with the tasks. Among each other they keep the order of their times, which
/// follow from the options and the seed. Each run is on one thread, and all of it is in memory.
///
/// # Panics
/// If the environment asks to replay a file that cannot be read, or that records another run.
#[track_caller]
pub fn explore<F, T, E>(options: ExploreOptions, body: F) -> Exploration
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    explore_at(&Place::here(), options, body)
}

/// [`explore`], for this test.
pub(crate) fn explore_at<F, T, E>(place: &Place, options: ExploreOptions, body: F) -> Exploration
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let config = LabConfig { choices: Vec::new(), header: place.header(), ..options.config };
    let replay = Replay::asked().and_then(|replay| match replay {
        Some(replay) if place.is_of(&replay.trace) => again(place, &config, replay, body.clone()),
        _ => Ok(None),
    });
    match replay {
        Ok(None) => {}
        Ok(Some(found)) => return found,
        Err(message) => panic!("{message}"),
    }
    let runner = |seat: Seat| -> Runner {
        let lab = LabRuntime::with_strategy(config.clone(), Guide::new(seat));
        let body = body.clone();
        Box::new(move |told| {
            let _quiet = Quiet::begin();
            ran(lab.run(body.clone()), told)
        })
    };
    let ExploreOptions { method, order, threads, stop_at_first_failure: stop, .. } = options;
    let begin = |engine: Engine| Units::new(engine, threads, stop, &runner);
    let mut units = begin(Engine::new(method, order));
    let mut all = Turn::new();
    let mut progress = Progress::of(&place.name, options.max_runs);
    while all.runs() < options.max_runs && !units.are_over() {
        let is_first = all.first.is_none();
        all.absorb(units.turn(options.max_runs - all.runs()));
        if units.forgot() && (all.first.is_none() || !stop) {
            units = begin(Engine::new(method, order).keeping());
            all = Turn::new();
            continue;
        }
        let Turn { found, first, .. } = &mut all;
        progress.at(found.runs + found.blocked, found.classes.len(), found.failures);
        let Some((fingerprint, run)) = *first else { continue };
        if let (true, true, Some(failure)) = (is_first, options.shrink, &mut found.failure) {
            let failed = Failed {
                place,
                config: &config,
                seed: config.seed,
                choices: failure.choices.clone(),
                cancel_at: None,
                fingerprint,
                replayed: None,
                title: format!("exploration failed in run {run}"),
                by_seed: None,
            };
            failure.tell(failed, &mut trials(&config, config.seed, body.clone()));
        }
        if stop {
            break;
        }
    }
    all.found.exhausted = units.are_over() && !all.is_cut;
    all.found
}

/// What the explorer needs to know of a run.
fn ran<T, E: fmt::Debug>(report: LabReport<T, E>, told: bool) -> Ran {
    let has = |which: fn(&Finding) -> bool| report.findings.iter().any(which);
    let failure = (!report.is_ok()).then(|| if told { with_place(&report) } else { String::new() });
    Ran {
        steps: report.steps,
        virtual_time: report.virtual_time,
        fingerprint: report.fingerprint,
        is_stuck: has(|finding| matches!(finding, Finding::Deadlock { .. })),
        is_cut: report.time_held_back
            || has(|finding| matches!(finding, Finding::StepLimit { .. })),
        is_nested: has(|finding| matches!(finding, Finding::Nested)),
        failure,
        choices: report.choices,
    }
}

impl ExploreFailure {
    fn tell(&mut self, failed: Failed<'_>, trials: &mut Trials<'_>) {
        let told = failed.tell(trials);
        self.story = told.text;
        self.choices = told.choices;
        self.file = told.file;
    }
}

/// Runs what was recorded, and nothing else.
fn again<F, T, E>(
    place: &Place,
    config: &LabConfig,
    replay: Replay,
    body: F,
) -> Result<Option<Exploration>, String>
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let seed = replay.trace.header().seed;
    let choices = replay.choices();
    let mut config = config.clone();
    if let Some(steps) = option(&replay.trace, "max-steps") {
        config.max_steps = steps;
    }
    config.left_out = left_out(&replay.trace);
    config.time_races = time_races(&replay.trace);
    let left_out = config.left_out.clone();
    let mut trials = trials(&config, seed, body);
    let plan = Plan::Exact { choices: choices.clone(), cancel_at: None };
    let trial = trials(Wanted { plan, capture: true, max_steps: None, left_out });
    replay.compare(&place.name, trial.trace.as_deref().unwrap_or_default())?;
    let mut found = Exploration {
        exhausted: false,
        runs: 1,
        blocked: 0,
        classes: trial.fingerprint.into_iter().collect(),
        stuck: BTreeSet::new(),
        failures: 0,
        failure: None,
        steps: trial.seen.schedule.len() as u64,
        virtual_time: Time::ZERO,
    };
    if trial.failure.is_none() {
        return Ok(Some(found));
    }
    let mut failure = ExploreFailure {
        message: trial.text,
        choices: choices.clone(),
        schedule: trial.seen.schedule,
        reversed: None,
        story: String::new(),
        file: None,
    };
    let failed = Failed {
        place,
        config: &config,
        seed,
        choices,
        cancel_at: None,
        fingerprint: trial.fingerprint,
        replayed: replay.shown_from(),
        title: "the replay failed as recorded".to_owned(),
        by_seed: None,
    };
    failure.tell(failed, &mut trials);
    found.failures = 1;
    found.failure = Some(failure);
    Ok(Some(found))
}
