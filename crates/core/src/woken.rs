//! Many things polled by one task, each with a waker of its own: a wake of one costs one poll.

use crate::mutant::mutant;
use crate::primitive::{AtomicBool, Mutex, Ordering};
use crate::step::Object;
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

/// Which of the numbered slots want a poll, in the order in which they were woken, and whom to tell.
///
/// The machine beneath fibers, `join_all` and its kin, and streams that poll many others: a wake of one
/// costs one poll. It keeps no futures, only the numbers of those that want a poll.
///
/// ```
/// use asupersync_core::Woken;
/// use std::task::Waker;
///
/// let mut woken = Woken::new();
/// let (a, b) = (woken.add(), woken.add()); // new ones want their first poll
/// assert_eq!(woken.begin(Waker::noop()), 2);
/// assert_eq!((woken.pop(), woken.pop(), woken.pop()), (Some(a), Some(b), None));
/// woken.waker(b).wake_by_ref();
/// assert_eq!(woken.pop(), Some(b));
/// ```
pub struct Woken {
    shared: Arc<Shared>,
    /// The slots that came later, with their wakers.
    added: Vec<(Arc<Later>, Waker)>,
    /// Slots taken out of the shared queue, in one go, and not out of here yet. They count as woken.
    batch: VecDeque<usize>,
}

/// What the wakers share with their machine, in one allocation with the slots that were there first.
struct Shared {
    state: Mutex<State>,
    /// Never changed: wakers point into it.
    first: Vec<First>,
    /// Who wakes first is polled first, and only that wake is the task's: wakes of different slots do not commute.
    object: Object,
}

/// A slot that was there first. Its wakers are counted references to the [`Shared`] that it is part of.
struct First {
    place: Place,
    shared: *const Shared,
    /// The slot's own, which carries no count.
    waker: ManuallyDrop<Waker>,
}

// SAFETY: the pointer is followed only by a waker, whose count keeps what it points at alive, or by one that
// borrows from it; `Shared` is a mutex and a list that nobody changes.
unsafe impl Send for First {}
// SAFETY: as for `Send`.
unsafe impl Sync for First {}

struct State {
    queue: VecDeque<usize>,
    // Taken by the first wake after `begin`; the later ones find the task told already.
    task: Option<Waker>,
}

/// What every slot has.
struct Place {
    index: usize,
    /// It is in the queue or in the batch, or about to be.
    queued: AtomicBool,
}

impl Place {
    /// The slot counts as woken from now on. True for the one who is to put it in the queue.
    fn claim(&self) -> bool {
        // AcqRel: who takes the slot out sees what was done before each wake, also of those who found it queued.
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// The slot is about to be polled: whoever wakes it from now on wakes it anew.
    fn release(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }
}

impl Shared {
    fn wake(&self, place: &Place) {
        if !place.claim() {
            self.object.read();
            return;
        }
        self.object.write();
        let task = {
            let mut state = self.state.lock();
            state.queue.push_back(place.index);
            state.task.take()
        };
        if let Some(task) = task {
            crate::wake::wake(task);
        }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
/// `data` points at a [`First`] whose `Shared` a count of the caller's keeps alive.
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's count keeps the slot alive, and `shared` is what `Arc::new_cyclic` gave out.
    unsafe { Arc::increment_strong_count((*data.cast::<First>()).shared) };
    RawWaker::new(data, &VTABLE)
}

/// # Safety
/// As for [`clone`]; takes the count over.
unsafe fn wake(data: *const ()) {
    // SAFETY: as in `clone`; the count that the waker had goes with `shared`.
    let (shared, place) = unsafe {
        let slot = &*data.cast::<First>();
        (Arc::from_raw(slot.shared), &slot.place)
    };
    shared.wake(place);
}

/// # Safety
/// As for [`clone`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`.
    let (shared, place) = unsafe {
        let slot = &*data.cast::<First>();
        (&*slot.shared, &slot.place)
    };
    shared.wake(place);
}

/// # Safety
/// As for [`clone`]; takes the count over.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as in `wake`.
    drop(unsafe { Arc::from_raw((*data.cast::<First>()).shared) });
}

/// A slot that came later.
struct Later {
    place: Place,
    shared: Arc<Shared>,
}

impl Wake for Later {
    fn wake(self: Arc<Self>) {
        self.shared.wake(&self.place);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.wake(&self.place);
    }
}

impl Woken {
    /// Without slots.
    #[must_use]
    pub fn new() -> Woken {
        Woken::with_slots(0)
    }

