//! A run as lanes: what the pictures are drawn from.

use asupersync_core::{RegionId, Severity, TaskId, Time};
use asupersync_trace::{Actor, Event, Trace};
use std::collections::BTreeMap;

/// How far a task's cancellation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
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
    pub(crate) end: Option<Severity>,
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
}

/// A run's lanes.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) regions: Vec<Region>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) polls: Vec<Poll>,
    by_id: BTreeMap<TaskId, usize>,
    region_by_id: BTreeMap<RegionId, usize>,
}

impl Model {
    pub(crate) fn of(trace: &Trace) -> Model {
        let mut model = Model::default();
        for event in trace.events() {
            model.take(trace, event);
        }
        model
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
            Event::TaskSpawned { task, region, name, site, finalizer, .. } => {
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
                    end: None,
                    phase,
                });
                self.did(|| format!("spawns {name}"));
            }
            Event::PollBegin { task, at } => {
                let Some(task) = self.by_id.get(&task).copied() else { return };
                let phase = self.tasks[task].phase;
                let (deeds, parked, wakes) = (Vec::new(), None, Vec::new());
                self.polls.push(Poll { task, at, phase, deeds, parked, wakes });
            }
            Event::TimePasses { to } => {
                let task = self.time();
                let (phase, wakes) = (Phase::Running, Vec::new());
                let deeds = vec![format!("passes to {to}")];
                self.polls.push(Poll { task, at: to, phase, deeds, parked: None, wakes });
            }
            Event::TaskWoken { task, .. } => {
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
            Event::CancelInjected { .. } => self.did(|| "(the lab cancels the root)".to_owned()),
            Event::FaultInjected { number } => {
                self.did(|| format!("(fault {number} strikes, or is mended)"));
            }
            Event::Abandoned { .. } => self.did(|| "(the lab gives the run up)".to_owned()),
            _ => {}
        }
    }

    /// The lane of time passing, among the root region's tasks.
    fn time(&mut self) -> usize {
        if let Some(known) = self.by_id.get(&Actor::TIME) {
            return *known;
        }
        let region = self.regions.first().map_or(RegionId::from_bits(0), |root| root.id);
        let (name, site, end) = ("time".to_owned(), String::new(), None);
        self.by_id.insert(Actor::TIME, self.tasks.len());
        self.tasks.push(Task { id: Actor::TIME, name, region, site, end, phase: Phase::Running });
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
        if let Some(poll) = self.polls.last_mut() {
            poll.deeds.push(deed());
        }
    }

    /// A region's path from the root, by names or ids.
    pub(crate) fn path(&self, region: RegionId) -> String {
        self.names(region).join("/")
    }

    /// The regions from the root to this one, by names or ids.
    pub(crate) fn names(&self, region: RegionId) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = Some(region);
        while let Some(id) = next {
            let Some(region) = self.region_by_id.get(&id).map(|at| &self.regions[*at]) else {
                break;
            };
            names.push(region.name.clone().unwrap_or_else(|| region.id.to_string()));
            next = region.parent;
        }
        names.reverse();
        names
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
