//! The kernel's test machine with a virtual network in it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

#[path = "../../../core/tests/support/mod.rs"]
mod machine;

use asupersync_core::{
    Cx, Event, Host, Lane, Outcome, RegionOptions, Root, Runnable, TaskBody, Time, TimerKey,
};
use asupersync_net::{VirtualNetwork, VirtualOptions};
use machine::Machine;
use std::any::{Any, TypeId};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

pub struct World {
    machine: Arc<Machine>,
    network: Option<Arc<VirtualNetwork>>,
    /// When each poll began: with equal bodies, equal lists mean equal runs.
    pub history: Mutex<Vec<String>>,
}

impl Host for World {
    fn schedule(&self, task: Runnable, lane: Lane) {
        self.machine.schedule(task, lane);
    }

    fn now(&self) -> Time {
        self.machine.now()
    }

    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        self.machine.arm_timer(at, waker)
    }

    fn disarm_timer(&self, key: TimerKey) {
        self.machine.disarm_timer(key);
    }

    fn seed(&self) -> u64 {
        self.machine.seed()
    }

    fn observing(&self) -> bool {
        true
    }

    fn observe(&self, event: &Event<'_>) {
        if matches!(event, Event::PollBegin { .. } | Event::User { .. } | Event::Access { .. }) {
            self.history.lock().unwrap().push(format!("{event:?}"));
        }
    }

    fn service(&self, service: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        if service == TypeId::of::<VirtualNetwork>() {
            return self.network.clone().map(|network| network as _);
        }
        self.machine.service(service)
    }
}

/// What a run came to.
pub struct Ran<T> {
    pub value: T,
    pub at: Time,
    pub history: Vec<String>,
    pub network: VirtualNetwork,
}

/// Runs a body to quiescence on a virtual network; it must end well.
pub fn run<F, T, E>(options: VirtualOptions, seed: u64, body: F) -> Ran<T>
where
    T: Send + Debug + 'static,
    E: Send + Debug + 'static,
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, asupersync_core::cap::All, T, E> + Send + 'static,
{
    let network = VirtualNetwork::new(options, seed);
    let world = Arc::new(World {
        machine: Machine::new(),
        network: Some(Arc::new(network.clone())),
        history: Mutex::default(),
    });
    let host: Arc<dyn Host> = world.clone();
    let weak: Weak<dyn Host> = Arc::downgrade(&host);
    network.attach(weak);
    let value = finish(&world, host, body, &network);
    assert_eq!(world.machine.armed_timers(), 0, "{network:?} left timers armed");
    assert!(network.connections().is_empty(), "{network:?} left connections");
    let history = std::mem::take(&mut *world.history.lock().unwrap());
    Ran { value, at: world.now(), history, network }
}

/// Runs a body on a host without any network.
pub fn run_without_network<F, T, E>(body: F) -> T
where
    T: Send + Debug + 'static,
    E: Send + Debug + 'static,
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, asupersync_core::cap::All, T, E> + Send + 'static,
{
    let world =
        Arc::new(World { machine: Machine::new(), network: None, history: Mutex::default() });
    finish(&world, world.clone(), body, &"no network")
}

fn finish<F, T, E>(world: &Arc<World>, host: Arc<dyn Host>, body: F, label: &dyn Debug) -> T
where
    T: Send + Debug + 'static,
    E: Send + Debug + 'static,
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, asupersync_core::cap::All, T, E> + Send + 'static,
{
    let root = Root::new(host, RegionOptions::new().name("root"));
    let mut handle = root.spawn(body);
    root.begin_close();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2_000_000 {
        if root.poll_closed(&mut context).is_ready() {
            return match handle.poll_join(&mut context) {
                Poll::Ready(Ok(Outcome::Ok(value))) => value,
                other => panic!("{label:?}: {other:?}"),
            };
        }
        assert!(world.machine.step(), "{label:?}: nothing can run:\n{}", root.snapshot());
    }
    panic!("{label:?}: the program does not end:\n{}", root.snapshot());
}
