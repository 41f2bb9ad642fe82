//! Recorded runs: an owned event model, the trace file, and what can be said about a run's order.
//!
//! A [`Writer`] turns kernel events into a compact, versioned, checksummed file, an [`EventLog`] keeps them until somebody
//! wants that file; [`Trace::parse`] reads it back within [`Limits`], whatever the bytes are. [`Trace::to_text`] renders it and
//! [`first_difference`] names the first event in which two traces differ. A [`Pack`] holds a failure: its
//! choices, its trace, its passing twin and the command that replays it. A trace may also hold what a production
//! run learned from its machine ([`Writer::called`]), and is then a recording that the lab can replay.
//!
//! Two runs that differ only in the order of independent steps are the same behaviour
//! (Mazurkiewicz equivalence). A [`Step`] is one poll of a task with the set of things it read or
//! wrote; [`Fingerprint`] is a 128-bit hash of the run's Foata normal form, equal for equivalent
//! runs; [`Causality`] answers which step happens before which. [`geodesic`] finds the equivalent run with the
//! fewest switches of task, and [`SquareComplex`] says where in a state space order matters.
//!
//! What this crate does not know: how a schedule is run or chosen, clocks, files.
//!
//! # Example
//! ```
//! use asupersync_core::{Event, TaskId, Time};
//! use asupersync_trace::{Fingerprint, Header, Limits, Trace, Writer};
//!
//! let mut writer = Writer::new(Header::new(42));
//! let task = TaskId::from_bits(7);
//! writer.kernel(&Event::PollBegin { task, at: Time::from_millis(3) });
//! writer.kernel(&Event::PollEnd { task, ready: true });
//! let file = writer.finish();
//!
//! let trace = Trace::parse(&file, &Limits::default()).unwrap();
//! assert_eq!(trace.header().seed, 42);
//! assert_eq!(trace.events().len(), 2);
//! assert_eq!(Fingerprint::of_trace(&trace), Fingerprint::of_steps(&trace.steps()));
//! ```
//!
//! # Limitations
//! Independence is judged by what the kernel and its primitives report as accesses. State that is
//! shared behind their back is invisible here, and two runs that differ in it count as one class.
//! Files are not compressed.

#![forbid(unsafe_code)]

mod causality;
mod coding;
mod complex;
mod difference;
mod error;
mod event;
mod fingerprint;
mod geodesic;
mod ids;
mod log;
mod pack;
mod reader;
mod step;
mod tables;
mod text;
mod writer;

pub use causality::Causality;
pub use complex::{Interval, SquareComplex, StateSpace};
pub use difference::{Difference, first_difference};
pub use error::TraceError;
pub use event::Event;
pub use fingerprint::{Fingerprint, Fingerprinter, foata_levels};
pub use geodesic::{Effort, Geodesic, geodesic, switches};
pub use ids::{IdHasher, IdMap, IdSet, Numbers};
pub use log::EventLog;
pub use pack::{Pack, Recording, Share};
pub use reader::{Limits, Reader, Trace};
pub use step::{Actor, Effect, Ended, Step, StepBuilder, StepView, Target, Touch, dependent};
pub use tables::{BlobId, Site, SiteId, StrId, Tables};
pub use text::{plain, shell_word};
pub use writer::{Header, RECORDED, VERSION, Writer};
