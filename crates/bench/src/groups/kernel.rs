//! What the kernel's own operations cost: regions, tasks, cancellation, checkpoints, permits, masks.
//!
//! Beside Tokio's nearest, or beside the aim where it has none. `cargo xtask bench kernel` sets the counts
//! of instructions of the scenarios of the same names beside these times.

use std::hint::black_box;
use std::time::Instant;

use asupersync_channel::mpsc;
use asupersync_core::{Cx, Error};
use tokio_util::sync::CancellationToken;

use super::sched::{self, Hosts, Pair, TOKIO, each, size};
use crate::runner::{Better, Runner, Side};

/// Nanoseconds that a checkpoint may take.
const CHECKPOINT_AIM: f64 = 2.0;

/// Runs the group.
pub fn run(runner: &mut Runner) {
    let hosts = Hosts::new();
    let pair = &hosts.threads;
    sched::spawn::regions(runner, pair);
    sched::spawn::spawn_join(runner, pair);
    sched::cancel::run(runner, pair);
    checkpoint(runner, pair);
    reserve_commit(runner, pair);
    mask(runner, pair);
    heap_alloc(runner, pair);
}

/// Values of 64 bytes on a region's heap, a thousand a region, beside as many boxes that are kept as long.
fn heap_alloc(runner: &mut Runner, pair: &Pair) {
    const LOT: usize = 1_000;
    let lots = size(runner, 1_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let start = Instant::now();
            for _ in 0..lots {
                let outcome = cx.region(async |scope| {
                    for number in 0..LOT {
                        black_box(scope.alloc([number as u64; 8]));
                    }
                    Ok::<_, Error>(())
                });
                outcome.await.into_result()?;
            }
            Ok(each(start, lots * LOT))
        })
    };
    let boxes = || {
        pair.tokio(async move {
            let start = Instant::now();
            for _ in 0..lots {
                let kept: Vec<Box<[u64; 8]>> =
                    (0..LOT).map(|number| black_box(Box::new([number as u64; 8]))).collect();
                drop(black_box(kept));
            }
            each(start, lots * LOT)
        })
    };
    let sides = vec![Side::new("", ours), Side::new("Box", boxes)];
    runner.compare("heap_alloc", "ns", Better::Lower, sides);
}

fn checkpoint(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 10_000_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let start = Instant::now();
            for _ in 0..n {
                black_box(cx).checkpoint()?;
            }
            Ok(each(start, n))
        })
    };
    let token = || {
        pair.tokio(async move {
            let token = CancellationToken::new();
            let start = Instant::now();
            for _ in 0..n {
                black_box(black_box(&token).is_cancelled());
            }
            each(start, n)
        })
    };
    let sides = vec![
        Side::new("", ours),
        Side::new("aim", || CHECKPOINT_AIM),
        Side::new("tokio-util", token),
    ];
    runner.compare("checkpoint", "ns", Better::Lower, sides);
}

/// A message's way through a channel within one task: permit, commit, receipt.
fn reserve_commit(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 1_000_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let (tx, mut rx) = mpsc::channel(1);
            let start = Instant::now();
            for message in 0..n {
                tx.reserve(cx).await?.send(message);
                black_box(rx.recv(cx).await?);
            }
            Ok(each(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let (tx, mut rx) = tokio::sync::mpsc::channel(1);
            let start = Instant::now();
            for message in 0..n {
                tx.reserve().await.expect("open").send(message);
                black_box(rx.recv().await);
            }
            each(start, n)
        })
    };
    runner.compare(
        "reserve_commit",
        "ns",
        Better::Lower,
        vec![Side::new("", ours), Side::new(TOKIO, tokio)],
    );
}

/// Beside a lock taken and given back, which is what a mask does twice.
fn mask(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 1_000_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let start = Instant::now();
            for _ in 0..n {
                drop(black_box(cx.mask()));
            }
            Ok(each(start, n))
        })
    };
    let floor = || {
        pair.tokio(async move {
            let lock = std::sync::Mutex::new(0_u32);
            let start = Instant::now();
            for change in [1, u32::MAX].into_iter().cycle().take(2 * n) {
                let mut masks = black_box(&lock).lock().expect("nobody panics");
                *masks = masks.wrapping_add(change);
            }
            each(start, n)
        })
    };
    runner.compare(
        "mask",
        "ns",
        Better::Lower,
        vec![Side::new("", ours), Side::new("two locks", floor)],
    );
}
