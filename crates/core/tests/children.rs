//! Children of special kinds: services, groups, limited ones, ones that get ready, ones asked to finish.

mod support;

use asupersync_core::{
    CancelReason, Cx, Error, ErrorKind, NotReady, Outcome, Policy, RegionOptions, Root, TaskOptions,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::{Machine, run};

type Log = Arc<Mutex<Vec<&'static str>>>;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Sleeps, then says so; says also when it is cancelled.
async fn worker(cx: &Cx, log: Log, time: Duration, says: [&'static str; 2]) -> Result<(), Error> {
    let slept = cx.sleep(time).await;
    log.lock().unwrap().push(says[usize::from(slept.is_err())]);
    Ok(slept?)
}

const EVER: Duration = Duration::from_secs(1_000_000);

#[test]
fn a_service_outlives_the_body_and_the_other_children_and_keeps_no_region_open() {
    let log = Log::default();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let (a, b) = (seen.clone(), seen.clone());
                let _ = scope.spawn_service(async move |cx: &Cx| {
                    worker(cx, a, EVER, ["", "service cancelled"]).await
                });
                let _ = scope.spawn(async move |cx: &Cx| {
                    worker(cx, b, secs(5), ["worker done", "worker cancelled"]).await
                });
                Ok(())
            })
            .await;
        Ok::<_, Error>((outcome.is_ok(), cx.now()))
    });
    let (ok, now) = ran.outcome.ok().unwrap();
    assert!(ok, "a dismissed service does not lower the outcome");
    assert_eq!(now.as_nanos(), 5_000_000_000);
    assert_eq!(*log.lock().unwrap(), ["worker done", "service cancelled"]);
}

#[test]
fn in_a_cancelled_region_the_services_are_cancelled_after_the_others_have_cleaned_up() {
    let log = Log::default();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let (a, b) = (seen.clone(), seen.clone());
                let _ = scope.spawn_service(async move |cx: &Cx| {
                    worker(cx, a, EVER, ["", "service cancelled"]).await
                });
                let _ = scope.spawn(async move |cx: &Cx| {
                    let cancelled = cx.sleep(EVER).await;
                    cx.masked(cx.sleep(secs(1))).await?;
                    b.lock().unwrap().push("worker cleaned up");
                    Ok(cancelled?)
                });
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("stop"));
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome.is_ok())
    });
    assert_eq!(ran.outcome.ok(), Some(true));
    assert!(ran.report.is_clean());
    assert_eq!(*log.lock().unwrap(), ["worker cleaned up", "service cancelled"]);
}

#[test]
fn a_straggling_child_does_not_take_its_services_time() {
    let log = Log::default();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope| {
                let a = seen.clone();
                let _ = scope.spawn_service(async move |cx: &Cx| {
                    let cancelled = cx.sleep(EVER).await;
                    cx.masked(cx.sleep(secs(1))).await?;
                    a.lock().unwrap().push("service cleaned up");
                    Ok(cancelled?)
                });
                let _ = scope.spawn(async |cx: &Cx| Ok(cx.masked(cx.sleep(EVER)).await?));
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("stop").with_cleanup(secs(2)));
                Ok::<_, Error>(())
            })
            .await;
        Ok::<_, Error>(closed.report.stragglers.len())
    });
    assert_eq!(ran.outcome.ok(), Some(1));
    assert_eq!(*log.lock().unwrap(), ["service cleaned up"]);
}

#[test]
fn regions_and_siblings_that_a_service_makes_are_services_too() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let _ = scope.spawn_service(async |cx: &Cx| {
                    let _ = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(EVER).await?));
                    let inner: Outcome<(), Error> = cx
                        .region(async |scope| {
                            let _ = scope.spawn(async |cx: &Cx| Ok(cx.sleep(EVER).await?));
                            Ok(())
                        })
                        .await;
                    Ok(inner.into_result()?)
                });
                Ok(cx.sleep(secs(3)).await?)
            })
            .await;
        Ok::<_, Error>((outcome.is_ok(), cx.now().as_nanos()))
    });
    assert_eq!(ran.outcome.ok(), Some((true, 3_000_000_000)));
}

