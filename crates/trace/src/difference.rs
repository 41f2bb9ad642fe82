//! Where two traces part.

use crate::reader::Trace;
use std::fmt;

/// The first place in which two traces differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The runs had different seeds or options, so their events need not agree.
    Header,
    /// The events at this position differ.
    Event {
        /// Position, counted from 0.
        index: usize,
        /// The left trace's event, or none if it has ended.
        left: Option<String>,
        /// The right trace's event, or none if it has ended.
        right: Option<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Header => f.write_str("the traces are of different seeds or options"),
            Difference::Event { index, left, right } => write!(
                f,
                "the traces differ first at event {index}:\n  left:  {}\n  right: {}",
                left.as_deref().unwrap_or("(has ended)"),
                right.as_deref().unwrap_or("(has ended)")
            ),
        }
    }
}

/// Finds the first event in which two traces differ; none if they are the same.
#[must_use]
pub fn first_difference(left: &Trace, right: &Trace) -> Option<Difference> {
    let longest = left.events().len().max(right.events().len());
    for index in 0..longest {
        // Names are numbered in order of first use, so up to the first difference equal numbers
        // mean equal texts; at it they need not, hence lines are compared and not events.
        let line =
            |trace: &Trace| trace.events().get(index).map(|event| trace.line(event).to_string());
        let (left, right) = (line(left), line(right));
        if left != right {
            return Some(Difference::Event { index, left, right });
        }
    }
    (left.header() != right.header()).then_some(Difference::Header)
}
