//! Quorums and sequences: enough successes, no sooner and no later.

use asupersync_combinator::{FirstOkError, QuorumError, first_ok, quorum};
use asupersync_core::{CancelKind, CancelReason, Cx, Error, Outcome, TaskCx, Time};
use asupersync_lab::{cancel_everywhere, check};
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Waits for its cancellation, cleans up over three polls, and counts itself.
async fn slow(cx: &TaskCx, drained: &AtomicU32) -> Result<u32, &'static str> {
    let cancelled = cx.wait("slow", |_| Poll::<()>::Pending).await.unwrap_err();
    for _ in 0..3 {
        cx.masked(async { cx.yield_now().await }).await.unwrap();
    }
    assert_eq!(cancelled.kind(), CancelKind::RaceLost);
    drained.fetch_add(1, Ordering::Relaxed);
    Ok(99)
}

/// What each replica of a random cluster does.
#[derive(Clone, Copy, Debug)]
enum Replica {
    Answers { after: u64, with: Result<u32, &'static str> },
    Hangs,
}

async fn ask(cx: &Cx, replica: Replica, drained: &AtomicU32) -> Result<u32, &'static str> {
    match replica {
        Replica::Answers { after, with } => {
            if cx.sleep(Duration::from_millis(after)).await.is_err() {
                drained.fetch_add(1, Ordering::Relaxed);
                return Ok(99);
            }
            with
        }
        Replica::Hangs => slow(cx, drained).await,
    }
}

#[test]
fn random_clusters_settle_when_and_as_their_answers_say() {
    check(0..400, async |cx: &Cx| {
        let of = 1 + (cx.random_u64() % 7) as usize;
        let needed = 1 + (cx.random_u64() % of as u64) as usize;
        // Distinct times, so that the order of answers is known.
        let cluster: Vec<Replica> = (0..of)
            .map(|n| match cx.random_u64() % 5 {
                0 => Replica::Hangs,
                kind => {
                    let after = 1 + n as u64 + 10 * (cx.random_u64() % 9);
                    let with = if kind < 3 { Err("refused") } else { Ok(n as u32) };
                    Replica::Answers { after, with }
                }
            })
            .collect();
        let mut answers: Vec<_> = cluster
            .iter()
            .filter_map(|replica| match *replica {
                Replica::Answers { after, with } => Some((after, with)),
                Replica::Hangs => None,
            })
            .collect();
        answers.sort_unstable_by_key(|(after, _)| *after);
        let (mut values, mut failures, mut settled) = (Vec::new(), 0, None);
        for (after, with) in &answers {
            match with {
                Ok(value) => values.push(*value),
                Err(_) => failures += 1,
            }
            if values.len() == needed || failures > of - needed {
                settled = Some(*after);
                break;
            }
        }
        // A cluster that never settles would hang the test as it hangs the caller.
        let Some(settled) = settled else { return Ok(()) };
        values.sort_unstable();

        let drained = AtomicU32::new(0);
        let asked = cluster.iter().map(|replica| ask(cx, *replica, &drained));
        let result = quorum(cx, needed, asked).await;
        assert_eq!(cx.now(), Time::from_millis(settled), "{cluster:?}");
        let counted = match result {
            Ok(got) => {
                assert_eq!(got, values, "{cluster:?}");
                got.len() + failures
            }
            Err(QuorumError::Impossible { errors, .. }) => {
                assert!(values.len() < needed);
                assert_eq!(errors.len(), failures);
                values.len() + errors.len()
            }
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(drained.load(Ordering::Relaxed) as usize, of - counted, "all others drained");
        assert!(cx.checkpoint().is_ok());
        Ok::<_, Error>(())
    });
}

#[test]
fn quorums_of_nothing_and_of_too_many_poll_nothing() {
    check(0..1, async |cx: &Cx| {
        let never = || [async { panic!("polled") }];
        assert_eq!(quorum::<_, u8, &str>(cx, 0, never()).await, Ok(vec![]));
        let impossible = QuorumError::Impossible { needed: 2, of: 1, errors: vec![] };
        let error = impossible.to_string();
        assert_eq!(error, "2 successes were asked for, of only 1 futures");
        assert_eq!(quorum::<_, u8, &str>(cx, 2, never()).await, Err(impossible));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panicking_branch_drains_the_rest_of_the_quorum() {
    let drained = Arc::new(AtomicU32::new(0));
    let seen = drained.clone();
    let report = asupersync_lab::run(1, async move |cx: &Cx| {
        let ask = async |n| {
            if n == 1 {
                cx.sleep(MS).await.unwrap();
                panic!("boom");
            }
            slow(cx, &seen).await
        };
        let _ = quorum(cx, 2, (0..3).map(ask)).await;
        Ok::<_, Error>(())
    });
    assert!(matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
    assert_eq!(drained.load(Ordering::Relaxed), 2);
}

#[test]
fn a_cancelled_quorum_of_foreign_futures_answers_cancelled() {
    check(0..5, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let never = pending::<Result<u8, Error>>;
            match quorum(cx, 1, [never(), never()]).await {
                Err(QuorumError::Cancelled(cancelled)) => Err::<(), Error>(cancelled.into()),
                other => panic!("{other:?}"),
            }
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
}

#[test]
fn both_are_sound_whenever_they_are_cancelled() {
    let summary = cancel_everywhere(3, async |cx: &Cx| {
        let replica = async |n: u64| {
            cx.sleep(Duration::from_millis(n)).await?;
            if n == 1 { Err(Error::msg("offline")) } else { Ok(n) }
        };
        assert_eq!(quorum(cx, 2, (1..5).map(replica)).await?, [2, 3]);
        assert_eq!(first_ok(cx, (1..5).map(replica)).await?, 2);
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 5, "{summary:?}");
}

#[test]
fn first_ok_tries_no_more_than_it_needs() {
    check(0..5, async |cx: &Cx| {
        let made = AtomicU32::new(0);
        let tries = (0..9).map(|n| {
            made.fetch_add(1, Ordering::Relaxed);
            ready(if n == 2 { Ok(n) } else { Err(n) })
        });
        assert_eq!(first_ok(cx, tries).await, Ok(2));
        assert_eq!(made.load(Ordering::Relaxed), 3);
        let failing = (0..3).map(|n| ready(Err::<(), _>(n)));
        assert_eq!(first_ok(cx, failing).await, Err(FirstOkError::AllFailed(vec![0, 1, 2])));
        Ok::<_, Error>(())
    });
}

#[test]
fn first_ok_begins_nothing_in_a_cancelled_scope() {
    check(0..5, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let begun = AtomicU32::new(0);
            let tries = (0..9).map(async |_| {
                begun.fetch_add(1, Ordering::Relaxed);
                cx.sleep(Duration::from_secs(1)).await
            });
            let error = first_ok(cx, tries).await.unwrap_err();
            assert!(matches!(&error, FirstOkError::Cancelled { errors, .. } if errors.len() == 1));
            assert_eq!(begun.load(Ordering::Relaxed), 1);
            Err::<(), Error>(error.into())
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
}
