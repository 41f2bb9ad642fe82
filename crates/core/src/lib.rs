//! The kernel: regions, tasks, cancel scopes, obligations and budgets, in production and in the lab alike.
//!
//! A program is a tree of *regions*. A region owns *tasks*, child regions, finalizers and *obligations*,
//! and is closed only when all of that is finished: when `cx.region(..)` returns, nothing from inside runs.
//! Cancellation is a *protocol* that walks down this tree (request, drain, finalize, complete) within a
//! *budget*. Every effect goes through a context, [`Cx`]; the machine beneath is a [`Host`].
//!
//! Children come in kinds: tasks ([`Scope::spawn`]), services, which are cancelled last
//! ([`Scope::spawn_service`]), groups that hand out outcomes as they come ([`Scope::group`]), so many at
//! a time ([`Scope::limit`]), and tasks that never leave their thread ([`Scope::spawn_pinned`]). Inside one task, [`Fibers`] borrow from the stack; values that live as long as a
//! region are on its heap ([`Scope::alloc`]).
//!
//! What this crate does not know: threads, sockets, the wall clock, which host it runs on.
//!
//! # Example
//! ```
//! use asupersync_core::{Cx, Error};
//!
//! async fn sum(cx: &Cx, numbers: Vec<Vec<u64>>) -> Result<u64, Error> {
//!     let outcome = cx
//!         .region(async |scope| {
//!             let parts: Vec<_> = numbers
//!                 .into_iter()
//!                 .map(|part| scope.spawn(async move |_cx| Ok::<_, Error>(part.iter().sum::<u64>())))
//!                 .collect();
//!             let mut total = 0;
//!             for mut part in parts {
//!                 total += part.join(cx).await?.into_result()?;
//!             }
//!             Ok(total)
//!         })
//!         .await;
//!     Ok(outcome.into_result()?) // every task has ended here, whatever happened
//! }
//! ```
//!
//! # Cancel safety
//! A wait in a cancelled scope answers [`Cancelled`] at its next poll, before it looks at its event. What
//! is dropped is never half done: see [`TaskCx::wait`], [`Branch`] and [`Cx::region`] for each.
//!
//! # Invariants
//! Oracles check these by number. **I1** every live task has exactly one owner region. **I2** a closed
//! region has no live descendant. **I3** a closed region has no unresolved obligation. **I4** the severity
//! of a scope's cancellation never falls. **I5** every cancelled task completes within its cleanup budget or
//! is reported. **I6** a combinator's losers have ended before it returns. **I7** finalizers run exactly
//! once, last registered first, after the children. **I8** the same seed gives the same trace. **I9** a
//! committed send is delivered or handed back. **I10** no effect without its capability.
//!
//! # Limitations
//! Code that never yields cannot be stopped: it is reported as a straggler. Futures that wait through no
//! kernel wait ("foreign" ones) see no cancellation: they are dropped.

mod blocking;
mod branch;
mod budget;
mod cancel;
pub mod cap;
mod cell;
mod charge;
mod cx;
mod det;
mod error;
pub mod event;
mod fibers;
mod futurelock;
mod host;
mod id;
pub mod mutant;
mod obligation;
mod outcome;
mod pinned;
pub mod primitive;
#[cfg(all(test, not(loom)))]
mod proved;
mod queue;
mod random;
mod region;
mod snapshot;
mod spawn;
mod step;
mod task;
mod time;
mod timer;
mod wait;
mod wake;
mod woken;

pub use branch::{Branch, BranchEnd, BranchOptions};
pub use budget::Budget;
pub use cancel::{CancelKind, CancelReason, Cancelled, cancelled_in};
pub use cell::{
    Claim, Detached, DetachedRead, DetachedWrite, ExclusiveCell, Owned, OwnedMut, OwnedRef,
    PartMut, PartRef, ReadClaim, SharedCell, WriteClaim,
};
pub use cx::{Cx, MaskGuard, Masked, TaskCx};
pub use det::{DetHashMap, DetHashSet};
pub use error::{Error, ErrorKind, Recoverability};
pub use event::{Access, Event, Resolution};
pub use fibers::Fibers;
pub use futurelock::Futurelock;
pub use host::{BlockingJob, BlockingPool, ClaimedJob, EndedJob, Host, Lane, TimerKey};
pub use id::{ObjectId, ObligationId, RegionId, TaskId};
pub use obligation::{
    Ack, AlreadySettled, Duty, DutyWatch, Holding, IoOp, LeakReport, Lease, Obligation,
    ObligationKind, Settlement,
};
pub use outcome::{Outcome, OutcomeError, PanicPayload, Severity, join_outcomes};
pub use pinned::PinnedSlice;
pub use queue::{Removed, WaitKey, WaitQueue};
pub use random::SplitMix64;
pub use region::{
    ChildFailure, Closed, FailureCause, Group, Limit, NotReady, Policy, RRef, RRefError, Ready,
    RegionOptions, RegionReport, RegionState, Root, Scope, Straggler, UnclaimedFailure,
};
pub use snapshot::{RegionSnapshot, TaskSnapshot, WaitSnapshot};
pub use step::{Object, host_step, in_step};
pub use task::{JoinError, PinnedBody, Runnable, TaskBody, TaskHandle, TaskOptions};
pub use time::Time;
pub use wait::{Sleep, Wait};
pub use wake::WakeList;
pub use woken::Woken;

/// Whether `reason` replaces `current`.
fn cancel_strengthens(reason: &CancelReason, current: Option<&CancelReason>) -> bool {
    mutant::mutant!(SeverityFalls) || reason.strengthens(current)
}
