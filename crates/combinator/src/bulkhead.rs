//! Walls between callers: one that is slow cannot take everything.

use asupersync_core::{Cancelled, Error, TaskCx};
use asupersync_sync::{AcquireError, Semaphore};
use std::fmt;

/// At most so many at work at once, at most so many waiting to, and everybody else refused.
///
/// Waiters are served first come, first served.
///
/// ```
/// use asupersync_combinator::Bulkhead;
/// use asupersync_core::{Cx, Error};
///
/// async fn guarded(cx: &Cx) -> Result<(), Error> {
///     let database = Bulkhead::new(8, 16);
///     let rows = database.run(cx, async { 42 }).await?;
///     assert_eq!(rows, 42);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(guarded).is_ok());
/// ```
#[derive(Debug)]
pub struct Bulkhead {
    // One for each caller inside, at work or waiting.
    places: Semaphore,
    work: Semaphore,
}

/// Why [`Bulkhead::run`] did not run the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkheadError {
    /// All are at work, and as many as may wait are waiting.
    Full,
    /// The scope was cancelled before it was this caller's turn.
    Cancelled(Cancelled),
}

impl fmt::Display for BulkheadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BulkheadError::Full => {
                f.write_str("the bulkhead is full: as many are at work and waiting as may be")
            }
            BulkheadError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl std::error::Error for BulkheadError {}

impl From<BulkheadError> for Error {
    #[track_caller]
    fn from(error: BulkheadError) -> Error {
        match error {
            BulkheadError::Full => Error::msg(error.to_string()).with_source(error),
            BulkheadError::Cancelled(cancelled) => Error::from(cancelled),
        }
    }
}

impl Bulkhead {
    /// `at_work` futures at once (at least one), and up to `waiting` callers in line.
    #[must_use]
    pub fn new(at_work: usize, waiting: usize) -> Bulkhead {
        let at_work = at_work.max(1);
        Bulkhead {
            places: Semaphore::new(at_work.saturating_add(waiting)),
            work: Semaphore::new(at_work),
        }
    }

    /// Runs a future once there is room for it. One that is refused is dropped, not polled.
    ///
    /// # Errors
    /// [`BulkheadError`]; whatever the future yields is in the `Ok`.
    ///
    /// # Panics
    /// Passes on the future's panic; its place is given back.
    ///
    /// # Cancel safety
    /// While it waits nothing is lost: its place goes to the next in line, and a cancel request is
    /// answered within one poll. Then it is that of the future, which runs in the caller's scope.
    #[track_caller]
    pub fn run<'a, F: Future + 'a>(
        &'a self,
        cx: &'a TaskCx,
        future: F,
    ) -> impl Future<Output = Result<F::Output, BulkheadError>> {
        let turn = self.work.acquire(cx);
        async move {
            cx.checkpoint().map_err(BulkheadError::Cancelled)?;
            let _place = self.places.try_acquire(cx).map_err(|_| BulkheadError::Full)?;
            let _work = match turn.await {
                Ok(permit) => permit,
                Err(AcquireError::Cancelled(cancelled)) => {
                    return Err(BulkheadError::Cancelled(cancelled));
                }
                Err(AcquireError::Closed) => unreachable!("this semaphore is never closed"),
            };
            Ok(future.await)
        }
    }

    /// How many more callers would be let in now, to work or to wait.
    #[must_use]
    pub fn free(&self) -> usize {
        self.places.available_permits()
    }
}
