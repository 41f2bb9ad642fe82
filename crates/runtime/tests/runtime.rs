//! The production host with the kernel on top, both flavours.

use asupersync_core::{
    BlockingPool, CancelKind, Cx, Error, ErrorKind, Event, Outcome, RegionOptions,
};
use asupersync_runtime::{Runtime, RuntimeBuilder};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

fn both(check: impl Fn(&Runtime)) {
    check(&RuntimeBuilder::multi_thread().worker_threads(4).build().unwrap());
    check(&Runtime::current_thread().unwrap());
}

#[test]
fn a_region_waits_for_a_thousand_tasks() {
    both(|runtime| {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = ended.clone();
        let outcome = runtime.block_on(async move |cx: &Cx| {
            let region = cx.region(async |scope| {
                for n in 0..1000 {
                    let count = count.clone();
                    let _ = scope.spawn(async move |cx: &Cx| {
                        for _ in 0..n % 7 {
                            cx.yield_now().await?;
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    });
                }
                Ok::<_, Error>(())
            });
            region.await.into_result()?;
            Ok::<_, Error>(count.load(Ordering::Relaxed))
        });
        assert_eq!(outcome.ok(), Some(1000));
    });
}

#[test]
fn tasks_of_one_region_run_on_different_workers_at_the_same_time() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(4).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let meeting = Arc::new(Barrier::new(3));
        let region = cx.region(async |scope| {
            for _ in 0..3 {
                let meeting = meeting.clone();
                let _ = scope.spawn(async move |_: &Cx| {
                    meeting.wait(); // hangs unless three threads come
                    Ok::<_, Error>(())
                });
            }
            Ok(())
        });
        region.await.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(outcome.is_ok());
}

#[test]
fn timers_fire_in_order_and_never_early() {
    both(|runtime| {
        let outcome = runtime.block_on(async |cx: &Cx| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let region = cx.region(async |scope| {
                for millis in [40, 10, 30, 20, 0] {
                    let order = order.clone();
                    let _ = scope.spawn(async move |cx: &Cx| {
                        let due = cx.now() + Duration::from_millis(millis);
                        cx.sleep_until(due).await?;
                        assert!(cx.now() >= due, "early");
                        order.lock().unwrap().push(millis);
                        Ok::<_, Error>(())
                    });
                }
                Ok(())
            });
            region.await.into_result()?;
            let order = order.lock().unwrap().clone();
            Ok::<_, Error>(order)
        });
        assert_eq!(outcome.ok().unwrap(), [0, 10, 20, 30, 40]);
    });
}

#[test]
fn many_timers_are_armed_and_forgotten_across_workers() {
    both(|runtime| {
        let outcome = runtime.block_on(async |cx: &Cx| {
            let region = cx.region(async |scope| {
                for n in 0..200u64 {
                    let _ = scope.spawn(async move |cx: &Cx| {
                        for round in 0..20 {
                            let mut sleep = std::pin::pin!(cx.sleep(Duration::from_secs(3600)));
                            let once = poll_fn(|context| {
                                assert!(sleep.as_mut().poll(context).is_pending());
                                Poll::Ready(())
                            });
                            once.await;
                            cx.sleep(Duration::from_micros(n * 7 + round)).await?;
                        }
                        Ok::<_, Error>(())
                    });
                }
                Ok(())
            });
            region.await.into_result()?;
            Ok::<_, Error>(())
        });
        assert!(outcome.is_ok());
    });
}

#[test]
fn blocking_closures_run_beside_the_workers() {
    both(|runtime| {
        let outcome = runtime.block_on(async |cx: &Cx| {
            let worker = thread::current().id();
            let (give, take) = mpsc::channel();
            // Waits for what only this task, on its worker, can give.
            let mut blocked = cx.spawn_blocking(move || {
                let number: u32 = take.recv().unwrap();
                Ok::<_, Error>((number, thread::current().id()))
            });
            cx.sleep(Duration::from_millis(2)).await?;
            give.send(7).unwrap();
            let (number, thread) = blocked.join(cx).await?.into_result()?;
            assert_ne!(thread, worker);
            Ok::<_, Error>(number)
        });
        assert_eq!(outcome.ok(), Some(7));
    });
}

