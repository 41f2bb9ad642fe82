//! A region: owns tasks, child regions, finalizers and obligations, and closes only when all of that is
//! finished.
//!
//! The close is driven by completions, not by whoever opened the region: each child that ends asks
//! [`Region::advance`] whether it was the last. So a region whose future was dropped closes all the same.
//!
//! # Locks
//! Each region has one, and so has each task. No thread ever holds two of them. What must happen after a
//! change (wakers, hosts, other regions) happens after the lock is released.

mod open;
mod report;
mod root;
mod state;

pub use open::Scope;
pub use report::{ChildFailure, Closed, FailureCause, RegionReport, Straggler};
pub use root::{Root, UnclaimedFailure};
pub use state::RegionState;

use crate::budget::Budget;
use crate::cancel::{CancelKind, CancelReason};
use crate::charge::Account;
use crate::event::Event;
use crate::host::{Host, TimerKey};
use crate::id::{RegionId, TaskId};
use crate::mutant::mutant;
use crate::obligation::{LeakReport, Record, unsettled};
use crate::outcome::Severity;
use crate::primitive::{Mutex, Ordering};
use crate::snapshot::waits_of;
use crate::task::TaskRef;
use crate::task::run::Ended;
use crate::task::scopes::{Effects, ScopeKey};
use crate::timer::{Fires, arm};
use slab::Slab;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering as StdOrdering};
use std::task::{Context, Poll, Waker};

/// What a region does when a child fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The first error or panic cancels the siblings, and becomes the region's outcome.
    #[default]
    FailFast,
    /// Siblings go on; the worst outcome becomes the region's, and the report keeps all errors.
    CollectAll,
}

/// How a region is opened, beyond its body.
#[derive(Clone, Debug, Default)]
pub struct RegionOptions {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) policy: Policy,
    pub(crate) budget: Budget,
}

impl RegionOptions {
    /// Fail-fast, no name, no limits of its own.
    #[must_use]
    pub fn new() -> RegionOptions {
        RegionOptions::default()
    }

    /// A name for reports.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> RegionOptions {
        self.name = Some(name.into());
        self
    }

    /// What happens when a child fails.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> RegionOptions {
        self.policy = policy;
        self
    }

    /// Limits, which meet with the parent's. The poll quota is each task's, the cost is shared.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> RegionOptions {
        self.budget = budget;
        self
    }
}

/// Who caused a cancellation, as far as the region's outcome is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The region's own policy or body: it does not enter the outcome.
    Itself,
    /// A deadline, a parent, a shutdown.
    Outside,
}

type Finalizer = Box<dyn FnOnce(&Arc<Region>) -> TaskRef + Send>;

pub(crate) struct Region {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) observing: bool,
    pub(crate) id: RegionId,
    pub(crate) parent: Option<Arc<Region>>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) site: &'static Location<'static>,
    policy: Policy,
    /// Met with every ancestor's.
    pub(crate) budget: Budget,
    pub(crate) account: Option<Arc<Account>>,
    /// Names what is created here by no task.
    ordinals: AtomicU32,
    inner: Mutex<Inner>,
}

struct Inner {
    state: RegionState,
    cancel: Option<CancelReason>,
    origin: Origin,
    /// The task whose future the body is part of, and the scope that is the body. None for roots, and
    /// once the future is gone.
    opener: Option<(TaskRef, ScopeKey)>,
    /// Place in the parent's table.
    place: usize,
    tasks: Slab<TaskRef>,
    regions: Slab<Arc<Region>>,
    finalizers: Vec<(u32, Finalizer)>,
    /// A finalizer has left the list and is not in the task table yet.
    starting: bool,
    deferred: u32,
    ledger: Slab<Arc<Record>>,
    /// Ended tasks with abort-class obligations that are still open.
    holders: Vec<TaskRef>,
    /// Ended children with an error or a panic, in order.
    failed: Vec<TaskRef>,
    /// Why a child ended as cancelled, where that counts for this region's outcome.
    child_cancelled: Option<CancelReason>,
    ended: u64,
    stragglers: Vec<Straggler>,
    leaks: Vec<LeakReport>,
    deadline_timer: Option<TimerKey>,
    cleanup_timer: Option<TimerKey>,
    escalated: bool,
    waker: Option<Waker>,
}

