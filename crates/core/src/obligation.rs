//! Obligations: things taken on that must be settled.
//!
//! Three classes. [`Obligation`] is *abort on drop*: dropping it is a clean abort, nothing is lost; send
//! permits, semaphore permits and lock guards hold one. [`Duty`] *must be resolved*: dropping it, or
//! letting its region close over it, is a leak that is reported, and whoever watches it is told. [`Lease`]
//! is *timed*: it expires. Nothing here panics on drop. An obligation that was `mem::forget`ten is found:
//! a duty when its region closes, an abort-class one when the root closes (until then it moves up the
//! tree, because a forgotten permit and one that was handed to a longer-lived task look the same).
//!
//! | kind | class | settled by |
//! |---|---|---|
//! | send permit | abort on drop | `send`, `abort` (in `asupersync-channel`) |
//! | [`Ack`] | must be resolved | `commit`, `nack` |
//! | [`Lease`] | timed | `renew`ed until it `expire`s |
//! | [`IoOp`] | must be resolved | `complete`, `cancel` |
//! | one's own | any | an [`ObligationKind`] with any of the three tokens |

mod kinds;

pub use kinds::{Ack, IoOp};

use crate::event::{Event, Resolution};
use crate::host::TimerKey;
use crate::id::{ObligationId, RegionId, TaskId};
use crate::mutant::mutant;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use crate::region::Region;
use crate::task::{Header, Inner, TaskRef};
use crate::time::Time;
use crate::timer::{Fires, arm};
use slab::Slab;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A sort of obligation, named once in a `static`.
///
/// ```
/// use asupersync_core::ObligationKind;
/// static PERMIT: ObligationKind = ObligationKind::new("mpsc::Permit");
/// ```
#[derive(Debug)]
pub struct ObligationKind {
    name: &'static str,
}

impl ObligationKind {
    /// A sort with this name, as reports print it.
    #[must_use]
    pub const fn new(name: &'static str) -> ObligationKind {
        ObligationKind { name }
    }

