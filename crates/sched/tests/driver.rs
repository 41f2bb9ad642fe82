//! Who looks for events while there is work.

#![expect(clippy::disallowed_methods, reason = "workers are real threads, by a real clock")]

#[path = "support/host.rs"]
mod host;

use asupersync_core::{Cx, Error, RegionOptions, Root, WakeList};
use asupersync_sched::{Park, Scheduler, Unpark, WorkerThreads};
use host::TestHost;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// A driver of one event, which the test raises.
#[derive(Default)]
struct Event {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    raised: bool,
    unparked: bool,
    waiter: Option<Waker>,
    /// Who sleeps in the driver.
    inside: Option<ThreadId>,
}

struct Driver(Arc<Event>);

impl Park for Driver {
    fn park(&mut self, timeout: Option<Duration>, wakers: &mut WakeList) {
        let mut state = self.0.state.lock().unwrap();
        if timeout != Some(Duration::ZERO) {
            state.inside = Some(thread::current().id());
        }
        let timeout = timeout.unwrap_or(Duration::from_secs(60));
        let sleeps =
            |state: &mut State| !(state.unparked || state.raised && state.waiter.is_some());
        (state, _) = self.0.changed.wait_timeout_while(state, timeout, sleeps).unwrap();
        state.unparked = false;
        state.inside = None;
        if state.raised {
            wakers.extend(state.waiter.take());
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.0.clone()
    }
}

impl Unpark for Event {
    fn unpark(&self) {
        self.state.lock().unwrap().unparked = true;
        self.changed.notify_all();
    }
}

impl Event {
    fn raise(&self) {
        self.state.lock().unwrap().raised = true;
        self.changed.notify_all();
    }

    async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock().unwrap();
            if std::mem::take(&mut state.raised) {
                return Poll::Ready(());
            }
            state.waiter = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The thread that sleeps in the driver, if one does.
    fn inside(&self) -> Option<ThreadId> {
        self.state.lock().unwrap().inside
    }
}

/// Keeps its worker for a while.
fn work(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

const POLL: Duration = Duration::from_millis(1);

#[test]
fn between_long_polls_a_lone_worker_looks_for_events() {
    let event = Arc::new(Event::default());
    let (scheduler, mut workers) = Scheduler::new(1, Box::new(Driver(event.clone())));
    let root = Root::new(Arc::new(TestHost(scheduler)), RegionOptions::new());
    let (polls, heard) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (waits_for, has_heard) = (event.clone(), heard.clone());
    drop(root.spawn(async move |_: &Cx| {
        waits_for.wait().await;
        has_heard.store(true, Ordering::Relaxed);
        Ok::<_, Error>(())
    }));
    let counted = polls.clone();
    drop(root.spawn(async move |cx: &Cx| {
        for _ in 0..10 {
            work(POLL);
            cx.yield_now().await?;
        }
        event.raise();
        while !heard.load(Ordering::Relaxed) {
            counted.fetch_add(1, Ordering::Relaxed);
            work(POLL);
            cx.yield_now().await?;
        }
        Ok::<_, Error>(())
    }));
    root.begin_close();
    workers[0].run_until(|| root.poll_closed(&mut Context::from_waker(Waker::noop())).is_ready());
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls <= 4, "{polls} polls went by");
}

#[test]
fn while_a_worker_is_at_work_another_one_sleeps_in_the_driver() {
    let event = Arc::new(Event::default());
    let (scheduler, workers) = Scheduler::new(2, Box::new(Driver(event.clone())));
    let root = Root::new(Arc::new(TestHost(scheduler.clone())), RegionOptions::new());
    let relieved = Arc::new(AtomicBool::new(false));
    let (driver, seen) = (event.clone(), relieved.clone());
    drop(root.spawn(async move |cx: &Cx| {
        // Woken by whoever sits in the driver, who thereby leaves it, while the other sleeps elsewhere.
        driver.wait().await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            work(POLL);
            if driver.inside().is_some_and(|inside| inside != thread::current().id()) {
                seen.store(true, Ordering::Relaxed);
                break;
            }
            cx.yield_now().await?;
        }
        Ok::<_, Error>(())
    }));
    let threads = WorkerThreads::start(&scheduler, workers, "driver").unwrap();
    // Until both sleep; if one does not yet, there is less to be seen, and nothing wrong.
    thread::sleep(Duration::from_millis(50));
    event.raise();
    root.begin_close();
    while root.poll_closed(&mut Context::from_waker(Waker::noop())).is_pending() {
        thread::sleep(Duration::from_millis(1));
    }
    scheduler.stop();
    assert_eq!(threads.join(Duration::from_secs(10)), 0);
    assert!(relieved.load(Ordering::Relaxed), "nobody looked for events");
}
