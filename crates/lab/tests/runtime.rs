//! Virtual time, deadlock, limits, panics, injection, services.

use asupersync_core::{CancelReason, Cx, Error, Outcome, Time};
use asupersync_lab::{
    ExploreOptions, Finding, Invariant, LabConfig, LabRuntime, Parcel, Shared, cancel_everywhere,
    explore, run,
};
use asupersync_trace::EventLog;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[test]
fn a_year_passes_in_no_time() {
    let report = run(0, async |cx: &Cx| {
        for _ in 0..365 * 24 {
            cx.sleep(Duration::from_secs(3600)).await?;
        }
        Ok::<_, Error>(cx.now())
    });
    assert_eq!(report.virtual_time, Time::from_secs(365 * 24 * 3600));
    assert_eq!(report.outcome.ok(), Some(report.virtual_time));
}

#[test]
fn timers_fire_in_the_order_of_their_times() {
    for seed in 0..20 {
        let report = run(seed, async |cx: &Cx| {
            let log = Shared::new(Vec::new());
            cx.region(async |scope| {
                for millis in [30, 10, 20] {
                    let log = log.clone();
                    let _ = scope.spawn(async move |cx: &Cx| {
                        cx.sleep(Duration::from_millis(millis)).await?;
                        log.update(cx, |log| log.push(millis)).await?;
                        Ok::<_, Error>(())
                    });
                }
                Ok::<_, Error>(())
            })
            .await
            .into_result()?;
            Ok::<_, Error>(log.get(cx).await?)
        });
        assert_eq!(report.outcome.ok(), Some(vec![10, 20, 30]));
    }
}

