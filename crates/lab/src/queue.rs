//! A FIFO whose receivers take no step while it is empty, nor its senders while it is full.

use crate::host::{LabHost, Latch};
use crate::mutex::Gate;
use crate::strategy::OpKind;
use asupersync_core::cap::HasIo;
use asupersync_core::{Cancelled, Cx, Object, ObjectId};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) const LABEL: &str = "lab::Queue";

/// A FIFO of the textbook's kind, for models of programs: receiving is one step, which can
/// be chosen only while a message is there, sending one, which can be chosen only while there is room, and a task that
/// must wait takes none.
///
/// Sends conflict with sends, receives with receives, a send with the receive of that message, and where at most `c`
/// messages have room, a receive with the send that comes `c` later; a send and any other receive commute. Clones are
/// handles to one queue. Outside the lab who must wait spins, yielding.
///
/// # Cancel safety
/// A cancelled operation answers `Err(Cancelled)` and has not happened.
///
/// # Limitations
/// As for [`Mutex`](crate::Mutex), a task waits as a whole.
pub struct Queue<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    head: Object,
    tail: Object,
    /// At most so many messages are there; 0 is no limit.
    capacity: usize,
    /// Held while no message is there.
    empty: Arc<Latch>,
    /// Held while there is no room.
    full: Arc<Latch>,
    state: parking_lot::Mutex<State<T>>,
}

struct State<T> {
    /// Each message with an object of its own: the place it has, which has been another's before, where there are as many
    /// as there is room.
    messages: VecDeque<(T, Object)>,
    /// Places that are free, in the order in which they became so.
    free: VecDeque<Object>,
    sent: u64,
    received: u64,
    /// What the kernel calls `tail` and `head`, once an operation has shown it.
    names: (Option<ObjectId>, Option<ObjectId>),
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue::new()
    }
}

impl<T> Queue<T> {
    /// An empty queue without a limit. Made inside a task it is named after that task.
    #[must_use]
    pub fn new() -> Queue<T> {
        Queue::with_places(0)
    }

    /// An empty queue with room for so many messages.
    #[must_use]
    pub fn bounded(capacity: NonZeroUsize) -> Queue<T> {
        Queue::with_places(capacity.get())
    }

    fn with_places(capacity: usize) -> Queue<T> {
        let state = State {
            messages: VecDeque::new(),
            free: VecDeque::new(),
            sent: 0,
            received: 0,
            names: (None, None),
        };
        let empty = Latch::default();
        empty.held.store(true, Ordering::Relaxed);
        Queue {
            inner: Arc::new(Inner {
                head: Object::new(LABEL),
                tail: Object::new(LABEL),
                capacity,
                empty: Arc::new(empty),
                full: Arc::default(),
                state: parking_lot::Mutex::new(state),
            }),
        }
    }

    /// Yields, then sends, in a step that comes when there is room.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was sent.
    pub async fn send<C: HasIo>(&self, cx: &Cx<C>, message: T) -> Result<(), Cancelled> {
        let host = cx.service::<LabHost>();
        let is_bounded = self.inner.capacity > 0;
        loop {
            {
                let gated = host.as_ref().filter(|_| is_bounded);
                let _gate = gated.map(|host| Gate::new(host, cx, &self.inner.full));
                cx.yield_now().await?;
            }
            let mut state = self.inner.state.lock();
            if is_bounded && state.messages.len() == self.inner.capacity {
                // Cancelled while masked: chosen all the same, so that the cancellation is not held up.
                self.inner.head.read();
                self.inner.tail.read();
                continue;
            }
            // Made always, so that the names of what the task makes later do not depend on who sent before.
            let made = Object::new(LABEL);
            let place = match state.sent >= self.inner.capacity as u64 {
                true => state.free.pop_front().unwrap_or(made),
                false => made,
            };
            place.write();
            if let Some(host) = &host {
                host.note(OpKind::Message, None, (0, 0));
            }
            self.inner.tail.write();
            if let Some(host) = &host {
                let (change, capacity) = ((state.sent, state.sent + 1), self.inner.capacity as u64);
                let kind = match is_bounded {
                    true => OpKind::Enqueue { head: state.names.1, capacity },
                    false => OpKind::Plain,
                };
                state.names.0 = host.note(kind, None, change);
                self.inner.full.name(state.names.0);
            }
            state.sent += 1;
            state.messages.push_back((message, place));
            self.latch(&state);
            return Ok(());
        }
    }

    /// Yields, then receives, in a step that comes when a message is there.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was received.
    pub async fn recv<C: HasIo>(&self, cx: &Cx<C>) -> Result<T, Cancelled> {
        let host = cx.service::<LabHost>();
        loop {
            {
                let _gate = host.as_ref().map(|host| Gate::new(host, cx, &self.inner.empty));
                cx.yield_now().await?;
            }
            let mut state = self.inner.state.lock();
            let Some((message, place)) = state.messages.pop_front() else {
                // Cancelled while masked: chosen all the same, so that the cancellation is not held up.
                self.inner.head.read();
                self.inner.tail.read();
                continue;
            };
            place.write();
            if let Some(host) = &host {
                host.note(OpKind::Message, None, (0, 0));
            }
            self.inner.head.write();
            if let (Some(host), Some(tail)) = (&host, state.names.0) {
                let change = (state.received, state.received + 1);
                state.names.1 = host.note(OpKind::Receive { tail }, None, change);
                self.inner.empty.name(state.names.1);
            }
            state.received += 1;
            if self.inner.capacity > 0 {
                state.free.push_back(place);
            }
            self.latch(&state);
            return Ok(message);
        }
    }

    /// Says who has to wait.
    fn latch(&self, state: &State<T>) {
        let Inner { capacity, empty, full, .. } = &*self.inner;
        let queued = state.messages.len();
        empty.held.store(queued == 0, Ordering::Relaxed);
        full.held.store(*capacity > 0 && queued == *capacity, Ordering::Relaxed);
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = self.inner.state.lock().messages.len();
        f.debug_struct("Queue").field("queued", &queued).finish()
    }
}
