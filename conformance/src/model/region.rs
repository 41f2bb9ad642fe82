//! Regions: opening, closing in order, and what they come to.

use super::seen::{Out, Rank, Reason, Seen};
use super::task::{Frame, Task};
use super::{Account, Fires, Model, Owner, RegionNo, Rule, TaskNo, earlier, tighter};
use crate::log::{Cause, Event, Where, Who};
use crate::program::{self, Body, Policy};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closing,
    Draining,
    Finalizing,
    Closed,
}

/// Who caused a cancellation, as far as the outcome is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Itself,
    Outside,
}

#[derive(Clone, Debug)]
pub(super) struct Region<'p> {
    pub(super) parent: Option<RegionNo>,
    /// The task whose future the body is, and the body's scope; none once that is gone.
    pub(super) opener: Option<(TaskNo, u32)>,
    pub(super) place: Where,
    policy: Policy,
    pub(super) state: State,
    pub(super) cancel: Option<Reason>,
    pub(super) origin: Origin,
    pub(super) deadline: Option<u64>,
    /// When a deadline will cancel it.
    pub(super) due: Option<u64>,
    pub(super) polls: Option<u32>,
    pub(super) account: Option<usize>,
    pub(super) tasks: Vec<TaskNo>,
    pub(super) regions: Vec<RegionNo>,
    finalizers: Vec<(u32, &'p Body, Who)>,
    deferred: u32,
    /// Open duties.
    pub(super) ledger: Vec<usize>,
    /// Open permits that ended tasks have left.
    pub(super) permits: usize,
    failed: Vec<TaskNo>,
    cancelled: Vec<(TaskNo, Reason)>,
    pub(super) stragglers: Vec<(TaskNo, String)>,
    pub(super) leaks: usize,
    deadline_timer: Option<u64>,
    pub(super) cleanup_timer: Option<u64>,
    pub(super) escalated: bool,
    /// The task that waits for the close.
    pub(super) waiter: Option<TaskNo>,
}