impl Inner {
    fn live(&self) -> usize {
        self.tasks.len() + self.regions.len() + usize::from(self.starting)
    }

    /// Whether the close can go a step further: the body has ended and nobody is left.
    fn may_advance(&self) -> bool {
        self.state.is_ending() && (self.live() == 0 || mutant!(CloseDoesNotWait))
    }
}

/// The region does not take in new tasks: it is cancelled, finalizing or closed.
pub(crate) struct Refused(CancelReason);

/// How a new region hangs in the tree.
pub(crate) struct Place {
    pub(crate) parent: Option<Arc<Region>>,
    pub(crate) opener: Option<TaskRef>,
    pub(crate) account: Option<Arc<Account>>,
    /// The tightest deadline above, outside of the parent region's own.
    pub(crate) budget: Budget,
}

impl Region {
    /// Makes a region and enters it in its parent's table. Its cancel scope is the caller's business.
    pub(crate) fn new(
        host: Arc<dyn Host>,
        place: Place,
        options: RegionOptions,
        site: &'static Location<'static>,
    ) -> Arc<Region> {
        let observing = place.parent.as_ref().map_or_else(|| host.observing(), |p| p.observing);
        let (creator, ordinal) = match (&place.opener, &place.parent) {
            (Some(task), _) => (task.header().id.to_bits(), task.header().next_ordinal()),
            (None, Some(parent)) => (parent.id.to_bits(), parent.next_ordinal()),
            (None, None) => (0, 0),
        };
        let own = options.budget.effective_at(host.now());
        let above = place.parent.as_ref().map_or(Budget::UNLIMITED, |parent| parent.budget);
        let above = above.meet(place.budget);
        let budget = own.meet(above);
        let region = Arc::new_cyclic(|weak| {
            let account = match own.cost_quota {
                Some(units) => {
                    let owner = crate::charge::Owner::Region(weak.clone());
                    Some(Account::new(units, place.account, owner))
                }
                None => place.account,
            };
            Region {
                observing,
                id: RegionId::of(creator, ordinal),
                parent: place.parent,
                name: options.name,
                site,
                policy: options.policy,
                budget,
                account,
                ordinals: AtomicU32::new(0),
                inner: Mutex::new(Inner {
                    state: RegionState::Open,
                    cancel: None,
                    origin: Origin::Itself,
                    opener: None,
                    place: usize::MAX,
                    tasks: Slab::new(),
                    regions: Slab::new(),
                    finalizers: Vec::new(),
                    starting: false,
                    deferred: 0,
                    ledger: Slab::new(),
                    holders: Vec::new(),
                    failed: Vec::new(),
                    child_cancelled: None,
                    ended: 0,
                    stragglers: Vec::new(),
                    leaks: Vec::new(),
                    deadline_timer: None,
                    cleanup_timer: None,
                    escalated: false,
                    waker: None,
                }),
                host,
            }
        });
        if let Some(parent) = &region.parent {
            let place = parent.inner.lock().regions.insert(Arc::clone(&region));
            region.inner.lock().place = place;
        }
        region.observe(&Event::RegionOpened {
            region: region.id,
            parent: region.parent.as_ref().map(|parent| parent.id),
            by: place.opener.as_ref().map(|task| task.header().id),
            name: region.name.as_deref(),
            site,
        });
        // An inherited deadline has its own timer further up.
        let earlier =
            budget.deadline.filter(|deadline| above.deadline.is_none_or(|d| *deadline < d));
        if let Some(deadline) = earlier.filter(|_| !mutant!(DeadlineNotArmed)) {
            let timer = arm(&region.host, deadline, Fires::RegionDeadline(Arc::clone(&region)));
            region.inner.lock().deadline_timer = Some(timer);
        }
        region
    }

    #[inline]
    pub(crate) fn observe(&self, event: &Event<'_>) {
        if self.observing {
            self.host.observe(event);
        }
    }

    pub(crate) fn next_ordinal(&self) -> u32 {
        self.ordinals.fetch_add(1, StdOrdering::Relaxed)
    }

