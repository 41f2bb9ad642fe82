//! A virtual connection with those who wait for it.

use super::link::{Answer, Link};
use super::timer::Clock;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Object, Time, TimerKey, WakeList};
use asupersync_io::Waiter;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

pub(crate) struct Connection {
    clock: Clock,
    /// `objects[i]` is what end `i` writes.
    objects: [Object; 2],
    state: Mutex<State>,
}

struct State {
    link: Link,
    /// Who waits at each end, to read and to write.
    parked: [[Parked; 2]; 2],
}

#[derive(Default)]
struct Parked {
    waiter: Waiter,
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

impl Connection {
    pub(crate) fn new(clock: Clock, link: Link) -> Arc<Connection> {
        Arc::new(Connection {
            clock,
            objects: [Object::new("virtual tcp"), Object::new("virtual tcp")],
            state: Mutex::new(State { link, parked: Default::default() }),
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
            match operation(&mut state.link, now) {
                Answer::Done(result) => {
                    let stale = state.parked[end][way].timer.take();
                    // A read makes room for the other end's writer, a write has bytes for its reader; a
                    // reset that was provoked concerns everybody.
                    let mut wakers = WakeList::new();
                    if state.link.resets() == resets {
                        wakers.extend(state.parked[1 - end][1 - way].waiter.take());
                    } else {
                        wakers = state.everybody();
                    }
                    drop(state);
                    object.write();
                    if let Some((_, key)) = stale {
                        host.disarm_timer(key);
                    }
                    wakers.wake();
                    return Poll::Ready(result);
                }
                Answer::Wait(until) => {
                    let parked = &mut state.parked[end][way];
                    let armed = parked.timer.map(|(at, _)| at);
                    // The timer wakes whoever it was armed for: another waker needs another timer.
                    let same_waker = spare.is_none();
                    if !parked.waiter.park(context, &mut spare) {
                        drop(state);
                        spare = Some(context.waker().clone());
                        continue;
                    }
                    if armed == until && (same_waker || until.is_none()) {
                        drop(state);
                        object.read();
                        return Poll::Pending;
                    }
                    let stale = parked.timer.take();
                    drop(state);
                    object.read();
                    if let Some((_, key)) = stale {
                        host.disarm_timer(key);
                    }
                    if let Some(at) = until {
                        let key = host.arm_timer(at, context.waker().clone());
                        let mut state = self.state.lock();
                        let stale = state.parked[end][way].timer.replace((at, key));
                        drop(state);
                        self.clock.disarm(stale.map(|(_, key)| key));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Changes the link for good, outside of any wait, and tells everybody.
    pub(crate) fn change(&self, operation: impl FnOnce(&mut Link, Time)) {
        let now = self.clock.now().unwrap_or(Time::ZERO);
        let mut state = self.state.lock();
        operation(&mut state.link, now);
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

    pub(crate) fn end(&self) -> &End {
        &self.end
    }
}

impl Drop for VirtualStream {
    fn drop(&mut self) {
        let abort = self.settings.lock().linger == Some(std::time::Duration::ZERO);
        self.end.close(abort);
    }
}
