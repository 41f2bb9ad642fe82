//! Branches by the list: a wake of one costs one poll, however many there are.

use crate::drive::{Slots, Visit};
use crate::slot::{AnySlot, Slot};
use asupersync_core::TaskCx;
use asupersync_core::primitive::Mutex;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// The slots of `join_all` and its kin. Each branch is polled with a waker of its own.
pub(crate) struct List<'a, F: Future> {
    slots: Vec<Pin<Box<Slot<'a, F>>>>,
    wakers: Vec<Waker>,
    shared: Arc<Shared>,
}

/// Which branches want a poll, and whom to tell.
struct Shared(Mutex<Woken>);

struct Woken {
    queue: Vec<usize>,
    queued: Vec<bool>,
    // Taken by the first wake after a poll; the later ones find the task told already.
    task: Option<Waker>,
}

struct Branch {
    index: usize,
    shared: Arc<Shared>,
}

impl Wake for Branch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = {
            let mut woken = self.shared.0.lock();
            if std::mem::replace(&mut woken.queued[self.index], true) {
                return;
            }
            woken.queue.push(self.index);
            woken.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<'a, F: Future> List<'a, F> {
    pub(crate) fn new(
        cx: &'a TaskCx,
        decides: fn(&F::Output) -> bool,
        futures: Vec<F>,
    ) -> List<'a, F> {
        let slots: Vec<_> =
            futures.into_iter().map(|future| Box::pin(Slot::new(cx, decides, future))).collect();
        let woken = Woken {
            queue: (0..slots.len()).collect(),
            queued: vec![true; slots.len()],
            task: None,
        };
        let shared = Arc::new(Shared(Mutex::new(woken)));
        let waker = |index| Waker::from(Arc::new(Branch { index, shared: shared.clone() }));
        let wakers = (0..slots.len()).map(waker).collect();
        List { slots, wakers, shared }
    }

    /// All values in order, unless one is missing.
    pub(crate) fn take_all(&mut self) -> Option<Vec<F::Output>> {
        self.slots.iter_mut().map(|slot| slot.as_mut().take()).collect()
    }

    /// The values there are, in order.
    pub(crate) fn take_finished(&mut self) -> impl Iterator<Item = F::Output> {
        self.slots.iter_mut().filter_map(|slot| slot.as_mut().take())
    }

    pub(crate) fn take(&mut self, index: usize) -> Option<F::Output> {
        self.slots[index].as_mut().take()
    }
}

impl<F: Future> Slots for List<'_, F> {
    fn open(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_open()).count()
    }

    fn woken(self: Pin<&mut Self>, context: &mut Context<'_>, visit: Visit<'_>) {
        let this = self.get_mut();
        // The waker goes in before the queue is read: a wake in between is either seen here or
        // finds somebody to tell. Cloned before and dropped after the lock is held.
        let mut task = Some(context.waker().clone());
        let mut batch = {
            let mut woken = this.shared.0.lock();
            std::mem::swap(&mut woken.task, &mut task);
            std::mem::take(&mut woken.queue)
        };
        drop(task);
        let mut next = 0;
        while let Some(&index) = batch.get(next) {
            next += 1;
            this.shared.0.lock().queued[index] = false;
            let slot = &mut this.slots[index];
            if !slot.is_open() {
                continue;
            }
            let mut context = Context::from_waker(&this.wakers[index]);
            if let ControlFlow::Break(()) = visit(index, slot.as_mut(), &mut context) {
                break;
            }
        }
        if next < batch.len() {
            // Those not visited stay woken, ahead of the ones woken meanwhile.
            let mut woken = this.shared.0.lock();
            let later = std::mem::take(&mut woken.queue);
            batch.drain(..next);
            batch.extend(later);
            woken.queue = batch;
        }
    }

    fn rouse(self: Pin<&mut Self>, visit: &mut dyn FnMut(Pin<&mut dyn AnySlot>)) {
        let this = self.get_mut();
        for slot in this.slots.iter_mut().filter(|slot| slot.is_open()) {
            visit(slot.as_mut());
        }
        let mut woken = this.shared.0.lock();
        for (index, slot) in this.slots.iter().enumerate() {
            if slot.is_open() && !std::mem::replace(&mut woken.queued[index], true) {
                woken.queue.push(index);
            }
        }
    }
}
