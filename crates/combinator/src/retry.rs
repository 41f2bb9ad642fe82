//! Trying again, a little later each time.

use crate::pause::pause;
use asupersync_core::cap::{HasRandom, HasTime};
use asupersync_core::{Cancelled, Cx, Error, ErrorKind, Time};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// How much chance there is in a delay, so that many who failed together do not return together.
///
/// After "Exponential Backoff And Jitter" (M. Brooker, AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Exactly the computed delay.
    None,
    /// Half of the delay, and a random part of the other half.
    Equal,
    /// A random part of the delay, from nothing to all of it.
    #[default]
    Full,
}

/// How often to try, and how long to wait in between: `first * factor^n`, at most `cap`, then
/// [`Jitter`].
///
/// ```
/// use asupersync_combinator::{Jitter, RetryPolicy};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::new(4).first_delay(Duration::from_millis(50)).jitter(Jitter::None);
/// assert_eq!(policy.delay(3, 0), Duration::from_millis(200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    attempts: u32,
    first: Duration,
    factor: u32,
    cap: Duration,
    jitter: Jitter,
}

impl RetryPolicy {
    /// At most this many attempts, the first one included (zero counts as one). Delays begin with
    /// 100 ms, double, and stay at 30 s; full jitter.
    pub const fn new(attempts: u32) -> RetryPolicy {
        RetryPolicy {
            attempts: if attempts == 0 { 1 } else { attempts },
            first: Duration::from_millis(100),
            factor: 2,
            cap: Duration::from_secs(30),
            jitter: Jitter::Full,
        }
    }

    /// The delay before the second attempt.
    pub const fn first_delay(mut self, first: Duration) -> RetryPolicy {
        self.first = first;
        self
    }

    /// What each delay is multiplied with to get the next; 1 keeps them equal.
    pub const fn factor(mut self, factor: u32) -> RetryPolicy {
        self.factor = factor;
        self
    }

    /// The longest delay.
    pub const fn max_delay(mut self, cap: Duration) -> RetryPolicy {
        self.cap = cap;
        self
    }

    /// How much chance there is in a delay.
    pub const fn jitter(mut self, jitter: Jitter) -> RetryPolicy {
        self.jitter = jitter;
        self
    }

    /// The delay after the `attempt`th failure (counted from 1), given a random number.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let growth = u128::from(self.factor).saturating_pow(attempt.saturating_sub(1));
        let full = self.first.as_nanos().saturating_mul(growth);
        // Below the cap it is a duration's worth of nanoseconds.
        let full = if full < self.cap.as_nanos() { nanoseconds(full) } else { self.cap };
        match self.jitter {
            Jitter::None => full,
            Jitter::Equal => full / 2 + part(full - full / 2, random),
            Jitter::Full => part(full, random),
        }
    }
}

fn nanoseconds(nanos: u128) -> Duration {
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
}

/// `whole * random / 2^64`; delays of more than 584 years count as that.
fn part(whole: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(nanos) * u128::from(random)) >> 64;
    Duration::from_nanos(part as u64)
}

/// Why [`retry`] gave up. What the operation said last is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryError<E> {
    /// Every attempt failed.
    Exhausted {
        /// How many there were.
        attempts: u32,
        /// The last one's error.
        last: E,
    },
    /// The error was not one to try again for.
    Permanent {
        /// How many attempts there were.
        attempts: u32,
        /// The last one's error.
        last: E,
    },
    /// The next delay would have ended at the scope's deadline or after it, so it was not begun.
    OutOfTime {
        /// How many attempts there were.
        attempts: u32,
        /// The last one's error.
        last: E,
        /// The deadline in force.
        deadline: Time,
    },
    /// The scope was cancelled before an attempt succeeded.
    Cancelled {
        /// What the wait was told.
        cancelled: Cancelled,
        /// How many attempts there were.
        attempts: u32,
        /// The last one's error, if there was an attempt.
        last: Option<E>,
    },
}

impl<E> RetryError<E> {
    /// How many attempts were made.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            RetryError::Exhausted { attempts, .. }
            | RetryError::Permanent { attempts, .. }
            | RetryError::OutOfTime { attempts, .. }
            | RetryError::Cancelled { attempts, .. } => *attempts,
        }
    }

    /// The last attempt's error, if there was an attempt.
    #[must_use]
    pub fn into_last(self) -> Option<E> {
        match self {
            RetryError::Exhausted { last, .. }
            | RetryError::Permanent { last, .. }
            | RetryError::OutOfTime { last, .. } => Some(last),
            RetryError::Cancelled { last, .. } => last,
        }
    }
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetryError::Exhausted { attempts, last } => {
                write!(f, "all {attempts} attempts failed, the last with: {last}")
            }
            RetryError::Permanent { attempts, last } => {
                write!(f, "attempt {attempts} failed for good: {last}")
            }
            RetryError::OutOfTime { attempts, last, deadline } => write!(
                f,
                "no time for another attempt before {deadline:?} of the host's clock; \
                 attempt {attempts} failed with: {last}"
            ),
            RetryError::Cancelled { cancelled, attempts, last: Some(last) } => {
                write!(f, "{cancelled} after {attempts} attempts, the last failed with: {last}")
            }
            RetryError::Cancelled { cancelled, last: None, .. } => cancelled.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for RetryError<E> {}

impl<E: std::error::Error + Send + Sync + 'static> From<RetryError<E>> for Error {
    #[track_caller]
    fn from(error: RetryError<E>) -> Error {
        let kind = match &error {
            RetryError::Exhausted { .. } | RetryError::Permanent { .. } => ErrorKind::Other,
            RetryError::OutOfTime { .. } => ErrorKind::TimedOut,
            RetryError::Cancelled { cancelled, .. } => return Error::from(*cancelled),
        };
        let what = error.to_string();
        let built = Error::new(kind, what);
        match error.into_last() {
            Some(last) => built.with_source(last),
            None => built,
        }
    }
}

