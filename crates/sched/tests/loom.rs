//! Models of the two places where a wake-up could get lost: parking, and the hand-off of work to a
//! sleeping worker. Each has weakened variants that the model must catch.
#![cfg(loom)]

use asupersync_core::WakeList;
use asupersync_sched::{DriverSeat, Idle, Mailbox, Park, Parker, Unpark, Weakening, weaken};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;
// Loom's `Arc` aborts when a model that fails unwinds through it.
use std::sync::Arc;
use std::time::Duration;

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Three threads without a bound take hours; lost wake-ups show with two preemptions.
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// A driver without events: one flag that is waited for.
struct Flag {
    raised: Mutex<bool>,
    condvar: Condvar,
}

struct Driver(Arc<Flag>);
struct DriverUnpark(Arc<Flag>);

impl Park for Driver {
    fn park(&mut self, _timeout: Option<Duration>, _wakers: &mut WakeList) {
        let mut raised = self.0.raised.lock().unwrap();
        while !*raised {
            raised = self.0.condvar.wait(raised).unwrap();
        }
        *raised = false;
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(DriverUnpark(self.0.clone()))
    }
}

impl Unpark for DriverUnpark {
    fn unpark(&self) {
        *self.0.raised.lock().unwrap() = true;
        self.0.condvar.notify_one();
    }
}

fn seat() -> DriverSeat {
    let flag = Flag { raised: Mutex::new(false), condvar: Condvar::new() };
    DriverSeat::new(Box::new(Driver(Arc::new(flag))))
}

struct Sleeper {
    seat: DriverSeat,
    parkers: [Parker; 2],
    told: [AtomicBool; 2],
}

impl Sleeper {
    fn new() -> Sleeper {
        let told = [AtomicBool::new(false), AtomicBool::new(false)];
        Sleeper { seat: seat(), parkers: [Parker::new(), Parker::new()], told }
    }

    fn sleep_until_told(&self, worker: usize) {
        while !self.told[worker].load(Ordering::Acquire) {
            let mut wakers = WakeList::new();
            self.parkers[worker].park(&self.seat, None, &mut wakers);
            wakers.wake();
        }
    }

    fn tell(&self, worker: usize) {
        self.told[worker].store(true, Ordering::Release);
        self.parkers[worker].unpark(&self.seat);
    }
}

/// One worker in the driver, one on its condition variable, whoever comes first.
fn two_sleepers_are_both_woken() {
    model(|| {
        let sleeper = Arc::new(Sleeper::new());
        let other = sleeper.clone();
        let first = thread::spawn(move || other.sleep_until_told(0));
        let other = sleeper.clone();
        let second = thread::spawn(move || other.sleep_until_told(1));
        sleeper.tell(0);
        sleeper.tell(1);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn an_unpark_racing_with_a_park_is_not_lost() {
    two_sleepers_are_both_woken();
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_parker_model_notices_a_notification_without_the_mutex() {
    weaken(Weakening::UnparkWithoutMutex);
    two_sleepers_are_both_woken();
}

/// The owner runs two tasks that others post to it, and sleeps when it sees none. `told` is whether who
/// posts one unparks the owner.
fn every_pinned_task_is_run(told: bool) {
    model(move || {
        let home = Arc::new((seat(), Parker::new(), Mailbox::new()));
        let post = move |home: &(DriverSeat, Parker, Mailbox<u32>), task, cancelled| {
            home.2.push(task, cancelled);
            if told {
                home.1.unpark(&home.0);
            }
        };
        let other = home.clone();
        let posts = thread::spawn(move || post(&other, 1, true));
        let owner = home.clone();
        let runs = thread::spawn(move || {
            let (seat, parker, mailbox) = &*owner;
            let mut sum = 0;
            while sum < 3 {
                match mailbox.pop() {
                    Some(task) => sum += task,
                    None => parker.park(seat, None, &mut WakeList::new()),
                }
            }
        });
        post(&home, 2, false);
        posts.join().unwrap();
        runs.join().unwrap();
    });
}

#[test]
fn a_pinned_task_posted_while_its_worker_falls_asleep_is_run() {
    every_pinned_task_is_run(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_pinned_model_notices_a_post_without_an_unpark() {
    every_pinned_task_is_run(false);
}

/// Workers that take one item each, then are busy for ever; items are a counter.
struct Pool {
    idle: Idle,
    sleeper: Sleeper,
    items: AtomicUsize,
    look_again: bool,
    pass_the_baton: bool,
}

impl Pool {
    fn take(&self) -> bool {
        let take = |items: usize| items.checked_sub(1);
        self.items.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take).is_ok()
    }

    fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.sleeper.parkers[worker].unpark(&self.sleeper.seat);
        }
    }

    fn add(&self) {
        self.items.fetch_add(1, Ordering::Release);
        self.notify();
    }

    /// The scheduler's loop, down to one item.
    fn work(&self, worker: usize) {
        let mut searching = false;
        loop {
            searching = searching || self.idle.start_searching();
            if self.take() {
                if searching && self.idle.stop_searching() && self.pass_the_baton {
                    self.notify();
                }
                return;
            }
            self.idle.announce(worker, searching);
            if self.look_again && self.items.load(Ordering::Acquire) > 0 {
                self.idle.retract(worker, true);
                searching = true;
                continue;
            }
            let mut wakers = WakeList::new();
            self.sleeper.parkers[worker].park(&self.sleeper.seat, None, &mut wakers);
            wakers.wake();
            searching = self.idle.retract(worker, false);
        }
    }
}

fn every_item_finds_a_worker(workers: usize, look_again: bool, pass_the_baton: bool) {
    model(move || {
        let (idle, sleeper) = (Idle::new(workers), Sleeper::new());
        let items = AtomicUsize::new(0);
        let pool = Arc::new(Pool { idle, sleeper, items, look_again, pass_the_baton });
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let pool = pool.clone();
                thread::spawn(move || pool.work(worker))
            })
            .collect();
        for _ in 0..workers {
            pool.add();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn work_added_while_the_worker_falls_asleep_is_found() {
    every_item_finds_a_worker(1, true, true);
}

#[test]
fn work_added_while_another_worker_searches_is_found() {
    every_item_finds_a_worker(2, true, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_hand_off_model_notices_a_worker_that_does_not_look_again() {
    every_item_finds_a_worker(1, false, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_hand_off_model_notices_a_missing_fence() {
    weaken(Weakening::NotifyWithoutFence);
    every_item_finds_a_worker(1, true, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_hand_off_model_notices_a_searcher_that_keeps_the_baton() {
    every_item_finds_a_worker(2, true, false);
}
