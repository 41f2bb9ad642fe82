//! The smallest host: one thread, first come first served, time that jumps to the next timer.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use asupersync_core::{
    BlockingJob, BlockingPool, Cx, Event, Host, Lane, Outcome, RegionOptions, RegionReport, Root,
    Runnable, Time, TimerKey,
};
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

type Timers = BTreeMap<(Time, u64), Waker>;

#[derive(Default)]
pub struct Machine {
    runnable: Mutex<VecDeque<Runnable>>,
    timers: Mutex<(u64, Timers)>,
    /// When each timer is due, by its key.
    due: Mutex<BTreeMap<u64, Time>>,
    now: Mutex<Time>,
    pub events: Mutex<Vec<String>>,
    pub polls: Mutex<u64>,
    pub observing: bool,
    pub without_pool: bool,
    pub pool: Option<Arc<dyn BlockingPool>>,
}

struct Inline;

impl BlockingPool for Inline {
    fn submit(&self, job: BlockingJob) {
        job.run();
    }
}

impl Host for Machine {
    fn schedule(&self, task: Runnable, _lane: Lane) {
        self.runnable.lock().unwrap().push_back(task);
    }

    fn now(&self) -> Time {
        *self.now.lock().unwrap()
    }

    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        let mut timers = self.timers.lock().unwrap();
        timers.0 += 1;
        let key = timers.0;
        timers.1.insert((at, key), waker);
        self.due.lock().unwrap().insert(key, at);
        TimerKey(key)
    }

    fn disarm_timer(&self, key: TimerKey) {
        let waker = {
            let mut timers = self.timers.lock().unwrap();
            let due = self.due.lock().unwrap().remove(&key.0);
            due.and_then(|at| timers.1.remove(&(at, key.0)))
        };
        drop(waker);
    }

    fn seed(&self) -> u64 {
        7
    }

    fn observing(&self) -> bool {
        self.observing
    }

    fn observe(&self, event: &Event<'_>) {
        self.events.lock().unwrap().push(format!("{event:?}"));
    }

    fn service(&self, service: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        let pool = self.pool.clone().unwrap_or_else(|| Arc::new(Inline));
        (service == TypeId::of::<Arc<dyn BlockingPool>>() && !self.without_pool)
            .then(|| Arc::new(pool) as Arc<dyn Any + Send + Sync>)
    }
}

impl Machine {
    pub fn new() -> Arc<Machine> {
        Arc::new(Machine::default())
    }

    pub fn observed() -> Arc<Machine> {
        Arc::new(Machine { observing: true, ..Machine::default() })
    }

    pub fn with_pool(pool: Arc<dyn BlockingPool>) -> Arc<Machine> {
        Arc::new(Machine { pool: Some(pool), ..Machine::default() })
    }

    /// A host that offers no driver at all.
    pub fn without_pool() -> Arc<Machine> {
        Arc::new(Machine { without_pool: true, ..Machine::default() })
    }

    /// One poll, or one jump of the clock. False when nothing is left to do.
    pub fn step(&self) -> bool {
        let task = self.runnable.lock().unwrap().pop_front();
        if let Some(task) = task {
            *self.polls.lock().unwrap() += 1;
            task.run();
            return true;
        }
        let fired = self.timers.lock().unwrap().1.pop_first();
        let Some(((at, key), waker)) = fired else { return false };
        self.due.lock().unwrap().remove(&key);
        let now = self.now().max(at);
        *self.now.lock().unwrap() = now;
        waker.wake();
        true
    }

    pub fn armed_timers(&self) -> usize {
        self.timers.lock().unwrap().1.len()
    }
}

/// How a program ended.
pub struct Ran<T, E> {
    pub outcome: Outcome<T, E>,
    pub report: RegionReport,
    pub machine: Arc<Machine>,
}

/// Runs a body as the only task of a root, to quiescence.
pub fn run<F, T, E>(body: F) -> Ran<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, T, E> + Send + 'static,
{
    run_on(Machine::new(), body)
}

pub fn run_on<F, T, E>(machine: Arc<Machine>, body: F) -> Ran<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, T, E> + Send + 'static,
{
    let root = Root::new(machine.clone(), RegionOptions::new().name("root"));
    let mut handle = root.spawn(body);
    root.begin_close();
    let mut context = Context::from_waker(Waker::noop());
    let mut steps = 0_u64;
    loop {
        if let Poll::Ready(report) = root.poll_closed(&mut context) {
            let Poll::Ready(Ok(outcome)) = handle.poll_join(&mut context) else {
                panic!("a closed root's task has its outcome")
            };
            assert_eq!(machine.armed_timers(), 0, "a closed tree leaves no timer armed");
            return Ran { outcome, report, machine };
        }
        steps += 1;
        assert!(steps < 1_000_000, "the program does not end:\n{}", root.snapshot());
        assert!(machine.step(), "nothing can run:\n{}", root.snapshot());
    }
}
