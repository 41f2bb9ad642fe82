//! Every message to every subscriber, in order, with bounded memory.
//!
//! Sending never waits. The channel keeps at most `capacity` messages for its slowest receiver; what
//! is sent beyond that pushes out the oldest, and a receiver that has not had it is told how many
//! messages it missed. A message is dropped as soon as its last receiver has it.
//!
//! ```
//! use asupersync_channel::broadcast::{self, RecvError};
//! use asupersync_core::{Cx, Error};
//!
//! async fn sum(cx: &Cx, mut numbers: broadcast::Receiver<u64>) -> Result<u64, Error> {
//!     let mut sum = 0;
//!     loop {
//!         match numbers.recv(cx).await {
//!             Ok(n) => sum += n,
//!             Err(RecvError::Lagged(missed)) => cx.trace(format!("missed {missed}")),
//!             Err(RecvError::Closed) => return Ok(sum),
//!             Err(error) => return Err(error.into()),
//!         }
//!     }
//! }
//! ```

mod error;
mod receiver;

pub use error::{RecvError, TryRecvError};
pub use receiver::Receiver;

use crate::mutant::mutant;
use asupersync_core::primitive::{Arc, Mutex};
use asupersync_core::{Object, WaitQueue, WakeList};
use std::collections::VecDeque;
use std::fmt;

/// A channel that keeps at most `capacity` messages, at least one, and its first receiver.
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        capacity: capacity.max(1),
        state: Mutex::new(State {
            ring: VecDeque::new(),
            first: 0,
            senders: 1,
            receivers: 0,
            line: WaitQueue::new(),
        }),
        object: Object::new("broadcast"),
    });
    let receiver = Receiver::subscribe(&shared);
    (Sender { shared }, receiver)
}

struct Shared<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    object: Object,
}

struct State<T> {
    /// Messages that somebody has still to receive. No slot's `remaining` is zero, and none is smaller
    /// than the one before it: who has not had a message has not had the later ones either.
    ring: VecDeque<Slot<T>>,
    /// The number of the first message in the ring; messages are counted from 0.
    first: u64,
    senders: usize,
    receivers: usize,
    /// Receivers that wait. Each is told of every message, so none passes a grant on.
    line: WaitQueue,
}

struct Slot<T> {
    /// Shared, so that copies are made outside of the lock: a copy is foreign code.
    value: Arc<T>,
    /// How many receivers have still to receive it.
    remaining: usize,
}

impl<T> State<T> {
    /// The number of the next message to be sent.
    fn next(&self) -> u64 {
        self.first + self.ring.len() as u64
    }
}

/// Sends to every receiver. Clones send into the same channel; when the last is dropped, receivers
/// hear `Closed` after the messages that are there.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a message to all receivers there are now; answers how many.
    ///
    /// A full channel drops its oldest message to make room.
    ///
    /// # Errors
    /// The message, when there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, T> {
        self.shared.object.write();
        let value = Arc::new(value);
        let mut wakes = WakeList::new();
        let mut state = self.shared.state.lock();
        let receivers = state.receivers;
        if receivers == 0 {
            drop(state);
            return match Arc::try_unwrap(value) {
                Ok(value) => Err(value),
                Err(_) => unreachable!("the message was not shared yet"),
            };
        }
        // Dropped after the lock: messages are foreign code.
        let mut _oldest = None;
        if state.ring.len() == self.shared.capacity {
            _oldest = state.ring.pop_front();
            state.first += 1;
        }
        state.ring.push_back(Slot { value, remaining: receivers });
        state.line.grant_all(&mut wakes);
        drop(state);
        wakes.wake();
        Ok(receivers)
    }

    /// A further receiver, of messages that are sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::subscribe(&self.shared)
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.shared.object.read();
        self.shared.state.lock().receivers
    }

    /// How many messages the channel keeps for its slowest receiver now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.object.read();
        self.shared.state.lock().ring.len()
    }

    /// Whether every receiver has had every message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most messages the channel keeps.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Whether both send into the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Sender<T> {
    /// A sender that does not keep the channel open.
    #[must_use]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { shared: self.shared.clone() }
    }
}

/// A [`Sender`] that does not keep the channel open.
pub struct WeakSender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> WeakSender<T> {
    /// A full sender, while at least one other exists.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.shared.object.write();
        let mut state = self.shared.state.lock();
        if state.senders == 0 {
            return None;
        }
        state.senders += 1;
        drop(state);
        Some(Sender { shared: self.shared.clone() })
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> WeakSender<T> {
        WeakSender { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::WeakSender").finish_non_exhaustive()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.object.write();
        self.shared.state.lock().senders += 1;
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.object.write();
        let mut wakes = WakeList::new();
        let mut state = self.shared.state.lock();
        state.senders -= 1;
        if state.senders == 0 && !mutant!(LastBroadcasterLeavesSilently) {
            state.line.grant_all(&mut wakes);
        }
        drop(state);
        wakes.wake();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Sender")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("receivers", &self.receiver_count())
            .finish()
    }
}
