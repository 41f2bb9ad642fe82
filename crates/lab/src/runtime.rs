//! The run loop.

mod time;

use crate::config::LabConfig;
use crate::faults::FaultPlan;
use crate::host::{Judged, LabHost, Queue, Ready, Record};
use crate::oracle::{Ending, Invariant, Verdict};
use crate::replay::{Drivers, Followed, Next, Recorded};
use crate::report::{Finding, LabReport};
use crate::strategy::{Footprint, Prefix, Random, Strategy};
use asupersync_core::{
    CancelReason, Cx, Host, Outcome, Policy, RegionOptions, RegionReport, Root, Runnable, Severity,
    TaskBody, TaskHandle, TaskOptions, Time, WakeList, cap,
};
use asupersync_trace::{Event, EventLog, Header};
use parking_lot::MutexGuard;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The deterministic host: runs programs on the calling thread, in an order that follows from a
/// seed, in virtual time, under the eyes of the oracles.
///
/// The clock stands still while anything can run, and jumps to the next timer when nothing can, unless
/// [time races](LabConfig::time_races). One
/// runtime serves any number of runs, one after the other, and reuses its memory.
///
/// # Example
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::{LabConfig, LabRuntime};
/// use std::time::Duration;
///
/// let lab = LabRuntime::new(LabConfig::default().seed(42));
/// let report = lab.run(async |cx: &Cx| {
///     cx.sleep(Duration::from_secs(3600)).await?;
///     Ok::<_, Error>(cx.now())
/// });
/// assert!(report.is_ok());
/// assert_eq!(report.virtual_time.as_nanos(), 3_600_000_000_000);
/// assert!(lab.quiescence_oracle().is_ok());
/// assert!(lab.obligation_leak_oracle().is_ok());
/// ```
pub struct LabRuntime {
    config: LabConfig,
    state: RefCell<State>,
}

struct State {
    host: Arc<LabHost>,
    strategy: Box<dyn Strategy>,
    verdicts: Vec<Verdict>,
    /// Memory for what a poll touches.
    footprint: Footprint,
    /// Of any run so far.
    most_choices: usize,
}

impl LabRuntime {
    /// A runtime that chooses at random, by the seed.
    #[must_use]
    pub fn new(config: LabConfig) -> LabRuntime {
        LabRuntime::with_strategy(config, Random::default())
    }

    /// A runtime that chooses by this strategy, after the choices that the configuration forces.
    #[must_use]
    pub fn with_strategy(config: LabConfig, strategy: impl Strategy + 'static) -> LabRuntime {
        let strategy: Box<dyn Strategy> = if config.choices.is_empty() {
            Box::new(strategy)
        } else {
            Box::new(Prefix::new(config.choices.clone(), strategy))
        };
        let host = LabHost::new(config.observe, config.services.clone());
        let (verdicts, footprint) = (Vec::new(), Footprint::default());
        let state = State { host, strategy, verdicts, footprint, most_choices: 0 };
        let state = RefCell::new(state);
        LabRuntime { config, state }
    }

