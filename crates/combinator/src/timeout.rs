//! One future and a time limit.

use crate::drive;
use asupersync_core::cap::HasTime;
use asupersync_core::{
    Branch, BranchEnd, BranchOptions, CancelKind, Cancelled, Cx, Error, ErrorKind, Time,
};
use std::fmt;
use std::panic::Location;
use std::pin::pin;
use std::time::Duration;

/// Why [`timeout`] has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutError {
    /// The limit passed first; the future has ended.
    Elapsed {
        /// The moment at which it was cancelled.
        deadline: Time,
    },
    /// The enclosing scope was cancelled first, and the future was dropped for it.
    Cancelled(Cancelled),
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeoutError::Elapsed { deadline } => {
                write!(f, "the time limit passed (at {deadline:?} of the host's clock)")
            }
            TimeoutError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl std::error::Error for TimeoutError {}

impl From<Cancelled> for TimeoutError {
    fn from(cancelled: Cancelled) -> TimeoutError {
        TimeoutError::Cancelled(cancelled)
    }
}

impl From<TimeoutError> for Error {
    #[track_caller]
    fn from(error: TimeoutError) -> Error {
        match error {
            TimeoutError::Elapsed { .. } => Error::new(ErrorKind::TimedOut, error.to_string()),
            TimeoutError::Cancelled(cancelled) => Error::from(cancelled),
        }
    }
}

/// Runs a future with a time limit, counted from this call.
///
/// When the limit passes, the future's waits are told, and it is polled to its end before this
/// returns: a mask inside is waited for, cleanup has the reason's cleanup time. A future that waits
/// for nothing of the kernel's is dropped.
///
/// ```
/// use asupersync_combinator::{TimeoutError, timeout};
/// use asupersync_core::{Cx, Error};
/// use std::time::Duration;
///
/// async fn impatient(cx: &Cx) -> Result<(), Error> {
///     let hour = cx.sleep(Duration::from_secs(3600));
///     let result = timeout(cx, Duration::from_secs(1), hour).await;
///     assert!(matches!(result, Err(TimeoutError::Elapsed { .. })));
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(impatient).is_ok());
/// ```
///
/// # Errors
/// [`TimeoutError::Elapsed`] when the limit passed and the future was told, or dropped, for it. What
/// it returned after it had been told is dropped. A future that finished without having been told (it
/// was ready, or under a mask) keeps its value, however late. What came after the limit, or with it, was
/// not taken and can be asked for again.
/// [`TimeoutError::Cancelled`] when the enclosing scope was cancelled and the future was dropped for
/// that; one that could be told returns its own answer, as `Ok`.
///
/// # Panics
/// Passes on the future's panic.
///
/// # Cancel safety
/// That of the future: an operation that is cancel-safe loses nothing under a time limit. A cancel
/// request is answered within two polls where the future answers within one.
#[track_caller]
pub fn timeout<'a, C: HasTime, F: Future + 'a>(
    cx: &'a Cx<C>,
    limit: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, TimeoutError>> {
    timeout_at(cx, cx.now() + limit, future)
}

/// Runs a future until a point in time; otherwise as [`timeout`]. A point in the past lets the future
/// have what is ready at once.
///
/// # Errors
/// As [`timeout`].
///
/// # Panics
/// As [`timeout`].
///
/// # Cancel safety
/// As [`timeout`].
#[track_caller]
pub fn timeout_at<'a, C: HasTime, F: Future + 'a>(
    cx: &'a Cx<C>,
    deadline: Time,
    future: F,
) -> impl Future<Output = Result<F::Output, TimeoutError>> {
    let site = Location::caller();
    async move {
        // Opened at the first poll, beneath the scope that is being polled then.
        let mut branch = pin!(Branch::new(
            cx,
            BranchOptions { deadline: Some(deadline), site: Some(site) },
            future
        ));
        let end = branch.as_mut().await;
        let elapsed =
            branch.told_reason().is_some_and(|reason| reason.kind() == CancelKind::Timeout);
        cx.branches_left(0);
        match end {
            _ if elapsed => Err(TimeoutError::Elapsed { deadline }),
            BranchEnd::Finished(value) => Ok(value),
            BranchEnd::Dropped(_) => Err(drive::cancelled(cx, "timeout", site).await.into()),
        }
    }
}
