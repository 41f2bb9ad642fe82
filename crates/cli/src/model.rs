//! A run as lanes: what the pictures are drawn from.

mod cuts;
mod flows;
mod holds;

pub(crate) use cuts::{Cut, Sign};
pub(crate) use holds::{Hold, Wait};

use asupersync_core::{RegionId, Severity, TaskId, Time};
use asupersync_trace::{Actor, Event, Trace, foata_levels};
use cuts::Cuts;
use flows::Flows;
use holds::Holds;
use std::collections::BTreeMap;

/// How far a task's cancellation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    Requested,
    Draining,
    Finalizing,
}

impl Phase {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::Requested => "cancel requested",
            Phase::Draining => "draining",
            Phase::Finalizing => "finalizing",
        }
    }
}

pub(crate) struct Region {
    pub(crate) id: RegionId,
    pub(crate) name: Option<String>,
    pub(crate) parent: Option<RegionId>,
}

pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) name: String,
    pub(crate) region: RegionId,
    pub(crate) site: String,
    /// No task spawned it.
    pub(crate) by_host: bool,
    pub(crate) end: Option<Severity>,
    /// The steps in which it was spawned and ended; the first step's predecessor is taken for the first.
    pub(crate) spawned: usize,
    pub(crate) ended: Option<usize>,
    phase: Phase,
}

pub(crate) struct Poll {
    /// A position in `tasks`.
    pub(crate) task: usize,
    pub(crate) at: Time,
    pub(crate) phase: Phase,
    /// What it did, in words.
    pub(crate) deeds: Vec<String>,
    /// Where it parked at its end, if it did.
    pub(crate) parked: Option<String>,
    /// The tasks that it woke.
    pub(crate) wakes: Vec<usize>,
    /// The steps of other tasks whose writes it met, and of what.
    pub(crate) meets: Vec<(usize, String)>,
}

/// A run's lanes.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) regions: Vec<Region>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) polls: Vec<Poll>,
    /// Who holds what, and from when to when.
    pub(crate) holds: Vec<Hold>,
    /// Who waits meanwhile for what is held.
    pub(crate) waits: Vec<Wait>,
    /// Where something was cancelled.
    pub(crate) cuts: Vec<Cut>,
    /// What else came between two steps.
    pub(crate) signs: Vec<Sign>,
    /// A step is in progress: what happens between two is nobody's.
    acting: bool,
    by_id: BTreeMap<TaskId, usize>,
    region_by_id: BTreeMap<RegionId, usize>,
}

impl Model {
    pub(crate) fn of(trace: &Trace) -> Model {
        let mut model = Model::default();
        let (mut holds, mut flows, mut cuts) =
            (Holds::default(), Flows::default(), Cuts::default());
        for event in trace.events() {
            model.take(trace, event);
            holds.take(trace, event, &model);
            flows.take(trace, event, &mut model);
            cuts.take(event, &model);
        }
        (model.holds, model.waits) = holds.finish(&model);
        (model.cuts, model.signs) = cuts.finish();
        model
    }

    /// The Foata level of each step: those of one level could have come at the same time. Empty for a trace whose
    /// steps are no polls of its tasks.
    pub(crate) fn levels(&self, trace: &Trace) -> Vec<u32> {
        let steps = trace.steps();
        let is_poll = |actor| matches!(actor, Actor::Task(_) | Actor::Clock);
        let levels = foata_levels(&steps).into_iter().zip(&steps);
        let levels: Vec<u32> =
            levels.filter(|(_, step)| is_poll(step.actor)).map(|(level, _)| level).collect();
        if levels.len() == self.polls.len() { levels } else { Vec::new() }
    }

    fn take(&mut self, trace: &Trace, event: &Event) {
        let tables = trace.tables();
        let place = |site| {
            let site = tables.site(site);
            site.map_or_else(String::new, |s| format!("{}:{}", tables.text(s.file), s.line))
        };
        match *event {
            Event::RegionOpened { region, parent, name, .. } => {
                let name = name.map(|name| tables.text(name).to_owned());
                self.region_by_id.insert(region, self.regions.len());
                self.regions.push(Region { id: region, name, parent });
            }
            Event::TaskSpawned { task, region, by, name, site, finalizer } => {
                let site = place(site);
                let name =
                    name.map_or_else(|| format!("{task} {site}"), |n| tables.text(n).to_owned());
                let phase = if finalizer { Phase::Finalizing } else { Phase::Running };
                self.by_id.insert(task, self.tasks.len());
                self.tasks.push(Task {
                    id: task,
                    name: name.clone(),
                    region,
                    site,
                    by_host: by.is_none(),
                    end: None,
                    spawned: self.polls.len().saturating_sub(1),
                    ended: None,
                    phase,
                });
                self.did(|| format!("spawns {name}"));
            }
            Event::PollBegin { task, at } => {
                let Some(task) = self.by_id.get(&task).copied() else { return };
                let phase = self.tasks[task].phase;
                self.begin(task, at, phase, Vec::new());
            }
            Event::TimePasses { to } => {
                let task = self.time();
                self.begin(task, to, Phase::Running, vec![format!("passes to {to}")]);
            }
            Event::PollEnd { .. } | Event::TimePassed { .. } => self.acting = false,
            Event::TaskWoken { task, .. } if self.acting => {
                let Some(task) = self.by_id.get(&task).copied() else { return };
                if let Some(poll) = self.polls.last_mut().filter(|poll| poll.task != task) {
                    poll.wakes.push(task);
                }
            }
            Event::WaitParked { label, site, .. } => {
                let text = format!("{} at {}", tables.text(label), place(site));
                if let Some(poll) = self.polls.last_mut() {
                    poll.parked = Some(text);
                }
            }
            Event::TaskCancelRequested { task, .. } => self.advance(task, Phase::Requested),
            Event::TaskCancelTold { task } => self.advance(task, Phase::Draining),
            Event::TaskCompleted { task, severity, .. } => {
                if let Some(task) = self.by_id.get(&task) {
                    self.tasks[*task].end = Some(severity);
                    self.tasks[*task].ended = self.polls.len().checked_sub(1);
                }
                self.did(|| format!("ends as {severity:?}"));
            }
            Event::Access { object, access, label, .. } => {
                self.did(|| format!("{access:?} {} {object}", tables.text(label)).to_lowercase());
            }
            Event::ObligationReserved { kind, .. } => {
                self.did(|| format!("takes {}", tables.text(kind)));
            }
            Event::ObligationResolved { how, .. } => {
                self.did(|| format!("settles an obligation as {how:?}"));
            }
            Event::User { message, .. } => self.did(|| tables.text(message).to_owned()),
            _ => {}
        }
    }

