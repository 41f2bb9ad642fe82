//! What a pool promises.
#![cfg(not(loom))]

use asupersync_core::{Cancelled, Cx, Error};
use asupersync_sync::{Maker, Pool, PoolError, PoolOptions, Pooled};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Numbers its objects, and counts those that are alive.
#[derive(Default)]
struct Numbers {
    made: AtomicUsize,
    alive: Arc<AtomicUsize>,
    most: AtomicUsize,
    /// Nothing passes its check.
    unfit: AtomicBool,
    /// Making fails.
    down: AtomicBool,
    /// Making and checking take this long.
    takes: Duration,
}

#[derive(Debug)]
struct Number(usize, Arc<AtomicUsize>);

impl Drop for Number {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, PartialEq)]
enum NoNumber {
    Down,
    Cancelled(Cancelled),
}

impl From<Cancelled> for NoNumber {
    fn from(cancelled: Cancelled) -> NoNumber {
        NoNumber::Cancelled(cancelled)
    }
}

impl From<NoNumber> for Error {
    fn from(error: NoNumber) -> Error {
        match error {
            NoNumber::Down => Error::msg("down"),
            NoNumber::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

impl Maker for Numbers {
    type Object = Number;
    type Error = NoNumber;

    async fn create<'a>(&'a self, cx: &'a Cx) -> Result<Number, NoNumber> {
        cx.sleep(self.takes).await?;
        if self.down.load(Ordering::SeqCst) {
            return Err(NoNumber::Down);
        }
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(alive, Ordering::SeqCst);
        Ok(Number(self.made.fetch_add(1, Ordering::SeqCst), self.alive.clone()))
    }

    async fn check<'a>(&'a self, cx: &'a Cx, _: &'a mut Number) -> bool {
        cx.sleep(self.takes).await.is_ok() && !self.unfit.load(Ordering::SeqCst)
    }
}

fn pool(options: PoolOptions) -> Pool<Numbers> {
    Pool::new(Numbers { takes: MS, ..Numbers::default() }, options)
}

#[test]
fn the_object_used_last_is_used_first_and_never_more_exist_than_allowed() {
    asupersync_lab::check(0..50, async |cx: &Cx| {
        let pool = Arc::new(pool(PoolOptions::new(2)));
        let shared = pool.clone();
        cx.region(async |scope| {
            for _ in 0..6 {
                let pool = shared.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    let object = pool.acquire(cx).await?;
                    cx.sleep(MS).await?;
                    drop(object);
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        assert_eq!(pool.maker().most.load(Ordering::SeqCst), 2);
        assert_eq!((pool.idle(), pool.in_use(), pool.waiting()), (2, 0, 0));
        let (first, second) = (pool.acquire(cx).await?, pool.acquire(cx).await?);
        let number = second.0;
        drop(first);
        drop(second);
        assert_eq!(pool.acquire(cx).await?.0, number);
        Ok::<_, Error>(())
    });
}

#[test]
fn what_is_old_idle_for_long_or_unfit_is_dropped_and_another_made() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let options = PoolOptions::new(2).max_lifetime(100 * MS).idle_timeout(20 * MS);
        let pool = pool(options);
        let number = async |pause: Duration| {
            cx.sleep(pause).await?;
            Ok::<_, Error>(pool.acquire(cx).await?.0)
        };
        assert_eq!(number(MS).await?, 0);
        assert_eq!(number(19 * MS).await?, 0, "used a moment before its time");
        assert_eq!(number(20 * MS).await?, 1, "idle for too long");
        for _ in 0..5 {
            assert_eq!(number(17 * MS).await?, 1);
        }
        assert_eq!(number(17 * MS).await?, 2, "too old");
        pool.maker().unfit.store(true, Ordering::SeqCst);
        assert_eq!(number(MS).await?, 3, "unfit");
        assert_eq!(pool.reap(cx), 0);
        cx.sleep(20 * MS).await?;
        assert_eq!((pool.reap(cx), pool.idle()), (1, 0));
        assert_eq!(pool.maker().alive.load(Ordering::SeqCst), 0);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_time_limit_covers_the_line_and_the_making() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let waits = Pool::new(Numbers::default(), PoolOptions::new(1).acquire_timeout(5 * MS));
        let out = waits.acquire(cx).await?;
        let before = cx.now();
        assert_eq!(waits.acquire(cx).await.unwrap_err(), PoolError::TimedOut);
        assert_eq!(cx.now().saturating_since(before), 5 * MS);
        drop(out);
        assert_eq!((waits.in_use(), waits.waiting()), (0, 0));

        let slow = Numbers { takes: 6 * MS, ..Numbers::default() };
        let slow = Pool::new(slow, PoolOptions::new(1).acquire_timeout(5 * MS));
        assert_eq!(slow.acquire(cx).await.unwrap_err(), PoolError::TimedOut);
        assert_eq!(slow.in_use(), 0);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_maker_that_fails_says_so_and_its_place_goes_to_the_next() {
    asupersync_lab::check(0..20, async |cx: &Cx| {
        let pool = pool(PoolOptions::new(1));
        pool.maker().down.store(true, Ordering::SeqCst);
        assert_eq!(pool.acquire(cx).await.unwrap_err(), PoolError::Create(NoNumber::Down));
        pool.maker().down.store(false, Ordering::SeqCst);
        assert!(pool.try_acquire(cx).is_none(), "there is none, and making one would wait");
        let object = pool.acquire(cx).await?;
        let object = Pooled::take(object);
        assert_eq!((pool.idle(), pool.in_use()), (0, 0));
        let other = pool.acquire(cx).await?;
        assert_ne!(object.0, other.0);
        Pooled::discard(other);
        assert_eq!(pool.idle(), 0);
        Ok::<_, Error>(())
    });
}

#[test]
fn cancelled_anywhere_it_loses_no_place_and_keeps_no_object() {
    asupersync_lab::cancel_everywhere(3, async |cx: &Cx| {
        let pool = Arc::new(pool(PoolOptions::new(1)));
        let shared = pool.clone();
        let outcome = cx
            .region(async |scope| {
                for _ in 0..3 {
                    let pool = shared.clone();
                    let _ = scope.spawn(async move |cx: &Cx| {
                        for _ in 0..2 {
                            let _object = pool.acquire(cx).await?;
                            cx.sleep(MS).await?;
                        }
                        Ok::<_, Error>(())
                    });
                }
                Ok::<_, Error>(())
            })
            .await;
        assert_eq!((pool.in_use(), pool.waiting()), (0, 0));
        assert_eq!(pool.maker().alive.load(Ordering::SeqCst), pool.idle());
        outcome.into_result()?;
        Ok::<_, Error>(())
    });
}

#[test]
fn an_object_whose_user_panics_is_not_used_again() {
    asupersync_lab::check(0..3, async |cx: &Cx| {
        let pool = pool(PoolOptions::new(1));
        let object = pool.acquire(cx).await?;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _object = object;
            panic!("in mid-sentence");
        }));
        assert!(panicked.is_err());
        assert_eq!((pool.idle(), pool.in_use()), (0, 0));
        assert_eq!(pool.maker().alive.load(Ordering::SeqCst), 0);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_closed_pool_sends_its_line_home_and_takes_nothing_back() {
    asupersync_lab::check(0..20, async |cx: &Cx| {
        let pool = Arc::new(pool(PoolOptions::new(1)));
        let out = pool.acquire(cx).await?;
        let shared = pool.clone();
        let mut waiter = cx.spawn(async move |cx: &Cx| {
            Ok::<_, Error>(matches!(shared.acquire(cx).await, Err(PoolError::Closed)))
        });
        cx.sleep(MS).await?;
        pool.close();
        assert_eq!(waiter.join(cx).await?.ok(), Some(true));
        drop(out);
        assert_eq!((pool.idle(), pool.maker().alive.load(Ordering::SeqCst)), (0, 0));
        Ok::<_, Error>(())
    });
}