    /// The same as [`new`](ObligationKind::new): the class is that of the token it is used for.
    #[must_use]
    pub const fn abort_on_drop(name: &'static str) -> ObligationKind {
        ObligationKind { name }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// A task's first abort-class obligation, kept in its header: no lock, no reference count and, inside
/// the task's own step, no read-modify-write.
///
/// ```text
///            fill (own step)          last other reference goes
///     FREE ───────────────────▶ HELD ───────────────────────────▶ COUNTED
///      ▲                         │ settle                             │ settle: drops the count
///      └─────────────────────────┴────────────────────────────────────┘
/// ```
/// A `HELD` obligation has no count of its own: who drops the last count looks here, and leaves it to the
/// obligation instead of freeing the task.
pub(crate) struct Slot {
    state: AtomicU32,
    kind: AtomicPtr<ObligationKind>,
    site: AtomicPtr<Location<'static>>,
}

const FREE: u32 = 0;
const HELD: u32 = 1;
const COUNTED: u32 = 2;

/// The further ones.
pub(crate) type Overflow = Slab<Counted>;

/// An obligation that has a count of its own.
pub(crate) struct Counted {
    kind: &'static ObligationKind,
    site: &'static Location<'static>,
    /// Set only when somebody observes.
    id: Option<ObligationId>,
}

impl Slot {
    pub(crate) fn empty() -> Slot {
        Slot {
            state: AtomicU32::new(FREE),
            kind: AtomicPtr::new(ptr::null_mut()),
            site: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Takes the slot; false when it is taken. To be called only inside the task's step, so that there is
    /// one who fills.
    #[inline]
    fn fill(&self, kind: &'static ObligationKind, site: &'static Location<'static>) -> bool {
        // Acquire: the obligation that was here may have been settled by another thread.
        if self.state.load(Ordering::Acquire) != FREE {
            return false;
        }
        self.kind.store(ptr::from_ref(kind).cast_mut(), Ordering::Relaxed);
        self.site.store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        // Release: who sees the slot held sees the two, or later ones.
        self.state.store(HELD, Ordering::Release);
        true
    }

    /// Frees the slot; true when the caller now owns a count of the task. `inside`: this is the task's
    /// step, whose `Runnable` holds a count, so that nobody drops the last one meanwhile.
    #[inline]
    fn settle(&self, inside: bool) -> bool {
        if inside {
            debug_assert_eq!(self.state.load(Ordering::Relaxed), HELD);
            self.state.store(FREE, Ordering::Release);
            return false;
        }
        // Release: this obligation's use of the task comes before the free; acquire: and so do the others'.
        self.state.swap(FREE, Ordering::AcqRel) == COUNTED
    }

    /// The last count is gone. True when the obligation in the slot takes it over: the task lives on.
    #[inline]
    pub(crate) fn take_over(&self, refs: &AtomicUsize) -> bool {
        if self.state.load(Ordering::Acquire) != HELD {
            return false;
        }
        // Before the exchange, which hands it over.
        refs.store(1, Ordering::Relaxed);
        if mutant!(TakeOverUnchecked) {
            self.state.store(COUNTED, Ordering::Release);
            return true;
        }
        // AcqRel: an obligation settled meanwhile was this thread's to see; one that takes over sees all.
        self.state.compare_exchange(HELD, COUNTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn read(&self) -> Option<(&'static ObligationKind, &'static Location<'static>)> {
        if self.state.load(Ordering::Acquire) == FREE {
            return None;
        }
        let kind = self.kind.load(Ordering::Relaxed);
        let site = self.site.load(Ordering::Relaxed);
        // SAFETY: `fill` wrote both, from `&'static` references, before the state that was seen; they are
        // never cleared. (A later obligation may have come in between: then they may be of two.)
        Some(unsafe { (&*kind, &*site) })
    }
}

/// In the task's slot, without a count.
const IN_HEADER: u32 = u32::MAX;
/// Settled, and the count is gone.
const SETTLED: u32 = u32::MAX - 1;

/// An obligation of the abort class: dropping it gives back what it stands for, and loses nothing.
///
/// A task's first is free of locks and counts while it stays inside the task's step; each further one, and
/// any taken on by another thread than the one that polls the task, costs a counted reference and a lock.
/// It may be moved to another task.
#[must_use = "an obligation is settled when it is dropped"]
pub struct Obligation {
    /// With a count of its own unless `slot` is `IN_HEADER`; not to be used once that is `SETTLED`.
    task: ManuallyDrop<TaskRef>,
    slot: u32,
}

impl Obligation {
    #[inline]
    pub(crate) fn reserve(
        task: &TaskRef,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Obligation {
        let header = task.header();
        let plain = !header.region.observing && crate::step::is_of(header);
        if plain && header.obligation.fill(kind, site) {
            // SAFETY: the pointer is a live task's. The slot keeps the task alive until this obligation is
            // settled, and until then no count is dropped through this reference.
            let task = unsafe { TaskRef::from_raw(task.as_raw()) };
            return Obligation { task: ManuallyDrop::new(task), slot: IN_HEADER };
        }
        Obligation::reserve_counted(task.clone(), kind, site)
    }

    #[cold]
    fn reserve_counted(
        task: TaskRef,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Obligation {
        let header = task.header();
        let id = header.region.observing.then(|| {
            let id = ObligationId::of(header.id.to_bits(), header.next_ordinal());
            header.region.observe(&Event::ObligationReserved {
                obligation: id,
                task: header.id,
                kind: kind.name,
                site,
            });
            id
        });
        let counted = Counted { kind, site, id };
        let slot = header.inner.lock().extra().obligations.insert(counted) as u32;
        Obligation { task: ManuallyDrop::new(task), slot }
    }

    /// Fulfilled: the message was sent, the permit used.
    #[inline]
    pub fn commit(mut self) {
        self.settle(Resolution::Committed);
    }

    /// Given back by name.
    pub fn abort(mut self) {
        self.settle(Resolution::Aborted);
    }

    /// The task that took it on.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.task.header().id
    }

    #[inline]
    fn settle(&mut self, how: Resolution) {
        match std::mem::replace(&mut self.slot, SETTLED) {
            SETTLED => {}
            IN_HEADER => {
                let header = self.task.header();
                if header.obligation.settle(crate::step::is_of(header)) {
                    // SAFETY: the count was left to this obligation, which has just ended.
                    unsafe { ManuallyDrop::drop(&mut self.task) };
                }
            }
            slot => self.settle_counted(slot, how),
        }
    }

    #[cold]
    fn settle_counted(&mut self, slot: u32, how: Resolution) {
        let header = self.task.header();
        let counted = header.inner.lock().extra().obligations.try_remove(slot as usize);
        if let Some(id) = counted.and_then(|counted| counted.id) {
            header.region.observe(&Event::ObligationResolved {
                obligation: id,
                by: crate::step::task(),
                how,
            });
        }
        // SAFETY: this obligation's own count; `slot` is `SETTLED` by now, so this happens once.
        unsafe { ManuallyDrop::drop(&mut self.task) };
    }
}

impl Drop for Obligation {
    #[inline]
    fn drop(&mut self) {
        self.settle(Resolution::Dropped);
    }
}

impl fmt::Debug for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Obligation").field("task", &self.task()).finish_non_exhaustive()
    }
}

/// Whether the task has abort-class obligations that are not settled.
pub(crate) fn holds(header: &Header, inner: &Inner) -> bool {
    header.obligation.read().is_some()
        || inner.extra.as_ref().is_some_and(|extra| !extra.obligations.is_empty())
}

/// The abort-class obligations that a task has not settled.
pub(crate) fn unsettled(
    task: &TaskRef,
) -> Vec<(&'static ObligationKind, &'static Location<'static>)> {
    let header = task.header();
    let mut all: Vec<_> = header.obligation.read().into_iter().collect();
    if let Some(extra) = &header.inner.lock().extra {
        all.extend(extra.obligations.iter().map(|(_, one)| (one.kind, one.site)));
    }
    all
}

/// An obligation that was never settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakReport {
    /// What it stood for.
    pub kind: &'static str,
    /// The task that took it on.
    pub task: TaskId,
    /// For an abort-class obligation that task's region, for a duty the one that closed over it.
    pub region: RegionId,
    /// Where.
    pub site: &'static Location<'static>,
    /// How long a duty was open. For the abort class, taking on which reads no clock: how long it was
    /// open after its task had ended.
    pub age: Duration,
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeakReport { kind, task, region, site, age } = self;
        write!(f, "{kind} of {task} in {region}, reserved at {site}, {age:?} old")
    }
}

/// How a duty or lease stands.
///
/// ```text
///              commit            ┌──▶ Committed
///   Reserved ──abort─────────────┼──▶ Aborted
///            ──drop, close───────┼──▶ Leaked    (duties)
///            ──time, close───────┴──▶ Expired   (leases)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Open.
    Reserved,
    /// Fulfilled.
    Committed,
    /// Given back by name.
    Aborted,
    /// Dropped, or left open when its region closed.
    Leaked,
    /// Its time ran out.
    Expired,
}

/// It was already settled when one tried to settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadySettled(pub Settlement);

impl fmt::Display for AlreadySettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the obligation was settled before: {:?}", self.0)
    }
}

