//! Hedging: a backup only when it is needed, and no loser left behind.

use asupersync_combinator::{HedgeError, Latencies, hedge};
use asupersync_core::{CancelKind, CancelReason, Cx, Error, Outcome, Time};
use asupersync_lab::{cancel_everywhere, check};
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug)]
struct Plan {
    takes: u64,
    succeeds: bool,
}

/// Follows its plan; when told that it lost, drains over one more poll and counts itself.
async fn follow(
    cx: &Cx,
    plan: Plan,
    name: &'static str,
    drained: &AtomicU32,
) -> Result<&'static str, &'static str> {
    if let Err(cancelled) = cx.sleep(Duration::from_millis(plan.takes)).await {
        assert_eq!(cancelled.kind(), CancelKind::RaceLost);
        cx.masked(async { cx.yield_now().await }).await.unwrap();
        drained.fetch_add(1, Ordering::Relaxed);
        return Ok("too late");
    }
    if plan.succeeds { Ok(name) } else { Err(name) }
}

#[test]
fn random_pairs_end_as_and_when_their_plans_say() {
    const DELAY: u64 = 20;
    check(0..400, async |cx: &Cx| {
        // Odd times for the one and even for the other: never at the same moment.
        let plan = |odd| Plan {
            takes: 2 * (cx.random_u64() % 25) + odd,
            succeeds: !cx.random_u64().is_multiple_of(3),
        };
        let (primary, backup) = (plan(1), plan(0));
        let begins = if primary.succeeds { DELAY } else { DELAY.min(primary.takes) };
        let (first, second) = (primary.takes, begins + backup.takes);
        let begun = primary.takes > DELAY || !primary.succeeds;
        let (expected, at, drains) = if primary.succeeds && (!begun || first < second) {
            (Ok("primary"), first, u32::from(begun))
        } else if backup.succeeds && (first > second || !primary.succeeds) {
            (Ok("backup"), second, u32::from(first > second))
        } else if primary.succeeds {
            (Ok("primary"), first, 0)
        } else {
            let both = HedgeError::BothFailed { primary: "primary", backup: "backup" };
            (Err(both), first.max(second), 0)
        };

        let (drained, made) = (AtomicU32::new(0), AtomicU32::new(0));
        let result = hedge(
            cx,
            Duration::from_millis(DELAY),
            follow(cx, primary, "primary", &drained),
            || {
                made.fetch_add(1, Ordering::Relaxed);
                follow(cx, backup, "backup", &drained)
            },
        )
        .await;
        assert_eq!(result, expected, "{primary:?} {backup:?}");
        assert_eq!(cx.now(), Time::from_millis(at), "{primary:?} {backup:?}");
        assert_eq!(made.load(Ordering::Relaxed), u32::from(begun), "{primary:?} {backup:?}");
        assert_eq!(drained.load(Ordering::Relaxed), drains, "{primary:?} {backup:?}");
        assert!(cx.checkpoint().is_ok());
        Ok::<_, Error>(())
    });
}

#[test]
fn a_panic_of_the_backup_drains_the_primary() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let drained = AtomicU32::new(0);
        let plan = Plan { takes: 1000, succeeds: true };
        let primary = follow(cx, plan, "primary", &drained);
        let backup = || async { panic!("boom") };
        let _ = hedge(cx, MS, primary, backup).await;
        Ok::<_, Error>(())
    });
    assert!(matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
}

#[test]
fn a_foreign_primary_does_not_hold_up_the_backup() {
    check(0..5, async |cx: &Cx| {
        let never = pending::<Result<u8, &str>>();
        assert_eq!(hedge(cx, MS, never, || async { Ok(7) }).await, Ok(7));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_cancellation_before_the_delay_begins_no_backup() {
    check(0..20, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let primary = async { cx.sleep(Duration::from_secs(9)).await };
            let backup = || async { panic!("begun") };
            let error = hedge(cx, 5 * MS, primary, backup).await.unwrap_err();
            assert!(matches!(error, HedgeError::Cancelled(_)), "{error:?}");
            Err::<(), Error>(error.into())
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
}

#[test]
fn it_is_sound_whenever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let primary = async { Ok(cx.sleep(9 * MS).await.map(|()| "primary")?) };
        let backup = || async { Ok::<_, Error>(cx.sleep(3 * MS).await.map(|()| "backup")?) };
        assert_eq!(hedge(cx, 2 * MS, primary, backup).await?, "backup");
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 3, "{summary:?}");
}

#[test]
fn a_percentile_is_that_of_the_newest_latencies() {
    let seen = Latencies::new(4);
    for ms in [1000, 1000, 1, 2, 3, 4] {
        seen.record(Duration::from_millis(ms));
    }
    let at = |percent| seen.percentile(percent).unwrap().as_millis();
    assert_eq!([at(0), at(25), at(26), at(75), at(100), at(255)], [1, 1, 2, 3, 4, 4]);
}