#[test]
fn a_service_that_fails_is_a_failed_child() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let _ = scope.spawn_service(async |_cx: &Cx| Err::<(), _>(Error::msg("broken")));
                Ok(cx.sleep(EVER).await?)
            })
            .await;
        Ok::<_, Error>(outcome.into_result().unwrap_err().to_string())
    });
    assert!(ran.outcome.ok().unwrap().contains("broken"));
}

#[test]
fn a_roots_services_end_when_it_begins_to_close_and_at_the_latest_when_it_is_escalated() {
    for stubborn in [false, true] {
        let machine = Machine::new();
        let root = Root::new(machine.clone(), RegionOptions::new());
        let service = TaskOptions::new().service();
        let mut handle = root.spawn_with(service, async move |cx: &Cx| {
            if stubborn {
                return Ok::<_, Error>(cx.masked(cx.sleep(EVER)).await?);
            }
            Ok(cx.sleep(EVER).await?)
        });
        assert!(machine.step());
        root.cancel(CancelReason::user("stop"));
        assert!(!handle.is_finished());
        root.begin_close();
        if stubborn {
            root.escalate();
        }
        let mut context = Context::from_waker(Waker::noop());
        while root.poll_closed(&mut context).is_pending() {
            assert!(machine.step());
        }
        assert!(matches!(handle.poll_join(&mut context), Poll::Ready(Ok(o)) if o.is_cancelled()));
        assert!(machine.armed_timers() == 0);
    }
}

#[test]
fn a_group_yields_outcomes_in_the_order_of_their_ends_and_answers_for_failures() {
    let ran = run(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                let mut group = scope.group::<u64>();
                for time in [3, 1, 2] {
                    group.spawn(async move |cx: &Cx| {
                        cx.sleep(secs(time)).await?;
                        if time == 2 { Err(Error::msg("two")) } else { Ok(time) }
                    });
                }
                assert_eq!(group.live(), 3);
                let mut yielded = Vec::new();
                while let Some((_, outcome)) = group.next(cx).await? {
                    yielded.push(outcome.ok());
                }
                Ok::<_, Error>(yielded)
            })
            .await;
        Ok::<_, Error>(outcome.into_result()?)
    });
    assert_eq!(ran.outcome.ok().unwrap(), [Some(1), None, Some(3)]);
}

#[test]
fn a_group_keeps_no_child_that_was_taken() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let ran = run(async |cx: &Cx| {
        let options = RegionOptions::new().policy(Policy::CollectAll);
        let live = Arc::new(AtomicUsize::new(0));
        let seen = live.clone();
        let outcome = cx
            .region_with(options, async move |scope| {
                let mut group = scope.group::<()>();
                let mut most = 0;
                for _ in 0..100 {
                    for _ in 0..10 {
                        live.fetch_add(1, Ordering::Relaxed);
                        let counted = Counted(live.clone());
                        group.spawn(async move |cx: &Cx| {
                            cx.yield_now().await?;
                            let _counted = counted;
                            Err(Error::msg("each fails"))
                        });
                    }
                    for _ in 0..10 {
                        let (_, outcome) = group.next(cx).await?.expect("ten were spawned");
                        assert!(matches!(outcome, Outcome::Err(_)));
                    }
                    most = most.max(live.load(Ordering::Relaxed));
                }
                Ok::<_, Error>(most)
            })
            .await;
        Ok::<_, Error>((outcome.into_result()?, seen.load(Ordering::Relaxed)))
    });
    assert_eq!(ran.outcome.ok(), Some((0, 0)));
}

#[test]
fn what_a_dropped_group_did_not_yield_is_the_regions_failure() {
    for drops_early in [true, false] {
        let ran = run(async move |cx: &Cx| {
            let outcome: Outcome<(), Error> = cx
                .region(async |scope| {
                    let mut group = scope.group::<()>();
                    group.spawn(async |_cx: &Cx| Err(Error::msg("nobody took this")));
                    if drops_early {
                        drop(group);
                    } else {
                        cx.sleep(secs(1)).await?;
                    }
                    Ok(cx.sleep(EVER).await?)
                })
                .await;
            Ok::<_, Error>(outcome.into_result().unwrap_err().to_string())
        });
        let text = ran.outcome.ok().unwrap();
        assert!(text.contains("nobody took this"), "{text}");
    }
}

