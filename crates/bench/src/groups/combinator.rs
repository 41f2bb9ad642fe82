//! Combinators beside Tokio's macros and the `futures` crate.
//!
//! Both peers' futures run in a task on Tokio's workers, ours in one of the production runtime. What is
//! joined or raced gives way once, or sleeps for an hour and loses; ours is told and drained, the peers' is
//! dropped. The figure is of one turn.

use std::time::{Duration, Instant};

use asupersync_combinator::{
    Bulkhead, RetryPolicy, join, join_all, map_reduce, pipeline, race, race_all, retry, select,
    timeout, try_join_all,
};
use asupersync_core::{Cx, Error};
use futures_util::{StreamExt, TryStreamExt, future, stream};

use super::sched::{Hosts, Pair, TOKIO, each, size};
use crate::runner::{Better, Runner, Side};

const FUTURES: &str = "futures";
/// A loop written by hand, or the operation alone.
const BY_HAND: &str = "by hand";
const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

/// Runs the group.
pub fn run(runner: &mut Runner) {
    let hosts = Hosts::new();
    let pair = &hosts.threads;
    all_of_them(runner, pair);
    first_of_them(runner, pair);
    limits(runner, pair);
    many(runner, pair);
}

/// `$n` turns of each side.
macro_rules! turns {
    ($runner:ident, $pair:ident, $bench:literal, $n:expr, |$cx:ident| $ours:expr, $($peer:expr => $theirs:expr),+ $(,)?) => {{
        let n = size($runner, $n);
        let mut sides = vec![Side::new("", || {
            $pair.ours(async move |$cx: &Cx| {
                let start = Instant::now();
                for _ in 0..n {
                    let _ = std::hint::black_box($ours);
                }
                Ok(each(start, n))
            })
        })];
        $(sides.push(Side::new($peer, || {
            $pair.tokio(async move {
                let start = Instant::now();
                for _ in 0..n {
                    let _ = std::hint::black_box($theirs);
                }
                each(start, n)
            })
        }));)+
        $runner.compare($bench, "ns", Better::Lower, sides);
    }};
}

async fn gives_way() -> Result<usize, Error> {
    tokio::task::yield_now().await;
    Ok(1)
}

async fn sleeps() -> Result<usize, Error> {
    tokio::time::sleep(HOUR).await;
    Ok(0)
}

async fn our_way(cx: &Cx) -> Result<usize, Error> {
    cx.yield_now().await?;
    Ok(1)
}

async fn our_sleep(cx: &Cx) -> Result<usize, Error> {
    cx.sleep(HOUR).await?;
    Ok(0)
}

fn all_of_them(runner: &mut Runner, pair: &Pair) {
    turns!(runner, pair, "join_2", 100_000,
        |cx| join(cx, (our_way(cx), our_way(cx))).await?,
        TOKIO => tokio::join!(gives_way(), gives_way()),
        FUTURES => future::join(gives_way(), gives_way()).await);
    turns!(runner, pair, "join_10", 20_000,
        |cx| join_all(cx, (0..10).map(|_| our_way(cx))).await?,
        FUTURES => future::join_all((0..10).map(|_| gives_way())).await);
    turns!(runner, pair, "join_100", 2_000,
        |cx| join_all(cx, (0..100).map(|_| our_way(cx))).await?,
        FUTURES => future::join_all((0..100).map(|_| gives_way())).await);
    turns!(runner, pair, "try_join_10", 20_000,
        |cx| try_join_all(cx, (0..10).map(|_| our_way(cx))).await?,
        FUTURES => future::try_join_all((0..10).map(|_| gives_way())).await.expect("no error"));
}

