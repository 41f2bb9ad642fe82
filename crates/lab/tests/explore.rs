//! Exploration runs each class once, and finds every class.
//!
//! Programs and counts are those of the partial-order reduction literature; naive enumeration and
//! sleep sets find the classes by other ways.

use asupersync_core::{Cx, Error, TaskBody, cap};
use asupersync_lab::{
    Atomic, Exploration, ExploreOptions, LabConfig, LabRuntime, Method, Mutex, Queue, Shared,
    effect, explore,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn options(method: Method, order: u64) -> ExploreOptions {
    ExploreOptions::default().method(method).order(order).stop_at_first_failure(false).shrink(false)
}

/// Exactly one run for each class, from five first orders; the same set by sleep sets and, where there
/// are few enough orders, by enumeration.
#[track_caller]
fn counts<F>(classes: usize, stuck: usize, naive: bool, body: F) -> Exploration
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let found = explore(options(Method::Optimal, 0), body.clone());
    let short = |found: &Exploration| {
        let (runs, classes, stuck) = (found.runs, found.classes.len(), found.stuck.len());
        (found.exhausted, runs, classes, stuck, found.blocked)
    };
    assert_eq!(short(&found), (true, classes as u64, classes, stuck, 0), "{found}");
    assert_eq!(found.failures, stuck as u64, "{found}");
    for order in [1, 2, 3, 4] {
        let other = explore(options(Method::Optimal, order), body.clone());
        assert_eq!(short(&other), short(&found), "order {order}: {other}");
        assert_eq!(other.classes, found.classes, "order {order}");
    }
    let audit = explore(options(Method::SleepSets, 0).max_runs(1_000), body.clone());
    if audit.exhausted {
        assert_eq!((audit.runs, &audit.classes), (found.runs, &found.classes));
        assert_eq!(audit.stuck, found.stuck);
    }
    if naive {
        let all = explore(options(Method::Naive, 0), body);
        assert!(all.exhausted && all.runs <= 200_000, "{all}");
        assert_eq!((&all.classes, &all.stuck), (&found.classes, &found.stuck), "{all}");
    }
    found
}

macro_rules! spawn {
    ($scope:ident, $($cell:ident),*; |$cx:ident| $body:block) => {{
        $( let $cell = $cell.clone(); )*
        let _ = $scope.spawn(async move |$cx: &Cx| { $body Ok::<_, Error>(()) });
    }};
}

/// A body that is one region.
macro_rules! program {
    (|$scope:ident| $body:block) => {
        async move |cx: &Cx| {
            cx.region(async move |$scope| { $body Ok::<_, Error>(()) }).await.into_result()?;
            Ok::<_, Error>(())
        }
    };
}

fn cells(count: usize) -> Arc<Vec<Shared<u64>>> {
    Arc::new((0..count).map(|_| Shared::new(0)).collect())
}

fn mutexes(count: usize) -> Arc<Vec<Mutex>> {
    Arc::new((0..count).map(|_| Mutex::new()).collect())
}

#[test]
fn readers() {
    for (n, classes) in [(2, 4), (6, 64), (8, 256)] {
        counts(
            classes,
            0,
            n == 2,
            program!(|scope| {
                let x = Shared::new(0);
                spawn!(scope, x; |cx| { x.set(cx, 1).await?; });
                for _ in 0..n {
                    spawn!(scope, x; |cx| { x.get(cx).await?; });
                }
            }),
        );
    }
}

/// One task looks for the last zero from the right, the others count up from their left neighbours.
macro_rules! lastzero {
    ($n:expr) => {
        program!(|scope| {
            let n = $n;
            let a = cells(n + 1);
            spawn!(scope, a; |cx| {
                let mut i = n;
                while a[i].get(cx).await? != 0 { i -= 1; }
            });
            for j in 1..=n {
                spawn!(scope, a; |cx| {
                    let v = a[j - 1].get(cx).await?;
                    a[j].set(cx, v + 1).await?;
                });
            }
        })
    };
}

#[test]
fn lastzero() {
    for (n, classes) in [(1, 2), (2, 5), (3, 12)] {
        counts(classes, 0, n < 3, lastzero!(n));
    }
}

#[test]
#[ignore = "six seconds in a release build, a minute in a debug build"]
fn lastzero_of_many() {
    for n in 4..=13 {
        let found = explore(options(Method::Optimal, 0).max_runs(1_000_000), lastzero!(n));
        let expected = (n as u64 + 3) << (n - 2);
        let got = (found.exhausted, found.runs, found.classes.len() as u64, found.blocked);
        assert_eq!(got, (true, expected, expected, 0), "n = {n}: {found}");
    }
}

