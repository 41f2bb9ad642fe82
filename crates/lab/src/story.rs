//! A failed run in words: the steps that can have led to its failure, and no others.

use asupersync_core::event::{Access, Resolution};
use asupersync_core::{RegionId, Severity, TaskId};
use asupersync_trace::{Actor, Causality, Effect, Event, Step, StepBuilder, Trace, plain};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Steps told at most; the earlier ones are left out.
const LONGEST: usize = 24;

/// A step with the events it is made of.
struct Told {
    step: Step,
    events: Vec<usize>,
}

/// The two polls, counted from 0, whose order matters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    pub(crate) first: Option<usize>,
    pub(crate) second: Option<usize>,
}

/// The causal past of the first step in which a task failed, or else of the last, a line each. Polls are
/// numbered from 0, and the marked ones begin with `>`.
pub(crate) fn tell(trace: &Trace, marks: Marks) -> String {
    let names = Names::of(trace);
    let told = steps(trace);
    let steps: Vec<Step> = told.iter().map(|told| told.step.clone()).collect();
    let Some(last) = culprit(trace, &told) else { return "  (no step was taken)".to_owned() };
    let causality = Causality::of(&steps[..=last]);
    let past: Vec<usize> = causality.past(last).collect();
    let mut text = String::new();
    let left_out = past.len().saturating_sub(LONGEST);
    if left_out > 0 {
        writeln!(text, "  ({left_out} earlier steps)").expect("strings take all");
    }
    let is_poll = |event: &usize| {
        matches!(trace.events()[*event], Event::PollBegin { .. } | Event::TimePasses { .. })
    };
    let mut polls = 0..;
    let numbers: Vec<Option<usize>> = told
        .iter()
        .map(|told| told.events.iter().any(is_poll).then(|| polls.next()).flatten())
        .collect();
    for index in &past[left_out..] {
        let number = numbers[*index];
        let marked = number.is_some() && (number == marks.first || number == marks.second);
        let mark = if marked { '>' } else { ' ' };
        let number = number.map(|number| number.to_string()).unwrap_or_default();
        let line = names.line(trace, &told[*index]);
        writeln!(text, "{mark}{number:>5} {line}").expect("strings take all");
    }
    let others = last + 1 - past.len();
    write!(text, "  ({others} steps before it had no influence on it)").expect("strings take all");
    text
}

fn steps(trace: &Trace) -> Vec<Told> {
    let mut builder = StepBuilder::default();
    let mut told: Vec<Told> = Vec::new();
    let mut events = Vec::new();
    for (index, event) in trace.events().iter().enumerate() {
        events.push(index);
        for effect in Effect::of_event(event) {
            if let Some(view) = builder.feed(effect) {
                // The event that begins the next step belongs to that one.
                let begins = matches!(effect, Effect::Begin(_) | Effect::Close(_));
                let next = begins.then(|| events.pop()).flatten();
                let events = std::mem::replace(&mut events, next.into_iter().collect());
                told.push(Told { step: view.to_step(), events });
            }
        }
    }
    if let Some(view) = builder.finish() {
        told.push(Told { step: view.to_step(), events });
    }
    told
}

fn culprit(trace: &Trace, told: &[Told]) -> Option<usize> {
    let fails = |event: &Event| match event {
        Event::TaskCompleted { severity, .. } => {
            matches!(severity, Severity::Err | Severity::Panicked)
        }
        Event::ObligationResolved { how: Resolution::Leaked, .. } | Event::Abandoned { .. } => true,
        _ => false,
    };
    let failing = |told: &Told| told.events.iter().any(|event| fails(&trace.events()[*event]));
    let task = |told: &Told| matches!(told.step.actor, Actor::Task(_));
    told.iter().position(failing).or_else(|| told.iter().rposition(task))
}

/// Tasks and regions by the names their programs gave them.
pub(crate) struct Names {
    tasks: BTreeMap<TaskId, String>,
    regions: BTreeMap<RegionId, String>,
}

impl Names {
    pub(crate) fn of(trace: &Trace) -> Names {
        let tables = trace.tables();
        let tasks = trace.events().iter().filter_map(|event| match event {
            Event::TaskSpawned { task, name, site, .. } => {
                let text = match name {
                    Some(name) => plain(tables.text(*name)).into_owned(),
                    None => {
                        let site = tables.site(*site)?;
                        format!("{task} (spawned at {}:{})", tables.text(site.file), site.line)
                    }
                };
                Some((*task, text))
            }
            _ => None,
        });
        let regions = trace.events().iter().filter_map(|event| match event {
            Event::RegionOpened { region, name: Some(name), .. } => {
                Some((*region, plain(tables.text(*name)).into_owned()))
            }
            _ => None,
        });
        Names { tasks: tasks.collect(), regions: regions.collect() }
    }

