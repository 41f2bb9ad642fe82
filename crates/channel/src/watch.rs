//! The last value, for everybody who looks.
//!
//! One sender publishes values, any number of receivers see the latest. Sending never waits, and
//! receivers that are slow see fewer values, never stale ones. Nothing a receiver does can hold the
//! sender up: a borrowed value is a shared snapshot, not a lock.
//!
//! ```
//! use asupersync_channel::watch;
//! use asupersync_core::{Cx, Error};
//!
//! async fn follow(cx: &Cx, mut level: watch::Receiver<u8>) -> Result<(), Error> {
//!     while *level.borrow_and_update() < 3 {
//!         level.changed(cx).await?;
//!     }
//!     Ok(())
//! }
//! ```

mod receiver;

pub use receiver::{Receiver, Ref};

use crate::mutant::mutant;
use asupersync_core::primitive::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering};
use asupersync_core::{Cancelled, Object, TaskCx, WaitKey, WaitQueue, WakeList};
use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

/// A channel whose first value is `value`; its receiver has seen that one.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        stamp: AtomicU64::new(0),
        receivers: AtomicUsize::new(1),
        state: Mutex::new(State {
            value: Arc::new(value),
            line: WaitQueue::new(),
            closers: WaitQueue::new(),
        }),
        object: Object::new("watch"),
    });
    (Sender { shared: shared.clone() }, Receiver::first(shared))
}

/// In `stamp`: the sender is gone.
const CLOSED: u64 = 1;
/// In `stamp`: one value.
const ONE: u64 = 2;

struct Shared<T> {
    /// How many values were sent, and whether more can come. Changed under the lock, read without.
    stamp: AtomicU64,
    receivers: AtomicUsize,
    state: Mutex<State<T>>,
    object: Object,
}

struct State<T> {
    value: Arc<T>,
    /// Receivers that wait for a change. Each is told of every change, so none passes a grant on.
    line: WaitQueue,
    /// Waiters of `Sender::closed`.
    closers: WaitQueue,
}

impl<T> Shared<T> {
    /// Stores a value and tells everybody; answers the former one.
    fn publish(&self, value: Arc<T>) -> Arc<T> {
        self.object.write();
        let mut wakes = WakeList::new();
        let mut state = self.state.lock();
        let former = std::mem::replace(&mut state.value, value);
        // Release: a receiver that sees the stamp without the lock sees what preceded the send.
        self.stamp.fetch_add(ONE, Ordering::Release);
        state.line.grant_all(&mut wakes);
        drop(state);
        wakes.wake();
        former
    }
}

/// Publishes values. Dropped, it closes the channel: receivers still see the last value.
///
/// There is one, so that changing the value in place needs no lock: to publish from several tasks,
/// share it (sending takes `&self`), or put it into a mutex.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Publishes a value, in place of the last.
    ///
    /// # Errors
    /// The value, when no receiver is left; [`send_replace`](Sender::send_replace) stores it anyway.
    pub fn send(&self, value: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(value);
        }
        drop(self.shared.publish(Arc::new(value)));
        Ok(())
    }

    /// Publishes a value, whether or not there are receivers, and answers the former one.
    pub fn send_replace(&self, value: T) -> Ref<T> {
        Ref::new(self.shared.publish(Arc::new(value)))
    }

    /// Changes a copy of the value and publishes it if `change` says that it changed.
    ///
    /// No lock is held while `change` runs; when it panics, nothing is published. The exclusive
    /// borrow keeps other sends from coming in between, so no update is lost.
    pub fn send_if_modified(&mut self, change: impl FnOnce(&mut T) -> bool) -> bool
    where
        T: Clone,
    {
        let mut value = T::clone(&self.borrow());
        let changed = change(&mut value);
        if changed {
            drop(self.shared.publish(Arc::new(value)));
        }
        changed
    }

    /// The last value.
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        self.shared.object.read();
        Ref::new(self.shared.state.lock().value.clone())
    }

    /// A further receiver, which has seen the last value.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.object.write();
        Receiver::another(&self.shared)
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.shared.object.read();
        self.shared.receivers.load(Ordering::Acquire)
    }

    /// Whether no receiver is left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until no receiver is left, to stop work nobody wants any more.
    ///
    /// A receiver that [`subscribe`](Sender::subscribe)d meanwhile does not take the answer back.
    ///
    /// # Cancel safety
    /// Nothing is lost. A cancel request is answered within one poll.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn closed<'a>(&'a self, cx: &'a TaskCx) -> impl Future<Output = Result<(), Cancelled>> {
        let site = Location::caller();
        async move {
            let mut place = Closing { shared: &*self.shared, key: None };
            cx.wait_at("watch::closed", site, |context| place.poll(context)).await
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.object.write();
        let mut wakes = WakeList::new();
        let mut state = self.shared.state.lock();
        self.shared.stamp.fetch_or(CLOSED, Ordering::Release);
        if !mutant!(WatchClosesSilently) {
            state.line.grant_all(&mut wakes);
        }
        drop(state);
        wakes.wake();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("watch::Sender")
            .field("receivers", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

/// A waiter of `closed` that leaves when dropped.
struct Closing<'a, T> {
    shared: &'a Shared<T>,
    key: Option<WaitKey>,
}

impl<T> Closing<'_, T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.shared.object.write();
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut state = self.shared.state.lock();
        let Some(key) = &self.key else {
            if self.shared.receivers.load(Ordering::Acquire) == 0 {
                return Poll::Ready(());
            }
            let waker = waker.take().unwrap_or_else(|| context.waker().clone());
            self.key = Some(state.closers.push_back((), waker));
            return Poll::Pending;
        };
        if state.closers.poll(key, &mut waker).is_none() {
            return Poll::Pending;
        }
        self.key = None;
        Poll::Ready(())
    }
}

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        self.shared.object.write();
        let mut waker = None;
        // Granted: the channel has closed for everybody, and nothing is this waiter's to pass on.
        let _ = self.shared.state.lock().closers.remove(key, &mut waker);
    }
}
