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

mod duty;
mod kinds;

pub use duty::{AlreadySettled, Duty, DutyWatch, Lease, Settlement};
pub(crate) use duty::{Lapse, Record};
pub use kinds::{Ack, IoOp};

use crate::event::{Event, Resolution};
use crate::id::{ObligationId, RegionId, TaskId};
use crate::mutant::mutant;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use crate::task::{Header, Inner, TaskRef};
use slab::Slab;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::{self, NonNull};
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
/// In no books: there is no task.
const NOBODYS: u32 = u32::MAX - 1;

/// What an abort-class obligation is: its task, and where it stands in that task's books.
struct Entry {
    /// With a count of its own unless `slot` is `IN_HEADER`; dangling if it is `NOBODYS`.
    task: ManuallyDrop<TaskRef>,
    slot: u32,
}

impl Entry {
    #[inline]
    fn reserve(
        task: &TaskRef,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Entry {
        let header = task.header();
        if crate::step::is_unobserved(header) && header.obligation.fill(kind, site) {
            // SAFETY: the pointer is a live task's. The slot keeps the task alive until this obligation is
            // settled, and until then no count is dropped through this reference.
            let task = unsafe { TaskRef::from_raw(task.as_raw()) };
            return Entry { task: ManuallyDrop::new(task), slot: IN_HEADER };
        }
        Entry::reserve_counted(task.clone(), kind, site)
    }

    #[cold]
    fn reserve_counted(
        task: TaskRef,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Entry {
        let header = task.header();
        let id = header.is_observed().then(|| {
            let id = ObligationId::of(header.id.to_bits(), header.next_ordinal());
            header.observe(|| Event::ObligationReserved {
                obligation: id,
                task: header.id,
                kind: kind.name,
                site,
            });
            id
        });
        let counted = Counted { kind, site, id };
        let slot = header.inner.lock().extra().obligations.insert(counted) as u32;
        Entry { task: ManuallyDrop::new(task), slot }
    }

    /// # Safety
    /// To be called once; the entry is not used afterwards.
    #[inline]
    unsafe fn settle(&mut self, how: Resolution) {
        if self.slot != IN_HEADER {
            // SAFETY: the caller's promise.
            return unsafe { self.settle_counted(how) };
        }
        let header = self.task.header();
        if header.obligation.settle(crate::step::is_of(header)) {
            // SAFETY: the count was left to this obligation, which has just ended.
            unsafe { self.drop_count() };
        }
    }

    /// # Safety
    /// As [`settle`](Entry::settle).
    #[cold]
    unsafe fn settle_counted(&mut self, how: Resolution) {
        if self.slot == NOBODYS {
            return;
        }
        let header = self.task.header();
        let counted = header.inner.lock().extra().obligations.try_remove(self.slot as usize);
        if let Some(id) = counted.and_then(|counted| counted.id) {
            header.observe(|| Event::ObligationResolved {
                obligation: id,
                by: crate::step::task(),
                how,
            });
        }
        // SAFETY: this obligation's own count; by the caller's promise this happens once.
        unsafe { self.drop_count() };
    }

    /// # Safety
    /// There is a count, and it is dropped once.
    #[cold]
    unsafe fn drop_count(&mut self) {
        // SAFETY: the caller's promise.
        unsafe { ManuallyDrop::drop(&mut self.task) };
    }
}

/// An obligation of the abort class: dropping it gives back what it stands for, and loses nothing.
///
/// A task's first is free of locks and counts while it stays inside the task's step; each further one, and
/// any taken on by another thread than the one that polls the task, costs a counted reference and a lock.
/// It may be moved to another task.
#[must_use = "an obligation is settled when it is dropped"]
pub struct Obligation {
    entry: Entry,
}

impl Obligation {
    #[inline]
    pub(crate) fn reserve(
        task: &TaskRef,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Obligation {
        Obligation { entry: Entry::reserve(task, kind, site) }
    }

    /// Fulfilled: the message was sent, the permit used.
    #[inline]
    pub fn commit(self) {
        self.end(Resolution::Committed);
    }

    /// Given back by name.
    pub fn abort(self) {
        self.end(Resolution::Aborted);
    }

    #[inline]
    fn end(self, how: Resolution) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `Drop`, the only other place that settles, is not run.
        unsafe { this.entry.settle(how) };
    }

    /// The task that took it on.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.entry.task.header().id
    }
}

impl Drop for Obligation {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `end`, the only other place that settles, does not get here.
        unsafe { self.entry.settle(Resolution::Dropped) };
    }
}

impl fmt::Debug for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Obligation").field("task", &self.task()).finish_non_exhaustive()
    }
}

/// An [`Obligation`] that is fulfilled by being dropped: what a lock's guard holds.
///
/// Letting go is how a guard's duty is done, not how it is shirked, so it counts as committed.
#[must_use = "what is held is let go of when this is dropped"]
pub struct Holding {
    entry: Entry,
}

impl Holding {
    #[inline]
    pub(crate) fn reserve(
        task: &TaskRef,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
    ) -> Holding {
        Holding { entry: Entry::reserve(task, kind, site) }
    }

    /// What a plain thread holds, which has no task to keep books for it: no report names it, and no
    /// region waits for it.
    pub fn of_a_thread() -> Holding {
        // SAFETY: the reference is neither used nor dropped: everything looks at the slot first.
        let task = unsafe { TaskRef::from_raw(NonNull::dangling()) };
        Holding { entry: Entry { task: ManuallyDrop::new(task), slot: NOBODYS } }
    }

    /// The task that holds; none for a plain thread.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        (self.entry.slot != NOBODYS).then(|| self.entry.task.header().id)
    }
}

impl Drop for Holding {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: nothing else settles a holding's entry.
        unsafe { self.entry.settle(Resolution::Committed) };
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holding").field("task", &self.task()).finish_non_exhaustive()
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
