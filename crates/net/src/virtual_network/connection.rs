//! A virtual connection with those who wait for it.

use super::link::{Answer, Link};
use super::timer::Clock;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Host, Object, Time, TimerKey, WakeList};
use asupersync_io::Waiter;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

pub(crate) struct Connection {
    clock: Clock,
    /// `objects[i]` is what end `i` writes.
    objects: [Object; 2],
    state: Mutex<State>,
    /// What the timers of `parked` wake.
    alarms: [[Waker; 2]; 2],
}

struct State {
    link: Link,
    /// Who waits at each end, to read and to write.
    parked: [[Parked; 2]; 2],
}

#[derive(Default)]
struct Parked {
    waiter: Waiter,
    /// When whoever waits here is woken by the clock.
    timer: Option<(Time, TimerKey)>,
}

const READ: usize = 0;
const WRITE: usize = 1;

impl State {
    fn everybody(&mut self) -> WakeList {
        let mut wakers = WakeList::new();
        wakers.extend(self.parked.iter_mut().flatten().filter_map(|parked| parked.waiter.take()));
        wakers
    }
}

/// Wakes whoever waits at one end, one way: so that the other end can set the clock for it.
struct Alarm {
    connection: Weak<Connection>,
    end: usize,
    way: usize,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        let Some(connection) = self.connection.upgrade() else { return };
        let Some(now) = connection.clock.now() else { return };
        let mut state = connection.state.lock();
        let parked = &mut state.parked[self.end][self.way];
        if parked.timer.is_some_and(|(at, _)| at <= now) {
            parked.timer = None;
        }
        let waker = parked.waiter.take();
        drop(state);
        if let Some(waker) = waker {
            WakeList::wake_one(waker);
        }
    }
}

impl Connection {
    pub(crate) fn new(clock: Clock, link: Link) -> Arc<Connection> {
        Arc::new_cyclic(|connection| Connection {
            clock,
            objects: [Object::new("virtual tcp"), Object::new("virtual tcp")],
            state: Mutex::new(State { link, parked: Default::default() }),
            alarms: [0, 1].map(|end| {
                [READ, WRITE].map(|way| {
                    Waker::from(Arc::new(Alarm { connection: connection.clone(), end, way }))
                })
            }),
        })
    }

