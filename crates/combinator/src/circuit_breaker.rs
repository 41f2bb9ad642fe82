//! Asking no more of one who has failed too often, for a while.

use asupersync_core::cap::HasTime;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Cx, Error, ErrorKind, Object, Obligation, ObligationKind, Time};
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::time::Duration;

static PROBE: ObligationKind = ObligationKind::abort_on_drop("CircuitBreaker::probe");

/// Stops calls to an operation that keeps failing, and lets a few probes decide when to go on.
///
/// ```text
///             enough failures in a row
///   Closed ──────────────────────────────▶ Open
///     ▲                                   │    ▲
///     │ all n probes succeeded   its time │    │ a probe failed
///     │                           is over ▼    │
///     └──────────────────────────────── HalfOpen
/// ```
/// After "Circuit Breaker" in M. Nygard, *Release It!* (2007). In the half-open state exactly `probes`
/// calls are let through; a probe that ends undecided (cancelled or dropped) gives its place to another.
/// What a call says that was begun in an earlier state is not counted.
///
/// ```
/// use asupersync_combinator::{BreakerError, CircuitBreaker};
/// use asupersync_core::{Cx, Error};
/// use std::time::Duration;
///
/// async fn guarded(cx: &Cx) -> Result<(), Error> {
///     let breaker = CircuitBreaker::new(2, Duration::from_secs(10), 1);
///     for _ in 0..2 {
///         let down = async { Err::<(), _>("down") };
///         assert_eq!(breaker.call(cx, down).await, Err(BreakerError::Failed("down")));
///     }
///     let unasked = async { Ok::<(), &str>(()) };
///     assert!(matches!(breaker.call(cx, unasked).await, Err(BreakerError::Open { .. })));
///     cx.sleep(Duration::from_secs(10)).await?;
///     assert_eq!(breaker.call(cx, async { Ok::<_, &str>("up") }).await, Ok("up"));
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(guarded).is_ok());
/// ```
pub struct CircuitBreaker {
    failures: u32,
    open_for: Duration,
    probes: u32,
    state: Mutex<State>,
    object: Object,
}

struct State {
    phase: Phase,
    /// Counts changes of phase, so that a late answer is known for what it is.
    era: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Time },
    HalfOpen { begun: u32, succeeded: u32 },
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.era += 1;
    }
}

/// What a [`CircuitBreaker`] does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets all of them through.
    Closed,
    /// Refuses all of them.
    Open,
    /// Lets probes through.
    HalfOpen,
}

/// Why [`CircuitBreaker::call`] has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerError<E> {
    /// Refused: too many calls have failed lately. The future was not polled.
    Open {
        /// When probes will be let through.
        until: Time,
    },
    /// Refused: as many probes as may be are on their way. The future was not polled.
    Probing,
    /// The call was made, and failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BreakerError::Open { until } => {
                write!(f, "the circuit is open until {until:?} of the host's clock")
            }
            BreakerError::Probing => f.write_str("the circuit is half-open and being probed"),
            BreakerError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for BreakerError<E> {}

impl<E: Into<Error>> From<BreakerError<E>> for Error {
    #[track_caller]
    fn from(error: BreakerError<E>) -> Error {
        let what = match error {
            BreakerError::Failed(error) => return error.into(),
            BreakerError::Open { until } => BreakerError::<&str>::Open { until }.to_string(),
            BreakerError::Probing => BreakerError::<&str>::Probing.to_string(),
        };
        Error::new(ErrorKind::Other, what)
    }
}

impl CircuitBreaker {
    /// Opens after `failures` in a row, stays open for `open_for`, and closes again when `probes` calls
    /// have succeeded. Zero failures or probes count as one.
    #[must_use]
    pub fn new(failures: u32, open_for: Duration, probes: u32) -> CircuitBreaker {
        CircuitBreaker {
            failures: failures.max(1),
            open_for,
            probes: probes.max(1),
            state: Mutex::new(State { phase: Phase::Closed { failures: 0 }, era: 0 }),
            object: Object::new("CircuitBreaker"),
        }
    }

