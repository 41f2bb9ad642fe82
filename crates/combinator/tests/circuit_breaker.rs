//! Circuit breakers: open after enough failures, exactly n probes, late answers ignored.

use asupersync_combinator::{BreakerError, BreakerState, CircuitBreaker, timeout};
use asupersync_core::{Cx, Error, Outcome, Time};
use asupersync_lab::{cancel_everywhere, check};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

async fn fail(breaker: &CircuitBreaker, cx: &Cx) -> bool {
    match breaker.call(cx, async { Err::<(), _>("down") }).await {
        Err(BreakerError::Failed(_)) => true,
        Err(_) => false,
        Ok(()) => unreachable!(),
    }
}

async fn succeed(breaker: &CircuitBreaker, cx: &Cx) -> bool {
    breaker.call(cx, async { Ok::<_, &str>(()) }).await.is_ok()
}

#[test]
fn it_opens_after_failures_in_a_row_and_only_then() {
    check(0..5, async |cx: &Cx| {
        let breaker = CircuitBreaker::new(3, 10 * MS, 1);
        for _ in 0..9 {
            assert!(fail(&breaker, cx).await && fail(&breaker, cx).await);
            assert!(succeed(&breaker, cx).await, "a success begins the row anew");
        }
        for _ in 0..3 {
            assert_eq!(breaker.state(cx), BreakerState::Closed);
            assert!(fail(&breaker, cx).await);
        }
        assert_eq!(breaker.state(cx), BreakerState::Open);
        let refused = breaker.call(cx, async { panic!("polled") }).await;
        let until = Time::from_millis(10);
        assert_eq!(refused, Err::<(), _>(BreakerError::<&str>::Open { until }));
        Ok::<_, Error>(())
    });
}

/// Of `callers` that come at once to a breaker whose time is over, how many are let through.
async fn probe_with(cx: &Cx, breaker: &Arc<CircuitBreaker>, callers: u32, ok: bool) -> u32 {
    let let_through = Arc::new(AtomicU32::new(0));
    let outcome = cx.region(async |scope| {
        for _ in 0..callers {
            let (breaker, let_through) = (breaker.clone(), let_through.clone());
            let _ = scope.spawn(async move |cx: &Cx| {
                let probe = async {
                    let_through.fetch_add(1, Ordering::Relaxed);
                    cx.sleep(MS).await.map_err(|_| ())?;
                    if ok { Ok(()) } else { Err(()) }
                };
                let _ = breaker.call(cx, probe).await;
                Ok::<_, Error>(())
            });
        }
        Ok(())
    });
    let _ = outcome.await;
    let_through.load(Ordering::Relaxed)
}

#[test]
fn exactly_n_probes_are_let_through_and_their_success_closes_it() {
    check(0..100, async |cx: &Cx| {
        let probes = 1 + (cx.random_u64() % 4) as u32;
        let breaker = Arc::new(CircuitBreaker::new(1, 10 * MS, probes));
        assert!(fail(&breaker, cx).await);
        cx.sleep(10 * MS).await?;
        assert_eq!(breaker.state(cx), BreakerState::HalfOpen);
        assert_eq!(probe_with(cx, &breaker, 9, true).await, probes);
        assert_eq!(breaker.state(cx), BreakerState::Closed);
        assert_eq!(probe_with(cx, &breaker, 9, true).await, 9);
        Ok::<_, Error>(())
    });
}

#[test]
fn one_failed_probe_opens_it_again_for_its_whole_time() {
    check(0..100, async |cx: &Cx| {
        let breaker = Arc::new(CircuitBreaker::new(1, 10 * MS, 3));
        assert!(fail(&breaker, cx).await);
        cx.sleep(10 * MS).await?;
        assert_eq!(probe_with(cx, &breaker, 9, false).await, 3);
        // The first probe that failed, at 11 ms, set the time.
        cx.sleep(9 * MS).await?;
        assert_eq!(breaker.state(cx), BreakerState::Open);
        cx.sleep(MS).await?;
        assert_eq!(breaker.state(cx), BreakerState::HalfOpen);
        Ok::<_, Error>(())
    });
}

#[test]
fn an_undecided_probe_gives_its_place_to_another() {
    check(0..20, async |cx: &Cx| {
        let breaker = CircuitBreaker::new(1, MS, 1);
        assert!(fail(&breaker, cx).await);
        cx.sleep(MS).await?;
        let long = async { cx.sleep(Duration::from_secs(9)).await };
        assert!(timeout(cx, MS, breaker.call(cx, long)).await.is_err());
        assert_eq!(breaker.state(cx), BreakerState::HalfOpen, "a cancelled probe decides nothing");
        assert!(succeed(&breaker, cx).await);
        assert_eq!(breaker.state(cx), BreakerState::Closed);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_late_answer_from_before_it_opened_decides_nothing() {
    check(0..20, async |cx: &Cx| {
        let breaker = CircuitBreaker::new(1, MS, 1);
        let late = breaker.call(cx, async { cx.sleep(5 * MS).await });
        let meanwhile = async {
            assert!(fail(&breaker, cx).await);
            cx.sleep(3 * MS).await.unwrap();
            let probe = breaker.call(cx, async { cx.sleep(9 * MS).await });
            assert!(probe.await.is_ok());
        };
        let watch = async {
            cx.sleep(6 * MS).await.unwrap();
            assert_eq!(breaker.state(cx), BreakerState::HalfOpen);
        };
        let (late, (), ()) = asupersync_combinator::join(cx, (late, meanwhile, watch)).await?;
        assert!(late.is_ok());
        assert_eq!(breaker.state(cx), BreakerState::Closed);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panic_counts_as_a_failure_and_a_rejected_error_does_not() {
    check(0..5, async |cx: &Cx| {
        let breaker = Arc::new(CircuitBreaker::new(1, MS, 1));
        let error = breaker.call_if(cx, async { Err::<(), _>(404) }, |status| *status >= 500).await;
        assert_eq!(error, Err(BreakerError::Failed(404)));
        assert_eq!(breaker.state(cx), BreakerState::Closed);

        let shared = breaker.clone();
        let outcome = cx.region(async move |_| {
            let _ = shared.call(cx, async { panic!("boom") as Result<(), Error> }).await;
            Ok::<_, Error>(())
        });
        assert!(matches!(outcome.await, Outcome::Panicked(_)));
        assert_eq!(breaker.state(cx), BreakerState::Open);
        Ok::<_, Error>(())
    });
}

#[test]
fn it_is_sound_whenever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let breaker = Arc::new(CircuitBreaker::new(1, MS, 2));
        assert!(fail(&breaker, cx).await);
        cx.sleep(MS).await?;
        probe_with(cx, &breaker, 4, true).await;
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 8, "{summary:?}");
}

#[test]
fn a_panic_beside_a_call_is_not_the_calls_failure() {
    check(0..5, async |cx: &Cx| {
        let breaker = Arc::new(CircuitBreaker::new(1, 10 * MS, 1));
        let shared = Arc::clone(&breaker);
        let outcome = cx.region(async move |_| {
            let mut call = pin!(shared.call(cx, async { cx.sleep(MS).await.map_err(Error::from) }));
            let begun = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending()));
            assert!(!begun.await, "the call is under way, and is dropped with the body");
            Ok::<_, Error>(())
        });
        assert!(matches!(outcome.await, Outcome::Panicked(_)));
        assert_eq!(breaker.state(cx), BreakerState::Closed);
        Ok::<_, Error>(())
    });
}