#[test]
fn popl_ex2() {
    counts(
        5,
        0,
        true,
        program!(|scope| {
            let c = cells(3);
            spawn!(scope, c; |cx| { c[0].set(cx, 1).await?; });
            spawn!(scope, c; |cx| { c[1].set(cx, 1).await?; });
            spawn!(scope, c; |cx| { if c[1].get(cx).await? == 0 { c[2].set(cx, 1).await?; } });
            spawn!(scope, c; |cx| {
                if c[2].get(cx).await? == 1 && c[1].get(cx).await? == 0 { c[0].set(cx, 2).await?; }
            });
        }),
    );
}

#[test]
fn increments() {
    counts(
        120,
        0,
        false,
        program!(|scope| {
            let x = Atomic::new(0);
            for _ in 0..5 {
                spawn!(scope, x; |cx| { x.fetch_add(cx, 1).await?; });
            }
        }),
    );
    counts(
        36,
        0,
        false,
        program!(|scope| {
            let (x, y) = (Atomic::new(0), Atomic::new(0));
            for _ in 0..3 {
                spawn!(scope, x, y; |cx| { x.fetch_add(cx, 1).await?; y.fetch_add(cx, 1).await?; });
            }
        }),
    );
    counts(
        36,
        0,
        true,
        program!(|scope| {
            let x = Shared::new(0);
            for i in 0..3 {
                spawn!(scope, x; |cx| { let r = x.get(cx).await?; x.set(cx, r + (1 << i)).await?; });
            }
        }),
    );
}

#[test]
fn compare_and_swap() {
    counts(
        5,
        0,
        false,
        program!(|scope| {
            let x = Atomic::new(0);
            for i in 1..=5 {
                spawn!(scope, x; |cx| { let _ = x.compare_exchange(cx, 0, i).await?; });
            }
        }),
    );
    // A failed one is a read and commutes with the load: two winners, the load before or after.
    counts(
        4,
        0,
        true,
        program!(|scope| {
            let x = Atomic::new(0);
            for i in 1..=2 {
                spawn!(scope, x; |cx| { let _ = x.compare_exchange(cx, 0, i).await?; });
            }
            spawn!(scope, x; |cx| { x.load(cx).await?; });
        }),
    );
}

#[test]
fn n_writers() {
    counts(
        720,
        0,
        false,
        program!(|scope| {
            let x = Shared::new(0);
            for i in 0..5 {
                spawn!(scope, x; |cx| { x.set(cx, i).await?; });
            }
            spawn!(scope, x; |cx| { x.get(cx).await?; });
        }),
    );
}

#[test]
fn store_buffering() {
    counts(
        3,
        0,
        true,
        program!(|scope| {
            let c = cells(2);
            spawn!(scope, c; |cx| { c[0].set(cx, 1).await?; c[1].get(cx).await?; });
            spawn!(scope, c; |cx| { c[1].set(cx, 1).await?; c[0].get(cx).await?; });
        }),
    );
}

#[test]
fn coa() {
    for (n, classes) in [(2, 15), (3, 130)] {
        counts(
            classes,
            0,
            n == 2,
            program!(|scope| {
                let c = cells(3);
                spawn!(scope, c; |cx| {
                    c[0].set(cx, 1).await?; c[1].get(cx).await?; c[0].get(cx).await?;
                });
                spawn!(scope, c; |cx| {
                    c[0].set(cx, 2).await?; c[2].get(cx).await?; c[0].get(cx).await?;
                });
                for i in 1..n {
                    spawn!(scope, c; |cx| { c[1].set(cx, i).await?; c[2].set(cx, i).await?; });
                }
            }),
        );
    }
}

#[test]
fn one_mutex() {
    for (n, classes) in [(3, 6), (5, 120)] {
        counts(
            classes,
            0,
            n == 3,
            program!(|scope| {
                let m = Mutex::new();
                for _ in 0..n {
                    spawn!(scope, m; |cx| { m.lock(cx).await?.unlock(cx).await?; });
                }
            }),
        );
    }
}

#[test]
fn mpat() {
    counts(
        384,
        0,
        false,
        program!(|scope| {
            let (m, a) = (Mutex::new(), mutexes(4));
            for i in 0..4 {
                spawn!(scope, a; |cx| { a[i].lock(cx).await?.unlock(cx).await?; });
                spawn!(scope, m, a; |cx| {
                    let outer = m.lock(cx).await?;
                    a[i].lock(cx).await?.unlock(cx).await?;
                    outer.unlock(cx).await?;
                });
            }
        }),
    );
}