    /// What would happen to a call now.
    pub fn state<C: HasTime>(&self, cx: &Cx<C>) -> BreakerState {
        self.object.read();
        match self.state.lock().phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until } if cx.now() < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Runs a future unless the circuit is open, and counts how it ends: an `Err` or a panic is a
    /// failure, except that an `Err` in a cancelled scope counts as nothing.
    ///
    /// # Errors
    /// [`BreakerError`].
    ///
    /// # Panics
    /// Passes on the future's panic, which counts as a failure.
    ///
    /// # Cancel safety
    /// That of the future, which runs in the caller's scope. A call that is dropped counts as nothing.
    /// There is no wait here besides the future's.
    #[track_caller]
    pub fn call<'a, C, T, E, F>(
        &'a self,
        cx: &'a Cx<C>,
        future: F,
    ) -> impl Future<Output = Result<T, BreakerError<E>>>
    where
        C: HasTime,
        F: Future<Output = Result<T, E>> + 'a,
    {
        self.call_if(cx, future, |_| true)
    }

    /// [`call`](CircuitBreaker::call), with only those errors as failures that `is_failure` says; any
    /// other is an answer like a success.
    ///
    /// # Errors
    /// As [`call`](CircuitBreaker::call).
    ///
    /// # Panics
    /// As [`call`](CircuitBreaker::call).
    ///
    /// # Cancel safety
    /// As [`call`](CircuitBreaker::call).
    #[track_caller]
    pub fn call_if<'a, C, T, E, F>(
        &'a self,
        cx: &'a Cx<C>,
        future: F,
        is_failure: impl FnOnce(&E) -> bool + 'a,
    ) -> impl Future<Output = Result<T, BreakerError<E>>>
    where
        C: HasTime,
        F: Future<Output = Result<T, E>> + 'a,
    {
        let site = Location::caller();
        async move {
            let mut attempt = self.begin(cx, site)?;
            let mut future = pin!(future);
            let result = poll_fn(|context| {
                attempt.polling = true;
                let polled = future.as_mut().poll(context);
                attempt.polling = false;
                polled
            })
            .await;
            attempt.verdict = match &result {
                Ok(_) => Some(Verdict::Success),
                Err(_) if cx.is_cancel_requested() => None,
                Err(error) if is_failure(error) => Some(Verdict::Failure),
                Err(_) => Some(Verdict::Success),
            };
            drop(attempt);
            result.map_err(BreakerError::Failed)
        }
    }

    fn begin<'a, C: HasTime, E>(
        &'a self,
        cx: &'a Cx<C>,
        site: &'static Location<'static>,
    ) -> Result<Attempt<'a, C>, BreakerError<E>> {
        self.object.write();
        let now = cx.now();
        let (era, is_probe) = {
            let mut state = self.state.lock();
            if let Phase::Open { until } = state.phase {
                if now < until {
                    return Err(BreakerError::Open { until });
                }
                state.enter(Phase::HalfOpen { begun: 0, succeeded: 0 });
            }
            let is_probe = match &mut state.phase {
                Phase::HalfOpen { begun, .. } if *begun < self.probes => {
                    *begun += 1;
                    true
                }
                Phase::HalfOpen { .. } => return Err(BreakerError::Probing),
                _ => false,
            };
            (state.era, is_probe)
        };
        let probe = is_probe.then(|| cx.obligation_at(&PROBE, site));
        Ok(Attempt { breaker: self, cx, era, probe, polling: false, verdict: None })
    }

    fn end(&self, era: u64, verdict: Option<Verdict>, now: Time) {
        self.object.write();
        let mut state = self.state.lock();
        if state.era != era {
            return;
        }
        let open = Phase::Open { until: now + self.open_for };
        match (state.phase, verdict) {
            (Phase::Closed { .. }, Some(Verdict::Success)) => {
                state.phase = Phase::Closed { failures: 0 };
            }
            (Phase::Closed { failures }, Some(Verdict::Failure)) => {
                if failures + 1 >= self.failures {
                    state.enter(open);
                } else {
                    state.phase = Phase::Closed { failures: failures + 1 };
                }
            }
            (Phase::HalfOpen { begun, succeeded }, Some(Verdict::Success)) => {
                if succeeded + 1 >= self.probes {
                    state.enter(Phase::Closed { failures: 0 });
                } else {
                    state.phase = Phase::HalfOpen { begun, succeeded: succeeded + 1 };
                }
            }
            (Phase::HalfOpen { .. }, Some(Verdict::Failure)) => state.enter(open),
            (Phase::HalfOpen { begun, succeeded }, None) => {
                state.phase = Phase::HalfOpen { begun: begun - 1, succeeded };
            }
            (Phase::Closed { .. }, None) | (Phase::Open { .. }, _) => {}
        }
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("phase", &self.state.lock().phase)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Success,
    Failure,
}

/// A call on its way; what became of it is counted when this is dropped.
struct Attempt<'a, C: HasTime> {
    breaker: &'a CircuitBreaker,
    cx: &'a Cx<C>,
    era: u64,
    probe: Option<Obligation>,
    /// Its future is being polled: whatever unwinds now is that one's panic.
    polling: bool,
    verdict: Option<Verdict>,
}

impl<C: HasTime> Drop for Attempt<'_, C> {
    fn drop(&mut self) {
        let verdict = match self.verdict {
            None if self.polling => Some(Verdict::Failure),
            verdict => verdict,
        };
        if let Some(probe) = self.probe.take() {
            match verdict {
                Some(_) => probe.commit(),
                None => probe.abort(),
            }
        }
        self.breaker.end(self.era, verdict, self.cx.now());
    }
}