    pub(crate) fn opener(&self) -> Option<TaskRef> {
        self.inner.lock().opener.as_ref().map(|(task, _)| task.clone())
    }

    /// Ties the region's body to a scope of the task that opened it.
    fn attach(&self, task: TaskRef, key: ScopeKey) {
        self.inner.lock().opener = Some((task, key));
    }

    /// The region's reason, or one that says it is closed.
    pub(crate) fn cancel_reason(&self) -> CancelReason {
        self.inner.lock().cancel.clone().unwrap_or_else(|| {
            CancelReason::new(CancelKind::ParentCancelled)
                .with_message("the region is closed")
                .at_site(self.site)
        })
    }

    pub(crate) fn live(&self) -> usize {
        self.inner.lock().live()
    }

    pub(crate) fn state(&self) -> RegionState {
        self.inner.lock().state
    }

    /// Takes a task in, unless the region is cancelled or past admitting. The check and the entry are one
    /// critical section: a close or cancellation comes wholly before or wholly after.
    pub(crate) fn admit(&self, task: &TaskRef) -> Result<(), Refused> {
        let mut inner = self.inner.lock();
        let refused = !inner.state.admits() || inner.cancel.is_some();
        if refused && !mutant!(AdmitUnchecked) {
            drop(inner);
            return Err(Refused(self.cancel_reason()));
        }
        let slot = inner.tasks.insert(task.clone());
        task.header().slot.store(slot as u32, Ordering::Relaxed);
        Ok(())
    }