fn first_of_them(runner: &mut Runner, pair: &Pair) {
    turns!(runner, pair, "race_2", 50_000,
    |cx| race(cx, (our_sleep(cx), our_way(cx))).await??,
    TOKIO => tokio::select! { biased;
        late = sleeps() => late,
        first = gives_way() => first,
    },
    FUTURES => {
        let (late, first) = (std::pin::pin!(sleeps()), std::pin::pin!(gives_way()));
        future::select(late, first).await.factor_first().0
    });
    turns!(runner, pair, "race_10", 10_000,
        |cx| race_all(cx, (0..10).map(|n| async move {
            if n == 9 { our_way(cx).await } else { our_sleep(cx).await }
        })).await??,
        FUTURES => future::select_all((0..10).map(|n| Box::pin(async move {
            if n == 9 { gives_way().await } else { sleeps().await }
        }))).await.0.expect("no error"));
    turns!(runner, pair, "select_2", 50_000,
    |cx| select! {
        biased;
        first = our_way(cx) => first?,
        late = our_sleep(cx) => late?,
    }?,
    TOKIO => tokio::select! {
        biased;
        first = gives_way() => first,
        late = sleeps() => late,
    });
}

fn limits(runner: &mut Runner, pair: &Pair) {
    turns!(runner, pair, "timeout_ready", 200_000,
        |cx| timeout(cx, SECOND, async { 1 }).await?,
        TOKIO => tokio::time::timeout(SECOND, async { 1 }).await.expect("in time"));
    turns!(runner, pair, "timeout_in_time", 100_000,
        |cx| timeout(cx, SECOND, our_way(cx)).await??,
        TOKIO => tokio::time::timeout(SECOND, gives_way()).await.expect("in time"));
    turns!(runner, pair, "retry_first_try", 200_000,
    |cx| retry(cx, RetryPolicy::new(3), async |_| our_way(cx).await).await
        .map_err(|_| Error::msg("never fails"))?,
    BY_HAND => {
        let mut attempt = 0;
        loop {
            match gives_way().await {
                Err(_) if attempt < 3 => attempt += 1,
                ended => break ended,
            }
        }
    });
    let n = size(runner, 100_000);
    let ours = || {
        pair.ours(async move |cx: &Cx| {
            let bulkhead = Bulkhead::new(10, 10);
            let start = Instant::now();
            for _ in 0..n {
                bulkhead.run(cx, our_way(cx)).await.map_err(|_| Error::msg("room"))??;
            }
            Ok(each(start, n))
        })
    };
    let tokio = || {
        pair.tokio(async move {
            let (places, work) = (tokio::sync::Semaphore::new(20), tokio::sync::Semaphore::new(10));
            let start = Instant::now();
            for _ in 0..n {
                let _place = places.try_acquire().expect("room");
                let _work = work.acquire().await.expect("open");
                gives_way().await.expect("no error");
            }
            each(start, n)
        })
    };
    let sides = vec![Side::new("", ours), Side::new(TOKIO, tokio)];
    runner.compare("bulkhead_run", "ns", Better::Lower, sides);
}

const ITEMS: usize = 1_000;
const AT_ONCE: usize = 4;

fn many(runner: &mut Runner, pair: &Pair) {
    turns!(runner, pair, "pipeline_2_stages_1000", 50,
        |cx| pipeline(cx, 0..ITEMS)
            .stage(AT_ONCE, async |n| Ok::<_, Error>(n + our_way(cx).await?))
            .stage(AT_ONCE, async |n| Ok(n + our_way(cx).await?))
            .collect().await?,
        FUTURES => stream::iter(0..ITEMS)
            .map(|n| async move { Ok::<_, Error>(n + gives_way().await?) })
            .buffered(AT_ONCE)
            .map_ok(|n| async move { Ok::<_, Error>(n + gives_way().await?) })
            .try_buffered(AT_ONCE)
            .try_collect::<Vec<_>>().await.expect("no error"));
    turns!(runner, pair, "map_reduce_1000", 50,
        |cx| map_reduce(cx, AT_ONCE, 0..ITEMS,
            async |n| Ok::<_, Error>(n + our_way(cx).await?), 0, |a, b| a + b).await?,
        FUTURES => stream::iter(0..ITEMS)
            .map(|n| async move { Ok::<_, Error>(n + gives_way().await?) })
            .buffered(AT_ONCE)
            .try_fold(0, |a, b| async move { Ok(a + b) }).await.expect("no error"));
}
