//! Regions close to quiescence, and yield what the lattice says.

mod support;

use asupersync_core::{
    BranchEnd, BranchOptions, Budget, CancelKind, CancelReason, Cx, Error, ErrorKind, FailureCause,
    JoinError, Outcome, Policy, RegionOptions, Scope, TaskOptions, Time,
};
use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;
use support::{Machine, run, run_on};

type Log = Arc<std::sync::Mutex<Vec<&'static str>>>;

fn log() -> Log {
    Log::default()
}

fn entries(log: &Log) -> Vec<&'static str> {
    log.lock().unwrap().clone()
}

#[test]
fn a_region_returns_its_bodys_value_after_its_children_have_ended() {
    let log = log();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<u32, Error> = cx
            .region(async |scope| {
                for _ in 0..3 {
                    let log = log.clone();
                    let _ = scope.spawn(async move |cx| {
                        cx.sleep(Duration::from_secs(1)).await?;
                        log.lock().unwrap().push("child");
                        Ok(())
                    });
                }
                Ok(7)
            })
            .await;
        log.lock().unwrap().push("closed");
        Ok::<_, Error>(outcome.ok())
    });
    assert_eq!(ran.outcome.ok(), Some(Some(7)));
    assert_eq!(entries(&seen), ["child", "child", "child", "closed"]);
    assert!(!ran.machine.step(), "nothing is left to run");
}

#[test]
fn fail_fast_yields_the_error_that_caused_it_and_drains_the_siblings() {
    let log = log();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let inner = log.clone();
                let _ = scope.spawn(async move |cx| {
                    let waited = cx.sleep(Duration::from_secs(60)).await;
                    inner.lock().unwrap().push("sibling drains");
                    waited?;
                    Ok(())
                });
                let _ = scope.spawn(async |cx| {
                    cx.sleep(Duration::from_secs(1)).await?;
                    Err::<(), _>(Error::msg("broken"))
                });
                cx.sleep(Duration::from_secs(100)).await?;
                Ok(())
            })
            .await;
        assert!(cx.now() < Time::from_secs(2));
        Ok::<_, Error>(outcome)
    });
    let Outcome::Ok(Outcome::Err(error)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert!(error.to_string().contains("broken"));
    assert_eq!(entries(&seen), ["sibling drains"]);
}

#[test]
fn a_panicking_child_cancels_its_siblings_and_keeps_its_payload() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let _ = scope.spawn(async |cx| Ok(cx.sleep(Duration::from_secs(60)).await?));
                let _ = scope.spawn(async |_cx| -> Result<(), Error> { panic!("kept whole") });
                cx.sleep(Duration::from_secs(100)).await?;
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    let Outcome::Ok(Outcome::Panicked(payload)) = ran.outcome else { panic!() };
    assert_eq!(payload.message(), "kept whole");
}