#[test]
fn a_refused_child_of_a_group_is_yielded_as_cancelled() {
    let ran = run(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                let mut group = scope.group::<()>();
                scope.cancel(CancelReason::user("closed"));
                group.spawn(async |_cx: &Cx| Ok::<_, Error>(()));
                let next = cx.masked(group.next(cx)).await?;
                Ok::<_, Error>(next.is_some_and(|(_, outcome)| outcome.is_cancelled()))
            })
            .await;
        Ok::<_, Error>(outcome.ok())
    });
    assert_eq!(ran.outcome.ok(), Some(Some(true)));
}

#[test]
fn cancelling_a_group_ends_its_children_and_lowers_no_outcome() {
    let ran = run(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                let mut group = scope.group::<()>();
                for _ in 0..3 {
                    group.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(EVER).await?));
                }
                cx.yield_now().await?;
                group.cancel(CancelReason::user("enough"));
                let mut cancelled = 0;
                while let Some((_, outcome)) = group.next(cx).await? {
                    cancelled += u32::from(outcome.is_cancelled());
                }
                Ok::<_, Error>(cancelled)
            })
            .await;
        Ok::<_, Error>(outcome.into_result()?)
    });
    assert_eq!(ran.outcome.ok(), Some(3));
}

#[test]
fn a_limit_lets_so_many_run_at_once_and_the_rest_wait_their_turn() {
    let ran = run(async |cx: &Cx| {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let seen = most.clone();
        let outcome = cx
            .region(async move |scope| {
                let few = scope.limit(2);
                for _ in 0..7 {
                    let (running, most) = (running.clone(), most.clone());
                    let body = async move |cx: &Cx| {
                        most.fetch_max(
                            running.fetch_add(1, Ordering::Relaxed) + 1,
                            Ordering::Relaxed,
                        );
                        cx.sleep(secs(1)).await?;
                        running.fetch_sub(1, Ordering::Relaxed);
                        Ok::<_, Error>(())
                    };
                    let _ = few.spawn(cx, body).await?;
                }
                assert!(few.try_spawn(async |_cx: &Cx| Ok::<_, Error>(())).is_err());
                Ok::<_, Error>(())
            })
            .await;
        outcome.into_result()?;
        Ok::<_, Error>((seen.load(Ordering::Relaxed), cx.now().as_nanos()))
    });
    assert_eq!(ran.outcome.ok(), Some((2, 4_000_000_000)));
}

#[test]
fn a_place_granted_to_somebody_who_left_goes_to_the_next() {
    let ran = run(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                let one = scope.limit(1);
                let _ =
                    one.spawn(cx, async |cx: &Cx| Ok::<_, Error>(cx.sleep(secs(1)).await?)).await?;
                let mut first = Box::pin(one.spawn(cx, async |_cx: &Cx| Ok::<_, Error>(())));
                let mut second = Box::pin(one.spawn(cx, async |_cx: &Cx| Ok::<_, Error>(())));
                let polled = cx.wait("both", |context| {
                    Poll::Ready((first.as_mut().poll(context), second.as_mut().poll(context)))
                });
                assert!(matches!(polled.await?, (Poll::Pending, Poll::Pending)));
                cx.sleep(secs(2)).await?;
                drop(first); // granted, and gone
                let _ = second.await?;
                Ok::<_, Error>(())
            })
            .await;
        Ok::<_, Error>(outcome.into_result()?)
    });
    assert!(ran.outcome.is_ok());
}