/// Runs an operation until it succeeds, with growing delays in between.
///
/// `operation` is called with the attempt's number, from 1, and makes the future of that attempt.
/// The jitter is drawn from the task's own random stream, so a lab run repeats it.
///
/// ```
/// use asupersync_combinator::{RetryPolicy, retry};
/// use asupersync_core::{Cx, Error};
///
/// async fn patient(cx: &Cx) -> Result<(), Error> {
///     let policy = RetryPolicy::new(5);
///     let third = async |attempt| if attempt < 3 { Err("not yet") } else { Ok(attempt) };
///     assert_eq!(retry(cx, policy, third).await, Ok(3));
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(patient).is_ok());
/// ```
///
/// # Errors
/// [`RetryError`]. The scope's deadline is looked at before each delay: one that would not end before
/// it is not begun, and the operation's own error comes back while there is time to act on it.
///
/// # Panics
/// Passes on the operation's panic; it is not tried again.
///
/// # Cancel safety
/// That of the operation: attempts run in the caller's scope, one at a time, and nothing runs between
/// them. A success is returned even if the scope was cancelled meanwhile; after a failure no further
/// attempt begins in a cancelled scope. A cancel request during a delay is answered within one poll.
#[track_caller]
pub fn retry<'a, C, T, E, F>(
    cx: &'a Cx<C>,
    policy: RetryPolicy,
    operation: impl FnMut(u32) -> F + 'a,
) -> impl Future<Output = Result<T, RetryError<E>>>
where
    C: HasTime + HasRandom,
    F: Future<Output = Result<T, E>> + 'a,
{
    run(cx, policy, operation, |_: &E| true, Location::caller())
}

/// [`retry`], but only for errors that `transient` accepts.
///
/// # Errors
/// As [`retry`], and [`RetryError::Permanent`] for an error that it rejects.
///
/// # Panics
/// As [`retry`].
///
/// # Cancel safety
/// As [`retry`].
#[track_caller]
pub fn retry_if<'a, C, T, E, F>(
    cx: &'a Cx<C>,
    policy: RetryPolicy,
    operation: impl FnMut(u32) -> F + 'a,
    transient: impl FnMut(&E) -> bool + 'a,
) -> impl Future<Output = Result<T, RetryError<E>>>
where
    C: HasTime + HasRandom,
    F: Future<Output = Result<T, E>> + 'a,
{
    run(cx, policy, operation, transient, Location::caller())
}

async fn run<C, T, E, F>(
    cx: &Cx<C>,
    policy: RetryPolicy,
    mut operation: impl FnMut(u32) -> F,
    mut transient: impl FnMut(&E) -> bool,
    site: &'static Location<'static>,
) -> Result<T, RetryError<E>>
where
    C: HasTime + HasRandom,
    F: Future<Output = Result<T, E>>,
{
    cx.checkpoint().map_err(|cancelled| RetryError::Cancelled {
        cancelled,
        attempts: 0,
        last: None,
    })?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let last = match operation(attempts).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if let Err(cancelled) = cx.checkpoint() {
            return Err(RetryError::Cancelled { cancelled, attempts, last: Some(last) });
        }
        if !transient(&last) {
            return Err(RetryError::Permanent { attempts, last });
        }
        if attempts >= policy.attempts {
            return Err(RetryError::Exhausted { attempts, last });
        }
        let until = cx.now() + policy.delay(attempts, cx.random_u64());
        if let Some(deadline) = cx.budget().deadline.filter(|deadline| until >= *deadline) {
            return Err(RetryError::OutOfTime { attempts, last, deadline });
        }
        if let Err(cancelled) = pause(cx, "retry", site, until).await {
            return Err(RetryError::Cancelled { cancelled, attempts, last: Some(last) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_cap_and_equal_jitter_keeps_half(
            attempt in 1..200u32, random: u64, first in 0..10_000u64, cap in 0..100_000u64, factor in 0..9u32,
        ) {
            let (first, cap) = (Duration::from_millis(first), Duration::from_millis(cap));
            let policy = RetryPolicy::new(9).first_delay(first).max_delay(cap).factor(factor);
            let whole = policy.jitter(Jitter::None).delay(attempt, random);
            prop_assert!(whole <= cap);
            prop_assert!(policy.delay(attempt, random) <= whole);
            let equal = policy.jitter(Jitter::Equal).delay(attempt, random);
            prop_assert!(whole / 2 <= equal && equal <= whole);
        }
    }

    #[test]
    fn delays_double_until_the_cap_and_do_not_overflow() {
        let policy = RetryPolicy::new(9).jitter(Jitter::None).max_delay(Duration::from_millis(500));
        let millis: Vec<_> = (1..6).map(|n| policy.delay(n, 0).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 500, 500]);
        assert_eq!(policy.delay(u32::MAX, 0).as_millis(), 500);
    }

    #[test]
    fn a_delay_grows_as_the_formula_says_however_many_attempts_there_were() {
        let policy = RetryPolicy::new(99).jitter(Jitter::None);
        // Nothing times anything is nothing.
        assert_eq!(policy.first_delay(Duration::ZERO).delay(40, 0), Duration::ZERO);
        let nano = policy.first_delay(Duration::from_nanos(1));
        assert_eq!(nano.delay(34, 0), Duration::from_nanos(1 << 33));
        assert_eq!(nano.factor(0).delay(1, 0), Duration::from_nanos(1));
        assert_eq!(nano.factor(0).delay(9, 0), Duration::ZERO);
    }
}
