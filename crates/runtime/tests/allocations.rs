//! Memory that short tasks leave behind: none.

use asupersync_core::{Cx, Error};
use asupersync_runtime::RuntimeBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations - stats.deallocations
}

async fn spawn(cx: &Cx, tasks: usize) -> Result<(), Error> {
    for _ in 0..tasks / 1000 {
        let region = cx.region(async |scope| {
            for n in 0..1000_u64 {
                let _ = scope.spawn(async move |cx: &Cx| {
                    if n % 100 == 0 {
                        cx.yield_now().await?;
                    }
                    Ok::<_, Error>(n)
                });
            }
            Ok(())
        });
        region.await.into_result()?;
    }
    Ok(())
}

#[test]
fn after_a_million_short_tasks_as_much_is_allocated_as_before() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        // Queues and tables grow to their size first.
        spawn(cx, 20_000).await?;
        let before = live();
        spawn(cx, 1_000_000).await?;
        Ok::<_, Error>((before, live()))
    });
    let (before, after) = outcome.ok().unwrap();
    // A queue that grew is reclaimed later; what a task leaves behind would be there a million times.
    assert!(after <= before + 1_000, "{before} live allocations became {after}");
}
