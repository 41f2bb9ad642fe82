//! Structured-concurrency async in which correctness is structural.
//!
//! A program is a tree of *regions*. A region owns tasks, and is closed only when every one of them
//! has ended and every finalizer has run: nothing outlives the block that started it. Cancellation
//! is a protocol that walks down the tree (request, drain, finalize) inside a budget. Every effect
//! goes through an explicit context, [`&Cx`](Cx), and what that is bound to decides what the effect
//! means: the production [`runtime`] (threads, sockets, the wall clock), or the [`lab`] (one thread, a
//! seed, virtual time), where the same program runs deterministically and every failure replays.
//!
//! What this crate does not know: anything. It has no logic, only names.
//!
//! # Example
//! ```
//! use asupersync::prelude::*;
//!
//! async fn worker(cx: &Cx, tx: mpsc::Sender<u32>) -> Result<(), Error> {
//!     for n in 0.. {
//!         cx.checkpoint()?;
//!         let permit = tx.reserve(cx).await?; // cancelling here loses nothing
//!         permit.send(n); // cannot fail, cannot be half done
//!     }
//!     Ok(())
//! }
//!
//! # #[cfg(feature = "proc-macros")]
//! #[asupersync::main]
//! async fn main(cx: &Cx) -> Result<(), Error> {
//!     let (tx, mut rx) = mpsc::channel(16);
//!     let outcome = cx.region(async |scope| {
//!         let mut producer = scope.spawn(async move |cx| worker(cx, tx).await);
//!         for _ in 0..100 { rx.recv(cx).await?; }
//!         producer.cancel(CancelReason::user("enough"));
//!         Ok::<_, Error>(producer.join(cx).await?)
//!     }).await;
//!     println!("{outcome:?}"); // nothing from inside is still running
//!     Ok(())
//! }
//! # #[cfg(not(feature = "proc-macros"))]
//! # fn main() {}
//! ```
//!
//! The same code as a test, in the lab:
//! ```
//! # #[cfg(feature = "proc-macros")] {
//! use asupersync::prelude::*;
//!
//! #[asupersync::test(seeds = 100)]
//! async fn cancelling_loses_nothing(cx: &Cx) -> Result<(), Error> { /* the same code, in the lab */ Ok(()) }
//! # }
//! ```
//!
//! # Concurrency, parallelism, borrowing: two at a time
//! Safe Rust lets a piece of concurrent work have two of these three, because a future that borrows
//! from the stack may be forgotten by whoever holds it, and then nobody waits for it.
//!
//! | you want | use | you give up |
//! |---|---|---|
//! | concurrency and parallelism | a task: [`Scope::spawn`], [`Cx::spawn`] | borrowing: it owns (or shares by `Arc`) what it uses |
//! | concurrency and borrowing | a combinator ([`combinator::join()`], [`combinator::race()`]), or fibers, as many as one likes: [`TaskCx::fibers`] | parallelism: they take turns on one task |
//! | parallelism and borrowing | scoped threads inside [`Cx::spawn_blocking`] | concurrency: their thread blocks until they end |
//!
//! A region's *body* borrows freely, as it is part of the task that opened it. Only what is spawned
//! must own what it uses.
//!
//! # What is where
//! - The kernel's types are at the root: [`Cx`], [`Scope`], [`Outcome`], [`Budget`],
//!   [`CancelReason`], [`Error`].
//! - [`channel`] (mpsc, oneshot), [`sync`] (locks, semaphores, notifications), [`combinator`] (join,
//!   race, timeout; quorum, hedge, retry, bracket, pipeline and kin), [`stream`] (adaptors, bridges to
//!   channels), [`time`] (intervals), [`plan`] (combinators as data).
//! - [`io`] (traits and helpers), [`net`] (TCP, UDP, Unix sockets, names), [`os`] (files, processes,
//!   pipes, signals, the orderly end of a program).
//! - [`runtime`] and [`lab`]: the two hosts. [`trace`] (what a run in the lab leaves) and [`stats`] (what may be
//!   said of many runs).
//! - [`prelude`]: what most files want.
//!
//! Each of the crates beneath can be used alone.
//!
//! # Questions the types answer
//! - *May this function wait?* It takes `cx: &Cx`. There is no runtime in a thread-local.
//! - *How long does this task live?* At most as long as its region. [`Scope::spawn_service`] makes one that
//!   is cancelled last; [`Scope::group`] hands out outcomes as children end; [`Scope::limit`] bounds how many
//!   run at once.
//! - *Is it cancelled?* A wait or [`checkpoint`](TaskCx::checkpoint) answers `Err(Cancelled)`; `?`
//!   passes it on, and the region reports `Outcome::Cancelled` with the reason.
//! - *What may be lost when it is?* Each async function says so under "Cancel safety".
//! - *What may it do?* `Cx<C>` carries capabilities; [`Cx::narrow`] gives fewer.
//!
//! # Features
//! - `proc-macros` (on by default): the attributes `#[asupersync::main]` and `#[asupersync::test]`, and
//!   `scope!`, `spawn!`, `join!`, `try_join!`, `race!` and `select!`.
//! - `dns`: a resolver of our own, as `dns`, to be used instead of the system's.
//! - `tls`: TLS over any stream, as `tls`; `tls-native-roots` and `tls-webpki-roots` add the machine's
//!   and Mozilla's certificate authorities, `tls-self-signed` certificates for development.
//! - `raptorq`: fountain codes (RFC 6330), as `raptorq`.
//!
//! # Limitations
//! Linux is the platform this is built and tested on. Code that never waits cannot be stopped, only
//! reported.

