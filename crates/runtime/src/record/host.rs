//! The production host, with a recorder at each of its doors.

use super::Recorder;
use crate::host::Production;
use asupersync_core::{BlockingPool, Event, Host, Lane, Runnable, Time, TimerKey};
use asupersync_reactor::Taped;
use std::any::{Any, TypeId};
use std::sync::Arc;
use std::task::Waker;

pub(crate) struct RecordedHost {
    pub(crate) production: Production,
    pub(crate) recorder: Arc<Recorder>,
    /// In the reactor's place: what asks for that finds nothing, and says so.
    pub(crate) taped: Arc<Taped>,
}

impl Host for RecordedHost {
    fn schedule(&self, task: Runnable, lane: Lane) {
        self.production.schedule(task, lane);
    }

    fn now(&self) -> Time {
        let now = self.production.now();
        self.recorder.clock(now);
        now
    }

    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        self.production.arm_timer(at, waker)
    }

    fn disarm_timer(&self, key: TimerKey) {
        self.production.disarm_timer(key);
    }

    fn seed(&self) -> u64 {
        self.production.seed()
    }

    fn observing(&self) -> bool {
        true
    }

    fn observe(&self, event: &Event<'_>) {
        self.recorder.kernel(event);
        self.production.observe(event);
    }

    fn service(&self, service: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        if service == TypeId::of::<Taped>() {
            Some(self.taped.clone())
        } else if service == TypeId::of::<Arc<dyn BlockingPool>>() {
            self.production.service(service)
        } else {
            None
        }
    }
}
