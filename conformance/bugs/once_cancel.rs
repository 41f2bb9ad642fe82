//! An initialiser is cancelled half way, and run again from the start. (tokio #4496)

use crate::corpus::bug;
use asupersync::lab::effect;
use asupersync::sync::Mutex;
use asupersync_core::{CancelReason, Cx, Error};
use std::sync::Arc;

async fn initialise(cx: &Cx) -> Result<u32, Error> {
    effect(cx, "the registration");
    cx.yield_now().await?;
    Ok(7)
}

async fn get(cx: &Cx, cell: &Mutex<Option<u32>>, defect: bool) -> Result<u32, Error> {
    let mut value = cell.lock(cx).await?;
    if let Some(value) = *value {
        return Ok(value);
    }
    let made = if defect { initialise(cx).await? } else { cx.masked(initialise(cx)).await? };
    *value = Some(made);
    Ok(made)
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let cell = Arc::new(Mutex::new(None));
        let other = cell.clone();
        let first = scope.spawn_named("first", async move |cx: &Cx| get(cx, &cell, defect).await);
        let _ = scope.spawn_named("second", async move |cx: &Cx| get(cx, &other, defect).await);
        cx.yield_now().await?;
        first.cancel(CancelReason::user("too slow"));
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(a_cancelled_initialiser_does_not_run_twice, Effects, words: &["the registration happened 2 times"]);
