//! The same seed gives the same bytes; different seeds give different orders.

use asupersync_core::{Cx, Error};
use asupersync_lab::{Fifo, LabConfig, LabReport, LabRuntime, Shared};
use asupersync_trace::{Fingerprint, Limits, Trace, first_difference};
use std::collections::BTreeSet;
use std::time::Duration;

/// Four tasks that sleep, yield, draw random numbers and meet in shared cells; answers the order in
/// which they arrived.
async fn four_tasks(cx: &Cx) -> Result<Vec<u32>, Error> {
    let log = Shared::new(Vec::new());
    let outcome = cx
        .region(async |scope| {
            for n in 0..4_u32 {
                let log = log.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    if n % 2 == 0 {
                        cx.sleep(Duration::from_millis(10)).await?;
                    }
                    for _ in 0..cx.random_u64() % 3 {
                        cx.yield_now().await?;
                    }
                    log.update(cx, |log| log.push(n)).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await;
    outcome.into_result()?;
    Ok(log.get(cx).await?)
}

fn captured(seed: u64) -> LabReport<Vec<u32>, Error> {
    let report =
        LabRuntime::new(LabConfig::default().seed(seed).capture_trace(true)).run(four_tasks);
    assert!(report.is_ok(), "{report}");
    report
}

fn file(report: LabReport<Vec<u32>, Error>) -> Vec<u8> {
    report.trace.expect("it was captured").into_bytes()
}

fn trace(file: &[u8]) -> Trace {
    Trace::parse(file, &Limits::default()).unwrap()
}

#[test]
fn one_seed_gives_one_trace_byte_for_byte() {
    for seed in 0..20 {
        let (first, second) = (file(captured(seed)), file(captured(seed)));
        assert_eq!(first_difference(&trace(&first), &trace(&second)), None);
        assert_eq!(first, second);
    }
}

#[test]
fn a_runtime_that_is_used_again_gives_the_same_trace_as_a_new_one() {
    let lab = LabRuntime::new(LabConfig::default().seed(3).capture_trace(true));
    let first = file(lab.run(four_tasks));
    // A run of another program, one that leaves timers and tasks to tear down.
    let stuck = lab.run(async |cx: &Cx| -> Result<(), Error> {
        let _ = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(Duration::from_secs(9)).await?));
        cx.wait("never", |_| std::task::Poll::<()>::Pending).await?;
        Ok(())
    });
    assert!(!stuck.is_ok());
    assert_eq!(first, file(lab.run(four_tasks)));
    assert_eq!(first, file(captured(3)));
}

#[test]
fn ten_seeds_give_at_least_two_orders() {
    let orders: BTreeSet<_> = (0..10).map(|seed| captured(seed).outcome.ok().unwrap()).collect();
    assert!(orders.len() >= 2, "{orders:?}");
    assert!(orders.iter().all(|order| order.len() == 4));
}

#[test]
fn the_fingerprint_of_a_run_is_that_of_its_trace() {
    for seed in 0..10 {
        let report = captured(seed);
        let (fingerprint, choices) = (report.fingerprint, report.choices.clone());
        let trace = trace(&file(report));
        assert_eq!(fingerprint, Some(Fingerprint::of_trace(&trace)));
        assert_eq!(choices, trace.choices().collect::<Vec<_>>());
        let untraced = LabRuntime::new(LabConfig::default().seed(seed)).run(four_tasks);
        assert_eq!(untraced.fingerprint, fingerprint);
    }
}

#[test]
fn the_list_of_choices_replays_a_run_under_any_strategy() {
    for seed in 0..10 {
        let report = captured(seed);
        let config =
            LabConfig::default().seed(seed).capture_trace(true).choices(report.choices.clone());
        let again = LabRuntime::with_strategy(config, Fifo).run(four_tasks);
        assert_eq!(file(again), file(report));
    }
}

#[test]
fn a_choice_that_is_not_there_is_reported_as_a_divergence() {
    let config = LabConfig::default().choices(vec![1_000]);
    let report = LabRuntime::new(config).run(four_tasks);
    assert!(report.to_string().contains("ASY-0601: the replay diverged at choice 0"), "{report}");
    assert!(!report.is_ok());
}
