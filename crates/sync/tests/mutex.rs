//! What a mutex promises.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_core::{Cancelled, TaskCx};
use asupersync_sync::{MappedMutexGuard, Mutex, MutexGuard, OwnedMutexGuard};
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, poll, poll_with};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

type Locking<'a, T> = Boxed<'a, Result<MutexGuard<'a, T>, Cancelled>>;

fn locking<'a, T>(mutex: &'a Mutex<T>, cx: &'a TaskCx) -> Locking<'a, T> {
    Box::pin(mutex.lock(cx))
}

#[test]
fn a_guard_excludes_others_until_it_is_dropped() {
    in_task(|cx, _| {
        let mutex = Mutex::new(1);
        let mut guard = now(mutex.lock(cx)).unwrap();
        *guard += 1;
        assert!(mutex.try_lock(cx).is_none());
        drop(guard);
        assert_eq!(*mutex.try_lock(cx).unwrap(), 2);
        assert_eq!(mutex.into_inner(), 2);
    });
}

#[test]
fn nobody_overtakes_a_waiter() {
    in_task(|cx, _| {
        let mutex = Mutex::new(());
        let guard = now(mutex.lock(cx)).unwrap();
        let mut first = locking(&mutex, cx);
        assert!(poll(&mut first).is_pending());
        drop(guard);
        assert!(mutex.try_lock(cx).is_none(), "the lock is the waiter's already");
        let mut late = locking(&mutex, cx);
        assert!(poll(&mut late).is_pending());
        assert!(poll(&mut first).is_ready());
    });
}

#[test]
fn a_waiter_that_goes_away_passes_the_lock_on() {
    in_task(|cx, _| {
        let mutex = Mutex::new(());
        let guard = now(mutex.lock(cx)).unwrap();
        let (mut first, mut second) = (locking(&mutex, cx), locking(&mutex, cx));
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut first).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        drop(guard);
        assert_eq!(wakes.count(), 0);
        drop(first);
        assert_eq!(wakes.count(), 1);
        assert!(poll(&mut second).is_ready());
    });
}

#[test]
fn a_waiter_that_goes_away_leaves_a_free_lock_free() {
    in_task(|cx, _| {
        let mutex = Mutex::new(());
        let guard = now(mutex.lock(cx)).unwrap();
        let mut only = locking(&mutex, cx);
        assert!(poll(&mut only).is_pending());
        drop(guard);
        drop(only);
        assert!(mutex.try_lock(cx).is_some());
    });
}

#[test]
fn a_cancelled_waiter_answers_in_one_poll_and_passes_the_lock_on() {
    in_task(|cx, cancel| {
        let mutex = Mutex::new(());
        let guard = now(mutex.lock(cx)).unwrap();
        let mut waiter = locking(&mutex, cx);
        assert!(poll(&mut waiter).is_pending());
        drop(guard);
        cancel();
        assert!(matches!(poll(&mut waiter), Poll::Ready(Err(_))), "cancel beats the grant");
        drop(waiter);
        assert!(mutex.try_lock(cx).is_some());
        assert!(now(mutex.lock(cx)).is_err(), "a cancelled scope locks nothing");
    });
}

#[test]
fn a_guard_of_a_part_keeps_the_whole_locked_and_hands_the_lock_on() {
    in_task(|cx, _| {
        let mutex = Mutex::new((1, [2, 3]));
        let guard = now(mutex.lock(cx)).unwrap();
        let mut waiter = locking(&mutex, cx);
        assert!(poll(&mut waiter).is_pending());
        let mut part = MutexGuard::map(guard, |pair| &mut pair.1);
        part[0] = 7;
        let part = MappedMutexGuard::map(part, |list| &mut list[0]);
        assert_eq!(*part, 7);
        assert!(poll(&mut waiter).is_pending());
        drop(part);
        let Poll::Ready(Ok(guard)) = poll(&mut waiter) else { panic!("not handed over") };
        let whole = MutexGuard::try_map(guard, |_| None::<&mut u8>).unwrap_err();
        assert_eq!(*whole, (1, [7, 3]));
        drop(whole);
        assert!(mutex.try_lock(cx).is_some());
    });
}

