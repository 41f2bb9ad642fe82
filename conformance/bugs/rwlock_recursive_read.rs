//! A task reads, another queues a write, and the first reads again while it still holds. (tokio #2849)

use crate::corpus::bug;
use asupersync::sync::RwLock;
use asupersync_core::{Cx, Error};
use std::sync::Arc;

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let lock = Arc::new(RwLock::new(0_u32));
        let shared = lock.clone();
        let _ = scope.spawn_named("reader", async move |cx: &Cx| {
            let mut outer = Some(shared.read(cx).await?);
            cx.yield_now().await?;
            if !defect {
                outer = None;
            }
            let inner = *shared.read(cx).await?;
            drop(outer);
            assert!(inner <= 1);
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("writer", async move |cx: &Cx| {
            *lock.write(cx).await? += 1;
            Ok(())
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(a_task_does_not_read_again_under_its_own_read_guard, WaitCycle,
     words: &["RwLock::read at", "\"reader\""]);
