//! Channels between tasks that the kernel runs, cancels and keeps books about.
#![cfg(not(loom))]

#[path = "../../core/tests/support/mod.rs"]
mod support;

use asupersync_channel::{RecvError, mpsc, oneshot};
use asupersync_core::{CancelReason, Cx, Error, Outcome};
use support::run;

async fn count(cx: &Cx, tx: mpsc::Sender<u32>) -> Result<(), Error> {
    for n in 0.. {
        cx.checkpoint()?;
        let permit = tx.reserve(cx).await?;
        permit.send(n);
    }
    Ok(())
}

#[test]
fn a_producer_cancelled_in_mid_flight_loses_no_message_it_sent() {
    let ran = run(async |cx: &Cx| {
        let (tx, mut rx) = mpsc::channel(16);
        let outcome = cx
            .region(async |scope| {
                let mut producer = scope.spawn(async move |cx: &Cx| count(cx, tx).await);
                for n in 0..100 {
                    assert_eq!(rx.recv(cx).await?, n);
                }
                producer.cancel(CancelReason::user("enough"));
                let outcome = producer.join(cx).await?;
                assert!(outcome.is_cancelled());
                let mut next = 100;
                loop {
                    match rx.recv(cx).await {
                        Ok(n) => assert_eq!(n, next),
                        Err(RecvError::Closed) => break,
                        Err(error) => return Err(error.into()),
                    }
                    next += 1;
                }
                Ok::<_, Error>(next)
            })
            .await;
        Ok::<_, Error>(outcome.into_result()?)
    });
    let Outcome::Ok(received) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert!((100..=116).contains(&received), "at most what fitted in: {received}");
    assert!(ran.report.leaks.is_empty());
}

#[test]
fn cancel_reaches_tasks_parked_in_reserve_and_in_recv() {
    let ran = run(async |cx: &Cx| {
        let (tx, _rx) = mpsc::channel(1);
        let (_silent, mut nothing) = oneshot::channel::<u8>();
        let outcome = cx
            .region(async |scope| {
                let _ = tx.try_send(0);
                drop(scope.spawn(async move |cx: &Cx| count(cx, tx).await));
                drop(scope.spawn(async move |cx: &Cx| {
                    nothing.recv(cx).await?;
                    Ok(())
                }));
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("stop"));
                Ok::<_, Error>(())
            })
            .await;
        assert!(outcome.is_ok() || outcome.is_cancelled(), "{outcome:?}");
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
    assert!(ran.report.stragglers.is_empty());
}

#[test]
fn a_parked_sender_shows_what_it_waits_for_and_a_holder_what_it_holds() {
    let ran = run(async |cx: &Cx| {
        let (tx, _rx) = mpsc::channel::<u32>(1);
        let snapshot = cx
            .region(async |scope| {
                let other = tx.clone();
                drop(scope.spawn(async move |cx: &Cx| {
                    let _permit = other.reserve(cx).await?;
                    cx.wait("test::never", |_| std::task::Poll::<()>::Pending).await?;
                    Ok(())
                }));
                drop(scope.spawn(async move |cx: &Cx| {
                    tx.reserve(cx).await?.send(1);
                    Ok(())
                }));
                cx.yield_now().await?;
                let snapshot = scope.snapshot();
                scope.cancel(CancelReason::user("seen"));
                Ok::<_, Error>(snapshot)
            })
            .await;
        Ok::<_, Error>(snapshot.ok())
    });
    let Outcome::Ok(Some(snapshot)) = ran.outcome else { panic!("no snapshot") };
    let waits: Vec<_> = snapshot.tasks.iter().flat_map(|task| &task.waits).collect();
    let reserve = waits.iter().find(|wait| wait.label == "mpsc::reserve").expect("a parked sender");
    assert!(reserve.site.file().ends_with("tests/tasks.rs"), "{}", reserve.site);
    let held: Vec<_> = snapshot.tasks.iter().flat_map(|task| &task.obligations).collect();
    let (kind, site) = held.first().expect("a held permit");
    assert_eq!(*kind, "mpsc::Permit");
    assert!(site.file().ends_with("tests/tasks.rs"), "{site}");
}

#[test]
fn a_forgotten_permit_is_found_when_the_root_closes() {
    let ran = run(async |cx: &Cx| {
        let (tx, _rx) = mpsc::channel::<u32>(1);
        std::mem::forget(tx.reserve(cx).await?);
        Ok::<_, Error>(())
    });
    assert_eq!(ran.report.leaks.len(), 1);
    assert_eq!(ran.report.leaks[0].kind, "mpsc::Permit");
    assert!(ran.report.leaks[0].site.file().ends_with("tests/tasks.rs"));
}
