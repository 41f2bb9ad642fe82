//! What a mutex that measures itself promises.
#![cfg(not(loom))]

use asupersync_core::{CancelReason, Cx, Error};
use asupersync_sync::ContendedMutex;
use std::sync::Arc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn waits_and_holds_are_measured_in_the_hosts_time() {
    asupersync_lab::check(0..20, async |cx: &Cx| {
        let mutex = Arc::new(ContendedMutex::new(0));
        let shared = mutex.clone();
        cx.region(async |scope| {
            for _ in 0..3 {
                let mutex = shared.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    let mut guard = mutex.lock(cx).await?;
                    cx.sleep(4 * MS).await?;
                    *guard += 1;
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        let stats = mutex.stats();
        assert_eq!((stats.wait.count(), stats.hold.count(), stats.contended()), (3, 3, 2));
        assert_eq!((stats.wait.sum(), stats.wait.max()), (12 * MS, 8 * MS));
        assert_eq!((stats.hold.sum(), stats.hold.max()), (12 * MS, 4 * MS));
        assert!(mutex.try_lock(cx).is_some());
        Ok::<_, Error>(())
    });
}

#[test]
fn a_cancelled_waiter_is_counted_as_contended_but_has_not_waited_for_the_lock() {
    asupersync_lab::check(0..20, async |cx: &Cx| {
        let mutex = Arc::new(ContendedMutex::new(()));
        let guard = mutex.lock(cx).await?;
        let other = mutex.clone();
        let mut waiter = cx.spawn(async move |cx: &Cx| {
            drop(other.lock(cx).await?);
            Ok::<_, Error>(())
        });
        cx.sleep(MS).await?;
        waiter.cancel(CancelReason::user("enough"));
        assert!(waiter.join(cx).await?.is_cancelled());
        drop(guard);
        assert_eq!((mutex.stats().contended(), mutex.stats().wait.count()), (1, 1));
        Ok::<_, Error>(())
    });
}
