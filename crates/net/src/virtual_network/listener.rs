//! A virtual listener: the queue between those who connect and those who accept.

use super::connection::VirtualStream;
use super::{Port, VirtualNetwork};
use asupersync_core::primitive::Mutex;
use asupersync_core::{Object, WakeList};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The queue, as the network knows it.
pub(crate) struct Queue<S> {
    object: Object,
    state: Mutex<State<S>>,
}

struct State<S> {
    waiting: VecDeque<S>,
    limit: usize,
    closed: bool,
    acceptors: Vec<Waker>,
}

/// What became of a connection offered to a queue.
pub(crate) enum Offer {
    Taken,
    Full,
    Closed,
}

impl<S> Queue<S> {
    pub(crate) fn new(limit: usize) -> Arc<Queue<S>> {
        Arc::new(Queue {
            object: Object::new("virtual listener"),
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                limit: limit.max(1),
                closed: false,
                acceptors: Vec::new(),
            }),
        })
    }

    /// Puts a connection into the queue; it is made only if there is room.
    pub(crate) fn offer(&self, make: impl FnOnce() -> S) -> Offer {
        self.object.write();
        let mut wakers = WakeList::new();
        let mut state = self.state.lock();
        if state.closed {
            return Offer::Closed;
        }
        if state.waiting.len() >= state.limit {
            return Offer::Full;
        }
        state.waiting.push_back(make());
        wakers.extend(state.acceptors.drain(..));
        drop(state);
        wakers.wake();
        Offer::Taken
    }

    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<S> {
        let mut spare: Option<Waker> = None;
        loop {
            let mut state = self.state.lock();
            if let Some(stream) = state.waiting.pop_front() {
                drop(state);
                self.object.write();
                return Poll::Ready(stream);
            }
            let known = state.acceptors.iter().any(|waker| waker.will_wake(context.waker()));
            if !known {
                let Some(waker) = spare.take() else {
                    drop(state);
                    spare = Some(context.waker().clone());
                    continue;
                };
                state.acceptors.push(waker);
            }
            drop(state);
            self.object.read();
            return Poll::Pending;
        }
    }

    /// Takes no more connections, and hands back those that nobody accepted.
    pub(crate) fn close(&self) -> VecDeque<S> {
        self.object.write();
        let mut state = self.state.lock();
        state.closed = true;
        let refused = std::mem::take(&mut state.waiting);
        let acceptors = std::mem::take(&mut state.acceptors);
        drop(state);
        drop(acceptors);
        refused
    }
}

/// A bound virtual listener. Dropping it resets what was not accepted.
pub(crate) struct VirtualListener {
    network: VirtualNetwork,
    queue: Arc<Queue<VirtualStream>>,
    local: SocketAddr,
    _port: Port,
}

impl VirtualListener {
    pub(crate) fn bind(
        network: &VirtualNetwork,
        address: SocketAddr,
        backlog: Option<usize>,
    ) -> io::Result<VirtualListener> {
        let limit = backlog.unwrap_or(usize::MAX).min(network.options().backlog);
        let queue = Queue::new(limit);
        let port = network.listen(address, &queue)?;
        Ok(VirtualListener { network: network.clone(), queue, local: port.address(), _port: port })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<VirtualStream> {
        self.queue.poll_accept(context)
    }
}

impl Drop for VirtualListener {
    fn drop(&mut self) {
        self.network.unlisten(self.local);
        for stream in self.queue.close() {
            stream.set(|settings| settings.linger = Some(std::time::Duration::ZERO));
        }
    }
}
