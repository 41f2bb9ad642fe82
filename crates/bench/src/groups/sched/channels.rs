//! Channels: two tasks taking turns, and streams of messages through a bounded channel.

use std::thread;
use std::time::{Duration, Instant};

use asupersync_channel::{mpsc, oneshot};
use asupersync_core::{Cx, Error};
use tokio::sync::{mpsc as tokio_mpsc, oneshot as tokio_oneshot};

use super::{Hosts, Pair, TOKIO, each, millions, nanoseconds, sides, size};
use crate::runner::{Better, Runner, Side};

const CAPACITY: usize = 100;

pub(super) fn run(runner: &mut Runner, hosts: &Hosts) {
    ping_pong(runner, "ping_pong_mpsc", &hosts.threads);
    ping_pong(runner, "ping_pong_mpsc_current", &hosts.current);
    ping_pong_oneshot(runner, "ping_pong_oneshot", &hosts.threads);
    ping_pong_oneshot(runner, "ping_pong_oneshot_current", &hosts.current);
    stream(runner, "mpsc_1p1c", &hosts.threads, 1);
    stream(runner, "mpsc_4p1c", &hosts.threads, 4);
}

/// Two tasks and two channels for one message each; the figure is of one round trip.
fn ping_pong(runner: &mut Runner, bench: &str, pair: &Pair) {
    let n = size(runner, 100_000);
    nanoseconds(
        runner,
        bench,
        pair,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let (to, mut at) = mpsc::channel(1);
                let (back, mut home) = mpsc::channel(1);
                let _ = cx.spawn(async move |cx: &Cx| {
                    for _ in 0..n {
                        let ball: usize = at.recv(cx).await?;
                        back.send(cx, ball).await.map_err(|unsent| unsent.error)?;
                    }
                    Ok::<_, Error>(())
                });
                let start = Instant::now();
                for ball in 0..n {
                    to.send(cx, ball).await.map_err(|unsent| unsent.error)?;
                    home.recv(cx).await?;
                }
                Ok(each(start, n))
            })
        },
        |pair| {
            pair.tokio(async move {
                let (to, mut at) = tokio_mpsc::channel(1);
                let (back, mut home) = tokio_mpsc::channel(1);
                tokio::spawn(async move {
                    for _ in 0..n {
                        let ball: usize = at.recv().await.expect("open");
                        back.send(ball).await.expect("open");
                    }
                });
                let start = Instant::now();
                for ball in 0..n {
                    to.send(ball).await.expect("open");
                    home.recv().await.expect("open");
                }
                each(start, n)
            })
        },
    );
}

/// As Tokio's own bench does it: each round two fresh channels and a task that answers.
fn ping_pong_oneshot(runner: &mut Runner, bench: &str, pair: &Pair) {
    let n = size(runner, 100_000);
    nanoseconds(
        runner,
        bench,
        pair,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                for _ in 0..n {
                    let (to, mut at) = oneshot::channel();
                    let (back, mut home) = oneshot::channel();
                    let _ = cx.spawn(async move |cx: &Cx| {
                        at.recv(cx).await?;
                        let _ = back.send(());
                        Ok::<_, Error>(())
                    });
                    let _ = to.send(());
                    home.recv(cx).await?;
                }
                Ok(each(start, n))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                for _ in 0..n {
                    let (to, at) = tokio_oneshot::channel();
                    let (back, home) = tokio_oneshot::channel();
                    tokio::spawn(async move {
                        at.await.expect("sent");
                        let _ = back.send(());
                    });
                    let _ = to.send(());
                    home.await.expect("sent");
                }
                each(start, n)
            })
        },
    );
}

