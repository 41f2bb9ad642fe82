//! The steps of a program, and the frames they open.

use super::{Flow, Frame, Scope, Task, Wait};
use crate::log::{Cause, Event};
use crate::model::region::Origin;
use crate::model::seen::{How, Out, Rank, Reason, Seen, Stop, nanos};
use crate::model::{
    Account, Fires, Handle, Model, Owner, REFUSED, RegionNo, Rule, TaskNo, earlier, tighter,
};
use crate::program::{self, Body, Name, Settle, Step};

const NO_BODY: &str = "no region's body is around this step";

impl<'p> Model<'p> {
    /// One step of a program.
    pub(super) fn step(&mut self, number: TaskNo, step: &'p Step) -> Flow {
        let who = self.tasks[number].who;
        let scope = self.tasks[number].enclosing_region();
        let broken =
            |text: &str| Flow::Done(Err(Stop::Failed(format!("the interpreter broke: {text}"))));
        match step {
            Step::Note(text) => self.write(who, Event::Note(text)),
            Step::Reason => {
                let reason = self.tasks[number].behind_masks(self.tasks[number].frames.len());
                self.write(who, Event::Told(reason.map(|reason| reason.severity)));
            }
            Step::Sleep(duration) => {
                let (until, ahead) = (self.now + nanos(*duration), !duration.is_zero());
                return self.wait_for(number, Wait::Sleep { until, ahead, timer: None });
            }
            Step::Yield => return self.wait_for(number, Wait::Yield { done: false }),
            Step::Foreign => return self.wait_for(number, Wait::Foreign),
            Step::Linger(polls) => return self.wait_for(number, Wait::Linger(*polls)),
            Step::Masked(body) => self.mask(number, body),
            Step::OnCancel(body, cleanup) => {
                self.tasks[number].frames.extend([Frame::OnCancel(cleanup), Frame::Steps(body)]);
            }
            Step::Permit(body, settle) => {
                let obligation = self.reserve(number);
                let frame = Frame::Permit(obligation, *settle);
                self.tasks[number].frames.extend([frame, Frame::Steps(body)]);
            }
            Step::Duty(body, settle) => {
                let region = scope.unwrap_or(self.tasks[number].region);
                let obligation = self.reserve(number);
                self.regions[region].ledger.push(obligation);
                let frame = Frame::Duty(obligation, region, *settle);
                self.tasks[number].frames.extend([frame, Frame::Steps(body)]);
            }
            Step::Spawn(task) => self.spawn(number, scope, task),
            Step::Join(name) => return self.join(number, name),
            Step::Cancel(name, request) => {
                let reason = Reason::new(request.cause, self.now, request.cleanup);
                if let Some(Handle::Of(task)) = self.handles.get(name) {
                    self.cancel_alone(*task, reason, true);
                }
            }
            Step::CancelRegion(request) => {
                let reason = Reason::new(request.cause, self.now, request.cleanup);
                let Some(region) = scope else { return broken(NO_BODY) };
                self.cancel_region(region, reason, Origin::Itself);
            }
            Step::Region(region) => self.open(number, region),
            Step::Defer(body) => {
                let Some(region) = scope else { return broken(NO_BODY) };
                self.defer(region, body, who);
            }
            Step::Timeout(limit, body) => self.open_branch(number, nanos(*limit), body),
            Step::Charge(units) => {
                let task = &self.tasks[number];
                let account = match scope {
                    Some(region) => self.regions[region].account,
                    None => task.account.or(self.regions[task.region].account),
                };
                self.charge(account, *units);
                return self.checkpoint(number);
            }
            Step::Fail(text) => return Flow::Done(Err(Stop::Failed((*text).to_owned()))),
            Step::Panic(text) => return Flow::Done(Err(Stop::Panic(text))),
            _ => unreachable!("checked when the model was made"),
        }
        Flow::Done(Ok(()))
    }