    /// Runs a body, as the task "main" of a fresh root region, until the whole tree is quiescent.
    ///
    /// Inside a lab run, of this runtime or another, the answer is [`Finding::Nested`] at once, and the
    /// body is dropped.
    pub fn run<F, T, E>(&self, body: F) -> LabReport<T, E>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.run_seeded(
            self.config.seed,
            self.config.inject_cancel_at,
            self.config.capture_trace,
            body,
        )
    }

    /// The seed of the runs from now on; the strategy stays, and may remember.
    pub fn set_seed(&mut self, seed: u64) {
        self.config.seed = seed;
    }

    pub(crate) fn set_max_steps(&mut self, steps: u64) {
        self.config.max_steps = steps;
    }

    pub(crate) fn set_left_out(&mut self, faults: &[usize]) {
        self.config.left_out = faults.to_vec();
    }

    /// As [`run_seeded`](LabRuntime::run_seeded), where the strategy cancels: before `announced`, says the
    /// trace's header.
    pub(crate) fn run_announced<F, T, E>(
        &self,
        seed: u64,
        announced: Option<u64>,
        capture: bool,
        body: F,
    ) -> LabReport<T, E>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.run_with(seed, None, announced, capture, body)
    }

    pub(crate) fn run_seeded<F, T, E>(
        &self,
        seed: u64,
        inject_cancel_at: Option<u64>,
        capture: bool,
        body: F,
    ) -> LabReport<T, E>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.run_with(seed, inject_cancel_at, inject_cancel_at, capture, body)
    }

    fn run_with<F, T, E>(
        &self,
        seed: u64,
        inject_cancel_at: Option<u64>,
        announced: Option<u64>,
        capture: bool,
        body: F,
    ) -> LabReport<T, E>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let Some(_running) = Running::enter() else { return LabReport::nested(seed) };
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let host = state.host.clone();
        let _kept = host.keep();
        host.begin(seed);
        state.strategy.begin(seed);
        let watches = state.strategy.watches();
        self.begin_record(&state.host, seed, announced, capture);
        let knows = state.strategy.knows();
        host.with_record(|record| {
            let watch = record.watch.take();
            record.watch = watches.then(|| watch.unwrap_or_default().after(knows));
            record.fingerprints |= watches;
            record.begin(if watches { knows } else { 0 });
        });
        let faults = self.config.faults.is_any();
        let live_until = faults.then(|| FaultPlan::HEALED + self.config.live_within);
        if self.config.time_races > 0 {
            host.race_time(self.config.time_races, live_until);
        }
        if faults {
            state.host.inject(&self.config.plan(seed));
        }
        let root = Root::new(host.clone(), RegionOptions::new().name("root"));
        let handle = root.spawn_with(TaskOptions::new().name("main"), body);
        root.begin_close();
        let mut run = Run {
            config: &self.config,
            inject_cancel_at,
            live_until,
            host: &state.host,
            strategy: &mut *state.strategy,
            watches,
            knows,
            footprint: &mut state.footprint,
            captures: capture && self.config.observe,
            cancelled_at: None,
            root,
            steps: 0,
            now: Time::ZERO,
            choices: Vec::with_capacity(state.most_choices),
            findings: Vec::new(),
            closed: None,
            races: self.config.time_races > 0,
            time_held_back: false,
        };
        let (ending, region) = run.drive();
        let run = run.end();
        self.report(state, run, handle, seed, ending, region)
    }

    /// Runs a program after a recording, in the tree that the production runtime gave it. Answers how far
    /// that went, too.
    pub(crate) fn run_recorded<F, T, E>(
        &self,
        recorded: &Recorded,
        body: F,
    ) -> (LabReport<T, E>, Followed)
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let seed = self.config.seed;
        let Some(_running) = Running::enter() else {
            return (LabReport::nested(seed), Followed::Lost);
        };
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let host = state.host.clone();
        let _kept = host.keep();
        host.begin(seed);
        state.strategy.begin(seed);
        self.begin_record(&host, seed, None, false);
        let options = RegionOptions::new().name("runtime").policy(Policy::CollectAll);
        let root = Root::new(host.clone(), options);
        let drivers = state.host.play(recorded);
        let (region, handle) = root.program(RegionOptions::new().name("main"), body);
        let mut run = Run {
            config: &self.config,
            inject_cancel_at: None,
            live_until: None,
            host: &state.host,
            strategy: &mut *state.strategy,
            watches: false,
            knows: 0,
            footprint: &mut state.footprint,
            captures: false,
            cancelled_at: None,
            root,
            steps: 0,
            now: Time::ZERO,
            choices: Vec::new(),
            findings: Vec::new(),
            closed: None,
            races: false,
            time_held_back: false,
        };
        let followed = match run.follow(&drivers) {
            Followed::Whole if !region.is_closed() => Followed::Lost,
            followed => followed,
        };
        let trace = state.host.stop_playing();
        run.now = state.host.now();
        run.root.begin_close();
        let (ending, region) = match followed {
            Followed::Whole => run.drive(),
            Followed::Stopped { .. } | Followed::Lost => (Ending::Abandoned, run.tear_down()),
        };
        let run = run.end();
        let mut report = self.report(state, run, handle, seed, ending, region);
        report.trace = trace;
        // Its drivers are the recording's.
        state.host = LabHost::new(self.config.observe, self.config.services.clone());
        (report, followed)
    }

    /// What a run that is over came to.
    fn report<T: Send + 'static, E: Send + 'static>(
        &self,
        state: &mut State,
        run: RunEnd,
        handle: TaskHandle<T, E>,
        seed: u64,
        ending: Ending,
        region: Option<RegionReport>,
    ) -> LabReport<T, E> {
        let outcome = take_outcome(handle);
        let RunEnd { root, steps, now, choices, mut findings, cancelled_at, time_held_back } = run;
        let unclaimed = root.unclaimed_failures().into_iter();
        let panicked = unclaimed.filter(|failure| failure.severity == Severity::Panicked);
        findings.extend(panicked.map(|failure| Finding::Panicked {
            task: failure.task,
            spawned_at: failure.spawned_at,
            message: failure.panic,
        }));

        let injected = cancelled_at.is_some();
        let judged = state.host.with_record(|record| {
            let Record { judged: Judged { oracles, fingerprint, failed_at }, log, .. } = record;
            oracles.end(ending);
            let verdicts = oracles.verdicts(|invariant| {
                self.config.requires(invariant) || (injected && invariant == Invariant::Severity)
            });
            let log = log.take().inspect(|log| record.logged = log.kept());
            let class = fingerprint.finish();
            let class = (self.config.observe && record.fingerprints).then_some(class);
            (verdicts, oracles.warnings(), class, log, *failed_at)
        });
        let (verdicts, warnings, fingerprint, trace, failed_at) =
            judged.expect("this thread keeps the record");
        let marks = state.host.take_marks();

        state.most_choices = state.most_choices.max(choices.len());
        state.verdicts.clone_from(&verdicts);
        if region.is_none() {
            // What is left of the tree keeps the old host; it must not meet the next run.
            state.host = LabHost::new(self.config.observe, self.config.services.clone());
        }
        LabReport {
            outcome,
            findings,
            verdicts,
            warnings,
            seed,
            steps,
            virtual_time: now,
            choices,
            fingerprint,
            trace,
            region,
            marks,
            failed_at,
            cancelled_at,
            time_held_back,
        }
    }

    fn begin_record(&self, host: &LabHost, seed: u64, inject: Option<u64>, capture: bool) {
        host.with_record(|record| self.prepare(record, seed, inject, capture));
    }

    fn prepare(&self, record: &mut Record, seed: u64, inject: Option<u64>, capture: bool) {
        let Judged { oracles, fingerprint, failed_at } = &mut record.judged;
        oracles.clear();
        oracles.set_max_idle_steps(self.config.futurelock_max_idle_steps);
        oracles.set_max_overtakes(self.config.max_overtakes);
        oracles.set_dropped_permits_leak(self.config.dropped_permits_leak);
        fingerprint.clear();
        *failed_at = None;
        record.fingerprints = self.config.fingerprint;
        record.log = capture.then(|| EventLog::new(self.header(seed, inject), record.logged));
    }

    /// What a trace says about the run as a whole.
    fn header(&self, seed: u64, inject: Option<u64>) -> Header {
        let mut header = Header::new(seed).with_option("max-steps", self.config.max_steps);
        for (name, value) in &self.config.header {
            header = header.with_option(name.as_str(), value);
        }
        if self.config.faults.is_any() {
            header = header.with_option("faults", self.config.faults);
            let left_out: Vec<String> =
                self.config.left_out.iter().map(ToString::to_string).collect();
            if !left_out.is_empty() {
                header = header.with_option(LEFT_OUT, left_out.join(" "));
            }
        }
        if self.config.time_races > 0 {
            header = header.with_option(TIME_RACES, self.config.time_races);
        }
        if let Some(step) = inject {
            header = header.with_option("inject-cancel-at", step);
        }
        header
    }

    /// The verdict on the last run; before the first, one that has seen nothing.
    #[must_use]
    pub fn oracle(&self, invariant: Invariant) -> Verdict {
        let state = self.state.borrow();
        let last = state.verdicts.iter().find(|verdict| verdict.invariant() == invariant);
        last.cloned().unwrap_or_else(|| Verdict::unseen(invariant))
    }

    /// Whether the last run left an obligation unresolved: [`Invariant::Obligations`].
    #[must_use]
    pub fn obligation_leak_oracle(&self) -> Verdict {
        self.oracle(Invariant::Obligations)
    }

    /// Whether the last run closed a region over something live: [`Invariant::Quiescence`].
    #[must_use]
    pub fn quiescence_oracle(&self) -> Verdict {
        self.oracle(Invariant::Quiescence)
    }
}

