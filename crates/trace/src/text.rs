//! A trace as text: one line an event, the same bytes for the same trace.

use crate::event::Event;
use crate::reader::Trace;
use std::fmt::{self, Write as _};

impl Trace {
    /// Every event on a line of its own, numbered from 0, after a line for the header.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("trace of seed {}", self.header().seed);
        for (name, value) in &self.header().options {
            write!(text, ", {name} {value}").expect("writing to a string cannot fail");
        }
        text.push('\n');
        for (index, event) in self.events().iter().enumerate() {
            writeln!(text, "{index:>6}  {}", self.line(event))
                .expect("writing to a string cannot fail");
        }
        text
    }

    /// One event in words: its name and its fields.
    #[must_use]
    pub fn line<'a>(&'a self, event: &'a Event) -> impl fmt::Display + 'a {
        Line { trace: self, event }
    }
}

struct Line<'a> {
    trace: &'a Trace,
    event: &'a Event,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.show(self.trace.tables(), f)
    }
}
