//! Several futures at once, one after the other, again.

use crate::probe::{Entry, MS, operation};
use asupersync_combinator::{
    Bulkhead, CircuitBreaker, Jitter, RateLimiter, RetryPolicy, bracket, first_ok, hedge, join,
    join_all, map_reduce, pipeline, quorum, race, race_all, retry, retry_if, timeout, timeout_at,
    try_join, try_join_all,
};
use asupersync_core::{Cx, Error, TaskCx};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    together(&mut list);
    one_of(&mut list);
    guarded(&mut list);
    in_turn(&mut list);
    limited(&mut list);
    list
}

/// Counts those who are at work; what a combinator leaves behind shows here.
#[derive(Clone, Default)]
struct Work(Arc<AtomicUsize>);

struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Work {
    /// Works for so many milliseconds; told to stop, cleans up for one poll.
    async fn on(&self, cx: &Cx, n: u64) -> Result<u64, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let _here = AtWork(self.0.clone());
        if let Err(cancelled) = cx.sleep(std::time::Duration::from_millis(n)).await {
            let _ = cx.masked(cx.yield_now()).await;
            return Err(cancelled.into());
        }
        Ok(n)
    }

    async fn fail(&self, cx: &Cx, n: u64) -> Result<u64, Error> {
        self.on(cx, n).await?;
        Err(Error::msg("refused"))
    }

    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// An operation over `work`, whose answer must be `$wanted` unless it was interrupted, and of which
/// nothing may be left when it is gone.
macro_rules! leaves_nothing {
    ($list:ident, $name:literal, $situation:literal, $bound:literal, |$cx:ident, $work:ident| $run:expr, |$got:ident| $wanted:expr) => {
        operation!($list, $name, $situation, $bound, |cx, case| {
            let shared = Work::default();
            let got = {
                let ($cx, $work) = (cx, &shared);
                case.subject(cx, $run).await
            };
            assert!(shared.is_over(), "something is left of it");
            match got {
                Some($got) => assert!(case.struck() || $wanted),
                None => assert!(case.struck()),
            }
        });
    };
}

fn together(list: &mut Vec<Entry>) {
    leaves_nothing!(
        list,
        "combinator::join",
        "of two",
        2,
        |cx, work| join(cx, (work.on(cx, 1), work.on(cx, 2))),
        |got| matches!(got, Ok((Ok(1), Ok(2))))
    );
    leaves_nothing!(
        list,
        "combinator::join",
        "of four",
        2,
        |cx, work| join(cx, (work.on(cx, 1), work.on(cx, 2), work.fail(cx, 1), work.on(cx, 3))),
        |got| matches!(got, Ok((Ok(1), Ok(2), Err(_), Ok(3))))
    );
    leaves_nothing!(
        list,
        "combinator::join_all",
        "of three",
        2,
        |cx, work| join_all(cx, (1..4).map(|n| work.on(cx, n))),
        |got| matches!(got, Ok(all) if all.len() == 3)
    );
    leaves_nothing!(
        list,
        "combinator::try_join",
        "both succeed",
        2,
        |cx, work| try_join(cx, (work.on(cx, 1), work.on(cx, 2))),
        |got| matches!(got, Ok((1, 2)))
    );
    leaves_nothing!(
        list,
        "combinator::try_join",
        "one fails",
        2,
        |cx, work| try_join(cx, (work.fail(cx, 1), work.on(cx, 9))),
        |got| got.is_err()
    );
    leaves_nothing!(
        list,
        "combinator::try_join_all",
        "all succeed",
        2,
        |cx, work| try_join_all(cx, (1..4).map(|n| work.on(cx, n))),
        |got| matches!(got, Ok(all) if all == [1, 2, 3])
    );
    leaves_nothing!(
        list,
        "combinator::try_join_all",
        "one fails",
        2,
        |cx, work| try_join_all(
            cx,
            (1..4).map(|n| async move {
                if n == 2 { work.fail(cx, n).await } else { work.on(cx, n).await }
            })
        ),
        |got| got.is_err()
    );
    leaves_nothing!(
        list,
        "combinator::map_reduce::map_reduce",
        "two at a time",
        2,
        |cx, work| map_reduce(cx, 2, 1..5_u64, async |n| work.on(cx, n).await, 0, |a, b| a + b),
        |got| matches!(got, Ok(10))
    );
}

