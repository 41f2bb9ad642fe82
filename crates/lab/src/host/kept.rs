//! The record, and the thread that keeps it.
//!
//! The thread that runs keeps the record for itself, so that an event costs it no atomic operation: it finds the record
//! in a place of its own, and looks whose it is. What other threads say meanwhile waits [outside](super::outside).

use super::Record;
use super::outside::Outside;
use crate::oracle::Fact;
use asupersync_core::Event;
use parking_lot::Mutex;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr;

thread_local! {
    /// The record of the run in progress on this thread. Nothing is left there to be dropped, so that it can be looked
    /// at for as long as the thread lives, and without a look at whether it still does.
    static HERE: Cell<Option<ManuallyDrop<Here>>> = const { Cell::new(None) };
}

struct Here {
    /// Where the [`Kept`] is that it was taken from, which is borrowed meanwhile.
    of: usize,
    record: Box<Record>,
}

pub(super) struct Kept {
    /// None while a thread keeps it.
    record: Mutex<Option<Box<Record>>>,
    outside: Outside,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { record: Mutex::new(Some(Box::default())), outside: Outside::default() }
    }
}

/// The record is this thread's, until this is dropped.
pub(crate) struct Keeping<'a>(&'a Kept);

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        let here = HERE.take().map(ManuallyDrop::into_inner);
        *self.0.record.lock() = here.map(|here| here.record);
    }
}

impl Kept {
    /// Makes the record this thread's, which keeps no other.
    pub(super) fn keep(&self) -> Keeping<'_> {
        let record = self.record.lock().take().expect("a runtime is one thread's at a time");
        HERE.replace(Some(ManuallyDrop::new(Here { of: self.place(), record })));
        Keeping(self)
    }

    fn place(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// Uses the record; none if another thread keeps it.
    #[inline]
    pub(super) fn with<R>(&self, then: impl FnOnce(&mut Record) -> R) -> Option<R> {
        let Some(mut here) = self.here() else { return self.with_free(then) };
        let answer = self.told(&mut here.record, then);
        HERE.set(Some(here));
        Some(answer)
    }

    /// Takes the record, if this thread keeps it.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn here(&self) -> Option<ManuallyDrop<Here>> {
        let here = HERE.take()?;
        if here.of == self.place() {
            return Some(here);
        }
        HERE.set(Some(here));
        None
    }

    /// Uses it between runs.
    #[cold]
    fn with_free<R>(&self, then: impl FnOnce(&mut Record) -> R) -> Option<R> {
        let mut record = self.record.lock();
        record.as_mut().map(|record| self.told(record, then))
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn told<R>(&self, record: &mut Record, then: impl FnOnce(&mut Record) -> R) -> R {
        self.outside.tell(record);
        then(record)
    }

    /// As [`with`](Kept::with) does, but one function: this is done for every event.
    // Only where code is optimised: elsewhere all that is inlined here would have a place of its own on the stack.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn event(&self, event: &Event<'_>) {
        let Some(mut here) = self.here() else { return self.event_from_outside(event) };
        self.outside.tell(&mut here.record);
        here.record.kernel(event);
        HERE.set(Some(here));
    }

    #[cold]
    #[inline(never)]
    fn event_from_outside(&self, event: &Event<'_>) {
        if self.with_free(|record| record.kernel(event)).is_none() {
            self.outside.event(event);
        }
    }

    pub(super) fn fact(&self, fact: Fact<'_>) {
        let mut fact = Some(fact);
        self.with(|record| fact.take().map(|fact| record.fact(fact)));
        if let Some(fact) = fact {
            self.outside.fact(fact);
        }
    }
}
