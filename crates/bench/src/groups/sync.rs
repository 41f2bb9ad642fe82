//! Locks and notifications beside Tokio's, async-lock and event-listener.
//!
//! Uncontended: one task takes and gives back. Contended: four tasks on two workers, each yielding while
//! it holds, so that the others stand in line; the figure is of one turn.

use std::sync::Arc;
use std::time::Instant;

use asupersync_core::{Cx, Error};

use super::sched::{Hosts, Pair, TOKIO, each, size};
use crate::runner::{Better, Runner, Side};

const ASYNC_LOCK: &str = "async-lock";
const TASKS: usize = 4;

/// Runs the group.
pub fn run(runner: &mut Runner) {
    let hosts = Hosts::new();
    let pair = &hosts.threads;
    uncontended(runner, pair);
    contended(runner, pair);
    notified(runner, pair);
}

/// One task: `$n` times the operation of each side.
macro_rules! alone {
    ($runner:ident, $pair:ident, $bench:literal, |$lock:ident, $cx:ident|
        ours $ours_new:expr => $ours:expr; tokio $tokio_new:expr => $tokio:expr; async_lock $peer_new:expr => $peer:expr) => {{
        let n = size($runner, 1_000_000);
        let ours = || {
            $pair.ours(async move |$cx: &Cx| {
                let $lock = $ours_new;
                let start = Instant::now();
                for _ in 0..n {
                    drop(std::hint::black_box($ours));
                }
                Ok(each(start, n))
            })
        };
        let tokio = || {
            $pair.tokio(async move {
                let $lock = $tokio_new;
                let start = Instant::now();
                for _ in 0..n {
                    drop(std::hint::black_box($tokio));
                }
                each(start, n)
            })
        };
        let peer = || {
            $pair.tokio(async move {
                let $lock = $peer_new;
                let start = Instant::now();
                for _ in 0..n {
                    drop(std::hint::black_box($peer));
                }
                each(start, n)
            })
        };
        let sides = vec![Side::new("", ours), Side::new(TOKIO, tokio), Side::new(ASYNC_LOCK, peer)];
        $runner.compare($bench, "ns", Better::Lower, sides);
    }};
}

fn uncontended(runner: &mut Runner, pair: &Pair) {
    alone!(runner, pair, "mutex_uncontended", |lock, cx|
        ours asupersync_sync::Mutex::new(0) => lock.lock(cx).await?;
        tokio tokio::sync::Mutex::new(0) => lock.lock().await;
        async_lock async_lock::Mutex::new(0) => lock.lock().await);
    alone!(runner, pair, "rwlock_read_uncontended", |lock, cx|
        ours asupersync_sync::RwLock::new(0) => lock.read(cx).await?;
        tokio tokio::sync::RwLock::new(0) => lock.read().await;
        async_lock async_lock::RwLock::new(0) => lock.read().await);
    alone!(runner, pair, "rwlock_write_uncontended", |lock, cx|
        ours asupersync_sync::RwLock::new(0) => lock.write(cx).await?;
        tokio tokio::sync::RwLock::new(0) => lock.write().await;
        async_lock async_lock::RwLock::new(0) => lock.write().await);
    alone!(runner, pair, "semaphore_uncontended", |lock, cx|
        ours asupersync_sync::Semaphore::new(10) => lock.acquire(cx).await?;
        tokio tokio::sync::Semaphore::new(10) => lock.acquire().await.expect("open");
        async_lock async_lock::Semaphore::new(10) => lock.acquire().await);
}

/// Four tasks: each `$n` turns, yielding inside.
macro_rules! crowd {
    ($runner:ident, $pair:ident, $bench:literal, |$lock:ident, $cx:ident|
        ours $ours_new:expr => $ours:expr; tokio $tokio_new:expr => $tokio:expr; async_lock $peer_new:expr => $peer:expr) => {{
        let n = size($runner, 40_000);
        let ours = || {
            $pair.ours(async move |cx: &Cx| {
                let shared = Arc::new($ours_new);
                let start = Instant::now();
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let $lock = shared.clone();
                        cx.spawn(async move |$cx: &Cx| {
                            for _ in 0..n {
                                let held = $ours;
                                $cx.yield_now().await?;
                                drop(held);
                            }
                            Ok::<_, Error>(())
                        })
                    })
                    .collect();
                for mut task in tasks {
                    task.join(cx).await?.into_result()?;
                }
                Ok(each(start, n * TASKS))
            })
        };
        let tokio = || {
            $pair.tokio(async move {
                let shared = Arc::new($tokio_new);
                let start = Instant::now();
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let $lock = shared.clone();
                        tokio::spawn(async move {
                            for _ in 0..n {
                                let held = $tokio;
                                tokio::task::yield_now().await;
                                drop(held);
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("it ends");
                }
                each(start, n * TASKS)
            })
        };
        let peer = || {
            $pair.tokio(async move {
                let shared = Arc::new($peer_new);
                let start = Instant::now();
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let $lock = shared.clone();
                        tokio::spawn(async move {
                            for _ in 0..n {
                                let held = $peer;
                                tokio::task::yield_now().await;
                                drop(held);
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("it ends");
                }
                each(start, n * TASKS)
            })
        };
        let sides = vec![Side::new("", ours), Side::new(TOKIO, tokio), Side::new(ASYNC_LOCK, peer)];
        $runner.compare($bench, "ns", Better::Lower, sides);
    }};
}

fn contended(runner: &mut Runner, pair: &Pair) {
    crowd!(runner, pair, "mutex_contended", |lock, cx|
        ours asupersync_sync::Mutex::new(0) => lock.lock(cx).await?;
        tokio tokio::sync::Mutex::new(0) => lock.lock().await;
        async_lock async_lock::Mutex::new(0) => lock.lock().await);
    crowd!(runner, pair, "rwlock_write_contended", |lock, cx|
        ours asupersync_sync::RwLock::new(0) => lock.write(cx).await?;
        tokio tokio::sync::RwLock::new(0) => lock.write().await;
        async_lock async_lock::RwLock::new(0) => lock.write().await);
    crowd!(runner, pair, "semaphore_contended", |lock, cx|
        ours asupersync_sync::Semaphore::new(2) => lock.acquire(cx).await?;
        tokio tokio::sync::Semaphore::new(2) => lock.acquire().await.expect("open");
        async_lock async_lock::Semaphore::new(2) => lock.acquire().await);
}

/// One task that is told and waits for it, nobody else: the cost of the machine, without a wake.
fn notified(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 1_000_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let notify = asupersync_sync::Notify::new();
            let start = Instant::now();
            for _ in 0..n {
                notify.notify_one();
                notify.notified(cx).await?;
            }
            Ok(each(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let notify = tokio::sync::Notify::new();
            let start = Instant::now();
            for _ in 0..n {
                notify.notify_one();
                notify.notified().await;
            }
            each(start, n)
        })
    };
    let listener = || {
        pair.tokio(async move {
            let event = event_listener::Event::new();
            let start = Instant::now();
            for _ in 0..n {
                let listener = event.listen();
                event.notify(1);
                listener.await;
            }
            each(start, n)
        })
    };
    let sides =
        vec![Side::new("", ours), Side::new(TOKIO, tokio), Side::new("event-listener", listener)];
    runner.compare("notify_one_task", "ns", Better::Lower, sides);
}
