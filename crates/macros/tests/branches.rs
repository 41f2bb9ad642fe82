//! The macros that stand in a function: what they expand to does what the plain API does.

#![deny(warnings)]

use asupersync::channel::RecvError;
use asupersync::lab;
use asupersync::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

async fn worker_a(cx: &Cx) -> Result<u32, Error> {
    cx.sleep(MS).await?;
    Ok(1)
}

async fn worker_b(cx: &Cx) -> Result<u32, Error> {
    cx.sleep(MS * 2).await?;
    Ok(2)
}

#[asupersync::test]
async fn a_scope_joins_what_it_spawned(cx: &Cx) -> Result<(), Error> {
    let outcome = scope! {
        let a = spawn!(worker_a);
        let b = spawn!("named", worker_b);
        join!(a, b)
    };
    let (a, b) = outcome.into_result()??;
    assert_eq!((a?.into_result()?, b?.into_result()?), (1, 2));
    Ok(())
}

#[asupersync::test]
async fn a_scope_without_tasks_is_a_region_too(cx: &Cx) -> Result<(), Error> {
    assert_eq!(scope! { 7 }.into_result()?, 7);
    let failed: Outcome<(), Error> = scope! {
        if cx.checkpoint().is_ok() {
            return Err(Error::from(std::io::Error::other("early")));
        }
    };
    assert!(matches!(failed, Outcome::Err(_)));
    Ok(())
}

#[asupersync::test]
async fn a_nested_scope_spawns_into_the_inner_region(cx: &Cx) -> Result<(), Error> {
    let outcome = scope! {
        let outer = scope.id();
        let inner = scope! {
            assert_ne!(scope.id(), outer);
            let task = spawn!(async |cx| Ok(cx.region_id()));
            assert_eq!(join!(task)?.0?.into_result()?, scope.id());
        };
        inner.into_result()?
    };
    Ok(outcome.into_result()?)
}

struct Service<'a> {
    cx: &'a Cx,
}

#[asupersync::test]
async fn the_context_may_have_another_name(context: &Cx) -> Result<(), Error> {
    let service = Service { cx: context };
    let outcome = scope! {
        in service.cx;
        let region = scope;
        let mut task = spawn!(in region; worker_a);
        task.join(context).await?.into_result()?
    };
    assert_eq!(outcome.into_result()?, 1);
    assert_eq!(join!(in context; async { 1 }, async { 2 })?, (1, 2));
    assert_eq!(race!(in service.cx; async { 1 })?, 1);
    let value = select! {
        in service.cx;
        n = async { 3 } => n,
    };
    assert_eq!(value?, 3);
    Ok(())
}

#[asupersync::test]
async fn the_first_error_settles_try_join(cx: &Cx) -> Result<(), Error> {
    let slow = async { cx.sleep(MS * 9).await.map_err(|_| "told") };
    let failed: Result<((), ()), Failed> =
        async { try_join!(async { slow.await.map_err(Failed) }, async { Err(Failed("first")) }) }
            .await;
    assert_eq!(failed.unwrap_err().0, "first");
    Ok(())
}

