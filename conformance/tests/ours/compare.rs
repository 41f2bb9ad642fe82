//! The kernel in the lab beside the reference model: the lab's schedule drives the model, and each step of
//! the run must show what the model says it shows.

use crate::interpreter::{self, World};
use asupersync::lab::{Choice, LabConfig, LabRuntime, Strategy};
use asupersync::prelude::*;
use asupersync_conformance::log::{Cause, Entry, Event, Log};
use asupersync_conformance::model::generate::Random;
use asupersync_conformance::model::{Fired, How, Model, Rank, Seen};
use asupersync_conformance::program::{Body, Program};
use asupersync_core::event::Resolution;
use asupersync_core::{CancelKind, DetHashMap, ObligationId, RegionId, Severity, TaskId};
use asupersync_trace::{Event as Traced, Limits, Tables, Trace};
use std::sync::{Arc, Mutex};

/// The lab, with a schedule that is new for every run.
pub(crate) struct Lab {
    lab: LabRuntime,
    choices: Arc<Mutex<Random>>,
}

/// What runs have shown.
#[derive(Default)]
#[allow(dead_code, reason = "one of the test files asks only whether there is a difference")]
pub(crate) struct Tally {
    /// How often each rule fired.
    pub(crate) fired: Fired,
    /// Events and log entries that were compared.
    pub(crate) compared: usize,
}

impl Tally {
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn add(&mut self, other: &Tally) {
        self.fired.add(&other.fired);
        self.compared += other.compared;
    }
}

/// Picks at random, going on from run to run.
struct Rolling(Arc<Mutex<Random>>);

impl Strategy for Rolling {
    fn begin(&mut self, _: u64) {}

    fn choose(&mut self, choices: &[Choice]) -> usize {
        self.0.lock().unwrap().below(choices.len())
    }
}

/// Polls after which a run is given up; the longest program that is generated needs a fifth of it.
const MAX_STEPS: u64 = 50_000;

impl Lab {
    pub(crate) fn new(seed: u64) -> Lab {
        let config = LabConfig::default().capture_trace(true).max_steps(MAX_STEPS);
        let choices = Arc::new(Mutex::new(Random::new(seed)));
        Lab { lab: LabRuntime::with_strategy(config, Rolling(choices.clone())), choices }
    }

    /// From here on the choices are those that follow from the seed.
    #[allow(dead_code, reason = "one of the test files goes on from run to run only")]
    pub(crate) fn restart(&self, seed: u64) {
        *self.choices.lock().unwrap() = Random::new(seed);
    }

    /// The trace of one run of the program, with marks in it.
    #[allow(dead_code, reason = "only one of the test files reads traces by itself")]
    pub(crate) fn trace(&self, main: &Body) -> Result<Trace, String> {
        let world = Arc::new(World::new(&Log::default(), || true).marking());
        let program = Program { main: main.clone() };
        let report =
            self.lab.run(async move |cx: &Cx| interpreter::main(cx, &world, &program).await);
        let bytes = report.trace.ok_or("the lab kept no trace")?.into_bytes();
        Trace::parse(&bytes, &Limits::default()).map_err(|error| error.to_string())
    }

    /// One run of the program, compared.
    pub(crate) fn compare(&self, main: &Body) -> Result<Tally, String> {
        let log = Log::default();
        let world = Arc::new(World::new(&log, || true));
        let program = Program { main: main.clone() };
        let report =
            self.lab.run(async move |cx: &Cx| interpreter::main(cx, &world, &program).await);
        let bytes = report.trace.ok_or("the lab kept no trace")?.into_bytes();
        let trace = Trace::parse(&bytes, &Limits::default()).map_err(|error| error.to_string())?;
        let mut side = SideBySide {
            model: Model::new(main),
            tables: trace.tables(),
            tasks: DetHashMap::default(),
            regions: DetHashMap::default(),
            obligations: DetHashMap::default(),
            shown: Vec::new(),
            chosen: false,
            timers: None,
            compared: 0,
        };
        for (at, event) in trace.events().iter().enumerate() {
            side.follow(event).map_err(|why| format!("event {at}: {why}"))?;
        }
        side.end_step()?;
        let root = report.region.as_ref().ok_or("the lab's tree was never closed")?;
        let theirs =
            (Some(interpreter::end(report.outcome)), root.stragglers.len(), root.leaks.len());
        if !side.model.is_over() {
            return Err("the lab's run is over, the model's is not".to_owned());
        }
        let ours = side.model.result();
        if ours != theirs {
            return Err(format!("the model ends with {ours:?}, the kernel with {theirs:?}"));
        }
        let entries: Vec<Entry> = log.entries().into_iter().map(plain).collect();
        let expected: Vec<Entry> = side.model.log().iter().cloned().map(plain).collect();
        if entries != expected {
            return Err(difference("run's log entries", &expected, &entries));
        }
        let (fired, compared) = (side.model.fired().clone(), side.compared + entries.len());
        Ok(Tally { fired, compared })
    }
}

