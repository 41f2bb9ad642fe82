//! A run of the lab as steps of the TLA+ model (`formal/Kernel.tla`): what its trace shows, in the model's actions
//! and numbers.

use crate::interpreter::{BODY_DROPPED, MASKED, TASK_DROPPED, UNMASKED};
use asupersync_core::event::Resolution;
use asupersync_core::{CancelKind, DetHashMap, ObligationId, RegionId, TaskId};
use asupersync_trace::{Event, Tables, Trace};

/// The sizes that the model is given: what may be alive at a time.
pub(crate) const REGIONS: usize = 8;
pub(crate) const TASKS: usize = 12;
pub(crate) const PERMITS: usize = 8;
pub(crate) const DUTIES: usize = 8;

macro_rules! actions {
    ($($name:ident = $code:literal,)*) => {
        /// The actions of the model, by the codes that `formal/Trace.tla` takes apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum Action { $($name = $code),* }

        impl Action {
            pub(crate) const ALL: &[Action] = &[$(Action::$name),*];
        }
    };
}

actions! {
    Spawn = 1,
    Open = 2,
    BodyEnd = 3,
    DropRegion = 4,
    DropBody = 5,
    Defer = 6,
    Mask = 7,
    Reserve = 8,
    Settle = 9,
    Complete = 10,
    CancelRegion = 11,
    InheritRegion = 12,
    CancelTask = 13,
    InheritTask = 14,
    DropTask = 15,
    DropFinalizer = 16,
    Finalize = 17,
    StartFinalizer = 18,
    LeakDuty = 19,
    Close = 20,
    GiveUp = 21,
}

/// A step of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) action: Action,
    arguments: [usize; 3],
}

impl Step {
    /// As one number.
    pub(crate) fn code(self) -> usize {
        let [a, b, c] = self.arguments;
        self.action as usize + 32 * (a + 64 * (b + 64 * c))
    }
}

/// Why a run cannot be told in the model's actions.
#[derive(Debug)]
pub(crate) enum Untold {
    /// More is alive at a time than the model is given numbers for.
    TooLarge,
    /// The trace is not one of a kernel.
    Odd(String),
}

/// The run's steps.
pub(crate) fn steps(trace: &Trace) -> Result<Vec<Step>, Untold> {
    let mut teller = Teller::new(trace.tables());
    let events = trace.events();
    for at in 0..events.len() {
        if matches!(events[at], Event::Abandoned { .. }) {
            teller.step(Action::GiveUp, &[]);
            break;
        }
        teller.tell(&events[at], &events[at + 1..])?;
    }
    Ok(teller.steps)
}

struct Task {
    number: usize,
    region: RegionId,
    is_finalizer: bool,
    /// How many masks it is in.
    masks: usize,
    branches: usize,
    /// Its future was dropped in place of being polled to its end.
    dropped: bool,
    /// Regions whose bodies it is in, the innermost last.
    bodies: Vec<RegionId>,
}

struct Region {
    number: usize,
    opener: Option<TaskId>,
    /// A branch of the opener was open around it: it may be cancelled with that.
    in_branch: bool,
    is_open: bool,
    is_finalizing: bool,
    body_dropped: bool,
    abandoned: bool,
}

struct Teller<'t> {
    tables: &'t Tables,
    tasks: DetHashMap<TaskId, Task>,
    regions: DetHashMap<RegionId, Region>,
    /// Their numbers, and for a duty the region that has it in its ledger.
    obligations: DetHashMap<ObligationId, (usize, RegionId)>,
    steps: Vec<Step>,
}

