//! Channels beside Tokio's, flume, async-channel and kanal: every side's tasks run on two workers, the
//! peers' on Tokio's.

use std::future::Future;
use std::time::Instant;

use asupersync_channel::{broadcast, mpsc, oneshot, watch};
use asupersync_core::{Cx, Error};

use super::sched::{Hosts, Pair, TOKIO, each, millions, size};
use crate::runner::{Better, Runner, Side};

const CAPACITY: usize = 100;
const RECEIVERS: usize = 4;

/// Runs the group.
pub fn run(runner: &mut Runner) {
    let hosts = Hosts::new();
    stream(runner, "mpsc_1p1c", &hosts.threads, 1);
    stream(runner, "mpsc_4p1c", &hosts.threads, 4);
    one_value(runner, &hosts.threads);
    to_all(runner, &hosts.threads);
    last_value(runner, &hosts.threads);
}

/// Drives a peer's stream of messages: `senders` tasks send `count` each, the caller's task receives all.
async fn peer<S, R, T, U>(
    senders: usize,
    count: usize,
    pair: (T, U),
    send: fn(T, usize) -> S,
    receive: fn(U, usize) -> R,
) -> f64
where
    T: Clone + Send + 'static,
    U: Send + 'static,
    S: Future<Output = ()> + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let (tx, rx) = pair;
    let total = senders * count;
    let start = Instant::now();
    for _ in 0..senders {
        tokio::spawn(send(tx.clone(), count));
    }
    drop(tx);
    receive(rx, total).await;
    millions(start, total)
}

/// So many senders, one receiver, a bounded channel. Ours and Tokio's reserve and send; the others have
/// one phase.
fn stream(runner: &mut Runner, bench: &str, pair: &Pair, senders: usize) {
    let count = size(runner, 500_000) / senders;
    let total = count * senders;
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let (tx, mut rx) = mpsc::channel(CAPACITY);
            let start = Instant::now();
            for _ in 0..senders {
                let tx = tx.clone();
                let _ = cx.spawn(async move |cx: &Cx| {
                    for message in 0..count {
                        tx.reserve(cx).await?.send(message);
                    }
                    Ok::<_, Error>(())
                });
            }
            drop(tx);
            for _ in 0..total {
                std::hint::black_box(rx.recv(cx).await?);
            }
            Ok(millions(start, total))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let send = async |tx: tokio::sync::mpsc::Sender<usize>, count| {
                for message in 0..count {
                    tx.reserve().await.expect("open").send(message);
                }
            };
            let (tx, mut rx) = tokio::sync::mpsc::channel(CAPACITY);
            let start = Instant::now();
            for _ in 0..senders {
                let tx = tx.clone();
                tokio::spawn(async move { send(tx, count).await });
            }
            drop(tx);
            for _ in 0..total {
                std::hint::black_box(rx.recv().await.expect("open"));
            }
            millions(start, total)
        })
    };
    let flume = || {
        pair.tokio(peer(
            senders,
            count,
            flume::bounded(CAPACITY),
            |tx, count| async move {
                for message in 0..count {
                    tx.send_async(message).await.expect("open");
                }
            },
            |rx, total| async move {
                for _ in 0..total {
                    std::hint::black_box(rx.recv_async().await.expect("open"));
                }
            },
        ))
    };
    let async_channel = || {
        pair.tokio(peer(
            senders,
            count,
            async_channel::bounded(CAPACITY),
            |tx, count| async move {
                for message in 0..count {
                    tx.send(message).await.expect("open");
                }
            },
            |rx, total| async move {
                for _ in 0..total {
                    std::hint::black_box(rx.recv().await.expect("open"));
                }
            },
        ))
    };
    let kanal = || {
        pair.tokio(peer(
            senders,
            count,
            kanal::bounded_async(CAPACITY),
            |tx, count| async move {
                for message in 0..count {
                    tx.send(message).await.expect("open");
                }
            },
            |rx, total| async move {
                for _ in 0..total {
                    std::hint::black_box(rx.recv().await.expect("open"));
                }
            },
        ))
    };
    let sides = vec![
        Side::new("", ours),
        Side::new(TOKIO, tokio),
        Side::new("flume", flume),
        Side::new("async-channel", async_channel),
        Side::new("kanal", kanal),
    ];
    runner.compare(bench, "M/s", Better::Higher, sides);
}

