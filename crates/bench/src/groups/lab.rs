//! The lab beside shuttle and loom, on the same programs, and beside its floors.
//!
//! Every figure is by the processor time of the thread that runs it, for the lab, loom and shuttle each
//! run a program on one thread; so other load on the machine counts for little. Unless a row's name says
//! otherwise the lab runs as its users have it: all sixteen oracles and the fingerprint on, no trace kept.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::runner::{Runner, Side};

mod explore;
mod random;
mod tcp;
mod whole;

const LOOM: &str = "loom";
const SHUTTLE: &str = "shuttle";

/// Runs the group.
pub fn run(runner: &mut Runner) {
    explore::run(runner);
    random::run(runner);
    tcp::run(runner);
    whole::run(runner);
}

/// Processor time of this thread so far.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// Seconds of this thread's processor time that `work` takes.
fn seconds(work: impl FnOnce()) -> f64 {
    let start = used();
    work();
    (used() - start).as_secs_f64()
}

/// Runs shuttle without leaving the panic hook that it installs: loom ends its threads by panics, and the hook would
/// tell of each at length.
fn unhooked<T>(shuttle: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    let result = shuttle();
    std::panic::set_hook(hook);
    result
}

/// The figure to reach, as a contender.
fn floor(figure: f64) -> Side<'static> {
    Side::new("floor", move || figure)
}
