//! Exploration of programs over the kernel itself and the family's primitives: the same classes as
//! by enumeration.

use asupersync_channel::mpsc;
use asupersync_core::{CancelReason, Cx, Error, TaskBody, cap};
use asupersync_lab::{ExploreOptions, Method, Shared, explore};
use asupersync_sync::{Mutex, Notify};
use std::sync::Arc;
use std::time::Duration;

/// Classes by all three methods, and the runs that `Optimal` gave up.
#[track_caller]
fn same_classes<F>(body: F) -> (usize, u64)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let by = |method, order| {
        let options = ExploreOptions::default().method(method).order(order);
        explore(options.stop_at_first_failure(false), body.clone())
    };
    let all = by(Method::Naive, 0);
    let audit = by(Method::SleepSets, 0);
    assert!(all.exhausted && audit.exhausted);
    assert_eq!(audit.classes, all.classes, "sleep sets");
    assert_eq!(audit.runs, audit.classes.len() as u64);
    let mut blocked = 0;
    for order in 0..5 {
        let found = by(Method::Optimal, order);
        assert_eq!(found.classes, all.classes, "order {order}");
        assert_eq!(found.stuck, all.stuck, "order {order}");
        assert_eq!(found.runs, found.classes.len() as u64, "order {order}: {found}");
        assert!(found.exhausted);
        blocked += found.blocked;
    }
    (all.classes.len(), blocked)
}

macro_rules! program {
    (|$cx:ident, $scope:ident| $body:block) => {
        async move |$cx: &Cx| {
            $cx.region(async move |$scope| { $body Ok::<_, Error>(()) }).await.into_result()?;
            Ok::<_, Error>(())
        }
    };
}

#[test]
fn fair_mutex() {
    let found = same_classes(program!(|cx, scope| {
        let m = Arc::new(Mutex::new(0_u32));
        for _ in 0..3 {
            let m = m.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                *m.lock(cx).await? += 1;
                Ok::<_, Error>(())
            });
        }
    }));
    assert_eq!(found, (6, 0));
    let found = same_classes(program!(|cx, scope| {
        let m = Arc::new(Mutex::new(0_u32));
        for _ in 0..2 {
            let m = m.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                let mut guard = m.lock(cx).await?;
                cx.yield_now().await?;
                *guard += 1;
                Ok::<_, Error>(())
            });
        }
    }));
    assert_eq!(found.1, 0, "{found:?}");
}

#[test]
fn channel() {
    let found = same_classes(program!(|cx, scope| {
        let (sender, mut receiver) = mpsc::channel::<u32>(1);
        for i in 0..2 {
            let sender = sender.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                let permit = sender.reserve(cx).await;
                if let Ok(permit) = permit {
                    permit.send(i);
                }
                Ok::<_, Error>(())
            });
        }
        drop(sender);
        let _ = scope.spawn(async move |cx: &Cx| {
            while receiver.recv(cx).await.is_ok() {}
            Ok::<_, Error>(())
        });
    }));
    println!("{found:?}");
}

/// A channel is two objects, its queue and its capacity, whatever the number of the message: so sends and
/// receives that could trade places count as dependent, and there are more classes than there need be.
#[test]
fn bounded_channels() {
    let classes = |producers: u32, capacity: usize, items: u32| {
        let found = same_classes(program!(|cx, scope| {
            let (sender, mut receiver) = mpsc::channel::<u32>(capacity);
            for _ in 0..producers {
                let sender = sender.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    for item in 0..items {
                        cx.yield_now().await?;
                        if let Ok(permit) = sender.reserve(cx).await {
                            let _ = permit.send(item);
                        }
                    }
                    // Leaving is no part of what is counted.
                    std::mem::forget(sender);
                    Ok::<_, Error>(())
                });
            }
            std::mem::forget(sender);
            let _ = scope.spawn(async move |cx: &Cx| {
                for _ in 0..producers * items {
                    cx.yield_now().await?;
                    let _ = receiver.recv(cx).await;
                }
                std::mem::forget(receiver);
                Ok::<_, Error>(())
            });
        }));
        assert_eq!(found.1, 0, "no run is given up");
        found.0
    };
    assert_eq!(classes(1, 1, 2), 8);
    assert_eq!(classes(1, 2, 2), 6);
    assert_eq!(classes(2, 4, 1), 12);
    assert_eq!(classes(2, 1, 1), 16);
}

