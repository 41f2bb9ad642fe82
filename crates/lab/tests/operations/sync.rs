//! Locks, permits, notifications, pools.

use crate::probe::{Entry, MS, operation, settle};
use asupersync_core::{Cancelled, Cx, Error};
use asupersync_sync::slots::Slots;
use asupersync_sync::{
    Barrier, ContendedMutex, Maker, Mutex, Notify, OnceLock, Pool, PoolOptions, RwLock, Semaphore,
};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Something that is taken and given back: one holds it, the subject waits, one stands behind; at the
/// end all is free. `behind` must get in before a latecomer does.
macro_rules! taken {
    ($list:ident, $name:literal, $new:expr, |$lock:ident, $cx:ident| $take:expr, $free:expr) => {
        operation!($list, $name, "behind a holder", 1, |cx, case| {
            let shared = Arc::new($new);
            let (started, turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let hold = |n: usize| {
                let ($lock, started, turns) = (shared.clone(), started.clone(), turns.clone());
                async move |$cx: &Cx| {
                    let _held = $take.await?;
                    started.fetch_add(1, Ordering::Relaxed);
                    $cx.sleep(MS).await?;
                    turns.fetch_add(n, Ordering::Relaxed);
                    Ok::<_, Error>(())
                }
            };
            let mut holder = cx.spawn(hold(1));
            while started.load(Ordering::Relaxed) == 0 {
                cx.sleep(MS / 10).await?;
            }
            let mut behind = cx.spawn(hold(10));
            let held = {
                let ($lock, $cx) = (&shared, cx);
                case.subject(cx, async { Ok::<_, Error>($take.await?) }).await
            };
            assert!(case.struck() || matches!(held, Some(Ok(_))));
            drop(held);
            holder.join(cx).await?.into_result()?;
            behind.join(cx).await?.into_result()?;
            assert_eq!(turns.load(Ordering::Relaxed), 11);
            let ($lock, $cx) = (&shared, cx);
            assert!($free, "not free at the end");
        });
        operation!($list, $name, "when free", 1, |cx, case| {
            let shared = Arc::new($new);
            let held = {
                let ($lock, $cx) = (&shared, cx);
                case.subject(cx, async { Ok::<_, Error>($take.await?) }).await
            };
            assert_eq!(
                case.struck(),
                !matches!(held, Some(Ok(_))),
                "a cancelled scope takes nothing"
            );
            drop(held);
            let ($lock, $cx) = (&shared, cx);
            assert!($free, "not free at the end");
        });
    };
}

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    locks(&mut list);
    permits(&mut list);
    meetings(&mut list);
    pools(&mut list);
    list
}

fn locks(list: &mut Vec<Entry>) {
    taken!(
        list,
        "sync::mutex::Mutex::lock",
        Mutex::new(()),
        |l, cx| l.lock(cx),
        l.waiting() == 0 && l.try_lock(cx).is_some()
    );
    taken!(
        list,
        "sync::mutex::Mutex::lock_owned",
        Mutex::new(()),
        |l, cx| l.lock_owned(cx),
        l.waiting() == 0 && l.try_lock(cx).is_some()
    );
    taken!(
        list,
        "sync::rwlock::RwLock::read",
        RwLock::new(()),
        |l, cx| l.read(cx),
        l.waiting() == 0 && l.try_write(cx).is_some()
    );
    taken!(
        list,
        "sync::rwlock::RwLock::write",
        RwLock::new(()),
        |l, cx| l.write(cx),
        l.waiting() == 0 && l.try_write(cx).is_some()
    );
    taken!(
        list,
        "sync::rwlock::RwLock::read_owned",
        RwLock::new(()),
        |l, cx| l.read_owned(cx),
        l.waiting() == 0 && l.try_write(cx).is_some()
    );
    taken!(
        list,
        "sync::rwlock::RwLock::write_owned",
        RwLock::new(()),
        |l, cx| l.write_owned(cx),
        l.waiting() == 0 && l.try_write(cx).is_some()
    );
    taken!(
        list,
        "sync::contended::ContendedMutex::lock",
        ContendedMutex::new(()),
        |l, cx| l.lock(cx),
        l.try_lock(cx).is_some()
    );
    for_readers_and_writers(list);
}

