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
use crate::time::Time;
use std::sync::Arc;
use std::sync::atomic::Ordering as StdOrdering;

impl Region {
    /// A task of this region has published its outcome.
    pub(crate) fn child_ended(self: &Arc<Self>, task: &TaskRef, ended: Ended) {
        let header = task.header();
        let failed = matches!(ended.severity, Severity::Err | Severity::Panicked) && !ended.taken;
        let (removed, cancels, last, dismisses) = {
            let mut inner = self.inner.lock();
            inner.ended += 1;
            let slot = header.slot.load(Ordering::Relaxed) as usize;
            let removed = inner.tasks.try_remove(slot);
            inner.services -= usize::from(header.state.is_service());
            if ended.holds {
                inner.holders.push((task.clone(), self.host.now()));
            }
            if failed {
                inner.failed.push(task.clone());
            }
            if inner.child_cancelled.is_none() && !ended.taken {
                inner.child_cancelled = ended.cancelled;
            }
            let cancels = failed
                && self.policy == Policy::FailFast
                && inner.state != RegionState::Finalizing
                && inner.cancel.is_none()
                && !mutant!(FailFastIgnored);
            (removed, cancels, inner.may_advance(), inner.dismisses_services())
        };
        drop(removed);
        if dismisses {
            self.dismiss_services();
        }
        if cancels {
            self.fail_fast(task, ended.severity);
        }
        if last || cancels {
            self.advance();
        }
    }

    fn fail_fast(self: &Arc<Self>, task: &TaskRef, severity: Severity) {
        let header = task.header();
        let how = if severity == Severity::Err { "failed" } else { "panicked" };
        let reason = CancelReason::new(CancelKind::FailFast)
            .with_message(format!("{} {how}", header.id))
            .at_site(header.spawned_at);
        self.cancel(reason, Origin::Itself);
    }

    /// The failure of an ended child comes back to the region: its group is gone, and nobody took it.
    pub(super) fn take_back(self: &Arc<Self>, task: TaskRef, severity: Severity) {
        let cancels = {
            let mut inner = self.inner.lock();
            if matches!(inner.state, RegionState::Finalizing | RegionState::Closed) {
                return;
            }
            inner.failed.push(task.clone());
            self.policy == Policy::FailFast && inner.cancel.is_none()
        };
        if cancels {
            self.fail_fast(&task, severity);
        }
    }

    /// The body has ended; the region closes when its children have.
    pub(crate) fn begin_close(self: &Arc<Self>) {
        let (last, dismisses);
        {
            let mut inner = self.inner.lock();
            if inner.state != RegionState::Open {
                return;
            }
            let cancelled = inner.cancel.is_some();
            inner.state = inner.state.body_ended(cancelled);
            last = inner.may_advance();
            dismisses = !mutant!(CloseDismissesNobody) && inner.dismisses_services();
        }
        self.observe(&Event::RegionClosing { region: self.id });
        if dismisses {
            self.dismiss_services();
        }
        if last {
            self.advance();
        }
    }

    /// Takes the close as far as it will go: finalizers when no child is left, then closed, then the same
    /// for the parent. Called after every change that could be the last one.
    pub(super) fn advance(self: &Arc<Self>) {
        // A loop and not a recursion: the tree may be deep.
        let mut next = self.advance_one();
        while let Some(parent) = next {
            next = parent.advance_one();
        }
    }

    /// One region's part; answers its parent when the region has closed.
    fn advance_one(self: &Arc<Self>) -> Option<Arc<Region>> {
        enum Step {
            Finalize(u32, Finalizer),
            Close,
        }
        let (step, entered, stale) = {
            let mut inner = self.inner.lock();
            if !inner.may_advance() {
                return None;
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
                    // Keeps everybody else from going on with this until it is `Closed`.
                    inner.starting = true;
                    (Step::Close, false, None)
                }
            }
        };
        if let Some(stale) = stale {
            self.host.disarm_timer(stale);
        }
        match step {
            Step::Close => return self.closed(),
            Step::Finalize(ordinal, finalizer) => {
                if entered {
                    self.observe(&Event::RegionFinalizing { region: self.id });
                }
                // For each anew: one that overran must not leave those after it without a bound.
                self.arm_cleanup();
                self.finalize(ordinal, finalizer);
            }
        }
        None
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

