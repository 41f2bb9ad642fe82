//! Exploration: runs a second on small programs, runs until nothing is left, and one large program.
//!
//! loom explores the same programs over its own atomics and mutex, one execution for each path of its
//! own reduction, weak memory included; shuttle's depth-first scheduler runs every order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asupersync_core::{Cx, Error, TaskBody, cap};
use asupersync_lab::{Exploration, ExploreOptions, Shared, explore};

use super::{LOOM, SHUTTLE, floor, seconds, unhooked};
use crate::programs::{lastzero, pi_3, readers_8};
use crate::runner::{Better, Runner, Side};

/// Executions after which a peer is stopped.
const MOST: usize = 20_000;

pub(super) fn run(runner: &mut Runner) {
    let times = if runner.quick() { 20 } else { 200 };

    // Six events, 36 classes.
    let sides = vec![
        rate_of(times, increments),
        floor(100_000.0),
        Side::new(LOOM, || rate(|| loom_runs(loom_increments))),
        Side::new(SHUTTLE, || rate(|| shuttle_runs(shuttle_increments))),
    ];
    runner.compare("explore_inc_3", "runs/s", Better::Higher, sides);

    // Six events, 6 classes.
    let sides = vec![
        rate_of(times, mutex),
        floor(100_000.0),
        Side::new(LOOM, || rate(|| loom_runs(loom_mutex))),
        Side::new(SHUTTLE, || rate(|| shuttle_runs(shuttle_mutex))),
    ];
    runner.compare("explore_pi_3", "runs/s", Better::Higher, sides);

    // Nine events, 256 classes.
    let sides = vec![rate_of(times / 10, readers), floor(100_000.0)];
    runner.compare("explore_readers_8", "runs/s", Better::Higher, sides);

    let sides = vec![
        Side::new("", || mutex().runs as f64),
        Side::new(LOOM, || loom_runs(loom_mutex) as f64),
        Side::new(SHUTTLE, || shuttle_runs(shuttle_mutex) as f64),
    ];
    runner.compare_once("explore_pi_3_to_the_end", "runs", Better::Lower, sides);

    let events = || {
        let mut steps = 0;
        let time = seconds(|| steps = checked(lastzero(10)).steps);
        steps as f64 / time / 1e6
    };
    let sides = vec![Side::new("", events), floor(2.0)];
    runner.compare("explore_events", "M/s", Better::Higher, sides);

    // The small one is only there to see that it runs.
    let (cells, classes) = if runner.quick() { (10, 3_328) } else { (15, 147_456) };
    let all = move || seconds(|| assert_eq!(checked(lastzero(cells)).runs, classes));
    let sides = vec![Side::new("", all), floor(10.0)];
    runner.compare_once(&format!("explore_lastzero_{cells}"), "s", Better::Lower, sides);
}

/// Our side: runs a second of so many explorations.
fn rate_of<'a>(times: usize, explored: fn() -> Exploration) -> Side<'a> {
    Side::new("", move || rate(|| (0..times).map(|_| explored().runs as usize).sum()))
}

/// Runs a second of this thread's processor time.
fn rate(work: impl FnOnce() -> usize) -> f64 {
    let mut runs = 0;
    let time = seconds(|| runs = work());
    runs as f64 / time
}

fn whole<F>(body: F) -> Exploration
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    checked(explore(ExploreOptions::default(), body))
}

fn checked(found: Exploration) -> Exploration {
    assert!(found.exhausted && found.failures == 0, "{found}");
    found
}

/// Three tasks read and then write.
fn increments() -> Exploration {
    whole(async move |cx: &Cx| {
        let outcome = cx.region(async |scope| {
            let x = Shared::new(0);
            for task in 0..3 {
                let x = x.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    let seen = x.get(cx).await?;
                    x.set(cx, seen + (1 << task)).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok(())
        });
        outcome.await.into_result()?;
        Ok(())
    })
}

/// Three tasks take a mutex and release it.
fn mutex() -> Exploration {
    checked(pi_3())
}

/// One task writes, eight read.
fn readers() -> Exploration {
    checked(readers_8())
}

/// Executions that loom takes, or the most that it is given.
fn loom_runs(body: fn()) -> usize {
    let mut model = loom::model::Builder::new();
    model.max_permutations = Some(MOST);
    let runs = Arc::new(AtomicU64::new(0));
    let counted = runs.clone();
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        body();
    });
    runs.load(Ordering::Relaxed) as usize
}

fn loom_increments() {
    let x = loom::sync::Arc::new(loom::sync::atomic::AtomicU64::new(0));
    let tasks = (0..3).map(|task| {
        let x = x.clone();
        loom::thread::spawn(move || {
            let seen = x.load(Ordering::SeqCst);
            x.store(seen + (1 << task), Ordering::SeqCst);
        })
    });
    let tasks: Vec<_> = tasks.collect();
    tasks.into_iter().for_each(|task| task.join().expect("no panic"));
}

fn loom_mutex() {
    let mutex = loom::sync::Arc::new(loom::sync::Mutex::new(()));
    let tasks = (0..3).map(|_| {
        let mutex = mutex.clone();
        loom::thread::spawn(move || drop(mutex.lock()))
    });
    let tasks: Vec<_> = tasks.collect();
    tasks.into_iter().for_each(|task| task.join().expect("no panic"));
}

/// Executions of shuttle's depth-first search, or the most that it is given.
fn shuttle_runs(body: fn()) -> usize {
    let scheduler = shuttle::scheduler::DfsScheduler::new(Some(MOST), false);
    unhooked(|| shuttle::Runner::new(scheduler, shuttle::Config::default()).run(body))
}

fn shuttle_increments() {
    let x = Arc::new(shuttle::sync::atomic::AtomicU64::new(0));
    let tasks = (0..3).map(|task| {
        let x = x.clone();
        shuttle::thread::spawn(move || {
            let seen = x.load(Ordering::SeqCst);
            x.store(seen + (1 << task), Ordering::SeqCst);
        })
    });
    let tasks: Vec<_> = tasks.collect();
    tasks.into_iter().for_each(|task| task.join().expect("no panic"));
}

fn shuttle_mutex() {
    let mutex = Arc::new(shuttle::sync::Mutex::new(()));
    let tasks = (0..3).map(|_| {
        let mutex = mutex.clone();
        shuttle::thread::spawn(move || drop(mutex.lock()))
    });
    let tasks: Vec<_> = tasks.collect();
    tasks.into_iter().for_each(|task| task.join().expect("no panic"));
}
