//! Unix sockets in the virtual network: links without latency.

use super::connection::{Connection, End};
use super::link::Link;
use super::listener::{Offer, Queue};
use super::rng::Rng;
use super::{VirtualNetwork, VirtualOptions};
use crate::unix::UnixAddr;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Object, WakeList};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What is bound to an address.
pub(super) enum Bound {
    Listener(Arc<Queue<VirtualUnixStream>>),
    Mailbox(Arc<Mailbox>),
}

/// One end of a virtual Unix connection.
pub(crate) struct VirtualUnixStream {
    end: End,
    local: UnixAddr,
    peer: UnixAddr,
}

impl VirtualUnixStream {
    pub(crate) fn local_addr(&self) -> &UnixAddr {
        &self.local
    }

    pub(crate) fn peer_addr(&self) -> &UnixAddr {
        &self.peer
    }
}

impl AsRef<End> for VirtualUnixStream {
    fn as_ref(&self) -> &End {
        &self.end
    }
}

impl Drop for VirtualUnixStream {
    fn drop(&mut self) {
        self.end.close(false);
    }
}

impl VirtualNetwork {
    /// A connection whose second end is at `server`.
    pub(crate) fn unix_pair(&self, server: &UnixAddr) -> io::Result<[VirtualUnixStream; 2]> {
        const PURPOSE: u64 = 4;
        let clock = self.clock()?;
        self.shared.object.write();
        let ordinal = {
            let mut table = self.shared.table.lock();
            table.unix_connections += 1;
            table.unix_connections
        };
        let rng = |end| {
            let name = server.words().chain([ordinal, PURPOSE, end]);
            Rng::named(self.shared.seed, name)
        };
        let options = VirtualOptions {
            latency: Duration::ZERO..=Duration::ZERO,
            reset: 0,
            ..self.options().clone()
        };
        let link = Link::new(Arc::new(options), [rng(0), rng(1)]);
        let [near, far] = End::pair(&Connection::new(clock, link));
        let unnamed = UnixAddr::UNNAMED;
        let client = VirtualUnixStream { end: near, local: unnamed.clone(), peer: server.clone() };
        Ok([client, VirtualUnixStream { end: far, local: server.clone(), peer: unnamed }])
    }

