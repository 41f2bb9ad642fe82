//! Map-reduce: never more at once than allowed, in order, and nothing left behind on an error.

use asupersync_combinator::map_reduce;
use asupersync_core::{CancelKind, Cx, Error, Outcome};
use asupersync_lab::{cancel_everywhere, check};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn concat(a: Vec<u64>, b: Vec<u64>) -> Vec<u64> {
    [a, b].concat()
}

#[test]
fn the_fold_is_that_of_the_items_order_within_the_limit() {
    check(0..200, async |cx: &Cx| {
        let (len, limit) = (cx.random_u64() % 20, (cx.random_u64() % 6) as usize);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let map = async |n: u64| {
            most.fetch_max(1 + now.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
            cx.sleep(Duration::from_millis(cx.random_u64() % 9)).await?;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Error>(vec![n])
        };
        let folded = map_reduce(cx, limit, 0..len, map, vec![], concat).await?;
        assert_eq!(folded, (0..len).collect::<Vec<_>>());
        assert!(most.load(Ordering::Relaxed) <= limit.max(1));
        Ok::<_, Error>(())
    });
}

#[test]
fn an_error_drains_what_was_begun_and_begins_no_more() {
    check(0..50, async |cx: &Cx| {
        let (begun, drained) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let map = async |n: u64| {
            begun.fetch_add(1, Ordering::Relaxed);
            if n == 4 {
                cx.sleep(MS).await?;
                return Err(Error::msg("rotten"));
            }
            let wait = if n < 4 { Duration::ZERO } else { Duration::from_secs(9) };
            if let Err(cancelled) = cx.sleep(wait).await {
                assert_eq!(cancelled.kind(), CancelKind::FailFast);
                cx.masked(async { cx.yield_now().await }).await?;
                drained.fetch_add(1, Ordering::Relaxed);
            }
            Ok(vec![n])
        };
        let error = map_reduce(cx, 3, 0..100, map, vec![], concat).await.unwrap_err();
        assert!(error.to_string().contains("rotten"));
        assert_eq!((begun.into_inner(), drained.into_inner()), (7, 2));
        assert!(cx.checkpoint().is_ok());
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panic_of_the_fold_is_passed_on() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let map = async |n: u8| Ok::<_, Error>(n);
        map_reduce(cx, 2, 0..5, map, 0, |_, _| panic!("boom")).await?;
        Ok::<_, Error>(())
    });
    assert!(matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
}

#[test]
fn it_is_sound_whenever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let map = async |n: u64| {
            cx.sleep(Duration::from_millis(n)).await?;
            Ok::<_, Error>(n)
        };
        assert_eq!(map_reduce(cx, 2, 1..6, map, 0, |a, b| a + b).await?, 15);
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 5, "{summary:?}");
}
