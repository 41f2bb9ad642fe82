use super::*;
use crate::config::LabConfig;
use crate::faults::Faults;
use crate::shared::Shared;
use crate::trial::trials;
use asupersync_core::{Cx, Error, TaskBody, cap};
use std::time::Duration;

/// Shrinks the body's first failure, and demands that nothing more can be left out of what that came to.
fn shrinks<F>(config: &LabConfig, seeds: std::ops::Range<u64>, body: F) -> Shrunk
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let failing = seeds.into_iter().find_map(|seed| {
        let lab = crate::LabRuntime::new(config.clone());
        let report = lab.run_seeded(seed, None, false, body.clone());
        (!report.is_ok()).then_some((seed, report.choices))
    });
    let (seed, choices) = failing.expect("some seed fails");
    let wanted = |plan, left_out: &[usize]| Wanted {
        plan,
        capture: false,
        max_steps: None,
        left_out: left_out.to_vec(),
    };
    let mut first = trials(config, seed, body.clone());
    let first = first(wanted(Plan::Exact { choices, cancel_at: None }, &[]));
    let failure = first.failure.clone();
    assert!(failure.is_some());
    let mut run = trials(config, seed, body.clone());
    let numbers = config.plan(seed).numbers();
    let shrunk = shrink(&mut run, first, numbers.clone(), Vec::new());
    assert!(shrunk.is_minimal);

    // What is left fails as it did, and without any one instruction, or fault, it does not or not so soon.
    let mut run = trials(config, seed, body);
    let forced = shrunk.stages.last().expect("there are stages").1.forced;
    let acts = shrunk.trial.seen.used.clone();
    assert_eq!(acts.len(), forced);
    let again = run(wanted(Plan::Acts(acts.clone()), &shrunk.left_out));
    assert_eq!((again.failure, again.failed_at), (failure.clone(), shrunk.trial.failed_at));
    for at in 0..acts.len() {
        let mut fewer = acts.clone();
        let act = fewer.remove(at);
        let trial = run(wanted(Plan::Acts(fewer), &shrunk.left_out));
        let gone = trial.failure != failure || trial.failed_at > shrunk.trial.failed_at;
        // Without it another may be of no use, and then as many are used; fewer never are.
        let as_many = trial.seen.used.len() >= acts.len();
        assert!(gone || as_many, "{act:?}, number {at}, can be left out");
    }
    for fault in numbers.iter().filter(|fault| !shrunk.left_out.contains(fault)) {
        let left_out = [&shrunk.left_out[..], &[*fault]].concat();
        let trial = run(wanted(Plan::Acts(acts.clone()), &left_out));
        assert!(trial.failure != failure, "fault {fault} can be left out");
    }
    shrunk
}

/// Tasks that each add to one of several counters, reading and then writing, so often.
async fn counters(cx: &Cx, tasks: usize, counters: usize, rounds: usize) -> Result<(), Error> {
    let cells: Vec<Shared<usize>> = (0..counters).map(|_| Shared::new(0)).collect();
    cx.region(async |scope| {
        for task in 0..tasks {
            let cell = cells[task % counters].clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                for _ in 0..rounds {
                    let seen = cell.get(cx).await?;
                    cell.set(cx, seen + 1).await?;
                }
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    let mut sum = 0;
    for cell in &cells {
        sum += cell.get(cx).await?;
    }
    assert_eq!(sum, tasks * rounds, "an update was lost");
    Ok(())
}

#[test]
fn what_is_left_of_a_lost_update_cannot_do_without_any_part() {
    let config = LabConfig::default();
    for (tasks, cells, rounds) in [(2, 1, 1), (3, 1, 2), (6, 3, 2), (8, 2, 1)] {
        shrinks(&config, 0..100, async move |cx: &Cx| counters(cx, tasks, cells, rounds).await);
    }
}

#[test]
fn a_long_run_of_many_tasks_becomes_a_short_one() {
    let config = LabConfig::default();
    let shrunk = shrinks(&config, 0..10, async |cx: &Cx| counters(cx, 20, 10, 10).await);
    let (found, smallest) = (shrunk.stages[0].1, shrunk.stages.last().expect("stages").1);
    assert!(smallest.switches * 10 <= found.switches, "{found:?} became {smallest:?}");
    assert!(smallest.forced <= 5, "{smallest:?}");
}

#[test]
fn a_fault_is_left_out_unless_the_failure_needs_it() {
    let config = LabConfig::default().faults(Faults::default().network().files().rare());
    let shrunk = shrinks(&config, 0..200, async |cx: &Cx| {
        let files = asupersync_os::fs::replace(cx, "/tmp/file", "old").await;
        files.expect("nothing has gone wrong yet");
        for _ in 0..500 {
            cx.sleep(Duration::from_millis(3)).await?;
            let written = asupersync_os::fs::replace(cx, "/tmp/file", "new").await;
            assert!(written.is_ok(), "the disk is full");
        }
        Ok(())
    });
    assert!(!shrunk.left_out.is_empty());
}
