//! The host's timers, for those who wait for an instant rather than for each other.

use asupersync_core::{Host, Time, TimerKey};
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// The host that the network's instants are measured by.
#[derive(Clone)]
pub(crate) struct Clock(Weak<dyn Host>);

impl Clock {
    pub(crate) fn new(host: Weak<dyn Host>) -> Clock {
        Clock(host)
    }

    pub(crate) fn host(&self) -> io::Result<Arc<dyn Host>> {
        self.0.upgrade().ok_or_else(|| io::Error::other("the virtual network's host is gone"))
    }

    /// The present moment; none once the host is gone.
    pub(crate) fn now(&self) -> Option<Time> {
        Some(self.0.upgrade()?.now())
    }

    pub(crate) fn disarm(&self, key: Option<TimerKey>) {
        if let (Some(key), Some(host)) = (key, self.0.upgrade()) {
            host.disarm_timer(key);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// One alarm at a time, disarmed when dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    clock: Clock,
    key: Option<TimerKey>,
}

impl Alarm {
    pub(crate) fn new(clock: Clock) -> Alarm {
        Alarm { clock, key: None }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn poll(&mut self, at: Time, context: &mut Context<'_>) -> Poll<io::Result<Time>> {
        let host = self.clock.host()?;
        self.clock.disarm(self.key.take());
        let now = host.now();
        if now >= at {
            return Poll::Ready(Ok(now));
        }
        self.key = Some(host.arm_timer(at, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clock.disarm(self.key.take());
    }
}
