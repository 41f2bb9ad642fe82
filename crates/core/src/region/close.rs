//! The close of a region: driven by its children's completions, one finalizer after the other.

use super::{Books, Finalizer, Inner, Origin, Policy, Rare, Region, RegionState};
use crate::cancel::{CancelKind, CancelReason};
use crate::event::{Access, Event};
use crate::host::TimerKey;
use crate::id::ObjectId;
use crate::mutant::mutant;
use crate::obligation::{LeakReport, unsettled};
use crate::outcome::Severity;
use crate::primitive::Ordering;
use crate::task::TaskRef;
use crate::task::run::Ended;
use crate::task::scopes::ScopeKey;
use crate::time::Time;
use std::sync::Arc;
use std::sync::atomic::Ordering as StdOrdering;
use std::task::Waker;

/// The next step of a close, decided under the lock, to be taken after it.
enum Step {
    /// A finalizer, and whether it is the first.
    Finalize {
        ordinal: u32,
        finalizer: Finalizer,
        first: bool,
        stale: Option<TimerKey>,
    },
    /// What is still owed or kept, and whether there was no finalizer before.
    Settle {
        first: bool,
    },
    Close(Last),
}

/// What a region leaves behind in the moment it closes.
struct Last {
    live: u32,
    unresolved: u32,
    opener: Option<(TaskRef, ScopeKey)>,
    waker: Option<Waker>,
    /// Stragglers and leaks, for the parent.
    books: Option<Box<Books>>,
    /// Failures that nobody will ask for.
    unclaimed: Vec<TaskRef>,
}

impl Rare {
    fn next_finalizer(&mut self) -> Option<(u32, Finalizer)> {
        if mutant!(FinalizersSkipped) {
            self.finalizers.clear();
        }
        if mutant!(FinalizersFifo) && !self.finalizers.is_empty() {
            return Some(self.finalizers.remove(0));
        }
        self.finalizers.pop()
    }
}

/// Whether somebody has joined the ended task, if that is settled: so many references to it are known not
/// to be handles.
fn is_joined(task: &TaskRef, known: usize) -> Option<bool> {
    // In this order: a handle that is gone has joined before, or never.
    let may_be = task.references() > known;
    match task.header().state.is_joined() && !mutant!(JoinTakesNothing) {
        true => Some(true),
        false if may_be => None,
        false => Some(false),
    }
}

impl Inner {
    /// Keeps a failed child until its failure is claimed. Answers children that were joined since they
    /// were kept: a region that lives long does not collect them.
    fn keep_failed(&mut self, task: &TaskRef) -> Vec<TaskRef> {
        let mut joined = Vec::new();
        if self.failed.len() == self.failed.capacity() {
            let is_joined = |task: &TaskRef| task.header().state.is_joined();
            (joined, self.failed) =
                std::mem::take(&mut self.failed).into_iter().partition(is_joined);
        }
        self.failed.push(task.clone());
        joined
    }

    /// Keeps a cancelled child until it is known whether somebody joins it. Answers those for which that
    /// is known.
    fn keep_cancelled(&mut self, task: &TaskRef, reason: CancelReason) -> Vec<TaskRef> {
        if self.child_cancelled.is_some() {
            return Vec::new();
        }
        // One reference is the region's, and one is whose step this is: there is no handle any more.
        match is_joined(task, 2) {
            Some(false) => self.child_cancelled = Some(reason),
            Some(true) => {}
            None => return self.keep_joinable(task, reason),
        }
        Vec::new()
    }

    #[cold]
    fn keep_joinable(&mut self, task: &TaskRef, reason: CancelReason) -> Vec<TaskRef> {
        let mut known = Vec::new();
        let cancelled = &self.rare().cancelled;
        if cancelled.len() == cancelled.capacity() {
            for (task, reason) in std::mem::take(&mut self.rare().cancelled) {
                match is_joined(&task, 1) {
                    None if self.child_cancelled.is_none() => {
                        self.rare().cancelled.push((task, reason));
                        continue;
                    }
                    // Those that ended later do not matter any more.
                    Some(false) if self.child_cancelled.is_none() => {
                        self.child_cancelled = Some(reason);
                    }
                    _ => {}
                }
                known.push(task);
            }
        }
        if self.child_cancelled.is_none() {
            self.rare().cancelled.push((task.clone(), reason));
        }
        known
    }

    /// Why the first child was cancelled that nobody has joined, and what was kept to know that.
    pub(super) fn take_cancelled(
        &mut self,
    ) -> (Option<CancelReason>, Vec<(TaskRef, CancelReason)>) {
        let kept = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.cancelled));
        let kept = kept.unwrap_or_default();
        let counts = |task: &TaskRef| !task.header().state.is_joined() || mutant!(JoinTakesNothing);
        let unjoined = kept.iter().find(|(task, _)| counts(task));
        let first = unjoined.map(|(_, reason)| reason.clone());
        (first.or_else(|| self.child_cancelled.take()), kept)
    }
}

