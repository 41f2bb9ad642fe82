//! Two-thread stories, in all their interleavings: `RUSTFLAGS="--cfg loom" cargo test --release`.
//!
//! With `--cfg mutants` too, each story is also told with the lock broken in the way it is there to
//! catch, and must fail.
#![cfg(loom)]

#[path = "support/host.rs"]
mod host;

use asupersync_core::primitive::{Arc, AtomicUsize, Ordering};
use asupersync_sync::slots::Slots;
use asupersync_sync::{Mutex, Notify, RwLock, RwLockWriteGuard, Semaphore};
use host::{Boxed, in_task, poll};
use loom::future::block_on;
use loom::thread;
use std::panic::Location;

/// Runs `story` in every interleaving with at most five preemptions.
fn check(story: fn()) {
    #[cfg(mutants)]
    asupersync_sync::mutant::set(host::broken_by(asupersync_sync::mutant::ALL));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(5);
    model.max_branches = 20_000;
    model.check(story);
}

fn two_lockers_exclude_each_other_and_both_get_in() {
    let mutex = Arc::new(Mutex::new(0));
    let threads = [0, 1].map(|_| {
        let mutex = mutex.clone();
        thread::spawn(move || in_task(move |cx, _| *block_on(mutex.lock(cx)).unwrap() += 1))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    in_task(move |cx, _| assert_eq!(*mutex.try_lock(cx).unwrap(), 2));
}

fn a_waiter_that_leaves_while_it_is_handed_the_lock_passes_it_on() {
    let mutex = Arc::new(Mutex::new(()));
    let leaver = {
        let mutex = mutex.clone();
        thread::spawn(move || {
            in_task(move |cx, _| {
                let mut waiter: Boxed<'_, _> = Box::pin(mutex.lock(cx));
                drop(poll(&mut waiter));
            });
        })
    };
    in_task(move |cx, _| {
        let guard = block_on(mutex.lock(cx)).unwrap();
        drop(guard);
        drop(block_on(mutex.lock(cx)).unwrap());
    });
    leaver.join().unwrap();
}

fn a_permit_given_back_reaches_a_taker_on_its_way_into_line() {
    let semaphore = Arc::new(Semaphore::new(1));
    let inside = Arc::new(AtomicUsize::new(0));
    let threads = [0, 1].map(|_| {
        let (semaphore, inside) = (semaphore.clone(), inside.clone());
        thread::spawn(move || {
            in_task(move |cx, _| {
                let permit = block_on(semaphore.acquire(cx)).unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                inside.fetch_sub(1, Ordering::Relaxed);
                drop(permit);
            });
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(semaphore.available_permits(), 1);
}

fn permits_handed_to_a_waiter_that_leaves_are_not_lost() {
    let semaphore = Arc::new(Semaphore::new(0));
    let leaver = {
        let semaphore = semaphore.clone();
        thread::spawn(move || {
            in_task(move |cx, _| {
                let mut waiter: Boxed<'_, _> = Box::pin(semaphore.acquire(cx));
                drop(poll(&mut waiter));
            });
        })
    };
    semaphore.add_permits(1).unwrap();
    in_task(move |cx, _| drop(block_on(semaphore.acquire(cx)).unwrap()));
    leaver.join().unwrap();
}

fn a_taker_racing_with_close_gets_a_permit_or_is_sent_home() {
    let semaphore = Arc::new(Semaphore::new(0));
    let taker = {
        let semaphore = semaphore.clone();
        thread::spawn(move || {
            in_task(move |cx, _| {
                // There is one permit: with it in hand, only the close ends the second wait.
                let held = block_on(semaphore.acquire(cx));
                let second = block_on(semaphore.acquire(cx));
                assert!(second.is_err());
                drop(held);
            });
        })
    };
    let _ = semaphore.add_permits(1);
    semaphore.close();
    taker.join().unwrap();
    assert_eq!(semaphore.available_permits(), 1, "taken and given back, or never taken");
    assert_eq!(semaphore.waiting(), 0);
}

fn slots_given_aside_reach_a_taker_on_its_way_into_line() {
    let slots = Arc::new(Slots::new("slots", 0));
    let giver = {
        let slots = slots.clone();
        thread::spawn(move || slots.give_aside(1))
    };
    let taking = slots.clone();
    in_task(move |cx, _| {
        block_on(taking.take_in_turn(cx, 1, "take", Location::caller())).unwrap();
    });
    giver.join().unwrap();
    assert_eq!(slots.free(), 0);
    assert_eq!(slots.waiting(), 0);
}

fn two_takers_share_what_was_given_aside() {
    let slots = Arc::new(Slots::new("slots", 0));
    slots.give_aside(2);
    let other = {
        let slots = slots.clone();
        thread::spawn(move || slots.try_take(1))
    };
    assert_eq!(slots.try_take(1), Ok(()));
    assert_eq!(other.join().unwrap(), Ok(()));
    assert_eq!(slots.free(), 0);
}

fn the_last_slot_given_aside_is_home_whoever_comes_for_it() {
    let slots = Arc::new(Slots::new("slots", 0));
    slots.give_aside(1);
    let taker = {
        let slots = slots.clone();
        thread::spawn(move || slots.try_take(2).is_ok())
    };
    slots.close();
    assert!(slots.is_closed_and_home(1));
    assert!(!taker.join().unwrap());
}

fn a_token_outlives_the_waiter_it_was_given_to() {
    let notify = Arc::new(Notify::new());
    let leaver = {
        let notify = notify.clone();
        thread::spawn(move || {
            in_task(move |cx, _| {
                let mut waiter: Boxed<'_, _> = Box::pin(notify.notified(cx));
                // Ready means it consumed a token: pass it on as a task would that has had its turn.
                if poll(&mut waiter).is_ready() {
                    notify.notify_one();
                }
            });
        })
    };
    notify.notify_one();
    in_task(move |cx, _| block_on(notify.notified(cx)).unwrap());
    leaver.join().unwrap();
}

fn a_reader_and_a_writer_exclude_each_other_and_both_get_in() {
    let lock = Arc::new(RwLock::new(0));
    let writer = {
        let lock = lock.clone();
        thread::spawn(move || in_task(move |cx, _| *block_on(lock.write(cx)).unwrap() += 1))
    };
    let reading = lock.clone();
    in_task(move |cx, _| assert!(*block_on(reading.read(cx)).unwrap() <= 1));
    writer.join().unwrap();
    in_task(move |cx, _| assert_eq!(*lock.try_read(cx).unwrap(), 1));
}

fn a_waiting_writer_that_leaves_strands_no_reader() {
    let lock = Arc::new(RwLock::new(()));
    let leaver = {
        let lock = lock.clone();
        thread::spawn(move || {
            in_task(move |cx, _| {
                let mut waiter: Boxed<'_, _> = Box::pin(lock.write(cx));
                drop(poll(&mut waiter));
            });
        })
    };
    in_task(move |cx, _| {
        let _inside = block_on(lock.read(cx)).unwrap();
        drop(block_on(lock.read(cx)).unwrap());
    });
    leaver.join().unwrap();
}

fn nobody_writes_while_a_writer_becomes_a_reader() {
    let lock = Arc::new(RwLock::new(0));
    let writer = {
        let lock = lock.clone();
        thread::spawn(move || in_task(move |cx, _| *block_on(lock.write(cx)).unwrap() += 1))
    };
    let downgrading = lock.clone();
    in_task(move |cx, _| {
        let mut guard = block_on(downgrading.write(cx)).unwrap();
        *guard += 1;
        let written = *guard;
        let guard = RwLockWriteGuard::downgrade(guard, cx);
        assert_eq!(*guard, written);
    });
    writer.join().unwrap();
    in_task(move |cx, _| assert_eq!(*lock.try_read(cx).unwrap(), 2));
}

macro_rules! stories {
    ($($story:ident, broken by $mutant:ident;)*) => {
        mod holds {
            $(#[test] fn $story() { super::check(super::$story); })*
        }

        #[cfg(mutants)]
        mod fails_when_broken {
            $(#[test] fn $story() {
                let story = concat!("holds::", stringify!($story));
                super::host::check_broken(story, asupersync_sync::mutant::Mutant::$mutant);
            })*
        }
    };
}

stories! {
    two_lockers_exclude_each_other_and_both_get_in, broken by EntryWithoutSecondLook;
    a_waiter_that_leaves_while_it_is_handed_the_lock_passes_it_on, broken by GrantNotPassedOn;
    a_permit_given_back_reaches_a_taker_on_its_way_into_line, broken by EntryWithoutSecondLook;
    permits_handed_to_a_waiter_that_leaves_are_not_lost, broken by GrantNotPassedOn;
    slots_given_aside_reach_a_taker_on_its_way_into_line, broken by EntryWithoutCollecting;
    two_takers_share_what_was_given_aside, broken by AsideLooksOnce;
    the_last_slot_given_aside_is_home_whoever_comes_for_it, broken by HomeCountedOnTheWay;
    a_taker_racing_with_close_gets_a_permit_or_is_sent_home, broken by CloseWakesNobody;
    a_reader_and_a_writer_exclude_each_other_and_both_get_in, broken by EntryWithoutSecondLook;
    a_waiting_writer_that_leaves_strands_no_reader, broken by WriterLeavesReadersStand;
    nobody_writes_while_a_writer_becomes_a_reader, broken by EntryWithoutSecondLook;
    a_token_outlives_the_waiter_it_was_given_to, broken by NotifyTokenDropped;
}
