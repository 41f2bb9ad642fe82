//! The production host beside Tokio 1.54, both with two workers and their default settings.
//!
//! A workload whose name ends in `_current` runs on both sides on the thread that waits; all others
//! run on the multi-thread flavours, begun inside a task. Times are of the workload alone: runtimes,
//! tasks that only prepare, and connections are there before the clock starts.

use std::future::Future;
use std::time::{Duration, Instant};

use asupersync_core::{Cx, Error, Outcome, TaskBody, cap};
use asupersync_runtime::{Runtime, RuntimeBuilder};

use crate::runner::{Better, Runner, Side};

pub(super) mod cancel;
mod channels;
mod idle;
mod locks;
pub(super) mod spawn;
mod tcp;
mod timers;
mod yields;

const WORKERS: usize = 2;
pub(super) const TOKIO: &str = "tokio";

/// Runs the group.
pub fn run(runner: &mut Runner) {
    let hosts = Hosts::new();
    spawn::run(runner, &hosts);
    yields::run(runner, &hosts);
    channels::run(runner, &hosts);
    timers::run(runner, &hosts);
    locks::run(runner, &hosts);
    tcp::run(runner, &hosts);
    cancel::run(runner, &hosts.threads);
    drop(hosts);
    channels::run_across_threads(runner);
    idle::run(runner);
}

/// Two flavours of two runtimes, all idle but for the one being measured.
pub(super) struct Hosts {
    pub(super) threads: Pair,
    current: Pair,
}

pub(super) struct Pair {
    ours: Runtime,
    tokio: tokio::runtime::Runtime,
}

impl Hosts {
    pub(super) fn new() -> Hosts {
        Hosts { threads: Pair::threads(WORKERS), current: Pair::current() }
    }
}

impl Pair {
    fn threads(workers: usize) -> Pair {
        let ours = RuntimeBuilder::multi_thread().worker_threads(workers).build();
        let mut tokio = tokio::runtime::Builder::new_multi_thread();
        let tokio = tokio.worker_threads(workers).enable_all().build();
        Pair { ours: ours.expect("a runtime"), tokio: tokio.expect("a runtime") }
    }

    fn current() -> Pair {
        let ours = RuntimeBuilder::current_thread().build();
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Pair { ours: ours.expect("a runtime"), tokio: tokio.expect("a runtime") }
    }

    pub(super) fn ours<F>(&self, body: F) -> f64
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<f64, Error>,
        F: for<'a> TaskBody<'a, cap::All, f64, Error> + Send + 'static,
    {
        match self.ours.block_on(body) {
            Outcome::Ok(figure) => figure,
            failed => panic!("the workload ended as {failed:?}"),
        }
    }

    pub(super) fn tokio(&self, body: impl Future<Output = f64> + Send + 'static) -> f64 {
        // In a task, as ours is: `block_on` alone would stay outside of the workers.
        self.tokio.block_on(self.tokio.spawn(body)).expect("the workload does not panic")
    }
}

/// Both sides of a workload given as two functions of the pair.
pub(super) fn sides<'a>(
    pair: &'a Pair,
    ours: impl Fn(&Pair) -> f64 + 'a,
    tokio: impl Fn(&Pair) -> f64 + 'a,
) -> Vec<Side<'a>> {
    vec![Side::new("", move || ours(pair)), Side::new(TOKIO, move || tokio(pair))]
}

/// Compares nanoseconds an operation.
fn nanoseconds(
    runner: &mut Runner,
    bench: &str,
    pair: &Pair,
    ours: impl Fn(&Pair) -> f64,
    tokio: impl Fn(&Pair) -> f64,
) {
    runner.compare(bench, "ns", Better::Lower, sides(pair, ours, tokio));
}

/// Nanoseconds for each of `count` operations since `start`.
pub(super) fn each(start: Instant, count: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Millions of operations a second since `start`.
pub(super) fn millions(start: Instant, count: usize) -> f64 {
    count as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The full size, or a hundredth of it when only the running is checked.
pub(super) fn size(runner: &Runner, full: usize) -> usize {
    if runner.quick() { (full / 100).max(4) } else { full }
}
