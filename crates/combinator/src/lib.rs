//! Several futures in one task: all of them, the first of them, or one within a time limit.
//!
//! Each future runs in a *branch*, a cancel scope of its own inside the calling task. When the
//! matter is settled (a race has its winner, a `try_join` its first error, a time limit has passed,
//! a branch has panicked) the branches that remain are cancelled by protocol and polled to their
//! end before the combinator returns. Nothing that was started is dropped half-way, on any path.
//!
//! - [`join()`], [`join_all`]: run all of them and collect every value.
//! - [`try_join()`], [`try_join_all`]: the same, until the first error.
//! - [`race()`], [`race_all`]: the value of the first to finish. [`race_some`]: the first that returns
//!   `Some`.
//! - [`timeout`], [`timeout_at`]: one future and a time limit.
//! - [`quorum`]: enough successes of many.
//! - [`map_reduce`]: many to one, a few at a time. [`pipeline`]: stage after stage, with backpressure.
//! - [`hedge`]: a backup beside a slow first try; [`Latencies`] say how slow is slow.
//!
//! One after the other, in the caller's own scope:
//!
//! - [`retry`], [`retry_if`]: until it succeeds, with growing delays, never past the deadline.
//! - [`first_ok`]: the first of several that succeeds.
//! - [`bracket`]: acquire, use, release; the release happens once, on every path.
//!
//! Tuples hold one to eight futures of different types without an allocation, and poll all open
//! branches when the task is polled. The `_all` forms take any number of futures of one type, box
//! each, and poll only those that were woken.
//!
//! Shared between tasks, in front of something scarce:
//!
//! - [`RateLimiter`]: so many per time. [`Bulkhead`]: so many at once. [`CircuitBreaker`]: none at all for
//!   a while, after too many failures.
//!
//! With the feature `macros`: `join!`, `try_join!`, `race!` and `select!`, which await these
//! functions, and `scope!` and `spawn!` for the kernel's regions. `docs/macro-dsl.md` shows what
//! they expand to.
//!
//! What this crate does not know: threads, the wall clock, and of tasks and regions only the one region
//! that a [`bracket`] opens for its release.
//!
//! # Example
//! ```
//! use asupersync_combinator::{join, race, timeout};
//! use asupersync_core::{Cx, Error};
//! use std::time::Duration;
//!
//! async fn program(cx: &Cx) -> Result<(), Error> {
//!     let second = Duration::from_secs(1);
//!     let (one, two) = join(cx, (async { 1 }, async { "two" })).await?;
//!     assert_eq!((one, two), (1, "two"));
//!
//!     // The sleeper is cancelled, is told so, and has returned before `race` does.
//!     let winner = race(cx, (async { Ok(7) }, async { cx.sleep(second).await.map(|()| 0) })).await?;
//!     assert_eq!(winner, Ok(7));
//!
//!     // Not even a future that never wakes can hold up a time limit.
//!     assert!(timeout(cx, second, std::future::pending::<()>()).await.is_err());
//!     Ok(())
//! }
//! # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default().seed(1));
//! # assert!(lab.run(program).is_ok());
//! ```
//!
//! # Cancel safety
//! When the enclosing scope is cancelled, every branch is told through its own waits, and the
//! combinator returns when the last has ended. Values that are complete by then are returned as if
//! nothing had happened; `Err(Cancelled)` says that a branch whose value was needed did not finish.
//!
//! When a combinator's *future* is dropped, its branches are dropped with it, as any future's parts
//! are: Rust has no asynchronous drop. Regions they had open are cancelled and waited for by the
//! parent region. Draining belongs to awaiting.
//!
//! What a loser returns while it is being drained is dropped. An effect that must not be lost is
//! therefore made in two phases (reserve, then commit without a wait).
//!
//! # Panics
//! A panic in a branch cancels and drains the others, and then continues in the caller. That holds
//! for a loser that panics while it is drained too: the winner's value does not hide a panic. Of
//! several panics the first is passed on.
//!
//! # Limitations
//! - Branches take turns on one task; for parallelism spawn tasks and join their handles.
//! - Branches of a tuple are polled in order from the left, so of two that finish in the same step
//!   the left one wins a race; [`race_some`] can begin elsewhere.
//! - A branch that neither returns nor waits cannot be stopped, only one that waits.