impl Region<'_> {
    pub(super) fn new(
        parent: Option<RegionNo>,
        opener: Option<(TaskNo, u32)>,
        place: Where,
        policy: Policy,
    ) -> Self {
        Region {
            parent,
            opener,
            place,
            policy,
            state: State::Open,
            cancel: None,
            origin: Origin::Itself,
            deadline: None,
            due: None,
            polls: None,
            account: None,
            tasks: Vec::new(),
            regions: Vec::new(),
            finalizers: Vec::new(),
            deferred: 0,
            ledger: Vec::new(),
            permits: 0,
            failed: Vec::new(),
            cancelled: Vec::new(),
            stragglers: Vec::new(),
            leaks: 0,
            deadline_timer: None,
            cleanup_timer: None,
            escalated: false,
            waiter: None,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The body has ended and nobody is left.
    fn may_advance(&self) -> bool {
        let ending = matches!(self.state, State::Closing | State::Draining | State::Finalizing);
        ending && self.tasks.is_empty() && self.regions.is_empty()
    }
}

impl<'p> Model<'p> {
    pub(super) fn enter_region(&mut self, region: Region<'p>) -> RegionNo {
        let number = self.regions.len();
        let (parent, by) = (region.parent, region.opener.map(|(task, _)| task));
        self.regions.push(region);
        if let Some(parent) = parent {
            self.regions[parent].regions.push(number);
        }
        self.see(Seen::RegionOpened { region: number, parent, by });
        number
    }

    /// `R-REGION-OPEN`: opens a region whose body is part of this task's.
    pub(super) fn open(&mut self, by: TaskNo, step: &'p program::Region) {
        self.fire(Rule::RegionOpen);
        let place = self.announce_region(self.tasks[by].who, step.name);
        let task = &mut self.tasks[by];
        let parent = task.enclosing_region().unwrap_or(task.region);
        let inherited = task.branch_deadline();
        let (branches, within, masked) = task.reached_by();
        let (own_deadline, own_polls) = (task.own_deadline, task.own_polls);
        let in_own = parent == task.region;
        let serial = task.next_serial();
        let above = &self.regions[parent];
        let account = self.tasks[by].account.filter(|_| in_own).or(above.account);
        let above_deadline = tighter(above.deadline, tighter(own_deadline, inherited));
        let own = step.limits.time.map(|time| self.now + super::seen::nanos(time));
        let mut region = Region::new(Some(parent), Some((by, serial)), place, step.policy);
        region.deadline = tighter(own, above_deadline);
        region.polls = [step.limits.polls, above.polls, own_polls].into_iter().flatten().min();
        region.account = account;
        let around = match within {
            Some(region) => self.regions[region].due,
            None if masked => None,
            None => self.regions[parent].due,
        };
        let around = tighter(tighter(branches, around), own_deadline.filter(|_| !masked));
        region.due = tighter(own, around);
        let armed = earlier(own, around);
        let number = self.enter_region(region);
        if let Some(units) = step.limits.cost {
            self.accounts.push(Account {
                left: units,
                above: account,
                owner: Owner::Region(number),
            });
            self.regions[number].account = Some(self.accounts.len() - 1);
        }
        if let Some(at) = armed {
            let timer = self.arm(at, Fires::RegionDeadline(number));
            self.regions[number].deadline_timer = Some(timer);
        }
        let frame = Frame::region(serial, number);
        self.tasks[by].frames.push(frame);
        let depth = self.tasks[by].frames.len();
        if self.tasks[by].effective(depth).is_some() {
            self.cancel_opened(by);
        }
        self.tasks[by].frames.push(Frame::steps(&step.body));
    }

    /// `R-SPAWN` and `R-REFUSE`. Admission and the region's state are looked at in one step.
    pub(super) fn admit(&mut self, task: Task<'p>, by: Option<TaskNo>) -> Result<TaskNo, Reason> {
        let region = task.region;
        let here = &self.regions[region];
        let admits = matches!(here.state, State::Open | State::Closing) && here.cancel.is_none();
        if !admits {
            self.fire(Rule::Refuse);
            self.see(Seen::Refused { region, by });
            return Err(self.reason_of(region));
        }
        self.fire(Rule::Spawn);
        Ok(self.enter_task(task, by, false))
    }

    pub(super) fn reason_of(&self, region: RegionNo) -> Reason {
        let closed = Reason::new(Cause::Parent, self.now, None);
        self.regions[region].cancel.unwrap_or(closed)
    }

    fn enter_task(&mut self, task: Task<'p>, by: Option<TaskNo>, finalizer: bool) -> TaskNo {
        let (number, region) = (self.tasks.len(), task.region);
        self.tasks.push(task);
        self.regions[region].tasks.push(number);
        self.see(Seen::Spawned { task: number, region, by, finalizer });
        number
    }

    /// `R-DEFER`. A region that finalizes already drops it.
    pub(super) fn defer(&mut self, number: RegionNo, body: &'p Body, who: Who) {
        let region = &mut self.regions[number];
        if matches!(region.state, State::Finalizing | State::Closed) {
            return;
        }
        let ordinal = region.deferred;
        region.deferred += 1;
        region.finalizers.push((ordinal, body, who));
        self.fire(Rule::Defer);
        self.see(Seen::Deferred { region: number, ordinal });
    }

    /// A task has published its outcome: its region takes note.
    pub(super) fn child_ended(&mut self, task: TaskNo, rank: Rank, counts: Option<Reason>) {
        let number = self.tasks[task].region;
        let permits = std::mem::take(&mut self.tasks[task].forgotten_permits);
        let failed = matches!(rank, Rank::Err | Rank::Panicked);
        let region = &mut self.regions[number];
        region.tasks.retain(|child| *child != task);
        region.permits += permits;
        if failed {
            region.failed.push(task);
        }
        region.cancelled.extend(counts.map(|reason| (task, reason)));
        let cancels = failed
            && region.policy == Policy::FailFast
            && region.state != State::Finalizing
            && region.cancel.is_none();
        if cancels {
            self.fire(Rule::FailFast);
            let reason = Reason::new(Cause::FailFast, self.now, None);
            self.cancel_region(number, reason, Origin::Itself);
        }
        self.advance(number);
    }

    /// The body has ended; the region closes when its children have.
    pub(super) fn begin_close(&mut self, number: RegionNo) {
        let region = &mut self.regions[number];
        if region.state != State::Open {
            return;
        }
        region.state = if region.cancel.is_some() { State::Draining } else { State::Closing };
        self.fire(Rule::Closing);
        self.see(Seen::RegionClosing { region: number });
        self.advance(number);
    }

    /// Takes the close as far as it goes, here and in the regions around.
    pub(super) fn advance(&mut self, number: RegionNo) {
        let region = &mut self.regions[number];
        if !region.may_advance() {
            return;
        }
        let entered = region.state != State::Finalizing;
        region.state = State::Finalizing;
        let Some((ordinal, body, who)) = region.finalizers.pop() else {
            return self.close(number);
        };
        if entered {
            let stale = region.cleanup_timer.take();
            self.disarm(stale);
            self.see(Seen::RegionFinalizing { region: number });
        }
        // For each anew: one that overran must not leave those after it without a bound.
        self.arm_region_cleanup(number);
        self.fire(Rule::Finalizer);
        let mut task = Task::new(number, who, body);
        let severity = self.regions[number].cancel.map_or(Cause::User, |reason| reason.severity);
        task.polls_left = Some(super::cleanup_polls(severity));
        task.masked = true;
        task.name = "finalizer";
        task.is_announced = false;
        let task = self.enter_task(task, None, true);
        self.see(Seen::FinalizerStarted { region: number, ordinal, task });
    }

    /// `R-CLOSED`: the books are made, and the parent may be next.
    fn close(&mut self, number: RegionNo) {
        self.fire(Rule::Closed);
        let region = &mut self.regions[number];
        region.opener = None;
        region.state = State::Closed;
        let duties = std::mem::take(&mut region.ledger);
        let permits = std::mem::take(&mut region.permits);
        let timers = [region.deadline_timer.take(), region.cleanup_timer.take()];
        let (parent, waiter) = (region.parent, region.waiter.take());
        let mut unresolved = duties.len();
        for obligation in duties {
            self.fire(Rule::LeakDuty);
            self.see(Seen::Resolved { obligation, how: super::How::Leaked });
        }
        match parent {
            Some(parent) if permits > 0 => {
                self.fire(Rule::Rehome);
                self.regions[parent].permits += permits;
            }
            None => {
                for _ in 0..permits {
                    self.fire(Rule::LeakPermit);
                }
                unresolved += permits;
            }
            Some(_) => {}
        }
        self.regions[number].leaks += unresolved;
        for timer in timers {
            self.disarm(timer);
        }
        let unresolved = unresolved as u32;
        self.see(Seen::RegionClosed { region: number, live: 0, unresolved });
        if let Some(waiter) = waiter {
            self.wake(waiter);
        }
        if let Some(parent) = parent {
            // The books go up: what went wrong beneath is in every report above.
            let (stragglers, leaks) = {
                let region = &self.regions[number];
                (region.stragglers.clone(), region.leaks)
            };
            let above = &mut self.regions[parent];
            above.stragglers.extend(stragglers);
            above.leaks += leaks;
            above.regions.retain(|child| *child != number);
            self.advance(parent);
        }
    }

    /// A duty was dropped: the region it was taken on in reports it, or whoever is left above.
    pub(super) fn record_leak(&mut self, region: RegionNo) {
        let mut number = region;
        while let (true, Some(parent)) =
            (self.regions[number].is_closed(), self.regions[number].parent)
        {
            number = parent;
        }
        self.regions[number].leaks += 1;
    }

    /// `R-ABANDON`: the region's future is gone; it is cancelled and closes without it.
    pub(super) fn abandon_region(&mut self, number: RegionNo, scope_escalated: bool) {
        if self.regions[number].opener.take().is_none() {
            return;
        }
        self.fire(Rule::Abandon);
        let escalated = self.regions[number].escalated || scope_escalated;
        let reason = Reason::new(Cause::Parent, self.now, None);
        self.cancel_region(number, reason, Origin::Itself);
        if escalated {
            self.escalate_region(number);
        }
        self.begin_close(number);
    }

    /// What a closed region comes to: the body's end joined with what the children left.
    pub(super) fn outcome(&mut self, number: RegionNo, body: Out) -> Out {
        let failed = std::mem::take(&mut self.regions[number].failed);
        let mut failures: Vec<Out> = Vec::new();
        for task in failed {
            let task = &mut self.tasks[task];
            if !std::mem::replace(&mut task.claimed, true) {
                failures.extend(task.out.clone());
            }
        }
        let region = &self.regions[number];
        let outside = region.cancel.filter(|_| region.origin == Origin::Outside);
        let last = region.cancel;
        let child = region.cancelled.iter().find(|(task, _)| !self.tasks[*task].claimed);
        let child = child
            .map(|(_, reason)| *reason)
            .filter(|reason| reason.kind != Cause::Parent || outside.is_some());
        let fail_fast = region.policy == Policy::FailFast;
        let mut out = body;
        let mut rule = Rule::OutcomeBody;
        // The body was cancelled only because a child failed: then that is the outcome.
        let caused = fail_fast && out.rank() == Rank::Cancelled && outside.is_none();
        let panicked = failures.iter().find(|out| out.rank() == Rank::Panicked);
        if let Some(worst) = panicked.or(failures.first()) {
            if caused || worst.rank() > out.rank() {
                rule = Rule::OutcomeChild;
                out = worst.clone();
            }
        }
        if let Some(reason) = child.filter(|_| out.rank() < Rank::Cancelled) {
            rule = Rule::OutcomeCancelled;
            out = Out::Cancelled(outside.unwrap_or(reason));
        }
        if let (Out::Cancelled(reason), Some(last)) = (&out, last) {
            if last.strengthens(Some(*reason)) {
                rule = Rule::OutcomeStronger;
                out = Out::Cancelled(last);
            }
        }
        self.fire(rule);
        out
    }

    /// Writes that a region has closed.
    pub(super) fn write_closed(&mut self, by: TaskNo, number: RegionNo, out: &Out) {
        let region = &self.regions[number];
        let stragglers = region.stragglers.iter().map(|(_, name)| name.clone()).collect();
        let event =
            Event::Closed { region: region.place, end: out.end(), stragglers, leaks: region.leaks };
        self.write(self.tasks[by].who, event);
    }
}
