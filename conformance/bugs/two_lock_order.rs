//! Two tasks take two locks in opposite orders.

use crate::corpus::bug;
use asupersync::lab::{LabConfig, LabRuntime};
use asupersync::sync::Mutex;
use asupersync_core::{Cx, Error};
use std::sync::Arc;

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let locks = Arc::new([Mutex::new(0_u32), Mutex::new(0_u32)]);
        for (name, first, second) in
            [("left", 0, 1), if defect { ("right", 1, 0) } else { ("right", 0, 1) }]
        {
            let locks = locks.clone();
            let _ = scope.spawn_named(name, async move |cx: &Cx| {
                let mut outer = locks[first].lock(cx).await?;
                cx.yield_now().await?;
                let mut inner = locks[second].lock(cx).await?;
                (*outer, *inner) = (*outer + 1, *inner + 1);
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(locks_are_taken_in_one_order, WaitCycle, words: &["\"left\"", "\"right\"", "Mutex::Guard"]);

#[test]
fn opposite_orders_are_warned_of_in_runs_that_pass() {
    let mut passed = 0;
    for seed in 0..50 {
        let run = |defect| {
            let lab = LabRuntime::new(LabConfig::default().seed(seed));
            lab.run(async move |cx: &Cx| story(cx, defect).await)
        };
        let report = run(true);
        if report.is_ok() {
            passed += 1;
            let [warning] = &report.warnings[..] else { panic!("{:?}", report.warnings) };
            assert!(warning.contains("in the opposite order"), "{warning}");
        }
        assert!(run(false).warnings.is_empty());
    }
    assert!(passed > 0, "no seed passed");
}