fn one_of(list: &mut Vec<Entry>) {
    leaves_nothing!(
        list,
        "combinator::race",
        "of two",
        2,
        |cx, work| race(cx, (work.on(cx, 1), work.on(cx, 9))),
        |got| got.is_ok()
    );
    leaves_nothing!(
        list,
        "combinator::race",
        "of three at once",
        2,
        |cx, work| race(cx, (work.on(cx, 1), work.on(cx, 1), work.on(cx, 1))),
        |got| got.is_ok()
    );
    leaves_nothing!(
        list,
        "combinator::race_all",
        "of three",
        2,
        |cx, work| race_all(cx, (1..4).map(|n| work.on(cx, n))),
        |got| matches!(got, Ok(Ok(1)))
    );
    leaves_nothing!(
        list,
        "combinator::quorum::quorum",
        "two of four",
        2,
        |cx, work| quorum(
            cx,
            2,
            (1..5).map(|n| async move {
                if n == 1 { work.fail(cx, n).await } else { work.on(cx, n).await }
            })
        ),
        |got| matches!(got, Ok(two) if two == [2, 3])
    );
    leaves_nothing!(
        list,
        "combinator::quorum::quorum",
        "impossible",
        2,
        |cx, work| quorum(cx, 3, (1..5).map(|n| work.fail(cx, n))),
        |got| got.is_err()
    );
    leaves_nothing!(
        list,
        "combinator::first_ok::first_ok",
        "the second succeeds",
        2,
        |cx, work| first_ok(
            cx,
            (1..4).map(|n| async move {
                if n == 1 { work.fail(cx, n).await } else { work.on(cx, n).await }
            })
        ),
        |got| matches!(got, Ok(2))
    );
    leaves_nothing!(
        list,
        "combinator::hedge::hedge",
        "the backup wins",
        2,
        |cx, work| hedge(cx, 2 * MS, work.on(cx, 9), || work.on(cx, 3)),
        |got| matches!(got, Ok(3))
    );
    leaves_nothing!(
        list,
        "combinator::hedge::hedge",
        "the first is in time",
        2,
        |cx, work| hedge(cx, 2 * MS, work.on(cx, 1), || work.on(cx, 3)),
        |got| matches!(got, Ok(1))
    );
}

#[derive(Clone, Default)]
struct Books {
    acquired: Arc<AtomicUsize>,
    released: Arc<AtomicUsize>,
}

impl Books {
    async fn acquire(&self, cx: &TaskCx) -> Result<Books, Error> {
        cx.yield_now().await?;
        self.acquired.fetch_add(1, Ordering::Relaxed);
        Ok(self.clone())
    }
}