#[test]
fn a_projection_that_panics_unlocks_and_serves_the_line() {
    in_task(|cx, _| {
        let mutex = Mutex::new(1);
        let guard = now(mutex.lock(cx)).unwrap();
        let mut waiter = locking(&mutex, cx);
        assert!(poll(&mut waiter).is_pending());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(MutexGuard::map(guard, |_| -> &mut u8 { panic!("no such part") }));
        }));
        assert!(panicked.is_err() && poll(&mut waiter).is_ready());
    });
}

#[test]
fn an_owned_guard_outlives_every_other_reference_to_its_mutex() {
    in_task(|cx, _| {
        let mutex = Arc::new(Mutex::new(vec![1, 2]));
        let guard = now(mutex.lock_owned(cx)).unwrap();
        assert!(mutex.try_lock_owned(cx).is_none());
        let mut waiter: Boxed<'_, _> = Box::pin(mutex.lock_owned(cx));
        assert!(poll(&mut waiter).is_pending());
        drop(OwnedMutexGuard::map(guard, |list| &mut list[1]));
        assert!(mutex.try_lock(cx).is_none(), "nobody overtakes");
        let Poll::Ready(Ok(guard)) = poll(&mut waiter) else { panic!("not handed over") };
        drop(waiter);
        drop(mutex);
        let mut last = OwnedMutexGuard::map(guard, |list| &mut list[1]);
        *last += 1;
        assert_eq!(Arc::strong_count(OwnedMutexGuard::mutex(&last)), 2);
        assert_eq!(*last, 3);
    });
}

#[test]
fn a_panic_under_the_lock_unlocks_it() {
    in_task(|cx, _| {
        let mutex = Mutex::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut guard = mutex.try_lock(cx).unwrap();
            *guard = 2;
            panic!("half done");
        }));
        assert!(panicked.is_err());
        assert_eq!(*mutex.try_lock(cx).unwrap(), 2);
    });
}

#[test]
fn a_waker_that_panics_does_not_keep_the_lock_from_others() {
    in_task(|cx, _| {
        let mutex = Mutex::new(());
        let guard = now(mutex.lock(cx)).unwrap();
        let (mut hostile, mut second) = (locking(&mutex, cx), locking(&mutex, cx));
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut hostile, &on_wake(|| panic!("hostile"))).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        drop(guard);
        drop(hostile);
        assert_eq!(wakes.count(), 1);
        assert!(poll(&mut second).is_ready());
    });
}

#[test]
fn a_waker_may_call_back_into_the_lock() {
    in_task(|cx, _| {
        let mutex = Arc::new(Mutex::new(()));
        let calls = Arc::new(AtomicUsize::new(0));
        let back = {
            let (mutex, calls) = (mutex.clone(), calls.clone());
            move || {
                // Takes the line's lock: it would deadlock if it were held around the wake or drop.
                let _ = format!("{mutex:?}");
                in_task({
                    let mutex = mutex.clone();
                    move |cx, _| {
                        let mut late: Locking<'_, ()> = Box::pin(mutex.lock(cx));
                        let _ = poll(&mut late);
                    }
                });
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let guard = now(mutex.lock(cx)).unwrap();
        let (mut woken, mut left) = (locking(&mutex, cx), locking(&mutex, cx));
        assert!(poll_with(&mut woken, &on_wake(back.clone())).is_pending());
        assert!(poll_with(&mut left, &on_drop(back)).is_pending());
        drop(guard);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(poll_with(&mut left, std::task::Waker::noop()).is_pending());
        assert_eq!(calls.load(Ordering::SeqCst), 2, "the replaced waker was dropped unlocked");
        drop(left);
        drop(woken);
        assert!(mutex.try_lock(cx).is_some());
    });
}

#[derive(Clone, Debug)]
enum Operation {
    Start,
    Poll(usize),
    GoAway(usize),
    Unlock,
    TryLock,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Start),
        3 => (0..6_usize).prop_map(Operation::Poll),
        2 => (0..6_usize).prop_map(Operation::GoAway),
        3 => Just(Operation::Unlock),
        1 => Just(Operation::TryLock),
    ]
}

