//! Drain, escalate, exit code.

use asupersync_core::{Cx, Error, Outcome, Time};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{LabConfig, LabRuntime, LabTest};
use asupersync_os::{Drain, Ended, Shutdown, Signal, VirtualSignals, pipe};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(10);

/// A service that does pieces of work which take `piece` each, until it shall end.
async fn service(cx: &Cx, drain: Drain, piece: Duration) -> Result<u32, Error> {
    let mut done = 0;
    while !drain.is_asked() {
        cx.sleep(piece).await?;
        done += 1;
    }
    Ok(done)
}

/// Runs the service, raising signals at these seconds.
fn run(piece: u64, signals: &'static [u64]) -> (Ended<Result<u32, Error>>, Time) {
    let report = LabRuntime::new(LabConfig::default()).run(async move |cx: &Cx| {
        let raised = cx.service::<VirtualSignals>().unwrap();
        let shutdown = Shutdown::on_signals(cx, GRACE)?;
        let _ = cx.spawn(async move |cx: &Cx| {
            for at in signals {
                cx.sleep_until(Time::from_secs(*at)).await?;
                raised.raise(Signal::TERMINATE);
            }
            Ok::<_, Error>(())
        });
        let drain = shutdown.drain();
        let ended = shutdown.run(cx, service(cx, drain, Duration::from_secs(piece))).await;
        Ok::<_, Error>((ended, cx.now()))
    });
    assert!(report.is_sound(), "{report}");
    match report.outcome {
        Outcome::Ok(ended) => ended,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_signal_drains_and_the_code_is_zero() {
    let (ended, at) = run(2, &[5]);
    assert_eq!(
        (ended.exit_code(), ended.signal, at),
        (0, Some(Signal::TERMINATE), Time::from_secs(6))
    );
    assert!(matches!(ended.value, Some(Ok(3))), "{ended:?}");
}

#[test]
fn a_drain_that_takes_too_long_is_cancelled() {
    let (ended, at) = run(100, &[5]);
    assert_eq!((ended.exit_code(), at), (128 + 15, Time::from_secs(15)));
    assert!(ended.cancelled && matches!(ended.value, Some(Err(_))), "{ended:?}");
}

#[test]
fn a_second_signal_does_not_wait_for_the_grace() {
    let (ended, at) = run(100, &[5, 7, 8]);
    assert_eq!((ended.exit_code(), at), (128 + 15, Time::from_secs(7)));
}

#[test]
fn a_program_that_ends_by_itself_has_met_no_signal() {
    let report = LabRuntime::new(LabConfig::default()).run(async |cx: &Cx| {
        let shutdown = Shutdown::on_signals(cx, GRACE)?.cleanup(Duration::from_secs(1));
        let ended = shutdown.run(cx, async { 7 }).await;
        assert_eq!((ended.exit_code(), ended.signal, ended.value), (0, None, Some(7)));
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

async fn waits_for_the_drain(cx: &Cx) -> Result<(), Error> {
    let raised = cx.service::<VirtualSignals>().unwrap();
    let shutdown = Shutdown::on_signals(cx, GRACE)?;
    let drain = shutdown.drain();
    let _ = cx.spawn(async move |cx: &Cx| {
        cx.sleep(Duration::from_secs(1)).await?;
        raised.raise(Signal::INTERRUPT);
        Ok::<_, Error>(())
    });
    let (mut reader, mut writer) = pipe(cx)?;
    let program = async {
        drain.asked(cx).await?;
        writer.write_all(cx, b"drained").await?;
        writer.close(cx).await?;
        Ok::<_, Error>(())
    };
    let ended = shutdown.run(cx, program).await;
    if let Some(value) = ended.value {
        value?;
    }
    let mut text = String::new();
    reader.read_to_string(cx, &mut text, 100).await?;
    assert_eq!(text, "drained");
    Ok(())
}

#[test]
fn a_program_cancelled_at_any_step_ends_in_order() {
    let test =
        LabTest::new("shutdown::waits_for_the_drain").config(LabConfig::default()).seeds(0..5);
    let summary = test.inject_cancel(true).run(waits_for_the_drain);
    assert!(summary.runs > 15, "{summary:?}");
}
