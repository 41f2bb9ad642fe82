//! Datagrams in the virtual network.
//!
//! A socket has a mailbox, in which datagrams wait in the order of their arrival, those still under way
//! included. What becomes of a datagram is decided when it is sent.

use super::rng::Rng;
use super::timer::Clock;
use super::{Port, Protocol, VirtualNetwork};
use asupersync_core::primitive::Mutex;
use asupersync_core::{Object, Time, TimerKey, WakeList};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The longest datagram that IPv4 carries (RFC 768 and 791): 65,535 bytes less two headers.
const LONGEST: usize = 65_507;
/// With this many wakers, all are woken: those still interested come back.
const MANY_WAITERS: usize = 64;

pub(crate) struct Mailbox {
    object: Object,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By arrival, then in the order of sending.
    datagrams: BTreeMap<(Time, u64), Datagram>,
    sent: u64,
    bytes: usize,
    /// When the last datagram of a sender arrives: the next one does not overtake it.
    last: BTreeMap<SocketAddr, Time>,
    /// Only this sender's datagrams are taken.
    peer: Option<SocketAddr>,
    groups: BTreeSet<IpAddr>,
    settings: Settings,
    receivers: Vec<Waker>,
    timer: Option<(Time, TimerKey)>,
}

struct Datagram {
    from: SocketAddr,
    bytes: Arc<[u8]>,
}

/// Socket options. Only `broadcast` and `multicast_loop` mean something to the virtual network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) broadcast: bool,
    pub(crate) multicast_loop: bool,
    pub(crate) multicast_ttl: u32,
    pub(crate) ttl: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { broadcast: false, multicast_loop: true, multicast_ttl: 1, ttl: 64 }
    }
}

impl Mailbox {
    fn post(self: &Arc<Self>, at: Time, datagram: Datagram, in_order: bool, limit: usize) {
        let mut wakers = WakeList::new();
        let mut state = self.state.lock();
        let is_stranger = state.peer.is_some_and(|peer| peer != datagram.from);
        if is_stranger || state.bytes + datagram.bytes.len() > limit {
            return;
        }
        let mut at = at;
        if in_order {
            let last = state.last.entry(datagram.from).or_insert(at);
            at = at.max(*last);
            *last = at;
        }
        state.sent += 1;
        state.bytes += datagram.bytes.len();
        let key = (at, state.sent);
        state.datagrams.insert(key, datagram);
        if let Ok(host) = self.clock.host() {
            host.foresee(&mut std::iter::once(at));
        }
        wakers.extend(state.receivers.drain(..));
        drop(state);
        self.object.write();
        // Those who wait look for themselves when it will be there.
        wakers.wake();
    }

    fn poll<T>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        take: impl FnOnce(&mut State, (Time, u64)) -> T,
    ) -> Poll<io::Result<T>> {
        let host = self.clock.host()?;
        let now = host.now();
        let waker = context.waker().clone();
        let mut crowd = WakeList::new();
        let mut state = self.state.lock();
        let first = state.datagrams.keys().next().copied();
        if let Some(key) = first.filter(|(at, _)| *at <= now) {
            let taken = take(&mut state, key);
            drop(state);
            self.object.write();
            return Poll::Ready(Ok(taken));
        }
        if state.receivers.len() >= MANY_WAITERS {
            crowd.extend(state.receivers.drain(..));
        }
        let mut spare = Some(waker);
        if !state.receivers.iter().any(|known| known.will_wake(context.waker())) {
            state.receivers.extend(spare.take());
        }
        let armed = state.timer.map(|(at, _)| at);
        let wanted = first.map(|(at, _)| at);
        let stale = if armed == wanted { None } else { state.timer.take() };
        drop(state);
        drop(spare);
        self.object.read();
        self.clock.disarm(stale.map(|(_, key)| key));
        if let Some(at) = wanted.filter(|_| armed != wanted) {
            let key = host.arm_timer(at, Waker::from(self.clone()));
            let stale = self.state.lock().timer.replace((at, key));
            self.clock.disarm(stale.map(|(_, key)| key));
        }
        crowd.wake();
        Poll::Pending
    }

    /// Drops what waits, and what is under way here.
    pub(crate) fn discard(&self) {
        self.object.write();
        let mut state = self.state.lock();
        state.bytes = 0;
        let gone = std::mem::take(&mut state.datagrams);
        drop(state);
        drop(gone);
    }

    fn tell(&self) {
        let mut wakers = WakeList::new();
        wakers.extend(self.state.lock().receivers.drain(..));
        wakers.wake();
    }
}

/// The timer's call: the next datagram is there.
impl Wake for Mailbox {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.state.lock().timer = None;
        self.tell();
    }
}

/// A bound virtual socket for datagrams.
pub(crate) struct VirtualUdp {
    network: VirtualNetwork,
    mailbox: Arc<Mailbox>,
    rng: Mutex<Rng>,
    port: Port,
}

impl VirtualUdp {
    pub(crate) fn bind(network: &VirtualNetwork, address: SocketAddr) -> io::Result<VirtualUdp> {
        const PURPOSE: u64 = 3;
        let clock = network.clock()?;
        let port = network.port(Protocol::Udp, address)?;
        let mailbox = Arc::new(Mailbox {
            object: Object::new("virtual udp"),
            clock,
            state: Mutex::new(State::default()),
        });
        let rng = Mutex::new(network.rng(&port, port.address, PURPOSE));
        network.shared.table.lock().mailboxes.insert(port.address, mailbox.clone());
        Ok(VirtualUdp { network: network.clone(), mailbox, rng, port })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.port.address
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.mailbox.state.lock().peer
    }

