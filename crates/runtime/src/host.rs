//! The production host: what the kernel asks of the machine, answered by scheduler, clock and drivers.

use crate::record::Ended;
use asupersync_core::{BlockingPool, Event, Host, Lane, Runnable, Time, TimerKey, WakeList};
use asupersync_reactor::{Driver, Reactor};
use asupersync_sched::{Park, Scheduler, Unpark};
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// Receives kernel events.
pub(crate) type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Drivers that were added to the runtime's own, by type.
pub(crate) type Services = BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>;

pub(crate) struct Production {
    pub(crate) scheduler: Scheduler,
    pub(crate) seed: u64,
    pub(crate) reactor: Arc<Reactor>,
    pub(crate) blocking: Arc<Arc<dyn BlockingPool>>,
    pub(crate) observer: Option<Observer>,
    pub(crate) services: Services,
}

impl Host for Production {
    fn schedule(&self, task: Runnable, lane: Lane) {
        self.scheduler.schedule(task, lane);
    }

    fn home(&self) -> u32 {
        self.scheduler.home()
    }

    fn now(&self) -> Time {
        self.scheduler.now()
    }

    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        self.scheduler.arm_timer(at, waker)
    }

    fn disarm_timer(&self, key: TimerKey) {
        self.scheduler.disarm_timer(key);
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn observing(&self) -> bool {
        self.observer.is_some()
    }

    fn observe(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    fn service(&self, service: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        if service == TypeId::of::<Reactor>() {
            Some(self.reactor.clone())
        } else if service == TypeId::of::<Arc<dyn BlockingPool>>() {
            Some(self.blocking.clone())
        } else {
            self.services.get(&service).cloned()
        }
    }
}

/// The reactor, as what a worker sleeps in.
pub(crate) struct ParkedReactor {
    pub(crate) driver: Driver,
    pub(crate) reactor: Reactor,
    /// Of a recorded run, whose tasks learn here which closures have ended.
    pub(crate) ended: Option<Arc<Ended>>,
}

impl Park for ParkedReactor {
    fn park(&mut self, timeout: Option<Duration>, wakers: &mut WakeList) {
        if let Err(error) = self.driver.turn(timeout, wakers) {
            // Epoll refuses only descriptors and buffers that are not what they should be.
            panic!("the reactor cannot wait for events: {error}");
        }
        if let Some(ended) = &self.ended {
            ended.collect(wakers);
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(UnparkReactor(self.reactor.clone()))
    }
}

struct UnparkReactor(Reactor);

impl Unpark for UnparkReactor {
    fn unpark(&self) {
        self.0.unpark();
    }
}
