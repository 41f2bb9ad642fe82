//! One value, once.
//!
//! ```
//! use asupersync_channel::oneshot;
//! use asupersync_core::{Cx, Error};
//!
//! async fn ask(cx: &Cx) -> Result<u32, Error> {
//!     let (answer, mut answered) = oneshot::channel();
//!     // .. `answer` goes to whoever knows ..
//!     let _ = answer.send(42);
//!     Ok(answered.recv(cx).await?)
//! }
//! ```

use crate::blocking;
use crate::error::{Delivery, RecvError, TryRecvError};
use asupersync_core::primitive::{Arc, Mutex};
use asupersync_core::{Cancelled, Object, Obligation, ObligationKind, TaskCx, WakeList};
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

static PERMIT: ObligationKind = ObligationKind::abort_on_drop("oneshot::Permit");

/// The two ends of a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            value: None,
            sender_gone: false,
            receiver_gone: false,
            receiver: None,
            sender: None,
        }),
        object: Object::new("oneshot"),
    });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

struct Shared<T> {
    state: Mutex<State<T>>,
    object: Object,
}

struct State<T> {
    value: Option<T>,
    /// The sender sent, or was dropped.
    sender_gone: bool,
    /// The receiver was closed or dropped.
    receiver_gone: bool,
    /// The receiver's, while it is parked in `recv`.
    receiver: Option<Waker>,
    /// The sender's, while it is parked in `closed`.
    sender: Option<Waker>,
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        WakeList::wake_one(waker);
    }
}

/// Sends the one value. Dropped, it closes the channel.
#[must_use = "a sender that is dropped closes the channel"]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the value; there is always room for it, so this needs no context and cannot wait.
    ///
    /// # Errors
    /// The value, when the receiver is gone.
    pub fn send(self, value: T) -> Result<(), T> {
        self.put(value).into_result()
    }

    fn put(&self, value: T) -> Delivery<T> {
        self.shared.object.write();
        let mut state = self.shared.state.lock();
        if state.receiver_gone {
            return Delivery::HandedBack(value);
        }
        state.value = Some(value);
        state.sender_gone = true;
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
        Delivery::Queued
    }

    /// Takes the sending on as an obligation, so that the inspector shows who owes the value.
    #[track_caller]
    pub fn reserve(self, cx: &TaskCx) -> Permit<T> {
        Permit { sender: Some(self), obligation: Some(cx.obligation(&PERMIT)) }
    }

    /// Whether the receiver is gone or closed: sending would hand the value back.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.object.read();
        self.shared.state.lock().receiver_gone
    }

    /// Waits until the receiver is gone or closed, to stop work nobody wants any more.
    ///
    /// # Cancel safety
    /// Nothing is lost: the sender is as it was. A cancel request is answered within one poll.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn closed<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = Result<(), Cancelled>> {
        let site = Location::caller();
        async move {
            let mut park = Park { shared: &*self.shared, side: Side::Sender, parked: false };
            cx.wait_at("oneshot::closed", site, |context| {
                park.poll(context, |state| state.receiver_gone.then_some(()))
            })
            .await
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if std::mem::replace(&mut state.sender_gone, true) {
            return;
        }
        let receiver = state.receiver.take();
        let _own = state.sender.take();
        drop(state);
        self.shared.object.write();
        wake(receiver);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Sender").finish_non_exhaustive()
    }
}

/// A value that is owed, from [`Sender::reserve`]. An obligation of the abort class: dropped, it
/// closes the channel.
#[must_use = "a permit that is dropped closes the channel"]
pub struct Permit<T> {
    // Both taken exactly when the permit ends.
    sender: Option<Sender<T>>,
    obligation: Option<Obligation>,
}

impl<T> Permit<T> {
    /// Sends the value. If the receiver is gone it comes back in the answer, which need not be looked
    /// at.
    pub fn send(mut self, value: T) -> Delivery<T> {
        if let Some(obligation) = self.obligation.take() {
            obligation.commit();
        }
        match &self.sender {
            Some(sender) => sender.put(value),
            None => Delivery::HandedBack(value),
        }
    }

