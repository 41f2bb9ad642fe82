//! The front door: what a failing test prints, and that what it prints replays it.

use asupersync_core::{Cx, Error};
use asupersync_lab::{LabTest, Shared, check};
use std::panic::catch_unwind;

/// Two increments, each a read and then a write.
async fn lost_update(cx: &Cx) -> Result<(), Error> {
    let count = Shared::new(0_u32);
    cx.region(async |scope| {
        for name in ["left", "right"] {
            let count = count.clone();
            let _ = scope.spawn_named(name, async move |cx: &Cx| {
                let seen = count.get(cx).await?;
                count.set(cx, seen + 1).await?;
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    assert_eq!(count.get(cx).await?, 2, "an update was lost");
    Ok(())
}

fn failure(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(test).expect_err("the test should fail");
    *payload.downcast::<String>().expect("the report is text")
}

#[test]
fn a_lost_update_is_found_and_its_report_tells_all() {
    let text = failure(|| {
        LabTest::new("suite::lost_update").seeds(0..100).run(lost_update);
    });
    for words in [
        "lost_update: failed with seed ",
        "the body panicked: assertion `left == right` failed: an update was lost",
        "left: reads Shared x",
        "right: writes Shared x",
        "ends as Panicked",
        "replay the seed:  ASUPERSYNC_LAB_SEED=",
        "lost_update -- --exact",
        "ASUPERSYNC_LAB_REPLAY=",
    ] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
    assert!(!text.contains("warning: run again, it went another way"), "{text}");
}

#[test]
fn a_correct_body_has_as_many_behaviours_as_theory_says() {
    // Two reads and writes of one cell each: of the 6 interleavings each is its own class but for
    // those that differ only in the order of the two reads, or of steps before them.
    let summary = check(0..400, async |cx: &Cx| {
        let cell = Shared::new(0_u32);
        cx.region(async |scope| {
            for _ in 0..2 {
                let cell = cell.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    cell.update(cx, |value| *value += 1).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok::<_, Error>(assert_eq!(cell.get(cx).await?, 2))
    });
    assert_eq!((summary.runs, summary.classes), (400, 2));
}

#[test]
fn an_ambient_source_of_randomness_is_noticed_when_its_failure_is_replayed() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let text = failure(|| {
        check(0..10, async |cx: &Cx| {
            for _ in 0..RUNS.fetch_add(1, Ordering::Relaxed) {
                let _ = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
            }
            assert!(RUNS.load(Ordering::Relaxed) < 3);
            Ok::<_, Error>(())
        });
    });
    assert!(text.contains("warning: run again, it went another way"), "{text}");
}
