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

static DELIVERY: ObligationKind = ObligationKind::new("queue::Delivery");

#[test]
fn an_ack_is_settled_by_commit_or_nack_and_else_leaks() {
    let ran = run(async |cx: &Cx| {
        let (good, bad, lost) = (cx.ack(&DELIVERY), cx.ack(&DELIVERY), cx.ack(&DELIVERY));
        let watches = [good.watch(), bad.watch(), lost.watch()];
        good.commit().unwrap();
        bad.nack().unwrap();
        drop(lost);
        let mut ends = Vec::new();
        for watch in watches {
            ends.push(cx.wait("watch", |context| watch.poll_settled(context)).await?);
        }
        Ok::<_, Error>(ends)
    });
    use asupersync_core::Settlement::{Aborted, Committed, Leaked};
    assert_eq!(ran.outcome.ok().unwrap(), [Committed, Aborted, Leaked]);
    assert_eq!(ran.report.leaks.len(), 1);
    assert_eq!(ran.report.leaks[0].kind, "queue::Delivery");
}

#[test]
fn what_is_owed_is_in_the_snapshot_with_its_age_until_it_is_settled() {
    let ran = run(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                let ack = cx.ack(&DELIVERY);
                cx.sleep(Duration::from_secs(4)).await?;
                let before = scope.snapshot();
                ack.commit().unwrap();
                Ok::<_, Error>((before, scope.snapshot()))
            })
            .await;
        Ok::<_, Error>(outcome.into_result()?)
    });
    let (before, after) = ran.outcome.ok().unwrap();
    assert_eq!(before.owed.len(), 1);
    assert_eq!(before.owed[0].age, Duration::from_secs(4));
    assert!(before.to_string().contains("owed: queue::Delivery of t"), "{before}");
    assert!(after.owed.is_empty());
}

#[test]
fn a_closure_that_outlives_its_task_is_reported_as_an_operation_left_open() {
    use asupersync_core::{BlockingJob, BlockingPool};
    use std::sync::{Arc, Mutex};
    #[derive(Default)]
    struct Slow(Mutex<Vec<BlockingJob>>);
    impl BlockingPool for Slow {
        fn submit(&self, job: BlockingJob) {
            self.0.lock().unwrap().push(job);
        }
    }
    let pool = Arc::new(Slow::default());
    let machine = Machine::with_pool(pool.clone());
    let root = Root::new(machine.clone(), RegionOptions::new());
    let (begins, begun) = std::sync::mpsc::channel::<()>();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let _ = root.spawn(async move |cx: &Cx| {
        let mut work = cx.spawn_blocking(move || {
            begins.send(()).unwrap();
            wait.recv().unwrap();
            Ok::<_, Error>(())
        });
        Ok::<_, Error>(work.join(cx).await?.into_result()?)
    });
    for _ in 0..3 {
        machine.step();
    }
    let job = pool.0.lock().unwrap().pop().expect("the closure was submitted");
    let thread = std::thread::spawn(move || job.run());
    begun.recv().unwrap();
    root.cancel(CancelReason::user("stop").with_cleanup(Duration::from_secs(1)));
    root.begin_close();
    let mut context = Context::from_waker(Waker::noop());
    let report = loop {
        if let Poll::Ready(report) = root.poll_closed(&mut context) {
            break report;
        }
        assert!(machine.step());
    };
    let kinds: Vec<_> = report.leaks.iter().map(|leak| leak.kind).collect();
    assert_eq!(kinds, ["blocking::Closure"]);
    release.send(()).unwrap();
    thread.join().unwrap();
}