/// A writer in line, readers behind it: whoever leaves, the others get in.
fn for_readers_and_writers(list: &mut Vec<Entry>) {
    macro_rules! between {
        ($name:literal, $situation:literal, |$lock:ident, $cx:ident| $take:expr) => {
            operation!(list, $name, $situation, 1, |cx, case| {
                let shared = Arc::new(RwLock::new(0_u32));
                let first = shared.read(cx).await?;
                let lock = shared.clone();
                let mut writer = cx.spawn(async move |cx: &Cx| {
                    *lock.write(cx).await? += 1;
                    Ok::<_, Error>(())
                });
                let lock = shared.clone();
                let mut reader = cx.spawn(async move |cx: &Cx| {
                    drop(lock.read(cx).await?);
                    Ok::<_, Error>(())
                });
                // Both stand in line by now.
                cx.sleep(MS).await?;
                let lock = shared.clone();
                let leave = async move |cx: &Cx, first| {
                    cx.sleep(MS).await?;
                    drop(first);
                    drop(lock);
                    Ok::<_, Error>(())
                };
                let mut leaving = Box::pin(leave(cx, first));
                let mut subject = Box::pin(async {
                    let ($lock, $cx) = (&shared, cx);
                    case.subject(cx, async { Ok::<_, Error>($take.await?) }).await
                });
                // By hand, in one task: the holder must be able to leave whatever becomes of the other.
                let (mut left, mut ended) = (false, false);
                std::future::poll_fn(|context| {
                    left = left || leaving.as_mut().poll(context).is_ready();
                    if !ended {
                        // A guard is dropped as soon as it is had.
                        ended = subject.as_mut().poll(context).map(drop).is_ready();
                    }
                    if left && ended {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                })
                .await;
                drop((leaving, subject));
                writer.join(cx).await?.into_result()?;
                reader.join(cx).await?.into_result()?;
                assert_eq!((shared.waiting(), *shared.try_write(cx).expect("free")), (0, 1));
            });
        };
    }
    between!("sync::rwlock::RwLock::read", "among a writer and a reader", |l, cx| l.read(cx));
    between!("sync::rwlock::RwLock::write", "among a writer and a reader", |l, cx| l.write(cx));
    between!("sync::rwlock::RwLock::read_owned", "among a writer and a reader", |l, cx| {
        l.read_owned(cx)
    });
    between!("sync::rwlock::RwLock::write_owned", "among a writer and a reader", |l, cx| {
        l.write_owned(cx)
    });
}

fn permits(list: &mut Vec<Entry>) {
    taken!(
        list,
        "sync::semaphore::Semaphore::acquire",
        Semaphore::new(1),
        |s, cx| s.acquire(cx),
        {
            let _ = cx;
            s.waiting() == 0 && s.available_permits() == 1
        }
    );
    taken!(
        list,
        "sync::semaphore::Semaphore::acquire_many",
        Semaphore::new(3),
        |s, cx| s.acquire_many(cx, 2),
        {
            let _ = cx;
            s.waiting() == 0 && s.available_permits() == 3
        }
    );
    taken!(
        list,
        "sync::semaphore::Semaphore::acquire_owned",
        Semaphore::new(1),
        |s, cx| s.acquire_owned(cx),
        {
            let _ = cx;
            s.waiting() == 0 && s.available_permits() == 1
        }
    );
    taken!(
        list,
        "sync::semaphore::Semaphore::acquire_many_owned",
        Semaphore::new(3),
        |s, cx| s.acquire_many_owned(cx, 2),
        {
            let _ = cx;
            s.waiting() == 0 && s.available_permits() == 3
        }
    );

    operation!(
        list,
        "sync::semaphore::Semaphore::acquire_many",
        "greedy, at the head of the line",
        1,
        |cx, case| {
            let semaphore = Arc::new(Semaphore::new(2));
            let one = semaphore.acquire(cx).await?;
            let shared = semaphore.clone();
            let mut behind = cx.spawn(async move |cx: &Cx| {
                // Comes after the subject, wants less than it, and less than is free.
                cx.sleep(MS).await?;
                drop(shared.acquire(cx).await?);
                Ok::<_, Error>(())
            });
            let release = async { cx.sleep(2 * MS).await.map(|()| drop(one)) };
            let take = case.subject(cx, semaphore.acquire_many(cx, 2));
            let (_, taken) = asupersync_combinator::join(cx, (release, take)).await?;
            drop(taken);
            behind.join(cx).await?.into_result()?;
            assert_eq!((semaphore.available_permits(), semaphore.waiting()), (2, 0));
        }
    );
    operation!(
        list,
        "sync::semaphore::Semaphore::acquire",
        "as the semaphore closes",
        1,
        |cx, case| {
            let semaphore = Arc::new(Semaphore::new(0));
            let shared = semaphore.clone();
            let mut closing = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                shared.close();
                Ok::<_, Error>(())
            });
            let taken = case.subject(cx, semaphore.acquire(cx)).await;
            assert!(!matches!(taken, Some(Ok(_))));
            closing.join(cx).await?.into_result()?;
            assert_eq!((semaphore.available_permits(), semaphore.waiting()), (0, 0));
        }
    );
    operation!(list, "sync::slots::Slots::take_in_turn", "behind a holder", 1, |cx, case| {
        let slots = Arc::new(Slots::new("test", 0));
        let shared = slots.clone();
        let mut giver = cx.spawn(async move |cx: &Cx| {
            cx.yield_now().await?;
            shared.give(2);
            Ok::<_, Error>(())
        });
        let taking = slots.take_in_turn(cx, 2, "test", Location::caller());
        let taken = case.subject(cx, taking).await;
        giver.join(cx).await?.into_result()?;
        let taken = if matches!(taken, Some(Ok(()))) { 2 } else { 0 };
        assert_eq!((slots.free(), slots.waiting()), (2 - taken, 0));
    });
}

