//! The promises about special children, on every host: the lab in many schedules and with a cancellation
//! at every step, one thread, several threads.

use asupersync::lab;
use asupersync::prelude::*;
use asupersync::runtime::RuntimeBuilder;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(2);
const EVER: Duration = Duration::from_secs(3600);

macro_rules! on_every_host {
    ($name:ident, $body:path) => {
        #[test]
        fn $name() {
            lab::check(0..50, $body);
            lab::cancel_everywhere(1, $body);
            for builder in
                [RuntimeBuilder::current_thread(), RuntimeBuilder::multi_thread().worker_threads(3)]
            {
                let runtime = builder.build().unwrap();
                for _ in 0..10 {
                    runtime.block_on($body).into_result().unwrap();
                }
                let report = runtime.shutdown(Duration::from_secs(5));
                assert!(report.is_clean(), "{report}");
            }
        }
    };
}

async fn services_end_last(cx: &Cx) -> Result<(), Error> {
    let workers = Arc::new(AtomicU32::new(0));
    let at_end = Arc::new(Mutex::new(None));
    let (seen, ended) = (workers.clone(), at_end.clone());
    let outcome: Outcome<(), Error> = cx
        .region(async move |scope| {
            let inside = workers.clone();
            let _ = scope.spawn_service(async move |cx: &Cx| {
                let cancelled = cx.sleep(EVER).await;
                *at_end.lock().unwrap() = Some(inside.load(Ordering::SeqCst));
                Ok(cancelled?)
            });
            for _ in 0..3 {
                workers.fetch_add(1, Ordering::SeqCst);
                let leaves = Leaves(workers.clone());
                let _ = scope.spawn(async move |cx: &Cx| {
                    let _leaves = leaves;
                    Ok(cx.sleep(TICK).await?)
                });
            }
            Ok(())
        })
        .await;
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    // Cancelled before its first poll it has nothing to say.
    assert!(matches!(*ended.lock().unwrap(), None | Some(0)));
    Ok(outcome.into_result()?)
}

struct Leaves(Arc<AtomicU32>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

on_every_host!(a_service_is_cancelled_after_every_other_child_has_ended, services_end_last);

async fn group_yields_all(cx: &Cx) -> Result<(), Error> {
    let outcome = cx
        .region(async |scope| {
            let mut group = scope.group();
            let mut sum = 0;
            for n in 0..6_u64 {
                group.spawn(async move |cx: &Cx| {
                    cx.yield_now().await?;
                    Ok::<_, Error>(n)
                });
                if n % 3 == 2 {
                    let (_, outcome) = group.next(cx).await?.expect("there are some");
                    sum += outcome.into_result()?;
                }
            }
            while let Some((_, outcome)) = group.next(cx).await? {
                sum += outcome.into_result()?;
            }
            Ok::<_, Error>(sum)
        })
        .await;
    assert_eq!(outcome.into_result()?, 15);
    Ok(())
}

on_every_host!(a_group_yields_each_child_once, group_yields_all);

async fn limit_holds(cx: &Cx) -> Result<(), Error> {
    let running = Arc::new(AtomicU32::new(0));
    let outcome = cx
        .region(async |scope| {
            let few = scope.limit(2);
            for _ in 0..6 {
                let running = running.clone();
                let body = async move |cx: &Cx| {
                    assert!(running.fetch_add(1, Ordering::SeqCst) < 2, "three at once");
                    let _leaves = Leaves(running);
                    Ok::<_, Error>(cx.yield_now().await?)
                };
                let _ = few.spawn(cx, body).await?;
            }
            Ok(())
        })
        .await;
    Ok(outcome.into_result()?)
}

on_every_host!(no_more_than_the_limit_run_at_once, limit_holds);

async fn ready_first(cx: &Cx) -> Result<(), Error> {
    let outcome = cx
        .region(async |scope| {
            let bound = Arc::new(AtomicU32::new(0));
            let inside = bound.clone();
            let (_server, port) = scope
                .spawn_ready(cx, |ready| {
                    async move |cx: &Cx| {
                        cx.yield_now().await?;
                        inside.store(8080, Ordering::SeqCst);
                        ready.set(8080);
                        Ok::<_, Error>(cx.sleep(EVER).await?)
                    }
                })
                .await?;
            assert_eq!(bound.load(Ordering::SeqCst), port);
            Ok::<_, Error>(())
        })
        .await;
    Ok(outcome.into_result()?)
}

on_every_host!(spawn_ready_returns_after_the_child_got_ready, ready_first);

async fn softly(cx: &Cx) -> Result<(), Error> {
    let outcome = cx
        .region(async |scope| {
            for _ in 0..2 {
                let _ = scope.spawn(async |cx: &Cx| {
                    cx.soft_cancelled().await?;
                    Ok::<_, Error>(cx.sleep(TICK).await?)
                });
            }
            cx.yield_now().await?;
            scope.cancel_soft(CancelReason::user("please finish"), EVER);
            Ok(())
        })
        .await;
    Ok(outcome.into_result()?)
}

on_every_host!(what_hears_a_soft_cancellation_finishes_as_if_nobody_had_asked, softly);

async fn grace_ends(cx: &Cx) -> Result<(), Error> {
    let outcome = cx
        .region(async |scope| {
            let _ = scope.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(EVER).await?));
            scope.cancel_soft(CancelReason::user("please finish"), TICK);
            Ok(())
        })
        .await;
    // In a scope that is cancelled already the child is refused, and the body ends well.
    cx.checkpoint()?;
    assert!(outcome.is_cancelled(), "{outcome:?}");
    Ok(())
}

on_every_host!(what_does_not_is_cancelled_after_the_grace, grace_ends);
