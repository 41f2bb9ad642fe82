//! So many per time, and no more.

use crate::pause::pause;
use asupersync_core::cap::HasTime;
use asupersync_core::{Cancelled, Cx, Error, ErrorKind, Time};
use asupersync_sync::Mutex;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::Location;
use std::time::Duration;

/// A token bucket: on average `rate` tokens per `period`, and `burst` of them at once after a rest.
///
/// Waiters are served strictly first come, first served: whoever asks for many is not overtaken by
/// those who ask for few. Time is the context's, so in the lab it is virtual. Tokens accrue by the
/// nanosecond, in whole numbers: roundings do not add up (a burst of one loses less than a nanosecond
/// for each token, as the bucket has no room for the remainder). The bucket is full to begin with.
///
/// ```
/// use asupersync_combinator::RateLimiter;
/// use asupersync_core::{Cx, Error};
/// use std::{num::NonZeroU32, time::Duration};
///
/// async fn polite(cx: &Cx) -> Result<(), Error> {
///     let ten = NonZeroU32::new(10).unwrap();
///     let limiter = RateLimiter::new(ten, Duration::from_secs(1), ten);
///     for _ in 0..15 {
///         limiter.acquire(cx, 1).await?; // ten at once, then one every 100 ms
///     }
///     assert_eq!(cx.now().as_nanos(), 500_000_000);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(polite).is_ok());
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    // Who holds the lock is the head of the line, and sleeps with it.
    bucket: Mutex<Bucket>,
    rate: NonZeroU32,
    burst: NonZeroU32,
    /// What one token costs, in units of which `rate` accrue each nanosecond: the period in nanoseconds.
    cost: u128,
}

#[derive(Debug)]
struct Bucket {
    credit: u128,
    at: Time,
}

/// Why [`RateLimiter::acquire`] gave no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitError {
    /// More were asked for than the bucket ever holds.
    ExceedsBurst {
        /// How many were asked for.
        asked: u32,
        /// How many the bucket holds.
        burst: u32,
    },
    /// The waiting scope was cancelled; the place in line is given up.
    Cancelled(Cancelled),
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateLimitError::ExceedsBurst { asked, burst } => {
                write!(
                    f,
                    "{asked} tokens were asked for, and the bucket never holds more than {burst}"
                )
            }
            RateLimitError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl std::error::Error for RateLimitError {}

impl From<Cancelled> for RateLimitError {
    fn from(cancelled: Cancelled) -> RateLimitError {
        RateLimitError::Cancelled(cancelled)
    }
}

impl From<RateLimitError> for Error {
    #[track_caller]
    fn from(error: RateLimitError) -> Error {
        match error {
            RateLimitError::ExceedsBurst { .. } => {
                Error::new(ErrorKind::InvalidInput, error.to_string())
            }
            RateLimitError::Cancelled(cancelled) => Error::from(cancelled),
        }
    }
}

impl RateLimiter {
    /// `rate` tokens per `period` on average, at most `burst` at once. A period of zero is no limit.
    #[must_use]
    pub fn new(rate: NonZeroU32, period: Duration, burst: NonZeroU32) -> RateLimiter {
        let cost = period.as_nanos();
        let credit = cost * u128::from(burst.get());
        RateLimiter { bucket: Mutex::new(Bucket { credit, at: Time::ZERO }), rate, burst, cost }
    }

    /// Waits for `n` tokens and spends them. Zero wait for their turn only.
    ///
    /// # Errors
    /// [`RateLimitError`].
    ///
    /// # Cancel safety
    /// Nothing is lost: a waiter that is cancelled or dropped gives up its place and spends nothing. A
    /// cancel request is answered within one poll. The head of the line holds it up for as long as it is
    /// not polled, as the holder of any fair lock does.
    #[track_caller]
    pub fn acquire<'a, C: HasTime>(
        &'a self,
        cx: &'a Cx<C>,
        n: u32,
    ) -> impl Future<Output = Result<(), RateLimitError>> {
        let site = Location::caller();
        let turn = self.bucket.lock(cx);
        async move {
            let burst = self.burst.get();
            if n > burst {
                return Err(RateLimitError::ExceedsBurst { asked: n, burst });
            }
            let mut bucket = turn.await?;
            loop {
                let now = cx.now();
                match self.spend(&mut bucket, now, n) {
                    Ok(()) => return Ok(()),
                    Err(wait) => {
                        pause(cx, "RateLimiter::acquire", site, now + wait).await?;
                    }
                }
            }
        }
    }

    /// Spends `n` tokens if they are there and nobody is first. More than the bucket ever holds are never
    /// there.
    #[track_caller]
    pub fn try_acquire<C: HasTime>(&self, cx: &Cx<C>, n: u32) -> bool {
        if n > self.burst.get() {
            return false;
        }
        let Some(mut bucket) = self.bucket.try_lock(cx) else { return false };
        self.spend(&mut bucket, cx.now(), n).is_ok()
    }

    /// Or the time until they are there.
    fn spend(&self, bucket: &mut Bucket, now: Time, n: u32) -> Result<(), Duration> {
        let rate = u128::from(self.rate.get());
        let full = self.cost.saturating_mul(u128::from(self.burst.get()));
        let accrued = now.saturating_since(bucket.at).as_nanos() * rate;
        bucket.credit = bucket.credit.saturating_add(accrued).min(full);
        bucket.at = bucket.at.max(now);
        let cost = self.cost * u128::from(n);
        match bucket.credit.checked_sub(cost) {
            Some(rest) => {
                bucket.credit = rest;
                Ok(())
            }
            None => {
                let nanos = (cost - bucket.credit).div_ceil(rate);
                Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
            }
        }
    }
}
