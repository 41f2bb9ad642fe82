//! The reference model: the kernel's rules as a plain state machine.
//!
//! No async, no locks, no wakers and no kernel type: tasks, regions and scopes are entries of tables, and a
//! step is a function call. `docs/semantics.md` states the rules in words, each under the
//! [`id`](Rule::id) that fires here. The model does the programs of [`crate::program`] (the steps
//! that [`supports`] names), and says after each step what a kernel's events must show
//! ([`Seen`]) and what the program's log must hold.
//!
//! The model makes no choices: whoever drives it says which runnable task is polled next. Driven by
//! a recorded schedule it predicts that run step by step; driven by [`explore`](explore::ends) it answers
//! all ends that any schedule can lead to.
//!
//! ```
//! use asupersync_conformance::model::Model;
//! use asupersync_conformance::program::{Step, region, spawn};
//! use asupersync_conformance::log::{End, Event};
//!
//! let main = vec![region("r", [spawn("a", [Step::Fail("broken")]), Step::Foreign])];
//! let mut model = Model::new(&main);
//! model.run_to_end(|runnable| runnable[0]);
//! let closed = model.log().iter().find_map(|entry| match &entry.event {
//!     Event::Closed { end, .. } => Some(end.clone()),
//!     _ => None,
//! });
//! assert_eq!(closed, Some(End::Failed("broken".to_owned())));
//! ```
//!
//! # Limitations
//! A task is one line of execution: programs with races, channels or locks inside are not modelled, so the
//! scopes of a task form a stack. Steps are whole polls, as a host with one thread makes them.

mod cancel;
pub mod explore;
pub mod generate;
mod region;
mod rules;
mod seen;
mod task;

pub use rules::{Fired, Rule};
pub use seen::{How, Rank, Seen, cleanup_polls, cleanup_seconds};

use crate::log::{Entry, MAIN, ROOT, Where, Who};
use crate::program::{Body, Name, Policy, Step};
use region::Region;
use seen::{Out, Reason};
use std::collections::{BTreeMap, VecDeque};
use task::{Scope, Task};

/// A task, by the order in which it was admitted; main is 0.
pub type TaskNo = usize;
/// A region, by the order in which it opened; the root is 0.
pub type RegionNo = usize;

/// The state of a program under the rules.
#[derive(Clone, Debug)]
pub struct Model<'p> {
    now: u64,
    tasks: Vec<Task<'p>>,
    regions: Vec<Region<'p>>,
    accounts: Vec<Account>,
    timers: Vec<Timer>,
    due: VecDeque<Timer>,
    /// Timers armed so far.
    armed: u64,
    obligations: usize,
    /// What the program keeps to join and cancel its tasks, by name.
    handles: BTreeMap<Name, Handle>,
    /// Spawns the log has announced, and regions.
    announced: (usize, usize),
    log: Vec<Entry>,
    seen: Vec<Seen>,
    fired: Fired,
    /// Who is being polled.
    running: Option<TaskNo>,
}

#[derive(Clone, Debug)]
enum Handle {
    Of(TaskNo),
    Refused(Reason),
}

/// Who pays, and who is cancelled when it cannot.
#[derive(Clone, Debug)]
struct Account {
    left: u64,
    above: Option<usize>,
    owner: Owner,
}

