//! What a region leaves behind is known further up, and trees may be deep.

mod support;

use asupersync_core::{
    Budget, CancelReason, Cx, Error, ErrorKind, ObligationKind, Outcome, RegionOptions,
    RegionReport, Root,
};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::{Machine, run};

static REPLY: ObligationKind = ObligationKind::new("test::Reply");
static PERMIT: ObligationKind = ObligationKind::new("test::Permit");

#[test]
fn leaks_and_stragglers_of_inner_regions_are_in_the_roots_report() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |_scope| {
                let inner: Outcome<(), Error> = cx
                    .region(async |scope| {
                        let _ = scope.spawn(async |cx| {
                            drop(cx.duty(&REPLY));
                            cx.masked(cx.sleep(Duration::from_secs(3600))).await?;
                            Ok(())
                        });
                        cx.yield_now().await?;
                        scope.cancel(CancelReason::user("stop"));
                        Ok(())
                    })
                    .await;
                inner.into_result()?;
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome.is_ok())
    });
    let RegionReport { stragglers, leaks, region, .. } = ran.report;
    assert_eq!((stragglers.len(), leaks.len()), (1, 1));
    assert_eq!(leaks[0].task, stragglers[0].task);
    assert_ne!(leaks[0].region, region, "the leak's own region is named");
    assert_eq!(leaks[0].region, stragglers[0].region);
}

#[test]
fn an_abandoned_regions_leak_is_in_the_roots_report() {
    let ran = run(async |cx: &Cx| {
        let region = async {
            let _: Outcome<(), Error> = cx
                .region(async |_scope| {
                    std::mem::forget(cx.duty(&REPLY));
                    Ok(cx.sleep(Duration::from_secs(60)).await?)
                })
                .await;
        };
        let mut region = Box::pin(region);
        let polled = cx.wait("once", |context| Poll::Ready(region.as_mut().poll(context))).await?;
        assert!(polled.is_pending());
        drop(region);
        Ok::<_, Error>(())
    });
    assert_eq!(ran.report.leaks.len(), 1);
    assert_eq!(ran.report.check().unwrap_err().kind(), ErrorKind::ObligationLeak);
}

#[test]
fn a_forgotten_permit_is_as_old_as_the_time_since_its_tasks_end() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            std::mem::forget(cx.obligation(&PERMIT));
            Ok::<_, Error>(())
        });
        let _ = child.join(cx).await?;
        cx.sleep(Duration::from_secs(5)).await?;
        Ok::<_, Error>(())
    });
    assert_eq!(ran.report.leaks.len(), 1);
    assert_eq!(ran.report.leaks[0].age, Duration::from_secs(5));
}

#[test]
fn a_report_keeps_the_first_leaks_and_counts_the_rest() {
    let ran = run(async |cx: &Cx| {
        for _ in 0..RegionReport::KEPT + 10 {
            drop(cx.duty(&REPLY));
        }
        Ok::<_, Error>(())
    });
    assert_eq!(ran.report.leaks.len(), RegionReport::KEPT);
    assert_eq!(ran.report.omitted, 10);
}

/// A chain of regions, each in the one before; all but the last are begun to be closed.
fn chain(machine: &std::sync::Arc<Machine>, depth: usize) -> (Root, Root) {
    let options = || RegionOptions::new().budget(Budget::new().with_cost_quota(1_000));
    let root = Root::new(machine.clone(), options());
    let mut deepest = root.clone();
    for _ in 0..depth {
        let next = deepest.child(options());
        deepest.begin_close();
        deepest = next;
    }
    (root, deepest)
}

fn descends(depth: usize) {
    let machine = Machine::new();
    let (root, deepest) = chain(&machine, depth);
    let mut handle = deepest.spawn(async |cx: &Cx| {
        cx.charge(1)?;
        assert_eq!(cx.budget().cost_quota, Some(999));
        Ok::<_, Error>(cx.sleep(Duration::from_secs(60)).await?)
    });
    while machine.armed_timers() == 0 {
        assert!(machine.step());
    }
    let snapshot = root.snapshot();
    let copy = snapshot.clone();
    assert_eq!(copy.all_tasks().count(), 1);
    assert!(copy.to_string().contains("sleep"));
    drop((snapshot, copy));
    root.cancel(CancelReason::user("enough"));
    deepest.begin_close();
    let mut context = Context::from_waker(Waker::noop());
    while root.poll_closed(&mut context).is_pending() {
        assert!(machine.step());
    }
    let Poll::Ready(Ok(outcome)) = handle.poll_join(&mut context) else { panic!("not ended") };
    assert!(outcome.is_cancelled());
    drop((root, handle));
    // The last reference to the whole chain, through parents.
    drop(deepest);
}

#[test]
fn regions_a_thousand_deep_are_drawn_cancelled_closed_and_freed() {
    descends(1_000);
}

#[test]
fn regions_thirty_thousand_deep_do_not_overflow_the_stack() {
    descends(30_000);
}

#[test]
#[ignore = "takes seconds; the smaller count shows the same"]
fn regions_a_hundred_thousand_deep_do_not_overflow_the_stack() {
    descends(100_000);
}

#[test]
fn a_holder_that_stands_still_while_another_waits_for_its_kind_is_a_futurelock() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let waits = |label: &'static str| {
        root.spawn(async move |cx: &Cx| {
            let held = (label != "test::acquire").then(|| cx.obligation(&PERMIT));
            cx.wait(label, |_| Poll::<()>::Pending).await?;
            drop(held);
            Ok::<_, Error>(())
        })
    };
    let holder = waits("elsewhere");
    let waiter = waits("test::acquire");
    let mut busy = root.spawn(async |cx: &Cx| {
        let _held = cx.obligation(&PERMIT);
        loop {
            cx.sleep(Duration::from_secs(1)).await?;
        }
        #[expect(unreachable_code, reason = "gives the body its type")]
        Ok::<(), Error>(())
    });
    let steps = |count: usize| (0..count).for_each(|_| assert!(machine.step()));
    steps(20);
    let earlier = root.snapshot();
    steps(20);
    let found = root.snapshot().futurelocks(&earlier);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].task, holder.id());
    assert_eq!(found[0].waited_by[0].0, waiter.id());
    assert_eq!(found[0].waits[0].label, "elsewhere");
    let error = Error::from(found[0].clone());
    assert_eq!(error.kind(), ErrorKind::FuturelockViolation);
    assert_eq!(error.task(), Some(holder.id()));
    assert!(error.to_string().contains("tests/books.rs"), "{error}");
    root.cancel(CancelReason::user("done"));
    root.begin_close();
    while !root.is_closed() {
        assert!(machine.step());
    }
    let mut context = Context::from_waker(Waker::noop());
    assert!(busy.poll_join(&mut context).is_ready());
}