    /// Owes nothing any more; the sender comes back, and the channel stays open.
    pub fn abort(mut self) -> Option<Sender<T>> {
        if let Some(obligation) = self.obligation.take() {
            obligation.abort();
        }
        self.sender.take()
    }
}

impl<T> fmt::Debug for Permit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Permit").finish_non_exhaustive()
    }
}

/// Receives the one value.
///
/// As a future it yields what [`recv`](Receiver::recv) does, without a context: it cannot be
/// cancelled by itself, only through whatever awaits it.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> State<T> {
    /// What there is to receive; `None` while that is undecided.
    fn take(&mut self) -> Option<Result<T, RecvError>> {
        match self.value.take() {
            Some(value) => Some(Ok(value)),
            None if self.sender_gone || self.receiver_gone => Some(Err(RecvError::Closed)),
            None => None,
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for the value.
    ///
    /// # Cancel safety
    /// Nothing is lost: the value is answered or still in the channel. A cancel request is answered
    /// within one poll; in a cancelled scope a value that is there can be had by
    /// [`try_recv`](Receiver::try_recv).
    ///
    /// # Errors
    /// [`RecvError::Cancelled`]; [`RecvError::Closed`] when the sender is gone without sending, or
    /// the value was already received.
    #[track_caller]
    pub fn recv<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = Result<T, RecvError>> {
        let site = Location::caller();
        async move {
            let mut park = Park { shared: &*self.shared, side: Side::Receiver, parked: false };
            cx.wait_at("oneshot::recv", site, |context| park.poll(context, State::take)).await?
        }
    }

    /// Waits for the value by parking the thread: for plain threads, and for closures on the blocking
    /// pool. Nothing cancels it but the sender's end.
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        let mut park = Park { shared: &*self.shared, side: Side::Receiver, parked: false };
        blocking::wait(|context| park.poll(context, State::take))
    }

    /// The value, if it is there. Works in a cancelled scope too.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.object.write();
        match self.shared.state.lock().take() {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Takes no value any more: the sender gets it back from now on. One that was already sent can
    /// still be received.
    pub fn close(&mut self) {
        self.shared.object.write();
        let mut state = self.shared.state.lock();
        state.receiver_gone = true;
        let sender = state.sender.take();
        drop(state);
        wake(sender);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.poll(Side::Receiver, context, State::take)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.object.write();
        let mut state = self.shared.state.lock();
        state.receiver_gone = true;
        // Dropped after the lock: values and wakers run foreign code.
        let _value = state.value.take();
        let _own = state.receiver.take();
        let sender = state.sender.take();
        drop(state);
        wake(sender);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Receiver").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Side {
    Sender,
    Receiver,
}

impl<T> State<T> {
    fn waker(&mut self, side: Side) -> &mut Option<Waker> {
        match side {
            Side::Sender => &mut self.sender,
            Side::Receiver => &mut self.receiver,
        }
    }
}

impl<T> Shared<T> {
    fn poll<R>(
        &self,
        side: Side,
        context: &Context<'_>,
        answer: impl FnOnce(&mut State<T>) -> Option<R>,
    ) -> Poll<R> {
        self.object.write();
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut state = self.state.lock();
        if let Some(answer) = answer(&mut state) {
            return Poll::Ready(answer);
        }
        std::mem::swap(state.waker(side), &mut waker);
        Poll::Pending
    }
}

/// A parked end that takes its waker back when dropped.
struct Park<'a, T> {
    shared: &'a Shared<T>,
    side: Side,
    parked: bool,
}

impl<T> Park<'_, T> {
    fn poll<R>(
        &mut self,
        context: &Context<'_>,
        answer: impl Fn(&mut State<T>) -> Option<R>,
    ) -> Poll<R> {
        // Most polls after the first come from the other end's wake, and need no second waker.
        if self.parked {
            self.shared.object.write();
            if let Some(answer) = answer(&mut self.shared.state.lock()) {
                self.parked = false;
                return Poll::Ready(answer);
            }
        }
        let poll = self.shared.poll(self.side, context, answer);
        self.parked = poll.is_pending();
        poll
    }
}

impl<T> Drop for Park<'_, T> {
    fn drop(&mut self) {
        if self.parked {
            let waker = self.shared.state.lock().waker(self.side).take();
            drop(waker);
        }
    }
}
