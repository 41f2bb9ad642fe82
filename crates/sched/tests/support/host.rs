//! A host that is nothing but a scheduler.

use asupersync_core::{Host, Lane, Runnable, Time, TimerKey};
use asupersync_sched::Scheduler;
use std::task::Waker;

pub(crate) struct TestHost(pub(crate) Scheduler);

impl Host for TestHost {
    fn schedule(&self, task: Runnable, lane: Lane) {
        self.0.schedule(task, lane);
    }
    fn now(&self) -> Time {
        self.0.now()
    }
    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        self.0.arm_timer(at, waker)
    }
    fn disarm_timer(&self, key: TimerKey) {
        self.0.disarm_timer(key);
    }
    fn seed(&self) -> u64 {
        0
    }
}
