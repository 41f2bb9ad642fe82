//! Wakers that panic, call back or are dropped at the worst moment: every channel and every lock goes on
//! serving the others.
#![cfg(not(loom))]
#![expect(clippy::disallowed_methods, reason = "contention takes threads")]

#[path = "../../sync/tests/support/host.rs"]
mod host;

use asupersync_channel::{broadcast, mpsc, oneshot, session, watch};
use asupersync_core::{Cx, Error};
use asupersync_sync::{
    Barrier, Maker, Mutex, Notify, OnceLock, Pool, PoolOptions, RwLock, Semaphore,
};
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, once, poll, poll_with};
use std::sync::Arc;
use std::task::{Poll, Waker};

type Wait = dyn for<'a> Fn(&'a Cx) -> Boxed<'a, ()> + Send + Sync;

/// A primitive on which somebody waits.
struct Fixture {
    /// A waiter that ends when it was served, and then lets the next be served.
    wait: Box<Wait>,
    /// Serves at least one waiter, as often as it is called.
    event: Arc<dyn Fn() + Send + Sync>,
    /// How many can wait at a time.
    waiters: usize,
}

fn fixture(
    waiters: usize,
    wait: impl for<'a> Fn(&'a Cx) -> Boxed<'a, ()> + Send + Sync + 'static,
    event: impl Fn() + Send + Sync + 'static,
) -> Fixture {
    Fixture { wait: Box::new(wait), event: Arc::new(event), waiters }
}

/// Tells the compiler for which lifetimes a closure is meant.
fn waits<F: for<'a> Fn(&'a Cx) -> Boxed<'a, ()>>(wait: F) -> F {
    wait
}

/// Something to be taken out once.
type Once<T> = Arc<std::sync::Mutex<Option<T>>>;

fn keep<T>(value: T) -> Once<T> {
    Arc::new(std::sync::Mutex::new(Some(value)))
}

fn take<T>(once: &Once<T>) -> Option<T> {
    once.lock().unwrap().take()
}

