//! Spawning: from within, in a chain, from outside; regions of two.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Instant;

use asupersync_channel::oneshot;
use asupersync_core::{Cx, Error};

use super::{Hosts, Pair, WORKERS, each, nanoseconds, size};
use crate::runner::Runner;

pub(super) fn run(runner: &mut Runner, hosts: &Hosts) {
    let threads = &hosts.threads;
    spawn_join(runner, threads);
    let n = size(runner, 100_000);
    nanoseconds(
        runner,
        "spawn_await_each",
        threads,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                for value in 0..n {
                    let mut handle = cx.spawn(async move |_: &Cx| Ok::<_, Error>(value));
                    black_box(handle.join(cx).await?.into_result()?);
                }
                Ok(each(start, n))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                for value in 0..n {
                    black_box(tokio::spawn(async move { value }).await.expect("no panic"));
                }
                each(start, n)
            })
        },
    );
    chained(runner, threads);
    from_outside(runner, threads);
    regions(runner, threads);
}

/// All spawned, then all joined.
pub(in crate::groups) fn spawn_join(runner: &mut Runner, threads: &Pair) {
    let n = size(runner, 100_000);
    nanoseconds(
        runner,
        "spawn_join",
        threads,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                let mut handles = Vec::with_capacity(n);
                for value in 0..n {
                    handles.push(cx.spawn(async move |_: &Cx| Ok::<_, Error>(value)));
                }
                for mut handle in handles {
                    black_box(handle.join(cx).await?.into_result()?);
                }
                Ok(each(start, n))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                let mut handles = Vec::with_capacity(n);
                for value in 0..n {
                    handles.push(tokio::spawn(async move { value }));
                }
                for handle in handles {
                    black_box(handle.await.expect("no panic"));
                }
                each(start, n)
            })
        },
    );
}

fn chained(runner: &mut Runner, pair: &Pair) {
    fn ours(cx: &Cx, left: usize, done: oneshot::Sender<()>) {
        if left == 0 {
            let _ = done.send(());
            return;
        }
        let _ = cx.spawn(async move |cx: &Cx| {
            ours(cx, left - 1, done);
            Ok::<_, Error>(())
        });
    }
    fn theirs(left: usize, done: tokio::sync::oneshot::Sender<()>) {
        if left == 0 {
            let _ = done.send(());
            return;
        }
        tokio::spawn(async move { theirs(left - 1, done) });
    }
    let depth = size(runner, 10_000);
    let times = 10;
    nanoseconds(
        runner,
        "spawn_chained",
        pair,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                for _ in 0..times {
                    let (done, mut ended) = oneshot::channel();
                    ours(cx, depth, done);
                    ended.recv(cx).await?;
                }
                Ok(each(start, times * depth))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                for _ in 0..times {
                    let (done, ended) = tokio::sync::oneshot::channel();
                    theirs(depth, done);
                    ended.await.expect("sent at the chain's end");
                }
                each(start, times * depth)
            })
        },
    );
}

/// Unparks a thread when so many tasks have ended.
struct Countdown {
    left: AtomicUsize,
    waiting: Thread,
}

impl Countdown {
    fn new(left: usize) -> Arc<Countdown> {
        Arc::new(Countdown { left: AtomicUsize::new(left), waiting: thread::current() })
    }

    fn count(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiting.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }
}

/// A thread that is none of the workers' spawns, and waits until all have run.
fn from_outside(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 20_000);
    let ours = move |pair: &Pair| {
        let handle = pair.ours.handle();
        let countdown = Countdown::new(n);
        let start = Instant::now();
        for _ in 0..n {
            let countdown = countdown.clone();
            let _ = handle.spawn(async move |_: &Cx| {
                countdown.count();
                Ok::<_, Error>(())
            });
        }
        countdown.wait();
        each(start, n)
    };
    let theirs = move |pair: &Pair| {
        let handle = pair.tokio.handle();
        let countdown = Countdown::new(n);
        let start = Instant::now();
        for _ in 0..n {
            let countdown = countdown.clone();
            handle.spawn(async move { countdown.count() });
        }
        countdown.wait();
        each(start, n)
    };
    nanoseconds(runner, "spawn_from_outside", pair, ours, theirs);
    nanoseconds(
        runner,
        "spawn_from_outside_busy",
        pair,
        |pair| {
            let stop = Arc::new(AtomicBool::new(false));
            for _ in 0..WORKERS {
                let stop = stop.clone();
                let _ = pair.ours.handle().spawn(async move |cx: &Cx| {
                    while !stop.load(Ordering::Relaxed) {
                        cx.yield_now().await?;
                    }
                    Ok::<_, Error>(())
                });
            }
            let figure = ours(pair);
            stop.store(true, Ordering::Relaxed);
            figure
        },
        |pair| {
            let stop = Arc::new(AtomicBool::new(false));
            for _ in 0..WORKERS {
                let stop = stop.clone();
                pair.tokio.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        tokio::task::yield_now().await;
                    }
                });
            }
            let figure = theirs(pair);
            stop.store(true, Ordering::Relaxed);
            figure
        },
    );
}

pub(in crate::groups) fn regions(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 50_000);
    nanoseconds(
        runner,
        "region_two_children",
        pair,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                for value in 0..n {
                    let outcome = cx.region(async |scope| {
                        let _ = scope.spawn(async move |_: &Cx| Ok::<_, Error>(black_box(value)));
                        let _ = scope.spawn(async move |_: &Cx| Ok(black_box(value)));
                        Ok(())
                    });
                    outcome.await.into_result()?;
                }
                Ok(each(start, n))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                for value in 0..n {
                    let mut set = tokio::task::JoinSet::new();
                    set.spawn(async move { black_box(value) });
                    set.spawn(async move { black_box(value) });
                    while let Some(joined) = set.join_next().await {
                        joined.expect("no panic");
                    }
                }
                each(start, n)
            })
        },
    );
}