    /// Registers a finalizer. False when the region is past running it.
    fn defer(&self, finalizer: Finalizer) -> bool {
        let ordinal = {
            let mut inner = self.inner.lock();
            if matches!(inner.state, RegionState::Finalizing | RegionState::Closed) {
                return false;
            }
            let ordinal = inner.deferred;
            inner.deferred += 1;
            inner.finalizers.push((ordinal, finalizer));
            ordinal
        };
        self.observe(&Event::FinalizerDeferred { region: self.id, ordinal });
        true
    }

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
        {
            let mut inner = self.inner.lock();
            if inner.state != RegionState::Open {
                return;
            }
            let cancelled = inner.cancel.is_some();
            inner.state = inner.state.body_ended(cancelled);
        }
        self.observe(&Event::RegionClosing { region: self.id });
        self.advance();
    }

    /// Takes the close as far as it will go: finalizers when no child is left, then closed. Called after
    /// every change that could be the last one.
    fn advance(self: &Arc<Self>) {
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
        let (ledger, holders, timers, waker, opener) = {
            let mut inner = self.inner.lock();
            let timers = [inner.deadline_timer.take(), inner.cleanup_timer.take()];
            (
                std::mem::take(&mut inner.ledger),
                std::mem::take(&mut inner.holders),
                timers,
                inner.waker.take(),
                inner.opener.take(),
            )
        };
        for timer in timers.into_iter().flatten() {
            self.host.disarm_timer(timer);
        }
        let mut leaks: Vec<LeakReport> =
            ledger.into_iter().filter_map(|(_, record)| record.close(self)).collect();
        let holders: Vec<TaskRef> =
            holders.into_iter().filter(|task| !unsettled(task).is_empty()).collect();
        match &self.parent {
            Some(parent) => parent.inner.lock().holders.extend(holders),
            None => leaks.extend(holders.iter().flat_map(|task| {
                let id = task.header().id;
                unsettled(task).into_iter().map(move |(kind, site)| LeakReport {
                    kind: kind.name(),
                    task: id,
                    site,
                    age: None,
                })
            })),
        }
        if mutant!(LeakNotReported) {
            leaks.clear();
        }
        let (live, place) = {
            let mut inner = self.inner.lock();
            inner.leaks.extend(leaks.iter().cloned());
            (inner.live() as u32, inner.place)
        };
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
            let removed = {
                let mut inner = parent.inner.lock();
                inner.ended += 1;
                inner.regions.try_remove(place)
            };
            drop(removed);
            parent.advance();
        }
    }

    /// Ready once closed.
    pub(crate) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut waker = Some(context.waker().clone());
        {
            let mut inner = self.inner.lock();
            if inner.state != RegionState::Closed {
                std::mem::swap(&mut inner.waker, &mut waker);
                drop(inner);
                drop(waker);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Requests cancellation of everything inside.
    pub(crate) fn cancel(self: &Arc<Self>, reason: CancelReason, origin: Origin) {
        let reason = reason.attributed(self.host.now(), crate::step::task(), Some(self.id));
        let mut effects = Effects::default();
        self.cancel_one(reason, origin, &mut effects);
        effects.run();
    }

    /// Cancels this region's own tasks and body; regions within them are left in `effects`.
    fn cancel_one(self: &Arc<Self>, reason: CancelReason, origin: Origin, effects: &mut Effects) {
        let (tasks, opener, orphans) = {
            let mut inner = self.inner.lock();
            if inner.state == RegionState::Closed
                || !crate::cancel_strengthens(&reason, inner.cancel.as_ref())
            {
                return;
            }
            inner.origin = origin;
            inner.cancel = Some(reason.clone());
            inner.state = inner.state.cancelled();
            let tasks: Vec<TaskRef> = if mutant!(CancelStopsAtRegion) {
                Vec::new()
            } else {
                inner.tasks.iter().map(|(_, task)| task.clone()).collect()
            };
            let regions: Vec<Arc<Region>> =
                inner.regions.iter().map(|(_, region)| Arc::clone(region)).collect();
            (tasks, inner.opener.clone(), regions)
        };
        self.observe(&Event::RegionCancelRequested {
            region: self.id,
            kind: reason.kind(),
            severity: reason.severity(),
        });
        self.arm_cleanup();
        let inherited = reason.inherited(Some(self.id), self.host.now());
        if let Some((task, key)) = opener {
            let header = task.header();
            let mut inner = header.inner.lock();
            if let Some(node) = inner.scopes.node_mut(key) {
                node.cancel = Some(reason);
            }
            inner.scopes.propagate(header, effects);
            drop(inner);
            effects.wake_now();
        }
        for task in tasks {
            task.cancel(inherited.clone(), effects);
            effects.wake_now();
        }
        // A region that some task's future is still driving is reached through that task, whose masks
        // may shield it. The others have nobody to be masked by.
        for region in orphans {
            if region.inner.lock().opener.is_none() {
                effects.regions.push((region, inherited.clone()));
            }
        }
    }

    /// Bounds the cleanup, unless an earlier bound is in force.
    fn arm_cleanup(self: &Arc<Self>) {
        let now = self.host.now();
        let cleanup = {
            let inner = self.inner.lock();
            match &inner.cancel {
                // Absolute: a descendant's cleanup ends when its ancestor's does.
                Some(reason) if inner.state != RegionState::Finalizing => {
                    reason.root().at().unwrap_or(now) + reason.cleanup_time()
                }
                Some(reason) => now + reason.cleanup_time(),
                None => now + CancelKind::User.cleanup_time(),
            }
        };
        let timer = arm(&self.host, cleanup, Fires::RegionCleanup(Arc::clone(self)));
        let stale = {
            let mut inner = self.inner.lock();
            if inner.state == RegionState::Closed && !mutant!(TimerOutlivesRegion) {
                Some(timer)
            } else {
                inner.cleanup_timer.replace(timer)
            }
        };
        if let Some(stale) = stale {
            self.host.disarm_timer(stale);
        }
    }

    /// Cleanup time is over: every task still here is dropped at its next poll boundary.
    pub(crate) fn escalate(self: &Arc<Self>) {
        if mutant!(EscalationIgnored) {
            return;
        }
        let (tasks, opener) = {
            let mut inner = self.inner.lock();
            if inner.state == RegionState::Closed {
                return;
            }
            inner.escalated = true;
            let tasks: Vec<TaskRef> = inner.tasks.iter().map(|(_, task)| task.clone()).collect();
            (tasks, inner.opener.clone())
        };
        if let Some((task, key)) = opener {
            task.escalate_scope(key);
        }
        for task in tasks {
            task.escalate();
        }
    }

    /// Escalates this region and every one beneath it.
    fn escalate_all(self: &Arc<Self>) {
        let mut pending = vec![Arc::clone(self)];
        while let Some(region) = pending.pop() {
            region.escalate();
            pending.extend(region.inner.lock().regions.iter().map(|(_, child)| Arc::clone(child)));
        }
    }

    /// The region's future is gone before the region closed: cancel, and close without it.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let (opener, escalated) = {
            let mut inner = self.inner.lock();
            (inner.opener.take(), inner.escalated)
        };
        let Some((task, key)) = opener else { return };
        let removed = {
            let header = task.header();
            let mut inner = header.inner.lock();
            let removed = inner.scopes.remove(key);
            inner.scopes.publish(header);
            removed
        };
        let scope_escalated = removed.as_ref().is_some_and(|child| child.escalated);
        if self.state() != RegionState::Closed && !mutant!(DroppedRegionRunsOn) {
            let reason = CancelReason::new(CancelKind::ParentCancelled)
                .with_message("the region's future was dropped")
                .at_site(self.site);
            self.cancel(reason, Origin::Itself);
        }
        if escalated || scope_escalated {
            self.escalate();
        }
        drop(removed);
        self.begin_close();
    }

    pub(crate) fn record_straggler(&self, task: &TaskRef) {
        let header = task.header();
        let straggler = Straggler {
            task: header.id,
            name: header.name(),
            spawned_at: header.spawned_at,
            waits: waits_of(task),
        };
        let mut inner = self.inner.lock();
        if !inner.stragglers.iter().any(|known| known.task == straggler.task) {
            inner.stragglers.push(straggler);
        }
    }

    pub(crate) fn record_leak(&self, leak: LeakReport) {
        // A duty may outlive the region it was taken on in; then the leak belongs to whoever is left.
        let mut region = self;
        loop {
            let mut inner = region.inner.lock();
            match &region.parent {
                Some(parent) if inner.state == RegionState::Closed => {
                    drop(inner);
                    region = parent;
                }
                _ => {
                    inner.leaks.push(leak);
                    return;
                }
            }
        }
    }

    pub(crate) fn enter_ledger(&self, record: Arc<Record>) -> usize {
        self.inner.lock().ledger.insert(record)
    }

    pub(crate) fn leave_ledger(&self, place: usize, record: &Arc<Record>) {
        let mut inner = self.inner.lock();
        if inner.ledger.get(place).is_some_and(|entry| Arc::ptr_eq(entry, record)) {
            inner.ledger.remove(place);
        }
    }

    /// The books, complete once the region is closed.
    fn report(&self) -> RegionReport {
        let mut inner = self.inner.lock();
        RegionReport {
            region: self.id,
            ended: inner.ended,
            cancelled: inner.cancel.clone(),
            stragglers: std::mem::take(&mut inner.stragglers),
            leaks: std::mem::take(&mut inner.leaks),
        }
    }

    /// Copies of the children, for a snapshot.
    pub(crate) fn children(&self) -> (Vec<TaskRef>, Vec<Arc<Region>>) {
        let inner = self.inner.lock();
        let tasks = inner.tasks.iter().map(|(_, task)| task.clone()).collect();
        (tasks, inner.regions.iter().map(|(_, region)| Arc::clone(region)).collect())
    }

    /// The reason in force, if any.
    pub(crate) fn cancelled_for(&self) -> Option<CancelReason> {
        self.inner.lock().cancel.clone()
    }
}

impl Refused {
    /// Ends the task without running it: its handle yields `Cancelled`, what it captured is dropped.
    pub(crate) fn end(self, task: &TaskRef, by: Option<TaskId>) {
        let header = task.header();
        header.region.observe(&Event::SpawnRefused { region: header.region.id, by });
        if mutant!(RefusedTaskIsKept) {
            std::mem::forget(task.clone());
            return;
        }
        task.refuse(self.0);
    }
}

/// Cancels regions, and the regions inside them, one lock at a time and without recursion.
pub(crate) fn cancel_all(mut pending: Vec<(Arc<Region>, CancelReason)>) {
    while let Some((region, reason)) = pending.pop() {
        let mut effects = Effects::default();
        let inherited = reason.inherited(Some(region.id), region.host.now());
        region.cancel_one(inherited, Origin::Outside, &mut effects);
        effects.wake_now();
        pending.append(&mut effects.regions);
    }
}
