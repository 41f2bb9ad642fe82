//! The run loop.

use crate::config::LabConfig;
use crate::host::{LabHost, Ready, Watch};
use crate::oracle::{Ending, Invariant, Verdict};
use crate::report::{Finding, LabReport};
use crate::strategy::{Choice, Prefix, Random, Strategy};
use asupersync_core::{
    CancelReason, Cx, Host, Outcome, RegionOptions, RegionReport, Root, Runnable, Severity,
    TaskBody, TaskHandle, TaskOptions, Time, cap,
};
use asupersync_trace::{Event, Header, Writer};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The deterministic host: runs programs on the calling thread, in an order that follows from a
/// seed, in virtual time, under the eyes of the oracles.
///
/// The clock stands still while anything can run, and jumps to the next timer when nothing can. One
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
        let state = RefCell::new(State { host, strategy, verdicts: Vec::new() });
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

    pub(crate) fn set_max_steps(&mut self, steps: u64) {
        self.config.max_steps = steps;
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
        state.host.begin(seed);
        state.strategy.begin(seed);
        let watches = state.strategy.watches();
        self.begin_record(&state.host, seed, announced, capture);
        state.host.record.lock().watch = watches.then(Watch::default);
        let host: Arc<dyn Host> = state.host.clone();
        let root = Root::new(host, RegionOptions::new().name("root"));
        let handle = root.spawn_with(TaskOptions::new().name("main"), body);
        root.begin_close();
        let mut run = Run {
            config: &self.config,
            inject_cancel_at,
            host: &state.host,
            strategy: &mut *state.strategy,
            watches,
            cancelled_at: None,
            root,
            steps: 0,
            now: Time::ZERO,
            choices: Vec::new(),
            findings: Vec::new(),
        };
        let (ending, region) = run.drive();
        let outcome = take_outcome(handle);
        let Run { root, steps, now, choices, mut findings, cancelled_at, .. } = run;
        let unclaimed = root.unclaimed_failures().into_iter();
        let panicked = unclaimed.filter(|failure| failure.severity == Severity::Panicked);
        findings.extend(panicked.map(|failure| Finding::Panicked {
            task: failure.task,
            spawned_at: failure.spawned_at,
            message: failure.panic,
        }));

        let mut record = state.host.record.lock();
        record.oracles.end(ending);
        let injected = cancelled_at.is_some();
        let verdicts = record.oracles.verdicts(|invariant| {
            self.config.requires(invariant) || (injected && invariant == Invariant::Severity)
        });
        let fingerprint = record.fingerprint.finish();
        let trace = record.trace.as_mut().map(Writer::finish);
        let failed_at = record.failed_at;
        let warnings = record.oracles.warnings();
        drop(record);

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
            fingerprint: self.config.observe.then_some(fingerprint),
            trace,
            region,
            failed_at,
            cancelled_at,
        }
    }

    fn begin_record(&self, host: &LabHost, seed: u64, inject: Option<u64>, capture: bool) {
        let mut record = host.record.lock();
        record.oracles.clear();
        record.oracles.set_max_idle_steps(self.config.futurelock_max_idle_steps);
        record.oracles.set_max_overtakes(self.config.max_overtakes);
        record.oracles.set_dropped_permits_leak(self.config.dropped_permits_leak);
        record.fingerprint.clear();
        record.polls = 0;
        record.failed_at = None;
        if !capture {
            record.trace = None;
            return;
        }
        let mut header = Header::new(seed).with_option("max-steps", self.config.max_steps);
        for (name, value) in &self.config.header {
            header = header.with_option(name.as_str(), value);
        }
        if let Some(step) = inject {
            header = header.with_option("inject-cancel-at", step);
        }
        match &mut record.trace {
            Some(writer) => writer.begin(&header),
            none => *none = Some(Writer::new(header)),
        }
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
    host: &'a Arc<LabHost>,
    strategy: &'a mut dyn Strategy,
    watches: bool,
    /// The root was cancelled before this poll.
    cancelled_at: Option<u64>,
    root: Root,
    steps: u64,
    now: Time,
    choices: Vec<u32>,
    findings: Vec<Finding>,
}