    pub(crate) fn connect(&self, peer: SocketAddr) {
        self.mailbox.object.write();
        self.mailbox.state.lock().peer = Some(peer);
    }

    pub(crate) fn settings(&self) -> Settings {
        self.mailbox.state.lock().settings
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.mailbox.state.lock().settings);
    }

    pub(crate) fn join(&self, group: IpAddr) -> io::Result<()> {
        self.mailbox.object.write();
        if !group.is_multicast() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let is_new = self.mailbox.state.lock().groups.insert(group);
        if is_new { Ok(()) } else { Err(io::ErrorKind::AddrInUse.into()) }
    }

    pub(crate) fn leave(&self, group: IpAddr) -> io::Result<()> {
        self.mailbox.object.write();
        let was_in = self.mailbox.state.lock().groups.remove(&group);
        if was_in { Ok(()) } else { Err(io::ErrorKind::AddrNotAvailable.into()) }
    }

    /// Sends to `to`, or to the peer. A datagram is under way or lost, but never waits.
    pub(crate) fn send(&self, bytes: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        const EMSGSIZE: i32 = 90;
        let Some(to) = to.or(self.peer_addr()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if bytes.len() > LONGEST {
            return Err(io::Error::from_raw_os_error(EMSGSIZE));
        }
        let broadcast = to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST);
        if broadcast && !self.settings().broadcast {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let local = self.local_addr();
        let bound_to = (!local.ip().is_unspecified()).then(|| local.ip());
        let from = SocketAddr::new(self.network.source(bound_to, to), local.port());
        let datagram: Arc<[u8]> = bytes.into();
        for mailbox in self.receivers(to, broadcast) {
            self.deliver(&mailbox, from, to, &datagram)?;
        }
        Ok(bytes.len())
    }

    fn deliver(
        &self,
        mailbox: &Arc<Mailbox>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &Arc<[u8]>,
    ) -> io::Result<()> {
        let options = self.network.current();
        let now = self.mailbox.clock.host()?.now();
        let mut rng = self.rng.lock();
        // Drawn in any case, so that an option that is changed does not change what the others draw.
        let (lost, doubled) = (rng.chance(options.loss), rng.chance(options.duplicate));
        let late = rng.chance(options.reorder);
        let mut arrivals = [None, None];
        for arrival in arrivals.iter_mut().take(if doubled { 2 } else { 1 }) {
            let mut latency = options.draw_latency(&mut rng);
            if late {
                let longest = options.latency.end().as_nanos().min(u128::from(u64::MAX / 4)) as u64;
                latency += Duration::from_nanos(rng.within(&(1..=2 * longest.max(1))));
            }
            *arrival = Some(now + latency);
        }
        drop(rng);
        if lost || self.network.is_partitioned(from.ip(), to.ip()) {
            return Ok(());
        }
        for arrival in arrivals.into_iter().flatten() {
            let datagram = Datagram { from, bytes: bytes.clone() };
            mailbox.post(arrival, datagram, !late, options.datagram_buffer);
        }
        Ok(())
    }

    fn receivers(&self, to: SocketAddr, broadcast: bool) -> Vec<Arc<Mailbox>> {
        self.network.shared.object.read();
        let loops = self.settings().multicast_loop;
        let table = self.network.shared.table.lock();
        if !(broadcast || to.ip().is_multicast()) {
            let anywhere = match to {
                SocketAddr::V4(_) => IpAddr::from([0; 4]),
                SocketAddr::V6(_) => IpAddr::from([0; 16]),
            };
            let wildcard = SocketAddr::new(anywhere, to.port());
            let found = table.mailboxes.get(&to).or_else(|| table.mailboxes.get(&wildcard));
            return found.cloned().into_iter().collect();
        }
        let of_port = table.mailboxes.iter().filter(|(address, _)| address.port() == to.port());
        let all: Vec<Arc<Mailbox>> = of_port.map(|(_, mailbox)| mailbox.clone()).collect();
        drop(table);
        let is_meant = |mailbox: &Arc<Mailbox>| {
            let is_member = broadcast || mailbox.state.lock().groups.contains(&to.ip());
            is_member && (loops || !Arc::ptr_eq(mailbox, &self.mailbox))
        };
        all.into_iter().filter(is_meant).collect()
    }

    pub(crate) fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
        peek: bool,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.mailbox.poll(context, |state, key| {
            let datagram = state.datagrams.get(&key).expect("it was just seen");
            let (from, bytes) = (datagram.from, datagram.bytes.clone());
            if !peek {
                state.datagrams.remove(&key);
                state.bytes -= bytes.len();
            }
            let n = bytes.len().min(buf.len());
            buf[..n].copy_from_slice(&bytes[..n]);
            (n, from)
        })
    }
}

impl Drop for VirtualUdp {
    fn drop(&mut self) {
        let mailbox = self.network.shared.table.lock().mailboxes.remove(&self.port.address);
        drop(mailbox);
        let timer = self.mailbox.state.lock().timer.take();
        self.mailbox.clock.disarm(timer.map(|(_, key)| key));
        self.mailbox.tell();
    }
}
