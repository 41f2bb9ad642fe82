//! What other threads say while one runs.
//!
//! The thread that runs keeps the record for itself, so that an event costs it no atomic operation. A program
//! whose tasks are woken or cancelled by other threads is not deterministic, but it goes on: what such
//! a thread says waits here for the next event of the run.

use super::Record;
use crate::oracle::Fact;
use asupersync_core::Event;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
pub(super) struct Outside {
    /// Something waits. Read without the lock: a task that was made runnable after something was said is taken
    /// from the queue under the queue's lock, and so after this was set.
    waits: AtomicBool,
    said: Mutex<Vec<Said>>,
}

enum Said {
    /// An event, and the text that it borrows.
    Event(Event<'static>, Option<String>),
    Fact(Fact<'static>),
}

impl Outside {
    pub(super) fn event(&self, event: &Event<'_>) {
        self.say(Said::Event(event.with_text(None), event.text().map(str::to_owned)));
    }

    pub(super) fn fact(&self, fact: Fact<'_>) {
        self.say(Said::Fact(fact.kept()));
    }

    fn say(&self, said: Said) {
        let mut all = self.said.lock();
        all.push(said);
        self.waits.store(true, Ordering::Relaxed);
    }

    /// Lets the record hear what waits.
    #[inline]
    pub(super) fn tell(&self, record: &mut Record) {
        if self.waits.load(Ordering::Relaxed) {
            self.tell_all(record);
        }
    }

    #[cold]
    fn tell_all(&self, record: &mut Record) {
        let said = {
            let mut all = self.said.lock();
            self.waits.store(false, Ordering::Relaxed);
            std::mem::take(&mut *all)
        };
        for said in said {
            match said {
                Said::Event(event, text) => record.kernel(&event.with_text(text.as_deref())),
                Said::Fact(fact) => record.fact(fact),
            }
        }
    }
}
