//! The panic matrix: wherever foreign code panics, nothing hangs, nobody else is harmed, and the payload
//! reaches whoever is to have it.
//!
//! | foreign code | called | its panic goes to |
//! |---|---|---|
//! | a body, at its k-th poll | by its task | the task's outcome |
//! | a future's drop, finished, cancelled or escalated | by its task | the task's outcome |
//! | what a body captured, refused unrun | by the spawn | the handle's outcome |
//! | a finalizer | by the region | the region's outcome |
//! | a region's own body | by its task | the region's outcome |
//! | a blocking closure | by the pool | the waiting task's outcome |
//! | a waker's wake or drop | by the kernel | nobody |
//! | a waker's clone | by the kernel | the poll that asked for it |
//! | an unclaimed outcome's drop, a heap value's drop | by the kernel | nobody |

mod support;

use asupersync_core::{
    CancelReason, Cx, Error, ErrorKind, Outcome, Policy, RegionOptions, RegionReport, Root,
};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;
use support::{Machine, run};

#[derive(Debug, PartialEq)]
struct Payload(u32);

/// Panics when dropped, unless that would abort.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(Payload(self.0));
        }
    }
}

fn payload<T: std::fmt::Debug, E: std::fmt::Debug>(outcome: Outcome<T, E>) -> Payload {
    match outcome {
        Outcome::Panicked(payload) => *payload.into_inner().downcast().expect("kept whole"),
        other => panic!("not a panic: {other:?}"),
    }
}

/// Runs `$bad` beside a neighbour that sleeps for a second, in a region that collects. The neighbour must
/// finish, and the region close; answers with the handle's outcome and the region's.
macro_rules! beside_a_neighbour {
    ($scope:ident, $cx:ident, $bad:expr) => {{
        let ran = run(async move |$cx: &Cx| {
            let finished = Arc::new(AtomicU32::new(0));
            let inside = finished.clone();
            let options = RegionOptions::new().policy(Policy::CollectAll);
            let closed = $cx
                .region_reported(options, async |$scope| {
                    let _ = $scope.spawn(async move |cx: &Cx| {
                        cx.sleep(Duration::from_secs(1)).await?;
                        inside.store(1, Ordering::Relaxed);
                        Ok(())
                    });
                    Ok::<_, Error>($bad)
                })
                .await;
            assert_eq!(finished.load(Ordering::Relaxed), 1, "the neighbour was harmed");
            Ok::<_, Error>(closed)
        });
        ran.outcome.ok().expect("the task around is unharmed")
    }};
}

#[test]
fn a_body_that_panics_at_its_first_second_or_tenth_poll() {
    for polls in [0, 1, 9] {
        let closed = beside_a_neighbour!(scope, cx, {
            let mut bad = scope.spawn(async move |cx: &Cx| -> Result<(), Error> {
                for _ in 0..polls {
                    cx.yield_now().await?;
                }
                panic_any(Payload(polls))
            });
            bad.join(cx).await?
        });
        assert_eq!(payload(closed.outcome.ok().unwrap()), Payload(polls));
    }
}

#[test]
fn a_future_whose_drop_panics_when_it_has_finished() {
    let closed = beside_a_neighbour!(scope, cx, {
        let mut bad = scope.spawn(async |cx: &Cx| {
            let _bomb = std::mem::ManuallyDrop::new(Bomb(1));
            cx.yield_now().await?;
            drop(std::mem::ManuallyDrop::into_inner(_bomb));
            Ok(())
        });
        bad.join(cx).await?
    });
    assert_eq!(payload(closed.outcome.ok().unwrap()), Payload(1));
}

#[test]
fn a_future_whose_drop_panics_when_it_is_cancelled_or_escalated() {
    for masked in [false, true] {
        let closed = beside_a_neighbour!(scope, cx, {
            let mut bad = scope.spawn(async move |cx: &Cx| {
                let _bomb = Bomb(2);
                if masked {
                    cx.masked(cx.sleep(Duration::from_secs(1_000_000))).await?;
                }
                std::future::pending::<()>().await;
                Ok::<_, Error>(())
            });
            cx.yield_now().await?;
            bad.cancel(CancelReason::user("stop").with_cleanup(Duration::from_secs(2)));
            bad.join(cx).await?
        });
        assert_eq!(payload(closed.outcome.ok().unwrap()), Payload(2));
    }
}

#[test]
fn what_a_refused_body_captured_panics_into_the_handles_outcome() {
    let ran = run(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                scope.cancel(CancelReason::user("closed"));
                let bomb = Bomb(3);
                let mut bad = scope.spawn(async move |_cx: &Cx| {
                    let _bomb = bomb;
                    Ok::<_, Error>(())
                });
                Ok::<_, Error>(cx.masked(bad.join(cx)).await?)
            })
            .await;
        Ok::<_, Error>(outcome.ok())
    });
    assert_eq!(payload(ran.outcome.ok().flatten().unwrap()), Payload(3));
}