impl Region {
    /// A task of this region has published its outcome. Answers the reference that the region had.
    pub(crate) fn child_ended(self: &Arc<Self>, task: &TaskRef, ended: Ended) -> Option<TaskRef> {
        let header = task.header();
        let failed = matches!(ended.severity, Severity::Err | Severity::Panicked) && !ended.taken;
        let own = |reason: &CancelReason| reason.kind() != CancelKind::ParentCancelled;
        if failed || (!ended.taken && ended.cancelled.as_ref().is_some_and(own)) {
            // The first of them says what becomes of the region.
            self.touch_outcome();
        }
        // Dropped after the lock: an outcome is foreign code.
        let mut done_with = Vec::new();
        let (removed, cancels, step, dismisses) = {
            let mut inner = self.inner.lock();
            inner.ended += 1;
            let slot = header.slot.load(Ordering::Relaxed) as usize;
            let removed = inner.tasks.try_remove(slot);
            inner.services -= usize::from(header.state.is_service());
            if ended.holds {
                let now = self.host.now();
                inner.rare().holders.push((task.clone(), now));
            }
            if failed && !inner.abandoned {
                done_with = inner.keep_failed(task);
            }
            if let Some(reason) = ended.cancelled.filter(|_| !ended.taken) {
                done_with = inner.keep_cancelled(task, reason);
                self.child_cancelled.store(inner.child_cancelled.is_some(), StdOrdering::Relaxed);
            }
            let cancels = failed
                && self.policy == Policy::FailFast
                && inner.state != RegionState::Finalizing
                && inner.cancel.is_none()
                && !mutant!(FailFastIgnored);
            // A failure cancels the region before it closes.
            let step = if cancels { None } else { self.next_step(&mut inner) };
            (removed, cancels, step, inner.dismisses_services())
        };
        drop(done_with);
        if dismisses {
            self.dismiss_services();
        }
        if let Some(step) = step {
            self.go_on(step);
        }
        if cancels {
            self.fail_fast(task, ended.severity);
            self.advance();
        }
        removed
    }

    /// A child's end writes the region's outcome.
    fn touch_outcome(&self) {
        self.observe(|| Event::Access {
            task: crate::step::task(),
            object: ObjectId::of(self.id.to_bits(), u32::MAX),
            access: Access::Write,
            label: "outcome",
        });
    }