#[test]
fn ssbexp() {
    for (k, classes) in [(5_usize, 10), (40, 80)] {
        counts(
            classes,
            0,
            false,
            program!(|scope| {
                let (mi, a) = (Mutex::new(), mutexes(k));
                let i = Arc::new(std::sync::atomic::AtomicUsize::new(0));
                for x in 0..k {
                    spawn!(scope, a; |cx| { a[x].lock(cx).await?.unlock(cx).await?; });
                }
                spawn!(scope, mi, i; |cx| {
                    for x in 1..k {
                        let held = mi.lock(cx).await?;
                        i.store(x, Ordering::SeqCst);
                        held.unlock(cx).await?;
                    }
                });
                spawn!(scope, mi, i, a; |cx| {
                    let held = mi.lock(cx).await?;
                    let j = i.load(Ordering::SeqCst);
                    held.unlock(cx).await?;
                    a[j].lock(cx).await?.unlock(cx).await?;
                });
            }),
        );
    }
}

#[test]
fn philosophers() {
    for (n, right_handed, classes) in
        [(2, 0, 3), (3, 0, 7), (4, 0, 15), (2, 1, 2), (3, 1, 6), (4, 1, 14)]
    {
        counts(
            classes,
            usize::from(right_handed == 0),
            n == 2,
            program!(|scope| {
                let forks = mutexes(n);
                for i in 0..n {
                    let (mut one, mut two) = (i, (i + 1) % n);
                    if right_handed == 1 && i == n - 1 {
                        (one, two) = (two, one);
                    }
                    spawn!(scope, forks; |cx| {
                        let first = forks[one].lock(cx).await?;
                        let second = forks[two].lock(cx).await?;
                        second.unlock(cx).await?;
                        first.unlock(cx).await?;
                    });
                }
            }),
        );
    }
}

#[test]
fn mutex_deadlock() {
    for n in [2, 3] {
        counts(
            n,
            n,
            true,
            program!(|scope| {
                let m = Mutex::new();
                for _ in 0..n {
                    spawn!(scope, m; |cx| { m.lock(cx).await?.forget(); });
                }
            }),
        );
    }
}

#[test]
fn producers_and_consumers() {
    for (producers, consumers, items, classes, naive) in
        [(2, 1, 2, 6, true), (2, 2, 2, 36, false), (1, 1, 3, 1, true), (1, 2, 2, 2, true)]
    {
        let body = program!(|scope| {
            let queue = Queue::new();
            for _ in 0..producers {
                spawn!(scope, queue; |cx| { for i in 0..items { queue.send(cx, i).await?; } });
            }
            for _ in 0..consumers {
                spawn!(scope, queue; |cx| {
                    for _ in 0..producers * items / consumers { queue.recv(cx).await?; }
                });
            }
        });
        counts(classes, 0, naive, body);
    }
}

#[test]
fn a_receive_that_nobody_serves_is_stuck() {
    counts(
        2,
        2,
        true,
        program!(|scope| {
            let queue = Queue::new();
            spawn!(scope, queue; |cx| { queue.send(cx, 1).await?; });
            for _ in 0..2 {
                spawn!(scope, queue; |cx| { queue.recv(cx).await?; });
            }
        }),
    );
}

#[test]
fn a_failure_comes_with_choices_that_replay_it_and_the_race_that_matters() {
    let body = program!(|scope| {
        let m = mutexes(2);
        for (one, two) in [(0, 1), (1, 0)] {
            spawn!(scope, m; |cx| {
                let first = m[one].lock(cx).await?;
                let second = m[two].lock(cx).await?;
                second.unlock(cx).await?;
                first.unlock(cx).await?;
            });
        }
    });
    for order in 0..5 {
        // As it was found: of one that is shrunk only what fails is the same.
        let found = explore(ExploreOptions::default().order(order).shrink(false), body);
        assert!(!found.exhausted && found.runs <= 3, "{found}");
        let failure = found.failure.expect("one of the three classes is stuck");
        assert!(failure.message.contains("ASY-0006"), "{failure}");
        let config = LabConfig::default().choices(failure.choices.clone());
        let replayed = LabRuntime::new(config).run(body);
        assert_eq!(replayed.fingerprint, found.stuck.first().copied(), "{replayed}");
        if found.runs > 1 {
            let (first, other) = failure.reversed.expect("a later run reverses a race");
            assert_ne!(failure.schedule[first], other);
        }
    }
}