impl std::error::Error for AlreadySettled {}

/// The ledger's entry for a duty or a lease.
pub(crate) struct Record {
    kind: &'static ObligationKind,
    id: ObligationId,
    task: TaskId,
    site: &'static Location<'static>,
    since: Time,
    timed: bool,
    state: Mutex<(Settlement, Option<Waker>)>,
}

impl Record {
    /// Reserved → `end`. The first to settle wins.
    fn settle(&self, end: Settlement) -> Result<(), AlreadySettled> {
        let watcher = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0 != Settlement::Reserved {
                return Err(AlreadySettled(state.0));
            }
            state.0 = end;
            state.1.take()
        };
        if let Some(watcher) = watcher {
            crate::wake::wake(watcher);
        }
        Ok(())
    }

    /// What the region's close does with an entry that is still open. A leak is answered.
    pub(crate) fn close(&self, region: &Region) -> Option<LeakReport> {
        let (end, how) = if self.timed {
            (Settlement::Expired, Resolution::Expired)
        } else {
            (Settlement::Leaked, Resolution::Leaked)
        };
        self.settle(end).ok()?;
        region.observe(&Event::ObligationResolved { obligation: self.id, by: None, how });
        (!self.timed).then(|| self.report(region))
    }

    pub(crate) fn report(&self, region: &Region) -> LeakReport {
        LeakReport {
            kind: self.kind.name,
            task: self.task,
            region: region.id,
            site: self.site,
            age: region.host.now().saturating_since(self.since),
        }
    }
}

/// An obligation that must be resolved: a reply owed, an acknowledgement, a registered name.
///
/// Dropping it is a leak. So is letting the region that it was taken on in close over it: a close never
/// waits for a duty. Either way it is reported, and whoever [`watch`](Duty::watch)es it is told at once.
#[must_use = "a duty that is dropped is a leak"]
pub struct Duty {
    record: Arc<Record>,
    region: Arc<Region>,
    place: usize,
}

impl Duty {
    pub(crate) fn reserve(
        task: &TaskRef,
        region: Arc<Region>,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
        timed: bool,
    ) -> Duty {
        let header = task.header();
        let id = ObligationId::of(header.id.to_bits(), header.next_ordinal());
        let record = Arc::new(Record {
            kind,
            id,
            task: header.id,
            site,
            since: region.host.now(),
            timed,
            state: Mutex::new((Settlement::Reserved, None)),
        });
        region.observe(&Event::ObligationReserved {
            obligation: id,
            task: header.id,
            kind: kind.name,
            site,
        });
        let place = region.enter_ledger(Arc::clone(&record));
        Duty { record, region, place }
    }

    /// Fulfils it.
    ///
    /// # Errors
    /// When it had leaked or expired before.
    pub fn commit(self) -> Result<(), AlreadySettled> {
        self.settle(Settlement::Committed, Resolution::Committed)
    }

