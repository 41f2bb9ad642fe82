use super::*;
use crate::config::LabConfig;
use crate::shared::Shared;
use crate::trial::trials;
use asupersync_core::{Cx, Error, SplitMix64, TaskBody, cap};
use asupersync_trace::Fingerprint;
use std::collections::BTreeSet;

/// What a task does next: increments a cell in two steps or in one, or looks at it.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Slowly(usize),
    AtOnce(usize),
    Look(usize),
}

fn random_program(seed: u64) -> Vec<Vec<Doing>> {
    let mut draw = SplitMix64::new(seed);
    let tasks = 2 + draw.below(2);
    let doing = |draw: &mut SplitMix64| {
        let cell = draw.below(2) as usize;
        [Doing::Slowly(cell), Doing::AtOnce(cell), Doing::Look(cell)][draw.below(3) as usize]
    };
    (0..tasks).map(|_| (0..1 + draw.below(2)).map(|_| doing(&mut draw)).collect()).collect()
}

/// Fails if an increment was lost.
async fn perform(cx: &Cx, program: Vec<Vec<Doing>>) -> Result<(), Error> {
    let cells = [Shared::new(0_u32), Shared::new(0)];
    let mut expected = 0;
    cx.region(async |scope| {
        for doings in program {
            let cells = cells.clone();
            expected += doings.iter().filter(|doing| !matches!(doing, Doing::Look(_))).count();
            let _ = scope.spawn(async move |cx: &Cx| {
                for doing in doings {
                    match doing {
                        Doing::Slowly(cell) => {
                            let seen = cells[cell].get(cx).await?;
                            cells[cell].set(cx, seen + 1).await?;
                        }
                        Doing::AtOnce(cell) => cells[cell].update(cx, |count| *count += 1).await?,
                        Doing::Look(cell) => drop(cells[cell].get(cx).await?),
                    }
                }
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    let sum = cells[0].get(cx).await? + cells[1].get(cx).await?;
    assert_eq!(sum as usize, expected, "an increment was lost");
    Ok(())
}

/// The first failing run of some seed.
fn failing<F>(seeds: std::ops::Range<u64>, body: F) -> Option<Trial>
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let config = LabConfig::default();
    let lab = crate::LabRuntime::new(config.clone());
    let choices = seeds.into_iter().find_map(|seed| {
        let report = lab.run_seeded(seed, None, false, body.clone());
        (!report.is_ok()).then_some(report.choices)
    })?;
    let mut run = trials(&config, 0, body);
    let plan = Plan::Exact { choices, cancel_at: None };
    let trial = run(Wanted { plan, capture: false, max_steps: None, left_out: Vec::new() });
    assert!(trial.failure.is_some());
    Some(trial)
}

/// The failing classes and all, for each length of a beginning, by every order that begins so.
fn enumerated(trials: &mut Trials<'_>, failing: &Trial) -> Vec<(u64, u64)> {
    let way = &failing.seen.schedule;
    let seat = Engine::along(Method::Naive, way).seated();
    let (mut failed, mut all) = (BTreeSet::<Fingerprint>::new(), BTreeSet::new());
    let mut counts = vec![(0, 0); way.len() + 1];
    let mut counted = way.len() + 1;
    while counted > 0 {
        let plan = Plan::Guided(Guide::new(seat.clone()));
        let trial = trials(Wanted { plan, capture: false, max_steps: None, left_out: Vec::new() });
        let class = trial.fingerprint.expect("it was observed");
        all.insert(class);
        if trial.failure.is_some() {
            failed.insert(class);
        }
        let mut seat = seat.lock();
        let engine = seat.as_mut().expect("a run that is over gives it back");
        let kept = if engine.advance() { engine.kept() + 1 } else { 0 };
        for count in counts.iter_mut().take(counted).skip(kept) {
            *count = (failed.len() as u64, all.len() as u64);
        }
        counted = counted.min(kept);
    }
    counts
}

/// The share of each length, from those that tell of changes.
fn spread(shares: &[Share], length: usize) -> Vec<(u64, u64)> {
    let of = |steps: usize| shares.iter().rfind(|share| share.steps <= steps as u64);
    let count = |steps| of(steps).map_or((0, 0), |share| (share.failed, share.classes));
    (0..=length).map(count).collect()
}

#[test]
fn the_shares_are_those_of_every_order_that_begins_so() {
    let (mut compared, mut decided) = (0, 0);
    for seed in 0..400 {
        let program = random_program(seed);
        let body = async move |cx: &Cx| perform(cx, program.clone()).await;
        let Some(trial) = failing(0..6, body.clone()) else { continue };
        if trial.seen.schedule.len() > 13 {
            continue;
        }
        let config = LabConfig::default();
        let shares = shares(&mut trials(&config, 0, body.clone()), &trial, &[]);
        let expected = enumerated(&mut trials(&config, 0, body), &trial);
        assert_eq!(spread(&shares, trial.seen.schedule.len()), expected, "program {seed}");
        compared += 1;
        decided += usize::from(expected[0].0 < expected[0].1);
        if compared == 12 {
            break;
        }
    }
    assert!(compared == 12 && decided > 5, "{compared} programs, {decided} of them by their order");
}

#[test]
fn where_the_classes_are_too_many_only_the_ends_are_counted() {
    let body = async |cx: &Cx| perform(cx, vec![vec![Doing::Slowly(0); 3]; 4]).await;
    let trial = failing(0..100, body).expect("some seed fails");
    let shares = shares(&mut trials(&LabConfig::default(), 0, body), &trial, &[]);
    let (first, last) = (shares[0], shares[shares.len() - 1]);
    assert!(first.steps > 0 && first.classes <= MOST_RUNS, "{first:?}");
    assert_eq!((last.failed, last.classes), (1, 1), "the run itself");
    assert!(shares.iter().zip(&shares[1..]).all(|(a, b)| a.steps < b.steps), "{shares:?}");
}

#[test]
fn a_run_that_does_not_come_again_has_no_shares() {
    let body = async |cx: &Cx| perform(cx, vec![vec![Doing::Slowly(0)]; 2]).await;
    let mut trial = failing(0..100, body).expect("some seed fails");
    trial.seen.schedule.reverse();
    assert!(shares(&mut trials(&LabConfig::default(), 0, body), &trial, &[]).is_empty());
}
