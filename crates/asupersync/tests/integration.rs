//! The programs that `docs/integration.md` shows, run in the lab.
#![cfg(feature = "proc-macros")]

use asupersync::combinator::TimeoutError;
use asupersync::prelude::*;
use asupersync::{ErrorKind, RegionOptions};
use std::time::Duration;

// snippet: structure
async fn sum_of_squares(cx: &Cx, workers: u64) -> Result<u64, Error> {
    let outcome = cx
        .region(async |scope| {
            let (tx, mut rx) = mpsc::channel(16);
            for n in 1..=workers {
                let tx = tx.clone();
                let _ = scope.spawn(async move |cx| {
                    let permit = tx.reserve(cx).await?; // a wait: may answer `Cancelled`
                    permit.send(n * n); // an effect: whole, or not begun
                    Ok(())
                });
            }
            drop(tx); // the last sender to go ends the stream
            let mut sum = 0;
            while let Ok(square) = rx.recv(cx).await {
                sum += square;
            }
            cx.checkpoint()?; // it ended because we are cancelled, or because it is complete?
            Ok(sum)
        })
        .await;
    Ok(outcome.into_result()?) // every worker has ended here
}
// end snippet

#[asupersync::test(seeds = 20, inject_cancel)]
async fn a_region_gathers_what_its_tasks_send(cx: &Cx) -> Result<(), Error> {
    assert_eq!(sum_of_squares(cx, 4).await?, 30);
    Ok(())
}

// snippet: cleanup
async fn serve(cx: &Cx, log: mpsc::Sender<&'static str>) -> Result<(), Error> {
    let outcome: Outcome<(), Error> = cx
        .region(async |scope| {
            let last = log.clone();
            scope.defer(async move |cx| {
                let _ = last.send(cx, "closed").await; // masked, after the last child
                Ok(())
            });
            let _ = scope.spawn_named("session", async move |cx| {
                let stopped = cx.sleep(Duration::from_secs(3600)).await;
                cx.masked(async {
                    // No cancellation is seen in here; the cleanup time still runs.
                    cx.sleep(Duration::from_millis(50)).await?;
                    let _ = log.send(cx, "said goodbye").await;
                    Ok::<_, Error>(())
                })
                .await?;
                Ok(stopped?)
            });
            Ok(())
        })
        .await;
    Ok(outcome.into_result()?)
}
// end snippet

#[asupersync::test(seeds = 20)]
async fn cleanup_runs_masked_and_finalizers_come_last(cx: &Cx) -> Result<(), Error> {
    let (tx, mut rx) = mpsc::channel(4);
    let mut server = cx.spawn(async move |cx: &Cx| serve(cx, tx).await);
    cx.sleep(Duration::from_secs(1)).await?;
    server.cancel(CancelReason::user("enough"));
    assert!(server.join(cx).await?.is_cancelled());
    assert_eq!(rx.recv(cx).await, Ok("said goodbye"));
    assert_eq!(rx.recv(cx).await, Ok("closed"));
    Ok(())
}

// snippet: budget
async fn request(cx: &Cx) -> Outcome<u32, Error> {
    let budget = Budget::new().with_deadline_secs(30).with_poll_quota(10_000).with_cost_quota(100);
    cx.region_with(RegionOptions::new().name("request").budget(budget), async |scope| {
        let mut parse = scope.spawn(async |cx| {
            cx.charge(60)?; // taken from the request's account
            Ok(60)
        });
        let parsed = parse.join(cx).await?.into_result()?;
        cx.charge(60)?; // more than is left: the request is cancelled, with `Quota`
        Ok(parsed)
    })
    .await
}
// end snippet

#[asupersync::test(seeds = 20)]
async fn a_spent_budget_ends_the_request_and_nothing_else(cx: &Cx) -> Result<(), Error> {
    let outcome = request(cx).await;
    let Outcome::Cancelled(reason) = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason.severity(), CancelKind::Quota);
    cx.checkpoint()?;
    Ok(())
}

// snippet: stream
/// Looks up what is asked for, eight at once, until one look-up fails or nothing was asked for a minute.
async fn look_up_all(cx: &Cx, questions: mpsc::Receiver<u32>) -> Result<Vec<u32>, Error> {
    questions
        .timeout(cx, Duration::from_secs(60))
        .map_err(Error::from)
        .map_ok(|question| look_up(cx, question))
        .try_buffered(cx, 8) // eight in flight, answers in the order of the questions
        .try_collect(cx) // at the first error the others are told, and have ended when it returns
        .await
}
// end snippet

async fn look_up(cx: &Cx, question: u32) -> Result<u32, Error> {
    cx.sleep(Duration::from_millis(50)).await?;
    Ok(question * question)
}

#[asupersync::test(seeds = 5)]
async fn a_stream_of_questions_is_answered_in_order_and_not_for_ever(cx: &Cx) -> Result<(), Error> {
    let (tx, rx) = mpsc::channel(9);
    for n in 0..9 {
        tx.reserve(cx).await?.send(n);
    }
    let waiting = cx.spawn(async move |cx: &Cx| {
        cx.sleep(Duration::from_secs(3600)).await?;
        drop(tx);
        Ok::<_, Error>(())
    });
    let error = look_up_all(cx, rx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    waiting.cancel(CancelReason::user("enough"));

    let (tx, rx) = mpsc::channel(9);
    for n in 0..9 {
        tx.reserve(cx).await?.send(n);
    }
    drop(tx);
    assert_eq!(look_up_all(cx, rx).await?, [0, 1, 4, 9, 16, 25, 36, 49, 64]);
    Ok(())
}

// snippet: foreign
async fn with_a_limit<F: Future>(cx: &Cx, foreign: F) -> Result<F::Output, Error> {
    // It waits through no `Cx`, so it hears no cancellation: at the limit it is dropped.
    Ok(timeout(cx, Duration::from_secs(5), foreign).await?)
}

/// A callback of a library that knows nothing of us, as a wait that can be cancelled.
async fn as_a_wait(
    cx: &Cx,
    register: impl FnOnce(Box<dyn FnOnce(u32) + Send>),
) -> Result<u32, Error> {
    let (tx, mut rx) = oneshot::channel();
    register(Box::new(move |answer| {
        let _ = tx.send(answer); // from any thread; nobody may be listening any more
    }));
    Ok(rx.recv(cx).await?)
}
// end snippet

#[asupersync::test(seeds = 5)]
async fn a_foreign_future_that_never_wakes_is_dropped_at_the_limit(cx: &Cx) -> Result<(), Error> {
    let error = with_a_limit(cx, std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(cx.now(), Time::from_secs(5));
    let bare = timeout(cx, Duration::from_secs(1), std::future::pending::<()>()).await;
    assert!(matches!(bare, Err(TimeoutError::Elapsed { .. })));
    Ok(())
}

#[asupersync::test(seeds = 5)]
async fn a_callback_becomes_a_wait(cx: &Cx) -> Result<(), Error> {
    assert_eq!(as_a_wait(cx, |call| call(7)).await?, 7);
    Ok(())
}
