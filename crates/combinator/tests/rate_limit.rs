//! Rate limits: never above the rate, first come first served, nothing spent in vain.

use asupersync_combinator::{RateLimitError, RateLimiter};
use asupersync_core::{CancelReason, Cx, Error, Time};
use asupersync_lab::{cancel_everywhere, check};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn limiter(rate: u32, period: Duration, burst: u32) -> RateLimiter {
    let positive = |n| NonZeroU32::new(n).unwrap();
    RateLimiter::new(positive(rate), period, positive(burst))
}

#[test]
fn no_window_of_time_ever_sees_more_than_its_share() {
    check(0..100, async |cx: &Cx| {
        let rate = 1 + (cx.random_u64() % 7) as u32;
        let burst = 1 + (cx.random_u64() % 9) as u32;
        let limiter = Arc::new(limiter(rate, 10 * MS, burst));
        let grants = Arc::new(Mutex::new(Vec::new()));
        let outcome = cx.region(async |scope| {
            for _ in 0..5 {
                let (limiter, grants) = (limiter.clone(), grants.clone());
                let _ = scope.spawn(async move |cx: &Cx| {
                    for _ in 0..6 {
                        let n = (cx.random_u64() % u64::from(burst + 1)) as u32;
                        cx.sleep(Duration::from_micros(cx.random_u64() % 9000)).await?;
                        limiter.acquire(cx, n).await?;
                        grants.lock().unwrap().push((cx.now(), n));
                    }
                    Ok::<_, Error>(())
                });
            }
            Ok(())
        });
        outcome.await.into_result()?;
        let grants = grants.lock().unwrap();
        assert_eq!(grants.len(), 30);
        for (first, (from, _)) in grants.iter().enumerate() {
            let mut spent = 0;
            for (until, n) in &grants[first..] {
                spent += u128::from(*n);
                // burst + rate * elapsed / period, without the division
                let elapsed = until.saturating_since(*from).as_nanos();
                let allowed = u128::from(burst) * 10_000_000 + u128::from(rate) * elapsed;
                assert!(spent * 10_000_000 <= allowed, "rate {rate}, burst {burst}: {grants:?}");
            }
        }
        Ok::<_, Error>(())
    });
}

#[test]
fn tokens_of_an_uneven_rate_come_without_drift() {
    check(0..1, async |cx: &Cx| {
        let limiter = limiter(3, Duration::from_secs(1), 2);
        for _ in 0..3002 {
            limiter.acquire(cx, 1).await?;
        }
        // Two at once, then 3000 thirds of a second; the roundings do not add up.
        let late = cx.now().saturating_since(Time::from_secs(1000));
        assert!(cx.now() >= Time::from_secs(1000) && late < Duration::from_nanos(2), "{late:?}");
        Ok::<_, Error>(())
    });
}

#[test]
fn who_asks_for_many_is_not_overtaken_by_who_asks_for_few() {
    check(0..50, async |cx: &Cx| {
        let limiter = Arc::new(limiter(1, MS, 10));
        assert!(limiter.try_acquire(cx, 10));
        let order = Arc::new(Mutex::new(Vec::new()));
        let outcome = cx.region(async |scope| {
            for (place, n) in [8, 1, 5, 1].into_iter().enumerate() {
                let (limiter, order) = (limiter.clone(), order.clone());
                let _ = scope.spawn(async move |cx: &Cx| {
                    cx.sleep(Duration::from_micros(place as u64 + 1)).await?;
                    limiter.acquire(cx, n).await?;
                    order.lock().unwrap().push(place);
                    Ok::<_, Error>(())
                });
            }
            cx.sleep(MS).await?;
            assert!(!limiter.try_acquire(cx, 1), "it would overtake those in line");
            Ok(())
        });
        outcome.await.into_result()?;
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
        assert_eq!(cx.now(), Time::from_millis(15));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_cancelled_waiter_spends_nothing_and_lets_the_next_one_on() {
    check(0..50, async |cx: &Cx| {
        let limiter = Arc::new(limiter(1, MS, 10));
        assert!(limiter.try_acquire(cx, 10));
        let shared = limiter.clone();
        let mut greedy =
            cx.spawn(async move |cx: &Cx| Ok::<_, Error>(shared.acquire(cx, 10).await?));
        cx.sleep(2 * MS).await?;
        let cancel = async {
            cx.sleep(MS).await?;
            greedy.cancel(CancelReason::user("enough"));
            Ok::<_, Error>(())
        };
        let modest = async { Ok::<_, Error>(limiter.acquire(cx, 3).await?) };
        asupersync_combinator::try_join(cx, (modest, cancel)).await?;
        assert!(greedy.join(cx).await?.is_cancelled());
        assert_eq!(cx.now(), Time::from_millis(3));
        Ok::<_, Error>(())
    });
}

#[test]
fn more_than_the_burst_is_refused_at_once() {
    check(0..1, async |cx: &Cx| {
        let limiter = limiter(1, MS, 2);
        let error = RateLimitError::ExceedsBurst { asked: 3, burst: 2 };
        assert_eq!(limiter.acquire(cx, 3).await, Err(error));
        assert!(!limiter.try_acquire(cx, 3));
        assert!(limiter.try_acquire(cx, 2));
        let unlimited = self::limiter(1, Duration::ZERO, 2);
        assert!(unlimited.acquire(cx, 3).await.is_err() && !unlimited.try_acquire(cx, 3));
        Ok::<_, Error>(())
    });
}

#[test]
fn it_is_sound_whenever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let limiter = Arc::new(limiter(1, MS, 1));
        let outcome = cx.region(async |scope| {
            for _ in 0..4 {
                let limiter = limiter.clone();
                let _ =
                    scope.spawn(async move |cx: &Cx| Ok::<_, Error>(limiter.acquire(cx, 1).await?));
            }
            Ok(())
        });
        outcome.await.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 10, "{summary:?}");
}