    /// Everything after the last child and finalizer. Answers the parent, which may be next.
    fn closed(self: &Arc<Self>) -> Option<Arc<Region>> {
        let (ledger, holders, mut heap, opener) = {
            let mut inner = self.inner.lock();
            let ledger = std::mem::take(&mut inner.ledger);
            let heap = std::mem::take(&mut inner.heap);
            (ledger, std::mem::take(&mut inner.holders), heap, inner.opener.take())
        };
        while let Some(value) = heap.pop() {
            crate::wake::drop_quietly(value);
        }
        let mut leaks: Vec<LeakReport> =
            ledger.into_iter().filter_map(|(_, record)| record.close(self)).collect();
        if !holders.is_empty() {
            self.rehome(holders, &mut leaks);
        }
        if mutant!(LeakNotReported) {
            leaks.clear();
        }
        let unresolved = leaks.len() as u32;
        let (live, timers, waker, books, unclaimed) = {
            let mut inner = self.inner.lock();
            inner.starting = false;
            for leak in leaks {
                inner.books.get_or_insert_default().leak(leak);
            }
            // The root answers for everything beneath it: each region hands its books up as it closes.
            let books = inner.books.as_ref().filter(|_| self.parent.is_some());
            let books = books.map(|b| (b.stragglers.clone(), b.leaks.clone(), b.omitted));
            inner.state = inner.state.finalized();
            let grace = inner.grace_timer.take().map(|(_, timer)| timer);
            let timers = [inner.deadline_timer.take(), inner.cleanup_timer.take(), grace];
            // They refer to this region, which refers to them.
            let unclaimed =
                if inner.abandoned { std::mem::take(&mut inner.failed) } else { Vec::new() };
            (inner.live() as u32, timers, inner.waker.take(), books, unclaimed)
        };
        drop(unclaimed);
        for timer in timers.into_iter().flatten() {
            self.host.disarm_timer(timer);
        }
        self.observe(&Event::RegionClosed { region: self.id, live, unresolved });
        drop(opener);
        let next = self.parent.as_ref().and_then(|parent| {
            let (removed, last, dismisses) = {
                let mut inner = parent.inner.lock();
                inner.ended += 1;
                inner.services -= usize::from(self.service);
                if let Some((stragglers, leaks, omitted)) = &books {
                    let own = inner.books.get_or_insert_default();
                    own.absorb(stragglers, leaks, *omitted);
                }
                let removed = inner.regions.try_remove(self.place.load(StdOrdering::Relaxed));
                (removed, inner.may_advance(), inner.dismisses_services())
            };
            drop(removed);
            if dismisses {
                parent.dismiss_services();
            }
            last.then(|| Arc::clone(parent))
        });
        if let Some(waker) = waker {
            crate::wake::wake(waker);
        }
        next
    }

    /// Abort-class obligations that are still open belong to the parent from now on; without one they are
    /// leaks.
    fn rehome(&self, holders: Vec<(TaskRef, Time)>, leaks: &mut Vec<LeakReport>) {
        let holders = holders.into_iter().filter(|(task, _)| !unsettled(task).is_empty());
        if let Some(parent) = &self.parent {
            let holders: Vec<_> = holders.collect();
            parent.inner.lock().holders.extend(holders);
            return;
        }
        let now = self.host.now();
        for (task, since) in holders {
            let header = task.header();
            leaks.extend(unsettled(&task).into_iter().map(|(kind, site)| LeakReport {
                kind: kind.name(),
                task: header.id,
                region: header.region.id,
                site,
                age: now.saturating_since(since),
            }));
        }
    }
}
