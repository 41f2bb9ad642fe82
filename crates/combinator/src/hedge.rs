//! A second try beside the first, when the first is slow.

use crate::drive::{self, Drive};
use crate::slot::Slot;
use crate::tuple::Slots2;
use asupersync_core::cap::HasTime;
use asupersync_core::primitive::{AtomicBool, Mutex, Ordering};
use asupersync_core::{CancelKind, Cancelled, Cx, Error, ErrorKind, Object};
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// Why [`hedge`] has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HedgeError<E> {
    /// Both failed.
    BothFailed {
        /// The first try's error.
        primary: E,
        /// The backup's.
        backup: E,
    },
    /// The enclosing scope was cancelled first.
    Cancelled(Cancelled),
}

impl<E: fmt::Display> fmt::Display for HedgeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HedgeError::BothFailed { primary, backup } => {
                write!(f, "both tries failed: the first with: {primary}; the backup with: {backup}")
            }
            HedgeError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for HedgeError<E> {}

impl<E: std::error::Error + Send + Sync + 'static> From<HedgeError<E>> for Error {
    #[track_caller]
    fn from(error: HedgeError<E>) -> Error {
        let what = error.to_string();
        match error {
            HedgeError::Cancelled(cancelled) => Error::from(cancelled),
            HedgeError::BothFailed { primary, .. } => {
                Error::new(ErrorKind::Other, what).with_source(primary)
            }
        }
    }
}

/// How the backup branch ended.
enum Backup<T, E> {
    Ran(Result<T, E>),
    /// Cancelled before it was begun.
    NotBegun(Cancelled),
}

/// Runs `primary`, and beside it what `backup` makes once `delay` has passed without an answer; returns
/// the first success.
///
/// When the primary fails before the delay has passed, the backup begins at once. The one that is still
/// running when the other succeeds is cancelled with [`CancelKind::RaceLost`], and has ended when this
/// returns. `backup` is called only when the backup begins.
///
/// ```
/// use asupersync_combinator::hedge;
/// use asupersync_core::{Cx, Error};
/// use std::time::Duration;
///
/// async fn lookup(cx: &Cx) -> Result<(), Error> {
///     let slow = async { cx.sleep(Duration::from_secs(9)).await.map(|()| "slow") };
///     let fast = || async { Ok("fast") };
///     assert_eq!(hedge(cx, Duration::from_millis(20), slow, fast).await, Ok("fast"));
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(lookup).is_ok());
/// ```
///
/// # Errors
/// [`HedgeError`].
///
/// # Panics
/// Passes on the first panic of either once the other is cancelled and drained.
///
/// # Cancel safety
/// Awaited, both end by themselves and are told. The loser's effect may have happened all the same, so
/// hedge operations that may be done twice. When the enclosing scope is cancelled, what the tries answer
/// to that counts as any answer does. A cancel request is answered when both have ended; a wait
/// for the delay ends within one poll.
#[track_caller]
pub fn hedge<'a, C, T, E, P, B>(
    cx: &'a Cx<C>,
    delay: Duration,
    primary: P,
    backup: impl FnOnce() -> B + 'a,
) -> impl Future<Output = Result<T, HedgeError<E>>>
where
    C: HasTime,
    P: Future<Output = Result<T, E>> + 'a,
    B: Future<Output = Result<T, E>> + 'a,
    T: 'a,
    E: 'a,
{
    let site = Location::caller();
    async move {
        let failed = AtomicBool::new(false);
        let primary = async {
            let result = primary.await;
            failed.store(result.is_err(), Ordering::Relaxed);
            result
        };
        let backup = async {
            let mut delayed = pin!(crate::pause::pause(cx, "hedge", site, cx.now() + delay));
            // No waker is needed for the flag: both branches are polled whenever the task is, the
            // primary first.
            let due = poll_fn(|context| match delayed.as_mut().poll(context) {
                Poll::Pending if failed.load(Ordering::Relaxed) => Poll::Ready(Ok(())),
                polled => polled,
            });
            match due.await {
                Ok(()) => Backup::Ran(backup().await),
                Err(cancelled) => Backup::NotBegun(cancelled),
            }
        };
        match run(cx, site, primary, backup).await {
            (Some(Ok(value)), _) | (_, Some(Backup::Ran(Ok(value)))) => Ok(value),
            (Some(Err(primary)), Some(Backup::Ran(Err(backup)))) => {
                Err(HedgeError::BothFailed { primary, backup })
            }
            (_, Some(Backup::NotBegun(cancelled))) => Err(HedgeError::Cancelled(cancelled)),
            _ => Err(HedgeError::Cancelled(drive::cancelled(cx, "hedge", site).await)),
        }
    }
}