fn meetings(list: &mut Vec<Entry>) {
    operation!(list, "sync::barrier::Barrier::wait", "first of two", 1, |cx, case| {
        let barrier = Arc::new(Barrier::new(2));
        let shared = barrier.clone();
        let mut other = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(shared.wait(cx).await?));
        let met = case.subject(cx, barrier.wait(cx)).await;
        settle(cx).await?;
        if !other.is_finished() {
            assert!(case.struck() && barrier.waiting() == 1);
            barrier.wait(cx).await?;
        }
        let other = other.join(cx).await?.into_result()?;
        // Whoever arrived last says so; one that was interrupted after it had arrived cannot.
        assert!(!matches!(met, Some(Ok(true))) || !other);
        assert_eq!(barrier.waiting(), 0);
    });
    operation!(
        list,
        "sync::notify::Notify::notified",
        "one token for two waiters",
        1,
        |cx, case| {
            let notify = Arc::new(Notify::new());
            let shared = notify.clone();
            let mut behind =
                cx.spawn(async move |cx: &Cx| Ok::<_, Error>(shared.notified(cx).await?));
            let shared = notify.clone();
            let mut caller = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                shared.notify_one();
                Ok::<_, Error>(())
            });
            let heard = case.subject(cx, notify.notified(cx)).await;
            caller.join(cx).await?.into_result()?;
            settle(cx).await?;
            let subject = matches!(heard, Some(Ok(())));
            assert_ne!(subject, behind.is_finished(), "one token, one waiter");
            if !behind.is_finished() {
                notify.notify_one();
            }
            behind.join(cx).await?.into_result()?;
            assert_eq!(notify.waiting(), 0);
        }
    );
    operation!(list, "sync::notify::Notify::notified", "a call to all", 1, |cx, case| {
        let notify = Arc::new(Notify::new());
        let shared = notify.clone();
        let mut behind = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(shared.notified(cx).await?));
        let shared = notify.clone();
        let mut caller = cx.spawn(async move |cx: &Cx| {
            cx.sleep(MS).await?;
            shared.notify_waiters();
            Ok::<_, Error>(())
        });
        let _ = case.subject(cx, notify.notified(cx)).await;
        caller.join(cx).await?.into_result()?;
        behind.join(cx).await?.into_result()?;
        assert_eq!(notify.waiting(), 0);
        assert!(crate::probe::pending(notify.notified(cx)), "a call to all leaves no token");
    });
    for_initialisers(list);
}