async fn release(cx: &Cx, books: Books) -> Result<(), Error> {
    cx.yield_now().await?;
    books.released.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

fn guarded(list: &mut Vec<Entry>) {
    operation!(list, "combinator::bracket::bracket", "a body that waits", 3, |cx, case| {
        let books = Books::default();
        let body = async |_: &mut Books| {
            cx.sleep(MS).await?;
            Ok::<_, Error>(())
        };
        drop(case.subject(cx, bracket(cx, books.acquire(cx), body, release)).await);
        cx.sleep(5 * MS).await?;
        let (acquired, released) =
            (books.acquired.load(Ordering::Relaxed), books.released.load(Ordering::Relaxed));
        assert_eq!(acquired, released, "released exactly as often as acquired");
        assert!(acquired == 1 || case.struck());
    });
    leaves_nothing!(
        list,
        "combinator::timeout::timeout",
        "in time",
        2,
        |cx, work| timeout(cx, 5 * MS, work.on(cx, 1)),
        |got| matches!(got, Ok(Ok(1)))
    );
    leaves_nothing!(
        list,
        "combinator::timeout::timeout",
        "too late",
        2,
        |cx, work| timeout(cx, MS, work.on(cx, 5)),
        |got| got.is_err()
    );
    leaves_nothing!(
        list,
        "combinator::timeout::timeout",
        "a foreign future",
        2,
        |cx, work| {
            let _ = work;
            timeout(cx, MS, std::future::pending::<()>())
        },
        |got| got.is_err()
    );
    leaves_nothing!(
        list,
        "combinator::timeout::timeout_at",
        "too late",
        2,
        |cx, work| timeout_at(cx, cx.now() + MS, work.on(cx, 5)),
        |got| got.is_err()
    );
}

fn in_turn(list: &mut Vec<Entry>) {
    const POLICY: RetryPolicy = RetryPolicy::new(3).first_delay(MS).jitter(Jitter::None);
    leaves_nothing!(
        list,
        "combinator::retry::retry",
        "the third attempt succeeds",
        2,
        |cx, work| retry(cx, POLICY, async |attempt| {
            if attempt < 3 { work.fail(cx, 1).await } else { work.on(cx, 1).await }
        }),
        |got| matches!(got, Ok(1))
    );
    leaves_nothing!(
        list,
        "combinator::retry::retry_if",
        "the second error is final",
        2,
        |cx, work| {
            let mut seen = 0;
            retry_if(
                cx,
                POLICY,
                async |_| work.fail(cx, 1).await,
                move |_| {
                    seen += 1;
                    seen < 2
                },
            )
        },
        |got| got.is_err()
    );
    leaves_nothing!(
        list,
        "combinator::pipeline::Pipeline::collect",
        "two stages",
        2,
        |cx, work| pipeline(cx, 0..4)
            .stage(2, async |n: u64| work.on(cx, 1 + n % 2).await)
            .stage(1, async |n: u64| work.on(cx, n).await)
            .collect(),
        |got| matches!(got, Ok(all) if all.len() == 4)
    );
    leaves_nothing!(
        list,
        "combinator::pipeline::Pipeline::for_each",
        "one stage",
        2,
        |cx, work| pipeline(cx, 0..4)
            .stage(2, async |n: u64| work.on(cx, n).await)
            .for_each(|_| ()),
        |got| got.is_ok()
    );
}

fn limited(list: &mut Vec<Entry>) {
    operation!(list, "combinator::bulkhead::Bulkhead::run", "behind one at work", 2, |cx, case| {
        let (bulkhead, work) = (Arc::new(Bulkhead::new(1, 3)), Work::default());
        let at_work = || {
            let (bulkhead, work) = (bulkhead.clone(), work.clone());
            async move |cx: &Cx| Ok::<_, Error>(bulkhead.run(cx, work.on(cx, 2)).await??)
        };
        let (mut first, mut behind) = (cx.spawn(at_work()), cx.spawn(at_work()));
        while bulkhead.free() == 4 {
            cx.sleep(MS / 10).await?;
        }
        let _ = case.subject(cx, bulkhead.run(cx, work.on(cx, 1))).await;
        first.join(cx).await?.into_result()?;
        behind.join(cx).await?.into_result()?;
        assert!(work.is_over() && bulkhead.free() == 4);
    });
    operation!(
        list,
        "combinator::rate_limit::RateLimiter::acquire",
        "behind others",
        1,
        |cx, case| {
            let one = NonZeroU32::MIN;
            let limiter = Arc::new(RateLimiter::new(one, MS, one));
            let other = || {
                let limiter = limiter.clone();
                async move |cx: &Cx| Ok::<_, Error>(limiter.acquire(cx, 1).await?)
            };
            let (mut first, mut behind) = (cx.spawn(other()), cx.spawn(other()));
            let _ = case.subject(cx, limiter.acquire(cx, 1)).await;
            first.join(cx).await?.into_result()?;
            behind.join(cx).await?.into_result()?;
            cx.sleep(2 * MS).await?;
            assert!(
                limiter.try_acquire(cx, 1) && !limiter.try_acquire(cx, 1),
                "one token, no more"
            );
        }
    );
    macro_rules! probing {
        ($name:literal, |$breaker:ident, $cx:ident, $probe:ident| $call:expr) => {
            operation!(list, $name, "the one probe of a half-open breaker", 2, |cx, case| {
                let (breaker, work) = (CircuitBreaker::new(1, MS, 1), Work::default());
                assert!(breaker.call(cx, async { Err::<(), _>("down") }).await.is_err());
                cx.sleep(MS).await?;
                let $probe = work.on(cx, 1);
                let ($breaker, $cx) = (&breaker, cx);
                let _ = case.subject(cx, $call).await;
                assert!(work.is_over());
                // An interrupted probe says nothing: after another pause the next may try.
                cx.sleep(2 * MS).await?;
                let next = breaker.call(cx, async { Ok::<_, Error>(()) }).await;
                assert!(next.is_ok(), "{next:?}");
            });
        };
    }
    probing!("combinator::circuit_breaker::CircuitBreaker::call", |breaker, cx, probe| breaker
        .call(cx, probe));
    probing!("combinator::circuit_breaker::CircuitBreaker::call_if", |breaker, cx, probe| breaker
        .call_if(cx, probe, |_| true));
}