/// Whose the lock is, and who is next.
#[derive(Default)]
struct Model {
    holder: Option<u32>,
    line: VecDeque<u32>,
}

impl Model {
    fn unlock(&mut self) {
        self.holder = self.line.pop_front();
    }
}

fn behaves_like_the_model(operations: Vec<Operation>) {
    break_as_told();
    in_task(|cx, _| {
        let mutex = Mutex::new(0_u32);
        let mut model = Model::default();
        let mut waiters: Vec<(u32, Locking<'_, u32>, Arc<Wakes>)> = Vec::new();
        let mut guard: Option<(u32, MutexGuard<'_, u32>)> = None;
        let mut next = 0;
        for operation in operations {
            match operation {
                Operation::Start => {
                    let (id, mut future) = (next, locking(&mutex, cx));
                    next += 1;
                    let (wakes, waker) = Wakes::new();
                    if model.holder.is_none() {
                        model.holder = Some(id);
                    } else {
                        model.line.push_back(id);
                    }
                    match poll_with(&mut future, &waker) {
                        Poll::Ready(got) => {
                            assert_eq!(model.holder, Some(id), "locked out of turn");
                            guard = Some((id, got.unwrap()));
                        }
                        Poll::Pending => {
                            assert_ne!(model.holder, Some(id), "waits for a free lock");
                            waiters.push((id, future, wakes));
                        }
                    }
                }
                Operation::Poll(n) if n < waiters.len() => {
                    let id = waiters[n].0;
                    let waker = Arc::clone(&waiters[n].2).into();
                    match poll_with(&mut waiters[n].1, &waker) {
                        Poll::Ready(got) => {
                            assert_eq!(model.holder, Some(id), "locked out of turn");
                            assert!(guard.is_none());
                            guard = Some((id, got.unwrap()));
                            drop(waiters.remove(n));
                        }
                        Poll::Pending => assert_ne!(model.holder, Some(id), "missed its grant"),
                    }
                }
                Operation::GoAway(n) if n < waiters.len() => {
                    let (id, future, _) = waiters.remove(n);
                    drop(future);
                    if model.holder == Some(id) {
                        model.unlock();
                    }
                    model.line.retain(|other| *other != id);
                }
                Operation::Unlock => {
                    if let Some((id, mut held)) = guard.take() {
                        assert_eq!(model.holder, Some(id));
                        *held += 1;
                        drop(held);
                        model.unlock();
                    }
                }
                Operation::TryLock => {
                    let got = mutex.try_lock(cx).is_some();
                    assert_eq!(got, model.holder.is_none());
                }
                Operation::Poll(_) | Operation::GoAway(_) => {}
            }
            for (id, _, wakes) in &waiters {
                assert_eq!(
                    wakes.count() > 0,
                    model.holder == Some(*id),
                    "woken exactly when granted"
                );
            }
        }
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_holder_and_a_line(operations in prop::collection::vec(operation(), 0..40)) {
        behaves_like_the_model(operations);
    }
}

fn break_as_told() {
    #[cfg(mutants)]
    asupersync_sync::mutant::set(host::broken_by(asupersync_sync::mutant::ALL));
}

#[cfg(mutants)]
#[test]
fn the_model_sees_its_mutants() {
    use asupersync_sync::mutant::Mutant;
    host::check_broken("behaves_like_a_holder_and_a_line", Mutant::GrantNotPassedOn);
}
