//! A region: owns tasks, child regions, finalizers and obligations, and closes only when all of that is
//! finished.
//!
//! The close is driven by completions, not by whoever opened the region: each child that ends asks
//! [`Region::advance`] whether it was the last. So a region whose future was dropped closes all the same.
//!
//! # Locks
//! Each region has one, and so has each task. No thread ever holds two of them. What must happen after a
//! change (wakers, hosts, other regions) happens after the lock is released.

mod cancel;
mod close;
mod group;
mod heap;
mod limit;
mod open;
mod ready;
mod report;
mod root;
mod service;
mod soft;
mod state;
mod table;

pub(crate) use cancel::cancel_all;
pub use group::Group;
pub use heap::{RRef, RRefError};
pub use limit::Limit;
pub use open::Scope;
pub use ready::{NotReady, Ready};
use report::Books;
pub use report::{ChildFailure, Closed, FailureCause, RegionReport, Straggler};
pub use root::{Root, UnclaimedFailure};
pub use state::RegionState;
use table::Table;

use crate::budget::Budget;
use crate::cancel::{CancelKind, CancelReason};
use crate::charge::Account;
use crate::event::Event;
use crate::host::{Host, TimerKey};
use crate::id::{RegionId, TaskId};
use crate::mutant::mutant;
use crate::obligation::{LeakReport, Record};
use crate::outcome::Severity;
use crate::primitive::{AtomicBool, Mutex, Ordering};
use crate::snapshot::waits_of;
use crate::task::TaskRef;
use crate::task::scopes::{ScopeKey, earlier};
use crate::time::Time;
use crate::timer::{Fires, arm};
use slab::Slab;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool as StdAtomicBool, AtomicU32, AtomicUsize, Ordering as StdOrdering,
};
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

/// Somebody listens to the kernel's events.
const OBSERVED: u32 = 1;
/// Asked to finish, or part of something that was.
const SOFT: u32 = 2;

type Finalizer = Box<dyn FnOnce(&Arc<Region>) -> TaskRef + Send>;

pub(crate) struct Region {
    pub(crate) host: Arc<dyn Host>,
    /// `OBSERVED` and `SOFT`: what few regions are, for one question. The first is set from the start or
    /// never, the second under `inner`'s lock; neither is cleared.
    marks: AtomicU32,
    pub(crate) id: RegionId,
    pub(crate) parent: Option<Arc<Region>>,
    /// Which task's body it is, or was, part of.
    opener: Option<TaskId>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) site: &'static Location<'static>,
    policy: Policy,
    /// Met with every ancestor's.
    pub(crate) budget: Budget,
    /// When a deadline will cancel it: its own, or one around it that no mask hides.
    pub(crate) due: Option<Time>,
    pub(crate) account: Option<Arc<Account>>,
    /// Names what is created here by no task.
    ordinals: AtomicU32,
    /// Opened by a service of the parent region, and counted with them.
    service: bool,
    /// Set under `inner`'s lock when the state becomes `Closed`, never cleared.
    closed: AtomicBool,
    /// `child_cancelled` is set, and nothing changes that any more. Set after it, never cleared.
    child_cancelled: StdAtomicBool,
    /// Place in the parent's table; written and read under the parent's lock.
    place: AtomicUsize,
    inner: Mutex<Inner>,
}

struct Inner {
    state: RegionState,
    cancel: Option<CancelReason>,
    origin: Origin,
    /// The task whose future the body is part of, and the scope that is the body. None for roots, and
    /// once the future is gone.
    opener: Option<(TaskRef, ScopeKey)>,
    tasks: Table<TaskRef>,
    regions: Slab<Arc<Region>>,
    /// How many of the two are services.
    services: usize,
    /// The services have been asked to end, and no more are admitted.
    services_dismissed: bool,
    /// A step of the close is under way: a finalizer has left the list and is not in the task table yet,
    /// or the last books are being made.
    starting: bool,
    /// Ended children with an error or a panic, in order.
    failed: Vec<TaskRef>,
    /// Why a child ended as cancelled that nobody will join: the first such.
    child_cancelled: Option<CancelReason>,
    ended: u64,
    /// Stragglers and leaks, here and beneath.
    books: Option<Box<Books>>,
    /// The region's future was dropped, or it never had one that would: nobody will ask for its children's
    /// failures.
    abandoned: bool,
    escalated: bool,
    waker: Option<Waker>,
    rare: Option<Box<Rare>>,
}