fn for_initialisers(list: &mut Vec<Entry>) {
    operation!(
        list,
        "sync::once::OnceLock::get_or_try_init",
        "initialising, another behind",
        1,
        |cx, case| {
            let (cell, runs) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
            let (shared, started) = (cell.clone(), runs.clone());
            let mut behind = cx.spawn(async move |cx: &Cx| {
                let init = async || {
                    started.fetch_add(1, Ordering::Relaxed);
                    cx.sleep(MS).await.map(|()| 2)
                };
                Ok::<_, Error>(*shared.get_or_try_init(cx, init).await?)
            });
            let init = async || {
                runs.fetch_add(1, Ordering::Relaxed);
                cx.sleep(MS).await.map(|()| 1)
            };
            let got = case.subject(cx, cell.get_or_try_init(cx, init)).await;
            let got: Option<Result<i32, Cancelled>> = got.map(|got| got.copied());
            let other = behind.join(cx).await?.into_result()?;
            assert_eq!(cell.get(), Some(&other));
            if let Some(Ok(value)) = got {
                assert_eq!(value, other, "one value for all");
            }
            let runs = runs.load(Ordering::Relaxed);
            assert!(runs == 1 || (runs == 2 && case.struck()), "the next retries, nobody else");
        }
    );
    operation!(
        list,
        "sync::once::OnceLock::get_or_try_init",
        "behind one that panics",
        1,
        |cx, case| {
            let (cell, started) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
            let (shared, begun) = (cell.clone(), started.clone());
            let mut first = cx.spawn(async move |cx: &Cx| {
                let init = async || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    cx.sleep(MS).await?;
                    // As a panic, without its message on the screen.
                    std::panic::resume_unwind(Box::new("half-way"));
                };
                let attempt = shared.get_or_try_init(cx, init);
                let mut attempt = Box::pin(attempt);
                let caught = std::future::poll_fn(|context| {
                    let poll = std::panic::AssertUnwindSafe(|| attempt.as_mut().poll(context));
                    match std::panic::catch_unwind(poll) {
                        Ok(poll) => poll.map(|got: Result<&i32, Cancelled>| got.is_ok()),
                        Err(_) => std::task::Poll::Ready(false),
                    }
                });
                Ok::<_, Error>(caught.await)
            });
            while started.load(Ordering::Relaxed) == 0 {
                cx.sleep(MS / 10).await?;
            }
            let init = async || Ok::<_, Cancelled>(7);
            let got = case.subject(cx, cell.get_or_try_init(cx, init)).await;
            first.join(cx).await?.into_result()?;
            let got = matches!(got, Some(Ok(7)));
            assert!(got || case.struck());
            assert_eq!(
                cell.get_or_try_init(cx, async || Ok::<_, Cancelled>(8)).await?,
                &if got { 7 } else { 8 }
            );
        }
    );
}

/// Makes numbers, slowly.
#[derive(Default)]
struct Numbers(Arc<AtomicUsize>);

#[derive(Debug)]
struct Number(Arc<AtomicUsize>);

impl Drop for Number {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Maker for Numbers {
    type Object = Number;
    type Error = Error;

    async fn create<'a>(&'a self, cx: &'a Cx) -> Result<Number, Error> {
        cx.sleep(MS).await?;
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Number(self.0.clone()))
    }

    async fn check<'a>(&'a self, cx: &'a Cx, _: &'a mut Number) -> bool {
        cx.yield_now().await.is_ok()
    }
}

fn pools(list: &mut Vec<Entry>) {
    taken!(
        list,
        "sync::pool::Pool::acquire",
        Pool::new(Numbers::default(), PoolOptions::new(1)),
        |pool, cx| pool.acquire(cx),
        {
            let _ = cx;
            let alive = pool.maker().0.load(Ordering::Relaxed);
            pool.in_use() == 0 && pool.waiting() == 0 && pool.idle() == alive
        }
    );
    operation!(
        list,
        "sync::pool::Pool::acquire",
        "with a time limit, behind a holder",
        1,
        |cx, case| {
            let options = PoolOptions::new(1).acquire_timeout(3 * MS);
            let pool = Arc::new(Pool::new(Numbers::default(), options));
            let shared = pool.clone();
            let mut holder = cx.spawn(async move |cx: &Cx| {
                let _held = shared.acquire(cx).await?;
                Ok::<_, Error>(cx.sleep(MS).await?)
            });
            while pool.in_use() == 0 {
                cx.sleep(MS / 10).await?;
            }
            drop(case.subject(cx, pool.acquire(cx)).await);
            holder.join(cx).await?.into_result()?;
            assert_eq!((pool.in_use(), pool.waiting()), (0, 0));
            assert_eq!(pool.idle(), pool.maker().0.load(Ordering::Relaxed));
        }
    );
}
