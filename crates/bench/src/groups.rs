//! The groups of workloads.

use crate::runner::Runner;

pub mod channel;
pub mod combinator;
pub mod kernel;
pub mod lab;
pub mod net;
pub mod raptorq;
pub mod sched;
pub mod sync;

/// A group's name and what runs it.
pub type Group = (&'static str, fn(&mut Runner));

/// Every group.
pub const ALL: &[Group] = &[
    ("channel", channel::run),
    ("combinator", combinator::run),
    ("kernel", kernel::run),
    ("lab", lab::run),
    ("net", net::run),
    ("raptorq", raptorq::run),
    ("sched", sched::run),
    ("sync", sync::run),
];