#![forbid(unsafe_code)]

#[cfg(feature = "proc-macros")]
pub use asupersync_combinator::{scope, select, spawn};
#[cfg(feature = "proc-macros")]
pub use asupersync_macros::{main, test};

// Each a function and, with the feature, the macro that awaits it.
pub use asupersync_combinator::{join, race, try_join};

pub use asupersync_channel as channel;
pub use asupersync_combinator as combinator;
#[cfg(feature = "dns")]
pub use asupersync_dns as dns;
pub use asupersync_io as io;
pub use asupersync_lab as lab;
pub use asupersync_net as net;
pub use asupersync_os as os;
pub use asupersync_plan as plan;
#[cfg(feature = "raptorq")]
pub use asupersync_raptorq as raptorq;
pub use asupersync_runtime as runtime;
pub use asupersync_stats as stats;
pub use asupersync_stream as stream;
pub use asupersync_sync as sync;
pub use asupersync_time as time;
#[cfg(feature = "tls")]
pub use asupersync_tls as tls;
pub use asupersync_trace as trace;

pub use asupersync_core::cap;
pub use asupersync_core::{
    Access, Ack, AlreadySettled, Budget, CancelKind, CancelReason, Cancelled, ChildFailure, Closed,
    Cx, DetHashMap, DetHashSet, Duty, DutyWatch, Error, ErrorKind, Event, FailureCause, Fibers,
    Futurelock, Group, IoOp, JoinError, LeakReport, Lease, Limit, MaskGuard, Masked, NotReady,
    Obligation, ObligationId, ObligationKind, Outcome, OutcomeError, PanicPayload, PinnedBody,
    Policy, RRef, RRefError, Ready, Recoverability, RegionId, RegionOptions, RegionReport,
    RegionSnapshot, Resolution, Scope, Settlement, Severity, Sleep, Straggler, TaskBody, TaskCx,
    TaskHandle, TaskId, TaskOptions, TaskSnapshot, Time, WaitSnapshot, cancelled_in, join_outcomes,
};
pub use asupersync_lab::{LabConfig, LabRuntime};

/// What most files want: `use asupersync::prelude::*;`.
pub mod prelude {
    pub use crate::channel::{mpsc, oneshot};
    pub use crate::combinator::{join, join_all, race, race_all, timeout, try_join, try_join_all};
    pub use crate::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    pub use crate::stream::{StreamExt, TryStreamExt};
    pub use crate::{
        Budget, CancelKind, CancelReason, Cx, Error, Outcome, Policy, Scope, TaskCx, TaskHandle,
        Time,
    };
    #[cfg(feature = "proc-macros")]
    pub use crate::{scope, select, spawn};
}
