//! Branches with a waker of each one's own: a wake of one costs one poll, however many there are.

use crate::drive::{Slots, Visit};
use crate::slot::AnySlot;
use asupersync_core::Woken;
use pin_project_lite::pin_project;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::Context;

/// Slots that can be reached by their numbers.
pub(crate) trait Numbered {
    fn count(&self) -> usize;

    fn open(&self) -> usize;

    fn nth(self: Pin<&mut Self>, index: usize) -> Option<Pin<&mut dyn AnySlot>>;
}

pin_project! {
    /// Slots of which only the woken are polled.
    pub(crate) struct Apart<S> {
        #[pin]
        pub(crate) slots: S,
        woken: Woken,
    }
}

impl<S: Numbered> Apart<S> {
    pub(crate) fn new(slots: S) -> Apart<S> {
        let woken = Woken::with_slots(slots.count());
        Apart { slots, woken }
    }
}

impl<S: Numbered> Slots for Apart<S> {
    fn open(&self) -> usize {
        self.slots.open()
    }

    fn woken(self: Pin<&mut Self>, context: &mut Context<'_>, visit: Visit<'_>) {
        let mut this = self.project();
        for _ in 0..this.woken.begin(context.waker()) {
            let Some(index) = this.woken.pop() else { return };
            let Some(slot) = this.slots.as_mut().nth(index).filter(|slot| slot.is_open()) else {
                continue;
            };
            let mut context = Context::from_waker(this.woken.waker(index));
            if let ControlFlow::Break(()) = visit(index, slot, &mut context) {
                return;
            }
        }
    }

    fn rouse(self: Pin<&mut Self>, visit: &mut dyn FnMut(Pin<&mut dyn AnySlot>)) {
        let mut this = self.project();
        for index in 0..this.slots.count() {
            if let Some(slot) = this.slots.as_mut().nth(index).filter(|slot| slot.is_open()) {
                visit(slot);
                this.woken.rouse(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tuple::both;
    use asupersync_core::{Cx, Error};
    use std::future::poll_fn;
    use std::panic::Location;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[test]
    fn of_two_the_woken_one_is_polled() {
        asupersync_lab::check(0..3, async |cx: &Cx| {
            let polls = AtomicU32::new(0);
            let mut hour = Box::pin(cx.sleep(Duration::from_secs(3600)));
            let seldom = poll_fn(|context| {
                polls.fetch_add(1, Ordering::Relaxed);
                hour.as_mut().poll(context)
            });
            let often = async {
                for _ in 0..10 {
                    cx.yield_now().await?;
                }
                Ok(())
            };
            assert!(matches!(both(cx, Location::caller(), seldom, often).await, Some(Ok(_))));
            // Once to begin with, and once for its own wake.
            assert_eq!(polls.into_inner(), 2);
            Ok::<_, Error>(())
        });
    }
}