#[test]
fn spawn_ready_answers_when_the_child_says_so_or_has_ended_without() {
    let ran = run(async |cx: &Cx| {
        let options = RegionOptions::new().policy(Policy::CollectAll);
        let closed = cx
            .region_reported(options, async |scope| {
                let (_server, at) = scope
                    .spawn_ready(cx, |ready| {
                        async move |cx: &Cx| {
                            cx.sleep(secs(2)).await?;
                            ready.set(cx.now());
                            Ok::<_, Error>(cx.sleep(EVER).await?)
                        }
                    })
                    .await?;
                assert_eq!((at, at.as_nanos()), (cx.now(), 2_000_000_000));
                let failed = scope
                    .spawn_ready(cx, |ready: asupersync_core::Ready<u8>| {
                        async move |_cx: &Cx| {
                            let _ready = ready;
                            Err::<(), _>(Error::msg("cannot bind"))
                        }
                    })
                    .await;
                assert!(matches!(failed, Err(NotReady::Ended { .. })));
                Ok::<_, Error>(())
            })
            .await;
        Ok::<_, Error>(closed.into_result().unwrap_err())
    });
    let error = ran.outcome.ok().unwrap();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.to_string().contains("cannot bind"));
}

#[test]
fn a_soft_cancellation_lets_what_hears_it_finish_and_cancels_the_rest_after_the_grace() {
    let log = Log::default();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let (a, b, c) = (seen.clone(), seen.clone(), seen.clone());
                let _ = scope.spawn(async move |cx: &Cx| {
                    cx.soft_cancelled().await?;
                    cx.sleep(secs(1)).await?;
                    a.lock().unwrap().push("finished");
                    Ok(())
                });
                let _ = scope.spawn(async move |cx: &Cx| {
                    let inner: Outcome<(), Error> = cx
                        .region(async |scope| {
                            let _ = scope.spawn(async move |cx: &Cx| {
                                while !cx.is_soft_cancelled() {
                                    cx.sleep(secs(1)).await?;
                                }
                                b.lock().unwrap().push("grandchild saw it");
                                Ok(())
                            });
                            Ok(())
                        })
                        .await;
                    Ok(inner.into_result()?)
                });
                let _ = scope.spawn(async move |cx: &Cx| worker(cx, c, EVER, ["", "deaf"]).await);
                cx.sleep(secs(5)).await?;
                assert!(!cx.is_soft_cancelled());
                scope.cancel_soft(CancelReason::user("please finish"), secs(10));
                assert!(cx.is_soft_cancelled(), "its own body is asked, too");
                let d = seen.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    cx.soft_cancelled().await?;
                    d.lock().unwrap().push("a late child saw it");
                    Ok(())
                });
                Ok(())
            })
            .await;
        assert!(!cx.is_soft_cancelled(), "the task around was not asked");
        Ok::<_, Error>((outcome.is_cancelled(), cx.now().as_nanos()))
    });
    assert_eq!(ran.outcome.ok(), Some((true, 15_000_000_000)));
    let mut log = log.lock().unwrap().clone();
    assert_eq!(log.pop(), Some("deaf"));
    log.sort_unstable();
    assert_eq!(log, ["a late child saw it", "finished", "grandchild saw it"]);
}

#[test]
fn what_finishes_within_the_grace_is_not_cancelled_and_leaves_no_timer() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let inner: Outcome<(), Error> = cx
                .region(async |scope| {
                    let _ = scope.spawn(async |cx: &Cx| Ok(cx.soft_cancelled().await?));
                    Ok(cx.soft_cancelled().await?)
                })
                .await;
            Ok::<_, Error>(inner.into_result()?)
        });
        cx.sleep(secs(1)).await?;
        child.cancel_soft(CancelReason::user("please"), secs(100));
        let outcome = child.join(cx).await?;
        Ok::<_, Error>((outcome.is_ok(), cx.now().as_nanos()))
    });
    assert_eq!(ran.outcome.ok(), Some((true, 1_000_000_000)));
}

#[test]
fn a_task_that_does_not_hear_a_soft_cancellation_is_cancelled_after_the_grace() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(EVER).await?));
        child.cancel_soft(CancelReason::user("please"), secs(3));
        let outcome = child.join(cx).await?;
        Ok::<_, Error>((outcome.is_cancelled(), cx.now().as_nanos()))
    });
    assert_eq!(ran.outcome.ok(), Some((true, 3_000_000_000)));
}