#![forbid(unsafe_code)]

mod apart;
mod bracket;
mod bulkhead;
mod circuit_breaker;
mod drive;
mod first_ok;
mod hedge;
mod into_branch;
mod list;
#[cfg(feature = "macros")]
mod macros;
mod map_reduce;
mod pause;
mod pipeline;
mod quorum;
mod race_some;
mod rate_limit;
mod retry;
mod slot;
mod timeout;
mod tuple;

#[cfg(feature = "macros")]
#[doc(hidden)]
pub use crate::macros::expand;

pub use crate::bracket::{Release, bracket};
pub use crate::bulkhead::{Bulkhead, BulkheadError};
pub use crate::circuit_breaker::{BreakerError, BreakerState, CircuitBreaker};
pub use crate::first_ok::{FirstOkError, first_ok};
pub use crate::hedge::{HedgeError, Latencies, hedge};
pub use crate::into_branch::{IntoBranch, into_branch};
pub use crate::map_reduce::map_reduce;
pub use crate::pipeline::{Pipeline, pipeline};
pub use crate::quorum::{QuorumError, quorum};
pub use crate::race_some::race_some;
pub use crate::rate_limit::{RateLimitError, RateLimiter};
pub use crate::retry::{Jitter, RetryError, RetryPolicy, retry, retry_if};
pub use crate::timeout::{TimeoutError, timeout, timeout_at};
pub use crate::tuple::{Join, Race, RaceSome, TryJoin};

use crate::drive::Drive;
use crate::list::List;
use asupersync_core::{CancelKind, Cancelled, TaskCx};
use std::panic::Location;
use std::pin::Pin;

/// Runs a tuple of futures concurrently and returns all their values, in order.
///
/// # Errors
/// `Cancelled` when the enclosing scope was cancelled and at least one of them was dropped for it
/// (a future that waits for nothing of the kernel's cannot be told, only dropped).
///
/// # Panics
/// Passes on the first panic of a branch once the others are cancelled and drained.
///
/// # Cancel safety
/// Awaited, nothing is lost: each branch ends by itself. If the future of `join` is dropped, the
/// values of branches that have finished are dropped with it. A cancel request is answered within
/// two polls where each future answers within one.
#[track_caller]
pub fn join<'a, T: Join>(
    cx: &'a TaskCx,
    futures: T,
) -> impl Future<Output = Result<T::Output, Cancelled>> + use<'a, T> {
    let site = Location::caller();
    async move {
        match futures.join(cx, site).await {
            Some(values) => Ok(values),
            None => Err(drive::cancelled(cx, "join", site).await),
        }
    }
}

/// Runs futures of one type concurrently and returns all their values, in order.
///
/// A wake of one costs one poll of that one. Without futures it is done at once.
///
/// # Errors
/// As [`join()`].
///
/// # Panics
/// As [`join()`].
///
/// # Cancel safety
/// As [`join()`].
#[track_caller]
pub fn join_all<'a, F: Future + 'a>(
    cx: &'a TaskCx,
    futures: impl IntoIterator<Item = F>,
) -> impl Future<Output = Result<Vec<F::Output>, Cancelled>> {
    let site = Location::caller();
    let futures: Vec<F> = futures.into_iter().collect();
    async move {
        let list = List::of(cx, |_| false, futures);
        let finish = |list: Pin<&mut List<'a, F>>, _| list.get_mut().take_all();
        match Drive::new(cx, site, CancelKind::FailFast, list, finish).await {
            Some(values) => Ok(values),
            None => Err(drive::cancelled(cx, "join_all", site).await),
        }
    }
}

