//! The bounds that `asupersync_sched::fairness` states, on one worker.

#[path = "support/host.rs"]
mod host;

use asupersync_core::{CancelReason, Cx, Error, RegionOptions, Root, WakeList};
use asupersync_sched::fairness::{CANCEL_STREAK, INJECTOR_INTERVAL, NEXT_STREAK};
use asupersync_sched::{Park, Scheduler, Unpark, Worker};
use host::TestHost;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// These tests never sleep for long: a look every millisecond stands for events.
struct NoEvents;

impl Park for NoEvents {
    fn park(&mut self, timeout: Option<Duration>, _: &mut WakeList) {
        std::thread::park_timeout(timeout.unwrap_or(Duration::MAX).min(Duration::from_millis(1)));
    }
    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(NoEvents)
    }
}

impl Unpark for NoEvents {
    fn unpark(&self) {}
}

type Log = Arc<Mutex<String>>;

struct World {
    root: Root,
    worker: Worker,
    log: Log,
    stop: Arc<AtomicBool>,
}

fn world() -> World {
    let (scheduler, mut workers) = Scheduler::new(1, Box::new(NoEvents));
    let root = Root::new(Arc::new(TestHost(scheduler)), RegionOptions::new());
    let (log, stop) = (Log::default(), Arc::new(AtomicBool::new(false)));
    World { root, worker: workers.remove(0), log, stop }
}

impl World {
    fn run_to_the_end(mut self) -> String {
        self.root.begin_close();
        let root = self.root.clone();
        self.worker
            .run_until(|| root.poll_closed(&mut Context::from_waker(Waker::noop())).is_ready());
        self.log.lock().unwrap().clone()
    }
}

/// Yields without asking the kernel, so that cancellation does not end it.
async fn bare_yield() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Notes `letter` at each poll until `stop`.
async fn noted_polls(letter: char, log: Log, stop: Arc<AtomicBool>) -> Result<(), Error> {
    while !stop.load(Ordering::Relaxed) {
        log.lock().unwrap().push(letter);
        bare_yield().await;
    }
    Ok(())
}

fn longest_run(log: &str, letter: char) -> usize {
    log.split(|other| other != letter).map(str::len).max().unwrap_or(0)
}

#[test]
fn a_ready_task_is_not_starved_by_tasks_being_cancelled() {
    let world = world();
    let cancelled = world.root.child(RegionOptions::new());
    for _ in 0..3 {
        let (log, stop) = (world.log.clone(), world.stop.clone());
        let _ = cancelled.spawn(async move |_: &Cx| noted_polls('c', log, stop).await);
    }
    let (log, stop) = (world.log.clone(), world.stop.clone());
    let _ = world.root.spawn(async move |_: &Cx| {
        cancelled.begin_close();
        cancelled.cancel(CancelReason::user("test"));
        for _ in 0..50 {
            log.lock().unwrap().push('r');
            bare_yield().await;
        }
        stop.store(true, Ordering::Relaxed);
        Ok::<_, Error>(())
    });
    let log = world.run_to_the_end();
    assert_eq!(log.matches('r').count(), 50);
    // Until the second `r` the cancelled tasks are still queued as the ready ones they were.
    let settled = log.splitn(3, 'r').last().unwrap();
    let streak = longest_run(settled, 'c');
    assert!(streak > 3, "the cancel lane comes first: {log}");
    assert!(streak <= CANCEL_STREAK as usize, "{streak} cancelled polls in a row");
}

/// Two tasks that wake each other for ever stay in the next slot.
#[test]
fn the_queue_is_not_starved_by_two_tasks_that_wake_each_other() {
    let world = world();
    let wakers: Arc<Mutex<[Option<Waker>; 2]>> = Arc::default();
    for me in 0..2 {
        let (log, stop, wakers) = (world.log.clone(), world.stop.clone(), wakers.clone());
        let _ = world.root.spawn(async move |_: &Cx| {
            poll_fn(|context| {
                let other = {
                    let mut wakers = wakers.lock().unwrap();
                    wakers[me] = Some(context.waker().clone());
                    wakers[1 - me].take()
                };
                if let Some(other) = other {
                    other.wake();
                }
                log.lock().unwrap().push('p');
                if stop.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let other = wakers.lock().unwrap()[1 - me].take();
            if let Some(other) = other {
                other.wake();
            }
            Ok::<_, Error>(())
        });
    }
    let (log, stop) = (world.log.clone(), world.stop.clone());
    let _ = world.root.spawn(async move |_: &Cx| {
        for _ in 0..50 {
            log.lock().unwrap().push('q');
            bare_yield().await;
        }
        stop.store(true, Ordering::Relaxed);
        Ok::<_, Error>(())
    });
    let log = world.run_to_the_end();
    assert_eq!(log.matches('q').count(), 50);
    // What precedes the first and follows the last queued poll is start and end, not waiting.
    let between = log.trim_matches('p');
    let streak = longest_run(between, 'p');
    assert!(streak > 1, "the next slot is used: {log}");
    assert!(streak <= NEXT_STREAK as usize + 2, "{streak} polls from the next slot in a row");
}

#[test]
fn an_injected_task_is_not_starved_by_a_full_local_queue() {
    let world = world();
    for _ in 0..100 {
        let (log, stop) = (world.log.clone(), world.stop.clone());
        let _ = world.root.spawn(async move |_: &Cx| noted_polls('l', log, stop).await);
    }
    let (log, stop, root) = (world.log.clone(), world.stop.clone(), world.root.clone());
    let _ = world.root.spawn(async move |_: &Cx| {
        for _ in 0..5 {
            bare_yield().await;
        }
        let injected_log = log.clone();
        let inject = move || {
            let _ = root.spawn(async move |_: &Cx| {
                injected_log.lock().unwrap().push('i');
                stop.store(true, Ordering::Relaxed);
                Ok::<_, Error>(())
            });
        };
        log.lock().unwrap().push('j');
        std::thread::scope(|scope| scope.spawn(inject).join().unwrap());
        Ok::<_, Error>(())
    });
    let log = world.run_to_the_end();
    let waited = log.find('i').unwrap() - log.find('j').unwrap();
    assert!(waited <= INJECTOR_INTERVAL as usize + 1, "waited for {waited} polls");
}
