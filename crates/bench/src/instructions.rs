//! Scenarios whose instructions are counted under callgrind: one thread, one seed, nothing timed.
//!
//! The counts do not depend on the machine's load, so `cargo xtask bench check` holds them to the
//! committed ones. Each scenario does its operation as often as it is told, so that the difference of two
//! runs is that of the operations alone: the start of the process and the runtime cancels out.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use asupersync_channel::{mpsc, oneshot};
use asupersync_core::{CancelReason, Cx, Error, Outcome, TaskBody, cap};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_runtime::RuntimeBuilder;

use crate::programs::{lastzero, pi_3, readers_8, yielded, yields};

/// Tasks that are alive at once, where it is many.
const LOT: usize = 1_000;

/// Something to be counted.
pub struct Scenario {
    /// The group of benches it belongs to, and its name.
    pub name: &'static str,
    /// Does the operation so many times.
    pub run: fn(usize),
}

const fn scenario(name: &'static str, run: fn(usize)) -> Scenario {
    Scenario { name, run }
}

/// Every scenario.
pub const ALL: &[Scenario] = &[
    scenario("kernel/region_two_children", region_two_children),
    scenario("kernel/spawn_join", spawn_join),
    scenario("kernel/cancel_parked", cancel_parked),
    scenario("kernel/checkpoint", checkpoint),
    scenario("kernel/reserve_commit", reserve_commit),
    scenario("kernel/mask", mask),
    scenario("kernel/heap_alloc", heap_alloc),
    scenario("sched/spawn_await_each", spawn_await_each),
    scenario("sched/yield_one_task", yield_one_task),
    scenario("sched/ping_pong_mpsc", ping_pong_mpsc),
    scenario("sched/ping_pong_oneshot", ping_pong_oneshot),
    scenario("sched/timers_create_cancel", timers_create_cancel),
    scenario("channel/mpsc_1p1c", mpsc_1p1c),
    scenario("sync/mutex_uncontended", mutex_uncontended),
    scenario("sync/semaphore_uncontended", semaphore_uncontended),
    scenario("lab/random_10", random_10),
    scenario("lab/random_10_oracles", random_10_oracles),
    scenario("lab/random_10_traced", random_10_traced),
    scenario("lab/random_10_traced_bytes", random_10_traced_bytes),
    scenario("lab/random_10_unobserved", random_10_unobserved),
    scenario("lab/random_100", random_100),
    scenario("lab/explore_pi_3", explore_pi_3),
    scenario("lab/explore_readers_8", explore_readers_8),
    scenario("lab/explore_lastzero_8", explore_lastzero_8),
];

fn run<F>(body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Send + 'static,
{
    let runtime = RuntimeBuilder::current_thread().seed(1).build().expect("a runtime");
    match runtime.block_on(body) {
        Outcome::Ok(()) => {}
        failed => panic!("the scenario ended as {failed:?}"),
    }
}

/// In lots, so that twice as many tasks are twice the work.
fn spawn_join(times: usize) {
    run(async move |cx: &Cx| {
        let mut handles = Vec::with_capacity(LOT);
        for _ in 0..times.div_ceil(LOT) {
            for value in 0..LOT {
                handles.push(cx.spawn(async move |_: &Cx| Ok::<_, Error>(value)));
            }
            for mut handle in handles.drain(..) {
                black_box(handle.join(cx).await?.into_result()?);
            }
        }
        Ok(())
    });
}

fn spawn_await_each(times: usize) {
    run(async move |cx: &Cx| {
        for value in 0..times {
            let mut handle = cx.spawn(async move |_: &Cx| Ok::<_, Error>(value));
            black_box(handle.join(cx).await?.into_result()?);
        }
        Ok(())
    });
}

fn region_two_children(times: usize) {
    run(async move |cx: &Cx| {
        for value in 0..times {
            let outcome = cx.region(async |scope| {
                let _ = scope.spawn(async move |_: &Cx| Ok::<_, Error>(black_box(value)));
                let _ = scope.spawn(async move |_: &Cx| Ok(black_box(value)));
                Ok(())
            });
            outcome.await.into_result()?;
        }
        Ok(())
    });
}

/// A parked task's whole life: spawned, parked, cancelled with its region, ended.
fn cancel_parked(times: usize) {
    run(async move |cx: &Cx| {
        for _ in 0..times.div_ceil(LOT) {
            let outcome = cx.region(async |scope| {
                for _ in 0..LOT {
                    let _ = scope.spawn(async move |cx: &Cx| {
                        cx.wait("for ever", |_| Poll::<()>::Pending).await?;
                        Ok(())
                    });
                }
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("enough"));
                Ok::<_, Error>(())
            });
            outcome.await.into_result()?;
        }
        Ok(())
    });
}

fn checkpoint(times: usize) {
    run(async move |cx: &Cx| {
        for _ in 0..times {
            black_box(cx).checkpoint()?;
        }
        Ok(())
    });
}

