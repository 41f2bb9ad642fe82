//! Racing: the first value, after the losers have ended.

use asupersync_combinator::{race, race_all, race_some};
use asupersync_core::{CancelKind, CancelReason, Cx, Error, Outcome, TaskCx};
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Waits for its cancellation, cleans up over three polls, and counts itself with the kind as weight.
async fn loser(cx: &TaskCx, drained: &AtomicU32) -> u32 {
    let cancelled = cx.wait("loser", |_| Poll::<()>::Pending).await.unwrap_err();
    for _ in 0..3 {
        cx.masked(async { cx.yield_now().await }).await.unwrap();
    }
    assert_eq!(cancelled.kind(), CancelKind::RaceLost);
    drained.fetch_add(1, Ordering::Relaxed);
    0
}

async fn winner(cx: &Cx) -> u32 {
    cx.sleep(MS).await.unwrap();
    7
}

#[test]
fn losers_have_ended_when_the_race_returns() {
    asupersync_lab::check(0..50, async |cx: &Cx| {
        let drained = AtomicU32::new(0);
        let lose = || loser(cx, &drained);
        assert_eq!(race(cx, (lose(), winner(cx), lose())).await?, 7);
        assert_eq!(drained.load(Ordering::Relaxed), 2);

        let branches = (0..5).map(async |n| if n == 3 { winner(cx).await } else { lose().await });
        assert_eq!(race_all(cx, branches).await?, 7);
        assert_eq!(drained.load(Ordering::Relaxed), 6);
        assert!(cx.checkpoint().is_ok(), "the race's own task was not cancelled");
        Ok::<_, Error>(())
    });
}

#[test]
fn a_loser_that_was_never_polled_is_told_too() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let drained = AtomicU32::new(0);
        let late = async { loser(cx, &drained).await };
        assert_eq!(race(cx, (ready(1), late)).await?, 1);
        assert_eq!(drained.into_inner(), 1);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_foreign_loser_does_not_hold_up_the_race() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        assert_eq!(race(cx, (pending(), winner(cx))).await?, 7);
        Ok::<_, Error>(())
    });
}

#[test]
fn of_two_that_finish_in_one_step_the_left_wins() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        assert_eq!(race(cx, (ready('l'), ready('r'))).await?, 'l');
        assert_eq!(race_all(cx, [ready('l'), ready('r')]).await?, 'l');
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panicking_branch_drains_the_others_and_then_panics() {
    let drained = Arc::new(AtomicU32::new(0));
    let seen = drained.clone();
    let report = asupersync_lab::run(1, async move |cx: &Cx| {
        let panicking = async {
            cx.sleep(MS).await.unwrap();
            panic!("boom")
        };
        race(cx, (loser(cx, &seen), panicking)).await?;
        Ok::<_, Error>(())
    });
    assert!(matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
    assert_eq!(drained.load(Ordering::Relaxed), 1);
}

#[test]
fn the_winners_value_does_not_hide_a_losers_panic() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let sore = async {
            let _ = cx.sleep(Duration::from_secs(9)).await;
            panic!("sore loser")
        };
        race(cx, (winner(cx), sore)).await?;
        Ok::<_, Error>(())
    });
    assert!(
        matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "sore loser")
    );
}

#[test]
fn a_race_of_nothing_waits_until_it_is_cancelled() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            race_all(cx, Vec::<std::future::Ready<()>>::new()).await?;
            Ok::<_, Error>(())
        });
        cx.sleep(MS).await?;
        assert!(!child.is_finished());
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn a_region_in_a_loser_is_closed_before_the_race_returns() {
    asupersync_lab::check(0..50, async |cx: &Cx| {
        let ended = Arc::new(AtomicU32::new(0));
        let child_ended = ended.clone();
        let with_region = async {
            let outcome = cx
                .region(async |scope: &asupersync_core::Scope<Error>| {
                    let _ = scope.spawn(async move |cx: &Cx| {
                        let result = cx.sleep(Duration::from_secs(9)).await;
                        cx.masked(async { cx.sleep(MS).await }).await?;
                        child_ended.fetch_add(1, Ordering::Relaxed);
                        Ok(result?)
                    });
                    Ok::<_, Error>(())
                })
                .await;
            assert!(outcome.is_cancelled());
            0
        };
        assert_eq!(race(cx, (with_region, winner(cx))).await?, 7);
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_none_is_out_of_the_race_and_losers_have_ended_when_a_some_wins() {
    asupersync_lab::check(0..20, async |cx: &Cx| {
        let drained = AtomicU32::new(0);
        let told = async { Some(loser(cx, &drained).await) };
        let late = async { Some(winner(cx).await) };
        assert_eq!(race_some(cx, 0, (ready(None), told, late)).await?, Some(7));
        assert_eq!(drained.load(Ordering::Relaxed), 1);
        assert_eq!(race_some(cx, 0, (ready(None::<u32>), async { None })).await?, None);
        Ok::<_, Error>(())
    });
}

#[test]
fn of_those_that_are_ready_the_first_in_the_circle_wins() {
    asupersync_lab::check(0..1, async |cx: &Cx| {
        for first in 0..9 {
            let branches = (ready(Some(0)), ready(None), ready(Some(2)), ready(Some(3)));
            let wanted = [0, 2, 2, 3][first % 4];
            assert_eq!(race_some(cx, first, branches).await?, Some(wanted));
        }
        Ok::<_, Error>(())
    });
}

#[test]
fn a_race_without_a_winner_is_cancelled_when_a_branch_was_dropped_for_it() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let answer = race_some(cx, 0, (ready(None::<u32>), pending())).await;
            assert!(answer.is_err());
            Ok::<_, Error>(())
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_ok());
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}
