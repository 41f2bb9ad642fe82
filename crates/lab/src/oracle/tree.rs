//! The run as its events tell it: which tasks, regions and obligations there are now.

use super::table::Table;
use super::waits::Knot;
use asupersync_core::{Event, ObjectId, ObligationId, RegionId, TaskId};
use asupersync_trace::{IdMap, IdSet};
use smallvec::SmallVec;
use std::panic::Location;
use std::sync::Arc;

type Site = &'static Location<'static>;

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) region: RegionId,
    pub(super) name: Option<Arc<str>>,
    pub(super) site: Site,
    pub(super) finalizer: bool,
    /// The step of the run in which it was last polled, or spawned.
    pub(super) polled: u64,
    /// Obligations taken on and not settled.
    pub(super) holds: u32,
    /// Its waits that have not ended, the oldest first. Of those that are dropped there is no event.
    pub(super) waits: SmallVec<[Wait; 1]>,
    /// It was told of a cancellation, or a branch of it was.
    pub(super) cancelled: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) label: &'static str,
    pub(super) site: Site,
    /// What was touched last before it parked.
    pub(super) object: Option<ObjectId>,
    /// Counted in parkings of the run.
    pub(super) since: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) parent: Option<RegionId>,
    /// Live tasks that are not finalizers.
    pub(super) tasks: u32,
    pub(super) finalizers: u32,
    pub(super) regions: u32,
    pub(super) closed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Obligation {
    pub(super) task: TaskId,
    pub(super) kind: &'static str,
    pub(super) site: Site,
    /// Of what.
    pub(super) object: Option<ObjectId>,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    /// What the poll in progress touched last.
    pub(super) accessed: Option<ObjectId>,
    /// Who has touched an object, and what it is.
    pub(super) touched: IdMap<ObjectId, (&'static str, SmallVec<[TaskId; 2]>)>,
    /// The wait that ended last in the poll in progress: where, and for what.
    ended: Option<(Site, Option<ObjectId>)>,
    parkings: u64,
    /// Who took the second of two objects while holding the first.
    orders: IdMap<(ObjectId, ObjectId), TaskId>,
    warned: IdSet<(ObjectId, ObjectId)>,
    /// What was not wrong in this run, and may be in another.
    pub(super) warnings: Vec<String>,
    /// The regions that wait for tasks of theirs, and for how many, when nothing can run.
    pub(super) standing: Vec<(RegionId, usize)>,
    /// Why nothing can run, when nothing can.
    pub(super) knots: Vec<Knot>,
    /// Live tasks.
    pub(super) tasks: Table<TaskId, Task>,
    /// All regions of the run, closed ones too.
    pub(super) regions: Table<RegionId, Region>,
    /// Unsettled obligations.
    pub(super) obligations: Table<ObligationId, Obligation>,
    /// Polls begun.
    pub(super) steps: u64,
}

impl Tree {
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn apply(&mut self, event: &Event<'_>) {
        match *event {
            Event::PollBegin { task, .. } => {
                self.steps += 1;
                self.accessed = None;
                self.ended = None;
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.polled = self.steps;
                }
            }
            Event::TaskSpawned { task, region, name, site, finalizer, .. } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    *if finalizer { &mut region.finalizers } else { &mut region.tasks } += 1;
                }
                let task_facts = Task {
                    region,
                    name: name.map(Into::into),
                    site,
                    finalizer,
                    polled: self.steps,
                    holds: 0,
                    waits: SmallVec::new(),
                    cancelled: false,
                };
                self.tasks.insert(task, task_facts);
            }
            Event::TaskCompleted { task, .. } => {
                if let Some(task) = self.tasks.remove(&task) {
                    if let Some(region) = self.regions.get_mut(&task.region) {
                        let count =
                            if task.finalizer { &mut region.finalizers } else { &mut region.tasks };
                        *count = count.saturating_sub(1);
                    }
                }
            }
            Event::Access { task, object, label, .. } => {
                self.accessed = Some(object);
                if let Some(task) = task {
                    let (_, tasks) = self.touched.entry(object).or_insert((label, SmallVec::new()));
                    if !tasks.contains(&task) {
                        tasks.push(task);
                    }
                }
            }
            Event::WaitParked { task, label, site } => {
                self.parkings += 1;
                let wait = Wait { label, site, object: self.accessed, since: self.parkings };
                if let Some(task) = self.tasks.get_mut(&task) {
                    // At the same place an older one cannot be, or was dropped.
                    task.waits.retain(|known| known.label != label || known.site != site);
                    task.waits.push(wait);
                }
            }
            Event::WaitEnded { task, label, cancelled } => {
                if let Some(task) = self.tasks.get_mut(&task) {
                    let wait = match task.waits.last() {
                        Some(last) if last.label == label => task.waits.pop(),
                        _ => {
                            let at = task.waits.iter().rposition(|wait| wait.label == label);
                            at.map(|at| task.waits.remove(at))
                        }
                    };
                    if let Some(wait) = wait {
                        self.ended = Some((wait.site, wait.object));
                    }
                    task.cancelled |= cancelled;
                }
            }
            Event::TaskCancelTold { task } | Event::BranchClosed { task, dropped: true, .. } => {
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.cancelled = true;
                }
            }
            Event::RegionOpened { region, parent, .. } => {
                if let Some(parent) = parent.and_then(|parent| self.regions.get_mut(&parent)) {
                    parent.regions += 1;
                }
                let facts = Region { parent, tasks: 0, finalizers: 0, regions: 0, closed: false };
                self.regions.insert(region, facts);
            }
            Event::RegionClosed { region, .. } => {
                let parent = self.regions.get_mut(&region).and_then(|region| {
                    let first = !std::mem::replace(&mut region.closed, true);
                    region.parent.filter(|_| first)
                });
                if let Some(parent) = parent.and_then(|parent| self.regions.get_mut(&parent)) {
                    parent.regions = parent.regions.saturating_sub(1);
                }
            }
            Event::ObligationReserved { obligation, task, kind, site } => {
                let ended = self.ended.filter(|(place, _)| *place == site);
                let object = ended.map_or(self.accessed, |(_, object)| object);
                self.note_order(task, object);
                self.obligations.insert(obligation, Obligation { task, kind, site, object });
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.holds += 1;
                }
            }
            Event::ObligationResolved { obligation, .. } => {
                let task = self.obligations.remove(&obligation).map(|obligation| obligation.task);
                if let Some(task) = task.and_then(|task| self.tasks.get_mut(&task)) {
                    task.holds = task.holds.saturating_sub(1);
                }
            }
            _ => {}
        }
    }

    /// Nothing can run: notes which regions that leaves open.
    pub(super) fn stand_still(&mut self) {
        let inside = |region| self.tasks.values().filter(|t| t.region == region).count();
        let open = self.regions.iter().filter(|(_, region)| !region.closed);
        let mut open: Vec<_> = open.map(|(id, _)| (*id, inside(*id))).collect();
        open.retain(|(_, live)| *live > 0);
        open.sort_unstable();
        self.standing = open;
    }

    /// Notes that `task` took `object` while it held others.
    fn note_order(&mut self, task: TaskId, object: Option<ObjectId>) {
        let (Some(object), Some(facts)) = (object, self.tasks.get(&task)) else { return };
        if facts.holds == 0 {
            return;
        }
        let held = self.obligations.values().filter(|o| o.task == task);
        let mut held: Vec<ObjectId> = held.filter_map(|o| o.object).collect();
        held.sort_unstable();
        held.dedup();
        for before in held.into_iter().filter(|before| *before != object) {
            self.orders.entry((before, object)).or_insert(task);
            if let Some(other) = self.orders.get(&(object, before)) {
                if *other != task && self.warned.insert((before.min(object), before.max(object))) {
                    self.warnings.push(format!(
                        "{} takes {} {object} while it holds {} {before}, and {} takes them in the \
                         opposite order: under other timing they wait for each other",
                        self.task_text(task),
                        self.label_of(object),
                        self.label_of(before),
                        self.task_text(*other),
                    ));
                }
            }
        }
    }

    /// What an object is.
    pub(super) fn label_of(&self, object: ObjectId) -> &'static str {
        self.touched.get(&object).map_or("an object", |(label, _)| *label)
    }

    /// A task by id, name and the line that spawned it.
    pub(super) fn task_text(&self, id: TaskId) -> String {
        let Some(task) = self.tasks.get(&id) else { return format!("task {id}") };
        let name = task.name.as_deref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        format!("task {id}{name} (spawned at {})", site_text(task.site))
    }

    pub(super) fn obligation_text(&self, id: ObligationId) -> String {
        let Some(obligation) = self.obligations.get(&id) else { return format!("obligation {id}") };
        format!(
            "{} {id}, taken at {} by {}",
            obligation.kind,
            site_text(obligation.site),
            self.task_text(obligation.task)
        )
    }

    /// Becomes as the other is, keeping memory.
    pub(super) fn set(&mut self, other: &Tree) {
        let Tree { touched, orders, warned, warnings, standing, knots, tasks, .. } = other;
        self.touched.clone_from(touched);
        self.orders.clone_from(orders);
        self.warned.clone_from(warned);
        self.warnings.clone_from(warnings);
        self.standing.clone_from(standing);
        self.knots.clone_from(knots);
        self.tasks.set(tasks);
        self.regions.set(&other.regions);
        self.obligations.set(&other.obligations);
        (self.accessed, self.ended) = (other.accessed, other.ended);
        (self.parkings, self.steps) = (other.parkings, other.steps);
    }

    pub(super) fn clear(&mut self) {
        self.tasks.clear();
        self.regions.clear();
        self.obligations.clear();
        self.steps = 0;
        self.accessed = None;
        self.touched.clear();
        self.ended = None;
        self.parkings = 0;
        self.orders.clear();
        self.warned.clear();
        self.warnings.clear();
        self.standing.clear();
        self.knots.clear();
    }
}

pub(super) fn site_text(site: Site) -> String {
    format!("{}:{}", site.file(), site.line())
}