/// What few regions have.
#[derive(Default)]
struct Rare {
    finalizers: Vec<(u32, Finalizer)>,
    deferred: u32,
    ledger: Slab<Arc<Record>>,
    /// The same of children that ended before that one, and may yet be joined or have been.
    cancelled: Vec<(TaskRef, CancelReason)>,
    /// Ended tasks with abort-class obligations that are still open, and since when they have ended.
    holders: Vec<(TaskRef, Time)>,
    /// Values that live as long as the region.
    heap: Option<heap::Owner>,
    deadline_timer: Option<TimerKey>,
    cleanup_timer: Option<TimerKey>,
    /// When a soft cancellation becomes a hard one.
    grace_timer: Option<(Time, TimerKey)>,
}

impl Inner {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn live(&self) -> usize {
        self.tasks.len() + self.regions.len() + usize::from(self.starting)
    }

    #[inline]
    fn take_in(&mut self, task: TaskRef) {
        self.services += usize::from(task.header().state.is_service());
        task.header().slot.store(self.tasks.next_number() as u32, Ordering::Relaxed);
        self.tasks.insert(task);
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
    /// The task whose future the body is part of, and the scope that is the body.
    pub(crate) opener: Option<(TaskRef, ScopeKey)>,
    pub(crate) account: Option<Arc<Account>>,
    /// The tightest deadline above, outside of the parent region's own.
    pub(crate) budget: Budget,
    /// The tightest deadline of those around it that no mask hides.
    pub(crate) due: Option<Time>,
}

impl Region {
    /// Makes a region and enters it in its parent's table. Its cancel scope is the caller's business.
    pub(crate) fn new(
        host: Arc<dyn Host>,
        place: Place,
        options: RegionOptions,
        site: &'static Location<'static>,
    ) -> Arc<Region> {
        let opener = place.opener.as_ref().map(|(task, _)| task.header().id);
        let observing = place.parent.as_ref().map_or_else(|| host.observing(), |p| p.is_observed());
        let (creator, ordinal) = match (&place.opener, &place.parent) {
            (Some((task, _)), _) => (task.header().id.to_bits(), task.header().next_ordinal()),
            (None, Some(parent)) => (parent.id.to_bits(), parent.next_ordinal()),
            (None, None) => (0, 0),
        };
        // The clock is read only where the answer depends on it.
        let own = match options.budget.timeout {
            Some(_) => options.budget.effective_at(host.now()),
            None => options.budget,
        };
        let above = place.parent.as_ref().map_or(Budget::UNLIMITED, |parent| parent.budget);
        let above = above.meet(place.budget);
        let budget = own.meet(above);
        let around = place.due;
        let due = earlier(own.deadline, around);
        let opened_by = place.opener.as_ref().map(|(task, _)| task);
        let service = match (&place.parent, opened_by) {
            (Some(parent), Some(task)) => parent.is_served_by(task),
            _ => false,
        };
        let Place { parent, account: account_above, opener: body, .. } = place;
        let make = |account| Region {
            marks: AtomicU32::new(if observing { OBSERVED } else { 0 }),
            id: RegionId::of(creator, ordinal),
            parent,
            opener,
            name: options.name,
            site,
            policy: options.policy,
            budget,
            due,
            account,
            ordinals: AtomicU32::new(0),
            service,
            closed: AtomicBool::new(false),
            child_cancelled: StdAtomicBool::new(false),
            place: AtomicUsize::new(usize::MAX),
            inner: Mutex::new(Inner {
                state: RegionState::Open,
                cancel: None,
                origin: Origin::Itself,
                opener: body,
                tasks: Table::new(),
                regions: Slab::new(),
                services: 0,
                services_dismissed: false,
                starting: false,
                failed: Vec::new(),
                child_cancelled: None,
                ended: 0,
                books: None,
                abandoned: false,
                escalated: false,
                waker: None,
                rare: None,
            }),
            host,
        };
        let region = match own.cost_quota {
            None => {
                // Written where it stays.
                let mut region = Arc::new_uninit();
                if let Some(place) = Arc::get_mut(&mut region) {
                    place.write(make(account_above));
                }
                // SAFETY: there is one reference yet, so `get_mut` gave the place and it was written to.
                unsafe { region.assume_init() }
            }
            Some(units) => Arc::new_cyclic(|weak| {
                let owner = crate::charge::Owner::Region(weak.clone());
                make(Some(Account::new(units, account_above, owner)))
            }),
        };
        if let Some(parent) = &region.parent {
            let mut inner = parent.inner.lock();
            let place = inner.regions.insert(Arc::clone(&region));
            region.place.store(place, StdOrdering::Relaxed);
            inner.services += usize::from(service);
            // Under the lock: a soft cancellation finds the region in the table, or this finds it.
            if parent.is_soft() {
                region.mark_soft();
            }
        }
        region.observe(|| Event::RegionOpened {
            region: region.id,
            parent: region.parent.as_ref().map(|parent| parent.id),
            by: opener,
            name: region.name.as_deref(),
            site,
        });
        // An inherited deadline has its own timer further up.
        let tighter = own.deadline.filter(|deadline| around.is_none_or(|above| *deadline < above));
        if let Some(deadline) = tighter.filter(|_| !mutant!(DeadlineNotArmed)) {
            let timer = arm(&region.host, deadline, Fires::RegionDeadline(Arc::clone(&region)));
            region.inner.lock().rare().deadline_timer = Some(timer);
        }
        region
    }

