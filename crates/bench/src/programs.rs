//! Programs of the lab that are both timed beside peers and counted in instructions.

use std::sync::Arc;

use asupersync_core::{Cx, Error};
use asupersync_lab::{Exploration, ExploreOptions, LabReport, LabRuntime, Mutex, Shared, explore};

/// A run of so many tasks that yield once.
pub(crate) fn yields(lab: &LabRuntime, tasks: usize) {
    drop(yielded(lab, tasks));
}

/// The same, and what it came to.
#[inline(always)]
pub(crate) fn yielded(lab: &LabRuntime, tasks: usize) -> LabReport<(), Error> {
    let report = lab.run(async move |cx: &Cx| {
        for _ in 0..tasks {
            let _ = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
        }
        Ok::<_, Error>(())
    });
    assert!(report.outcome.is_ok() && report.findings.is_empty());
    report
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

/// One task writes what eight others read: 256 classes.
pub(crate) fn readers_8() -> Exploration {
    explore(ExploreOptions::default(), async move |cx: &Cx| {
        let outcome = cx.region(async |scope| {
            let x = Shared::new(0);
            let cell = x.clone();
            let _ = scope.spawn(async move |cx: &Cx| Ok::<_, Error>(cell.set(cx, 1).await?));
            for _ in 0..8 {
                let cell = x.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    cell.get(cx).await?;
                    Ok(())
                });
            }
            Ok(())
        });
        outcome.await.into_result()?;
        Ok::<_, Error>(())
    })
}

/// The last zero of an array that others fill (Abdulla and others, POPL 2014).
pub(crate) fn lastzero(n: usize) -> Exploration {
    explore(ExploreOptions::default(), async move |cx: &Cx| {
        let outcome = cx.region(async |scope| {
            let cells: Arc<Vec<Shared<u64>>> = Arc::new((0..=n).map(|_| Shared::new(0)).collect());
            let array = cells.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                let mut at = n;
                while array[at].get(cx).await? != 0 {
                    at -= 1;
                }
                Ok::<_, Error>(())
            });
            for at in 1..=n {
                let array = cells.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    let value = array[at - 1].get(cx).await?;
                    array[at].set(cx, value + 1).await?;
                    Ok(())
                });
            }
            Ok(())
        });
        outcome.await.into_result()?;
        Ok::<_, Error>(())
    })
}
