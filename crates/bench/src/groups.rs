//! The groups of workloads.

use crate::runner::Runner;

pub mod net;
pub mod raptorq;
pub mod sched;

/// A group's name and what runs it.
pub type Group = (&'static str, fn(&mut Runner));

/// Every group.
pub const ALL: &[Group] = &[("net", net::run), ("raptorq", raptorq::run), ("sched", sched::run)];
