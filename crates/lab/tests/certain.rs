//! Programs over the lab's own objects whose polls go on differently with what they have read: exploration finds the classes
//! that sleep sets find, though nothing of them is taken for a guess.

use asupersync_combinator::join;
use asupersync_core::{Cx, Error, SplitMix64, TaskBody, cap};
use asupersync_lab::{
    Atomic, Exploration, ExploreOptions, Method, Mutex, MutexGuard, Queue, Shared, explore,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Set(usize),
    Get(usize),
    Add,
    Lock(usize),
    TryLock(usize),
    /// What is locked is released with no step of its own, in the poll that read.
    Drop,
    /// The same if the cell is still 0.
    DropIfZero(usize),
    /// The same if it is not.
    DropIfOne(usize),
    EndIfZero(usize),
    /// Ends if nobody has added.
    EndIfNone,
    /// Spawns a task that writes the other cell.
    SpawnIfZero(usize),
    /// Opens a region with a child that writes the other cell.
    RegionIfZero(usize),
    /// Two operations in one poll.
    Both,
    /// Two operations in one poll, after which what is locked is released if the first read 0.
    BothDropIfZero,
    Swap(u64),
    /// Two of these in one poll, and what is locked is released if the second did something.
    TwoSwaps,
    /// Tries to lock, and releases all that is locked in the same poll.
    TryLockDrop(usize),
    /// Reads the other cell next, or this one again.
    Choose(usize),
    Send,
    Recv,
    RecvDrop,
}

const ACTS: &[Act] = &[
    Act::Set(0),
    Act::Set(1),
    Act::Get(0),
    Act::Add,
    Act::Lock(0),
    Act::Lock(1),
    Act::TryLock(0),
    Act::Drop,
    Act::DropIfZero(0),
    Act::DropIfZero(1),
    Act::DropIfOne(0),
    Act::DropIfOne(1),
    Act::TwoSwaps,
    Act::TryLockDrop(0),
    Act::EndIfZero(0),
    Act::EndIfNone,
    Act::SpawnIfZero(0),
    Act::RegionIfZero(0),
    Act::Both,
    Act::BothDropIfZero,
    Act::Swap(0),
    Act::Swap(1),
    Act::Choose(0),
    Act::Send,
    Act::Recv,
    Act::RecvDrop,
];

fn random(seed: u64) -> Vec<Vec<Act>> {
    let mut stream = SplitMix64::new(seed);
    let mut below = move |end: usize| stream.below(end as u64) as usize;
    let kinds: Vec<Act> = (0..4).map(|_| ACTS[below(ACTS.len())]).collect();
    let tasks = 2 + below(2);
    (0..tasks).map(|_| (0..1 + below(4)).map(|_| kinds[below(4)]).collect()).collect()
}