    fn begin(&mut self, task: usize, at: Time, phase: Phase, deeds: Vec<String>) {
        self.acting = true;
        let (parked, wakes, meets) = (None, Vec::new(), Vec::new());
        self.polls.push(Poll { task, at, phase, deeds, parked, wakes, meets });
    }

    /// The lane of time passing, among the root region's tasks.
    fn time(&mut self) -> usize {
        if let Some(known) = self.by_id.get(&Actor::TIME) {
            return *known;
        }
        let region = self.regions.first().map_or(RegionId::from_bits(0), |root| root.id);
        let (name, site, end) = ("time".to_owned(), String::new(), None);
        self.by_id.insert(Actor::TIME, self.tasks.len());
        let (spawned, ended, phase) = (0, None, Phase::Running);
        let (id, by_host) = (Actor::TIME, true);
        self.tasks.push(Task { id, name, region, site, by_host, end, spawned, ended, phase });
        self.tasks.len() - 1
    }

    fn advance(&mut self, task: TaskId, phase: Phase) {
        let Some(at) = self.by_id.get(&task).copied() else { return };
        if self.tasks[at].phase != Phase::Finalizing {
            self.tasks[at].phase = phase;
        }
        let name = &self.tasks[at].name;
        let text = format!("{name}: {}", phase.name());
        self.did(|| text);
    }

    fn did(&mut self, deed: impl FnOnce() -> String) {
        if let Some(poll) = self.polls.last_mut().filter(|_| self.acting) {
            poll.deeds.push(deed());
        }
    }

    /// What the lab did between steps, each with the step that it came before.
    pub(crate) fn between(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        let cuts = self.cuts.iter().filter(|cut| cut.injected);
        let cuts = cuts.map(|cut| (cut.before, format!("the lab cancels {}", cut.of)));
        cuts.chain(self.signs.iter().map(|sign| (sign.before, sign.text.clone())))
    }

    /// Where a task is in `tasks`.
    pub(crate) fn lane(&self, task: TaskId) -> Option<usize> {
        self.by_id.get(&task).copied()
    }

    /// A region's path from the root, by names or ids.
    pub(crate) fn path(&self, region: RegionId) -> String {
        self.names(region).join("/")
    }

    /// The regions from the root to this one, by names or ids.
    pub(crate) fn names(&self, region: RegionId) -> Vec<String> {
        let name = |place: &usize| {
            let region = &self.regions[*place];
            region.name.clone().unwrap_or_else(|| region.id.to_string())
        };
        self.places(region).iter().map(name).collect()
    }

    /// The regions from the root to this one, as positions in `regions`.
    pub(crate) fn places(&self, region: RegionId) -> Vec<usize> {
        let mut places = Vec::new();
        let mut next = Some(region);
        while let Some(at) = next.and_then(|id| self.region_by_id.get(&id)) {
            // In a file from elsewhere a region may be within itself.
            if places.contains(at) {
                break;
            }
            places.push(*at);
            next = self.regions[*at].parent;
        }
        places.reverse();
        places
    }

    /// Whose step this is, and which of these.
    pub(crate) fn nth(&self, step: usize) -> Option<(TaskId, usize)> {
        let task = self.polls.get(step)?.task;
        let before = self.polls[..step].iter().filter(|poll| poll.task == task).count();
        Some((self.tasks[task].id, before))
    }

    /// The step that is this task's so many-th, counted from 0.
    pub(crate) fn step(&self, task: TaskId, nth: usize) -> Option<usize> {
        let task = *self.by_id.get(&task)?;
        let steps = self.polls.iter().enumerate().filter(|(_, poll)| poll.task == task);
        steps.map(|(step, _)| step).nth(nth)
    }

    /// The steps of each task, in order.
    pub(crate) fn steps_of_tasks(&self) -> Vec<Vec<usize>> {
        let mut steps = vec![Vec::new(); self.tasks.len()];
        for (step, poll) in self.polls.iter().enumerate() {
            steps[poll.task].push(step);
        }
        steps
    }
}
