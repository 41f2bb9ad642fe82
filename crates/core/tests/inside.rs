//! What lives inside one task or one region: fibers that borrow, values on a region's heap.

mod support;

use asupersync_core::{
    BranchOptions, CancelKind, CancelReason, Cx, Error, ErrorKind, Outcome, RRef, RRefError,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::run;

const EVER: Duration = Duration::from_secs(1_000_000);

#[test]
fn fibers_borrow_from_the_stack_and_their_values_keep_the_order_of_adding() {
    let ran = run(async |cx: &Cx| {
        let names = [String::from("slow"), String::from("quick")];
        let order = Mutex::new(Vec::new());
        let mut fibers = cx.fibers();
        for (name, time) in names.iter().zip([2, 1]) {
            let order = &order;
            fibers.fiber(async move {
                cx.sleep(Duration::from_secs(time)).await?;
                order.lock().unwrap().push(name.as_str());
                Ok::<_, Error>(name.len())
            });
        }
        let lengths = fibers.run().await.into_result()?;
        assert_eq!(*order.lock().unwrap(), ["quick", "slow"]);
        Ok::<_, Error>(lengths)
    });
    assert_eq!(ran.outcome.ok().unwrap(), [4, 5]);
}

#[test]
fn the_first_fiber_that_fails_cancels_the_others_which_have_ended_when_run_returns() {
    let ran = run(async |cx: &Cx| {
        let cleaned = AtomicU32::new(0);
        let mut fibers = cx.fibers::<(), Error>();
        fibers.fiber(async {
            let cancelled = cx.sleep(EVER).await;
            assert_eq!(cx.cancel_reason().map(|reason| reason.kind()), Some(CancelKind::FailFast));
            cx.masked(cx.sleep(Duration::from_secs(1))).await?;
            cleaned.fetch_add(1, Ordering::Relaxed);
            Ok(cancelled?)
        });
        fibers.fiber(async { Ok(std::future::pending::<()>().await) });
        fibers.fiber(async {
            cx.yield_now().await?;
            Err(Error::msg("the third failed"))
        });
        let Outcome::Err(error) = fibers.run().await else { panic!("not failed") };
        assert!(cx.checkpoint().is_ok(), "the task itself is not cancelled");
        Ok::<_, Error>((error.to_string(), cleaned.into_inner()))
    });
    let (text, cleaned) = ran.outcome.ok().unwrap();
    assert!(text.contains("the third failed"));
    assert_eq!(cleaned, 1);
}

#[test]
fn a_fibers_panic_comes_out_of_run_after_the_others_have_ended() {
    let ran = run(async |cx: &Cx| {
        let ended = Arc::new(AtomicU32::new(0));
        let inside = ended.clone();
        let mut fibers = cx.fibers::<(), Error>();
        fibers.fiber(async {
            let cancelled = cx.sleep(EVER).await;
            inside.fetch_add(1, Ordering::Relaxed);
            Ok(cancelled?)
        });
        fibers.fiber(async { panic!("in a fiber") });
        let mut run = Box::pin(fibers.run());
        let caught = cx
            .wait("run", |context| {
                match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))) {
                    Ok(poll) => poll.map(|_| false),
                    Err(_) => std::task::Poll::Ready(true),
                }
            })
            .await?;
        Ok::<_, Error>((caught, ended.load(Ordering::Relaxed)))
    });
    assert_eq!(ran.outcome.ok(), Some((true, 1)));
}

#[test]
fn cancelling_the_task_ends_its_fibers_foreign_ones_included() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let mut fibers = cx.fibers::<(), Error>();
            fibers.fiber(async { Ok(cx.sleep(EVER).await?) });
            fibers.fiber(async { Ok(std::future::pending::<()>().await) });
            Ok::<_, Error>(drop(fibers.run().await.into_result()?))
        });
        cx.yield_now().await?;
        child.cancel(CancelReason::user("enough"));
        Ok::<_, Error>((child.join(cx).await?.is_cancelled(), cx.now().as_nanos()))
    });
    assert_eq!(ran.outcome.ok(), Some((true, 0)));
}