    fn poll<T>(
        &self,
        end: usize,
        way: usize,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&mut Link, Time) -> Answer<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let object = &self.objects[if way == WRITE { end } else { 1 - end }];
        let host = self.clock.host()?;
        let now = host.now();
        let mut spare = None;
        loop {
            let mut state = self.state.lock();
            let resets = state.link.resets();
            let sent_until = state.link.last_due(end);
            match operation(&mut state.link, now) {
                Answer::Done(result) => {
                    let stale = state.parked[end][way].timer.take();
                    let mut wakers = WakeList::new();
                    let mut arrives = None;
                    if state.link.resets() != resets {
                        // A reset that was provoked concerns everybody.
                        wakers = state.everybody();
                        host.foresee(&mut state.link.instants());
                    } else if way == READ {
                        // There is room for the other end's writer.
                        wakers.extend(state.parked[1 - end][WRITE].waiter.take());
                    } else {
                        host.foresee(&mut state.link.sent_after(end, sent_until));
                        // The other end's reader is woken when the bytes arrive, and not to look at them.
                        let at = state.link.next_at(1 - end);
                        let reader = &mut state.parked[1 - end][READ];
                        match at {
                            Some(at) if at <= now => wakers.extend(reader.waiter.take()),
                            at => arrives = at.filter(|_| reader.waiter.is_parked()),
                        }
                        let armed = reader.timer.map(|(armed, _)| armed);
                        arrives = arrives.filter(|at| armed.is_none_or(|armed| armed > *at));
                    }
                    drop(state);
                    object.write();
                    if let Some((_, key)) = stale {
                        host.disarm_timer(key);
                    }
                    if let Some(at) = arrives {
                        self.arm(&*host, 1 - end, READ, at);
                    }
                    wakers.wake();
                    return Poll::Ready(result);
                }
                Answer::Wait(until) => {
                    let parked = &mut state.parked[end][way];
                    if !parked.waiter.park(context, &mut spare) {
                        drop(state);
                        spare = Some(context.waker().clone());
                        continue;
                    }
                    let fits = parked.timer.map(|(at, _)| at) == until;
                    let stale = if fits { None } else { parked.timer.take() };
                    drop(state);
                    object.read();
                    if let Some((_, key)) = stale {
                        host.disarm_timer(key);
                    }
                    if let Some(at) = until.filter(|_| !fits) {
                        self.arm(&*host, end, way, at);
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Sets the clock for who waits at this end, this way.
    fn arm(&self, host: &dyn Host, end: usize, way: usize, at: Time) {
        let key = host.arm_timer(at, self.alarms[end][way].clone());
        let mut state = self.state.lock();
        let timer = &mut state.parked[end][way].timer;
        let stale = match *timer {
            // Somebody else was faster, and will do.
            Some((armed, _)) if armed <= at => Some(key),
            _ => timer.replace((at, key)).map(|(_, key)| key),
        };
        drop(state);
        if let Some(key) = stale {
            host.disarm_timer(key);
        }
    }

    /// Changes the link for good, outside of any wait, and tells everybody.
    pub(crate) fn change(&self, operation: impl FnOnce(&mut Link, Time)) {
        let host = self.clock.host().ok();
        let now = host.as_ref().map_or(Time::ZERO, |host| host.now());
        let mut state = self.state.lock();
        operation(&mut state.link, now);
        host.iter().for_each(|host| host.foresee(&mut state.link.instants()));
        let wakers = state.everybody();
        drop(state);
        for object in &self.objects {
            object.write();
        }
        wakers.wake();
    }
}

/// One end of a virtual connection. Its owner closes it.
pub(crate) struct End {
    connection: Arc<Connection>,
    end: usize,
}

impl End {
    pub(crate) fn pair(connection: &Arc<Connection>) -> [End; 2] {
        [0, 1].map(|end| End { connection: connection.clone(), end })
    }

    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.poll(self.end, READ, context, |link, now| link.read(self.end, now, buf))
    }

    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.poll(self.end, WRITE, context, |link, now| link.write(self.end, now, bufs))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        self.connection.change(|link, now| {
            if how != Shutdown::Write {
                link.shut_read(self.end);
            }
            if how != Shutdown::Read {
                link.shut_write(self.end, now);
            }
        });
    }

    pub(crate) fn close(&self, abort: bool) {
        self.connection.change(|link, now| link.close(self.end, now, abort));
        let mut state = self.connection.state.lock();
        let timers = state.parked[self.end].each_mut().map(|parked| parked.timer.take());
        drop(state);
        for (_, key) in timers.into_iter().flatten() {
            self.connection.clock.disarm(Some(key));
        }
    }
}

/// One end of a virtual TCP connection.
pub(crate) struct VirtualStream {
    end: End,
    local: SocketAddr,
    peer: SocketAddr,
    settings: Mutex<Settings>,
    /// Gives the local port back when this end is dropped.
    _port: Option<super::Port>,
}

/// Socket options that are remembered; only `abort` means something to the virtual network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<std::time::Duration>,
    pub(crate) linger: Option<std::time::Duration>,
}

impl VirtualStream {
    pub(crate) fn pair(
        connection: Arc<Connection>,
        client: SocketAddr,
        server: SocketAddr,
        port: super::Port,
    ) -> [VirtualStream; 2] {
        let [near, far] = End::pair(&connection);
        let stream = |end, local, peer, port| VirtualStream {
            end,
            local,
            peer,
            settings: Mutex::new(Settings::default()),
            _port: port,
        };
        [stream(near, client, server, Some(port)), stream(far, server, client, None)]
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn settings(&self) -> Settings {
        *self.settings.lock()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock());
    }
}

impl AsRef<End> for VirtualStream {
    fn as_ref(&self) -> &End {
        &self.end
    }
}

impl Drop for VirtualStream {
    fn drop(&mut self) {
        let abort = self.settings.lock().linger == Some(std::time::Duration::ZERO);
        self.end.close(abort);
    }
}
