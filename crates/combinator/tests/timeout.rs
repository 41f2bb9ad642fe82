//! Time limits: what is inside is told, what is around is left alone.

use asupersync_combinator::{TimeoutError, join, timeout, timeout_at};
use asupersync_core::{CancelKind, CancelReason, Cx, Error, Time};
use std::future::{Future, pending, poll_fn};
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_value_in_time_is_returned() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let value = timeout(cx, 2 * MS, async { cx.sleep(MS).await.map(|()| 7) }).await;
        assert_eq!(value, Ok(Ok(7)));
        assert_eq!(cx.now(), Time::from_millis(1));
        cx.sleep(5 * MS).await?;
        Ok::<_, Error>(())
    });
}

#[test]
fn a_limit_that_passes_is_an_error_and_the_wait_inside_is_told() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let mut told = None;
        let inside = async { told = cx.sleep(LONG).await.err() };
        let result = timeout(cx, MS, inside).await;
        assert_eq!(result, Err(TimeoutError::Elapsed { deadline: Time::from_millis(1) }));
        assert_eq!(told.map(|cancelled| cancelled.kind()), Some(CancelKind::Timeout));
        assert!(cx.checkpoint().is_ok(), "the task around goes on");
        Ok::<_, Error>(())
    });
}

#[test]
fn a_foreign_future_that_never_wakes_is_dropped_at_its_limit() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let result = timeout_at(cx, Time::from_millis(3), pending::<()>()).await;
        assert_eq!(result, Err(TimeoutError::Elapsed { deadline: Time::from_millis(3) }));
        assert_eq!(cx.now(), Time::from_millis(3));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_limit_is_kept_where_another_branch_polled_the_same_future_last() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let shared = Mutex::new(Box::pin(cx.sleep(LONG)));
        let limited = async |limit| {
            let polled = poll_fn(|context| shared.lock().unwrap().as_mut().poll(context));
            let result = timeout(cx, limit, polled).await;
            (result.is_err(), cx.now())
        };
        let ends = join(cx, (limited(MS), limited(3 * MS))).await;
        assert_eq!(ends, Ok(((true, Time::from_millis(1)), (true, Time::from_millis(3)))));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_limit_is_kept_where_another_branch_has_dropped_what_was_waited_for() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let shared = Mutex::new(Some(Box::pin(cx.sleep(LONG))));
        let limited = async {
            let polled = poll_fn(|context| match shared.lock().unwrap().as_mut() {
                Some(sleep) => sleep.as_mut().poll(context),
                None => Poll::Pending,
            });
            let result = timeout(cx, 3 * MS, polled).await;
            (result.is_err(), cx.now())
        };
        let drops = async {
            cx.sleep(MS).await?;
            *shared.lock().unwrap() = None;
            Ok::<_, Error>(())
        };
        let (limited, dropped) = join(cx, (limited, drops)).await?;
        dropped?;
        assert_eq!(limited, (true, Time::from_millis(3)));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_limit_in_the_past_lets_ready_futures_through() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        cx.sleep(MS).await?;
        assert_eq!(timeout_at(cx, Time::ZERO, async { 7 }).await, Ok(7));
        assert!(timeout_at(cx, Time::ZERO, cx.sleep(MS)).await.is_err());
        Ok::<_, Error>(())
    });
}

#[test]
fn cleanup_under_a_mask_ends_before_the_timeout_returns() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let mut cleaned_up = false;
        let inside = async {
            let result = cx.sleep(LONG).await;
            cx.masked(async { cx.sleep(5 * MS).await }).await.unwrap();
            cleaned_up = true;
            result
        };
        assert!(matches!(timeout(cx, MS, inside).await, Err(TimeoutError::Elapsed { .. })));
        assert!(cleaned_up);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_masked_section_that_was_not_told_keeps_its_value() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let masked = cx.masked(async { cx.sleep(5 * MS).await.map(|()| 7) });
        assert_eq!(timeout(cx, MS, masked).await, Ok(Ok(7)));
        Ok::<_, Error>(())
    });
}

#[test]
fn of_nested_limits_the_tighter_one_elapses() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let tight_inside = timeout(cx, LONG, timeout(cx, MS, cx.sleep(LONG))).await;
        assert!(matches!(tight_inside, Ok(Err(TimeoutError::Elapsed { .. }))));
        let tight_outside = timeout(cx, MS, timeout(cx, LONG, cx.sleep(LONG))).await;
        assert!(matches!(tight_outside, Err(TimeoutError::Elapsed { .. })));
        Ok::<_, Error>(())
    });
}

#[test]
fn an_outer_limit_that_drops_a_foreign_future_is_not_the_inner_ones() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let mut inner = None;
        let outer = timeout(cx, MS, async {
            let result = timeout(cx, LONG, pending::<()>()).await;
            inner = Some(result);
            result
        });
        assert_eq!(outer.await, Err(TimeoutError::Elapsed { deadline: Time::from_millis(1) }));
        assert!(matches!(inner, Some(Err(TimeoutError::Cancelled(_)))), "{inner:?}");
        Ok::<_, Error>(())
    });
}

#[test]
fn an_outer_cancellation_is_not_an_elapsed_limit() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let foreign = timeout(cx, LONG, pending::<()>()).await;
            assert!(matches!(foreign, Err(TimeoutError::Cancelled(_))));
            let waiting = timeout(cx, LONG, cx.sleep(LONG)).await;
            assert!(matches!(waiting, Ok(Err(_))), "the wait's own answer is passed on");
            Err::<(), Error>(waiting.unwrap().unwrap_err().into())
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}