    pub(crate) fn unix_connect(&self, address: &UnixAddr) -> io::Result<VirtualUnixStream> {
        const EPROTOTYPE: i32 = 91;
        self.shared.object.read();
        let queue = match self.shared.table.lock().unix.get(address) {
            Some(Bound::Listener(queue)) => queue.clone(),
            Some(Bound::Mailbox(_)) => return Err(io::Error::from_raw_os_error(EPROTOTYPE)),
            None => return Err(nobody(address)),
        };
        let mut pair = Some(self.unix_pair(address)?);
        let mut client = None;
        let offer = queue.offer(|| {
            let [near, far] = pair.take().expect("the queue takes one connection");
            client = Some(near);
            far
        });
        match (offer, client) {
            (Offer::Taken, Some(client)) => Ok(client),
            (Offer::Full, _) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    fn unix_bind(&self, address: &UnixAddr, bound: Bound) -> io::Result<()> {
        self.shared.object.write();
        let mut table = self.shared.table.lock();
        if table.unix.contains_key(address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        table.unix.insert(address.clone(), bound);
        Ok(())
    }

    fn unix_unbind(&self, address: &UnixAddr) {
        self.shared.object.write();
        let bound = self.shared.table.lock().unix.remove(address);
        drop(bound);
    }
}

/// As Linux has it: a path without a file is not found, an abstract name refuses.
fn nobody(address: &UnixAddr) -> io::Error {
    let is_path = address.as_path().is_some();
    if is_path { io::ErrorKind::NotFound } else { io::ErrorKind::ConnectionRefused }.into()
}

pub(crate) struct VirtualUnixListener {
    network: VirtualNetwork,
    queue: Arc<Queue<VirtualUnixStream>>,
    local: UnixAddr,
}

impl VirtualUnixListener {
    pub(crate) fn bind(
        network: &VirtualNetwork,
        address: &UnixAddr,
    ) -> io::Result<VirtualUnixListener> {
        let queue = Queue::new(network.options().backlog);
        network.unix_bind(address, Bound::Listener(queue.clone()))?;
        Ok(VirtualUnixListener { network: network.clone(), queue, local: address.clone() })
    }

    pub(crate) fn local_addr(&self) -> &UnixAddr {
        &self.local
    }

    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<VirtualUnixStream> {
        self.queue.poll_accept(context)
    }
}

impl Drop for VirtualUnixListener {
    fn drop(&mut self) {
        self.network.unix_unbind(&self.local);
        drop(self.queue.close());
    }
}

/// As many datagrams as Linux lets wait (`net.unix.max_dgram_qlen`), and one.
const ROOM: usize = 11;

/// Where datagrams wait for their receiver.
pub(super) struct Mailbox {
    object: Object,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(UnixAddr, Vec<u8>)>,
    /// Only this sender's datagrams are taken.
    only_from: Option<UnixAddr>,
    closed: bool,
    /// Those who wait for a datagram, and those who wait for room.
    parked: Vec<Waker>,
}

impl Mailbox {
    fn new() -> Arc<Mailbox> {
        let object = Object::new("virtual unix datagram");
        Arc::new(Mailbox { object, state: Mutex::default() })
    }

    /// Does `operation`, or parks until something has changed.
    fn poll<T>(
        &self,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&mut State) -> Poll<T>,
    ) -> Poll<T> {
        let mut spare: Option<Waker> = None;
        loop {
            let mut wakers = WakeList::new();
            let mut state = self.state.lock();
            if let Poll::Ready(answer) = operation(&mut state) {
                wakers.extend(state.parked.drain(..));
                drop(state);
                self.object.write();
                wakers.wake();
                return Poll::Ready(answer);
            }
            let known = state.parked.iter().any(|waker| waker.will_wake(context.waker()));
            if !known {
                let Some(waker) = spare.take() else {
                    drop(state);
                    spare = Some(context.waker().clone());
                    continue;
                };
                state.parked.push(waker);
            }
            drop(state);
            self.object.read();
            return Poll::Pending;
        }
    }

    fn close(&self) {
        self.object.write();
        let mut wakers = WakeList::new();
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        wakers.extend(state.parked.drain(..));
        drop(state);
        drop(waiting);
        wakers.wake();
    }
}

pub(crate) struct VirtualUnixDatagram {
    network: VirtualNetwork,
    mailbox: Arc<Mailbox>,
    local: UnixAddr,
    peer: Mutex<Option<Arc<Mailbox>>>,
}

impl VirtualUnixDatagram {
    pub(crate) fn unbound(network: &VirtualNetwork) -> VirtualUnixDatagram {
        VirtualUnixDatagram {
            network: network.clone(),
            mailbox: Mailbox::new(),
            local: UnixAddr::UNNAMED,
            peer: Mutex::default(),
        }
    }

    pub(crate) fn bind(
        network: &VirtualNetwork,
        address: &UnixAddr,
    ) -> io::Result<VirtualUnixDatagram> {
        let mut socket = VirtualUnixDatagram::unbound(network);
        network.unix_bind(address, Bound::Mailbox(socket.mailbox.clone()))?;
        socket.local = address.clone();
        Ok(socket)
    }

    pub(crate) fn pair(network: &VirtualNetwork) -> (VirtualUnixDatagram, VirtualUnixDatagram) {
        let (near, far) = (Self::unbound(network), Self::unbound(network));
        *near.peer.lock() = Some(far.mailbox.clone());
        *far.peer.lock() = Some(near.mailbox.clone());
        (near, far)
    }

    pub(crate) fn local_addr(&self) -> &UnixAddr {
        &self.local
    }

    pub(crate) fn connect(&self, peer: &UnixAddr) -> io::Result<()> {
        let mailbox = self.find(peer)?;
        *self.peer.lock() = Some(mailbox);
        self.mailbox.object.write();
        self.mailbox.state.lock().only_from = Some(peer.clone());
        Ok(())
    }

    fn find(&self, address: &UnixAddr) -> io::Result<Arc<Mailbox>> {
        const EPROTOTYPE: i32 = 91;
        self.network.shared.object.read();
        match self.network.shared.table.lock().unix.get(address) {
            Some(Bound::Mailbox(mailbox)) => Ok(mailbox.clone()),
            Some(Bound::Listener(_)) => Err(io::Error::from_raw_os_error(EPROTOTYPE)),
            None => Err(nobody(address)),
        }
    }

    pub(crate) fn poll_send(
        &self,
        context: &mut Context<'_>,
        datagram: &[u8],
        to: Option<&UnixAddr>,
    ) -> Poll<io::Result<usize>> {
        let mailbox = match to {
            Some(to) => self.find(to)?,
            None => self.peer.lock().clone().ok_or(io::ErrorKind::NotConnected)?,
        };
        mailbox.poll(context, |state| {
            if state.closed {
                return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
            }
            if state.only_from.as_ref().is_some_and(|only| *only != self.local) {
                return Poll::Ready(Err(io::ErrorKind::PermissionDenied.into()));
            }
            if state.waiting.len() >= ROOM {
                return Poll::Pending;
            }
            state.waiting.push_back((self.local.clone(), datagram.to_vec()));
            Poll::Ready(Ok(datagram.len()))
        })
    }

    pub(crate) fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<(usize, UnixAddr)> {
        self.mailbox.poll(context, |state| match state.waiting.pop_front() {
            Some((from, bytes)) => {
                let n = bytes.len().min(buf.len());
                buf[..n].copy_from_slice(&bytes[..n]);
                Poll::Ready((n, from))
            }
            None => Poll::Pending,
        })
    }
}

impl Drop for VirtualUnixDatagram {
    fn drop(&mut self) {
        if !self.local.is_unnamed() {
            self.network.unix_unbind(&self.local);
        }
        self.mailbox.close();
    }
}
