//! A guard is held while sending into a full channel, and the receiver needs the lock to go on.

use crate::corpus::bug;
use asupersync::channel::mpsc;
use asupersync::sync::Mutex;
use asupersync_core::{Cx, Error};
use std::sync::Arc;

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let (tx, mut rx) = mpsc::channel(1);
        let log = Arc::new(Mutex::new(0_u32));
        let shared = log.clone();
        let _ = scope.spawn_named("producer", async move |cx: &Cx| {
            let mut guard = Some(shared.lock(cx).await?);
            if !defect {
                guard = None;
            }
            for n in 0..3 {
                tx.reserve(cx).await?.send(n);
            }
            drop(guard);
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("consumer", async move |cx: &Cx| {
            for _ in 0..3 {
                let n = rx.recv(cx).await?;
                *log.lock(cx).await? += n;
            }
            Ok(())
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(no_guard_is_held_over_a_full_channel_whose_receiver_needs_it, WaitCycle,
     words: &["\"producer\"", "\"consumer\"", "Mutex::lock at", "mpsc::"]);
