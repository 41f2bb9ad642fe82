//! A fair lock is handed to a future that its task does not poll any more, and the task asks for the lock
//! again. (Oxide RFD 609)

use crate::corpus::bug;
use asupersync::sync::Mutex;
use asupersync_core::{Cx, Error};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let lock = Arc::new(Mutex::new(0_u32));
        let holder = lock.clone();
        let _ = scope.spawn_named("holder", async move |cx: &Cx| {
            let mut count = holder.lock(cx).await?;
            cx.yield_now().await?;
            *count += 1;
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("selector", async move |cx: &Cx| {
            let mut first = Box::pin(lock.lock(cx));
            // A `select!` whose other branch is ready: `first` is polled once.
            let polled = poll_fn(|context| Poll::Ready(first.as_mut().poll(context))).await;
            if let Poll::Ready(guard) = polled {
                *guard? += 1;
                return Ok(());
            }
            let mut kept = Some(first);
            if !defect {
                kept = None;
            }
            *lock.lock(cx).await? += 1;
            drop(kept);
            Ok(())
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(a_lock_is_not_handed_to_a_future_that_is_kept_unpolled, Futurelock,
     words: &["\"selector\"", "Mutex::lock at", "handed to a future of its own, waiting in Mutex::lock at"]);
