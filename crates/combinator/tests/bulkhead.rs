//! Bulkheads: so many at work, so many waiting, the rest refused.

use asupersync_combinator::{Bulkhead, BulkheadError};
use asupersync_core::{CancelReason, Cx, Error};
use asupersync_lab::{cancel_everywhere, check};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn no_more_are_at_work_than_may_be_and_no_more_refused_than_must_be() {
    check(0..200, async |cx: &Cx| {
        let at_work = 1 + (cx.random_u64() % 4) as usize;
        let waiting = (cx.random_u64() % 4) as usize;
        let callers = (cx.random_u64() % 12) as usize;
        let bulkhead = Arc::new(Bulkhead::new(at_work, waiting));
        let counts = Arc::new([const { AtomicUsize::new(0) }; 3]);
        let outcome = cx.region(async |scope| {
            for _ in 0..callers {
                let (bulkhead, counts) = (bulkhead.clone(), counts.clone());
                let _ = scope.spawn(async move |cx: &Cx| {
                    let [working, done, refused] = &*counts;
                    let work = async {
                        assert!(working.fetch_add(1, Ordering::Relaxed) < at_work);
                        let slept = cx.sleep(MS).await;
                        working.fetch_sub(1, Ordering::Relaxed);
                        done.fetch_add(1, Ordering::Relaxed);
                        slept
                    };
                    match bulkhead.run(cx, work).await {
                        Ok(slept) => Ok(slept?),
                        Err(BulkheadError::Full) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            Ok(())
                        }
                        Err(error) => Err(Error::from(error)),
                    }
                });
            }
            Ok(())
        });
        outcome.await.into_result()?;
        let [_, done, refused] = &*counts;
        let expected = callers.saturating_sub(at_work + waiting);
        assert_eq!(refused.load(Ordering::Relaxed), expected, "all came before one was done");
        assert_eq!(done.load(Ordering::Relaxed), callers - expected);
        assert_eq!(bulkhead.free(), at_work + waiting);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_cancelled_waiter_and_a_panic_give_their_places_back() {
    check(0..20, async |cx: &Cx| {
        let bulkhead = Arc::new(Bulkhead::new(1, 1));
        let shared = bulkhead.clone();
        let outcome = cx.region(async |scope| {
            let panicking = shared.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                let work = async {
                    cx.sleep(5 * MS).await?;
                    panic!("boom")
                };
                let ran: Result<(), Error> = panicking.run(cx, work).await?;
                ran
            });
            cx.sleep(MS).await?;
            let mut waiter = scope.spawn(async move |cx: &Cx| Ok(shared.run(cx, async {}).await?));
            cx.sleep(MS).await?;
            let full = bulkhead.run(cx, async { panic!("polled") }).await;
            assert_eq!(full, Err::<(), _>(BulkheadError::Full));
            waiter.cancel(CancelReason::user("enough"));
            assert!(waiter.join(cx).await?.is_cancelled());
            assert_eq!(bulkhead.free(), 1);
            Ok::<(), Error>(())
        });
        let _ = outcome.await;
        assert_eq!(bulkhead.free(), 2);
        assert_eq!(bulkhead.run(cx, async { 7 }).await, Ok(7));
        Ok::<_, Error>(())
    });
}

#[test]
fn it_is_sound_whenever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let bulkhead = Arc::new(Bulkhead::new(1, 3));
        let outcome = cx.region(async |scope| {
            for _ in 0..4 {
                let bulkhead = bulkhead.clone();
                let work =
                    async move |cx: &Cx| Ok::<_, Error>(bulkhead.run(cx, cx.sleep(MS)).await??);
                let _ = scope.spawn(work);
            }
            Ok(())
        });
        outcome.await.into_result()?;
        assert_eq!(bulkhead.free(), 4);
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 10, "{summary:?}");
}
