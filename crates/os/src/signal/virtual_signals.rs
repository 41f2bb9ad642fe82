//! Signals that a test raises.

use super::Signal;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Object, WakeList};
use asupersync_io::Waiter;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The lab's signals: the driver behind [`Signals`](super::Signals), which a host offers as the service
/// of this type. Cheap to clone; a test keeps a clone and [raises](Self::raise) what it likes.
#[derive(Clone, Default)]
pub struct VirtualSignals {
    shared: Arc<Shared>,
}

struct Shared {
    object: Object,
    state: Mutex<State>,
}

impl Default for Shared {
    fn default() -> Self {
        Shared { object: Object::new("virtual signals"), state: Mutex::new(State::default()) }
    }
}

#[derive(Default)]
struct State {
    subscribers: BTreeMap<u64, Subscriber>,
    next: u64,
}

struct Subscriber {
    wanted: u64,
    pending: u64,
    /// The one that was received last.
    last: Option<Signal>,
    waiter: Waiter,
}

impl VirtualSignals {
    /// Nobody watches, nothing is pending.
    #[must_use]
    pub fn new() -> VirtualSignals {
        VirtualSignals::default()
    }

    /// Delivers a signal to all that watch it and answers how many there are. With none, a real
    /// process would have met the signal's default action.
    pub fn raise(&self, signal: Signal) -> usize {
        self.shared.object.write();
        let mut wakers = WakeList::new();
        let mut state = self.shared.state.lock();
        let mut delivered = 0;
        for subscriber in state.subscribers.values_mut() {
            if subscriber.wanted & signal.bit() != 0 {
                subscriber.pending |= signal.bit();
                delivered += 1;
                wakers.extend(subscriber.waiter.take());
            }
        }
        drop(state);
        wakers.wake();
        delivered
    }

    pub(super) fn subscribe(&self, wanted: u64) -> Subscription {
        self.shared.object.write();
        let mut state = self.shared.state.lock();
        let key = state.next;
        state.next += 1;
        let waiter = Waiter::new();
        state.subscribers.insert(key, Subscriber { wanted, pending: 0, last: None, waiter });
        Subscription { signals: self.clone(), key }
    }
}

impl fmt::Debug for VirtualSignals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribers = self.shared.state.lock().subscribers.len();
        f.debug_struct("VirtualSignals").field("subscribers", &subscribers).finish()
    }
}

#[derive(Debug)]
pub(super) struct Subscription {
    signals: VirtualSignals,
    key: u64,
}

impl Subscription {
    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Signal> {
        let Shared { object, state } = &*self.signals.shared;
        let mut spare = None;
        loop {
            let mut state = state.lock();
            let subscriber =
                state.subscribers.get_mut(&self.key).expect("subscribed until it is dropped");
            if let Some(signal) = Signal::after(subscriber.last, subscriber.pending) {
                subscriber.pending &= !signal.bit();
                subscriber.last = Some(signal);
                drop(state);
                object.write();
                return Poll::Ready(signal);
            }
            let parked = subscriber.waiter.park(context, &mut spare);
            drop(state);
            if parked {
                object.read();
                return Poll::Pending;
            }
            spare = Some(context.waker().clone());
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let subscriber = self.signals.shared.state.lock().subscribers.remove(&self.key);
        drop(subscriber);
    }
}