impl<'t> Teller<'t> {
    fn new(tables: &'t Tables) -> Teller<'t> {
        Teller {
            tables,
            tasks: DetHashMap::default(),
            regions: DetHashMap::default(),
            obligations: DetHashMap::default(),
            steps: Vec::new(),
        }
    }

    fn step(&mut self, action: Action, arguments: &[usize]) {
        let mut padded = [0; 3];
        padded[..arguments.len()].copy_from_slice(arguments);
        self.steps.push(Step { action, arguments: padded });
    }

    fn task(&mut self, id: TaskId) -> Result<&mut Task, Untold> {
        self.tasks.get_mut(&id).ok_or_else(|| Untold::Odd(format!("{id} does not live")))
    }

    fn region(&mut self, id: RegionId) -> Result<&mut Region, Untold> {
        self.regions.get_mut(&id).ok_or_else(|| Untold::Odd(format!("{id} does not exist")))
    }

    fn tell(&mut self, event: &Event, next: &[Event]) -> Result<(), Untold> {
        use Action as A;
        match *event {
            Event::TaskSpawned { task, region, by, finalizer, .. } => {
                let into = self.region(region)?.number;
                let number = if finalizer {
                    TASKS + into
                } else {
                    let used = self.tasks.values().filter(|task| !task.is_finalizer);
                    free(used.map(|task| task.number), TASKS)?
                };
                if let (Some(by), false) = (by, finalizer) {
                    let by = self.task(by)?.number;
                    self.step(A::Spawn, &[by, number, into]);
                }
                let made = Task {
                    number,
                    region,
                    is_finalizer: finalizer,
                    masks: usize::from(finalizer),
                    branches: 0,
                    dropped: false,
                    bodies: Vec::new(),
                };
                self.tasks.insert(task, made);
            }
            Event::RegionOpened { region, parent, by, .. } => {
                let number = free(self.regions.values().map(|region| region.number), REGIONS)?;
                let mut in_branch = false;
                if let (Some(by), Some(parent)) = (by, parent) {
                    let parent = self.region(parent)?.number;
                    let task = self.task(by)?;
                    in_branch = task.branches > 0;
                    task.bodies.push(region);
                    let by = task.number;
                    self.step(A::Open, &[by, number, parent]);
                }
                let made = Region {
                    number,
                    opener: by,
                    in_branch,
                    is_open: true,
                    is_finalizing: false,
                    body_dropped: false,
                    abandoned: false,
                };
                self.regions.insert(region, made);
            }
            Event::RegionClosing { region: id } => {
                let region = self.region(id)?;
                let number = region.number;
                // One whose future was dropped has ended with that.
                if std::mem::replace(&mut region.is_open, false) {
                    let action = if region.body_dropped { A::DropBody } else { A::BodyEnd };
                    self.step(action, &[number]);
                }
                self.leave(id);
            }
            Event::RegionAbandoned { region: id } => {
                let region = self.region(id)?;
                (region.is_open, region.abandoned) = (false, true);
                let number = region.number;
                self.step(A::DropRegion, &[number]);
                self.leave(id);
            }
            Event::FinalizerDeferred { region, .. } => {
                let number = self.region(region)?.number;
                self.step(A::Defer, &[number]);
            }
            Event::RegionFinalizing { region } => self.finalize(region)?,
            Event::FinalizerStarted { region, .. } => {
                let number = self.region(region)?.number;
                self.step(A::StartFinalizer, &[number]);
            }
            Event::RegionClosed { region, .. } => {
                self.finalize(region)?;
                let number = self.region(region)?.number;
                self.step(A::Close, &[number]);
                self.regions.remove(&region);
            }
            Event::RegionCancelRequested { region: id, kind, severity } => {
                let region = self.region(id)?;
                let own = severity == CancelKind::ParentCancelled;
                // What was dropped is cancelled by that.
                if region.abandoned && own {
                    return Ok(());
                }
                let inherited = kind == CancelKind::ParentCancelled && !region.in_branch;
                let action = if inherited { A::InheritRegion } else { A::CancelRegion };
                let number = region.number;
                self.step(action, &[number, rank(severity)]);
            }
            Event::TaskCancelRequested { task, kind, severity } => {
                let task = self.task(task)?;
                // A finalizer is masked, and bounded in another way.
                if !task.is_finalizer {
                    let inherited = kind == CancelKind::ParentCancelled;
                    let action = if inherited { A::InheritTask } else { A::CancelTask };
                    let number = task.number;
                    self.step(action, &[number, rank(severity)]);
                }
            }
            Event::TaskEscalated { task } => self.task(task)?.dropped = true,
            Event::TaskCompleted { task: id, .. } => {
                let Task { number, is_finalizer, dropped, .. } = *self.task(id)?;
                let action = match (dropped, is_finalizer) {
                    (false, _) => A::Complete,
                    (true, false) => A::DropTask,
                    (true, true) => A::DropFinalizer,
                };
                self.step(action, &[number]);
                self.tasks.remove(&id);
            }
            Event::BranchOpened { task, .. } => self.task(task)?.branches += 1,
            Event::BranchClosed { task, .. } => self.task(task)?.branches -= 1,
            Event::ObligationReserved { obligation, task, kind, .. } => {
                let is_permit = self.tables.text(kind) == "permit";
                let (start, many) = if is_permit { (0, PERMITS) } else { (PERMITS, DUTIES) };
                let used = self.obligations.values().map(|(number, _)| *number);
                let used = used.filter(|number| (start..start + many).contains(number));
                let number = start + free(used.map(|number| number - start), many)?;
                let task = self.task(task)?;
                let (by, book) = (task.number, *task.bodies.last().unwrap_or(&task.region));
                self.step(A::Reserve, &[number, by]);
                self.obligations.insert(obligation, (number, book));
            }
            Event::ObligationResolved { obligation, how, .. } => {
                let Some((number, book)) = self.obligations.remove(&obligation) else {
                    return Err(Untold::Odd(format!("{obligation} was never taken on")));
                };
                if how == Resolution::Leaked && closes_over(book, next) {
                    self.finalize(book)?;
                    self.step(A::LeakDuty, &[number]);
                } else {
                    self.step(A::Settle, &[number]);
                }
            }
            Event::User { task, message } => self.marked(task, message)?,
            _ => {}
        }
        Ok(())
    }

    fn marked(&mut self, id: TaskId, message: asupersync_trace::StrId) -> Result<(), Untold> {
        let message = self.tables.text(message);
        let task = self.task(id)?;
        let number = task.number;
        match message {
            MASKED => {
                task.masks += 1;
                // The model has the outermost mask only; those inside hide nothing that it does not.
                if task.masks == 1 {
                    self.step(Action::Mask, &[number, 1]);
                }
            }
            UNMASKED => {
                task.masks -= 1;
                if task.masks == 0 {
                    self.step(Action::Mask, &[number, 0]);
                }
            }
            BODY_DROPPED => {
                let innermost = task.bodies.last().copied();
                if let Some(region) = innermost {
                    self.region(region)?.body_dropped = true;
                }
            }
            TASK_DROPPED => task.dropped = true,
            _ => {}
        }
        Ok(())
    }

    /// The region begins to finalize, unless it has; one without finalizers says nothing of it.
    fn finalize(&mut self, id: RegionId) -> Result<(), Untold> {
        let region = self.region(id)?;
        let number = region.number;
        if !std::mem::replace(&mut region.is_finalizing, true) {
            self.step(Action::Finalize, &[number]);
        }
        Ok(())
    }

    /// The region's body is over.
    fn leave(&mut self, id: RegionId) {
        let opener = self.regions.get(&id).and_then(|region| region.opener);
        if let Some(task) = opener.and_then(|opener| self.tasks.get_mut(&opener)) {
            task.bodies.retain(|body| *body != id);
        }
    }
}

/// Whether what follows is the close of this very region, with no more than other leaks before it.
fn closes_over(region: RegionId, next: &[Event]) -> bool {
    let after = next
        .iter()
        .find(|event| !matches!(event, Event::ObligationResolved { how: Resolution::Leaked, .. }));
    matches!(after, Some(Event::RegionClosed { region: closed, .. }) if *closed == region)
}

/// The lowest number that is not used.
fn free(used: impl Iterator<Item = usize>, bound: usize) -> Result<usize, Untold> {
    let used: Vec<usize> = used.collect();
    (0..bound).find(|number| !used.contains(number)).ok_or(Untold::TooLarge)
}

/// A severity in the model's numbers; 0 is none.
pub(crate) fn rank(severity: CancelKind) -> usize {
    CancelKind::ALL.iter().position(|kind| *kind == severity).unwrap_or_default() + 1
}