#[test]
fn a_deadlock_names_each_task_what_it_waits_for_and_where() {
    let lab = LabRuntime::new(LabConfig::default());
    let report = lab.run(async |cx: &Cx| {
        cx.region(async |scope| {
            let _ = scope.spawn_named("consumer", async |cx: &Cx| {
                cx.wait("queue::pop", |_| Poll::<()>::Pending).await?;
                Ok::<_, Error>(())
            });
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok::<_, Error>(())
    });
    let [Finding::Deadlock { .. }] = report.findings[..] else { panic!("{report}") };
    let text = report.to_string();
    assert!(text.contains("ASY-0006: deadlock after"), "{text}");
    for word in ["consumer", "queue::pop", "tests/runtime.rs:"] {
        assert!(text.contains(word), "{word} is missing: {text}");
    }
    assert!(report.region.is_some(), "the tree was torn down");
    assert!(!lab.quiescence_oracle().is_ok(), "a region that waits for ever is not quiescent");
}

#[test]
fn a_deadlock_of_a_foreign_future_is_torn_down_too() {
    let report = run(0, async |_: &Cx| -> Result<(), Error> {
        pending::<()>().await;
        Ok(())
    });
    assert!(matches!(report.findings[..], [Finding::Deadlock { .. }]), "{report}");
    assert!(matches!(report.outcome, Outcome::Cancelled(_)));
}

#[test]
fn a_run_that_does_not_end_is_given_up_at_the_step_limit() {
    let config = LabConfig::default().max_steps(500);
    let report = LabRuntime::new(config).run(async |cx: &Cx| -> Result<(), Error> {
        loop {
            cx.yield_now().await?;
        }
    });
    assert!(matches!(report.findings[..], [Finding::StepLimit { steps: 500, .. }]), "{report}");
    assert!(report.steps >= 500 && report.region.is_some());
}

#[test]
fn a_panic_is_a_finding_and_not_the_end_of_the_process() {
    let report = run(0, async |_: &Cx| -> Result<(), Error> { panic!("boom") });
    assert!(matches!(&report.outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
    assert!(!report.is_ok() && report.is_sound(), "{report}");

    let report = run(0, async |cx: &Cx| -> Result<(), Error> {
        let _ = cx.spawn(async |_: &Cx| -> Result<(), Error> { panic!("unseen") });
        Ok(())
    });
    assert!(matches!(&report.findings[..], [Finding::Panicked { .. }]), "{report}");
    assert!(report.to_string().contains("unseen"), "{report}");
}

#[test]
fn main_returning_early_still_drains_its_children() {
    static DONE: AtomicU64 = AtomicU64::new(0);
    let report = run(0, async |cx: &Cx| {
        let _ = cx.spawn(async |cx: &Cx| {
            cx.sleep(Duration::from_secs(1)).await?;
            DONE.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Error>(())
        });
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
    assert_eq!(DONE.load(Ordering::Relaxed), 1);
    assert_eq!(report.virtual_time, Time::from_secs(1));
}

#[test]
fn an_injected_cancellation_reaches_the_body_at_that_step() {
    let config = LabConfig::default().inject_cancel_at(10).require(Invariant::Severity);
    let lab = LabRuntime::new(config);
    let report = lab.run(async |cx: &Cx| {
        for _ in 0..1_000 {
            cx.yield_now().await?;
        }
        Ok::<_, Error>(())
    });
    assert!(report.is_sound(), "{report}");
    assert!(report.steps < 15, "{report}");
    let Outcome::Cancelled(reason) = report.outcome else { panic!("not cancelled") };
    assert_eq!(reason.root().message(), Some("injected by the lab at step 10"));
    assert!(lab.oracle(Invariant::Severity).seen() > 0);
}

#[test]
fn cancelling_everywhere_tries_every_step() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        cx.region(async |scope| {
            for _ in 0..3 {
                let _ = scope.spawn(async |cx: &Cx| {
                    cx.sleep(Duration::from_millis(1)).await?;
                    Ok::<_, Error>(cx.yield_now().await?)
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 8, "{summary:?}");
}

#[test]
fn a_service_is_made_anew_for_each_run() {
    struct Counter(u64, AtomicU64);
    let config = LabConfig::default().seed(7);
    let lab =
        LabRuntime::new(config.service_with(|context| Arc::new(Counter(context.seed, 0.into()))));
    for _ in 0..2 {
        let report = lab.run(async |cx: &Cx| {
            let counter = cx.service::<Counter>().expect("registered");
            let again = cx.service::<Counter>().expect("registered");
            again.1.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Error>((counter.0, counter.1.fetch_add(1, Ordering::Relaxed)))
        });
        assert_eq!(report.outcome.ok(), Some((7, 1)));
    }
}

#[test]
fn blocking_work_runs_inline() {
    let here = std::thread::current().id();
    let report = run(0, async move |cx: &Cx| {
        let mut handle = cx.spawn_blocking(|| Ok::<_, Error>(std::thread::current().id()));
        handle.join(cx).await?.into_result().map_err(Error::from)
    });
    assert_eq!(report.outcome.ok(), Some(here));
}

#[test]
fn without_events_every_verdict_is_vacuous() {
    let lab = LabRuntime::new(LabConfig::default().observe(false));
    let report = lab.run(async |_: &Cx| Ok::<_, Error>(()));
    assert!(report.outcome.is_ok() && !report.is_sound());
    assert!(!lab.obligation_leak_oracle().is_ok());
    assert_eq!(report.fingerprint, None);
}

#[test]
fn without_its_class_a_run_is_judged_as_with_it() {
    let program = async |cx: &Cx| {
        let outcome = cx.region(async |scope| {
            for _ in 0..3 {
                let _ = scope.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
            }
            Ok::<_, Error>(())
        });
        outcome.await.into_result()
    };
    let config = LabConfig::default().seed(4).capture_trace(true);
    let with = LabRuntime::new(config.clone()).run(program);
    let without = LabRuntime::new(config.fingerprint(false)).run(program);
    assert!(with.fingerprint.is_some());
    assert_eq!(without.fingerprint, None);
    assert_eq!(without.verdicts, with.verdicts);
    let file = |log: Option<EventLog>| log.expect("it was captured").into_bytes();
    assert_eq!(file(without.trace), file(with.trace));
}

#[test]
fn an_exploration_needs_classes_whatever_the_configuration_says() {
    let explored = |config| {
        explore(ExploreOptions::default().config(config), async |cx: &Cx| {
            let flag = Shared::new(0_u32);
            for value in 1..3 {
                let flag = flag.clone();
                let _ = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(flag.set(cx, value).await?));
            }
            Ok::<_, Error>(())
        })
    };
    let with = explored(LabConfig::default());
    let without = explored(LabConfig::default().fingerprint(false));
    assert_eq!(with.runs, 2);
    assert_eq!((without.runs, &without.classes), (with.runs, &with.classes));
}

#[test]
fn random_streams_follow_the_seed() {
    let draw = |seed| {
        run(seed, async |cx: &Cx| Ok::<_, Error>((cx.random_u64(), cx.random_u64())))
            .outcome
            .ok()
            .unwrap()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_ne!(draw(1).0, draw(1).1);
}

#[test]
fn programs_find_a_virtual_network_of_their_own() {
    use asupersync_io::{AsyncReadExt, AsyncWriteExt};
    use asupersync_net::{TcpListener, TcpStream};
    let lab = LabRuntime::new(LabConfig::default().seed(3));
    for _ in 0..2 {
        let report = lab.run(async |cx: &Cx| {
            // The port of the run before is free again: its network is gone.
            let listener = TcpListener::bind(cx, "10.0.0.1:80").await?;
            let mut client = cx.spawn(async |cx: &Cx| {
                let mut stream = TcpStream::connect(cx, "10.0.0.1:80").await?;
                stream.write_all(cx, b"ping").await?;
                Ok::<_, Error>(())
            });
            let (mut stream, _) = listener.accept(cx).await?;
            let mut bytes = [0; 4];
            stream.read_exact(cx, &mut bytes).await?;
            client.join(cx).await?.into_result()?;
            Ok::<_, Error>(bytes)
        });
        assert!(report.is_ok(), "{report}");
        assert!(report.virtual_time > Time::ZERO, "latency is drawn");
        assert_eq!(report.outcome.ok(), Some(*b"ping"));
    }
}

#[test]
fn a_run_inside_a_run_is_refused_and_the_outer_goes_on() {
    let report = run(0, async |cx: &Cx| {
        let inner = run(1, async |_: &Cx| Ok::<_, Error>(()));
        assert!(matches!(inner.findings[..], [Finding::Nested]) && !inner.is_ok());
        cx.yield_now().await?;
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
    assert!(run(2, async |_: &Cx| Ok::<_, Error>(())).is_ok(), "after the run there is none");
}

#[test]
fn a_waker_that_panics_when_its_timer_fires_harms_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's own panic");
        }
    }
    let report = run(0, async |cx: &Cx| {
        let waker = Waker::from(Arc::new(Panics));
        let mut early = pin!(cx.sleep(Duration::from_secs(1)));
        assert!(early.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        cx.sleep(Duration::from_secs(2)).await?;
        Ok::<_, Error>(cx.now())
    });
    assert_eq!(report.outcome.ok(), Some(Time::from_secs(2)));
}

#[test]
fn what_other_threads_do_in_a_poll_is_heard() {
    let lab = LabRuntime::new(LabConfig::default().capture_trace(true));
    let report = lab.run(async |cx: &Cx| {
        let mut sleeper = cx.spawn(async |cx: &Cx| {
            cx.wait("for ever", |_| Poll::<()>::Pending).await?;
            Ok::<_, Error>(())
        });
        let parcel = Parcel::new(cx, "a letter", 7);
        cx.yield_now().await?;
        cx.yield_now().await?;
        // Within one poll, which waits for the thread's end.
        std::thread::scope(|scope| {
            scope.spawn(|| sleeper.cancel(CancelReason::user("enough")));
            scope.spawn(|| drop(parcel));
        });
        Ok::<_, Error>(sleeper.join(cx).await?.is_ok())
    });
    assert!(matches!(report.outcome, Outcome::Ok(false)), "{report}");
    let delivery = lab.oracle(Invariant::Delivery);
    assert_eq!(delivery.violations().len(), 1, "{delivery}");
    assert_eq!(delivery.seen(), 2, "{delivery}");
    assert_eq!(lab.oracle(Invariant::Severity).seen(), 1);
    assert_eq!(lab.oracle(Invariant::Completion).seen(), 1);
}

/// In a build without optimisations, what is inlined has a place of its own on the stack for each time it is.
#[test]
fn an_observed_run_needs_little_of_its_threads_stack() {
    let run = || {
        let config = LabConfig::default().capture_trace(true);
        let report = LabRuntime::new(config).run(async |cx: &Cx| {
            let mut child = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
            child.join(cx).await?.into_result()?;
            Ok::<_, Error>(())
        });
        assert!(report.is_ok(), "{report}");
    };
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(run);
    thread.expect("there is room for a thread").join().expect("it ran");
}
