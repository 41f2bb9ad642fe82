//! Pipelines: everything comes through once, nobody runs ahead, errors stop all stages.

use asupersync_combinator::pipeline;
use asupersync_core::{CancelKind, Cx, Error, Outcome};
use asupersync_lab::{cancel_everywhere, check};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn every_value_comes_through_once_and_no_stage_exceeds_its_hands() {
    check(0..100, async |cx: &Cx| {
        let (len, hands) = (cx.random_u64() % 30, 1 + (cx.random_u64() % 4) as usize);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut values = pipeline(cx, 0..len)
            .stage(hands, async |n| {
                most.fetch_max(1 + now.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                cx.sleep(Duration::from_millis(cx.random_u64() % 5)).await?;
                now.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, Error>(n)
            })
            .stage(1, async |n| {
                cx.sleep(Duration::from_millis(cx.random_u64() % 3)).await?;
                Ok(n + 100)
            })
            .collect()
            .await?;
        assert!(most.load(Ordering::Relaxed) <= hands);
        if hands == 1 {
            assert!(values.is_sorted());
        }
        values.sort_unstable();
        assert_eq!(values, (100..100 + len).collect::<Vec<_>>());
        Ok::<_, Error>(())
    });
}

#[test]
fn the_source_is_asked_for_no_more_than_there_is_room_for() {
    check(0..20, async |cx: &Cx| {
        let (made, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let source = (0..50).inspect(|_| {
            let ahead = 1 + made.fetch_add(1, Ordering::Relaxed) - done.load(Ordering::Relaxed);
            // The source's own and the place behind it, two in the first stage and two behind it, one
            // in the second stage; what leaves that is taken at once.
            assert!(ahead <= 2 + 4 + 1, "{ahead} values under way");
        });
        let quick = async |n: u32| Ok::<_, Error>(n);
        let slow = async |n: u32| {
            cx.sleep(MS).await?;
            Ok(n)
        };
        let end = pipeline(cx, source).stage(2, quick).stage(1, slow).for_each(|_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        end.await?;
        assert_eq!(done.load(Ordering::Relaxed), 50);
        assert_eq!(cx.now().as_nanos(), 50_000_000, "the slowest stage was always busy");
        Ok::<_, Error>(())
    });
}

#[test]
fn an_error_in_any_stage_drains_all_of_them() {
    check(0..60, async |cx: &Cx| {
        let failing = cx.random_u64() % 3;
        let (busy, drained) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = async |stage: u64, n: u64| {
            if stage == failing && n == 5 {
                return Err(Error::msg("rotten"));
            }
            busy.fetch_add(1, Ordering::Relaxed);
            let result = cx.sleep(MS).await;
            if let Err(cancelled) = result {
                assert_eq!(cancelled.severity(), CancelKind::FailFast);
                cx.masked(async { cx.yield_now().await }).await?;
                drained.fetch_add(1, Ordering::Relaxed);
            }
            busy.fetch_sub(1, Ordering::Relaxed);
            result?;
            Ok(n)
        };
        let result = pipeline(cx, 0..100)
            .stage(2, async |n| work(0, n).await)
            .stage(3, async |n| work(1, n).await)
            .stage(1, async |n| work(2, n).await)
            .collect()
            .await;
        assert!(result.unwrap_err().to_string().contains("rotten"));
        assert_eq!(busy.load(Ordering::Relaxed), 0, "nothing was dropped half-way");
        assert!(drained.load(Ordering::Relaxed) > 0);
        assert!(cx.checkpoint().is_ok());
        Ok::<_, Error>(())
    });
}

#[test]
fn a_pipelines_future_does_not_grow_with_its_stages() {
    check(0..1, async |cx: &Cx| {
        let same = async |n: u8| Ok::<_, Error>(n);
        let one = pipeline(cx, 0..5).stage(1, same).collect();
        let four = pipeline(cx, 0..5).stage(1, same).stage(2, same).stage(1, same).stage(2, same);
        let four = four.collect();
        assert_eq!(size_of_val(&four), size_of_val(&one));
        assert_eq!((one.await?, four.await?.len()), (vec![0, 1, 2, 3, 4], 5));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panic_of_the_sink_is_passed_on() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let same = async |n: u8| Ok::<_, Error>(n);
        pipeline(cx, 0..5).stage(1, same).for_each(|_| panic!("boom")).await?;
        Ok::<_, Error>(())
    });
    assert!(matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
}

#[test]
fn it_is_sound_whenever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let slow = async |n: u32| {
            cx.sleep(MS).await?;
            Ok::<_, Error>(n)
        };
        let values = pipeline(cx, 0..4).stage(2, slow).stage(1, slow).collect().await?;
        assert_eq!(values.len(), 4);
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 4, "{summary:?}");
}

#[test]
fn a_stage_without_a_limit_has_as_many_hands_as_there_may_be() {
    let report = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default()).run(
        async |cx: &Cx| {
            let stages = pipeline(cx, 0..100).stage(usize::MAX, async |n: u32| Ok::<_, Error>(n));
            assert_eq!(stages.collect().await?.len(), 100);
            Ok::<_, Error>(())
        },
    );
    assert!(report.is_ok(), "{report}");
}
