//! Waits: the door that looks for a cancellation before it looks at the event.

use super::{Flow, Frame, Scope, Wait};
use crate::log::{Cause, Event};
use crate::model::seen::{Out, Seen, Stop};
use crate::model::{Fires, Handle, Model, REFUSED, Rule, TaskNo};
use crate::program::{Body, Name};

impl<'p> Model<'p> {
    pub(super) fn mask(&mut self, number: TaskNo, body: &'p Body) {
        self.fire(Rule::Mask);
        let mut scope = Scope::new(self.tasks[number].next_serial());
        scope.masked = true;
        self.tasks[number].frames.extend([Frame::Masked(scope), Frame::Steps(body)]);
    }

    /// The innermost scope is cancelled, and what runs in it hears of that.
    pub(super) fn tell(&mut self, number: TaskNo) -> Option<Cause> {
        let task = &mut self.tasks[number];
        let depth = task.current();
        let severity = task.effective(depth)?.severity;
        self.fire(Rule::Told);
        let task = &mut self.tasks[number];
        for scope in task.frames[..depth].iter_mut().rev().filter_map(Frame::scope_mut) {
            if scope.masked {
                return Some(severity);
            }
            scope.told |= scope.cancel.is_some();
        }
        if task.cancel.is_some() && !task.masked && !std::mem::replace(&mut task.told, true) {
            self.see(Seen::Told { task: number });
        }
        Some(severity)
    }

    pub(super) fn checkpoint(&mut self, number: TaskNo) -> Flow {
        Flow::Done(match self.tell(number) {
            Some(severity) => Err(Stop::Cancelled(severity)),
            None => Ok(()),
        })
    }

    /// Looks at the event waited for: the door, for kernel waits.
    pub(super) fn look(&mut self, number: TaskNo) -> Flow {
        let depth = self.tasks[number].current();
        if self.tasks[number].is_at_door() {
            if self.tasks[number].effective(depth).is_some() {
                return self.wait_told(number);
            }
            if self.tasks[number].behind_masks(depth).is_some() {
                self.fire(Rule::MaskHides);
            }
        }
        let now = self.now;
        let Some(wait) = self.tasks[number].wait.clone() else { return Flow::Blocked };
        match wait {
            Wait::Foreign => Flow::Blocked,
            Wait::Lingering(0, severity) => {
                self.tasks[number].wait = None;
                Flow::Done(Err(Stop::Cancelled(severity)))
            }
            Wait::Lingering(left, severity) => {
                self.tasks[number].wait = Some(Wait::Lingering(left - 1, severity));
                self.wake(number);
                Flow::Blocked
            }
            Wait::Sleep { until, ahead, .. } if !ahead && now >= until => self.wait_ready(number),
            Wait::Sleep { until, timer, .. } => {
                let timer = timer.or_else(|| Some(self.arm(until, Fires::Sleep(number))));
                self.tasks[number].wait = Some(Wait::Sleep { until, ahead: false, timer });
                self.park(number)
            }
            Wait::Yield { done: true } => self.wait_ready(number),
            Wait::Yield { done: false } => {
                self.tasks[number].wait = Some(Wait::Yield { done: true });
                self.wake(number);
                self.park(number)
            }
            Wait::Join(_, Handle::Of(task)) if !self.tasks[task].is_over() => {
                self.tasks[task].joiner = Some(number);
                self.park(number)
            }
            Wait::Join(name, handle) => {
                let answer = self.take_outcome(&handle);
                let flow = self.wait_ready(number);
                self.joined(number, name, answer, flow)
            }
            Wait::Linger(_) | Wait::Dropped => self.park(number),
        }
    }

    pub(super) fn take_outcome(&mut self, handle: &Handle) -> Result<crate::log::End, ()> {
        match handle {
            Handle::Refused(reason) => Ok(Out::Cancelled(*reason).end()),
            Handle::Of(task) => {
                let task = &mut self.tasks[*task];
                let out = task.out.as_ref().filter(|_| !task.claimed).map(Out::end);
                task.claimed = true;
                out.ok_or(())
            }
        }
    }

    pub(super) fn joined(
        &mut self,
        number: TaskNo,
        name: Name,
        answer: Result<crate::log::End, ()>,
        flow: Flow,
    ) -> Flow {
        self.fire(if answer.is_ok() { Rule::Join } else { Rule::JoinTaken });
        let depth = self.tasks[number].current();
        if answer.is_err() && self.tasks[number].effective(depth).is_some() {
            return self.checkpoint(number);
        }
        let answer = answer.map_err(|()| REFUSED.to_owned());
        self.write(self.tasks[number].who, Event::Joined(name, answer));
        flow
    }

    pub(super) fn label(&self, number: TaskNo) -> &'static str {
        match self.tasks[number].wait {
            Some(Wait::Sleep { .. }) => "sleep",
            Some(Wait::Yield { .. }) => "yield_now",
            Some(Wait::Join(..)) => "join",
            Some(Wait::Linger(_)) => "linger",
            Some(Wait::Dropped) => "timeout",
            _ => "",
        }
    }

    pub(super) fn park(&mut self, number: TaskNo) -> Flow {
        let label = self.label(number);
        let task = &mut self.tasks[number];
        task.wait_is_listed = task.is_nested();
        if !std::mem::replace(&mut task.parked, true) {
            self.fire(Rule::Park);
            self.see(Seen::Parked { task: number, label });
        }
        Flow::Blocked
    }

    /// The wait leaves its list.
    pub(super) fn end_wait(&mut self, number: TaskNo, cancelled: bool) -> Option<Wait> {
        let label = self.label(number);
        let task = &mut self.tasks[number];
        task.wait_is_listed = false;
        let parked = std::mem::take(&mut task.parked);
        let wait = task.wait.take();
        if parked {
            self.see(Seen::WaitEnded { task: number, label, cancelled });
        }
        if let Some(Wait::Sleep { timer, .. }) = wait {
            self.disarm(timer);
        }
        wait
    }

    pub(super) fn wait_ready(&mut self, number: TaskNo) -> Flow {
        self.fire(Rule::Ready);
        self.end_wait(number, false);
        Flow::Done(Ok(()))
    }

    pub(super) fn wait_told(&mut self, number: TaskNo) -> Flow {
        let Some(severity) = self.tell(number) else { return Flow::Blocked };
        match self.end_wait(number, true) {
            Some(Wait::Linger(polls)) => {
                self.tasks[number].wait = Some(Wait::Lingering(polls, severity));
                self.look(number)
            }
            Some(Wait::Dropped) => {
                self.answer(number, "cancelled");
                Flow::Done(Ok(()))
            }
            _ => Flow::Done(Err(Stop::Cancelled(severity))),
        }
    }

    pub(super) fn answer(&mut self, number: TaskNo, text: &str) {
        self.write(self.tasks[number].who, Event::Answer(text.to_owned()));
    }

    pub(super) fn wait_for(&mut self, number: TaskNo, wait: Wait) -> Flow {
        self.tasks[number].wait = Some(wait);
        self.look(number)
    }
}
