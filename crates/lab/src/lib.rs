//! The deterministic host: the same kernel as in production, on one thread, in virtual time, in an
//! order that follows from a seed.
//!
//! [`LabRuntime`] runs a program; a [`LabReport`] says how it ended, what the oracles think of it, and
//! what replays it. [`check`] runs one body under many seeds, [`cancel_everywhere`] once for each
//! step with a cancellation at that step; [`explore`] runs every order that can matter, one run for each
//! class of equivalent ones. [`Shared`], [`Atomic`], [`Mutex`] and [`Queue`] make plain shared state visible. Which task
//! goes next is decided by a [`Strategy`], and by nothing else.
//!
//! A program's sockets, names, files and signals are those of drivers in memory, anew for each run:
//! `cx.service::<T>()` finds them, to partition, reset, crash, fill or raise. They are
//! `asupersync_net::VirtualNetwork`, `asupersync_os::fs::VirtualFiles` and `asupersync_os::VirtualSignals`;
//! [`LabConfig::service_with`] puts another in the place of one.
//!
//! What this crate does not know: threads, sockets, the wall clock.
//!
//! # Example
//! ```
//! use asupersync_core::{Cx, Error};
//! use asupersync_lab::check;
//! use std::time::Duration;
//!
//! let summary = check(0..100, async |cx: &Cx| {
//!     cx.region(async |scope| {
//!         let _ = scope.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(Duration::from_secs(1)).await?));
//!         let _ = scope.spawn(async |cx: &Cx| Ok(cx.yield_now().await?));
//!         Ok::<_, Error>(())
//!     }).await.into_result()?;
//!     Ok::<_, Error>(())
//! });
//! assert_eq!(summary.runs, 100);
//! ```
//!
//! # What makes a run repeatable
//! Everything a program learns must come through its context. A program that reads a real clock,
//! spawns a thread, iterates over a randomly seeded map or keeps state in a static is not repeatable;
//! the replay of its failure says so when it notices.
//!
//! # Limitations
//! The clock stands still while any task can run, unless [time races](LabConfig::time_races), so a task that
//! spins until a time has come never sees it come; the step limit ends it. Timers fire in the order of their
//! times. Under
//! [`check`] orders are chosen at random: a bug may hide from any number of seeds.

#![forbid(unsafe_code)]

mod atomic;
mod check;
mod config;
mod explore;
mod failure;
mod faults;
mod host;
mod monitor;
mod mutex;
mod oracle;
mod progress;
mod queue;
mod quiet;
mod rare;
mod repeat;
mod replay;
mod report;
mod runtime;
mod script;
mod shared;
mod shrink;
mod story;
mod strategy;
mod trial;
mod twin;

pub use atomic::Atomic;
pub use check::{LabTest, Strategies, Summary, cancel_everywhere, check, run};
pub use config::LabConfig;
pub use explore::{Exploration, ExploreFailure, ExploreOptions, Method, explore};
pub use faults::{Fault, FaultPlan, Faults};
pub use host::ServiceContext;
pub use monitor::{Frame, Parcel, Stream, effect};
pub use mutex::{Mutex, MutexGuard};
pub use oracle::{Invariant, Verdict, Violation};
pub use queue::Queue;
pub use rare::{Mark, rare};
pub use repeat::repeatable;
pub use replay::{Recorded, ReplayError};
pub use report::{Finding, LabReport};
pub use runtime::LabRuntime;
pub use shared::Shared;
pub use strategy::{
    Blocked, Choice, Fifo, Footprint, Op, OpKind, Pct, Pos, Prefix, Random, Strategy,
    TopologyGuided,
};