    /// Gives it back by name.
    ///
    /// # Errors
    /// When it had leaked or expired before.
    pub fn abort(self) -> Result<(), AlreadySettled> {
        self.settle(Settlement::Aborted, Resolution::Aborted)
    }

    /// Moves it into the ledger of the region that `cx`'s task lives in, so that it may outlast its own.
    pub fn transfer(mut self, cx: &crate::TaskCx) -> Duty {
        let region = Arc::clone(&cx.header().region);
        self.region.leave_ledger(self.place, &self.record);
        self.place = region.enter_ledger(Arc::clone(&self.record));
        self.region = region;
        self
    }

    /// How it stands.
    #[must_use]
    pub fn settlement(&self) -> Settlement {
        self.record.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// For the party to whom it is owed: sees how it ends.
    #[must_use]
    pub fn watch(&self) -> DutyWatch {
        DutyWatch { record: Arc::clone(&self.record) }
    }

    fn settle(&self, end: Settlement, how: Resolution) -> Result<(), AlreadySettled> {
        self.region.leave_ledger(self.place, &self.record);
        self.record.settle(end)?;
        self.region.observe(&Event::ObligationResolved {
            obligation: self.record.id,
            by: crate::step::task(),
            how,
        });
        Ok(())
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        let (end, how) = if self.record.timed {
            (Settlement::Expired, Resolution::Expired)
        } else {
            (Settlement::Leaked, Resolution::Leaked)
        };
        // Settled before by `commit` or `abort`: then this does nothing.
        if self.settle(end, how).is_ok() && !self.record.timed {
            self.region.record_leak(self.record.report(&self.region));
        }
    }
}

impl fmt::Debug for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duty")
            .field("kind", &self.record.kind.name)
            .field("settlement", &self.settlement())
            .finish()
    }
}

/// Sees how a [`Duty`] ends. One watcher's waker is kept, the last.
#[derive(Clone)]
pub struct DutyWatch {
    record: Arc<Record>,
}

impl DutyWatch {
    /// Ready once the duty is no longer `Reserved`.
    pub fn poll_settled(&self, context: &mut Context<'_>) -> Poll<Settlement> {
        let mut waker = Some(context.waker().clone());
        let settlement = {
            let mut state = self.record.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0 == Settlement::Reserved {
                std::mem::swap(&mut state.1, &mut waker);
            }
            state.0
        };
        match settlement {
            Settlement::Reserved => Poll::Pending,
            settled => Poll::Ready(settled),
        }
    }
}

impl fmt::Debug for DutyWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DutyWatch").field("kind", &self.record.kind.name).finish_non_exhaustive()
    }
}

/// A timed obligation: it expires at its deadline unless renewed.
#[must_use = "a lease that is dropped has expired"]
pub struct Lease {
    duty: Duty,
    timer: TimerKey,
}

impl Lease {
    pub(crate) fn reserve(duty: Duty, until: Time) -> Lease {
        let timer = arm(&duty.region.host, until, Fires::Lease(Lapse::of(&duty)));
        Lease { duty, timer }
    }

    /// Extends (or shortens) the lease.
    ///
    /// # Errors
    /// When it had expired before.
    pub fn renew(&mut self, until: Time) -> Result<(), AlreadySettled> {
        match self.duty.settlement() {
            Settlement::Reserved => {}
            settled => return Err(AlreadySettled(settled)),
        }
        let host = &self.duty.region.host;
        host.disarm_timer(self.timer);
        self.timer = arm(host, until, Fires::Lease(Lapse::of(&self.duty)));
        Ok(())
    }

    /// Ends it before its time.
    pub fn expire(self) {}

    /// How it stands.
    #[must_use]
    pub fn settlement(&self) -> Settlement {
        self.duty.settlement()
    }

    /// For the party that relies on it: sees how it ends.
    #[must_use]
    pub fn watch(&self) -> DutyWatch {
        self.duty.watch()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.duty.region.host.disarm_timer(self.timer);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("duty", &self.duty).finish_non_exhaustive()
    }
}

/// What a lease's timer holds.
pub(crate) struct Lapse {
    record: Arc<Record>,
    region: Arc<Region>,
    place: usize,
}

impl Lapse {
    fn of(duty: &Duty) -> Lapse {
        Lapse {
            record: Arc::clone(&duty.record),
            region: Arc::clone(&duty.region),
            place: duty.place,
        }
    }

    pub(crate) fn expire(&self) {
        self.region.leave_ledger(self.place, &self.record);
        if self.record.settle(Settlement::Expired).is_ok() {
            self.region.observe(&Event::ObligationResolved {
                obligation: self.record.id,
                by: None,
                how: Resolution::Expired,
            });
        }
    }
}