    pub(super) fn spawn(&mut self, by: TaskNo, scope: Option<RegionNo>, step: &'p program::Task) {
        let region = scope.unwrap_or(self.tasks[by].region);
        let place = match scope {
            Some(region) => self.regions[region].place,
            None => self.tasks[by].who.region,
        };
        let by_who = self.tasks[by].who;
        let who = self.announce_spawn(by_who, step.name, place);
        let mut task = Task::new(region, who, &step.body);
        let around = &self.regions[region];
        task.polls_left = around.polls;
        if scope.is_some() {
            let limits = step.limits;
            task.own_polls = limits.polls;
            task.polls_left = [limits.polls, around.polls].into_iter().flatten().min();
            task.own_deadline = limits.time.map(|time| self.now + nanos(time));
        } else {
            task.name = "?";
        }
        let deadline = earlier(task.own_deadline, around.due);
        let above = around.account;
        let handle = match self.admit(task, Some(by)) {
            Ok(number) => {
                if let Some(units) = step.limits.cost.filter(|_| scope.is_some()) {
                    self.accounts.push(Account { left: units, above, owner: Owner::Task(number) });
                    self.tasks[number].account = Some(self.accounts.len() - 1);
                }
                let timer = deadline.map(|at| self.arm(at, Fires::TaskDeadline(number)));
                self.tasks[number].deadline_timer = timer;
                Handle::Of(number)
            }
            Err(reason) => {
                self.write(who, Event::Dropped);
                Handle::Refused(reason)
            }
        };
        self.handles.insert(step.name, handle);
    }

    pub(super) fn join(&mut self, number: TaskNo, name: Name) -> Flow {
        let Some(handle) = self.handles.remove(name) else {
            let text =
                format!("the interpreter broke: {name} was never spawned, or is joined already");
            return Flow::Done(Err(Stop::Failed(text)));
        };
        if let Handle::Of(task) = handle {
            if !self.tasks[task].is_over() && self.waits_within(number, task) {
                self.fire(Rule::JoinDeadlock);
                let depth = self.tasks[number].current();
                if self.tasks[number].effective(depth).is_some() {
                    return self.checkpoint(number);
                }
                let answer = Err(REFUSED.to_owned());
                self.write(self.tasks[number].who, Event::Joined(name, answer));
                return Flow::Done(Ok(()));
            }
        }
        self.wait_for(number, Wait::Join(name, handle))
    }

    /// Whether `target` is the task itself, or waits for a region that the task lives in.
    pub(super) fn waits_within(&self, number: TaskNo, target: TaskNo) -> bool {
        let mut region = Some(self.tasks[number].region);
        while let Some(here) = region {
            if self.regions[here].opener.is_some_and(|(opener, _)| opener == target) {
                return true;
            }
            region = self.regions[here].parent;
        }
        number == target
    }

    pub(super) fn open_branch(&mut self, number: TaskNo, limit: u64, body: &'p Body) {
        self.fire(Rule::BranchOpen);
        let task = &mut self.tasks[number];
        let deadline = self.now + limit;
        let (branches, _, masked) = task.reached_by();
        let around = tighter(task.own_deadline, self.regions[task.region].due);
        let around = tighter(branches, around.filter(|_| !masked));
        let mut scope = Scope::new(task.next_serial());
        let serial = scope.serial;
        scope.deadline = Some(deadline);
        scope.deadline_timer = earlier(Some(deadline), around)
            .map(|at| self.arm(at, Fires::BranchDeadline(number, serial)));
        self.tasks[number].frames.extend([Frame::Branch(scope), Frame::Steps(body)]);
        self.see(Seen::BranchOpened { task: number, branch: serial });
    }

    pub(super) fn close_branch(&mut self, number: TaskNo, scope: &Scope, dropped: bool) {
        self.disarm(scope.deadline_timer);
        self.disarm(scope.cleanup_timer);
        self.see(Seen::BranchClosed { task: number, branch: scope.serial, dropped });
    }