fn body(
    program: &[Vec<Act>],
) -> impl for<'a> TaskBody<'a, cap::All, (), Error>
+ for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>
+ Clone
+ Send
+ 'static
+ use<> {
    let program = program.to_vec();
    async move |cx: &Cx| {
        let x = [Shared::new(0_u64), Shared::new(0)];
        let m = [Mutex::new(), Mutex::new()];
        let (n, q) = (Atomic::new(0), Queue::new());
        cx.region(async move |scope| {
            for acts in program {
                let (x, m, n, q) = (x.clone(), m.clone(), n.clone(), q.clone());
                let _ = scope.spawn(async move |cx: &Cx| {
                    let mut held: Vec<(usize, MutexGuard)> = Vec::new();
                    for act in acts {
                        let holds = |held: &[(usize, MutexGuard)], i| held.iter().any(|h| h.0 == i);
                        match act {
                            Act::Set(i) => x[i].set(cx, 1).await?,
                            Act::Get(i) => {
                                let _ = x[i].get(cx).await?;
                            }
                            Act::Add => {
                                let _ = n.fetch_add(cx, 1).await?;
                            }
                            Act::Lock(i) => {
                                if !holds(&held, i) {
                                    held.push((i, m[i].lock(cx).await?));
                                }
                            }
                            Act::TryLock(i) => {
                                if !holds(&held, i) {
                                    held.extend(m[i].try_lock(cx).await?.map(|guard| (i, guard)));
                                }
                            }
                            Act::Drop => held.clear(),
                            Act::DropIfZero(i) => {
                                if x[i].get(cx).await? == 0 {
                                    held.clear();
                                }
                            }
                            Act::DropIfOne(i) => {
                                if x[i].get(cx).await? == 1 {
                                    held.clear();
                                }
                            }
                            Act::TwoSwaps => {
                                let swaps =
                                    (n.compare_exchange(cx, 0, 1), n.compare_exchange(cx, 1, 2));
                                if join(cx, swaps)
                                    .await
                                    .is_ok_and(|(_, b)| b.is_ok_and(|b| b.is_ok()))
                                {
                                    held.clear();
                                }
                            }
                            Act::TryLockDrop(i) => {
                                if !holds(&held, i) {
                                    held.extend(m[i].try_lock(cx).await?.map(|guard| (i, guard)));
                                    held.clear();
                                }
                            }
                            Act::EndIfZero(i) => {
                                if x[i].get(cx).await? == 0 {
                                    return Ok(());
                                }
                            }
                            Act::EndIfNone => {
                                if n.load(cx).await? == 0 {
                                    return Ok(());
                                }
                            }
                            Act::SpawnIfZero(i) => {
                                if x[i].get(cx).await? == 0 {
                                    let other = x[1 - i].clone();
                                    let _ = cx.spawn(async move |cx: &Cx| {
                                        other.set(cx, 2).await?;
                                        Ok::<_, Error>(())
                                    });
                                }
                            }
                            Act::RegionIfZero(i) => {
                                if x[i].get(cx).await? == 0 {
                                    let other = x[1 - i].clone();
                                    let region = cx.region(async move |scope| {
                                        let _ = scope.spawn(async move |cx: &Cx| {
                                            other.set(cx, 2).await?;
                                            Ok::<_, Error>(())
                                        });
                                        Ok::<_, Error>(())
                                    });
                                    region.await.into_result()?;
                                }
                            }
                            Act::Both => {
                                let _ = join(cx, (x[0].get(cx), x[1].set(cx, 1))).await;
                            }
                            Act::BothDropIfZero => {
                                let seen = join(cx, (x[0].get(cx), n.fetch_add(cx, 1))).await;
                                if seen.is_ok_and(|(seen, _)| seen.is_ok_and(|seen| seen == 0)) {
                                    held.clear();
                                }
                            }
                            Act::Swap(expected) => {
                                if n.compare_exchange(cx, expected, expected + 1).await?.is_ok() {
                                    held.clear();
                                }
                            }
                            Act::Choose(i) => {
                                let next = if x[i].get(cx).await? == 0 { 1 - i } else { i };
                                x[next].get(cx).await?;
                            }
                            Act::Send => q.send(cx, 1).await?,
                            Act::Recv => {
                                let _ = q.recv(cx).await?;
                            }
                            Act::RecvDrop => {
                                q.recv(cx).await?;
                                held.clear();
                            }
                        }
                    }
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok::<_, Error>(())
    }
}

fn options(method: Method, order: u64) -> ExploreOptions {
    ExploreOptions::default().method(method).order(order).stop_at_first_failure(false).shrink(false)
}

fn random_programs(seeds: std::ops::Range<u64>) -> usize {
    let mut done = 0;
    for seed in seeds {
        let program = random(seed);
        let audit = explore(options(Method::SleepSets, 0).max_runs(120), body(&program));
        if !audit.exhausted {
            continue;
        }
        done += 1;
        let all = explore(options(Method::Naive, 0).max_runs(200), body(&program));
        if all.exhausted {
            assert_eq!(all.classes, audit.classes, "sleep sets of {seed}: {program:?}");
        }
        assert_eq!(audit.runs as usize, audit.classes.len(), "sleep sets of {seed}: {program:?}");
        for order in 0..4 {
            let found: Exploration = explore(options(Method::Optimal, order), body(&program));
            let said = (found.runs as usize, found.blocked, found.exhausted);
            let of = format!("order {order} of {seed}: {program:?}: {found}");
            assert_eq!(found.classes, audit.classes, "{of}");
            assert_eq!(said, (audit.classes.len(), 0, true), "{of}");
        }
    }
    done
}

#[test]
fn what_a_poll_reads_decides_what_it_touches_next() {
    let done = random_programs(0..40);
    assert!(done > 20, "{done}");
}

/// A lock that was tried is let go in the same poll where the task ends, and where it was not free there is nothing to let
/// go: the poll was expected to write, and reads.
#[test]
fn what_was_left_to_a_poll_that_touches_less_than_expected_is_run() {
    let program =
        [vec![Act::TryLock(0)], vec![Act::TryLock(0), Act::Add], vec![Act::TryLock(0), Act::Add]];
    let all = explore(options(Method::Naive, 0).max_runs(20_000), body(&program));
    assert!(all.exhausted && all.classes.len() == 22, "{all}");
    for order in 0..6 {
        let found = explore(options(Method::Optimal, order), body(&program));
        assert_eq!(found.classes, all.classes, "order {order}: {found}");
        assert_eq!((found.runs, found.blocked), (22, 0), "order {order}");
    }
}