    /// Whether somebody listens. Under `cfg(unheard)` nobody ever does, and nobody asks.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        !cfg!(unheard) && self.marks.load(StdOrdering::Relaxed) & OBSERVED != 0
    }

    /// Whether what is spawned here needs more than to be submitted.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.marks.load(StdOrdering::Relaxed) != 0
    }

    /// Tells whoever listens; the event is made for nobody else, and out of the way of the rest.
    #[inline]
    pub(crate) fn observe<'e>(&self, event: impl FnOnce() -> Event<'e>) {
        if self.is_observed() {
            self.tell(event);
        }
    }

    /// To whoever listens.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell<'e>(&self, event: impl FnOnce() -> Event<'e>) {
        self.host.observe(&event());
    }

    pub(crate) fn next_ordinal(&self) -> u32 {
        self.ordinals.fetch_add(1, StdOrdering::Relaxed)
    }

    /// Whether the task is waiting for this region: it opened it, and its future is alive.
    pub(crate) fn is_opened_by(&self, task: &TaskRef) -> bool {
        self.opener == Some(task.header().id)
            && self.inner.lock().opener.as_ref().is_some_and(|(opener, _)| opener.is_same(task))
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
    pub(crate) fn admit(&self, task: TaskRef) -> Result<(), Refused> {
        let mut inner = self.inner.lock();
        let refused = !inner.state.admits() || inner.cancel.is_some() || inner.services_dismissed;
        if refused && !mutant!(AdmitUnchecked) {
            drop(inner);
            return Err(Refused(self.cancel_reason()));
        }
        inner.take_in(task);
        Ok(())
    }

    /// Takes in, masked, what a task of this region does in a masked section, cancelled or finalizing or not. It is
    /// not closed, for that task has not ended.
    pub(crate) fn admit_masked(&self, task: TaskRef) -> Result<(), Refused> {
        // Before the region knows it, and so before its first poll.
        task.header().inner.lock().scopes.base.masks = 1;
        let mut inner = self.inner.lock();
        if inner.state == RegionState::Closed {
            drop(inner);
            return Err(Refused(self.cancel_reason()));
        }
        inner.take_in(task);
        Ok(())
    }

    /// Registers a finalizer. False when the region is past running it.
    fn defer(&self, finalizer: Finalizer) -> bool {
        let ordinal = {
            let mut inner = self.inner.lock();
            if matches!(inner.state, RegionState::Finalizing | RegionState::Closed) {
                return false;
            }
            let rare = inner.rare();
            let ordinal = rare.deferred;
            rare.deferred += 1;
            rare.finalizers.push((ordinal, finalizer));
            ordinal
        };
        self.observe(|| Event::FinalizerDeferred { region: self.id, ordinal });
        true
    }

    /// Ready once closed.
    pub(crate) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.closed.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut waker = Some(context.waker().clone());
        let mut inner = self.inner.lock();
        if inner.state == RegionState::Closed && !mutant!(ClosedLooksOnce) {
            return Poll::Ready(());
        }
        std::mem::swap(&mut inner.waker, &mut waker);
        drop(inner);
        Poll::Pending
    }

    pub(crate) fn record_straggler(&self, task: &TaskRef) {
        let header = task.header();
        let straggler = Straggler {
            task: header.id,
            name: header.name(),
            spawned_at: header.spawned_at,
            region: self.id,
            waits: waits_of(task),
        };
        self.inner.lock().books.get_or_insert_default().straggler(straggler);
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
                    inner.books.get_or_insert_default().leak(leak);
                    return;
                }
            }
        }
    }

    /// What is in the ledger, for a snapshot.
    pub(crate) fn owed(&self) -> Vec<LeakReport> {
        let records: Vec<Arc<Record>> = match &self.inner.lock().rare {
            Some(rare) => rare.ledger.iter().map(|(_, record)| Arc::clone(record)).collect(),
            None => Vec::new(),
        };
        records.iter().map(|record| record.report(self)).collect()
    }

    pub(crate) fn enter_ledger(&self, record: Arc<Record>) -> usize {
        self.inner.lock().rare().ledger.insert(record)
    }

    pub(crate) fn leave_ledger(&self, place: usize, record: &Arc<Record>) {
        let mut inner = self.inner.lock();
        let Some(rare) = &mut inner.rare else { return };
        if rare.ledger.get(place).is_some_and(|entry| Arc::ptr_eq(entry, record)) {
            rare.ledger.remove(place);
        }
    }

    /// The books, complete once the region is closed.
    fn report(&self) -> RegionReport {
        let mut inner = self.inner.lock();
        let Books { stragglers, leaks, omitted } =
            inner.books.take().map_or_else(Books::default, |books| *books);
        RegionReport {
            region: self.id,
            ended: inner.ended,
            cancelled: inner.cancel.clone(),
            stragglers,
            leaks,
            omitted,
        }
    }

    /// Copies of the children, for a snapshot.
    pub(crate) fn children(&self) -> (Vec<TaskRef>, Vec<Arc<Region>>) {
        let inner = self.inner.lock();
        let tasks = inner.tasks.iter().cloned().collect();
        (tasks, inner.regions.iter().map(|(_, region)| Arc::clone(region)).collect())
    }

    /// The reason in force, if any.
    pub(crate) fn cancelled_for(&self) -> Option<CancelReason> {
        self.inner.lock().cancel.clone()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // A loop and not a recursion: the last reference to a deep chain lets go of all of it.
        let mut above = self.parent.take();
        while let Some(region) = above.and_then(Arc::into_inner) {
            let mut region = region;
            above = region.parent.take();
        }
    }
}

impl Refused {
    /// Ends the task without running it: its handle yields `Cancelled`, what it captured is dropped.
    pub(crate) fn end(self, task: &TaskRef, by: Option<TaskId>) {
        let header = task.header();
        header.region.observe(|| Event::SpawnRefused { region: header.region.id, by });
        if mutant!(RefusedTaskIsKept) {
            std::mem::forget(task.clone());
            return;
        }
        task.refuse(self.0);
        let listener = header.inner.lock().extra.as_mut().and_then(|extra| extra.on_end.take());
        if let Some(listener) = listener {
            listener.0.ended(task, Severity::Cancelled);
        }
    }
}
