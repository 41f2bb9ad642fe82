//! The least a test needs of a host, and wakers that can be looked at.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use asupersync_core::primitive::{Arc as LoomArc, Mutex};
use asupersync_core::{
    CancelReason, Cx, Host, Lane, RegionOptions, Root, Runnable, Time, TimerKey,
};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// One thread, no time.
#[derive(Default)]
struct Line(Mutex<VecDeque<Runnable>>);

impl Host for Line {
    fn schedule(&self, task: Runnable, _lane: Lane) {
        self.0.lock().push_back(task);
    }

    fn now(&self) -> Time {
        Time::ZERO
    }

    // Cancelled tasks arm a timer for their cleanup; no test here takes that long.
    fn arm_timer(&self, _at: Time, _waker: Waker) -> TimerKey {
        TimerKey(0)
    }

    fn disarm_timer(&self, _key: TimerKey) {}

    fn seed(&self) -> u64 {
        7
    }
}

/// Runs `body` as one step of a task, with its context and a function that cancels its scope. Futures
/// are polled by hand inside; the task must leave nothing behind.
pub fn in_task<R: Send + 'static>(body: impl FnOnce(&Cx, &dyn Fn()) -> R + Send + 'static) -> R {
    let host = Arc::new(Line::default());
    let root = Arc::new(Root::new(host.clone(), RegionOptions::new()));
    let result = LoomArc::new(Mutex::new(None));
    let (place, scope) = (result.clone(), root.clone());
    drop(root.spawn(async move |cx: &Cx| {
        let answer = body(cx, &|| scope.cancel(CancelReason::user("the test says so")));
        *place.lock() = Some(answer);
        Ok::<(), asupersync_core::Cancelled>(())
    }));
    root.begin_close();
    loop {
        let task = host.0.lock().pop_front();
        let Some(task) = task else { break };
        task.run();
    }
    let Poll::Ready(report) = root.poll_closed(&mut Context::from_waker(Waker::noop())) else {
        panic!("the task has not ended")
    };
    assert!(report.leaks.is_empty(), "{:?}", report.leaks);
    if let Some(failure) = root.unclaimed_failures().pop() {
        panic!("{failure:?}");
    }
    let answer = result.lock().take();
    answer.expect("the body has run")
}

/// Counts its wakes.
#[derive(Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    pub fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (wakes.clone(), wakes.into())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs a closure when woken: foreign code at its worst.
pub struct OnWake<F>(pub F);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A waker that runs `f`.
pub fn on_wake(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(OnWake(f)).into()
}

/// A waker whose last reference runs `f` when dropped.
pub fn on_drop(f: impl Fn() + Send + Sync + 'static) -> Waker {
    struct OnDrop<F: Fn()>(F);
    impl<F: Fn()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    impl<F: Fn() + Send + Sync + 'static> Wake for OnDrop<F> {
        fn wake(self: Arc<Self>) {}
    }
    Arc::new(OnDrop(f)).into()
}

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Polls once with this waker.
pub fn poll_with<T>(future: &mut Boxed<'_, T>, waker: &Waker) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Polls once with a waker that does nothing.
pub fn poll<T>(future: &mut Boxed<'_, T>) -> Poll<T> {
    poll_with(future, Waker::noop())
}

/// Polls once and drops the future.
pub fn once<T>(future: impl Future<Output = T>) -> Poll<T> {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Expects the future to be ready at its first poll.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match once(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("had to wait"),
    }
}

/// Sequences of operations in which a primitive and its model are compared at every run. Many more, by
/// hand: `PROPTEST_CASES=100000 cargo test --release -p PACKAGE behaves_like`.
pub const FEW: u32 = if cfg!(mutants) { 10_000 } else { 400 };

/// Random sequences to try: `n`, unless `PROPTEST_CASES` says otherwise.
#[cfg(not(loom))]
pub fn cases(n: u32) -> proptest::prelude::ProptestConfig {
    let mut config = proptest::prelude::ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = n;
    }
    config.failure_persistence = None;
    config
}

#[cfg(mutants)]
const BROKEN_BY: &str = "ASUPERSYNC_BROKEN_BY";

/// The mutant that this process is to be broken by.
#[cfg(mutants)]
pub fn broken_by<M: Copy + std::fmt::Debug>(all: &[M]) -> Option<M> {
    let name = std::env::var(BROKEN_BY).ok()?;
    Some(*all.iter().find(|mutant| format!("{mutant:?}") == name).expect("a mutant's name"))
}

/// Runs one test of this file again with a primitive broken: it must fail. In a process of its own,
/// because the choice of mutant is global, and a deadlock under loom ends in a double panic.
#[cfg(mutants)]
pub fn check_broken(test: &str, mutant: impl std::fmt::Debug) {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(BROKEN_BY, format!("{mutant:?}"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success(), "{test} does not see {mutant:?}");
}