/// Without what is the runtime's own business: its words for a join that gave no outcome, and the order in
/// which it names stragglers.
fn plain(mut entry: Entry) -> Entry {
    match &mut entry.event {
        Event::Joined(_, Err(words)) => "refused".clone_into(words),
        Event::Closed { stragglers, .. } => stragglers.sort(),
        _ => {}
    }
    entry
}

struct SideBySide<'a> {
    model: Model<'a>,
    tables: &'a Tables,
    tasks: DetHashMap<TaskId, usize>,
    regions: DetHashMap<RegionId, usize>,
    obligations: DetHashMap<ObligationId, usize>,
    /// What the kernel has shown in this step.
    shown: Vec<Seen>,
    /// The lab has said how many tasks could run.
    chosen: bool,
    /// In a run of timers: how many are to come.
    timers: Option<usize>,
    compared: usize,
}

impl SideBySide<'_> {
    fn follow(&mut self, event: &Traced) -> Result<(), String> {
        match *event {
            Traced::Chosen { of, .. } => {
                self.end_step()?;
                self.expect_runnable(of as usize)?;
                self.chosen = true;
            }
            Traced::PollBegin { task, .. } => {
                if !std::mem::take(&mut self.chosen) {
                    self.end_step()?;
                    self.expect_runnable(1)?;
                }
                let task = known(&self.tasks, task)?;
                if !self.model.runnable().contains(&task) {
                    return Err(format!("the lab polls task {task}, which the model says sleeps"));
                }
                self.model.poll(task);
            }
            Traced::TimerFired { .. } => {
                if self.timers.is_none() {
                    self.end_step()?;
                    self.timers = Some(self.model.fire_due());
                }
                match &mut self.timers {
                    Some(left) if *left > 0 => *left -= 1,
                    _ => return Err("a timer fired that the model does not know".to_owned()),
                }
            }
            Traced::ClockAdvanced { to } => {
                self.end_step()?;
                self.expect_runnable(0)?;
                if !self.model.tick() || self.model.now() != to.as_nanos() {
                    let (now, to) = (self.model.now(), to.as_nanos());
                    return Err(format!("the lab's clock goes to {to}, the model's to {now}"));
                }
            }
            Traced::Abandoned { .. } => {
                self.end_step()?;
                self.expect_runnable(0)?;
                if let Some(at) = self.model.next_timer() {
                    return Err(format!("the lab gives up, the model has a timer at {at}"));
                }
                self.model.give_up();
            }
            ref other => {
                if let Some(seen) = self.seen(other)? {
                    self.shown.push(seen);
                }
            }
        }
        Ok(())
    }

    fn expect_runnable(&mut self, count: usize) -> Result<(), String> {
        if self.model.fire_due() > 0 {
            return Err("the model has a timer that the lab did not fire".to_owned());
        }
        let runnable = self.model.runnable();
        if runnable.len() != count {
            return Err(format!("the lab has {count} runnable tasks, the model {runnable:?}"));
        }
        Ok(())
    }

    /// What the step has shown is what the model says. Within a step the order is the kernel's own
    /// business.
    fn end_step(&mut self) -> Result<(), String> {
        if let Some(left) = self.timers.take().filter(|left| *left > 0) {
            return Err(format!("{left} timers of the model did not fire"));
        }
        let mut expected = self.model.take_seen();
        let mut shown = std::mem::take(&mut self.shown);
        expected.sort();
        shown.sort();
        self.compared += shown.len();
        if expected == shown { Ok(()) } else { Err(difference("step's events", &expected, &shown)) }
    }

    fn seen(&mut self, event: &Traced) -> Result<Option<Seen>, String> {
        let task = |id| known(&self.tasks, id);
        let region = |id| known(&self.regions, id);
        Ok(Some(match *event {
            Traced::TaskSpawned { task: id, region: into, by, finalizer, .. } => {
                let (region, by) = (region(into)?, by.map(task).transpose()?);
                let task = number(&mut self.tasks, id);
                Seen::Spawned { task, region, by, finalizer }
            }
            Traced::SpawnRefused { region: into, by } => {
                Seen::Refused { region: region(into)?, by: by.map(task).transpose()? }
            }
            Traced::WaitParked { task: id, label, .. } => {
                Seen::Parked { task: task(id)?, label: self.label(label) }
            }
            Traced::WaitEnded { task: id, label, cancelled } => {
                Seen::WaitEnded { task: task(id)?, label: self.label(label), cancelled }
            }
            Traced::TaskCancelRequested { task: id, kind, severity } => {
                let (kind, severity) = (cause(kind), cause(severity));
                Seen::CancelRequested { task: task(id)?, kind, severity }
            }
            Traced::TaskCancelTold { task: id } => Seen::Told { task: task(id)? },
            Traced::TaskEscalated { task: id } => Seen::Escalated { task: task(id)? },
            Traced::TaskCompleted { task: id, region: of, severity } => {
                let rank = match severity {
                    Severity::Ok => Rank::Ok,
                    Severity::Err => Rank::Err,
                    Severity::Cancelled => Rank::Cancelled,
                    Severity::Panicked => Rank::Panicked,
                };
                Seen::Completed { task: task(id)?, region: region(of)?, rank }
            }
            Traced::BranchOpened { task: id, branch } => {
                Seen::BranchOpened { task: task(id)?, branch }
            }
            Traced::BranchClosed { task: id, branch, dropped } => {
                Seen::BranchClosed { task: task(id)?, branch, dropped }
            }
            Traced::RegionOpened { region: id, parent, by, .. } => {
                let (parent, by) = (parent.map(region).transpose()?, by.map(task).transpose()?);
                let region = number(&mut self.regions, id);
                Seen::RegionOpened { region, parent, by }
            }
            Traced::RegionCancelRequested { region: id, kind, severity } => {
                let (kind, severity) = (cause(kind), cause(severity));
                Seen::RegionCancel { region: region(id)?, kind, severity }
            }
            Traced::RegionClosing { region: id } => Seen::RegionClosing { region: region(id)? },
            Traced::RegionFinalizing { region: id } => {
                Seen::RegionFinalizing { region: region(id)? }
            }
            Traced::FinalizerDeferred { region: id, ordinal } => {
                Seen::Deferred { region: region(id)?, ordinal }
            }
            Traced::FinalizerStarted { region: id, ordinal, task: by } => {
                Seen::FinalizerStarted { region: region(id)?, ordinal, task: task(by)? }
            }
            Traced::RegionClosed { region: id, live, unresolved } => {
                Seen::RegionClosed { region: region(id)?, live, unresolved }
            }
            Traced::ObligationReserved { obligation, task: by, .. } => {
                let by = task(by)?;
                Seen::Reserved { obligation: number(&mut self.obligations, obligation), task: by }
            }
            Traced::ObligationResolved { obligation, how, .. } => {
                let how = match how {
                    Resolution::Committed => How::Committed,
                    Resolution::Aborted => How::Aborted,
                    Resolution::Dropped => How::Dropped,
                    Resolution::Leaked | Resolution::Expired => How::Leaked,
                };
                Seen::Resolved { obligation: known(&self.obligations, obligation)?, how }
            }
            // Wakes show in who can run, timers in when they fire; poll ends and accesses in nothing.
            _ => return Ok(None),
        }))
    }

    fn label(&self, id: asupersync_trace::StrId) -> &'static str {
        let label = self.tables.text(id);
        let known = ["sleep", "yield_now", "join", "linger", "timeout"];
        known.into_iter().find(|name| *name == label).unwrap_or("a label that no step has")
    }
}

fn known<K: std::hash::Hash + Eq>(map: &DetHashMap<K, usize>, id: K) -> Result<usize, String> {
    map.get(&id).copied().ok_or_else(|| "something that was never made is named".to_owned())
}

fn number<K: std::hash::Hash + Eq>(map: &mut DetHashMap<K, usize>, id: K) -> usize {
    let next = map.len();
    *map.entry(id).or_insert(next)
}

fn cause(kind: CancelKind) -> Cause {
    interpreter::cause(kind)
}

fn difference<T: std::fmt::Debug + PartialEq>(what: &str, ours: &[T], theirs: &[T]) -> String {
    let missing: Vec<_> = ours.iter().filter(|one| !theirs.contains(one)).collect();
    let surplus: Vec<_> = theirs.iter().filter(|one| !ours.contains(one)).collect();
    let (many, few) = (ours.len(), theirs.len());
    format!(
        "the model says {many} of a {what}, the kernel shows {few}\n\
         only the model: {missing:#?}\nonly the kernel: {surplus:#?}"
    )
}
