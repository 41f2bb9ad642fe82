//! Who holds what, from when to when, and who waits for it meanwhile.
//!
//! A guard or a permit is an obligation. Which object it is of, the events tell as they tell the lab's oracles: the one
//! that was waited for where the obligation was taken, or else the one touched last. The lab's own mutex takes no
//! obligation; there every second write gives back what the one before took.

use super::Model;
use asupersync_core::event::Access;
use asupersync_core::{ObjectId, ObligationId, TaskId};
use asupersync_trace::{Event, SiteId, StrId, Trace};
use std::collections::BTreeMap;

/// A task holds something.
pub(crate) struct Hold {
    /// A position in the model's tasks.
    pub(crate) task: usize,
    /// The step in which it was taken.
    pub(crate) from: usize,
    /// The step in which it was given back, if it was.
    pub(crate) to: Option<usize>,
    pub(crate) name: String,
    /// The line that took it; empty where the events do not say.
    pub(crate) site: String,
    object: Option<ObjectId>,
}

/// A task waits for what another holds, or it itself.
pub(crate) struct Wait {
    pub(crate) task: usize,
    /// The steps between which it waits.
    pub(crate) from: usize,
    pub(crate) to: Option<usize>,
    /// A position in the model's holds.
    pub(crate) hold: usize,
}

const LAB_MUTEX: &str = "lab::Mutex";
const YIELD: &str = "yield_now";

#[derive(Default)]
pub(super) struct Holds {
    holds: Vec<Hold>,
    open: BTreeMap<ObligationId, usize>,
    /// The last object touched in this step, and the wait that ended in it last.
    accessed: Option<(ObjectId, StrId)>,
    ended: Option<(SiteId, Option<ObjectId>)>,
    /// The open waits of each task.
    parked: BTreeMap<TaskId, Vec<(StrId, SiteId, Option<ObjectId>)>>,
    /// What a task waits for after its step.
    waited: Vec<(usize, ObjectId)>,
    mutexes: BTreeMap<ObjectId, Mutex>,
    yielded: bool,
}

/// A mutex of the lab.
struct Mutex {
    /// The steps that wrote it.
    writes: Vec<usize>,
    /// The first of them came at once after a yield, as a taking does.
    may_begin_taken: bool,
}

impl Holds {
    pub(super) fn take(&mut self, trace: &Trace, event: &Event, model: &Model) {
        let Some(now) = model.polls.len().checked_sub(1) else { return };
        let tables = trace.tables();
        let yielded = std::mem::take(&mut self.yielded);
        match *event {
            Event::PollBegin { .. } => (self.accessed, self.ended) = (None, None),
            Event::Access { object, access, label, .. } => {
                self.accessed = Some((object, label));
                if access == Access::Write && tables.text(label) == LAB_MUTEX {
                    let new = Mutex { writes: Vec::new(), may_begin_taken: yielded };
                    self.mutexes.entry(object).or_insert(new).writes.push(now);
                }
            }
            Event::WaitParked { task, label, site } => {
                let waits = self.parked.entry(task).or_default();
                waits.retain(|(l, s, _)| (*l, *s) != (label, site));
                // A task that sleeps, or waits for its children, may have touched anything before.
                let subject = |label| tables.text(label).split("::").next();
                let object = self.accessed.filter(|(_, of)| subject(*of) == subject(label));
                let object = object.map(|(object, _)| object);
                waits.push((label, site, object));
                self.waited.extend(object.map(|object| (now, object)));
            }
            Event::WaitEnded { task, label, .. } => {
                self.yielded = tables.text(label) == YIELD;
                let waits = self.parked.entry(task).or_default();
                if let Some(at) = waits.iter().rposition(|(known, ..)| *known == label) {
                    let (_, site, object) = waits.remove(at);
                    self.ended = Some((site, object));
                }
            }
            Event::ObligationReserved { obligation, task, kind, site } => {
                let Some(task) = model.lane(task) else { return };
                let ended = self.ended.filter(|(place, _)| *place == site);
                let object =
                    ended.map_or(self.accessed.map(|(object, _)| object), |(_, object)| object);
                let mut name = tables.text(kind).to_owned();
                if let Some(object) = object {
                    name.push_str(&format!(" {object}"));
                }
                let site = tables.site(site);
                let site =
                    site.map(|s| format!("{}:{}", tables.text(s.file), s.line)).unwrap_or_default();
                self.open.insert(obligation, self.holds.len());
                self.holds.push(Hold { task, from: now, to: None, name, site, object });
            }
            Event::ObligationResolved { obligation, .. } => {
                if let Some(hold) = self.open.remove(&obligation) {
                    self.holds[hold].to = Some(now);
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(mut self, model: &Model) -> (Vec<Hold>, Vec<Wait>) {
        let steps = model.steps_of_tasks();
        for (object, mutex) in std::mem::take(&mut self.mutexes) {
            let taken = mutex.taken(model);
            for pair in taken.chunks(2) {
                let (from, to) = (pair[0], pair.get(1).copied());
                let task = model.polls[from].task;
                let name = format!("{LAB_MUTEX} {object}");
                let site = String::new();
                self.holds.push(Hold { task, from, to, name, site, object: Some(object) });
                // Its waiters take no steps: they wait from the step before the one that takes it.
                let before = steps[task].partition_point(|step| *step < from);
                if let Some(before) = before.checked_sub(1) {
                    self.waited.push((steps[task][before], object));
                }
            }
        }
        let mut by_object: BTreeMap<ObjectId, Vec<usize>> = BTreeMap::new();
        for (at, hold) in self.holds.iter().enumerate() {
            by_object.entry(hold.object.unwrap_or(ObjectId::from_bits(0))).or_default().push(at);
        }
        let mut waits = Vec::new();
        self.waited.sort_unstable();
        self.waited.dedup();
        for (from, object) in self.waited {
            let task = model.polls[from].task;
            let next = steps[task].partition_point(|step| *step <= from);
            let to = steps[task].get(next).copied();
            let holds = by_object.get(&object).map_or(&[][..], Vec::as_slice);
            let overlaps = |hold: &&usize| {
                let hold = &self.holds[**hold];
                to.is_none_or(|to| hold.from < to) && hold.to.is_none_or(|to| to > from)
            };
            if let Some(hold) = holds.iter().find(overlaps).copied() {
                waits.push(Wait { task, from, to, hold });
            }
        }
        (self.holds, waits)
    }
}

impl Mutex {
    /// The steps that take it and give it back, in turns. The first write is its making, unless what was written comes in
    /// pairs of one task each only from there: then it was made before the run.
    fn taken(&self, model: &Model) -> &[usize] {
        let fits = |writes: &[usize]| {
            let task = |step: usize| model.polls[step].task;
            writes.chunks(2).all(|pair| pair.len() == 1 || task(pair[0]) == task(pair[1]))
        };
        let made = self.writes.get(1..).unwrap_or_default();
        match self.may_begin_taken && fits(&self.writes) && !fits(made) {
            true => &self.writes,
            false => made,
        }
    }
}