    /// The branch on top ended by itself, or was dropped for a reason.
    pub(super) fn branch_ended(
        &mut self,
        number: TaskNo,
        end: Result<Result<(), Stop>, Reason>,
    ) -> Option<Result<(), Stop>> {
        let Some(Frame::Branch(scope)) = self.tasks[number].frames.pop() else {
            unreachable!("a branch is on top when it ends")
        };
        self.close_branch(number, &scope, end.is_err());
        let told = scope.cancel.filter(|_| scope.told || end.is_err());
        let elapsed = told.is_some_and(|reason| reason.kind == Cause::Timeout);
        if end.is_ok() {
            self.fire(Rule::BranchFinish);
        }
        let text = match end {
            Ok(Err(Stop::Panic(text))) => return Some(Err(Stop::Panic(text))),
            _ if elapsed => "elapsed",
            Ok(Ok(())) => "finished",
            Ok(stop) => return Some(stop),
            Err(_) => {
                self.tasks[number].wait = Some(Wait::Dropped);
                return None;
            }
        };
        self.answer(number, text);
        Some(Ok(()))
    }

    /// The body of the region on top has ended.
    pub(super) fn body_ended(&mut self, number: TaskNo, out: Out, failed: bool) {
        let Some(Frame::Region { region, ended, .. }) = self.tasks[number].frames.last_mut() else {
            unreachable!("a region is on top when its body ends")
        };
        *ended = Some(out);
        let region = *region;
        self.fire(if failed { Rule::BodyFail } else { Rule::BodyOk });
        if failed && self.regions[region].cancel.is_none() {
            let reason = Reason::new(Cause::FailFast, self.now, None);
            self.cancel_region(region, reason, Origin::Itself);
        }
        self.begin_close(region);
    }

    /// Looks whether the region whose body has ended is closed.
    pub(super) fn look_at_close(&mut self, number: TaskNo) -> Flow {
        let Some(Frame::Region { region, .. }) = self.tasks[number].frames.last() else {
            return Flow::Blocked;
        };
        let region = *region;
        if !self.regions[region].is_closed() {
            self.regions[region].waiter = Some(number);
            return Flow::Blocked;
        }
        let Some(Frame::Region { ended: Some(out), .. }) = self.tasks[number].frames.pop() else {
            return Flow::Blocked;
        };
        let out = self.outcome(region, out);
        if out.rank() == Rank::Cancelled {
            // Where the scope around is cancelled too, this answer tells it so.
            self.tell(number);
        }
        self.write_closed(number, region, &out);
        self.checkpoint(number)
    }

    pub(super) fn reserve(&mut self, task: TaskNo) -> usize {
        self.fire(Rule::Reserve);
        let obligation = self.obligations;
        self.obligations += 1;
        self.see(Seen::Reserved { obligation, task });
        obligation
    }

    /// `duty` is the region whose ledger the obligation is in; none for a permit.
    pub(super) fn settle(
        &mut self,
        task: TaskNo,
        obligation: usize,
        duty: Option<RegionNo>,
        how: Settle,
    ) {
        let how = match (how, duty) {
            (Settle::Commit, _) => How::Committed,
            (Settle::Abort, _) => How::Aborted,
            (Settle::Drop, None) => return self.drop_permit(obligation),
            (Settle::Drop, Some(region)) => return self.drop_duty(obligation, region),
            (Settle::Forget, None) => return self.tasks[task].forgotten_permits += 1,
            (Settle::Forget, Some(_)) => return,
        };
        self.fire(Rule::Settle);
        if let Some(region) = duty {
            self.regions[region].ledger.retain(|open| *open != obligation);
        }
        self.see(Seen::Resolved { obligation, how });
    }

    pub(super) fn drop_permit(&mut self, obligation: usize) {
        self.fire(Rule::DropPermit);
        self.see(Seen::Resolved { obligation, how: How::Dropped });
    }

    pub(super) fn drop_duty(&mut self, obligation: usize, region: RegionNo) {
        self.fire(Rule::DropDuty);
        self.regions[region].ledger.retain(|open| *open != obligation);
        self.see(Seen::Resolved { obligation, how: How::Leaked });
        self.record_leak(region);
    }
}