#[test]
fn blocking_closures_beyond_the_limit_wait_their_turn_and_all_run() {
    let runtime =
        RuntimeBuilder::multi_thread().worker_threads(2).blocking_threads(3).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut jobs = Vec::new();
        for _ in 0..300 {
            let (running, most) = (running.clone(), most.clone());
            jobs.push(cx.spawn_blocking(move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Error>(
                    thread::current().name().unwrap().starts_with("asupersync-blocking-"),
                )
            }));
        }
        let mut named = 0;
        for mut job in jobs {
            named += usize::from(job.join(cx).await?.into_result()?);
        }
        Ok::<_, Error>((named, most.load(Ordering::SeqCst)))
    });
    let (named, most) = outcome.ok().unwrap();
    assert_eq!(named, 300);
    assert!((1..=3).contains(&most), "{most} at once");
}

#[test]
fn a_blocking_pool_without_idle_time_starts_anew_for_each_closure() {
    let runtime = RuntimeBuilder::current_thread().blocking_idle(Duration::ZERO).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        for n in 0..100 {
            let m = cx.spawn_blocking(move || Ok::<_, Error>(n)).join(cx).await?.into_result()?;
            assert_eq!(n, m);
        }
        Ok::<_, Error>(())
    });
    assert!(outcome.is_ok());
}

#[test]
fn a_body_that_returns_early_is_followed_by_its_children() {
    both(|runtime| {
        let finished = Arc::new(AtomicBool::new(false));
        let flag = finished.clone();
        let outcome = runtime.block_on(async move |cx: &Cx| {
            let _ = cx.spawn(async move |cx: &Cx| {
                cx.sleep(Duration::from_millis(20)).await?;
                flag.store(true, Ordering::SeqCst);
                Ok::<_, Error>(())
            });
            Ok::<_, Error>("early")
        });
        assert_eq!(outcome.ok(), Some("early"));
        assert!(finished.load(Ordering::SeqCst));
    });
}

#[test]
fn block_on_inside_a_task_is_an_error_at_once() {
    let inner = Arc::new(Runtime::current_thread().unwrap());
    both(|runtime| {
        let inner = inner.clone();
        let outcome = runtime.block_on(async move |_: &Cx| {
            let nested = inner.block_on(async |_: &Cx| Ok::<_, Error>(()));
            let Outcome::Err(error) = nested else { panic!("{nested:?}") };
            Ok::<_, Error>(error.kind())
        });
        assert_eq!(outcome.ok(), Some(ErrorKind::NestedBlockOn));
    });
    assert!(inner.block_on(async |_: &Cx| Ok::<_, Error>(())).is_ok(), "and harms nothing");
}

#[test]
fn several_threads_share_one_current_thread_runtime() {
    let runtime = Runtime::current_thread().unwrap();
    let (give, take) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Ends after the second, so the second must be able to finish while the first one drives.
        let first = scope.spawn(|| {
            runtime.block_on(async move |cx: &Cx| {
                while take.try_recv().is_err() {
                    cx.sleep(Duration::from_millis(1)).await?;
                }
                Ok::<_, Error>(())
            })
        });
        let second = scope.spawn(|| {
            let outcome = runtime.block_on(async |cx: &Cx| {
                cx.sleep(Duration::from_millis(5)).await?;
                Ok::<_, Error>(())
            });
            give.send(()).unwrap();
            outcome
        });
        assert!(second.join().unwrap().is_ok());
        assert!(first.join().unwrap().is_ok());
    });
}

#[test]
fn a_panic_in_the_body_is_its_outcome_and_the_runtime_goes_on() {
    both(|runtime| {
        let outcome = runtime.block_on(async |_: &Cx| -> Result<(), Error> { panic!("oops") });
        let Outcome::Panicked(payload) = outcome else { panic!("{outcome:?}") };
        assert_eq!(payload.message(), "oops");
        assert!(runtime.block_on(async |_: &Cx| Ok::<_, Error>(())).is_ok());
    });
}

#[test]
fn spawning_from_outside_wakes_a_sleeping_runtime() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    for _ in 0..200 {
        let (give, take) = mpsc::channel();
        let _ = runtime.handle().spawn(async move |_: &Cx| {
            give.send(()).unwrap();
            Ok::<_, Error>(())
        });
        take.recv_timeout(Duration::from_secs(30)).expect("a lost wake-up");
    }
}

