//! A FIFO whose receivers take no step while it is empty.

use crate::host::{LabHost, Latch};
use crate::mutex::Gate;
use crate::strategy::OpKind;
use asupersync_core::cap::HasIo;
use asupersync_core::{Cancelled, Cx, Object, ObjectId};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) const LABEL: &str = "lab::Queue";

/// An unbounded FIFO of the textbook's kind, for models of programs: receiving is one step, which can
/// be chosen only while a message is there, and a task that must wait takes none.
///
/// Sends conflict with sends, receives with receives, and a send with the receive of that message; a send
/// and the receive of another message commute. Clones are handles to one queue. Outside the lab a
/// receiver spins, yielding.
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
    latch: Arc<Latch>,
    state: parking_lot::Mutex<State<T>>,
}

struct State<T> {
    /// Each message with an object of its own.
    messages: VecDeque<(T, Object)>,
    sent: u64,
    received: u64,
    /// What the kernel calls `tail`, once a send has shown it.
    tail: Option<ObjectId>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue::new()
    }
}

impl<T> Queue<T> {
    /// An empty queue. Made inside a task it is named after that task.
    #[must_use]
    pub fn new() -> Queue<T> {
        let state = State { messages: VecDeque::new(), sent: 0, received: 0, tail: None };
        let latch = Arc::new(Latch::default());
        latch.held.store(true, Ordering::Relaxed);
        Queue {
            inner: Arc::new(Inner {
                head: Object::new(LABEL),
                tail: Object::new(LABEL),
                latch,
                state: parking_lot::Mutex::new(state),
            }),
        }
    }

    /// Yields, then sends.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was sent.
    pub async fn send<C: HasIo>(&self, cx: &Cx<C>, message: T) -> Result<(), Cancelled> {
        cx.yield_now().await?;
        let host = cx.service::<LabHost>();
        let object = Object::new(LABEL);
        object.write();
        if let Some(host) = &host {
            host.note(OpKind::Message, None, (0, 0));
        }
        self.inner.tail.write();
        let mut state = self.inner.state.lock();
        if let Some(host) = host {
            state.tail = host.note(OpKind::Plain, None, (state.sent, state.sent + 1));
        }
        state.sent += 1;
        state.messages.push_back((message, object));
        self.inner.latch.held.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Yields, then receives, in a step that comes when a message is there.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was received.
    pub async fn recv<C: HasIo>(&self, cx: &Cx<C>) -> Result<T, Cancelled> {
        let host = cx.service::<LabHost>();
        loop {
            {
                let _gate = host.as_ref().map(|host| Gate::new(host, cx, &self.inner.latch));
                cx.yield_now().await?;
            }
            let mut state = self.inner.state.lock();
            let Some((message, object)) = state.messages.pop_front() else {
                // Cancelled while masked: chosen all the same, so that the cancellation is not held up.
                self.inner.head.read();
                self.inner.tail.read();
                continue;
            };
            self.inner.latch.held.store(state.messages.is_empty(), Ordering::Relaxed);
            object.write();
            if let Some(host) = &host {
                host.note(OpKind::Message, None, (0, 0));
            }
            self.inner.head.write();
            if let (Some(host), Some(tail)) = (&host, state.tail) {
                let change = (state.received, state.received + 1);
                let head = host.note(OpKind::Receive { tail }, None, change);
                let head = head.map_or(0, |head| head.to_bits());
                self.inner.latch.object.store(head, Ordering::Relaxed);
            }
            state.received += 1;
            return Ok(message);
        }
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
