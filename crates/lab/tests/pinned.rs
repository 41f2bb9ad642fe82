//! Tasks whose futures are not `Send`.

use asupersync_core::{CancelReason, Cx, Error};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn a_pinned_task_holds_what_is_not_send_across_its_awaits() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                let start = 40;
                let mut pinned = scope.spawn_pinned(async move |cx| {
                    let count = Rc::new(Cell::new(start));
                    let other = Rc::clone(&count);
                    cx.sleep(Duration::from_millis(1)).await?;
                    other.set(other.get() + 2);
                    Ok(count.get())
                });
                Ok::<_, Error>(pinned.join(cx).await?.into_result()?)
            })
            .await;
        assert_eq!(outcome.into_result()?, 42);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_cancelled_pinned_task_cleans_up_before_its_region_closes() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let (told, seen) = std::sync::mpsc::channel();
        let outcome = cx
            .region(async |scope| {
                let pinned = scope.spawn_pinned(async move |cx| {
                    let held = Rc::new(told);
                    let result = cx.sleep(Duration::from_secs(3600)).await;
                    held.send("cleaned up").expect("the test listens");
                    Ok(result?)
                });
                cx.yield_now().await?;
                pinned.cancel(CancelReason::user("enough"));
                Ok::<_, Error>(())
            })
            .await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(seen.try_recv(), Ok("cleaned up"));
        Ok::<_, Error>(())
    });
}
