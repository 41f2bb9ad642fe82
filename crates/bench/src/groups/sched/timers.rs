//! Timers: armed and given up, and fired in crowds.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use asupersync_core::{Cx, Error};

use super::{Hosts, each, nanoseconds, sides, size};
use crate::runner::{Better, Runner};

pub(super) fn run(runner: &mut Runner, hosts: &Hosts) {
    create_and_cancel(runner, hosts);
    firing(runner, hosts);
}

/// Polls a future once, which arms its timer.
async fn poll_once(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "the deadline is far off");
        Poll::Ready(())
    })
    .await;
}

/// Between one and sixty-four seconds from now, differently each time.
fn far_off(n: usize) -> Duration {
    Duration::from_millis(1_000 + (n as u64 * 7_919) % 63_000)
}

fn create_and_cancel(runner: &mut Runner, hosts: &Hosts) {
    let count = size(runner, 1_000_000);
    nanoseconds(
        runner,
        "timers_create_cancel",
        &hosts.threads,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                for n in 0..count {
                    poll_once(cx.sleep(far_off(n))).await;
                }
                Ok(each(start, count))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                for n in 0..count {
                    poll_once(tokio::time::sleep(far_off(n))).await;
                }
                each(start, count)
            })
        },
    );
}

/// So many tasks with deadlines spread evenly over a second; the figure is how late the latest but
/// one in a hundred ran, in milliseconds.
fn firing(runner: &mut Runner, hosts: &Hosts) {
    let count = size(runner, 100_000);
    let spread = if runner.quick() { Duration::from_millis(50) } else { Duration::from_secs(1) };
    // Every task has armed its timer by then.
    let ahead = spread / 4;
    let after = move |n: usize| ahead + spread * n as u32 / count as u32;
    let ours = move |pair: &super::Pair| {
        pair.ours(async move |cx: &Cx| {
            let late: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
            let start = cx.now();
            let mut handles = Vec::with_capacity(count);
            for n in 0..count {
                let late = late.clone();
                let deadline = start + after(n);
                handles.push(cx.spawn(async move |cx: &Cx| {
                    cx.sleep_until(deadline).await?;
                    let lateness = cx.now().saturating_since(deadline);
                    late[n].store(lateness.as_nanos() as u64, Ordering::Relaxed);
                    Ok::<_, Error>(())
                }));
            }
            for mut handle in handles {
                handle.join(cx).await?.into_result()?;
            }
            Ok(p99(&late))
        })
    };
    let theirs = move |pair: &super::Pair| {
        pair.tokio(async move {
            let late: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
            let start = tokio::time::Instant::now();
            let mut handles = Vec::with_capacity(count);
            for n in 0..count {
                let late = late.clone();
                let deadline = start + after(n);
                handles.push(tokio::spawn(async move {
                    tokio::time::sleep_until(deadline).await;
                    let lateness = deadline.elapsed();
                    late[n].store(lateness.as_nanos() as u64, Ordering::Relaxed);
                }));
            }
            for handle in handles {
                handle.await.expect("no panic");
            }
            p99(&late)
        })
    };
    let sides = sides(&hosts.threads, ours, theirs);
    runner.compare("timers_firing_p99", "ms", Better::Lower, sides);
}

fn p99(late: &[AtomicU64]) -> f64 {
    let mut late: Vec<u64> = late.iter().map(|late| late.load(Ordering::Relaxed)).collect();
    late.sort_unstable();
    late[(late.len() - 1) * 99 / 100] as f64 / 1e6
}