    pub(crate) fn task(&self, task: TaskId) -> String {
        if task == Actor::TIME {
            return "time".to_owned();
        }
        self.tasks.get(&task).cloned().unwrap_or_else(|| task.to_string())
    }

    fn region(&self, region: RegionId) -> String {
        let name = self.regions.get(&region).cloned();
        format!("region {}", name.unwrap_or_else(|| region.to_string()))
    }

    fn line(&self, trace: &Trace, told: &Told) -> String {
        let who = match told.step.actor {
            Actor::Task(task) => self.task(task),
            Actor::Region(region) => self.region(region),
            Actor::Timer(at) => format!("the timer for {at}"),
            Actor::Host => "the lab".to_owned(),
            Actor::Outside => "outside".to_owned(),
            Actor::Clock => self.task(Actor::TIME),
        };
        let tables = trace.tables();
        let deeds = told.events.iter().filter_map(|event| match trace.events()[*event] {
            Event::Access { object, access, label, .. } => {
                let verb = if access == Access::Read { "reads" } else { "writes" };
                Some(format!("{verb} {} {object}", plain(tables.text(label))))
            }
            Event::TaskSpawned { task, .. } => Some(format!("spawns {}", self.task(task))),
            Event::TaskWoken { task, .. } => Some(format!("wakes {}", self.task(task))),
            Event::WaitParked { label, site, .. } => {
                let place = tables
                    .site(site)
                    .map(|site| format!(" at {}:{}", tables.text(site.file), site.line));
                let label = plain(tables.text(label));
                Some(format!("waits in {label}{}", place.unwrap_or_default()))
            }
            Event::TaskSoftCancelled { task, .. } => {
                Some(format!("asks {} to finish", self.task(task)))
            }
            Event::TaskCancelRequested { task, .. } if told.step.actor != Actor::Task(task) => {
                Some(format!("cancels {}", self.task(task)))
            }
            Event::TaskCancelRequested { .. } => Some("cancels itself".to_owned()),
            Event::RegionCancelRequested { region, .. } => {
                Some(format!("cancels {}", self.region(region)))
            }
            Event::RegionSoftCancelled { region, .. } => {
                Some(format!("asks {} to finish", self.region(region)))
            }
            Event::TaskEscalated { task } => Some(format!("drops {}'s future", self.task(task))),
            Event::FaultInjected { number: u32::MAX } => Some("mends everything".to_owned()),
            Event::FaultInjected { number } => {
                Some(format!("fault {number} strikes, or is mended"))
            }
            Event::RegionCancelIgnored { region } => {
                Some(format!("cancels {}, which is so already", self.region(region)))
            }
            Event::TaskCancelIgnored { task } => {
                Some(format!("cancels {}, which is so already", self.task(task)))
            }
            Event::RegionEscalated { region } => {
                Some(format!("{} has no more time to clean up", self.region(region)))
            }
            Event::RegionAbandoned { region } => {
                Some(format!("drops {}'s future", self.region(region)))
            }
            Event::TaskCancelTold { .. } => Some("is told that it is cancelled".to_owned()),
            Event::TaskCompleted { severity, .. } => Some(format!("ends as {severity:?}")),
            Event::ObligationReserved { kind, .. } => {
                Some(format!("takes {}", plain(tables.text(kind))))
            }
            Event::ObligationResolved { how, .. } => {
                Some(format!("settles an obligation as {how:?}"))
            }
            Event::User { message, .. } => Some(format!("says {:?}", tables.text(message))),
            Event::ClockAdvanced { to } => Some(format!("moves the clock to {to}")),
            Event::TimePasses { to } => Some(format!("passes to {to}")),
            Event::TimerFired { .. } if told.step.actor != Actor::Clock => Some("fires".to_owned()),
            Event::CancelInjected { .. } => Some("cancels the root region".to_owned()),
            Event::Abandoned { .. } => Some("gives the run up".to_owned()),
            Event::RegionClosed { .. } => Some("closes".to_owned()),
            Event::RegionFinalizing { .. } => Some("begins to finalize".to_owned()),
            _ => None,
        });
        let deeds: Vec<String> = deeds.collect();
        if deeds.is_empty() {
            format!("{who}: runs")
        } else {
            format!("{who}: {}", deeds.join(", "))
        }
    }
}