#[test]
fn notify() {
    let found = same_classes(program!(|cx, scope| {
        let n = Arc::new(Notify::new());
        for _ in 0..2 {
            let n = n.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                n.notified(cx).await?;
                Ok::<_, Error>(())
            });
        }
        let _ = scope.spawn(async move |cx: &Cx| {
            n.notify_one();
            cx.yield_now().await?;
            n.notify_one();
            Ok::<_, Error>(())
        });
    }));
    println!("{found:?}");
}

#[test]
fn timers_phase_by_phase() {
    let found = same_classes(program!(|cx, scope| {
        let x = Shared::new(0);
        for millis in [1, 1, 2] {
            let x = x.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                cx.sleep(Duration::from_millis(millis)).await?;
                x.set(cx, millis).await?;
                Ok::<_, Error>(())
            });
        }
    }));
    assert_eq!(found, (2, 0));
}

#[test]
fn cancel_and_join() {
    let found = same_classes(program!(|cx, scope| {
        let x = Shared::new(0);
        let y = x.clone();
        let mut child = scope.spawn(async move |cx: &Cx| {
            y.set(cx, 1).await?;
            Ok::<_, Error>(())
        });
        let _ = scope.spawn(async move |cx: &Cx| {
            child.cancel(CancelReason::user("no"));
            let _ = child.join(cx).await;
            x.get(cx).await?;
            Ok::<_, Error>(())
        });
    }));
    println!("{found:?}");
}

#[test]
fn nested_regions_and_cancelled_ones() {
    let found = same_classes(program!(|cx, scope| {
        let x = Shared::new(0);
        for i in 0..2 {
            let x = x.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                let _ = cx
                    .region(async move |inner| {
                        let z = x.clone();
                        let _ = inner.spawn(async move |cx: &Cx| {
                            z.set(cx, i).await?;
                            Ok::<_, Error>(())
                        });
                        if i == 0 {
                            inner.cancel(CancelReason::user("enough"));
                        }
                        Ok::<_, Error>(())
                    })
                    .await;
                Ok::<_, Error>(())
            });
        }
    }));
    println!("{found:?}");
}

#[test]
fn a_cancel_races_with_the_end_of_the_task() {
    let found = same_classes(program!(|cx, scope| {
        let mut worker = scope.spawn(async |cx: &Cx| {
            cx.yield_now().await?;
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        worker.cancel(CancelReason::user("enough"));
        let _ = worker.join(cx).await?;
    }));
    assert!(found.0 >= 3, "{found:?}");
}

#[test]
fn a_failure_that_cancels_its_siblings_races_with_their_ends() {
    let found = same_classes(async move |cx: &Cx| {
        let outcome = cx.region(async move |scope| {
            let _ = scope.spawn(async |cx: &Cx| {
                cx.yield_now().await?;
                Ok::<_, Error>(())
            });
            let _ = scope.spawn(async |_: &Cx| Err::<(), _>(Error::msg("no")));
            Ok::<_, Error>(())
        });
        drop(outcome.await);
        Ok(())
    });
    assert!(found.0 >= 3, "{found:?}");
}

#[test]
fn the_end_of_a_body_races_with_the_ends_of_its_tasks() {
    let found = same_classes(program!(|cx, scope| {
        for _ in 0..2 {
            let _ = scope.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
        }
        cx.yield_now().await?;
    }));
    assert_eq!(found, (4, 0));
}