/// The header's option that lists the faults that do not happen after all.
pub(crate) const LEFT_OUT: &str = "faults-left-out";

/// The header's option that says how often time could pass while a task could run.
pub(crate) const TIME_RACES: &str = "time-races";

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// A run on this thread. Lab hosts share no clock and no queue, so a run inside a run would be a
/// program that its own explorer cannot see into.
struct Running;

impl Running {
    fn enter() -> Option<Running> {
        (!RUNNING.replace(true)).then_some(Running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

fn take_outcome<T: Send + 'static, E: Send + 'static>(
    mut handle: TaskHandle<T, E>,
) -> Outcome<T, E> {
    match handle.poll_join(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(outcome)) => outcome,
        // The tree is torn down; a task that is not finished even now will never be.
        Poll::Ready(Err(_)) | Poll::Pending => {
            Outcome::Cancelled(CancelReason::user("given up by the lab"))
        }
    }
}

/// One run in progress.
struct Run<'a> {
    config: &'a LabConfig,
    inject_cancel_at: Option<u64>,
    /// Where there are faults, the time at which the run must be over.
    live_until: Option<Time>,
    host: &'a Arc<LabHost>,
    strategy: &'a mut dyn Strategy,
    watches: bool,
    /// Of so many polls the strategy knows what they touch.
    knows: u64,
    /// What the last poll touched, if it does not.
    footprint: &'a mut Footprint,
    captures: bool,
    /// The root was cancelled before this poll.
    cancelled_at: Option<u64>,
    root: Root,
    steps: u64,
    now: Time,
    choices: Vec<u32>,
    findings: Vec<Finding>,
    /// The root has closed, at this step and time, and what is still due comes to pass.
    closed: Option<Box<(RegionReport, u64, Time)>>,
    /// Time races with the tasks.
    races: bool,
    time_held_back: bool,
}

/// What is left of a run that is over.
struct RunEnd {
    root: Root,
    steps: u64,
    now: Time,
    choices: Vec<u32>,
    findings: Vec<Finding>,
    cancelled_at: Option<u64>,
    time_held_back: bool,
}

/// Why the loop stopped.
enum Stop {
    Closed(RegionReport),
    NothingToDo,
    Limit,
    /// Faults are mended, and the program does not come to its end.
    Late,
}

impl Run<'_> {
    fn end(self) -> RunEnd {
        let Run { root, steps, now, choices, findings, cancelled_at, time_held_back, .. } = self;
        RunEnd { root, steps, now, choices, findings, cancelled_at, time_held_back }
    }

