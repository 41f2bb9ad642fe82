//! A run's events as they came.
//!
//! Hardly anybody wants the trace of a run that went well, and to number ids and look texts up costs ten times what it
//! costs to keep an event. So a log keeps them as they are, and its file is made when it is asked for.

use crate::event::Event;
use crate::tables::fitting;
use crate::writer::{Header, Writer};
use asupersync_core as kernel;
use std::fmt;

/// Collects a run's events; [`into_bytes`](EventLog::into_bytes) makes the trace file of them.
pub struct EventLog {
    header: Header,
    /// What came before `events`.
    written: Option<Box<Writer>>,
    events: Vec<Logged>,
    /// The texts that kernel events borrowed, one after the other, and the bytes of each.
    texts: String,
    lengths: Vec<u32>,
}

enum Logged {
    /// With an empty text in place of the one that it borrowed.
    Kernel(kernel::Event<'static>),
    Host(Event),
}

/// Events kept: then they are written. Their bytes are a tenth as many.
const KEPT: usize = 4_096;
const _: () = assert!(size_of::<Logged>() <= 72);

impl EventLog {
    /// The empty log of a run that this is said about, with room for so many events if that is not more than it keeps.
    #[must_use]
    pub fn new(header: Header, events: usize) -> EventLog {
        let events = Vec::with_capacity(events.min(KEPT));
        EventLog { header, written: None, events, texts: String::new(), lengths: Vec::new() }
    }

    /// Appends a kernel event.
    // Where the sort of event is known, what is left of this is a copy.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn kernel(&mut self, event: &kernel::Event<'_>) {
        let mark = event.text().map(|text| {
            self.text(text);
            ""
        });
        self.push(Logged::Kernel(event.with_text(mark)));
    }

    /// Appends one of the host's own events.
    ///
    /// # Panics
    /// As [`Writer::host`], when the file is written.
    pub fn host(&mut self, event: &Event) {
        self.push(Logged::Host(*event));
    }

    /// Events that are kept and not written yet, which says how much room the log of such a run needs.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.events.len()
    }

    /// The bytes of the trace file: those that a [`Writer`] makes of the same events.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.write();
        self.written.as_mut().expect("it has just been written").finish()
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn push(&mut self, event: Logged) {
        if self.events.len() == KEPT {
            self.write();
        }
        self.events.push(event);
    }

    #[cold]
    fn text(&mut self, text: &str) {
        let text = fitting(text);
        self.lengths.push(text.len() as u32);
        self.texts.push_str(text);
    }

    /// Writes what is kept.
    #[cold]
    fn write(&mut self) {
        let EventLog { header, written, events, texts, lengths } = self;
        let writer = written.get_or_insert_with(|| Box::new(Writer::new(std::mem::take(header))));
        let (mut texts_left, mut lengths_left) = (&**texts, lengths.iter());
        for event in &*events {
            match event {
                Logged::Kernel(event) => {
                    let text = event.text().and_then(|_| {
                        let (text, rest) = texts_left.split_at(*lengths_left.next()? as usize);
                        texts_left = rest;
                        Some(text)
                    });
                    writer.kernel(&event.with_text(text));
                }
                Logged::Host(event) => writer.host(event),
            }
        }
        events.clear();
        texts.clear();
        lengths.clear();
    }
}

/// What this one has written, and what comes after it.
impl From<Writer> for EventLog {
    fn from(writer: Writer) -> EventLog {
        EventLog { written: Some(Box::new(writer)), ..EventLog::new(Header::default(), 0) }
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.written.as_ref().map_or(0, |writer| writer.events());
        f.debug_struct("EventLog")
            .field("events", &(written + self.events.len() as u64))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
