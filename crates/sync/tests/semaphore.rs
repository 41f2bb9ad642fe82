//! What a semaphore promises.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_core::TaskCx;
use asupersync_sync::{AcquireError, Permit, Semaphore, TryAcquireError};
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, poll, poll_with};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

type Acquiring<'a> = Boxed<'a, Result<Permit<'a>, AcquireError>>;

fn acquiring<'a>(semaphore: &'a Semaphore, cx: &'a TaskCx, n: usize) -> Acquiring<'a> {
    Box::pin(semaphore.acquire_many(cx, n))
}

#[test]
fn permits_come_back_when_dropped() {
    in_task(|cx, _| {
        let semaphore = Semaphore::new(3);
        let one = now(semaphore.acquire(cx)).unwrap();
        let two = semaphore.try_acquire_many(cx, 2).unwrap();
        assert_eq!(semaphore.try_acquire(cx).unwrap_err(), TryAcquireError::NoPermits);
        drop(one);
        assert_eq!(semaphore.available_permits(), 1);
        drop(two);
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn the_next_in_line_is_served_when_a_greedy_head_leaves() {
    in_task(|cx, _| {
        let semaphore = Semaphore::new(1);
        let (mut greedy, mut modest) = (acquiring(&semaphore, cx, 2), acquiring(&semaphore, cx, 1));
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut greedy).is_pending());
        assert!(poll_with(&mut modest, &waker).is_pending(), "no overtaking");
        drop(greedy);
        assert_eq!(wakes.count(), 1);
        assert!(poll(&mut modest).is_ready());
    });
}

#[test]
fn a_waiter_that_goes_away_passes_its_permits_on() {
    in_task(|cx, _| {
        let semaphore = Semaphore::new(2);
        let held = now(semaphore.acquire_many(cx, 2)).unwrap();
        let mut first = acquiring(&semaphore, cx, 2);
        let mut second = acquiring(&semaphore, cx, 1);
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut second).is_pending());
        drop(held);
        drop(first);
        assert!(poll(&mut second).is_ready());
        drop(second);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn a_cancelled_waiter_answers_in_one_poll_and_loses_nothing() {
    in_task(|cx, cancel| {
        let semaphore = Semaphore::new(1);
        let held = now(semaphore.acquire(cx)).unwrap();
        let mut waiter = acquiring(&semaphore, cx, 1);
        assert!(poll(&mut waiter).is_pending());
        drop(held);
        cancel();
        assert!(matches!(poll(&mut waiter), Poll::Ready(Err(AcquireError::Cancelled(_)))));
        drop(waiter);
        assert_eq!(semaphore.available_permits(), 1);
        assert!(now(semaphore.acquire(cx)).is_err(), "a cancelled scope acquires nothing");
    });
}

#[test]
fn closing_sends_the_line_home_and_leaves_permits_valid() {
    in_task(|cx, _| {
        let semaphore = Semaphore::new(1);
        let held = now(semaphore.acquire(cx)).unwrap();
        let mut waiter = acquiring(&semaphore, cx, 1);
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut waiter, &waker).is_pending());
        semaphore.close();
        assert_eq!(wakes.count(), 1);
        assert!(matches!(poll(&mut waiter), Poll::Ready(Err(AcquireError::Closed))));
        assert_eq!(semaphore.try_acquire(cx).unwrap_err(), TryAcquireError::Closed);
        drop(held);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn forgotten_permits_are_gone_and_split_ones_are_counted_apart() {
    in_task(|cx, _| {
        let semaphore = Arc::new(Semaphore::new(5));
        let mut four = now(semaphore.acquire_many_owned(cx, 4)).unwrap();
        let one = four.split(cx, 1).unwrap();
        assert!(four.split(cx, 4).is_none());
        assert_eq!((four.count(), one.count()), (3, 1));
        four.forget();
        drop(one);
        assert_eq!(semaphore.available_permits(), 2);
        assert_eq!(semaphore.forget_permits(9), 2);
        semaphore.add_permits(7).unwrap();
        assert_eq!(semaphore.add_permits(Semaphore::MAX_PERMITS), Err(7));
    });
}

#[test]
fn a_waker_that_panics_does_not_keep_permits_from_others() {
    in_task(|cx, _| {
        let semaphore = Semaphore::new(0);
        let (mut hostile, mut second) =
            (acquiring(&semaphore, cx, 1), acquiring(&semaphore, cx, 1));
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut hostile, &on_wake(|| panic!("hostile"))).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        semaphore.add_permits(2).unwrap();
        assert_eq!(wakes.count(), 1);
        assert!(poll(&mut second).is_ready());
    });
}

#[test]
fn a_waker_may_call_back_into_the_semaphore() {
    in_task(|cx, _| {
        let semaphore = Arc::new(Semaphore::new(0));
        let calls = Arc::new(AtomicUsize::new(0));
        let back = {
            let (semaphore, calls) = (semaphore.clone(), calls.clone());
            move || {
                // Takes the line's lock: it would deadlock if it were held around the wake or drop.
                let _ = semaphore.waiting();
                semaphore.add_permits(0).unwrap();
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let (mut woken, mut left) = (acquiring(&semaphore, cx, 1), acquiring(&semaphore, cx, 1));
        assert!(poll_with(&mut woken, &on_wake(back.clone())).is_pending());
        assert!(poll_with(&mut left, &on_drop(back)).is_pending());
        semaphore.add_permits(1).unwrap();
        drop(left);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert!(poll(&mut woken).is_ready());
    });
}

#[derive(Clone, Debug)]
enum Operation {
    Start(usize),
    Poll(usize),
    GoAway(usize),
    Release(usize),
    Forget(usize),
    Try(usize),
    Add(usize),
    RemoveFree(usize),
    Close,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (0..4_usize).prop_map(Operation::Start),
        8 => (0..6_usize).prop_map(Operation::Poll),
        4 => (0..6_usize).prop_map(Operation::GoAway),
        8 => (0..6_usize).prop_map(Operation::Release),
        1 => (0..6_usize).prop_map(Operation::Forget),
        2 => (0..4_usize).prop_map(Operation::Try),
        2 => (0..3_usize).prop_map(Operation::Add),
        1 => (0..3_usize).prop_map(Operation::RemoveFree),
        1 => Just(Operation::Close),
    ]
}

#[derive(Default)]
struct Model {
    free: usize,
    closed: bool,
    line: VecDeque<(u32, usize)>,
    granted: Vec<(u32, usize)>,
    sent_home: Vec<u32>,
}

impl Model {
    fn serve(&mut self) {
        while let Some(&(id, n)) = self.line.front() {
            if n > self.free {
                return;
            }
            self.free -= n;
            self.granted.push((id, n));
            self.line.pop_front();
        }
    }

    fn give(&mut self, n: usize) {
        self.free += n;
        self.serve();
    }

    fn answered(&self, id: u32) -> bool {
        self.granted.iter().any(|(other, _)| *other == id) || self.sent_home.contains(&id)
    }
}

fn behaves_like_the_model(permits: usize, operations: Vec<Operation>) {
    break_as_told();
    in_task(move |cx, _| {
        let semaphore = Semaphore::new(permits);
        let mut model = Model { free: permits, ..Model::default() };
        let mut waiters: Vec<(u32, Acquiring<'_>, Arc<Wakes>)> = Vec::new();
        let mut held: Vec<Permit<'_>> = Vec::new();
        let mut next = 0;
        for operation in operations {
            match operation {
                Operation::Start(n) => {
                    let (id, mut future) = (next, acquiring(&semaphore, cx, n));
                    next += 1;
                    let (wakes, waker) = Wakes::new();
                    let answer = poll_with(&mut future, &waker);
                    if model.closed {
                        assert!(matches!(answer, Poll::Ready(Err(AcquireError::Closed))));
                    } else if n == 0 || (model.line.is_empty() && n <= model.free) {
                        model.free -= n;
                        let Poll::Ready(Ok(permit)) = answer else {
                            panic!("waits for free permits")
                        };
                        assert_eq!(permit.count(), n);
                        held.push(permit);
                    } else {
                        assert!(answer.is_pending(), "acquired out of turn");
                        model.line.push_back((id, n));
                        waiters.push((id, future, wakes));
                    }
                }
                Operation::Poll(i) if i < waiters.len() => {
                    let id = waiters[i].0;
                    let waker = Arc::clone(&waiters[i].2).into();
                    match poll_with(&mut waiters[i].1, &waker) {
                        Poll::Ready(Ok(permit)) => {
                            let at = model.granted.iter().position(|(other, _)| *other == id);
                            assert_eq!(
                                model.granted.remove(at.expect("out of turn")).1,
                                permit.count()
                            );
                            held.push(permit);
                            drop(waiters.remove(i));
                        }
                        Poll::Ready(Err(error)) => {
                            assert_eq!(error, AcquireError::Closed);
                            assert!(model.sent_home.contains(&id));
                            drop(waiters.remove(i));
                        }
                        Poll::Pending => assert!(!model.answered(id), "missed its answer"),
                    }
                }
                Operation::GoAway(i) if i < waiters.len() => {
                    let (id, future, _) = waiters.remove(i);
                    drop(future);
                    model.line.retain(|(other, _)| *other != id);
                    if let Some(at) = model.granted.iter().position(|(other, _)| *other == id) {
                        model.free += model.granted.remove(at).1;
                    }
                    model.serve();
                }
                Operation::Release(i) if i < held.len() => {
                    let permit = held.remove(i);
                    let n = permit.count();
                    drop(permit);
                    model.give(n);
                }
                Operation::Forget(i) if i < held.len() => held.remove(i).forget(),
                Operation::Try(n) => {
                    let expected = if model.closed {
                        Err(TryAcquireError::Closed)
                    } else if n == 0 || (model.line.is_empty() && n <= model.free) {
                        Ok(n)
                    } else {
                        Err(TryAcquireError::NoPermits)
                    };
                    let got = semaphore.try_acquire_many(cx, n);
                    assert_eq!(got.as_ref().map(Permit::count).map_err(|error| *error), expected);
                }
                Operation::Add(n) => {
                    semaphore.add_permits(n).unwrap();
                    model.give(n);
                }
                Operation::RemoveFree(n) => {
                    let removed = n.min(model.free);
                    assert_eq!(semaphore.forget_permits(n), removed);
                    model.free -= removed;
                }
                Operation::Close => {
                    semaphore.close();
                    model.closed = true;
                    model.sent_home.extend(model.line.drain(..).map(|(id, _)| id));
                }
                Operation::Poll(_)
                | Operation::GoAway(_)
                | Operation::Release(_)
                | Operation::Forget(_) => {}
            }
            assert_eq!(semaphore.available_permits(), model.free);
            assert_eq!(semaphore.waiting(), model.line.len());
            for (id, _, wakes) in &waiters {
                assert_eq!(wakes.count() > 0, model.answered(*id), "woken exactly when answered");
            }
        }
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_count_and_a_line(
        permits in 0..4_usize,
        operations in prop::collection::vec(operation(), 0..40),
    ) {
        behaves_like_the_model(permits, operations);
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
    for mutant in [Mutant::HeadLeavesUnserved, Mutant::GrantNotPassedOn] {
        host::check_broken("behaves_like_a_count_and_a_line", mutant);
    }
}

#[test]
fn a_permit_that_comes_home_to_a_full_semaphore_does_not_panic() {
    in_task(|cx, _| {
        let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
        let out = now(semaphore.acquire(cx)).unwrap();
        semaphore.add_permits(1).unwrap();
        drop(out);
        assert_eq!(semaphore.available_permits(), Semaphore::MAX_PERMITS);
        drop(now(semaphore.acquire_many(cx, Semaphore::MAX_PERMITS)).unwrap());
        assert_eq!(semaphore.available_permits(), Semaphore::MAX_PERMITS);
    });
}