    /// Does what the recording says, as long as it can be done and comes to the same.
    fn follow(&mut self, drivers: &Drivers) -> Followed {
        loop {
            let done = match self.host.recorded_next() {
                Next::Poll(task) => {
                    let runnable = self.host.take_task(task);
                    self.steps += 1;
                    runnable.map(Runnable::run).is_some()
                }
                Next::Timers(at) => {
                    self.host.fire_until(at);
                    true
                }
                Next::Ready(source, direction) => drivers.taped.wake(source, direction),
                Next::Blocking(job) => drivers.pool.end(job, self.host),
                Next::Over(followed) => return followed,
            };
            if !done {
                self.host.lose_recording();
            }
        }
    }

    fn drive(&mut self) -> (Ending, Option<RegionReport>) {
        let stop = self.run_until(self.config.max_steps);
        if std::mem::take(&mut self.races) {
            self.time_held_back = self.host.stop_racing();
        }
        let blocked = self.host.open_gates();
        self.strategy.ended(&blocked);
        let (ending, finding) = match stop {
            Stop::Closed(report) => return (Ending::Quiescent, Some(report)),
            Stop::NothingToDo => {
                let tree = Box::new(self.root.snapshot());
                self.host.with_record(|record| record.judged.oracles.stuck(&tree, &blocked));
                (Ending::Deadlock, Finding::Deadlock { at: self.now, step: self.steps, tree })
            }
            Stop::Limit => {
                let tree = Box::new(self.root.snapshot());
                let steps = self.config.max_steps;
                (Ending::Abandoned, Finding::StepLimit { at: self.now, steps, tree })
            }
            Stop::Late => {
                let tree = Box::new(self.root.snapshot());
                let within = self.config.live_within;
                (Ending::Abandoned, Finding::NotLive { at: self.now, within, tree })
            }
        };
        self.findings.push(finding);
        (ending, self.tear_down())
    }