    /// With so many slots, all of which count as woken, from 0 on: cheaper than to [`add`](Woken::add) each.
    #[must_use]
    pub fn with_slots(count: usize) -> Woken {
        let shared = Arc::new_cyclic(|shared| {
            let mut first: Vec<First> = Vec::with_capacity(count);
            let start = first.as_ptr();
            for index in 0..count {
                // The list has the room, so it stays where it is.
                let data = start.wrapping_add(index).cast();
                // SAFETY: the waker points at the slot that is about to be there, and carries no count: it is
                // never dropped, and borrowed only from its machine, which has one. Clones count.
                let waker = unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) };
                let place = Place { index, queued: AtomicBool::new(true) };
                let waker = ManuallyDrop::new(waker);
                first.push(First { place, shared: shared.as_ptr(), waker });
            }
            let state = Mutex::new(State { queue: VecDeque::new(), task: None });
            Shared { state, first, object: Object::new("Woken") }
        });
        Woken { shared, added: Vec::new(), batch: (0..count).collect() }
    }

    /// Adds a slot, which counts as woken, and answers its number: one more than the last.
    pub fn add(&mut self) -> usize {
        let index = self.len();
        let place = Place { index, queued: AtomicBool::new(true) };
        let later = Arc::new(Later { place, shared: self.shared.clone() });
        self.added.push((later.clone(), Waker::from(later)));
        self.shared.state.lock().queue.push_back(index);
        index
    }

    fn len(&self) -> usize {
        self.shared.first.len() + self.added.len()
    }

    /// The waker to poll this slot with.
    ///
    /// # Panics
    /// When there are fewer slots.
    #[must_use]
    pub fn waker(&self, index: usize) -> &Waker {
        let first = &self.shared.first;
        match first.get(index) {
            Some(slot) => &slot.waker,
            None => &self.added[index - first.len()].1,
        }
    }

    /// Counts a slot as woken, without telling the task: for a slot's new tenant, or by the task itself.
    pub fn rouse(&self, index: usize) {
        if self.place(index).claim() {
            self.shared.object.write();
            self.shared.state.lock().queue.push_back(index);
        }
    }

    fn place(&self, index: usize) -> &Place {
        let first = &self.shared.first;
        match first.get(index) {
            Some(slot) => &slot.place,
            None => &self.added[index - first.len()].0.place,
        }
    }

    /// Has the task told of the next wake, and answers how many slots are woken now. To be called before
    /// the slots are looked at: a wake in between is either seen there or finds somebody to tell.
    pub fn begin(&mut self, task: &Waker) -> usize {
        self.shared.object.write();
        // Cloned before and dropped after the lock is held: wakers are foreign code.
        let mut task = Some(task.clone());
        let mut state = self.shared.state.lock();
        take_over(&mut self.batch, &mut state.queue);
        if mutant!(WokenLooksFirst) {
            drop(state);
            state = self.shared.state.lock();
        }
        std::mem::swap(&mut state.task, &mut task);
        drop(state);
        drop(task);
        self.batch.len()
    }

    /// Takes the slot out of the queue that was woken first. The slots that are left stay woken.
    #[must_use]
    pub fn pop(&mut self) -> Option<usize> {
        if self.batch.is_empty() {
            take_over(&mut self.batch, &mut self.shared.state.lock().queue);
        }
        let index = self.batch.pop_front()?;
        self.place(index).release();
        Some(index)
    }
}

/// Moves what is in the queue behind what is in the batch.
fn take_over(batch: &mut VecDeque<usize>, queue: &mut VecDeque<usize>) {
    if batch.is_empty() {
        std::mem::swap(batch, queue);
    } else {
        batch.append(queue);
    }
}

impl Default for Woken {
    fn default() -> Woken {
        Woken::new()
    }
}

impl fmt::Debug for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Woken")
            .field("slots", &self.len())
            .field("woken", &(&self.batch, &self.shared.state.lock().queue))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_wakes_tell_the_task_once_and_name_each_slot_once() {
        let task = Arc::new(Task::default());
        let mut woken = Woken::new();
        for _ in 0..3 {
            woken.add();
        }
        assert_eq!(woken.begin(&task.clone().into()), 3);
        while woken.pop().is_some() {}
        for index in [2, 0, 2, 0] {
            woken.waker(index).wake_by_ref();
        }
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert_eq!(woken.begin(&task.clone().into()), 2);
        assert_eq!((woken.pop(), woken.pop(), woken.pop()), (Some(2), Some(0), None));
    }

    #[test]
    fn a_slot_left_in_the_queue_stays_woken() {
        let mut woken = Woken::new();
        let (a, b) = (woken.add(), woken.add());
        assert_eq!(woken.pop(), Some(a));
        woken.rouse(a);
        assert_eq!(woken.begin(Waker::noop()), 2);
        assert_eq!((woken.pop(), woken.pop()), (Some(b), Some(a)));
    }

    #[test]
    fn a_waker_outlives_its_machine() {
        let mut woken = Woken::with_slots(1);
        woken.add();
        let wakers = [woken.waker(0).clone(), woken.waker(1).clone()];
        drop(woken);
        wakers[0].wake_by_ref();
        wakers.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn the_first_slots_and_those_added_are_numbered_on() {
        let mut woken = Woken::with_slots(2);
        assert_eq!((woken.add(), woken.begin(Waker::noop())), (2, 3));
        assert_eq!((woken.pop(), woken.pop(), woken.pop()), (Some(0), Some(1), Some(2)));
        for index in [2, 1] {
            let counted = woken.waker(index).clone();
            counted.wake();
        }
        assert_eq!((woken.pop(), woken.pop(), woken.pop()), (Some(2), Some(1), None));
    }
}
