//! Who is being polled on this thread.
//!
//! The kernel's thread-local. `permit.send`, a guard's drop or a sender's drop have no context at
//! hand, yet the explorer must know which step touched which object. So the step being run is
//! recorded here, to be *observed*: no function's behaviour depends on it. (Its speed may: what is done
//! inside the task's own step has one writer, and needs no lock.)

use crate::event::{Access, Event};
use crate::host::Host;
use crate::id::{ObjectId, TaskId};
use crate::random::SplitMix64;
use crate::task::Header;
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// In the lowest bit of the step's address: its events are wanted.
const OBSERVED: usize = 1;
/// In the next bit, with no address: the host acts, and no task.
const HOST: usize = 2;
const _: () = assert!(align_of::<Header>() > OBSERVED | HOST);

std::thread_local! {
    /// The host that acts; looked at only where that is marked.
    static ACTING: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
}

#[cfg(not(loom))]
thread_local! {
    static STEP: Cell<*const Header> = const { Cell::new(ptr::null()) };
}

#[cfg(loom)]
loom::thread_local! {
    static STEP: Cell<*const Header> = Cell::new(ptr::null());
}

/// Records the step until dropped, then the step that was there before.
pub(crate) struct Step {
    before: *const Header,
}

impl Step {
    /// `header` must stay valid until the returned value is dropped.
    #[inline]
    pub(crate) fn enter(header: NonNull<Header>, observed: bool) -> Step {
        let header = header.as_ptr().cast_const().map_addr(|place| place | usize::from(observed));
        Step { before: STEP.with(|step| step.replace(header)) }
    }
}

/// Runs what a host does by itself, between the steps of tasks or in the midst of one: lets something fall due,
/// makes a driver. Objects that are touched meanwhile are told to [`Host::observe`] as no task's, and those that
/// are made, or that no step has touched before, are named after their labels: which step was the first to need a
/// driver is no part of its name.
pub fn host_step<R>(host: Arc<dyn Host>, act: impl FnOnce() -> R) -> R {
    struct Acting(Option<Arc<dyn Host>>, #[expect(dead_code, reason = "for its drop")] Step);
    impl Drop for Acting {
        fn drop(&mut self) {
            let before = self.0.take();
            drop(ACTING.with(|acting| acting.replace(before)));
        }
    }
    let mark = ptr::without_provenance(OBSERVED | HOST);
    let step = Step { before: STEP.with(|step| step.replace(mark)) };
    let _acting = Acting(ACTING.with(|acting| acting.replace(Some(host))), step);
    act()
}

impl Drop for Step {
    fn drop(&mut self) {
        STEP.with(|step| step.set(self.before));
    }
}

/// Whether the current step's events are wanted.
#[inline]
pub(crate) fn observed() -> bool {
    !cfg!(unheard) && STEP.with(Cell::get).addr() & OBSERVED != 0
}

#[inline]
fn current() -> Option<NonNull<Header>> {
    let step = STEP.with(Cell::get).map_addr(|place| place & !(OBSERVED | HOST));
    NonNull::new(step.cast_mut())
}

/// Reads something of the task whose step this is.
pub(crate) fn with<R>(read: impl FnOnce(&Header) -> R) -> Option<R> {
    current().map(|header| {
        // SAFETY: `STEP` holds a header only between `Step::enter` and the drop of that `Step`, on one
        // thread, and `enter`'s caller keeps the header valid for that long. The pointer is that header's
        // own, its mark taken off.
        read(unsafe { header.as_ref() })
    })
}

/// Whether this thread runs a step of the task. A task has one step at a time, so what only its steps
/// write has one writer.
#[inline]
pub(crate) fn is_of(header: &Header) -> bool {
    STEP.with(Cell::get).addr() & !OBSERVED == ptr::from_ref(header).addr()
}

/// Whether this thread runs a step of the task, whose events nobody wants.
#[inline]
pub(crate) fn is_unobserved(header: &Header) -> bool {
    // One comparison: the mark is not set.
    STEP.with(Cell::get).addr() == ptr::from_ref(header).addr()
}

/// The task whose step this is.
pub(crate) fn task() -> Option<TaskId> {
    with(|header| header.id)
}

/// Whether this thread is polling a task just now: what blocks it then, blocks that task's worker, and
/// under a host with one thread everything. For calls that block a thread and must refuse to.
#[must_use]
pub fn in_step() -> bool {
    current().is_some()
}

/// A shared object that steps read and write: a lock, a channel, a flag.
///
/// Every primitive holds one and tells it of each effect. The explorer's independence relation is made
/// of these accesses: two steps commute unless they touch a common object and one of them writes.
/// With nobody observing, telling costs one thread-local load and a branch.
#[derive(Debug)]
pub struct Object {
    label: &'static str,
    /// An id is the path (creator, its ordinal): what touches the object first depends on the order of a
    /// run, what makes it does not. 0 if it was made outside observed steps, until the first touch in
    /// one, whose path it takes then and keeps.
    id: AtomicU64,
}

impl Object {
    /// An object that nobody has touched, named after the step that makes it; the label says what it is,
    /// for reports.
    #[must_use]
    pub fn new(label: &'static str) -> Object {
        let id = if observed() { with(fresh).unwrap_or_else(|| named(label)) } else { 0 };
        Object { label, id: AtomicU64::new(id) }
    }

    /// The current step read the object's state.
    #[inline]
    pub fn read(&self) {
        if observed() {
            self.touch(Access::Read);
        }
    }

    /// The current step changed the object's state.
    #[inline]
    pub fn write(&self) {
        if observed() {
            self.touch(Access::Write);
        }
    }

    /// What the object is, for reports.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.label
    }

    #[cold]
    fn touch(&self, access: Access) {
        let told = with(|header| {
            let object = self.id_or(|| fresh(header));
            let (task, label) = (Some(header.id), self.label);
            header.observe(|| Event::Access { task, object, access, label });
        });
        if told.is_none() {
            let host = ACTING.with(|acting| acting.borrow().clone());
            if let Some(host) = host.filter(|host| host.observing()) {
                let object = self.id_or(|| named(self.label));
                host.observe(&Event::Access { task: None, object, access, label: self.label });
            }
        }
    }

    /// Its id, and this from now on if it has none.
    fn id_or(&self, fresh: impl FnOnce() -> u64) -> ObjectId {
        let mut id = self.id.load(Ordering::Relaxed);
        if id == 0 {
            let fresh = fresh();
            id = match self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => fresh,
                Err(other) => other,
            };
        }
        ObjectId::from_bits(id)
    }
}

/// The id of what a host makes. All of one label are one object to whoever looks at accesses.
fn named(label: &'static str) -> u64 {
    let name = label.bytes().fold(0, |name, byte| SplitMix64::mix(name ^ u64::from(byte)));
    ObjectId::of(name, 0).to_bits()
}

/// The id of the next object that the task makes.
fn fresh(header: &Header) -> u64 {
    ObjectId::of(header.id.to_bits(), header.next_ordinal()).to_bits()
}
