//! Signals of the process and of a test.

#[path = "../../core/tests/support/mod.rs"]
mod machine;

use asupersync_core::{
    CancelReason, Cx, Error, Host, Lane, Outcome, RegionOptions, Root, Runnable, Time, TimerKey,
    cancelled_in,
};
use asupersync_os::{Signal, Signals, VirtualSignals, ctrl_c};
use asupersync_runtime::RuntimeBuilder;
use rustix::process::{Signal as Raw, getpid, kill_process};
use std::any::{Any, TypeId};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn raise(signal: Raw) -> std::io::Result<()> {
    Ok(kill_process(getpid(), signal)?)
}

#[test]
fn each_watcher_receives_the_signals_it_asked_for() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let mut one = Signals::new(cx, [Signal::USER_1, Signal::USER_2])?;
        let mut two = Signals::new(cx, [Signal::USER_2])?;
        for _ in 0..100 {
            raise(Raw::USR1)?;
            assert_eq!(one.recv(cx).await?, Signal::USER_1);
            raise(Raw::USR2)?;
            assert_eq!(one.recv(cx).await?, Signal::USER_2);
            assert_eq!(two.recv(cx).await?, Signal::USER_2);
        }
        let mut waiting = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(two.recv(cx).await?));
        cx.sleep(Duration::from_millis(20)).await?;
        raise(Raw::USR1)?;
        assert_eq!(one.recv(cx).await?, Signal::USER_1);
        assert!(!waiting.is_finished());
        raise(Raw::USR2)?;
        assert_eq!(waiting.join(cx).await?.into_result()?, Signal::USER_2);
        let mut interrupted = cx.spawn(async |cx: &Cx| Ok::<_, Error>(ctrl_c(cx).await?));
        // `ctrl_c` watches from its first poll on.
        let _watch = Signals::new(cx, [Signal::INTERRUPT])?;
        while !interrupted.is_finished() {
            raise(Raw::INT)?;
            cx.sleep(Duration::from_millis(1)).await?;
        }
        interrupted.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    // A signal that was watched once no longer ends the process.
    raise(Raw::USR1).unwrap();
}

/// A storm of one signal, which arrives anew whenever it was received.
async fn weather_a_storm(
    cx: &Cx,
    mut watched: Signals,
    raise: impl Fn(Signal) -> std::io::Result<()>,
) -> Result<(), Error> {
    const STORM: [Signal; 2] = [Signal::HANGUP, Signal::USER_1];
    for signal in STORM.into_iter().chain([Signal::TERMINATE]) {
        for _ in 0..100 {
            raise(signal)?;
        }
    }
    for number in 0.. {
        match watched.recv(cx).await? {
            Signal::TERMINATE => return Ok(()),
            signal => raise(signal)?,
        }
        assert!(number < 2, "the storm hides the end");
    }
    Ok(())
}

#[test]
fn a_storm_of_one_signal_hides_no_other() {
    const WATCHED: [Signal; 3] = [Signal::HANGUP, Signal::USER_1, Signal::TERMINATE];
    let runtime = RuntimeBuilder::current_thread().build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let named = |signal: Signal| Raw::from_named_raw(signal.number()).unwrap();
        weather_a_storm(cx, Signals::new(cx, WATCHED)?, |signal| raise(named(signal))).await
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    let signals = Arc::new(VirtualSignals::new());
    let lab = Arc::new(Lab { machine: machine::Machine::new(), signals: signals.clone() });
    let root = Root::new(lab.clone(), RegionOptions::new());
    let mut handle = root.spawn(async move |cx: &Cx| {
        let raise = |signal| {
            assert_eq!(signals.raise(signal), 1);
            Ok(())
        };
        weather_a_storm(cx, Signals::new(cx, WATCHED)?, raise).await
    });
    while lab.machine.step() {}
    let outcome = handle.poll_join(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(outcome, Poll::Ready(Ok(Outcome::Ok(())))), "{outcome:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "each of the two runtimes has a thread of its own")]
fn two_runtimes_of_one_process_are_told_both() {
    let ends: Vec<_> = (0..2)
        .map(|_| {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                let runtime = RuntimeBuilder::current_thread().build().unwrap();
                runtime.block_on(async move |cx: &Cx| {
                    let mut watched = Signals::new(cx, [Signal::WINDOW])?;
                    ready.send(()).unwrap();
                    Ok::<_, Error>(watched.recv(cx).await?)
                })
            });
            is_ready.recv().unwrap();
            thread
        })
        .collect();
    raise(Raw::WINCH).unwrap();
    for end in ends {
        assert_eq!(end.join().unwrap().ok(), Some(Signal::WINDOW));
    }
}

