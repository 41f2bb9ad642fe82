//! Locks that nobody contends for, taken and given back by one task.

use std::time::Instant;

use asupersync_core::Cx;

use super::{Hosts, TOKIO, each, size};
use crate::runner::{Better, Runner, Side};

const ASYNC_LOCK: &str = "async-lock";

pub(super) fn run(runner: &mut Runner, hosts: &Hosts) {
    let pair = &hosts.threads;
    let n = size(runner, 1_000_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let mutex = asupersync_sync::Mutex::new(0_usize);
            let start = Instant::now();
            for _ in 0..n {
                *mutex.lock(cx).await? += 1;
            }
            Ok(each(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let mutex = tokio::sync::Mutex::new(0_usize);
            let start = Instant::now();
            for _ in 0..n {
                *mutex.lock().await += 1;
            }
            each(start, n)
        })
    };
    let async_lock = || {
        pair.tokio(async move {
            let mutex = async_lock::Mutex::new(0_usize);
            let start = Instant::now();
            for _ in 0..n {
                *mutex.lock().await += 1;
            }
            each(start, n)
        })
    };
    let sides =
        vec![Side::new("", ours), Side::new(TOKIO, tokio), Side::new(ASYNC_LOCK, async_lock)];
    runner.compare("mutex_uncontended", "ns", Better::Lower, sides);

    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let semaphore = asupersync_sync::Semaphore::new(10);
            let start = Instant::now();
            for _ in 0..n {
                drop(semaphore.acquire(cx).await?);
            }
            Ok(each(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let semaphore = tokio::sync::Semaphore::new(10);
            let start = Instant::now();
            for _ in 0..n {
                drop(semaphore.acquire().await.expect("open"));
            }
            each(start, n)
        })
    };
    let async_lock = || {
        pair.tokio(async move {
            let semaphore = async_lock::Semaphore::new(10);
            let start = Instant::now();
            for _ in 0..n {
                drop(semaphore.acquire().await);
            }
            each(start, n)
        })
    };
    let sides =
        vec![Side::new("", ours), Side::new(TOKIO, tokio), Side::new(ASYNC_LOCK, async_lock)];
    runner.compare("semaphore_uncontended", "ns", Better::Lower, sides);
}
