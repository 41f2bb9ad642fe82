//! Programs of the lab that are both timed beside peers and counted in instructions.

use asupersync_core::{Cx, Error};
use asupersync_lab::{Exploration, ExploreOptions, LabRuntime, Mutex, explore};

/// A run of so many tasks that yield once.
pub(crate) fn yields(lab: &LabRuntime, tasks: usize) {
    let report = lab.run(async move |cx: &Cx| {
        for _ in 0..tasks {
            let _ = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
        }
        Ok::<_, Error>(())
    });
    assert!(report.outcome.is_ok() && report.findings.is_empty());
}

/// Three tasks take a mutex and release it, in each of the six orders.
pub(crate) fn pi_3() -> Exploration {
    explore(ExploreOptions::default(), async move |cx: &Cx| {
        let outcome = cx.region(async |scope| {
            let mutex = Mutex::new();
            for _ in 0..3 {
                let mutex = mutex.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    mutex.lock(cx).await?.unlock(cx).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok(())
        });
        outcome.await.into_result()?;
        Ok::<_, Error>(())
    })
}
