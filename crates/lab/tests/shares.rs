//! The share of failing classes that a failure tells of, against explorations that went on to their end.

use asupersync_channel::{mpsc, oneshot};
use asupersync_combinator::timeout;
use asupersync_core::{Cx, Error, TaskBody, cap};
use asupersync_lab::{Exploration, ExploreOptions, LabConfig, LabTest, Shared, effect, explore};
use asupersync_sync::Mutex;
use asupersync_trace::{Limits, Recording, Share};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn shares_of(file: &Path) -> Vec<Share> {
    let bytes = std::fs::read(file).expect("it is there");
    let recording = Recording::parse(&bytes, &Limits::default()).expect("it is a pack");
    recording.pack.expect("it is a pack").shares
}

/// Explores to the end; all that begins with no step at all is all there is.
fn whole<F>(config: LabConfig, body: F) -> (Exploration, Vec<Share>)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let options = ExploreOptions::default().config(config).stop_at_first_failure(false);
    let found = explore(options, body);
    assert!(found.exhausted && found.failures > 0, "{found}");
    let shares = shares_of(found.failure.as_ref().and_then(|f| f.file.as_ref()).expect("kept"));
    let all = Share { steps: 0, failed: found.failures, classes: found.runs };
    assert_eq!(shares[0], all, "{found}");
    let last = shares.last().expect("there is one");
    assert_eq!((last.failed, last.classes), (1, 1), "the failing run itself: {shares:?}");
    (found, shares)
}

async fn increments(cx: &Cx, tasks: u32) -> Result<(), Error> {
    let count = Shared::new(0_u32);
    cx.region(async |scope| {
        for _ in 0..tasks {
            let count = count.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                let seen = count.get(cx).await?;
                count.set(cx, seen + 1).await?;
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    assert_eq!(count.get(cx).await?, tasks, "an update was lost");
    Ok(())
}

#[test]
fn of_the_orders_of_increments_those_one_after_the_other_pass() {
    for (tasks, passing, classes) in [(2, 2, 4), (3, 6, 36)] {
        let body = async move |cx: &Cx| increments(cx, tasks).await;
        let (found, _) = whole(LabConfig::default(), body);
        assert_eq!((found.runs, found.runs - found.failures), (classes, passing));
    }
}

#[test]
fn two_locks_in_opposite_orders_fail_once_both_are_taken() {
    let (_, shares) = whole(LabConfig::default(), async |cx: &Cx| {
        let locks = [Arc::new(Mutex::new(())), Arc::new(Mutex::new(()))];
        cx.region(async |scope| {
            for first in 0..2 {
                let locks = locks.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    let _first = locks[first].lock(cx).await?;
                    cx.yield_now().await?;
                    let _second = locks[1 - first].lock(cx).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok(())
    });
    let decides = shares.iter().find(|share| share.failed == share.classes).expect("it fails");
    // main spawns, each takes its own.
    assert_eq!(decides.steps, 3, "{shares:?}");
}

#[test]
fn where_time_races_its_steps_are_among_those_counted() {
    let config = LabConfig::default().time_races(16);
    whole(config, async |cx: &Cx| {
        let (orders, mut desk) = mpsc::channel::<oneshot::Sender<()>>(1);
        let mut seller = cx.spawn(async move |cx: &Cx| {
            while let Ok(reply) = desk.recv(cx).await {
                effect(cx, "the order is charged");
                let _ = reply.send(());
            }
            Ok::<_, Error>(())
        });
        for _ in 0..2 {
            let (reply, mut answer) = oneshot::channel();
            let _ = orders.send(cx, reply).await;
            if timeout(cx, Duration::from_secs(1), answer.recv(cx)).await.is_ok() {
                break;
            }
        }
        drop(orders);
        seller.join(cx).await?.into_result()?;
        Ok(())
    });
}

/// What a test says that fails.
fn told(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(test).expect_err("the test should fail");
    let text = payload.downcast::<String>().expect("the report is text");
    let line = text.lines().find_map(|line| line.strip_prefix("the share that fails: "));
    line.unwrap_or("nothing").to_owned()
}

#[test]
fn the_story_says_which_step_decides() {
    let body = async |cx: &Cx| increments(cx, 2).await;
    let line = told(move || {
        LabTest::new("suite::lost").explore(ExploreOptions::default()).run(body);
    });
    assert!(line.starts_with("2 of 4 classes of orders; after step "), "{line}");
    assert!(line.ends_with(", which decides it, all 2"), "{line}");
    // A seed's failure has its neighbours too.
    let line = told(move || {
        LabTest::new("suite::lost").seeds(0..100).run(body);
    });
    assert!(line.starts_with("2 of 4 classes of orders; after step "), "{line}");
}

#[test]
fn a_program_that_fails_in_every_order_is_decided_by_none() {
    let line = told(|| {
        LabTest::new("suite::always").run(async |cx: &Cx| {
            increments(cx, 1).await?;
            panic!("as always");
            #[expect(unreachable_code, reason = "says which error")]
            Ok::<(), Error>(())
        });
    });
    assert_eq!(line, "the only class of orders");
}

#[test]
fn a_cancelled_run_is_no_order_of_the_program_and_has_no_share() {
    let line = told(|| {
        LabTest::new("suite::cancelled").inject_cancel(true).run(async |cx: &Cx| {
            let cancelled = cx.yield_now().await.is_err();
            assert!(!cancelled, "it may not be cancelled");
            Ok::<(), Error>(())
        });
    });
    assert_eq!(line, "nothing");
}