#[test]
fn an_exploration_that_gives_up_says_so() {
    let body = program!(|scope| {
        let x = Shared::new(0);
        for i in 0..4 {
            spawn!(scope, x; |cx| { x.set(cx, i).await?; });
        }
    });
    let found = explore(ExploreOptions::default().max_runs(5), body);
    assert!(found.to_string().starts_with("bounded(5): 5 runs, 5 classes"), "{found}");
    let config = LabConfig::default().max_steps(4);
    let cut = explore(options(Method::Optimal, 0).config(config).max_runs(30), body);
    assert!(!cut.exhausted && cut.failures > 0, "{cut}");
}

/// An act of a random program over one cell, one atomic, two mutexes and one queue.
#[derive(Clone, Debug)]
enum Act {
    Get,
    Set,
    Swap(u64),
    Add,
    Lock(usize),
    TryLock(usize),
    Send,
    Recv,
    /// Only when the cell is still 0.
    IfZero,
}

fn random_program(seed: u64) -> Vec<Vec<Act>> {
    let mut state = seed;
    let mut next = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let tasks = 2 + next(3);
    let longest = if tasks > 3 { 2 } else { 3 };
    (0..tasks)
        .map(|_| {
            let act = |pick| match pick {
                0 => Act::Get,
                1 => Act::Set,
                2 => Act::Swap(0),
                3 => Act::Swap(1),
                4 => Act::Add,
                5 | 6 => Act::Lock(pick as usize - 5),
                7 => Act::TryLock(0),
                8 => Act::Send,
                9 => Act::Recv,
                _ => Act::IfZero,
            };
            (0..1 + next(longest)).map(|_| act(next(11))).collect()
        })
        .collect()
}

#[test]
fn random_programs_are_run_once_for_each_class() {
    let mut audited = 0;
    for seed in 0..100 {
        let tasks = random_program(seed);
        let shown = tasks.clone();
        let body = program!(|scope| {
            let (x, n, m) = (Shared::new(0_u64), Atomic::new(0), mutexes(2));
            let q = Queue::new();
            for acts in tasks {
                spawn!(scope, x, n, m, q; |cx| {
                    // What is locked stays so until the end of the task.
                    let mut held = Vec::new();
                    for act in acts {
                        match act {
                            Act::Get => { x.get(cx).await?; }
                            Act::Set => x.set(cx, 1).await?,
                            Act::Swap(expected) => {
                                let _ = n.compare_exchange(cx, expected, expected + 1).await?;
                            }
                            Act::Add => { n.fetch_add(cx, 1).await?; }
                            Act::Lock(i) => held.push(m[i].lock(cx).await?),
                            Act::Send => q.send(cx, 1).await?,
                            Act::Recv => { q.recv(cx).await?; }
                            Act::TryLock(i) => held.extend(m[i].try_lock(cx).await?),
                            Act::IfZero => if x.get(cx).await? == 0 { n.store(cx, 7).await?; },
                        }
                    }
                    while let Some(guard) = held.pop() {
                        guard.unlock(cx).await?;
                    }
                });
            }
        });
        let audit = explore(options(Method::SleepSets, 0).max_runs(3_000), body.clone());
        for order in 0..3 {
            let found = explore(options(Method::Optimal, order), body.clone());
            let exact = found.exhausted && found.runs == found.classes.len() as u64;
            assert!(exact && found.blocked == 0, "seed {seed} order {order}: {found}\n{shown:?}");
            if audit.exhausted {
                audited += 1;
                assert_eq!(found.classes, audit.classes, "seed {seed} order {order}: {shown:?}");
                assert_eq!(found.stuck, audit.stuck, "seed {seed} order {order}: {shown:?}");
            }
        }
        if seed % 10 == 0 {
            let all = explore(options(Method::Naive, 0).max_runs(5_000), body);
            if all.exhausted {
                assert_eq!((all.classes, all.stuck), (audit.classes, audit.stuck), "seed {seed}");
            }
        }
    }
    assert!(audited > 3 * 70, "{audited}");
}

