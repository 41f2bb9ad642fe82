//! A receiver for whom there is always something leaves others their turn.
#![cfg(not(loom))]

#[path = "../../core/tests/support/mod.rs"]
mod support;

use asupersync_channel::{broadcast, mpsc, watch};
use asupersync_core::{Cx, Error, TaskCx};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::run;

/// Far more than anybody's turn.
const MANY: usize = 10_000;

/// Another task, and whether it has run.
fn other(cx: &Cx) -> Arc<AtomicBool> {
    let ran = Arc::new(AtomicBool::new(false));
    let runs = Arc::clone(&ran);
    drop(cx.spawn(async move |_: &Cx| {
        runs.store(true, Ordering::Relaxed);
        Ok::<_, Error>(())
    }));
    ran
}

fn turns(ran: &AtomicBool, n: usize, capacity: usize) -> bool {
    assert!(n <= TaskCx::IN_A_ROW + capacity, "{n} messages without a turn for others");
    ran.load(Ordering::Relaxed)
}

#[test]
fn of_a_full_channel_a_turn_is_received_and_what_it_holds() {
    for capacity in [1, 2, 100] {
        let ran = run(async move |cx: &Cx| {
            let (tx, mut rx) = mpsc::channel(capacity);
            let ran = other(cx);
            for n in 0..MANY {
                tx.try_send(n).unwrap();
                assert_eq!(rx.recv(cx).await?, n);
                if turns(&ran, n, capacity) {
                    break;
                }
            }
            let (ran, mut got) = (other(cx), Vec::new());
            for n in 0..MANY {
                tx.try_send(n).unwrap();
                assert_eq!(rx.recv_many(cx, &mut got, 10).await?, 1);
                if turns(&ran, n, capacity) {
                    break;
                }
            }
            Ok::<_, Error>(())
        });
        assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
    }
}

#[test]
fn of_values_that_are_there_a_turn_is_received() {
    let ran = run(async move |cx: &Cx| {
        let (tx, mut rx) = broadcast::channel(1);
        let ran = other(cx);
        for n in 0..MANY {
            tx.send(n).unwrap();
            assert_eq!(rx.recv(cx).await?, n);
            if turns(&ran, n, 1) {
                break;
            }
        }
        let (tx, mut rx) = watch::channel(0);
        let ran = other(cx);
        for n in 0..MANY {
            tx.send(n).unwrap();
            rx.changed(cx).await?;
            if turns(&ran, n, 1) {
                break;
            }
        }
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

/// Nobody else would be polled in between, so each turn would cost a poll for nothing.
#[test]
fn a_receiver_that_waits_for_each_message_never_gives_way() {
    let ran = run(async move |cx: &Cx| {
        let (tx, mut rx) = mpsc::channel(1);
        let mut sending = cx.spawn(async move |cx: &Cx| {
            for n in 0..1000 {
                cx.yield_now().await?;
                tx.try_send(n).map_err(|_| Error::msg("the receiver gave way"))?;
            }
            Ok::<_, Error>(())
        });
        for n in 0..1000 {
            assert_eq!(rx.recv(cx).await?, n);
        }
        sending.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}