#[test]
fn collect_all_lets_siblings_finish_and_keeps_every_error() {
    let finished = Arc::new(AtomicU32::new(0));
    let count = finished.clone();
    let ran = run(async move |cx: &Cx| {
        let closed = cx
            .region_reported(RegionOptions::new().policy(Policy::CollectAll), async |scope| {
                for n in 0..3_u64 {
                    let count = count.clone();
                    let _ = scope.spawn(async move |cx| {
                        cx.sleep(Duration::from_secs(n)).await?;
                        count.fetch_add(1, Ordering::Relaxed);
                        Err::<(), _>(Error::msg(format!("error {n}")))
                    });
                }
                Ok(())
            })
            .await;
        Ok::<_, Error>(closed)
    });
    let Outcome::Ok(closed) = ran.outcome else { panic!() };
    assert_eq!(finished.load(Ordering::Relaxed), 3);
    let Outcome::Err(first) = closed.outcome else { panic!() };
    assert!(first.to_string().contains("error 0"));
    let rest: Vec<String> = closed
        .failures
        .iter()
        .map(|failure| match &failure.cause {
            FailureCause::Err(error) => error.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(rest.len(), 2);
    assert!(rest[0].contains("error 1") && rest[1].contains("error 2"), "{rest:?}");
}

#[test]
fn a_joined_error_does_not_lower_the_regions_outcome() {
    let ran = run(async |cx: &Cx| {
        let options = RegionOptions::new().policy(Policy::CollectAll);
        let outcome: Outcome<bool, Error> = cx
            .region_with(options, async |scope| {
                let mut child = scope.spawn(async |_cx| Err::<(), _>(Error::msg("joined")));
                Ok(matches!(child.join(cx).await?, Outcome::Err(_)))
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Ok(true))), "{:?}", ran.outcome);
}

#[test]
fn a_child_cancelled_by_its_handle_does_not_lower_the_regions_outcome() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<&str, Error> = cx
            .region(async |scope| {
                let child = scope.spawn(async |cx| Ok(cx.sleep(Duration::from_secs(60)).await?));
                child.cancel(CancelReason::user("enough"));
                Ok("fine")
            })
            .await;
        assert_eq!(cx.now(), Time::ZERO);
        Ok::<_, Error>(outcome)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Ok("fine"))), "{:?}", ran.outcome);
}

#[test]
fn finalizers_run_after_the_children_last_registered_first_and_masked() {
    let log = log();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                for name in ["first", "second", "third"] {
                    let log = log.clone();
                    scope.defer(async move |cx| {
                        cx.sleep(Duration::from_millis(10)).await?;
                        log.lock().unwrap().push(name);
                        Ok(())
                    });
                }
                let child = log.clone();
                let _ = scope.spawn(async move |cx| {
                    let waited = cx.sleep(Duration::from_secs(1)).await;
                    child.lock().unwrap().push("child");
                    Ok(waited?)
                });
                scope.cancel(CancelReason::user("stop"));
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Ok(()))), "{:?}", ran.outcome);
    assert_eq!(entries(&seen), ["child", "third", "second", "first"]);
}

#[test]
fn dropping_a_regions_future_orphans_nothing() {
    let log = log();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outer: Outcome<(), Error> = cx
            .region(async |_scope| {
                {
                    let region = cx.region(async |scope| {
                        let log = log.clone();
                        let _ = scope.spawn(async move |cx| {
                            let waited = cx.sleep(Duration::from_secs(60)).await;
                            cx.masked(cx.sleep(Duration::from_millis(5))).await?;
                            log.lock().unwrap().push("drained");
                            waited?;
                            Ok::<_, Error>(())
                        });
                        cx.sleep(Duration::from_secs(60)).await?;
                        Ok::<_, Error>(())
                    });
                    let mut region = std::pin::pin!(region);
                    // Poll it a few times, then let it go.
                    for _ in 0..3 {
                        let once = poll_fn(|context| {
                            assert!(region.as_mut().poll(context).is_pending());
                            Poll::Ready(())
                        });
                        once.await;
                        cx.yield_now().await?;
                    }
                }
                Ok(())
            })
            .await;
        log.lock().unwrap().push("outer closed");
        Ok::<_, Error>(outer)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Ok(()))), "{:?}", ran.outcome);
    assert_eq!(entries(&seen), ["drained", "outer closed"]);
}

