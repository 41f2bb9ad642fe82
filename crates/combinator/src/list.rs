//! Branches by the list: a wake of one costs one poll, however many there are.

use crate::drive::{Slots, Visit};
use crate::slot::{AnySlot, Slot};
use asupersync_core::TaskCx;
use asupersync_sync::woken::Woken;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::Context;

/// The slots of `join_all` and its kin. Each branch is polled with a waker of its own.
pub(crate) struct List<'a, F: Future> {
    slots: Vec<Pin<Box<Slot<'a, F>>>>,
    woken: Woken,
}

impl<'a, F: Future> List<'a, F> {
    pub(crate) fn new(
        cx: &'a TaskCx,
        decides: fn(&F::Output) -> bool,
        futures: Vec<F>,
    ) -> List<'a, F> {
        let slots: Vec<_> =
            futures.into_iter().map(|future| Box::pin(Slot::new(cx, decides, future))).collect();
        let mut woken = Woken::new();
        for _ in &slots {
            woken.add();
        }
        List { slots, woken }
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
        for _ in 0..this.woken.begin(context.waker()) {
            let Some(index) = this.woken.pop() else { return };
            let slot = &mut this.slots[index];
            if !slot.is_open() {
                continue;
            }
            let mut context = Context::from_waker(this.woken.waker(index));
            if let ControlFlow::Break(()) = visit(index, slot.as_mut(), &mut context) {
                return;
            }
        }
    }

    fn rouse(self: Pin<&mut Self>, visit: &mut dyn FnMut(Pin<&mut dyn AnySlot>)) {
        let this = self.get_mut();
        for (index, slot) in this.slots.iter_mut().enumerate() {
            if slot.is_open() {
                visit(slot.as_mut());
                this.woken.rouse(index);
            }
        }
    }
}