type Ends<T, E> = (Option<Result<T, E>>, Option<Backup<T, E>>);

/// Both branches to their ends, the second cancelled by the first success and vice versa.
async fn run<'a, C, T, E, P, B>(
    cx: &'a Cx<C>,
    site: &'static Location<'static>,
    primary: P,
    backup: B,
) -> Ends<T, E>
where
    P: Future<Output = Result<T, E>> + 'a,
    B: Future<Output = Backup<T, E>> + 'a,
{
    let slots = Slots2 {
        a: Slot::new(cx, Result::is_ok, primary),
        b: Slot::new(cx, |end| matches!(end, Backup::Ran(Ok(_))), backup),
        first: 0,
    };
    let finish = |slots: Pin<&mut Slots2<'a, P, B>>, winner: Option<usize>| {
        let slots = slots.project();
        let (primary, backup) = (slots.a.take(), slots.b.take());
        // A loser may succeed too while it is drained; its value is dropped.
        Some(match winner {
            Some(0) => (primary, None),
            Some(_) => (None, backup),
            None => (primary, backup),
        })
    };
    Drive::new(cx, site, CancelKind::RaceLost, slots, finish).await.unwrap_or((None, None))
}

/// The last so many latencies, to derive a hedge's delay from: "begin the backup when the primary takes
/// longer than 95 of 100 do" (Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013).
///
/// ```
/// use asupersync_combinator::Latencies;
/// use std::time::Duration;
///
/// let seen = Latencies::new(100);
/// assert_eq!(seen.percentile(95), None);
/// for ms in 1..=100 {
///     seen.record(Duration::from_millis(ms));
/// }
/// assert_eq!(seen.percentile(95), Some(Duration::from_millis(95)));
/// ```
#[derive(Debug)]
pub struct Latencies {
    // The newest overwrites the oldest; `next` is where.
    window: Mutex<(Vec<Duration>, usize)>,
    capacity: usize,
    object: Object,
}

impl Latencies {
    /// Remembers the last `capacity` latencies, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Latencies {
        Latencies {
            window: Mutex::new((Vec::new(), 0)),
            capacity: capacity.max(1),
            object: Object::new("Latencies"),
        }
    }

    /// Adds one, in place of the oldest when there are `capacity`.
    pub fn record(&self, latency: Duration) {
        self.object.write();
        let mut window = self.window.lock();
        let (latencies, next) = &mut *window;
        if latencies.len() < self.capacity {
            latencies.push(latency);
        } else {
            latencies[*next] = latency;
            *next = (*next + 1) % self.capacity;
        }
    }

    /// The smallest remembered latency that at least `percent` of 100 do not exceed (nearest rank; more
    /// than 100 count as 100); `None` when there is none. Costs a copy of the window.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        self.object.read();
        let mut latencies = self.window.lock().0.clone();
        let rank = (latencies.len() * usize::from(percent.min(100))).div_ceil(100);
        let index = rank.saturating_sub(1);
        (index < latencies.len()).then(|| *latencies.select_nth_unstable(index).1)
    }
}
