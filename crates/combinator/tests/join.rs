//! Joining: all values, the first error, panics last.

use asupersync_combinator::{join, join_all, try_join, try_join_all};
use asupersync_core::{CancelKind, Cx, Error, Outcome, TaskCx};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Waits for its cancellation, then takes three more polls; leaves the kind it was told.
async fn loser(cx: &TaskCx, told: &AtomicU32) -> Result<u32, Error> {
    let cancelled = cx.wait("loser", |_| Poll::<()>::Pending).await.unwrap_err();
    for _ in 0..3 {
        cx.masked(async { cx.yield_now().await }).await?;
    }
    told.store(1 + cancelled.kind() as u32, Ordering::Relaxed);
    Err(cancelled.into())
}

#[test]
fn values_come_in_the_order_of_the_branches_not_of_time() {
    asupersync_lab::check(0..20, async |cx: &Cx| {
        let late = async { cx.sleep(9 * MS).await.map(|()| "late") };
        let early = async { cx.sleep(MS).await.map(|()| 1) };
        let (late, early, now) = join(cx, (late, early, async { 'x' })).await?;
        assert_eq!((late?, early?, now), ("late", 1, 'x'));

        let sleeps = (0..5u64).rev().map(async |n| {
            cx.sleep(Duration::from_millis(n)).await.unwrap();
            n
        });
        assert_eq!(join_all(cx, sleeps).await?, [4, 3, 2, 1, 0]);
        assert_eq!(cx.now().as_nanos(), 13_000_000, "branches wait at the same time");
        Ok::<_, Error>(())
    });
}

#[test]
fn a_list_of_nothing_is_joined_at_once() {
    asupersync_lab::check(0..1, async |cx: &Cx| {
        let nothing: [std::future::Ready<u8>; 0] = [];
        assert!(join_all(cx, nothing).await?.is_empty());
        Ok::<_, Error>(())
    });
}

#[test]
fn the_first_error_cancels_and_drains_the_rest() {
    asupersync_lab::check(0..20, async |cx: &Cx| {
        let told = AtomicU32::new(0);
        let failing = async {
            cx.sleep(MS).await?;
            Err::<u8, _>(Error::from(std::io::Error::other("disk full")))
        };
        let result = try_join(cx, (loser(cx, &told), failing)).await;
        assert!(result.unwrap_err().to_string().contains("disk full"));
        assert_eq!(told.into_inner(), 1 + CancelKind::FailFast as u32);

        let told = AtomicU32::new(0);
        let branches = (0..3).map(async |n| match n {
            1 => Err(std::io::Error::other("disk full").into()),
            _ => loser(cx, &told).await,
        });
        assert!(try_join_all(cx, branches).await.is_err());
        assert_eq!(told.into_inner(), 1 + CancelKind::FailFast as u32);
        Ok::<_, Error>(())
    });
}

#[test]
fn successes_are_all_there_when_nothing_fails() {
    asupersync_lab::check(0..5, async |cx: &Cx| {
        let one = async { Ok::<_, Error>(1) };
        let two = async { cx.sleep(MS).await.map(|()| "two").map_err(Error::from) };
        assert_eq!(try_join(cx, (one, two)).await?, (1, "two"));
        let list = (0..3).map(async |n| Ok::<_, Error>(n));
        assert_eq!(try_join_all(cx, list).await?, [0, 1, 2]);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panic_drains_the_other_branches_before_it_goes_on() {
    let told = Arc::new(AtomicU32::new(0));
    let seen = told.clone();
    let report = asupersync_lab::run(1, async move |cx: &Cx| {
        let panicking = async {
            cx.sleep(MS).await.unwrap();
            panic!("boom")
        };
        let _: (Result<u32, Error>, ()) = join(cx, (loser(cx, &seen), panicking)).await?;
        Ok::<_, Error>(())
    });
    assert!(matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
    assert_eq!(told.load(Ordering::Relaxed), 1 + CancelKind::FailFast as u32);
}

#[test]
fn a_cancelled_join_of_foreign_futures_answers_cancelled() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let never = std::future::pending::<u8>;
            assert!(join(cx, (never(), never())).await.is_err());
            assert!(join_all(cx, [never(), never()]).await.is_err());
            Err::<u8, Error>(cx.checkpoint().unwrap_err().into())
        });
        cx.sleep(MS).await?;
        child.cancel(asupersync_core::CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn a_wake_of_one_branch_polls_that_branch_only() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        const BRANCHES: u64 = 500;
        let polls = AtomicU32::new(0);
        let branches = (0..BRANCHES).map(|n| {
            let mut sleep = Box::pin(cx.sleep(Duration::from_millis(1 + n)));
            let polls = &polls;
            std::future::poll_fn(move |context| {
                polls.fetch_add(1, Ordering::Relaxed);
                sleep.as_mut().poll(context)
            })
        });
        join_all(cx, branches).await?;
        // Once to begin with, and once for its own wake.
        assert_eq!(u64::from(polls.into_inner()), 2 * BRANCHES);
        Ok::<_, Error>(())
    });
}