/// A value's life on its region's heap: put there, and gone with the region, which holds a lot of them.
fn heap_alloc(times: usize) {
    run(async move |cx: &Cx| {
        for _ in 0..times.div_ceil(LOT) {
            let outcome = cx.region(async |scope| {
                for number in 0..LOT {
                    black_box(scope.alloc([number as u64; 8]));
                }
                Ok::<_, Error>(())
            });
            outcome.await.into_result()?;
        }
        Ok(())
    });
}

/// A message's way through a channel within one task: permit, commit, receipt.
fn reserve_commit(times: usize) {
    run(async move |cx: &Cx| {
        let (tx, mut rx) = mpsc::channel(1);
        for message in 0..times {
            tx.reserve(cx).await?.send(message);
            black_box(rx.recv(cx).await?);
        }
        Ok(())
    });
}

fn mask(times: usize) {
    run(async move |cx: &Cx| {
        for _ in 0..times {
            drop(black_box(cx.mask()));
        }
        Ok(())
    });
}

fn yield_one_task(times: usize) {
    run(async move |cx: &Cx| {
        for _ in 0..times {
            cx.yield_now().await?;
        }
        Ok(())
    });
}

fn ping_pong_mpsc(times: usize) {
    run(async move |cx: &Cx| {
        let (to, mut at) = mpsc::channel(1);
        let (back, mut home) = mpsc::channel(1);
        let _ = cx.spawn(async move |cx: &Cx| {
            for _ in 0..times {
                let ball: usize = at.recv(cx).await?;
                back.send(cx, ball).await.map_err(|unsent| unsent.error)?;
            }
            Ok::<_, Error>(())
        });
        for ball in 0..times {
            to.send(cx, ball).await.map_err(|unsent| unsent.error)?;
            home.recv(cx).await?;
        }
        Ok(())
    });
}

fn ping_pong_oneshot(times: usize) {
    run(async move |cx: &Cx| {
        for _ in 0..times {
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
        Ok(())
    });
}

fn mpsc_1p1c(times: usize) {
    run(async move |cx: &Cx| {
        let (tx, mut rx) = mpsc::channel(100);
        let _ = cx.spawn(async move |cx: &Cx| {
            for message in 0..times {
                tx.reserve(cx).await?.send(message);
            }
            Ok::<_, Error>(())
        });
        for _ in 0..times {
            black_box(rx.recv(cx).await?);
        }
        Ok(())
    });
}

fn timers_create_cancel(times: usize) {
    run(async move |cx: &Cx| {
        for n in 0..times as u64 {
            let mut sleep = pin!(cx.sleep(Duration::from_millis(1_000 + n * 7_919 % 63_000)));
            poll_fn(|context| Poll::Ready(sleep.as_mut().poll(context).is_pending())).await;
        }
        Ok(())
    });
}

fn mutex_uncontended(times: usize) {
    run(async move |cx: &Cx| {
        let mutex = asupersync_sync::Mutex::new(0_usize);
        for _ in 0..times {
            *mutex.lock(cx).await? += 1;
        }
        Ok(())
    });
}

fn semaphore_uncontended(times: usize) {
    run(async move |cx: &Cx| {
        let semaphore = asupersync_sync::Semaphore::new(10);
        for _ in 0..times {
            drop(semaphore.acquire(cx).await?);
        }
        Ok(())
    });
}

/// Runs of so many tasks that yield once, in a random order.
fn random(config: LabConfig, tasks: usize, times: usize) {
    let lab = LabRuntime::new(config);
    for _ in 0..times {
        yields(&lab, tasks);
    }
}

fn random_10(times: usize) {
    random(LabConfig::default(), 10, times);
}

fn random_10_traced(times: usize) {
    random(LabConfig::default().capture_trace(true), 10, times);
}

/// With the trace's file.
fn random_10_traced_bytes(times: usize) {
    let lab = LabRuntime::new(LabConfig::default().capture_trace(true));
    for _ in 0..times {
        black_box(yielded(&lab, 10).trace.map(|log| log.into_bytes()));
    }
}

/// No fingerprint and no trace.
fn random_10_oracles(times: usize) {
    random(LabConfig::default().fingerprint(false), 10, times);
}

fn random_10_unobserved(times: usize) {
    random(LabConfig::default().observe(false), 10, times);
}

/// By run, as the others.
fn random_100(times: usize) {
    random(LabConfig::default(), 100, times);
}

/// A run of the exploration of three tasks that take a mutex, of which it has six.
fn explore_pi_3(times: usize) {
    for _ in 0..times.div_ceil(6) {
        let found = pi_3();
        assert!(found.exhausted && found.runs == 6);
    }
}

/// A run of the exploration of a writer and eight readers, of which it has 256.
fn explore_readers_8(times: usize) {
    for _ in 0..times.div_ceil(256) {
        let found = readers_8();
        assert!(found.exhausted && found.runs == 256);
    }
}

/// A run of the exploration of the last zero of nine cells, of which it has 704.
fn explore_lastzero_8(times: usize) {
    for _ in 0..times.div_ceil(704) {
        let found = lastzero(8);
        assert!(found.exhausted && found.runs == 704);
    }
}
