//! Branches by the list.

use crate::apart::{Apart, Numbered};
use crate::slot::{AnySlot, Slot};
use asupersync_core::{PinnedSlice, TaskCx};
use std::pin::Pin;

/// The slots of `join_all` and its kin.
pub(crate) type List<'a, F> = Apart<PinnedSlice<Slot<'a, F>>>;

impl<'a, F: Future> List<'a, F> {
    pub(crate) fn of(
        cx: &'a TaskCx,
        decides: fn(&F::Output) -> bool,
        futures: Vec<F>,
    ) -> List<'a, F> {
        let slots = futures.into_iter().map(|future| Slot::new(cx, decides, future));
        Apart::new(slots.collect())
    }

    /// All values in order, unless one is missing.
    pub(crate) fn take_all(&mut self) -> Option<Vec<F::Output>> {
        self.slots.iter_mut().map(Slot::take).collect()
    }

    /// The values there are, in order.
    pub(crate) fn take_finished(&mut self) -> impl Iterator<Item = F::Output> {
        self.slots.iter_mut().filter_map(Slot::take)
    }

    pub(crate) fn take(&mut self, index: usize) -> Option<F::Output> {
        self.slots.get_mut(index)?.take()
    }
}

impl<F: Future> Numbered for PinnedSlice<Slot<'_, F>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn open(&self) -> usize {
        self.iter().filter(|slot| slot.is_open()).count()
    }

    fn nth(self: Pin<&mut Self>, index: usize) -> Option<Pin<&mut dyn AnySlot>> {
        let slot = self.get_mut().get_mut(index)?;
        Some(slot)
    }
}
