//! Leaving a stream before its end: what is in flight is drained, what is not sent is kept.

use asupersync_channel::mpsc;
use asupersync_core::{CancelKind, CancelReason, Cx, Error, Outcome, TaskCx};
use asupersync_lab::{cancel_everywhere, check};
use asupersync_stream::{Stream, StreamExt, TryStreamExt, iter, unfold};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// What futures in flight count: how many were begun, and how many ended by themselves.
#[derive(Default)]
struct Flight {
    begun: AtomicU32,
    ended: AtomicU32,
}

impl Flight {
    fn counts(&self) -> (u32, u32) {
        (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
    }

    /// Waits for its cancellation, for which there must be this reason, and cleans up over three polls.
    async fn hang(&self, cx: &TaskCx, kind: CancelKind) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let cancelled = cx.wait("hang", |_| Poll::<()>::Pending).await.unwrap_err();
        for _ in 0..3 {
            cx.masked(async { cx.yield_now().await }).await.unwrap();
        }
        assert_eq!(cancelled.kind(), kind);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_error_drains_what_is_in_flight_and_begins_no_more() {
    check(0..20, async |cx: &Cx| {
        let flight = Flight::default();
        let work = async |n: u32| {
            if n == 2 {
                cx.sleep(MS).await?;
                return Err(Error::from(std::io::Error::other("two")));
            }
            flight.hang(cx, CancelKind::FailFast).await;
            Ok(n)
        };
        let all: Result<Vec<u32>, Error> =
            iter(0..100).map(work).buffer_unordered(cx, 4).try_collect(cx).await;
        assert!(all.is_err());
        assert_eq!(flight.counts(), (3, 3));

        let flight = Flight::default();
        let work = async |n: u32| {
            if n == 2 {
                cx.sleep(MS).await?;
                return Err(Error::from(std::io::Error::other("two")));
            }
            flight.hang(cx, CancelKind::FailFast).await;
            Ok(())
        };
        assert!(iter(0..100).map(Ok).try_for_each_concurrent(cx, 4, work).await.is_err());
        assert_eq!(flight.counts(), (3, 3));
        Ok::<_, Error>(())
    });
}

#[test]
fn an_answer_drains_what_is_in_flight() {
    check(0..20, async |cx: &Cx| {
        let flight = Flight::default();
        let work = async |n: u32| {
            if n == 2 {
                let _ = cx.sleep(MS).await;
            } else {
                flight.hang(cx, CancelKind::RaceLost).await;
            }
            n
        };
        let found = iter(0..100).map(work).buffer_unordered(cx, 4).find(cx, |n| *n == 2).await?;
        assert_eq!((found, flight.counts()), (Some(2), (3, 3)));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_cancellation_drains_what_is_in_flight_and_begins_no_more() {
    check(0..20, async |cx: &Cx| {
        let flight = Arc::new(Flight::default());
        let counted = flight.clone();
        let mut child = cx.spawn(async move |cx: &Cx| {
            let flight = &counted;
            let hang = async |_| flight.hang(cx, CancelKind::User).await;
            iter(0..100).for_each_concurrent(cx, 4, hang).await?;
            Ok::<_, Error>(())
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        assert_eq!(flight.counts(), (4, 4));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panic_passes_on_after_the_others_are_drained() {
    let flight = Arc::new(Flight::default());
    let counted = flight.clone();
    let report = asupersync_lab::run(1, async move |cx: &Cx| {
        let work = async |n: u32| {
            if n == 2 {
                let _ = cx.sleep(MS).await;
                panic!("two");
            }
            counted.hang(cx, CancelKind::RaceLost).await;
        };
        iter(0..100).for_each_concurrent(cx, 4, work).await?;
        Ok::<_, Error>(())
    });
    assert!(matches!(&report.outcome, Outcome::Panicked(panic) if panic.message() == "two"));
    assert_eq!(flight.counts(), (3, 3));
}

#[test]
fn a_stream_left_behind_can_be_drained() {
    check(0..20, async |cx: &Cx| {
        let flight = Flight::default();
        let work = async |n: u32| {
            if n > 0 {
                flight.hang(cx, CancelKind::RaceLost).await;
            }
            n
        };
        let mut stream = Box::pin(iter(0..100).map(work).buffer_unordered(cx, 3));
        assert_eq!(stream.next(cx).await?, Some(0));
        stream.drain(cx).await;
        assert_eq!(flight.counts(), (2, 2));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_future_that_nothing_can_reach_holds_nobody_up() {
    check(0..5, async |cx: &Cx| {
        let stuck = iter(0..9).map(|n| async move {
            if n > 0 {
                std::future::pending::<()>().await;
            }
            n
        });
        assert!(stuck.buffer_unordered(cx, 4).any(cx, |n| n == 0).await?);
        Ok::<_, Error>(())
    });
}

#[test]
fn an_answer_takes_no_further_item() {
    check(0..5, async |cx: &Cx| {
        let (tx, mut rx) = mpsc::channel(9);
        for n in 0..9 {
            tx.reserve(cx).await?.send(n);
        }
        assert_eq!((&mut rx).find(cx, |n| *n == 3).await?, Some(3));
        assert!((&mut rx).any(cx, |n| n == 4).await?);
        assert_eq!((&mut rx).take(2).collect::<Vec<_>>(cx).await?, [5, 6]);
        assert_eq!(rx.next(cx).await?, Some(7));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_stream_without_end_lets_others_run_and_can_be_cancelled() {
    check(0..5, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            iter(0u64..).chunks(usize::MAX).flat_map(iter).count(cx).await?;
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        let mut child = cx.spawn(async |cx: &Cx| {
            let nothing = iter(0u64..).filter(|_| false).chunks(usize::MAX);
            nothing.flat_map(iter).merge(iter([1u64])).count(cx).await?;
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
}

#[test]
fn forwarding_loses_nothing_wherever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let (tx, mut rx) = mpsc::channel(2);
        let (out, mut sink) = mpsc::channel(1);
        for n in 0..2 {
            tx.reserve(cx).await?.send(n);
        }
        drop(tx);
        let mut child = cx.spawn(async move |cx: &Cx| {
            let sent = rx.forward(cx, &out).await;
            // What was not forwarded is still here.
            let mut kept = 0;
            while rx.try_recv().is_ok() {
                kept += 1;
            }
            Ok::<_, Error>((sent, kept))
        });
        let mut received = 0;
        while sink.recv(cx).await.is_ok() {
            received += 1;
        }
        cx.masked(async {
            let Outcome::Ok((sent, kept)) = child.join(cx).await? else { return Ok(()) };
            while sink.try_recv().is_ok() {
                received += 1;
            }
            assert_eq!(received + kept, 2, "{sent:?}");
            Ok::<_, Error>(())
        })
        .await
    });
    assert!(summary.runs > 5, "{summary:?}");
}

/// 0 to 3, each after a while.
fn slow(cx: &Cx) -> impl Stream<Item = u32> {
    unfold(0u32, async move |n| {
        cx.sleep(MS).await.ok()?;
        (n < 4).then_some((n, n + 1))
    })
}

#[test]
fn terminal_operations_can_be_cancelled_at_every_step() {
    let summary = cancel_everywhere(1, async move |cx: &Cx| {
        assert_eq!(slow(cx).collect::<Vec<_>>(cx).await?, [0, 1, 2, 3]);
        assert_eq!(slow(cx).fold(cx, 0, |a, b| a + b).await?, 6);
        assert_eq!(slow(cx).count(cx).await?, 4);
        assert_eq!((slow(cx).min(cx).await?, slow(cx).max(cx).await?), (Some(0), Some(3)));
        assert!(slow(cx).any(cx, |n| n == 1).await? && slow(cx).all(cx, |n| n < 4).await?);
        assert_eq!(slow(cx).find(cx, |n| *n > 1).await?, Some(2));
        let (low, high): (Vec<u32>, Vec<u32>) = slow(cx).partition(cx, |n| *n < 2).await?;
        assert_eq!((low.len(), high.len()), (2, 2));
        let _: (Vec<u32>, Vec<u32>) = slow(cx).map(|n| (n, n)).unzip(cx).await?;
        slow(cx).for_each(cx, async |_| _ = cx.sleep(MS).await).await?;
        let rest = |n: u32| async move {
            cx.sleep(MS * n).await?;
            Ok::<_, Error>(n)
        };
        slow(cx).for_each_concurrent(cx, 2, async |n| _ = rest(n).await).await?;
        let doubled = slow(cx).map(rest).buffered(cx, 2).map_ok(|n| n * 2);
        assert_eq!(doubled.try_collect::<Vec<_>>(cx).await?, [0, 2, 4, 6]);
        let raced = slow(cx).map(|n| Ok(rest(n))).try_buffer_unordered(cx, 3);
        assert_eq!(raced.try_fold(cx, 0, |a, n| Ok(a + n)).await?, 6);
        let in_turn = slow(cx).map(|n| Ok(rest(n))).try_buffered(cx, 3).and_then(rest);
        in_turn.try_for_each(cx, async |n| rest(n).await.map(drop)).await?;
        slow(cx).map(Ok).try_for_each_concurrent(cx, 2, async |n| rest(n).await.map(drop)).await?;
        let mut peekable = Box::pin(slow(cx)).peekable();
        assert_eq!(peekable.peek(cx).await?, Some(&0));
        assert_eq!(peekable.next(cx).await?, Some(0));
        peekable.drain(cx).await;
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 40, "{summary:?}");
}