    /// Whether a child's cancellation is kept already; a hint that saves the rest from handing in theirs.
    pub(crate) fn knows_cancelled(&self) -> bool {
        self.child_cancelled.load(StdOrdering::Relaxed)
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
            if !inner.abandoned {
                inner.failed.push(task.clone());
            }
            self.policy == Policy::FailFast && inner.cancel.is_none()
        };
        if cancels {
            self.fail_fast(&task, severity);
        }
    }

    /// The body has ended; the region closes when its children have. Answers whether there are regions among
    /// them.
    pub(crate) fn begin_close(self: &Arc<Self>) -> bool {
        let (step, dismisses, regions);
        {
            let mut inner = self.inner.lock();
            regions = !inner.regions.is_empty();
            if inner.state != RegionState::Open {
                return regions;
            }
            let cancelled = inner.cancel.is_some();
            inner.state = inner.state.body_ended(cancelled);
            step = self.next_step(&mut inner);
            dismisses = !mutant!(CloseDismissesNobody) && inner.dismisses_services();
        }
        self.observe(|| Event::RegionClosing { region: self.id });
        if dismisses {
            self.dismiss_services();
        }
        if let Some(step) = step {
            self.go_on(step);
        }
        regions
    }

    /// Takes the close as far as it will go: finalizers when no child is left, then closed, then the same
    /// for the parent. Called after every change that could be the last one.
    pub(super) fn advance(self: &Arc<Self>) {
        let step = self.next_step(&mut self.inner.lock());
        if let Some(step) = step {
            self.go_on(step);
        }
    }

    /// What is to be done now, if anything is. Whoever is answered so does it.
    #[inline]
    fn next_step(&self, inner: &mut Inner) -> Option<Step> {
        if inner.may_advance() { Some(self.step(inner)) } else { None }
    }

    #[inline(never)]
    fn step(&self, inner: &mut Inner) -> Step {
        let first = inner.state != RegionState::Finalizing;
        if first {
            inner.state = inner.state.quiet();
        }
        let Some(rare) = inner.rare.as_mut() else { return Step::Close(self.finish(inner)) };
        let next = rare.next_finalizer();
        // Finalizers have a cleanup budget of their own: the children may have spent theirs.
        let stale = if first && next.is_some() { rare.cleanup_timer.take() } else { None };
        // Keeps everybody else from going on with this until it is in the table, or `Closed`.
        inner.starting = true;
        let Some((ordinal, finalizer)) = next else { return Step::Settle { first } };
        Step::Finalize { ordinal, finalizer, first, stale }
    }

    /// Takes a step, and those of the regions above that follow from it.
    fn go_on(self: &Arc<Self>, step: Step) {
        // A loop and not a recursion: the tree may be deep.
        let mut next = self.take(step);
        while let Some(parent) = next {
            let step = parent.next_step(&mut parent.inner.lock());
            next = step.and_then(|step| parent.take(step));
        }
    }

    /// One region's part; answers its parent when the region has closed and that may be next.
    fn take(self: &Arc<Self>, step: Step) -> Option<Arc<Region>> {
        match step {
            Step::Settle { first } => return self.settle(first),
            Step::Close(last) => return self.closed(last),
            Step::Finalize { ordinal, finalizer, first, stale } => {
                if let Some(stale) = stale {
                    self.host.disarm_timer(stale);
                }
                if first {
                    self.observe(|| Event::RegionFinalizing { region: self.id });
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
        self.observe(|| Event::TaskSpawned {
            task: header.id,
            region: self.id,
            by: None,
            name: Some("finalizer"),
            site: header.spawned_at,
            finalizer: true,
        });
        self.observe(|| Event::FinalizerStarted { region: self.id, ordinal, task: header.id });
        task.submit();
    }

    /// What is still owed or kept when the last child and finalizer are gone, then the close.
    fn settle(self: &Arc<Self>, first: bool) -> Option<Arc<Region>> {
        let (ledger, holders, heap) = {
            let mut inner = self.inner.lock();
            let rare = inner.rare();
            let heap = rare.heap.take();
            (std::mem::take(&mut rare.ledger), std::mem::take(&mut rare.holders), heap)
        };
        if first && heap.is_some() {
            // Foreign code, and no part of the step of whichever child was the last.
            self.observe(|| Event::RegionFinalizing { region: self.id });
        }
        drop(heap);
        let mut leaks: Vec<LeakReport> =
            ledger.into_iter().filter_map(|(_, record)| record.close(self)).collect();
        if !holders.is_empty() {
            self.rehome(holders, &mut leaks);
        }
        if mutant!(LeakNotReported) {
            leaks.clear();
        }
        let (last, timers) = {
            let mut inner = self.inner.lock();
            inner.starting = false;
            // They refer to this region, which refers to them.
            let rare = inner.rare();
            let grace = rare.grace_timer.take().map(|(_, timer)| timer);
            let timers = [rare.deadline_timer.take(), rare.cleanup_timer.take(), grace];
            let unresolved = leaks.len() as u32;
            for leak in leaks {
                inner.books.get_or_insert_default().leak(leak);
            }
            (Last { unresolved, ..self.finish(&mut inner) }, timers)
        };
        for timer in timers.into_iter().flatten() {
            self.host.disarm_timer(timer);
        }
        self.closed(last)
    }

    /// The region is `Closed`; answers what goes with that.
    fn finish(&self, inner: &mut Inner) -> Last {
        // The root answers for everything beneath it: each region hands its books up as it closes.
        let books = inner.books.as_ref().filter(|_| self.parent.is_some()).cloned();
        inner.state = inner.state.finalized();
        // Release: who sees it finds everything that the children did before they ended.
        self.closed.store(true, Ordering::Release);
        let mut unclaimed = Vec::new();
        if inner.opener.is_none() {
            let (_, kept) = inner.take_cancelled();
            unclaimed.extend(kept.into_iter().map(|(task, _)| task));
        }
        if inner.abandoned {
            unclaimed.append(&mut inner.failed);
        }
        Last {
            live: inner.live() as u32,
            unresolved: 0,
            opener: inner.opener.take(),
            waker: inner.waker.take(),
            books,
            unclaimed,
        }
    }

    /// Tells everybody that the region has closed. Answers the parent, which may be next.
    fn closed(self: &Arc<Self>, last: Last) -> Option<Arc<Region>> {
        let Last { live, unresolved, opener, waker, books, unclaimed } = last;
        drop(unclaimed);
        self.observe(|| Event::RegionClosed { region: self.id, live, unresolved });
        drop(opener);
        let next = self.parent.as_ref().and_then(|parent| {
            let (removed, last, dismisses) = {
                let mut inner = parent.inner.lock();
                inner.ended += 1;
                inner.services -= usize::from(self.service);
                if let Some(books) = books {
                    inner.books.get_or_insert_default().absorb(*books);
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
            parent.inner.lock().rare().holders.extend(holders);
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
