use super::*;
use crate::config::LabConfig;
use crate::faults::Faults;
use crate::shared::Shared;
use crate::trial::trials;
use asupersync_core::{Cx, Error, SplitMix64, TaskBody, cap};
use std::time::Duration;

/// Shrinks the body's first failure, and demands that nothing more can be left out of what that came to.
fn shrinks<F>(config: &LabConfig, seeds: std::ops::Range<u64>, body: F) -> Shrunk
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    shrinks_cancelled(config, seeds, None, body).expect("some seed fails")
}

/// The same of runs whose root is cancelled before this step; none if no seed fails.
fn shrinks_cancelled<F>(
    config: &LabConfig,
    seeds: std::ops::Range<u64>,
    cancel_at: Option<u64>,
    body: F,
) -> Option<Shrunk>
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let lab = crate::LabRuntime::new(config.clone());
    let (seed, choices) = seeds.into_iter().find_map(|seed| {
        let report = lab.run_seeded(seed, cancel_at, false, body.clone());
        crate::trial::failed(&report, cancel_at.is_some()).then_some((seed, report.choices))
    })?;
    let wanted = |plan, left_out: &[usize]| Wanted {
        plan,
        capture: false,
        max_steps: None,
        left_out: left_out.to_vec(),
    };
    let mut first = trials(config, seed, body.clone());
    let first = first(wanted(Plan::Exact { choices, cancel_at }, &[]));
    let failure = first.failure.clone();
    assert!(failure.is_some());
    let mut run = trials(config, seed, body.clone());
    let numbers = config.plan(seed).numbers();
    let shrunk = shrink(&mut run, first, numbers.clone(), Vec::new());
    assert!(shrunk.is_minimal);
    let smallest = shrunk.stages.last().expect("there are stages").1;
    assert!(smallest.steps <= shrunk.stages[0].1.steps);

    // What is left fails as it did, and without any one instruction, task or fault it does not, or not so soon.
    let mut run = trials(config, seed, body);
    let acts = shrunk.trial.seen.used.clone();
    assert_eq!(acts.len(), smallest.forced);
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
    let schedule = &shrunk.trial.seen.schedule[..shrunk.trial.failed_at];
    for task in schedule.iter().collect::<std::collections::BTreeSet<_>>() {
        let is_other = |act: &&Act| !matches!(act, Act::Hold(held, _) if held == task);
        let mut held = vec![Act::Hold(*task, 0)];
        held.extend(acts.iter().filter(is_other));
        let trial = run(wanted(Plan::Acts(held), &shrunk.left_out));
        let gone = trial.failure != failure || trial.failed_at >= shrunk.trial.failed_at;
        assert!(gone, "task {task} can be left out");
    }
    for fault in numbers.iter().filter(|fault| !shrunk.left_out.contains(fault)) {
        let left_out = [&shrunk.left_out[..], &[*fault]].concat();
        let trial = run(wanted(Plan::Acts(acts.clone()), &left_out));
        assert!(trial.failure != failure, "fault {fault} can be left out");
    }
    Some(shrunk)
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

/// What a task of a random program does next.
#[derive(Clone, Copy, Debug)]
enum Doing {
    /// Reads a cell, and in a later step writes one more.
    Increment(usize),
    /// Writes a cell, whatever is in it.
    Clear(usize),
    /// Fails if a cell has less than another.
    Compare(usize, usize),
    /// Fails if it is cancelled meanwhile.
    Insist,
    Yield,
}

/// Two to five tasks with up to six things to do each.
fn random_program(seed: u64) -> Vec<Vec<Doing>> {
    let mut draw = SplitMix64::new(seed);
    let tasks = 2 + draw.below(4);
    let doing = |draw: &mut SplitMix64| {
        let cell = draw.below(2) as usize;
        match draw.below(8) {
            0..3 => Doing::Increment(cell),
            3 => Doing::Clear(cell),
            4 | 5 => Doing::Compare(cell, 1 - cell),
            6 => Doing::Insist,
            _ => Doing::Yield,
        }
    };
    (0..tasks).map(|_| (0..1 + draw.below(6)).map(|_| doing(&mut draw)).collect()).collect()
}

async fn perform(cx: &Cx, program: Vec<Vec<Doing>>) -> Result<(), Error> {
    let cells = [Shared::new(0_u32), Shared::new(0)];
    cx.region(async |scope| {
        for doings in program {
            let cells = cells.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                for doing in doings {
                    match doing {
                        Doing::Increment(cell) => {
                            let seen = cells[cell].get(cx).await?;
                            cells[cell].set(cx, seen + 1).await?;
                        }
                        Doing::Clear(cell) => cells[cell].set(cx, 0).await?,
                        Doing::Compare(more, less) => {
                            let more = cells[more].get(cx).await?;
                            assert!(more >= cells[less].get(cx).await?, "there is less");
                        }
                        Doing::Insist => cx.yield_now().await.expect("it is not cancelled"),
                        Doing::Yield => cx.yield_now().await?,
                    }
                }
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

#[test]
fn what_is_left_of_random_failing_programs_cannot_do_without_any_part() {
    let config = LabConfig::default();
    let (mut failing, mut without_a_task) = (0, 0);
    for seed in 0.. {
        let program = random_program(seed);
        let cancel_at = (seed % 3 == 0).then_some(2 + seed % 7);
        let body = async move |cx: &Cx| perform(cx, program.clone()).await;
        let Some(shrunk) = shrinks_cancelled(&config, 0..10, cancel_at, body) else { continue };
        let tasks = |trial: &Trial| {
            let schedule = trial.seen.schedule[..trial.failed_at].iter();
            schedule.collect::<std::collections::BTreeSet<_>>().len()
        };
        failing += 1;
        let held = shrunk.trial.seen.used.iter().any(|act| matches!(act, Act::Hold(..)));
        without_a_task += usize::from(held && tasks(&shrunk.trial) > 1);
        if failing == 200 {
            break;
        }
    }
    assert!(without_a_task > 0, "no program could do without a task");
}

#[test]
fn a_task_on_which_the_failure_does_not_wait_falls_behind_it() {
    let config = LabConfig::default();
    // The third makes the failure neither likelier nor sooner, and its steps are in the failure's past.
    let shrunk = shrinks(&config, 0..100, async |cx: &Cx| {
        let (count, noise) = (Shared::new(0_u32), Shared::new(0_u32));
        let third = (count.clone(), noise.clone());
        let _ = cx.spawn(async move |cx: &Cx| {
            for _ in 0..5 {
                third.1.update(cx, |noise| *noise += 1).await?;
                third.0.update(cx, |count| *count += 0).await?;
            }
            Ok::<_, Error>(())
        });
        let second = (count.clone(), noise.clone());
        let _ = cx.spawn(async move |cx: &Cx| {
            second.1.get(cx).await?;
            second.0.update(cx, |count| *count += 1).await?;
            Ok::<_, Error>(())
        });
        let before = count.get(cx).await?;
        assert_eq!(count.get(cx).await?, before, "it changed between");
        Ok(())
    });
    let smallest = shrunk.stages.last().expect("stages").1;
    assert!(smallest.steps <= 7, "{:?}", shrunk.stages);
}