#[derive(Debug)]
struct Failed(&'static str);

impl From<asupersync::Cancelled> for Failed {
    fn from(_: asupersync::Cancelled) -> Failed {
        Failed("cancelled")
    }
}

#[asupersync::test]
async fn a_loser_has_ended_when_an_arm_is_entered(cx: &Cx) -> Result<(), Error> {
    let log = Mutex::new(Vec::new());
    let loser = async {
        let slept = cx.sleep(MS * 9).await;
        let _ = cx.masked(async { cx.sleep(MS).await }).await;
        log.lock().unwrap().push("drained");
        slept
    };
    select! {
        slept = loser => slept?,
        _ = cx.sleep(MS) => log.lock().unwrap().push("arm"),
    }?;
    assert_eq!(*log.lock().unwrap(), ["drained", "arm"]);
    Ok(())
}

#[asupersync::test]
async fn a_value_that_does_not_fit_is_out_of_the_race(cx: &Cx) -> Result<(), Error> {
    let value = select! {
        Some(n) = async { None::<u32> } => n,
        Ok(n) | Err(n) = async { cx.sleep(MS).await.map_or(Err(4), |()| Ok(3)) } => n,
        else => 0,
    };
    assert_eq!(value?, 3);
    let value = select! {
        Some(n) = async { None::<u32> } => n,
        (_, 2 | 3) = async { (0, 1) } => 1,
        else => 7,
    };
    assert_eq!(value?, 7);
    Ok(())
}

#[asupersync::test]
async fn what_wins_is_moved_out_of_its_pattern(cx: &Cx) -> Result<(), Error> {
    struct Pair {
        name: String,
        n: u32,
    }
    let pair = async { Some(Pair { name: "a".to_owned(), n: 1 }) };
    let (name, n) = select! {
        Some(Pair { name, mut n }) = pair => {
            n += 1;
            (name, n)
        }
        else => return Err(Error::from(std::io::Error::other("no pair"))),
    }?;
    assert_eq!((name.as_str(), n), ("a", 2));
    Ok(())
}

#[asupersync::test]
async fn an_arm_whose_condition_is_false_is_not_even_made(cx: &Cx) -> Result<(), Error> {
    let made = AtomicU32::new(0);
    let make = || {
        made.fetch_add(1, Ordering::Relaxed);
        async { 1 }
    };
    let made = || made.load(Ordering::Relaxed);
    let value = select! {
        biased;
        n = make(), if made() > 0 => n,
        n = make(), if made() == 0 => n + 1,
        else => 0,
    };
    assert_eq!((value?, made()), (2, 1));
    Ok(())
}

#[asupersync::test]
async fn an_arm_can_break_return_and_await(cx: &Cx) -> Result<(), Error> {
    let (tx, mut rx) = mpsc::channel(2);
    tx.reserve(cx).await?.send(1);
    tx.reserve(cx).await?.send(2);
    drop(tx);
    let mut sum = 0;
    loop {
        select! {
            message = rx.recv(cx) => match message {
                Ok(n) => {
                    cx.yield_now().await?;
                    sum += n;
                }
                Err(RecvError::Closed) => break,
                Err(error) => return Err(error.into()),
            },
        }?;
    }
    assert_eq!(sum, 3);
    Ok(())
}

#[asupersync::test]
async fn a_future_may_borrow_what_its_expression_made(cx: &Cx) -> Result<(), Error> {
    async fn first(words: &[String]) -> usize {
        words[0].len()
    }
    let length = select! { n = first(&["four".to_owned()]) => n };
    assert_eq!(length?, 4);
    let (one, two) = join!(first(&["one".to_owned()]), first(&["longer".to_owned()]))?;
    assert_eq!((one, two), (3, 6));
    Ok(())
}

#[asupersync::test]
async fn arms_that_all_leave_are_no_dead_code(cx: &Cx) -> Result<(), Error> {
    for _ in 0..2 {
        select! {
            _ = async {} => continue,
            _ = async {} => return Ok(()),
        }?;
    }
    Ok(())
}

/// Which of two arms that are always ready wins, in ten selects.
async fn winners(cx: &Cx) -> Result<(u32, u32), Error> {
    let (mut left, mut right) = (0, 0);
    for _ in 0..10 {
        select! {
            _ = async {} => left += 1,
            _ = async {} => right += 1,
        }?;
    }
    Ok((left, right))
}

#[test]
fn no_arm_starves_another_and_a_seed_decides_alike_each_time() {
    for seed in 0..20 {
        let wins = || lab::run(seed, winners).outcome.into_result().expect("ten winners");
        let (left, right) = wins();
        assert!(left > 0 && right > 0, "{left} to {right}");
        assert_eq!(wins(), (left, right));
    }
}

#[test]
fn biased_arms_need_no_randomness_and_the_uppermost_wins() {
    async fn waits_only(cx: &TaskCx) -> Result<u32, Error> {
        let mut sum = 0;
        for _ in 0..10 {
            sum += select! { biased; n = async { 0 } => n, n = async { 1 } => n }?;
        }
        Ok(sum)
    }
    let report = lab::run(1, async |cx: &Cx| waits_only(cx).await);
    assert_eq!(report.outcome.into_result().expect("a sum"), 0);
}

#[test]
fn a_cancelled_select_answers_so_when_no_arm_can_hear_it() {
    let heard = std::sync::Arc::new(Mutex::new(None));
    let told = heard.clone();
    let report = lab::run(1, async move |cx: &Cx| {
        let mut child = cx.spawn(async move |cx: &Cx| {
            let answer = select! { () = std::future::pending() => (), else => () };
            *told.lock().unwrap() = Some(answer.is_err());
            Ok::<_, Error>(())
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        let _ = child.join(cx).await?;
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
    assert_eq!(*heard.lock().unwrap(), Some(true));
}

#[test]
fn macros_of_the_plain_crate_need_no_facade() {
    use asupersync_combinator::{join, select};
    let report = lab::run(1, async |cx: &Cx| {
        let (one, two) = join!(async { 1 }, async { 2 })?;
        select! { three = async { 3 } => one + two + three }.map_err(Error::from)
    });
    assert_eq!(report.outcome.into_result().expect("a sum"), 6);
}