/// So many senders, each by `reserve` and `send`, one receiver.
fn stream(runner: &mut Runner, bench: &str, pair: &Pair, senders: usize) {
    let each_sends = size(runner, 500_000) / senders;
    let total = each_sends * senders;
    let ours = |pair: &Pair| {
        pair.ours(async move |cx: &Cx| {
            let (tx, mut rx) = mpsc::channel(CAPACITY);
            let start = Instant::now();
            for _ in 0..senders {
                let tx = tx.clone();
                let _ = cx.spawn(async move |cx: &Cx| {
                    for message in 0..each_sends {
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
    let theirs = |pair: &Pair| {
        pair.tokio(async move {
            let (tx, mut rx) = tokio_mpsc::channel(CAPACITY);
            let start = Instant::now();
            for _ in 0..senders {
                let tx = tx.clone();
                tokio::spawn(async move {
                    for message in 0..each_sends {
                        tx.reserve().await.expect("open").send(message);
                    }
                });
            }
            drop(tx);
            for _ in 0..total {
                std::hint::black_box(rx.recv().await.expect("open"));
            }
            millions(start, total)
        })
    };
    runner.compare(bench, "M/s", Better::Higher, sides(pair, ours, theirs));
}

/// Two current-thread runtimes on two threads, a million round trips between them: every one is two
/// wake-ups across threads, most of them of a thread that sleeps. One round of each side; what
/// counts is that all end, and the longest.
pub(super) fn run_across_threads(runner: &mut Runner) {
    let bench = "ping_pong_across_threads";
    if !runner.wants(bench) {
        return;
    }
    let n = size(runner, 1_000_000);
    let (mut longest_ours, mut longest_theirs) = (Duration::ZERO, Duration::ZERO);
    runner.compare_once(
        bench,
        "ns",
        Better::Lower,
        vec![
            Side::new("", || across_ours(n, &mut longest_ours)),
            Side::new(TOKIO, || across_tokio(n, &mut longest_theirs)),
        ],
    );
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    runner.compare_once(
        "ping_pong_across_threads_longest",
        "us",
        Better::Lower,
        vec![Side::new("", || micros(longest_ours)), Side::new(TOKIO, || micros(longest_theirs))],
    );
}

fn across_ours(n: usize, longest: &mut Duration) -> f64 {
    let (near, far) = (Pair::current(), Pair::current());
    let (to, mut at) = mpsc::channel(1);
    let (back, mut home) = mpsc::channel(1);
    let far = thread::spawn(move || {
        far.ours(async move |cx: &Cx| {
            for _ in 0..n {
                let ball: usize = at.recv(cx).await?;
                back.send(cx, ball).await.map_err(|unsent| unsent.error)?;
            }
            Ok(0.0)
        })
    });
    let (sent, worst) = std::sync::mpsc::channel();
    let figure = near.ours(async move |cx: &Cx| {
        let mut longest = Duration::ZERO;
        let start = Instant::now();
        let mut before = start;
        for ball in 0..n {
            to.send(cx, ball).await.map_err(|unsent| unsent.error)?;
            assert_eq!(home.recv(cx).await?, ball);
            let now = Instant::now();
            longest = longest.max(now - before);
            before = now;
        }
        let _ = sent.send(longest);
        Ok(each(start, n))
    });
    *longest = worst.recv().expect("sent at the end");
    far.join().expect("the far side ends when the near one does");
    figure
}

fn across_tokio(n: usize, longest: &mut Duration) -> f64 {
    let (near, far) = (Pair::current(), Pair::current());
    let (to, mut at) = tokio_mpsc::channel(1);
    let (back, mut home) = tokio_mpsc::channel(1);
    let far = thread::spawn(move || {
        far.tokio(async move {
            for _ in 0..n {
                let ball: usize = at.recv().await.expect("open");
                back.send(ball).await.expect("open");
            }
            0.0
        })
    });
    let (sent, worst) = std::sync::mpsc::channel();
    let figure = near.tokio(async move {
        let mut longest = Duration::ZERO;
        let start = Instant::now();
        let mut before = start;
        for ball in 0..n {
            to.send(ball).await.expect("open");
            assert_eq!(home.recv().await, Some(ball));
            let now = Instant::now();
            longest = longest.max(now - before);
            before = now;
        }
        let _ = sent.send(longest);
        each(start, n)
    });
    *longest = worst.recv().expect("sent at the end");
    far.join().expect("the far side ends when the near one does");
    figure
}