#[test]
fn shutdown_cancels_with_shutdown_and_lets_tasks_clean_up() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let (give, take) = mpsc::channel();
    let (start, started) = mpsc::channel();
    let _ = runtime.handle().spawn(async move |cx: &Cx| {
        start.send(()).unwrap();
        let slept = cx.sleep(Duration::from_secs(3600)).await;
        let kind = cx.cancel_reason().unwrap().severity();
        cx.masked(cx.sleep(Duration::from_millis(20))).await?;
        give.send((slept.is_err(), kind)).unwrap();
        slept?;
        Ok::<_, Error>(())
    });
    started.recv().unwrap();
    let handle = runtime.handle();
    let report = runtime.shutdown(Duration::from_secs(20));
    assert!(report.is_clean(), "{report}");
    assert_eq!(take.try_recv(), Ok((true, CancelKind::Shutdown)));
    let mut refused = handle.spawn(async |_: &Cx| Ok::<_, Error>(()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(Ok(outcome)) = refused.poll_join(&mut context) else { panic!("not refused") };
    assert!(outcome.is_cancelled());
}

#[test]
fn a_task_that_ignores_its_cancellation_is_dropped_after_the_grace_and_named() {
    for builder in
        [RuntimeBuilder::multi_thread().worker_threads(2), RuntimeBuilder::current_thread()]
    {
        let runtime = builder.build().unwrap();
        let options = asupersync_core::TaskOptions::new().name("stubborn");
        let _ = runtime.handle().spawn_with(options, async |cx: &Cx| {
            cx.masked(cx.sleep(Duration::from_secs(3600))).await?;
            Ok::<_, Error>(())
        });
        assert!(
            runtime.block_on(async |cx: &Cx| cx.yield_now().await.map_err(Error::from)).is_ok()
        );
        let report = runtime.shutdown(Duration::from_millis(50));
        assert!(report.closed, "{report}");
        let names: Vec<_> = report.stragglers.iter().map(|s| s.name.as_deref()).collect();
        assert_eq!(names, [Some("stubborn")], "{report}");
        assert!(report.to_string().contains(file!()), "{report}");
    }
}

#[test]
fn a_poll_that_does_not_return_is_left_behind_and_named() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let (release, wedge) = mpsc::channel::<()>();
    let (give, started) = mpsc::channel();
    let _ = runtime.handle().spawn(async move |_: &Cx| {
        give.send(()).unwrap();
        let _ = wedge.recv();
        Ok::<_, Error>(())
    });
    started.recv().unwrap();
    let report = runtime.shutdown(Duration::from_millis(50));
    assert!(!report.closed);
    assert_eq!(report.stragglers.len(), 1, "{report}");
    assert_eq!(report.workers_left, 1, "{report}");
    release.send(()).unwrap();
}

#[test]
fn a_runtime_dropped_by_one_of_its_own_tasks_still_shuts_down() {
    let runtime = Arc::new(RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap());
    let (give, take) = mpsc::channel();
    let inside = runtime.clone();
    let _ = runtime.handle().spawn(async move |cx: &Cx| {
        cx.sleep(Duration::from_millis(20)).await?;
        drop(inside); // the last one by now
        let cancelled = cx.sleep(Duration::from_secs(3600)).await.is_err();
        give.send(cancelled).unwrap();
        Ok::<_, Error>(())
    });
    drop(runtime);
    assert_eq!(take.recv_timeout(Duration::from_secs(30)), Ok(true));
}

#[test]
fn an_observer_sees_the_tasks_of_the_program() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let observer = move |event: &Event<'_>| {
        if let Event::TaskCompleted { .. } = event {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let runtime = RuntimeBuilder::current_thread().observer(Arc::new(observer)).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        for _ in 0..9 {
            let _ = cx.spawn(async |_: &Cx| Ok::<_, Error>(()));
        }
        Ok::<_, Error>(())
    });
    assert!(outcome.is_ok());
    assert_eq!(seen.load(Ordering::Relaxed), 10);
}

#[test]
fn the_seed_decides_the_random_numbers() {
    let draw = |seed| {
        let runtime = RuntimeBuilder::current_thread().seed(seed).build().unwrap();
        runtime.block_on(async |cx: &Cx| Ok::<_, Error>(cx.random_u64())).ok().unwrap()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn both_services_are_there() {
    both(|runtime| {
        let outcome = runtime.block_on(async |cx: &Cx| {
            let reactor = cx.service::<asupersync_reactor::Reactor>().is_some();
            let pool = cx.service::<Arc<dyn BlockingPool>>().is_some();
            Ok::<_, Error>((reactor, pool, cx.service::<String>().is_some()))
        });
        assert_eq!(outcome.ok(), Some((true, true, false)));
    });
}

#[test]
fn the_books_of_the_main_region_come_with_the_outcome() {
    let runtime = Runtime::current_thread().unwrap();
    let options = RegionOptions::new().name("books");
    let (outcome, report) = runtime
        .block_on_reported(options, async |cx: &Cx| {
            let _ = cx.spawn(async |_: &Cx| Ok::<_, Error>(()));
            Ok::<_, Error>(())
        })
        .unwrap();
    assert!(outcome.is_ok());
    assert_eq!(report.ended, 2);
    assert!(report.stragglers.is_empty());
}
