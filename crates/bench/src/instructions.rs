//! Scenarios whose instructions are counted under callgrind: one thread, one seed, nothing timed.
//!
//! The counts do not depend on the machine's load, so `cargo xtask bench check` holds them to the
//! committed ones. Each is long enough for the runtime's start to count for little.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use asupersync_channel::{mpsc, oneshot};
use asupersync_core::{Cx, Error, Outcome, TaskBody, cap};
use asupersync_runtime::RuntimeBuilder;

const TIMES: usize = 100_000;

/// A scenario's name and what runs it.
pub type Scenario = (&'static str, fn());

/// Every scenario.
pub const ALL: &[Scenario] = &[
    ("spawn_join", spawn_join),
    ("spawn_await_each", spawn_await_each),
    ("region_two_children", region_two_children),
    ("yield_one_task", yield_one_task),
    ("ping_pong_mpsc", ping_pong_mpsc),
    ("ping_pong_oneshot", ping_pong_oneshot),
    ("mpsc_1p1c", mpsc_1p1c),
    ("timers_create_cancel", timers_create_cancel),
    ("mutex_uncontended", mutex_uncontended),
    ("semaphore_uncontended", semaphore_uncontended),
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

fn spawn_join() {
    run(async |cx: &Cx| {
        let mut handles = Vec::with_capacity(TIMES);
        for value in 0..TIMES {
            handles.push(cx.spawn(async move |_: &Cx| Ok::<_, Error>(value)));
        }
        for mut handle in handles {
            black_box(handle.join(cx).await?.into_result()?);
        }
        Ok(())
    });
}

fn spawn_await_each() {
    run(async |cx: &Cx| {
        for value in 0..TIMES {
            let mut handle = cx.spawn(async move |_: &Cx| Ok::<_, Error>(value));
            black_box(handle.join(cx).await?.into_result()?);
        }
        Ok(())
    });
}

fn region_two_children() {
    run(async |cx: &Cx| {
        for value in 0..TIMES {
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

fn yield_one_task() {
    run(async |cx: &Cx| {
        for _ in 0..TIMES {
            cx.yield_now().await?;
        }
        Ok(())
    });
}

fn ping_pong_mpsc() {
    run(async |cx: &Cx| {
        let (to, mut at) = mpsc::channel(1);
        let (back, mut home) = mpsc::channel(1);
        let _ = cx.spawn(async move |cx: &Cx| {
            for _ in 0..TIMES {
                let ball: usize = at.recv(cx).await?;
                back.send(cx, ball).await.map_err(|unsent| unsent.error)?;
            }
            Ok::<_, Error>(())
        });
        for ball in 0..TIMES {
            to.send(cx, ball).await.map_err(|unsent| unsent.error)?;
            home.recv(cx).await?;
        }
        Ok(())
    });
}

fn ping_pong_oneshot() {
    run(async |cx: &Cx| {
        for _ in 0..TIMES {
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

fn mpsc_1p1c() {
    run(async |cx: &Cx| {
        let (tx, mut rx) = mpsc::channel(100);
        let _ = cx.spawn(async move |cx: &Cx| {
            for message in 0..TIMES {
                tx.reserve(cx).await?.send(message);
            }
            Ok::<_, Error>(())
        });
        for _ in 0..TIMES {
            black_box(rx.recv(cx).await?);
        }
        Ok(())
    });
}

fn timers_create_cancel() {
    run(async |cx: &Cx| {
        for n in 0..TIMES as u64 {
            let mut sleep = pin!(cx.sleep(Duration::from_millis(1_000 + n * 7_919 % 63_000)));
            poll_fn(|context| Poll::Ready(sleep.as_mut().poll(context).is_pending())).await;
        }
        Ok(())
    });
}

fn mutex_uncontended() {
    run(async |cx: &Cx| {
        let mutex = asupersync_sync::Mutex::new(0_usize);
        for _ in 0..TIMES {
            *mutex.lock(cx).await? += 1;
        }
        Ok(())
    });
}

fn semaphore_uncontended() {
    run(async |cx: &Cx| {
        let semaphore = asupersync_sync::Semaphore::new(10);
        for _ in 0..TIMES {
            drop(semaphore.acquire(cx).await?);
        }
        Ok(())
    });
}