/// Why the loop stopped.
enum Stop {
    Closed(RegionReport),
    NothingToDo,
    Limit,
}

impl Run<'_> {
    fn drive(&mut self) -> (Ending, Option<RegionReport>) {
        let stop = self.run_until(self.config.max_steps);
        let blocked = self.host.open_gates();
        self.strategy.ended(&blocked);
        let (ending, finding) = match stop {
            Stop::Closed(report) => return (Ending::Quiescent, Some(report)),
            Stop::NothingToDo => {
                let tree = Box::new(self.root.snapshot());
                self.host.record.lock().oracles.stuck(&tree, &blocked);
                (Ending::Deadlock, Finding::Deadlock { at: self.now, step: self.steps, tree })
            }
            Stop::Limit => {
                let tree = Box::new(self.root.snapshot());
                let steps = self.config.max_steps;
                (Ending::Abandoned, Finding::StepLimit { at: self.now, steps, tree })
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
        let limit = self.steps.saturating_add(self.config.max_steps.max(1_000));
        match self.run_until(limit) {
            Stop::Closed(report) => Some(report),
            Stop::NothingToDo | Stop::Limit => {
                let tree = Box::new(self.root.snapshot());
                self.findings.push(Finding::TeardownStuck { tree });
                None
            }
        }
    }

    fn run_until(&mut self, limit: u64) -> Stop {
        loop {
            let enabled = match self.host.poll(self.now) {
                Ready::Tasks(enabled) => enabled,
                Ready::Timer(at, waker) => {
                    self.record(&Event::TimerFired { at });
                    waker.wake();
                    continue;
                }
                Ready::Nothing { until } => {
                    if let Some(report) = self.closed() {
                        return Stop::Closed(report);
                    }
                    // Asking may have made something runnable.
                    if let Ready::Tasks(_) = self.host.poll(self.now) {
                        continue;
                    }
                    let Some(next) = until else { return Stop::NothingToDo };
                    self.now = next;
                    self.host.set_now(next);
                    self.record(&Event::ClockAdvanced { to: next });
                    continue;
                }
            };
            if self.steps >= limit {
                return Stop::Limit;
            }
            if self.inject_cancel_at == Some(self.steps) || self.strategy.cancels() {
                self.inject_cancel_at = None;
                self.cancelled_at = Some(self.steps);
                self.record(&Event::CancelInjected { step: self.steps });
                let step = self.steps;
                self.root.cancel(CancelReason::user(format!("injected by the lab at step {step}")));
                continue;
            }
            let runnable = self.take(enabled);
            self.steps += 1;
            runnable.run();
            if self.watches {
                self.strategy.stepped(self.host.footprint());
            }
        }
    }

    fn take(&mut self, enabled: usize) -> Runnable {
        if enabled == 1 {
            let only = |choices: &[Choice]| {
                self.strategy.alone(&choices[0]);
                0
            };
            return self.host.take(only).1;
        }
        let mut diverged = false;
        let (index, runnable) = self.host.take(|choices| {
            let index = self.strategy.choose(choices);
            diverged = index >= choices.len();
            if diverged { 0 } else { index }
        });
        if diverged && !self.findings.iter().any(|f| matches!(f, Finding::Diverged { .. })) {
            self.findings.push(Finding::Diverged { choice: self.choices.len(), enabled });
        }
        self.choices.push(index as u32);
        self.record(&Event::Chosen { index: index as u32, of: enabled as u32 });
        runnable
    }

    fn closed(&mut self) -> Option<RegionReport> {
        match self.root.poll_closed(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(report) => Some(report),
            Poll::Pending => None,
        }
    }

    fn record(&self, event: &Event) {
        if self.config.observe {
            self.host.record.lock().host(event);
        }
    }
}