#[test]
fn only_a_fiber_that_was_woken_is_polled() {
    let ran = run(async |cx: &Cx| {
        let polls = AtomicU32::new(0);
        let mut fibers = cx.fibers::<(), Error>();
        fibers.fiber(async {
            let mut sleep = Box::pin(cx.sleep(Duration::from_secs(5)));
            let counted = std::future::poll_fn(|context| {
                polls.fetch_add(1, Ordering::Relaxed);
                sleep.as_mut().poll(context)
            });
            Ok(counted.await?)
        });
        fibers.fiber(async {
            for _ in 0..100 {
                cx.yield_now().await?;
            }
            Ok(())
        });
        fibers.run().await.into_result()?;
        Ok::<_, Error>(polls.into_inner())
    });
    assert_eq!(ran.outcome.ok(), Some(2));
}

#[test]
fn a_value_on_a_regions_heap_is_seen_inside_and_stale_or_foreign_outside() {
    struct Counted(Arc<AtomicU32>, u32);
    impl Drop for Counted {
        fn drop(&mut self) {
            // Values go in the reverse order of allocation.
            assert_eq!(self.0.fetch_sub(1, Ordering::Relaxed), self.1);
        }
    }
    let ran = run(async |cx: &Cx| {
        let live = Arc::new(AtomicU32::new(2));
        let mut kept: Option<RRef<Counted>> = None;
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let _first = scope.alloc(Counted(live.clone(), 1));
                let value = scope.alloc(Counted(live.clone(), 2));
                kept = Some(value.clone());
                assert_eq!(value.with(cx, |value| value.1), Ok(2), "from the body");
                let (here, there) = (value.clone(), value.clone());
                let mut child = scope.spawn(async move |cx: &Cx| {
                    let nested: Outcome<u32, Error> =
                        cx.region(async |_scope| Ok(here.with(cx, |value| value.1)?)).await;
                    Ok(nested.into_result()?)
                });
                assert_eq!(child.join(cx).await?.into_result()?, 2);
                let region = scope.id();
                let mut outside =
                    cx.spawn(async move |cx: &Cx| Ok::<_, Error>(there.with(cx, |_| ())));
                let seen = outside.join(cx).await?.into_result()?;
                assert_eq!(seen, Err(RRefError::Outside(region)));
                Ok(())
            })
            .await;
        outcome.into_result()?;
        assert_eq!(live.load(Ordering::Relaxed), 0, "freed when the region has closed");
        let kept = kept.expect("set by the body");
        let stale = kept.with(cx, |_| ()).unwrap_err();
        assert_eq!(stale, RRefError::Stale(kept.region()));
        Ok::<_, Error>(Error::from(stale).kind())
    });
    assert_eq!(ran.outcome.ok(), Some(ErrorKind::InvalidInput));
}

#[test]
fn a_fiber_in_a_branch_belongs_to_it() {
    let ran = run(async |cx: &Cx| {
        let mut fibers = cx.fibers::<(), Error>();
        fibers.fiber(async { Ok(cx.sleep(EVER).await?) });
        let mut branch = Box::pin(cx.branch(BranchOptions::default(), fibers.run()));
        let polled =
            cx.wait("once", |context| std::task::Poll::Ready(branch.as_mut().poll(context)));
        assert!(polled.await?.is_pending());
        branch.as_mut().cancel(CancelReason::user("stop"));
        let asupersync_core::BranchEnd::Finished(outcome) = branch.await else { panic!("dropped") };
        assert!(cx.checkpoint().is_ok());
        Ok::<_, Error>(outcome.is_ok())
    });
    assert_eq!(ran.outcome.ok(), Some(false));
}