#[test]
fn a_deadline_reaches_a_task_that_waits_for_something_else() {
    let ran = run(async |cx: &Cx| {
        let budget = Budget::new().with_deadline_secs(5);
        let outcome: Outcome<(), Error> = cx
            .region_with(RegionOptions::new().budget(budget), async |scope| {
                let _ = scope.spawn(async |cx| Ok(cx.sleep(Duration::from_secs(60)).await?));
                Ok(())
            })
            .await;
        assert_eq!(cx.now(), Time::from_secs(5));
        Ok::<_, Error>(outcome)
    });
    let Outcome::Ok(Outcome::Cancelled(reason)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert_eq!(reason.severity(), CancelKind::Timeout);
}

#[test]
fn a_poll_quota_stops_a_task_that_yields_for_ever() {
    let ran = run(async |cx: &Cx| {
        let budget = Budget::new().with_poll_quota(50);
        let outcome: Outcome<(), Error> = cx
            .region_with(RegionOptions::new().budget(budget), async |scope| {
                let _ = scope.spawn(async |cx| -> Result<(), Error> {
                    loop {
                        cx.yield_now().await?;
                    }
                });
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    let Outcome::Ok(Outcome::Cancelled(reason)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert_eq!(reason.severity(), CancelKind::Quota);
    assert!(*ran.machine.polls.lock().unwrap() < 80);
}

#[test]
fn a_child_that_ran_out_of_time_and_was_joined_is_the_joiners_matter() {
    let ran = run(async |cx: &Cx| {
        let limits =
            || TaskOptions::new().budget(Budget::new().with_timeout(Duration::from_secs(1)));
        let slow = async |cx: &Cx| -> Result<u32, Error> {
            cx.sleep(Duration::from_secs(9)).await?;
            Ok(1)
        };
        let joined: Outcome<u32, Error> = cx
            .region(async |scope| {
                let mut child = scope.spawn_with(limits(), slow);
                match child.join(cx).await? {
                    Outcome::Ok(value) => Ok(value),
                    _ => Ok(2),
                }
            })
            .await;
        // One of them is nobody's, though it was not the first to end.
        let unjoined: Outcome<u32, Error> = cx
            .region(async |scope| {
                let mut first = scope.spawn_with(limits(), slow);
                let _second = scope.spawn_with(limits(), slow);
                let _ = first.join(cx).await?;
                Ok(2)
            })
            .await;
        Ok::<_, Error>((joined, unjoined))
    });
    let Outcome::Ok((joined, unjoined)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert_eq!(joined.ok(), Some(2));
    let Outcome::Cancelled(reason) = unjoined else { panic!("{unjoined:?}") };
    assert_eq!(reason.kind(), CancelKind::Timeout);
}

#[test]
fn a_region_that_lives_long_does_not_collect_children_that_were_joined() {
    let ran = run(async |cx: &Cx| {
        let name: Arc<str> = "child".into();
        let options = RegionOptions::new().policy(Policy::CollectAll);
        let kept = name.clone();
        let outcome: Outcome<usize, Error> = cx
            .region_with(options, async move |scope| {
                for n in 0..500 {
                    let limits = TaskOptions::new().name(name.clone());
                    let limits = limits.budget(Budget::new().with_timeout(Duration::from_secs(1)));
                    let mut child = scope.spawn_with(limits, async move |cx: &Cx| {
                        cx.sleep(Duration::from_secs(n % 2 * 9)).await?;
                        Err::<(), _>(Error::msg("bad"))
                    });
                    assert!(!child.join(cx).await?.is_ok());
                }
                Ok(Arc::strong_count(&name))
            })
            .await;
        drop(kept);
        Ok::<_, Error>(outcome)
    });
    let Outcome::Ok(Outcome::Ok(kept)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert!(kept < 20, "{kept} of 500 are still there");
}

#[test]
fn a_region_that_is_left_behind_by_the_body_around_it_counts_as_dropped() {
    let log = log();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let mut kept = None;
        let outcome: Outcome<(), Error> = cx
            .region(async |_| {
                let open = |name: &'static str| {
                    let log = log.clone();
                    Box::pin(cx.region(async move |scope: &Scope<Error>| {
                        let _ = scope.spawn(async move |cx: &Cx| {
                            let slept = cx.sleep(Duration::from_secs(1000)).await;
                            log.lock().unwrap().push(name);
                            Ok(slept?)
                        });
                        Ok(cx.wait("never", |_| Poll::<()>::Pending).await?)
                    }))
                };
                let (mut forgotten, mut moved) = (open("forgotten"), open("moved"));
                poll_fn(|context| {
                    assert!(forgotten.as_mut().poll(context).is_pending());
                    assert!(moved.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
                std::mem::forget(forgotten);
                kept = Some(moved);
                cx.yield_now().await?;
                Ok(())
            })
            .await;
        log.lock().unwrap().push("closed");
        let moved: Outcome<(), Error> = kept.unwrap().await;
        Ok::<_, Error>((outcome, moved, cx.now()))
    });
    let Outcome::Ok((outcome, moved, now)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(moved.is_cancelled(), "{moved:?}");
    assert_eq!(now, Time::ZERO);
    let ended = entries(&seen);
    assert!(ended[2] == "closed" && ended.len() == 3, "{ended:?}");
}

#[test]
fn a_deadline_under_a_mask_passes_although_one_outside_came_first() {
    const SECOND: Duration = Duration::from_secs(1);
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    let ran = run(async move |cx: &Cx| {
        // What a limit around a wait that never ends comes to, and when.
        let limited = async |cx: &Cx, what: &'static str, seconds: u32| {
            let deadline = Some(cx.now() + SECOND * seconds);
            let never = cx.wait("never", |_| Poll::<()>::Pending);
            let branch = cx.branch(BranchOptions { deadline, ..BranchOptions::default() }, never);
            let BranchEnd::Finished(Err(_)) = branch.await else { panic!("{what}") };
            log.lock().unwrap().push((what, cx.now().as_nanos() / SECOND.as_nanos() as u64));
        };
        let options = BranchOptions { deadline: Some(cx.now() + SECOND), ..Default::default() };
        let _ = cx.branch(options, cx.masked(limited(cx, "branch in a branch", 2))).await;
        let last = log.clone();
        let budget = Budget::new().with_timeout(SECOND);
        let outcome: Outcome<(), Error> = cx
            .region_with(RegionOptions::new().budget(budget), async move |scope| {
                scope.defer(async move |cx: &Cx| {
                    let deadline = Some(cx.now() + SECOND);
                    let never = cx.wait("never", |_| Poll::<()>::Pending);
                    let options = BranchOptions { deadline, ..BranchOptions::default() };
                    let _ = cx.branch(options, never).await;
                    last.lock().unwrap().push(("finalizer", cx.now().as_nanos() / 1_000_000_000));
                    Ok(())
                });
                cx.masked(async {
                    limited(cx, "branch", 2).await;
                    let budget = Budget::new().with_timeout(SECOND);
                    let region =
                        cx.region_with(RegionOptions::new().budget(budget), async |scope| {
                            let limits = TaskOptions::new();
                            let limits = limits.budget(Budget::new().with_timeout(SECOND / 2));
                            let mut child = scope.spawn_with(limits, async |cx: &Cx| {
                                Ok(cx.wait("never", |_| Poll::<()>::Pending).await?)
                            });
                            assert!(child.join(cx).await?.is_cancelled());
                            limited(cx, "in a region", 9).await;
                            Ok::<_, Error>(())
                        });
                    assert!(region.await.is_ok());
                })
                .await;
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
    let expected = [("branch in a branch", 2), ("branch", 4), ("in a region", 5), ("finalizer", 6)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn charges_are_shared_by_a_region_and_stop_it() {
    let ran = run(async |cx: &Cx| {
        let budget = Budget::new().with_cost_quota(10);
        let outcome: Outcome<(), Error> = cx
            .region_with(RegionOptions::new().budget(budget), async |scope| {
                for _ in 0..3 {
                    let _ = scope.spawn(async |cx| {
                        cx.charge(4)?;
                        cx.yield_now().await?;
                        Ok(cx.sleep(Duration::from_secs(1)).await?)
                    });
                }
                cx.sleep(Duration::from_secs(1)).await?;
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    let Outcome::Ok(Outcome::Cancelled(reason)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert_eq!(reason.severity(), CancelKind::Quota);
}

#[test]
fn a_spent_cleanup_budget_drops_the_task_and_names_it() {
    let ran = run(async |cx: &Cx| {
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope| {
                let _ = scope.spawn_named("stubborn", async |cx| {
                    cx.masked(cx.sleep(Duration::from_secs(3600))).await?;
                    Ok(())
                });
                cx.yield_now().await?;
                let reason = CancelReason::user("now").with_cleanup(Duration::from_secs(2));
                scope.cancel(reason);
                Ok::<_, Error>(())
            })
            .await;
        assert_eq!(cx.now(), Time::from_secs(2));
        Ok::<_, Error>(closed)
    });
    let Outcome::Ok(closed) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert_eq!(closed.report.stragglers.len(), 1);
    let text = closed.report.stragglers[0].to_string();
    assert!(text.contains("stubborn") && text.contains("sleep at"), "{text}");
}

#[test]
fn a_masked_section_completes_before_the_cancellation_is_seen() {
    let log = log();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let task = scope.spawn(async move |cx| {
                    cx.masked(async {
                        for step in ["one", "two", "three"] {
                            cx.sleep(Duration::from_millis(1)).await?;
                            log.lock().unwrap().push(step);
                        }
                        Ok::<_, Error>(())
                    })
                    .await?;
                    let after = cx.checkpoint();
                    log.lock().unwrap().push(if after.is_err() { "told" } else { "not told" });
                    after?;
                    Ok(())
                });
                cx.yield_now().await?;
                task.cancel(CancelReason::user("mid-mask"));
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Ok(()))), "{:?}", ran.outcome);
    assert_eq!(entries(&seen), ["one", "two", "three", "told"]);
}

#[test]
fn a_mask_guard_lets_the_cancellation_in_when_it_goes() {
    let ran = run(async |cx: &Cx| {
        let mut task = cx.spawn(async |cx: &Cx| {
            let guard = cx.mask();
            cx.sleep(Duration::from_secs(1)).await?;
            drop(guard);
            assert!(cx.is_cancel_requested());
            cx.sleep(Duration::from_secs(100)).await?;
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        task.cancel(CancelReason::user("held off"));
        let outcome = task.join(cx).await?;
        assert_eq!(cx.now(), Time::from_secs(1));
        Ok::<_, Error>(outcome)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Cancelled(_))), "{:?}", ran.outcome);
}

#[test]
fn a_cancelled_join_returns_while_the_child_goes_on() {
    let ran = run(async |cx: &Cx| {
        let mut slow = cx.spawn(async |cx: &Cx| {
            cx.sleep(Duration::from_secs(10)).await?;
            Ok::<_, Error>("slow but done")
        });
        let slow_id = slow.id();
        let mut joiner = cx.spawn(async move |cx: &Cx| {
            let joined = slow.join(cx).await;
            assert!(matches!(joined, Err(JoinError::Cancelled(_))));
            let again = cx.masked(slow.join(cx)).await.unwrap();
            Ok::<_, Error>(again.ok())
        });
        cx.yield_now().await?;
        joiner.cancel(CancelReason::user("stop joining").with_cleanup(Duration::from_secs(60)));
        let outcome = joiner.join(cx).await?;
        assert_eq!(cx.now(), Time::from_secs(10), "{slow_id}");
        Ok::<_, Error>(outcome.ok().flatten())
    });
    assert_eq!(ran.outcome.ok(), Some(Some("slow but done")));
}

#[test]
fn joining_the_opener_of_ones_own_region_is_refused_at_once() {
    let ran = run(async |cx: &Cx| {
        let (give, take) = std::sync::mpsc::channel();
        let opener = cx.spawn(async move |cx: &Cx| {
            let outcome: Outcome<(), Error> = cx
                .region(async |scope| {
                    let mut inner = scope.spawn(async move |cx| {
                        let mut opener: asupersync_core::TaskHandle<(), Error> =
                            take.recv().unwrap();
                        let refused = opener.join(cx).await;
                        assert!(matches!(refused, Err(JoinError::WouldDeadlock { .. })));
                        Ok(())
                    });
                    inner.join(cx).await?.into_result()?;
                    Ok(())
                })
                .await;
            Ok::<_, Error>(outcome.into_result()?)
        });
        give.send(opener).unwrap();
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

#[test]
fn a_later_stronger_reason_replaces_a_milder_one_and_never_the_reverse() {
    for shutdown_first in [false, true] {
        let ran = run(async move |cx: &Cx| {
            let mut child = cx.spawn(async |cx: &Cx| {
                let waited = cx.sleep(Duration::from_secs(60)).await;
                cx.masked(cx.sleep(Duration::from_millis(1))).await?;
                waited?;
                Ok::<_, Error>(())
            });
            cx.yield_now().await?;
            let user = || child.cancel(CancelReason::user("mild"));
            let shutdown = || child.cancel(CancelReason::shutdown(Duration::from_secs(1)));
            if shutdown_first {
                shutdown();
                user();
            } else {
                user();
                shutdown();
            }
            Ok::<_, Error>(child.join(cx).await?)
        });
        let Outcome::Ok(Outcome::Cancelled(reason)) = ran.outcome else { panic!() };
        assert_eq!(reason.severity(), CancelKind::Shutdown);
    }
}

#[test]
fn a_finalizer_that_overran_leaves_the_next_one_bounded() {
    let ran = run(async |cx: &Cx| {
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope: &Scope<Error>| {
                for _ in 0..2 {
                    scope.defer(async |cx: &Cx| Ok(cx.wait("never", |_| Poll::Pending).await?));
                }
                Ok(())
            })
            .await;
        Ok::<_, Error>(closed.report.stragglers.len())
    });
    assert_eq!(ran.outcome.into_result().unwrap(), 2);
}

#[test]
fn a_refused_task_leaves_no_timer_behind() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                scope.cancel(CancelReason::user("closed for today"));
                let limits = TaskOptions::new().budget(Budget::new().with_deadline_secs(3600));
                let _ = scope.spawn_with(limits, async |_cx| Ok(()));
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome.is_ok())
    });
    assert_eq!(ran.machine.armed_timers(), 0);
}

#[test]
fn a_cancelled_region_refuses_new_tasks_and_drops_their_bodies_once() {
    struct Counted(Arc<AtomicU32>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicU32::new(0));
    let counted = Counted(drops.clone());
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<bool, Error> = cx
            .region(async move |scope| {
                scope.cancel(CancelReason::user("closed for today"));
                let mut refused = scope.spawn(async move |_cx| {
                    let _held = &counted;
                    Ok(())
                });
                let joined = cx.masked(refused.join(cx)).await?;
                Ok(joined.is_cancelled())
            })
            .await;
        Ok::<_, Error>(outcome)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Ok(true))), "{:?}", ran.outcome);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn a_body_that_returns_early_still_drains_and_finalizes_its_children() {
    let log = log();
    let seen = log.clone();
    let ran = run(async move |cx: &Cx| {
        let child = log.clone();
        let _ = cx.spawn(async move |cx: &Cx| {
            let outcome: Outcome<(), Error> = cx
                .region(async |scope| {
                    let log = child.clone();
                    scope.defer(async move |_cx| {
                        log.lock().unwrap().push("finalizer");
                        Ok(())
                    });
                    cx.sleep(Duration::from_secs(3)).await?;
                    child.lock().unwrap().push("child");
                    Ok(())
                })
                .await;
            Ok::<_, Error>(outcome.into_result()?)
        });
        log.lock().unwrap().push("main returns");
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok());
    assert_eq!(entries(&seen), ["main returns", "child", "finalizer"]);
}

#[test]
fn a_task_in_a_foreign_future_ends_when_it_is_cancelled() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |_cx: &Cx| {
            pending::<()>().await;
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        child.cancel(CancelReason::user("unreachable otherwise"));
        let outcome = child.join(cx).await?;
        assert_eq!(cx.now(), Time::ZERO);
        Ok::<_, Error>(outcome)
    });
    assert!(matches!(ran.outcome, Outcome::Ok(Outcome::Cancelled(_))), "{:?}", ran.outcome);
}

#[test]
fn a_blocking_closures_result_and_panic_reach_the_joiner() {
    let ran = run(async |cx: &Cx| {
        let options = RegionOptions::new().policy(Policy::CollectAll);
        let outcome: Outcome<_, Error> = cx
            .region_with(options, async |_scope| {
                let mut good = cx.spawn_blocking(|| Ok::<_, Error>(6 * 7));
                let good = good.join(cx).await?.into_result()?;
                Ok(good)
            })
            .await;
        Ok::<_, Error>(outcome.ok())
    });
    assert_eq!(ran.outcome.ok(), Some(Some(42)));
    let ran = run(async |cx: &Cx| {
        let mut bad = cx.spawn_blocking(|| -> Result<(), Error> { panic!("in the blocking pool") });
        Ok::<_, Error>(cx.masked(bad.join(cx)).await?)
    });
    let Outcome::Ok(Outcome::Panicked(payload)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert_eq!(payload.message(), "in the blocking pool");
}

#[test]
fn a_program_that_failed_leaves_no_memory_behind() {
    for child_fails in [false, true] {
        let machine = Machine::new();
        drop(run_on(machine.clone(), async move |cx: &Cx| {
            let fails = async |_: &Cx| Err::<(), _>(Error::new(ErrorKind::Io, "failed"));
            if child_fails {
                // Nobody joins it.
                drop(cx.spawn(fails));
                return Ok(());
            }
            fails(cx).await
        }));
        // Each region of the tree refers to its host.
        assert_eq!(Arc::strong_count(&machine), 1);
    }
}

#[test]
fn errors_say_code_task_line_and_what_to_do() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(Duration::MAX).await?));
        cx.yield_now().await?;
        child.cancel(CancelReason::user("enough"));
        let outcome = child.join(cx).await?;
        let error = child.take_cleanup_error().unwrap();
        assert!(outcome.is_cancelled());
        Ok::<_, Error>(error)
    });
    let error = ran.outcome.ok().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let text = error.to_string();
    assert!(text.starts_with("ASY-0001: cancelled: user request \"enough\""), "{text}");
    assert!(text.contains("in task t") && text.contains("tests/region.rs"), "{text}");
    assert!(text.contains("help: "), "{text}");
}

#[test]
fn ids_do_not_depend_on_the_order_of_independent_spawns() {
    let first = run_on(Machine::observed(), async |cx: &Cx| {
        let (a, b) = (
            cx.spawn(async |_: &Cx| Ok::<_, Error>(())),
            cx.spawn(async |_: &Cx| Ok::<_, Error>(())),
        );
        Ok::<_, Error>((a.id(), b.id()))
    });
    let second = run(async |cx: &Cx| {
        let (a, b) = (
            cx.spawn(async |_: &Cx| Ok::<_, Error>(())),
            cx.spawn(async |_: &Cx| Ok::<_, Error>(())),
        );
        Ok::<_, Error>((a.id(), b.id()))
    });
    assert_eq!(first.outcome.ok(), second.outcome.ok());
}

#[test]
fn a_region_whose_body_has_ended_still_takes_on_a_more_severe_reason() {
    let ran = run(async |cx: &Cx| {
        let mut nest = cx.spawn(async |cx: &Cx| {
            let outcome = cx
                .region(async |scope| {
                    let _ = scope.spawn(async |cx: &Cx| {
                        cx.masked(cx.sleep(Duration::from_secs(1))).await?;
                        cx.checkpoint()?;
                        Ok::<_, Error>(())
                    });
                    cx.sleep(Duration::from_secs(60)).await?;
                    Ok::<_, Error>(())
                })
                .await;
            let Outcome::Cancelled(reason) = outcome else { panic!("{outcome:?}") };
            assert_eq!(reason.severity(), CancelKind::Shutdown);
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        nest.cancel(CancelReason::user("please"));
        // The body is told and returns; the child is still under its mask.
        cx.yield_now().await?;
        cx.yield_now().await?;
        nest.cancel(CancelReason::new(CancelKind::Shutdown));
        assert!(nest.join(cx).await?.is_ok());
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

#[test]
fn a_snapshot_shows_what_a_parked_task_waits_for() {
    let ran = run(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                drop(scope.spawn(async |cx: &Cx| {
                    cx.wait("test::never", |_| Poll::<()>::Pending).await?;
                    Ok(())
                }));
                cx.yield_now().await?;
                let snapshot = scope.snapshot();
                scope.cancel(CancelReason::user("seen"));
                Ok::<_, Error>(snapshot)
            })
            .await;
        Ok::<_, Error>(outcome.ok())
    });
    let Outcome::Ok(Some(snapshot)) = ran.outcome else { panic!("no snapshot") };
    assert_eq!(snapshot.tasks.len(), 1);
    assert_eq!(snapshot.tasks[0].waits[0].label, "test::never");
}

#[test]
fn a_task_that_waits_for_nothing_but_its_region_ends_as_cancelled_when_it_is() {
    let ran = run(async |cx: &Cx| {
        let mut task = cx.spawn(async |cx: &Cx| {
            let outcome: Outcome<(), Error> = cx
                .region(async |scope| {
                    let _ = scope.spawn(async |cx| Ok(cx.sleep(Duration::from_secs(60)).await?));
                    Ok(())
                })
                .await;
            Ok(outcome.into_result()?)
        });
        cx.sleep(Duration::from_secs(1)).await?;
        task.cancel(CancelReason::user("enough"));
        // As an `Err` it would be a failure, which cancels its siblings: this task.
        let outcome = task.join(cx).await?;
        Ok::<_, Error>((outcome, task.take_cleanup_error()))
    });
    let Outcome::Ok((outcome, beside)) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert!(outcome.is_cancelled(), "{outcome:?}");
    assert!(beside.is_some_and(|error: Error| error.is_cancelled()));
}

#[test]
fn a_region_dropped_between_its_close_and_the_next_poll_of_its_opener_lets_the_task_end() {
    let ran = run(async |cx: &Cx| {
        let mut region = Box::pin(cx.region(async |scope: &Scope<Error>| {
            let _ = scope.spawn(async |_| Ok(()));
            Ok(())
        }));
        let pending = poll_fn(|context| Poll::Ready(region.as_mut().poll(context).is_pending()));
        assert!(pending.await, "the child has not run yet");
        // The child ends, and with it the region, while nobody polls the region's future.
        cx.yield_now().await?;
        cx.yield_now().await?;
        drop(region);
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok());
}

#[test]
fn a_very_deep_tree_closes_without_exhausting_the_stack() {
    fn nest(cx: &Cx, depth: u32) {
        let _ = cx.spawn(async move |cx: &Cx| {
            let outcome: Outcome<(), Error> = cx
                .region(async |scope| {
                    let _ = scope.spawn(async move |cx: &Cx| {
                        if depth > 0 {
                            nest(cx, depth - 1);
                        }
                        Ok(())
                    });
                    Ok(())
                })
                .await;
            outcome.into_result()?;
            Ok::<_, Error>(())
        });
    }
    let ran = run(async |cx: &Cx| {
        nest(cx, 20_000);
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok());
}