#[test]
fn a_finalizer_that_panics_keeps_no_other_from_running() {
    let ran = run(async |cx: &Cx| {
        let ran = Arc::new(AtomicU32::new(0));
        let inside = ran.clone();
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                scope.defer(async move |_cx: &Cx| {
                    inside.store(1, Ordering::Relaxed);
                    Ok(())
                });
                scope.defer(async |_cx: &Cx| panic_any(Payload(4)));
                Ok(())
            })
            .await;
        Ok::<_, Error>((outcome, ran.load(Ordering::Relaxed)))
    });
    let (outcome, first) = ran.outcome.ok().unwrap();
    assert_eq!((payload(outcome), first), (Payload(4), 1));
}

#[test]
fn a_regions_body_that_panics_leaves_its_children_cancelled_and_drained() {
    let ran = run(async |cx: &Cx| {
        let drained = Arc::new(AtomicU32::new(0));
        let inside = drained.clone();
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let _ = scope.spawn(async move |cx: &Cx| {
                    let cancelled = cx.sleep(Duration::from_secs(1_000_000)).await;
                    inside.store(1, Ordering::Relaxed);
                    Ok(cancelled?)
                });
                cx.yield_now().await?;
                panic_any(Payload(5))
            })
            .await;
        Ok::<_, Error>((outcome, drained.load(Ordering::Relaxed)))
    });
    let (outcome, drained) = ran.outcome.ok().unwrap();
    assert_eq!((payload(outcome), drained), (Payload(5), 1));
}

#[test]
fn a_blocking_closure_that_panics() {
    let closed = beside_a_neighbour!(scope, cx, {
        let mut waits = scope.spawn(async |cx: &Cx| {
            let mut bad = cx.spawn_blocking(|| -> Result<(), Error> { panic_any(Payload(6)) });
            Ok(bad.join(cx).await?)
        });
        waits.join(cx).await?.into_result()?
    });
    assert_eq!(payload(closed.outcome.ok().unwrap()), Payload(6));
    assert!(closed.report.is_clean(), "its operation is over");
}

#[test]
fn an_outcome_nobody_claims_and_a_heap_value_that_panic_when_dropped() {
    let closed = beside_a_neighbour!(scope, cx, {
        let _ = cx;
        let _ = scope.alloc(Bomb(7));
        let _ = scope.spawn(async |_cx: &Cx| Ok(Bomb(7)));
    });
    assert!(closed.outcome.is_ok());
}

#[test]
fn a_group_yields_the_panic_of_its_child() {
    let closed = beside_a_neighbour!(scope, cx, {
        let mut group = scope.group::<()>();
        group.spawn(async |_cx: &Cx| panic_any(Payload(8)));
        group.next(cx).await?.map(|(_, outcome)| outcome)
    });
    assert_eq!(payload(closed.outcome.ok().flatten().unwrap()), Payload(8));
}

/// A waker that panics in the operation whose bit is set: 1 clone, 2 wake, 4 wake by reference, 8 drop.
fn bad_waker(panics: usize) -> Waker {
    fn act(data: *const (), bit: usize) {
        if data.addr() & bit != 0 && !std::thread::panicking() {
            panic_any(Payload(bit as u32));
        }
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            act(data, 1);
            RawWaker::new(data, &TABLE)
        },
        |data| act(data, 2),
        |data| act(data, 4),
        |data| act(data, 8),
    );
    // SAFETY: the data is a number, which nothing owns; every function may be called with it from any
    // thread, any number of times.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(panics), &TABLE)) }
}

/// Two tasks and a root, of which one is joined and the root awaited with the bad waker.
fn ends_although_its_waker_panics(panics: usize) -> RegionReport {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let mut joined = root.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
    let mut other =
        root.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(Duration::from_secs(1)).await?));
    root.begin_close();
    let waker = std::mem::ManuallyDrop::new(bad_waker(panics));
    let asked = catch_unwind(AssertUnwindSafe(|| {
        let mut context = Context::from_waker(&waker);
        assert!(joined.poll_join(&mut context).is_pending());
        assert!(root.poll_closed(&mut context).is_pending());
    }));
    assert_eq!(asked.is_err(), panics & 1 != 0, "only a clone's panic reaches the one who asked");
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let polled = catch_unwind(AssertUnwindSafe(|| root.poll_closed(&mut context)));
        // Exchanging the bad waker for a good one drops it.
        match polled {
            Ok(Poll::Ready(report)) => {
                assert!(matches!(joined.poll_join(&mut context), Poll::Ready(Ok(o)) if o.is_ok()));
                assert!(matches!(other.poll_join(&mut context), Poll::Ready(Ok(o)) if o.is_ok()));
                return report;
            }
            Ok(Poll::Pending) => assert!(machine.step()),
            Err(_) => {
                assert_eq!(panics & 8, 8, "only a drop's panic reaches the one who exchanges it")
            }
        }
    }
}

#[test]
fn wakers_that_panic_when_cloned_woken_or_dropped() {
    for panics in [1, 2, 4, 8, 2 | 4 | 8] {
        assert!(ends_although_its_waker_panics(panics).is_clean(), "with {panics}");
    }
}

#[test]
fn a_panic_reads_as_an_error_with_its_message() {
    let closed = beside_a_neighbour!(scope, cx, {
        let mut bad =
            scope.spawn(async |_cx: &Cx| -> Result<(), Error> { panic!("the k-th call") });
        Error::from(bad.join(cx).await?.into_result().unwrap_err())
    });
    let error = closed.outcome.ok().unwrap();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert!(error.to_string().contains("the k-th call"));
}