/// The lost update needs one preemption: with none allowed it is not found, and what was left out is said.
#[test]
fn bounded_methods_say_what_they_leave_out() {
    let body = program!(|scope| {
        let x = Shared::new(0_u64);
        for by in [1, 2] {
            spawn!(scope, x; |cx| {
                let seen = x.get(cx).await?;
                x.set(cx, seen + by).await?;
                cx.yield_now().await?;
                assert!(x.get(cx).await? >= seen + by, "an update was lost");
            });
        }
    });
    let run = |method| explore(options(method, 0), body);
    let all = run(Method::Optimal);
    assert!(all.exhausted && all.failures > 0, "{all}");
    for method in [Method::Preemptions(0), Method::Delays(0)] {
        let none = run(method);
        assert!(!none.exhausted && none.failures == 0, "{method:?}: {none}");
    }
    for method in [Method::Preemptions(2), Method::Delays(2)] {
        let two = run(method);
        assert!(!two.exhausted && two.failures > 0, "{method:?}: {two}");
        assert!(two.classes.is_subset(&all.classes), "{method:?}");
    }
    for method in [Method::Preemptions(100), Method::Delays(1_000)] {
        let unbound = run(method);
        assert!(unbound.exhausted, "{method:?}: {unbound}");
        assert_eq!(unbound.classes, all.classes, "{method:?}");
    }
}

/// Three tasks that read and then write, five polls after the start.
async fn late_increments(cx: &Cx) -> Result<(), Error> {
    for _ in 0..5 {
        cx.yield_now().await?;
        effect(cx, "an effect");
    }
    let outcome = cx.region(async |scope| {
        let x = Shared::new(0);
        for i in 0..3 {
            spawn!(scope, x; |cx| { let r = x.get(cx).await?; x.set(cx, r + (1 << i)).await?; });
        }
        Ok::<_, Error>(())
    });
    outcome.await.into_result()?;
    Ok(())
}

#[test]
fn what_the_oracles_saw_in_the_beginning_counts_in_every_run_that_shares_it() {
    let found = explore(options(Method::Optimal, 0), late_increments);
    assert_eq!((found.runs, found.failures), (36, 36), "{found}");
}

#[test]
fn runs_that_share_no_beginning_fall_into_the_same_classes() {
    let found = explore(options(Method::Optimal, 0), late_increments);
    for seed in 0..100 {
        let report = LabRuntime::new(LabConfig::default().seed(seed)).run(late_increments);
        assert!(report.fingerprint.is_some_and(|class| found.classes.contains(&class)), "{seed}");
    }
}

/// Four tasks of two polls each: 8! / 2^4 orders, more than are run before the work is divided. Fails where task
/// `first` is over before another begins.
macro_rules! four {
    ($first:expr) => {
        program!(|scope| {
            let (x, begun) = (Shared::new(0_u64), Arc::new(AtomicU64::new(0)));
            for i in 1..=4 {
                spawn!(scope, x, begun; |cx| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    x.update(cx, |x| *x = *x * 10 + i).await?;
                    let alone = begun.load(Ordering::Relaxed) == 1;
                    assert!(i != $first || !alone, "nobody else had begun");
                });
            }
        })
    };
}

/// The counts are those of words of two As, two Bs, two Cs and two Ds: all of them; those that leave at most three letters
/// before their second; those whose letters are, in sum, at most nine places from the default.
#[test]
fn what_is_found_does_not_depend_on_the_threads() {
    let body = four!(0);
    for (method, exhausted, runs) in [
        (Method::Naive, true, 2_520),
        (Method::Preemptions(3), false, 1_656),
        (Method::Delays(9), false, 1_593),
    ] {
        let one = explore(options(method, 0), body);
        assert_eq!((one.exhausted, one.runs), (exhausted, runs), "{method:?}: {one}");
        let more = explore(options(method, 0).threads(3), body);
        let counts = |found: &Exploration| (found.exhausted, found.runs, found.steps);
        assert_eq!(counts(&more), counts(&one), "{method:?}");
        assert_eq!(more.classes, one.classes, "{method:?}");
        assert_eq!(more.classes.len(), 24, "{method:?}");
    }
}

#[test]
fn the_first_failure_does_not_depend_on_the_threads() {
    let run = |first: u64, threads, most| {
        let naive = ExploreOptions::default().method(Method::Naive).shrink(false);
        explore(naive.threads(threads).max_runs(most), four!(first))
    };
    let mut late = 0;
    for first in 1..=4 {
        let (one, more) = (run(first, 1, 10_000), run(first, 3, 10_000));
        let choices = |found: &Exploration| found.failure.as_ref().map(|f| f.choices.clone());
        assert!(choices(&one).is_some(), "task {first}: {one}");
        assert_eq!(choices(&more), choices(&one), "task {first}");
        assert_eq!((more.runs, more.classes), (one.runs, one.classes), "task {first}");
        if one.runs > 1_000 {
            late += 1;
            assert_eq!(run(first, 3, 1_000).failures, 0, "a limit of runs is kept");
        }
    }
    assert!(late > 0, "the work was never divided");
}