#[test]
fn what_no_program_can_catch_is_refused() {
    for number in [-1, 0, 4, 8, 9, 11, 19, 65, 256 + 15] {
        let error = Signal::new(number).unwrap_err();
        assert!(error.to_string().starts_with("ASY-0520"), "{error}");
    }
    assert_eq!(Signal::new(15).unwrap(), Signal::TERMINATE);
}

struct Lab {
    machine: Arc<machine::Machine>,
    signals: Arc<VirtualSignals>,
}

impl Host for Lab {
    fn schedule(&self, task: Runnable, lane: Lane) {
        self.machine.schedule(task, lane);
    }

    fn now(&self) -> Time {
        self.machine.now()
    }

    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        self.machine.arm_timer(at, waker)
    }

    fn disarm_timer(&self, key: TimerKey) {
        self.machine.disarm_timer(key);
    }

    fn seed(&self) -> u64 {
        1
    }

    fn service(&self, service: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        (service == TypeId::of::<VirtualSignals>()).then(|| self.signals.clone() as _)
    }
}

#[test]
fn a_test_raises_signals_that_the_process_never_sees() {
    let signals = VirtualSignals::new();
    let lab =
        Arc::new(Lab { machine: machine::Machine::new(), signals: Arc::new(signals.clone()) });
    let root = Root::new(lab.clone(), RegionOptions::new());
    assert_eq!(signals.raise(Signal::TERMINATE), 0);
    let mut handle = root.spawn(async move |cx: &Cx| {
        let mut watched = Signals::new(cx, [Signal::INTERRUPT, Signal::TERMINATE])?;
        let raised = signals.clone();
        let mut raising = cx.spawn(async move |cx: &Cx| {
            cx.sleep(Duration::from_secs(1)).await?;
            assert_eq!(raised.raise(Signal::USER_1), 0);
            assert_eq!(raised.raise(Signal::TERMINATE), 1);
            assert_eq!(raised.raise(Signal::INTERRUPT), 1);
            Ok::<_, Error>(())
        });
        assert_eq!(watched.recv(cx).await?, Signal::INTERRUPT);
        assert_eq!(cx.now(), Time::from_secs(1));
        raising.join(cx).await?.into_result()?;
        let mut cancelled = cx.spawn(async move |cx: &Cx| {
            let error = loop {
                match watched.recv(cx).await {
                    Ok(signal) => assert_eq!(signal, Signal::TERMINATE),
                    Err(error) => break error,
                }
            };
            assert!(cancelled_in(&error).is_some());
            Ok::<_, Error>(())
        });
        cx.sleep(Duration::from_secs(1)).await?;
        cancelled.cancel(CancelReason::user("enough"));
        cancelled.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
    root.begin_close();
    let mut context = Context::from_waker(Waker::noop());
    while root.poll_closed(&mut context).is_pending() {
        assert!(lab.machine.step(), "{}", root.snapshot());
    }
    let outcome = handle.poll_join(&mut context);
    assert!(matches!(outcome, Poll::Ready(Ok(Outcome::Ok(())))), "{outcome:?}");
}

#[test]
fn a_host_without_signals_and_files_says_so() {
    let ran = machine::run(async |cx: &Cx| {
        let error = Signals::new(cx, [Signal::HANGUP]).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("ASY-0004") && text.contains("signals.rs"), "{text}");
        let error = asupersync_os::fs::File::open(cx, "/etc/passwd").await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("ASY-0004") && text.contains("signals.rs"), "{text}");
        Ok::<_, Error>(())
    });
    assert!(matches!(ran.outcome, Outcome::Ok(())), "{:?}", ran.outcome);
}