#[derive(Clone, Copy, Debug)]
enum Owner {
    Task(TaskNo),
    Region(RegionNo),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timer {
    at: u64,
    number: u64,
    fires: Fires,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fires {
    Sleep(TaskNo),
    TaskDeadline(TaskNo),
    TaskCleanup(TaskNo),
    BranchDeadline(TaskNo, u32),
    ScopeCleanup(TaskNo, u32),
    RegionDeadline(RegionNo),
    RegionCleanup(RegionNo),
}

/// Whether the model knows this step, and those in it.
#[must_use]
pub fn supports(step: &Step) -> bool {
    let all = |body: &Body| body.iter().all(supports);
    match step {
        Step::Masked(body)
        | Step::Timeout(_, body)
        | Step::Permit(body, _)
        | Step::Duty(body, _)
        | Step::Defer(body) => all(body),
        Step::OnCancel(body, cleanup) => all(body) && all(cleanup),
        Step::Spawn(task) => all(&task.body),
        Step::Region(region) => all(&region.body),
        Step::Send(_)
        | Step::Receive(_)
        | Step::Lock(..)
        | Step::ReadExact
        | Step::Times(..)
        | Step::Forever(_)
        | Step::Race(_)
        | Step::Abandon(..)
        | Step::BreakPromise
        | Step::ForgetPromise
        | Step::Service(_)
        | Step::SpawnReady(..)
        | Step::Limited(..)
        | Step::Group(_)
        | Step::AskToFinish(_)
        | Step::UntilAsked
        | Step::SendParcel(..)
        | Step::TakeParcel(_)
        | Step::HangUp(_)
        | Step::Identify
        | Step::Narrowed
        | Step::NestedRun => false,
        _ => true,
    }
}

impl<'p> Model<'p> {
    /// The program's main task in a root region that closes when its last child has ended.
    ///
    /// # Panics
    /// When the program has a step that the model does not know.
    #[must_use]
    pub fn new(main: &'p Body) -> Model<'p> {
        assert!(main.iter().all(supports), "the program has a step that the model does not know");
        let mut model = Model {
            now: 0,
            tasks: Vec::new(),
            regions: Vec::new(),
            accounts: Vec::new(),
            timers: Vec::new(),
            due: VecDeque::new(),
            armed: 0,
            obligations: 0,
            handles: BTreeMap::new(),
            announced: (0, 0),
            log: Vec::new(),
            seen: Vec::new(),
            fired: Fired::default(),
            running: None,
        };
        let root = Region::new(None, None, ROOT, Policy::FailFast);
        model.enter_region(root);
        let admitted = model.admit(Task::new(0, MAIN, main), None);
        assert!(admitted.is_ok(), "the root has just opened");
        model.begin_close(0);
        model
    }

    /// The tasks that can be polled next.
    #[must_use]
    pub fn runnable(&self) -> Vec<TaskNo> {
        let tasks = self.tasks.iter().enumerate();
        tasks.filter(|(_, task)| task.is_runnable()).map(|(number, _)| number).collect()
    }

    /// Whether the root is closed: nothing is left of the program.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.regions[0].is_closed()
    }

    /// What happened since this was asked last.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// What the program wrote to its log.
    #[must_use]
    pub fn log(&self) -> &[Entry] {
        &self.log
    }

    /// How often each rule has fired.
    #[must_use]
    pub fn fired(&self) -> &Fired {
        &self.fired
    }

    /// Virtual time, in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How the main task ended, and what the root reports: stragglers and leaks.
    #[must_use]
    pub fn result(&self) -> (Option<crate::log::End>, usize, usize) {
        let root = &self.regions[0];
        (self.tasks[0].out.as_ref().map(Out::end), root.stragglers.len(), root.leaks)
    }

    /// When the earliest armed timer is due.
    #[must_use]
    pub fn next_timer(&self) -> Option<u64> {
        self.timers.iter().map(|timer| timer.at).min()
    }

    /// `R-TICK`: nothing can run, and the clock goes to the next timer. False when none is armed.
    pub fn tick(&mut self) -> bool {
        let Some(at) = self.next_timer() else { return false };
        self.fire(Rule::Tick);
        self.now = self.now.max(at);
        true
    }

    /// Fires every timer that is due, the earliest first. Answers how many there were.
    pub fn fire_due(&mut self) -> usize {
        let mut count = 0;
        loop {
            if self.due.is_empty() {
                let now = self.now;
                let (mut due, later) = std::mem::take(&mut self.timers)
                    .into_iter()
                    .partition::<Vec<_>, _>(|t| t.at <= now);
                self.timers = later;
                due.sort_by_key(|timer| (timer.at, timer.number));
                self.due = due.into();
            }
            let Some(timer) = self.due.pop_front() else { return count };
            count += 1;
            self.act(timer.fires);
        }
    }

    /// `R-STALL`: the host gives the run up; everything is cancelled and dropped.
    pub fn give_up(&mut self) {
        self.fire(Rule::Stall);
        let reason =
            Reason::new(crate::log::Cause::Shutdown, self.now, Some(std::time::Duration::ZERO));
        self.cancel_region(0, reason, region::Origin::Outside);
        self.escalate_all(0);
    }

    /// Drives the program to its end; `choose` picks one of the runnable tasks.
    pub fn run_to_end(&mut self, mut choose: impl FnMut(&[TaskNo]) -> TaskNo) {
        let mut given_up = false;
        loop {
            self.fire_due();
            let runnable = self.runnable();
            if !runnable.is_empty() {
                self.poll(choose(&runnable));
            } else if self.is_over() {
                return;
            } else if !self.tick() {
                assert!(!given_up, "the model is stuck after everything was dropped");
                given_up = true;
                self.give_up();
            }
        }
    }

    fn fire(&mut self, rule: Rule) {
        self.fired.note(rule);
    }

    fn see(&mut self, seen: Seen) {
        self.seen.push(seen);
    }

    fn write(&mut self, who: Who, event: crate::log::Event) {
        self.log.push(Entry { who, event });
    }

    fn arm(&mut self, at: u64, fires: Fires) -> u64 {
        self.armed += 1;
        let number = self.armed;
        self.timers.push(Timer { at, number, fires });
        number
    }

    /// One that is due already fires all the same.
    fn disarm(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.timers.retain(|timer| timer.number != number);
        }
    }

    fn act(&mut self, fires: Fires) {
        let timeout = Reason::new(crate::log::Cause::Timeout, self.now, None);
        match fires {
            Fires::Sleep(task) => self.wake(task),
            Fires::TaskDeadline(task) => {
                self.fire(Rule::DeadlineTask);
                self.cancel_alone(task, timeout, false);
            }
            Fires::TaskCleanup(task) => self.escalate_task(task),
            Fires::BranchDeadline(task, serial) => {
                self.fire(Rule::DeadlineBranch);
                self.cancel_scope(task, serial, timeout);
            }
            Fires::ScopeCleanup(task, serial) => self.escalate_scope(task, serial),
            Fires::RegionDeadline(region) => {
                self.fire(Rule::DeadlineRegion);
                self.cancel_region(region, timeout, region::Origin::Outside);
            }
            Fires::RegionCleanup(region) => self.escalate_region(region),
        }
    }

    fn announce_spawn(&mut self, by: Who, name: Name, region: Where) -> Who {
        self.announced.0 += 1;
        let who = Who { name, number: self.announced.0, region };
        self.write(by, crate::log::Event::Spawned(who));
        who
    }

    fn announce_region(&mut self, by: Who, name: Name) -> Where {
        self.announced.1 += 1;
        let region = Where { name, number: self.announced.1 };
        self.write(by, crate::log::Event::Opened(region));
        region
    }
}

/// What a join answers when it gives no outcome; a runtime's own words differ.
const REFUSED: &str = "refused";

/// The tighter of two limits.
fn tighter(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().min()
}

/// Whether a scope's own limit is worth a timer: it comes before the one around it.
fn earlier(own: Option<u64>, above: Option<u64>) -> Option<u64> {
    own.filter(|own| above.is_none_or(|above| *own < above))
}

fn scope_mut<'a>(task: &'a mut Task<'_>, serial: u32) -> Option<&'a mut Scope> {
    task.scopes_mut().find(|scope| scope.serial == serial)
}
