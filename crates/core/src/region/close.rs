//! The close of a region: driven by its children's completions, one finalizer after the other.

use super::{Finalizer, Origin, Policy, Region, RegionState};
use crate::cancel::{CancelKind, CancelReason};
use crate::event::Event;
use crate::mutant::mutant;
use crate::obligation::{LeakReport, unsettled};
use crate::outcome::Severity;
use crate::primitive::Ordering;
use crate::task::TaskRef;
use crate::task::run::Ended;
use std::sync::Arc;
use std::sync::atomic::Ordering as StdOrdering;

impl Region {
    /// A task of this region has published its outcome.
    pub(crate) fn child_ended(self: &Arc<Self>, task: &TaskRef, ended: Ended) {
        let header = task.header();
        let failed = matches!(ended.severity, Severity::Err | Severity::Panicked);
        let (removed, cancels, last) = {
            let mut inner = self.inner.lock();
            inner.ended += 1;
            let slot = header.slot.load(Ordering::Relaxed) as usize;
            let removed = inner.tasks.try_remove(slot);
            if ended.holds {
                inner.holders.push(task.clone());
            }
            if failed {
                inner.failed.push(task.clone());
            }
            if inner.child_cancelled.is_none() {
                inner.child_cancelled = ended.cancelled;
            }
            let cancels = failed
                && self.policy == Policy::FailFast
                && inner.state != RegionState::Finalizing
                && inner.cancel.is_none()
                && !mutant!(FailFastIgnored);
            (removed, cancels, inner.may_advance())
        };
        drop(removed);
        if cancels {
            let how = if ended.severity == Severity::Err { "failed" } else { "panicked" };
            let reason = CancelReason::new(CancelKind::FailFast)
                .with_message(format!("{} {how}", header.id))
                .at_site(header.spawned_at);
            self.cancel(reason, Origin::Itself);
        }
        if last || cancels {
            self.advance();
        }
    }

    /// The body has ended; the region closes when its children have.
    pub(crate) fn begin_close(self: &Arc<Self>) {
        let last;
        {
            let mut inner = self.inner.lock();
            if inner.state != RegionState::Open {
                return;
            }
            let cancelled = inner.cancel.is_some();
            inner.state = inner.state.body_ended(cancelled);
            last = inner.may_advance();
        }
        self.observe(&Event::RegionClosing { region: self.id });
        if last {
            self.advance();
        }
    }

    /// Takes the close as far as it will go: finalizers when no child is left, then closed. Called after
    /// every change that could be the last one.
    pub(super) fn advance(self: &Arc<Self>) {
        enum Step {
            Finalize(u32, Finalizer),
            Close,
        }
        let (step, entered, stale) = {
            let mut inner = self.inner.lock();
            if !inner.may_advance() {
                return;
            }
            let entered = inner.state != RegionState::Finalizing;
            if entered {
                inner.state = inner.state.quiet();
                if mutant!(FinalizersSkipped) {
                    inner.finalizers.clear();
                }
            }
            let next = if mutant!(FinalizersFifo) && !inner.finalizers.is_empty() {
                Some(inner.finalizers.remove(0))
            } else {
                inner.finalizers.pop()
            };
            match next {
                Some((ordinal, finalizer)) => {
                    inner.starting = true;
                    // Finalizers have a cleanup budget of their own: the children may have spent theirs.
                    let stale = entered.then(|| inner.cleanup_timer.take()).flatten();
                    (Step::Finalize(ordinal, finalizer), entered, stale)
                }
                None => {
                    inner.state = inner.state.finalized();
                    (Step::Close, false, None)
                }
            }
        };
        if let Some(stale) = stale {
            self.host.disarm_timer(stale);
        }
        match step {
            Step::Close => self.closed(),
            Step::Finalize(ordinal, finalizer) => {
                if entered {
                    self.observe(&Event::RegionFinalizing { region: self.id });
                    self.arm_cleanup();
                }
                self.finalize(ordinal, finalizer);
            }
        }
    }

    /// Runs one finalizer as an ordinary task: masked, within the cleanup budget, outside every lock.
    fn finalize(self: &Arc<Self>, ordinal: u32, finalizer: Finalizer) {
        let task = finalizer(self);
        let header = task.header();
        if !mutant!(FinalizersUnmasked) {
            header.inner.lock().scopes.base.masks = 1;
        }
        let severity = {
            let mut inner = self.inner.lock();
            let slot = inner.tasks.insert(task.clone());
            inner.starting = false;
            header.slot.store(slot as u32, Ordering::Relaxed);
            inner.cancel.as_ref().map_or(CancelKind::User, CancelReason::severity)
        };
        task.limit_polls(severity.cleanup_polls());
        self.observe(&Event::TaskSpawned {
            task: header.id,
            region: self.id,
            by: None,
            name: Some("finalizer"),
            site: header.spawned_at,
            finalizer: true,
        });
        self.observe(&Event::FinalizerStarted { region: self.id, ordinal, task: header.id });
        task.submit();
    }

    /// Everything after the last child and finalizer.
    fn closed(self: &Arc<Self>) {
        let (ledger, holders, timers, waker, opener, live) = {
            let mut inner = self.inner.lock();
            let timers = [inner.deadline_timer.take(), inner.cleanup_timer.take()];
            (
                std::mem::take(&mut inner.ledger),
                std::mem::take(&mut inner.holders),
                timers,
                inner.waker.take(),
                inner.opener.take(),
                inner.live() as u32,
            )
        };
        for timer in timers.into_iter().flatten() {
            self.host.disarm_timer(timer);
        }
        let mut leaks: Vec<LeakReport> =
            ledger.into_iter().filter_map(|(_, record)| record.close(self)).collect();
        let holders: Vec<TaskRef> =
            holders.into_iter().filter(|task| !unsettled(task).is_empty()).collect();
        if self.parent.is_none() {
            leaks.extend(holders.iter().flat_map(|task| {
                let id = task.header().id;
                unsettled(task).into_iter().map(move |(kind, site)| LeakReport {
                    kind: kind.name(),
                    task: id,
                    site,
                    age: None,
                })
            }));
        }
        if mutant!(LeakNotReported) {
            leaks.clear();
        }
        if !leaks.is_empty() {
            self.inner.lock().leaks.extend(leaks.iter().cloned());
        }
        self.observe(&Event::RegionClosed {
            region: self.id,
            live,
            unresolved: leaks.len() as u32,
        });
        drop(opener);
        if let Some(waker) = waker {
            crate::wake::wake(waker);
        }
        if let Some(parent) = &self.parent {
            let (removed, last) = {
                let mut inner = parent.inner.lock();
                inner.ended += 1;
                inner.holders.extend(holders);
                let removed = inner.regions.try_remove(self.place.load(StdOrdering::Relaxed));
                (removed, inner.may_advance())
            };
            drop(removed);
            if last {
                parent.advance();
            }
        }
    }
}