    /// Cancels everything, then drops every future, and gives the kernel as many steps again to
    /// clean up.
    fn tear_down(&mut self) -> Option<RegionReport> {
        self.record(&Event::Abandoned { step: self.steps });
        let reason = CancelReason::shutdown(Duration::ZERO).with_message("given up by the lab");
        self.root.cancel(reason);
        self.root.escalate();
        self.inject_cancel_at = None;
        self.live_until = None;
        let limit = self.steps.saturating_add(self.config.max_steps.max(1_000));
        match self.run_until(limit) {
            Stop::Closed(report) => Some(report),
            Stop::NothingToDo | Stop::Limit | Stop::Late => {
                let tree = Box::new(self.root.snapshot());
                self.findings.push(Finding::TeardownStuck { tree });
                None
            }
        }
    }

    fn run_until(&mut self, limit: u64) -> Stop {
        loop {
            let mut queue = self.host.queue.lock();
            let enabled = match queue.next(self.now) {
                Ready::Tasks(enabled) => enabled,
                Ready::Timer(at, waker) => {
                    drop(queue);
                    self.fire(at, waker);
                    continue;
                }
                Ready::Nothing { until } => {
                    let offers_time = queue.offers_time();
                    drop(queue);
                    if let Some(report) = self.close(offers_time) {
                        return Stop::Closed(report);
                    }
                    queue = self.host.queue.lock();
                    // Another thread may have made something runnable meanwhile. The queue is not asked for what
                    // is next: it would give a timer away.
                    if queue.enabled() > 0 {
                        continue;
                    }
                    if !offers_time {
                        drop(queue);
                        let Some(next) = until else { return Stop::NothingToDo };
                        if self.live_until.is_some_and(|end| next > end) {
                            return Stop::Late;
                        }
                        self.advance(next);
                        continue;
                    }
                    1
                }
            };
            if self.steps >= limit {
                return Stop::Limit;
            }
            let cancels = self.closed.is_none()
                && (self.inject_cancel_at == Some(self.steps) || self.strategy.cancels());
            if cancels {
                drop(queue);
                self.inject_cancel_at = None;
                self.cancelled_at = Some(self.steps);
                self.record(&Event::CancelInjected { step: self.steps });
                let step = self.steps;
                self.root.cancel(CancelReason::user(format!("injected by the lab at step {step}")));
                continue;
            }
            let chosen = if enabled == 1 {
                let strategy = &mut *self.strategy;
                let (_, chosen) = queue.take(|only| {
                    strategy.alone(&only[0]);
                    0
                });
                drop(queue);
                chosen
            } else {
                self.choose(queue, enabled)
            };
            self.steps += 1;
            match chosen {
                Some(runnable) => {
                    runnable.run();
                    if self.races {
                        self.host.poll_is_over();
                    }
                }
                None => self.pass_time(),
            }
            if self.watches {
                // Of the polls that the strategy knows nothing was noted.
                self.footprint.clear();
                if self.steps >= self.knows {
                    self.host.take_footprint(self.footprint);
                }
                self.strategy.stepped(self.footprint);
            }
        }
    }

    fn fire(&mut self, at: Time, waker: Waker) {
        self.record(&Event::TimerFired { at });
        // Foreign code, whose panic is nobody's here.
        WakeList::wake_one(waker);
        if let Some(by) = self.host.take_jump() {
            self.advance(self.now + by);
        }
    }

    /// Takes one of several; none is to let time pass.
    fn choose(&mut self, mut queue: MutexGuard<'_, Queue>, enabled: usize) -> Option<Runnable> {
        let mut diverged = false;
        let strategy = &mut *self.strategy;
        let (index, runnable) = queue.take(|choices| {
            let index = strategy.choose(choices);
            diverged = index >= choices.len();
            if diverged { 0 } else { index }
        });
        drop(queue);
        if diverged && !self.findings.iter().any(|f| matches!(f, Finding::Diverged { .. })) {
            self.findings.push(Finding::Diverged { choice: self.choices.len(), enabled });
        }
        self.choices.push(index as u32);
        if self.captures {
            self.host.with_record(|record| record.chosen(index as u32, enabled as u32));
        }
        runnable
    }

    fn advance(&mut self, to: Time) {
        self.now = to;
        self.host.set_now(to);
        self.record(&Event::ClockAdvanced { to });
    }

    fn closed(&mut self) -> Option<RegionReport> {
        match self.root.poll_closed(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(report) => Some(report),
            Poll::Pending => None,
        }
    }

    fn record(&self, event: &Event) {
        if self.config.observe {
            self.host.with_record(|record| record.host(event));
        }
    }
}
