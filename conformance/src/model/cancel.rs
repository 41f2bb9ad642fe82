//! Cancelling: what a request reaches, what it costs, and what happens when cleanup is over.

use super::region::{Origin, State};
use super::seen::{Reason, Seen, cleanup_polls};
use super::task::Frame;
use super::{Fires, Model, Owner, RegionNo, Rule, TaskNo, scope_mut};
use crate::log::Cause;

/// Regions still to be cancelled, each for the reason of the scope around it.
type Regions = Vec<(RegionNo, Reason)>;

impl Model<'_> {
    fn strengthens(&mut self, reason: Reason, current: Option<Reason>) -> bool {
        match current {
            Some(current) if !reason.strengthens(Some(current)) => self.fire(Rule::Milder),
            Some(_) => self.fire(Rule::Strengthen),
            None => {}
        }
        reason.strengthens(current)
    }

    /// `R-CANCEL-REGION`, and everything that follows from it.
    pub(super) fn cancel_region(&mut self, region: RegionNo, reason: Reason, origin: Origin) {
        let mut regions = Regions::new();
        self.cancel_one(region, reason, origin, &mut regions);
        self.cancel_all(regions);
    }

    fn cancel_all(&mut self, mut pending: Regions) {
        while let Some((region, reason)) = pending.pop() {
            let rule = if self.regions[region].opener.is_some() {
                Rule::CancelNested
            } else {
                Rule::CancelOrphan
            };
            self.fire(rule);
            self.cancel_one(region, reason.inherited(), Origin::Outside, &mut pending);
        }
    }

    fn cancel_one(
        &mut self,
        number: RegionNo,
        reason: Reason,
        origin: Origin,
        regions: &mut Regions,
    ) {
        let current = self.regions[number].cancel;
        if self.regions[number].is_closed() || !self.strengthens(reason, current) {
            return;
        }
        self.fire(Rule::CancelRegion);
        let region = &mut self.regions[number];
        region.cancel = Some(reason);
        region.origin = origin;
        if region.state == State::Closing {
            region.state = State::Draining;
        }
        let (tasks, children) = (region.tasks.clone(), region.regions.clone());
        let opener = region.opener;
        self.see(Seen::RegionCancel {
            region: number,
            kind: reason.kind,
            severity: reason.severity,
        });
        self.arm_region_cleanup(number);
        if let Some((task, serial)) = opener {
            if let Some(scope) = scope_mut(&mut self.tasks[task], serial) {
                scope.cancel = Some(reason);
            }
            self.propagate(task, regions);
        }
        for task in tasks {
            self.cancel_task(task, reason.inherited(), regions);
        }
        // A region that a task's future drives is reached through that task, whose masks may shield it.
        for child in children {
            if self.regions[child].opener.is_none() {
                regions.push((child, reason.inherited()));
            }
        }
    }

    /// `R-CANCEL-TASK`. False when the task is over or has a reason as severe.
    fn cancel_task(&mut self, number: TaskNo, reason: Reason, regions: &mut Regions) -> bool {
        let current = self.tasks[number].cancel;
        if self.tasks[number].is_over() || !self.strengthens(reason, current) {
            return false;
        }
        self.fire(Rule::CancelTask);
        let task = &mut self.tasks[number];
        task.cancel = Some(reason);
        // From here on polls are paid out of the cleanup's.
        task.polls_left = Some(cleanup_polls(reason.severity));
        self.propagate(number, regions);
        let (kind, severity) = (reason.kind, reason.severity);
        self.see(Seen::CancelRequested { task: number, kind, severity });
        self.wake(number);
        true
    }

    /// Cancels one task and bounds its cleanup by a timer of its own.
    pub(super) fn cancel_alone(&mut self, number: TaskNo, reason: Reason, by_handle: bool) {
        if by_handle {
            self.fire(Rule::CancelHandle);
            self.tasks[number].cancelled_by_handle = true;
        }
        let mut regions = Regions::new();
        if self.cancel_task(number, reason, &mut regions) {
            self.cancel_all(regions);
            let timer = self.arm(self.now + reason.cleanup_nanos(), Fires::TaskCleanup(number));
            let stale = self.tasks[number].cleanup_timer.replace(timer);
            self.disarm(stale);
        }
    }

    /// Cancels a scope inside a task.
    pub(super) fn cancel_scope(&mut self, number: TaskNo, serial: u32, reason: Reason) {
        let Some(current) = scope_mut(&mut self.tasks[number], serial).map(|scope| scope.cancel)
        else {
            return;
        };
        if self.strengthens(reason, current) {
            if let Some(scope) = scope_mut(&mut self.tasks[number], serial) {
                scope.cancel = Some(reason);
            }
            let mut regions = Regions::new();
            self.propagate(number, &mut regions);
            self.cancel_all(regions);
        }
    }

    /// Wakes what waits in a cancelled scope, and finds the regions opened in one.
    fn propagate(&mut self, number: TaskNo, regions: &mut Regions) {
        let task = &mut self.tasks[number];
        let mut woken = false;
        if task.wait_is_listed && task.effective(task.frames.len()).is_some() {
            woken |= std::mem::take(&mut task.wait_is_listed);
        }
        for at in 0..task.frames.len() {
            let (own, around) = (task.effective(at + 1), task.effective(at));
            let Some(scope) = task.frames[at].scope_mut() else { continue };
            if own.is_some() {
                woken |= std::mem::take(&mut scope.wakes);
            }
            let current = scope.cancel;
            if let (Frame::Region { region, .. }, Some(reason)) = (&task.frames[at], around) {
                if reason.strengthens(current) {
                    regions.push((*region, reason));
                }
            }
        }
        if woken {
            self.wake(number);
        }
    }

    /// A region that was opened in a cancelled scope is cancelled from the start.
    pub(super) fn cancel_opened(&mut self, number: TaskNo) {
        let mut regions = Regions::new();
        self.propagate(number, &mut regions);
        self.cancel_all(regions);
    }

    /// Bounds a region's cleanup. Absolute: a descendant's ends when its ancestor's does. Finalizers have
    /// a bound of their own.
    pub(super) fn arm_region_cleanup(&mut self, number: RegionNo) {
        let region = &self.regions[number];
        let at = match region.cancel {
            Some(reason) if region.state != State::Finalizing => reason.at + reason.cleanup_nanos(),
            Some(reason) => self.now + reason.cleanup_nanos(),
            None => self.now + Reason::new(Cause::User, self.now, None).cleanup_nanos(),
        };
        let timer = self.arm(at, Fires::RegionCleanup(number));
        let stale = self.regions[number].cleanup_timer.replace(timer);
        self.disarm(stale);
    }

    /// `R-ESCALATE-REGION`: the body and every task here are dropped at their next poll.
    pub(super) fn escalate_region(&mut self, number: RegionNo) {
        if self.regions[number].is_closed() {
            return;
        }
        self.fire(Rule::EscalateRegion);
        self.regions[number].escalated = true;
        if let Some((task, serial)) = self.regions[number].opener {
            self.escalate_scope(task, serial);
        }
        for task in self.regions[number].tasks.clone() {
            self.escalate_task(task);
        }
    }

    pub(super) fn escalate_all(&mut self, number: RegionNo) {
        self.escalate_region(number);
        for child in self.regions[number].regions.clone() {
            self.escalate_all(child);
        }
    }

    /// `R-ESCALATE-TASK`.
    pub(super) fn escalate_task(&mut self, number: TaskNo) {
        if self.tasks[number].is_over() {
            return;
        }
        self.fire(Rule::EscalateTask);
        self.record_straggler(number);
        self.see(Seen::Escalated { task: number });
        self.tasks[number].escalated = true;
        self.wake(number);
    }

    /// `R-ESCALATE-SCOPE`.
    pub(super) fn escalate_scope(&mut self, number: TaskNo, serial: u32) {
        let Some(scope) = scope_mut(&mut self.tasks[number], serial) else { return };
        scope.escalated = true;
        scope.wakes = false;
        self.fire(Rule::EscalateScope);
        self.wake(number);
    }

    pub(super) fn record_straggler(&mut self, number: TaskNo) {
        let task = &self.tasks[number];
        let region = &mut self.regions[task.region];
        if !region.stragglers.iter().any(|(known, _)| *known == number) {
            region.stragglers.push((number, task.name.to_owned()));
        }
    }

    /// `R-CHARGE`: takes units here and in every account above.
    pub(super) fn charge(&mut self, account: Option<usize>, units: u64) {
        let mut next = account;
        while let Some(number) = next {
            self.fire(Rule::Charge);
            let account = &mut self.accounts[number];
            let (before, owner) = (account.left, account.owner);
            account.left = before.saturating_sub(units);
            next = account.above;
            if before >= units {
                continue;
            }
            self.fire(Rule::Overdraw);
            let reason = Reason::new(Cause::Quota, self.now, None);
            match owner {
                Owner::Region(region) => self.cancel_region(region, reason, Origin::Outside),
                Owner::Task(task) => self.cancel_alone(task, reason, false),
            }
        }
    }
}