/// A channel made, used and dropped, all in one task.
fn one_value(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 1_000_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let start = Instant::now();
            for value in 0..n {
                let (tx, mut rx) = oneshot::channel();
                let _ = tx.send(value);
                std::hint::black_box(rx.recv(cx).await?);
            }
            Ok(each(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let start = Instant::now();
            for value in 0..n {
                let (tx, rx) = tokio::sync::oneshot::channel();
                let _ = tx.send(value);
                std::hint::black_box(rx.await.expect("sent"));
            }
            each(start, n)
        })
    };
    let sides = vec![Side::new("", ours), Side::new(TOKIO, tokio)];
    runner.compare("oneshot_one_task", "ns", Better::Lower, sides);
}

/// One sender, four receivers that each get every message; the sender lets them catch up in time.
fn to_all(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 200_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let (tx, first) = broadcast::channel(1024);
            let start = Instant::now();
            let mut receivers = Vec::new();
            for mut rx in (1..RECEIVERS).map(|_| tx.subscribe()).chain([first]).collect::<Vec<_>>()
            {
                receivers.push(cx.spawn(async move |cx: &Cx| {
                    let mut got = 0;
                    while rx.recv(cx).await.is_ok() {
                        got += 1;
                    }
                    Ok::<usize, Error>(got)
                }));
            }
            for message in 0..n {
                while tx.len() >= 1000 {
                    cx.yield_now().await?;
                }
                let _ = tx.send(message);
            }
            drop(tx);
            for mut receiver in receivers {
                assert_eq!(receiver.join(cx).await?.into_result()?, n);
            }
            Ok(millions(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let (tx, first) = tokio::sync::broadcast::channel(1024);
            let start = Instant::now();
            let mut receivers = Vec::new();
            for mut rx in (1..RECEIVERS).map(|_| tx.subscribe()).chain([first]).collect::<Vec<_>>()
            {
                receivers.push(tokio::spawn(async move {
                    let mut got = 0;
                    while rx.recv().await.is_ok() {
                        got += 1;
                    }
                    got
                }));
            }
            for message in 0..n {
                while tx.len() >= 1000 {
                    tokio::task::yield_now().await;
                }
                let _ = tx.send(message);
            }
            drop(tx);
            for receiver in receivers {
                assert_eq!(receiver.await.expect("it ends"), n);
            }
            millions(start, n)
        })
    };
    let sides = vec![Side::new("", ours), Side::new(TOKIO, tokio)];
    runner.compare("broadcast_1_4", "M/s", Better::Higher, sides);
}

/// One sender that yields after each value, four receivers that look at what they see.
fn last_value(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 200_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let (tx, rx) = watch::channel(0);
            let start = Instant::now();
            let mut receivers = Vec::new();
            for mut rx in vec![rx; RECEIVERS] {
                receivers.push(cx.spawn(async move |cx: &Cx| {
                    while rx.changed(cx).await.is_ok() {
                        std::hint::black_box(*rx.borrow_and_update());
                    }
                    Ok::<usize, Error>(*rx.borrow())
                }));
            }
            for value in 1..=n {
                let _ = tx.send(value);
                cx.yield_now().await?;
            }
            drop(tx);
            for mut receiver in receivers {
                assert_eq!(receiver.join(cx).await?.into_result()?, n);
            }
            Ok(millions(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let (tx, rx) = tokio::sync::watch::channel(0);
            let start = Instant::now();
            let mut receivers = Vec::new();
            for mut rx in vec![rx; RECEIVERS] {
                receivers.push(tokio::spawn(async move {
                    while rx.changed().await.is_ok() {
                        std::hint::black_box(*rx.borrow_and_update());
                    }
                    *rx.borrow()
                }));
            }
            for value in 1..=n {
                let _ = tx.send(value);
                tokio::task::yield_now().await;
            }
            drop(tx);
            for receiver in receivers {
                assert_eq!(receiver.await.expect("it ends"), n);
            }
            millions(start, n)
        })
    };
    let sides = vec![Side::new("", ours), Side::new(TOKIO, tokio)];
    runner.compare("watch_1_4", "M/s", Better::Higher, sides);
}