type Case = (&'static str, fn(&Cx) -> Fixture);

const CASES: &[Case] = &[
    ("Mutex::lock", |cx| {
        let mutex = Arc::new(Mutex::new(()));
        let held = keep(now(mutex.lock_owned(cx)).unwrap());
        let lock = mutex.clone();
        let wait = waits(move |cx| {
            let lock = lock.clone();
            Box::pin(async move { drop(lock.lock(cx).await.unwrap()) })
        });
        fixture(3, wait, move || {
            drop(take(&held));
            let _ = format!("{mutex:?}");
        })
    }),
    ("RwLock::read", |cx| {
        let lock = Arc::new(RwLock::new(()));
        let held = keep(now(lock.write_owned(cx)).unwrap());
        let shared = lock.clone();
        let wait = waits(move |cx| {
            let lock = shared.clone();
            Box::pin(async move { drop(lock.read(cx).await.unwrap()) })
        });
        fixture(3, wait, move || {
            drop(take(&held));
            let _ = lock.waiting();
        })
    }),
    ("RwLock::write", |cx| {
        let lock = Arc::new(RwLock::new(()));
        let held = keep(now(lock.read_owned(cx)).unwrap());
        let shared = lock.clone();
        let wait = waits(move |cx| {
            let lock = shared.clone();
            Box::pin(async move { drop(lock.write(cx).await.unwrap()) })
        });
        fixture(3, wait, move || {
            drop(take(&held));
            let _ = lock.waiting();
        })
    }),
    ("Semaphore::acquire", |_| {
        let semaphore = Arc::new(Semaphore::new(0));
        let shared = semaphore.clone();
        let wait = waits(move |cx| {
            let semaphore = shared.clone();
            Box::pin(async move { drop(semaphore.acquire(cx).await.unwrap()) })
        });
        fixture(3, wait, move || semaphore.add_permits(1).unwrap())
    }),
    ("Notify::notified", |_| {
        let notify = Arc::new(Notify::new());
        let shared = notify.clone();
        let wait = waits(move |cx| {
            let notify = shared.clone();
            Box::pin(async move { notify.notified(cx).await.unwrap() })
        });
        fixture(3, wait, move || notify.notify_one())
    }),
    ("Notify::notified, all at once", |_| {
        let notify = Arc::new(Notify::new());
        let shared = notify.clone();
        let wait = waits(move |cx| {
            let notify = shared.clone();
            Box::pin(async move { notify.notified(cx).await.unwrap() })
        });
        fixture(3, wait, move || notify.notify_waiters())
    }),
    ("Barrier::wait", |_| {
        let barrier = Arc::new(Barrier::new(2));
        let shared = barrier.clone();
        let wait = waits(move |cx| {
            let barrier = shared.clone();
            Box::pin(async move { assert!(!barrier.wait(cx).await.unwrap(), "it came first") })
        });
        fixture(1, wait, move || {
            let barrier = barrier.clone();
            in_task(move |cx, _| _ = once(barrier.wait(cx)));
        })
    }),
    ("OnceLock::get_or_try_init, the first succeeds", |_| once_lock(Ok)),
    ("OnceLock::get_or_try_init, all fail", |_| once_lock(|()| Err(Error::msg("down")))),
    ("session::Server::next", |_| {
        let (client, server) = session::channel::<(), ()>(8);
        let server = keep(server);
        let wait = waits(move |cx| {
            let server = server.clone();
            Box::pin(async move {
                let mut own = Lent::of(&server);
                let ((), reply) = own.get().next(cx).await.unwrap();
                reply.decline();
            })
        });
        fixture(1, wait, move || {
            let client = client.clone();
            in_task(move |cx, _| {
                let Ok(permit) = now(client.request(cx)) else { return };
                drop(permit.send(()));
            });
        })
    }),
    ("session::Client::request", |cx| {
        let (client, server) = session::channel::<(), ()>(1);
        drop(now(client.request(cx)).unwrap().send(()).unwrap());
        let server = keep(server);
        let wait = waits(move |cx| {
            let client = client.clone();
            Box::pin(async move { drop(client.request(cx).await.unwrap().send(())) })
        });
        fixture(3, wait, move || {
            let server = server.clone();
            in_task(move |cx, _| {
                // Called back from a waker that this very call woke: then it is being taken already.
                let Some(mut own) = take(&server) else { return };
                if let Poll::Ready(Ok(((), reply))) = once(own.next(cx)) {
                    reply.decline();
                }
                *server.lock().unwrap() = Some(own);
            });
        })
    }),
    ("session::Pending::recv, answered", |cx| {
        let (client, mut server) = session::channel::<(), ()>(1);
        let pending = keep(now(client.request(cx)).unwrap().send(()).unwrap());
        let reply = keep(now(server.next(cx)).unwrap().1);
        let wait = waits(move |cx| {
            let pending = pending.clone();
            Box::pin(async move {
                let mut own = Lent::of(&pending);
                own.get().recv(cx).await.unwrap();
            })
        });
        fixture(1, wait, move || {
            if let Some(reply) = take(&reply) {
                reply.send(()).unwrap();
            }
        })
    }),
    ("session::Pending::recv, declined", |cx| {
        let (client, mut server) = session::channel::<(), ()>(1);
        let pending = keep(now(client.request(cx)).unwrap().send(()).unwrap());
        let reply = keep(now(server.next(cx)).unwrap().1);
        let wait = waits(move |cx| {
            let pending = pending.clone();
            Box::pin(async move {
                let mut own = Lent::of(&pending);
                own.get().recv(cx).await.unwrap_err();
            })
        });
        fixture(1, wait, move || {
            if let Some(reply) = take(&reply) {
                reply.decline();
            }
        })
    }),
    ("mpsc::reserve", |_| {
        let (tx, rx) = mpsc::channel(1);
        tx.try_send(()).unwrap();
        let rx = std::sync::Mutex::new(rx);
        let wait = waits(move |cx| {
            let tx = tx.clone();
            Box::pin(async move { assert!(tx.reserve(cx).await.unwrap().send(()).is_queued()) })
        });
        fixture(3, wait, move || {
            // Called back from a waker that this very call woke: then it is being received already.
            if let Ok(mut rx) = rx.try_lock() {
                let _ = rx.try_recv();
            }
        })
    }),
    ("mpsc::recv", |_| {
        let (tx, rx) = mpsc::unbounded();
        let rx = keep(rx);
        let wait = waits(move |cx| {
            let rx = rx.clone();
            Box::pin(async move {
                let mut own = Lent::of(&rx);
                own.get().recv(cx).await.unwrap();
            })
        });
        fixture(1, wait, move || tx.try_send(()).unwrap())
    }),
    ("oneshot::recv", |_| {
        let (tx, rx) = oneshot::channel();
        let (tx, rx) = (keep(tx), keep(rx));
        let wait = waits(move |cx| {
            let rx = rx.clone();
            Box::pin(async move {
                let mut own = Lent::of(&rx);
                let _ = own.get().recv(cx).await;
            })
        });
        fixture(1, wait, move || {
            if let Some(tx) = take(&tx) {
                tx.send(()).unwrap();
            }
        })
    }),
    ("oneshot::closed", |_| {
        let (tx, rx) = oneshot::channel::<()>();
        let (tx, rx) = (keep(tx), keep(rx));
        let wait = waits(move |cx| {
            let tx = tx.clone();
            Box::pin(async move {
                let mut own = Lent::of(&tx);
                own.get().closed(cx).await.unwrap();
            })
        });
        fixture(1, wait, move || drop(take(&rx)))
    }),
    ("broadcast::recv", |_| {
        let (tx, _) = broadcast::channel(8);
        let sender = tx.clone();
        let wait = waits(move |cx| {
            let mut rx = tx.subscribe();
            Box::pin(async move { _ = rx.recv(cx).await })
        });
        fixture(3, wait, move || _ = sender.send(()))
    }),
    ("watch::changed", |_| {
        let (tx, rx) = watch::channel(());
        let wait = waits(move |cx| {
            let mut rx = rx.clone();
            rx.borrow_and_update();
            Box::pin(async move { _ = rx.changed(cx).await })
        });
        fixture(3, wait, move || _ = tx.send(()))
    }),
    ("watch::closed", |_| {
        let (tx, rx) = watch::channel(());
        let (tx, rx) = (Arc::new(tx), keep(rx));
        let wait = waits(move |cx| {
            let tx = tx.clone();
            Box::pin(async move { tx.closed(cx).await.unwrap() })
        });
        fixture(3, wait, move || drop(take(&rx)))
    }),
];

/// The first waiter runs its initialiser, the others wait for it; initialisers wait to be let on.
fn once_lock(end: fn(()) -> Result<(), Error>) -> Fixture {
    let (cell, gate) = (Arc::new(OnceLock::new()), Arc::new(Notify::new()));
    let (shared, waits_at) = (cell.clone(), gate.clone());
    let wait = waits(move |cx| {
        let (cell, gate) = (shared.clone(), waits_at.clone());
        Box::pin(async move {
            let made = cell.get_or_try_init(cx, async || end(gate.notified(cx).await?));
            assert_eq!(made.await.is_ok(), end(()).is_ok());
        })
    });
    fixture(3, wait, move || {
        gate.notify_one();
        let _ = format!("{cell:?}");
    })
}

/// An end that goes back when its waiter goes away.
struct Lent<T> {
    own: Option<T>,
    home: Once<T>,
}

impl<T> Lent<T> {
    fn of(home: &Once<T>) -> Lent<T> {
        Lent { own: take(home), home: home.clone() }
    }

    fn get(&mut self) -> &mut T {
        self.own.as_mut().expect("one waiter at a time")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        *self.home.lock().unwrap() = self.own.take();
    }
}

/// Puts one hostile waker among friendly ones, at each place in line; then all must be served.
fn check(hostile: fn(&Fixture) -> Waker) {
    for (name, make) in CASES {
        for place in 0..3 {
            in_task(move |cx, _| {
                let fixture = make(cx);
                if place >= fixture.waiters {
                    // What is owed in the fixture is not to be left open.
                    return (fixture.event)();
                }
                let mut waiters: Vec<Boxed<'_, ()>> =
                    (0..fixture.waiters).map(|_| (fixture.wait)(cx)).collect();
                let mut wakes: Vec<Option<Arc<Wakes>>> = Vec::new();
                for (at, waiter) in waiters.iter_mut().enumerate() {
                    let (counted, friendly) = Wakes::new();
                    let is_hostile = at == place;
                    let waker = if is_hostile { hostile(&fixture) } else { friendly };
                    assert!(poll_with(waiter, &waker).is_pending(), "{name}: served too early");
                    wakes.push((!is_hostile).then_some(counted));
                }
                let mut served = vec![false; waiters.len()];
                for _ in 0..2 * waiters.len() {
                    (fixture.event)();
                    for (at, waiter) in waiters.iter_mut().enumerate() {
                        // The hostile one may lose its own wake, and is looked at anyway.
                        let woken = wakes[at].as_ref().is_none_or(|wakes| wakes.count() > 0);
                        if woken && !served[at] {
                            served[at] = poll(waiter).is_ready();
                        }
                    }
                }
                assert!(
                    served.iter().all(|served| *served),
                    "{name}, hostile at {place}: {served:?}"
                );
            });
        }
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_served() {
    check(|_| on_wake(|| std::panic::resume_unwind(Box::new("hostile"))));
}

#[test]
fn a_waker_that_calls_back_finds_everything_unlocked() {
    check(|fixture| {
        let event = Arc::downgrade(&fixture.event);
        on_wake(move || {
            if let Some(event) = event.upgrade() {
                event();
            }
        })
    });
}

#[test]
fn a_waker_that_calls_back_when_it_is_dropped_finds_everything_unlocked() {
    check(|fixture| {
        let event = Arc::downgrade(&fixture.event);
        on_drop(move || {
            if let Some(event) = event.upgrade() {
                event();
            }
        })
    });
}

#[test]
fn a_waiter_that_leaves_with_a_hostile_waker_strands_nobody() {
    for (name, make) in CASES {
        in_task(move |cx, _| {
            let fixture = make(cx);
            if fixture.waiters < 2 {
                return (fixture.event)();
            }
            let event = Arc::downgrade(&fixture.event);
            let mut leaver = (fixture.wait)(cx);
            let waker = on_drop(move || {
                if let Some(event) = event.upgrade() {
                    event();
                }
            });
            assert!(poll_with(&mut leaver, &waker).is_pending());
            drop(waker);
            let mut behind = (fixture.wait)(cx);
            assert!(poll(&mut behind).is_pending());
            (fixture.event)();
            drop(leaver);
            (fixture.event)();
            assert!(poll(&mut behind).is_ready(), "{name}: stranded");
        });
    }
}

#[test]
fn waiters_that_come_and_go_on_another_thread_strand_nobody() {
    for (name, make) in CASES {
        in_task(move |cx, _| {
            let fixture = Arc::new(make(cx));
            if fixture.waiters < 2 {
                return (fixture.event)();
            }
            let shared = fixture.clone();
            let leaver = std::thread::spawn(move || {
                for _ in 0..200 {
                    let fixture = shared.clone();
                    in_task(move |cx, _| _ = poll(&mut (fixture.wait)(cx)));
                }
            });
            for _ in 0..200 {
                let mut waiter = (fixture.wait)(cx);
                let mut ready = poll(&mut waiter).is_ready();
                // Whoever is before it in line may be on its way out: a bounded wait, not a race.
                for _ in 0..1_000_000 {
                    if ready {
                        break;
                    }
                    (fixture.event)();
                    std::thread::yield_now();
                    ready = poll(&mut waiter).is_ready();
                }
                assert!(ready, "{name}: stranded");
            }
            leaver.join().unwrap();
        });
    }
}

type MakesWaker = fn(&Arc<Pool<Units>>) -> Waker;

struct Units;

impl Maker for Units {
    type Object = ();
    type Error = Error;

    async fn create<'a>(&'a self, _cx: &'a Cx) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn an_object_of_a_pool_goes_round_whatever_the_waiters_wakers_do() {
    let panics = |_: &Arc<Pool<Units>>| on_wake(|| panic!("hostile"));
    let calls_back = |pool: &Arc<Pool<Units>>| {
        let pool = pool.clone();
        on_wake(move || _ = format!("{pool:?}"))
    };
    let calls_back_dropped = |pool: &Arc<Pool<Units>>| {
        let pool = pool.clone();
        on_drop(move || _ = format!("{pool:?}"))
    };
    let wakers: [MakesWaker; 3] = [panics, calls_back, calls_back_dropped];
    for hostile in wakers {
        for (place, leaves) in [(0, false), (0, true), (1, false), (1, true)] {
            in_task(move |cx, _| {
                let pool = Arc::new(Pool::new(Units, PoolOptions::new(1)));
                let held = now(pool.acquire(cx)).unwrap();
                let mut waiters: Vec<Boxed<'_, _>> =
                    (0..3).map(|_| Box::pin(pool.acquire(cx)) as Boxed<'_, _>).collect();
                for (at, waiter) in waiters.iter_mut().enumerate() {
                    let waker = if at == place { hostile(&pool) } else { Waker::noop().clone() };
                    assert!(poll_with(waiter, &waker).is_pending());
                }
                drop(held);
                if leaves {
                    drop(waiters.remove(place));
                }
                for waiter in &mut waiters {
                    let Poll::Ready(Ok(object)) = poll(waiter) else { panic!("stranded") };
                    drop(object);
                }
                assert_eq!((pool.idle(), pool.in_use(), pool.waiting()), (1, 0, 0));
            });
        }
    }
}