/// Runs a tuple of fallible futures concurrently and returns all their values, or the first error.
///
/// # Errors
/// The first error in time. The other branches are cancelled with
/// [`CancelKind::FailFast`] and have ended when it is returned; what
/// they returned is dropped. `Cancelled`, turned into the error type, as for [`join()`].
///
/// # Panics
/// As [`join()`].
///
/// # Cancel safety
/// As [`join()`]. Values of branches that succeeded are dropped when another fails.
#[track_caller]
pub fn try_join<'a, T>(
    cx: &'a TaskCx,
    futures: T,
) -> impl Future<Output = Result<T::Output, T::Error>> + use<'a, T>
where
    T: TryJoin,
    T::Error: From<Cancelled>,
{
    let site = Location::caller();
    async move {
        match futures.try_join(cx, site).await {
            Some(result) => result,
            None => Err(drive::cancelled(cx, "try_join", site).await.into()),
        }
    }
}

/// Runs fallible futures of one type concurrently and returns all their values, or the first error.
///
/// # Errors
/// As [`try_join()`].
///
/// # Panics
/// As [`join()`].
///
/// # Cancel safety
/// As [`try_join()`].
#[track_caller]
pub fn try_join_all<'a, F, V, E>(
    cx: &'a TaskCx,
    futures: impl IntoIterator<Item = F>,
) -> impl Future<Output = Result<Vec<V>, E>>
where
    F: Future<Output = Result<V, E>> + 'a,
    V: 'a,
    E: From<Cancelled> + 'a,
{
    try_join_list(cx, "try_join_all", Location::caller(), futures.into_iter().collect())
}

/// [`try_join_all`] under another name and line.
pub(crate) async fn try_join_list<'a, F, V, E>(
    cx: &'a TaskCx,
    label: &'static str,
    site: &'static Location<'static>,
    futures: Vec<F>,
) -> Result<Vec<V>, E>
where
    F: Future<Output = Result<V, E>> + 'a,
    V: 'a,
    E: From<Cancelled> + 'a,
{
    let list = List::of(cx, Result::is_err, futures);
    let finish = |list: Pin<&mut List<'a, F>>, first_error| match first_error {
        Some(index) => list.get_mut().take(index)?.err().map(Err),
        None => Some(list.get_mut().take_all()?.into_iter().collect()),
    };
    match Drive::new(cx, site, CancelKind::FailFast, list, finish).await {
        Some(result) => result,
        None => Err(drive::cancelled(cx, label, site).await.into()),
    }
}

/// Runs a tuple of futures concurrently and returns the value of the first to finish.
///
/// The others are cancelled with [`CancelKind::RaceLost`] and have ended when it returns; what they
/// returned is dropped.
///
/// # Errors
/// `Cancelled` when the enclosing scope was cancelled and every branch was dropped for it.
///
/// # Panics
/// As [`join()`].
///
/// # Cancel safety
/// Awaited, every branch ends by itself and is told when it has lost. A value that a loser returns
/// is dropped, so race operations that commit in one step (`recv`, `reserve`, `lock`), not whole
/// transactions. A cancel request is answered within two polls where each future answers within
/// one.
#[track_caller]
pub fn race<'a, T: Race>(
    cx: &'a TaskCx,
    futures: T,
) -> impl Future<Output = Result<T::Output, Cancelled>> + use<'a, T> {
    let site = Location::caller();
    async move {
        match futures.race(cx, site).await {
            Some(value) => Ok(value),
            None => Err(drive::cancelled(cx, "race", site).await),
        }
    }
}

/// Runs futures of one type concurrently and returns the value of the first to finish.
///
/// A wake of one costs one poll of that one. A race without branches has no winner: it waits until
/// it is cancelled.
///
/// # Errors
/// As [`race()`].
///
/// # Panics
/// As [`join()`].
///
/// # Cancel safety
/// As [`race()`].
#[track_caller]
pub fn race_all<'a, F: Future + 'a>(
    cx: &'a TaskCx,
    futures: impl IntoIterator<Item = F>,
) -> impl Future<Output = Result<F::Output, Cancelled>> {
    let site = Location::caller();
    let futures: Vec<F> = futures.into_iter().collect();
    async move {
        let list = List::of(cx, |_| true, futures);
        let finish =
            |list: Pin<&mut List<'a, F>>, winner: Option<usize>| list.get_mut().take(winner?);
        match Drive::new(cx, site, CancelKind::RaceLost, list, finish).await {
            Some(value) => Ok(value),
            None => Err(drive::cancelled(cx, "race_all", site).await),
        }
    }
}
