//! A poll: from the wrappers inward to what is waited for, on with the steps, and outward again.

use super::{Flow, Frame, Wait};
use crate::log::{Cause, Event};
use crate::model::seen::{Out, Rank, Reason, Seen, Stop};
use crate::model::{Fires, Model, Rule, TaskNo};

impl Model<'_> {
    pub(in crate::model) fn wake(&mut self, number: TaskNo) {
        self.tasks[number].runnable = true;
    }

    /// `R-POLL`: one step of a runnable task.
    ///
    /// # Panics
    /// When the task cannot be polled.
    pub fn poll(&mut self, number: TaskNo) {
        assert!(self.tasks[number].is_runnable(), "task {number} is not runnable");
        self.fire(Rule::Poll);
        self.running = Some(number);
        self.tasks[number].runnable = false;
        if self.tasks[number].escalated {
            self.fire(Rule::DropTask);
            self.drop_task(number);
        } else {
            self.poll_body(number);
        }
        self.running = None;
    }

    pub(super) fn poll_body(&mut self, number: TaskNo) {
        let is_cancelled = self.tasks[number].cancel.is_some();
        match &mut self.tasks[number].polls_left {
            Some(0) if is_cancelled => {
                self.fire(Rule::QuotaCleanup);
                self.record_straggler(number);
                self.see(Seen::Escalated { task: number });
                return self.drop_task(number);
            }
            Some(0) => {
                self.fire(Rule::Quota);
                self.cancel_alone(number, Reason::new(Cause::Quota, self.now, None), false);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        // From the outside in: the first wrapper whose cleanup is over drops what is inside.
        let over = self.tasks[number].frames.iter().position(|frame| {
            frame.is_wrapper() && frame.scope().is_some_and(|scope| scope.escalated)
        });
        let mut result = None;
        if let Some(at) = over {
            self.fire(Rule::DropScope);
            result = self.drop_inside(number, at);
        }
        loop {
            if let Some(end) = self.run(number, result.take()) {
                return self.end_task(number, end);
            }
            match self.first_stuck(number) {
                Some(at) => {
                    self.fire(Rule::StuckScope);
                    result = self.drop_inside(number, at);
                }
                None => break,
            }
        }
        let task = &self.tasks[number];
        if !task.runnable && task.effective(0).is_some() && task.is_stuck(0) {
            self.fire(Rule::StuckTask);
            self.drop_task(number);
        }
    }

    /// From the inside out: the first wrapper whose future cannot be reached any more. The others remember
    /// whom to wake.
    pub(super) fn first_stuck(&mut self, number: TaskNo) -> Option<usize> {
        for at in (0..self.tasks[number].frames.len()).rev() {
            if !self.tasks[number].frames[at].is_wrapper() {
                continue;
            }
            if self.tasks[number].is_stuck(at + 1) {
                return Some(at);
            }
            let is_branch = matches!(self.tasks[number].frames[at], Frame::Branch(_));
            let scope = self.tasks[number].frames[at].scope_mut()?;
            scope.wakes = true;
            let unbounded = scope.cancel.filter(|_| is_branch && scope.cleanup_timer.is_none());
            if let Some(reason) = unbounded {
                let serial = scope.serial;
                let until = reason.at + reason.cleanup_nanos();
                let timer = self.arm(until, Fires::ScopeCleanup(number, serial));
                if let Some(scope) = self.tasks[number].frames[at].scope_mut() {
                    scope.cleanup_timer = Some(timer);
                }
            }
        }
        None
    }

    /// Drops the future of the wrapper at this frame, and ends the wrapper with that.
    pub(super) fn drop_inside(&mut self, number: TaskNo, at: usize) -> Option<Result<(), Stop>> {
        let reason = self.tasks[number].behind_masks(at + 1);
        let reason = reason.unwrap_or(Reason::new(Cause::User, self.now, None));
        self.drop_frames(number, at + 1);
        match self.tasks[number].frames[at] {
            Frame::Region { .. } => {
                self.body_ended(number, Out::Cancelled(reason), true);
                None
            }
            _ => self.branch_ended(number, Err(reason)),
        }
    }

    /// Drops frames, the innermost first.
    pub(super) fn drop_frames(&mut self, number: TaskNo, keep: usize) {
        if let Some(Wait::Sleep { timer, .. }) = self.tasks[number].wait.take() {
            self.disarm(timer);
        }
        self.tasks[number].parked = false;
        self.tasks[number].wait_is_listed = false;
        while self.tasks[number].frames.len() > keep {
            let Some(frame) = self.tasks[number].frames.pop() else { return };
            match frame {
                Frame::Branch(scope) => self.close_branch(number, &scope, true),
                Frame::Region { scope, region, .. } => {
                    self.abandon_region(region, scope.escalated);
                }
                Frame::Permit(obligation, _) => self.drop_permit(obligation),
                Frame::Duty(obligation, region, _) => self.drop_duty(obligation, region),
                _ => {}
            }
        }
    }

    /// Drops a task's future; it ends as cancelled.
    pub(super) fn drop_task(&mut self, number: TaskNo) {
        let reason = self.tasks[number].cancel;
        let reason = reason.unwrap_or_else(|| self.reason_of(self.tasks[number].region));
        self.drop_frames(number, 0);
        self.end_task(number, Out::Cancelled(reason));
    }

    pub(super) fn end_task(&mut self, number: TaskNo, out: Out) {
        let rule = match out.rank() {
            Rank::Ok => Rule::EndOk,
            Rank::Err => Rule::EndErr,
            Rank::Cancelled => Rule::EndCancelled,
            Rank::Panicked => Rule::EndPanic,
        };
        self.fire(rule);
        let rank = out.rank();
        let task = &mut self.tasks[number];
        task.out = Some(out);
        let counts = rank == Rank::Cancelled && !task.cancelled_by_handle;
        let counts = task.cancel.filter(|_| counts);
        let timers = [task.deadline_timer.take(), task.cleanup_timer.take()];
        let (who, region, joiner) = (task.who, task.region, task.joiner.take());
        if task.is_announced {
            self.write(who, Event::Dropped);
        }
        for timer in timers {
            self.disarm(timer);
        }
        self.see(Seen::Completed { task: number, region, rank });
        if let Some(joiner) = joiner {
            self.wake(joiner);
        }
        self.child_ended(number, rank, counts);
    }

    /// Runs until the task blocks (none) or its body has ended. `result` is what the topmost frame is
    /// given first, if anything.
    pub(super) fn run(&mut self, number: TaskNo, result: Option<Result<(), Stop>>) -> Option<Out> {
        let mut result = result;
        loop {
            if let Some(end) = result.take() {
                if self.tasks[number].frames.is_empty() {
                    let told = self.tasks[number].cancel.filter(|_| self.tasks[number].told);
                    return Some(Out::of(end, told));
                }
                result = self.deliver(number, end);
                continue;
            }
            let flow = if self.tasks[number].wait.is_some() {
                self.look(number)
            } else {
                match self.tasks[number].frames.last_mut() {
                    None => Flow::Done(Ok(())),
                    Some(Frame::Region { ended: Some(_), .. }) => self.look_at_close(number),
                    Some(Frame::Steps(steps)) => match steps.split_first() {
                        Some((step, rest)) => {
                            *steps = rest;
                            match self.step(number, step) {
                                Flow::Done(Ok(())) => continue,
                                flow => flow,
                            }
                        }
                        None => {
                            self.tasks[number].frames.pop();
                            Flow::Done(Ok(()))
                        }
                    },
                    Some(_) => unreachable!("steps stand on top of every other frame"),
                }
            };
            match flow {
                Flow::Blocked => return None,
                Flow::Done(end) => result = Some(end),
            }
        }
    }

    /// Gives a frame the end of what was inside it. None when the task goes on with its next step.
    pub(super) fn deliver(
        &mut self,
        number: TaskNo,
        end: Result<(), Stop>,
    ) -> Option<Result<(), Stop>> {
        match self.tasks[number].frames.last() {
            Some(Frame::Steps(_)) => {
                if end.is_ok() {
                    return None;
                }
                self.tasks[number].frames.pop();
                return Some(end);
            }
            Some(Frame::Branch(_)) => return self.branch_ended(number, Ok(end)),
            Some(Frame::Region { ended: None, .. }) => {
                let depth = self.tasks[number].frames.len();
                let told = self.tasks[number].told_reason(depth);
                let failed = end.is_err();
                self.body_ended(number, Out::of(end, told), failed);
                return None;
            }
            _ => {}
        }
        match self.tasks[number].frames.pop() {
            Some(Frame::OnCancel(cleanup)) => {
                let Err(Stop::Cancelled(severity)) = end else { return Some(end) };
                self.tasks[number].frames.push(Frame::Rethrow(severity));
                self.mask(number, cleanup);
                None
            }
            Some(Frame::Rethrow(severity)) => Some(end.and(Err(Stop::Cancelled(severity)))),
            Some(Frame::Permit(obligation, settle)) => {
                if end.is_err() {
                    self.drop_permit(obligation);
                } else {
                    self.settle(number, obligation, None, settle);
                }
                Some(end)
            }
            Some(Frame::Duty(obligation, region, settle)) => {
                if end.is_err() {
                    self.drop_duty(obligation, region);
                } else {
                    self.settle(number, obligation, Some(region), settle);
                }
                Some(end)
            }
            _ => Some(end),
        }
    }
}
