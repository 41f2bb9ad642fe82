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
use crate::mutant::mutant;
use asupersync_core::primitive::{Arc, AtomicU32, Mutex, Ordering};
use asupersync_core::{
    Cancelled, ExclusiveCell, Object, Obligation, ObligationKind, TaskCx, WakeList,
};
use std::fmt;
use std::panic::{Location, RefUnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

static PERMIT: ObligationKind = ObligationKind::abort_on_drop("oneshot::Permit");

/// The two ends of a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: AtomicU32::new(0),
        value: ExclusiveCell::new(None),
        wakers: Mutex::new([None, None]),
        object: Object::new("oneshot"),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, taken: false })
}

/// The value is in its cell, for the receiver. Never set beside a `RECEIVER_GONE` that was there first.
const SENT: u32 = 1;
/// The sender was dropped without sending.
const SENDER_GONE: u32 = 2;
/// The receiver was closed or dropped.
const RECEIVER_GONE: u32 = 4;
/// The receiver left a waker, or has left one once.
const RECEIVER_WAITS: u32 = 8;
/// The sender left a waker, or has left one once.
const SENDER_WAITS: u32 = 16;

struct Shared<T> {
    /// Of the bits above; none is ever cleared.
    state: AtomicU32,
    /// The sender's until `SENT`, then the receiver's: so whoever claims it finds it free.
    value: ExclusiveCell<Option<T>>,
    /// By [`Side`], of the ends that are parked.
    wakers: Mutex<[Option<Waker>; 2]>,
    object: Object,
}

// Nothing of the value's runs while its cell is claimed, so a panic leaves it whole.
impl<T> RefUnwindSafe for Shared<T> {}

#[derive(Clone, Copy)]
enum Side {
    Sender,
    Receiver,
}

impl Side {
    fn waits(self) -> u32 {
        match self {
            Side::Sender => SENDER_WAITS,
            Side::Receiver => RECEIVER_WAITS,
        }
    }
}

impl<T> Shared<T> {
    fn has(&self, bits: u32) -> bool {
        self.state.load(Ordering::Acquire) & bits != 0
    }

    /// Puts the value in or takes it out. By the rule of `value` the cell is free.
    fn swap(&self, mut value: Option<T>) -> Option<T> {
        if let Some(mut place) = self.value.try_claim() {
            std::mem::swap(&mut *place, &mut value);
        }
        value
    }

    /// Sets a bit and wakes the other end, if it waits. Answers what the state was.
    fn tell(&self, bit: u32, other: Side) -> u32 {
        // Release: what this end did before is seen by whoever sees the bit.
        let before = self.state.fetch_or(bit, Ordering::AcqRel);
        self.wake(other, before);
        before
    }

    #[inline]
    fn wake(&self, side: Side, before: u32) {
        if before & side.waits() != 0 {
            self.wake_parked(side);
        }
    }

    fn wake_parked(&self, side: Side) {
        let waker = self.wakers.lock()[side as usize].take();
        if let Some(waker) = waker {
            WakeList::wake_one(waker);
        }
    }

    /// Leaves a waker, having looked in vain, and looks once more.
    fn park<R>(
        &self,
        side: Side,
        context: &Context<'_>,
        look: impl FnOnce() -> Option<R>,
    ) -> Poll<R> {
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut wakers = self.wakers.lock();
        std::mem::swap(&mut wakers[side as usize], &mut waker);
        // The other end acted before this, and is seen by the look, or sees the bit and finds the waker.
        self.state.fetch_or(side.waits(), Ordering::AcqRel);
        let answer = if mutant!(OneshotParksWithoutSecondLook) { None } else { look() };
        let unused = answer.is_some().then(|| wakers[side as usize].take());
        drop(wakers);
        drop(unused);
        answer.map_or(Poll::Pending, Poll::Ready)
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
        let shared = &*self.shared;
        shared.object.write();
        let mut state = shared.state.load(Ordering::Acquire);
        if state & RECEIVER_GONE != 0 {
            return Delivery::HandedBack(value);
        }
        shared.swap(Some(value));
        loop {
            // Release: who sees the bit sees the value.
            match shared.state.compare_exchange_weak(
                state,
                state | SENT,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) if now & RECEIVER_GONE != 0 => {
                    return shared.swap(None).map_or(Delivery::Queued, Delivery::HandedBack);
                }
                Err(now) => state = now,
            }
        }
        shared.wake(Side::Receiver, state);
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
        self.shared.has(RECEIVER_GONE)
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
            let shared = &*self.shared;
            let mut park = Park { shared, side: Side::Sender, parked: false };
            cx.wait_at("oneshot::closed", site, |context| {
                park.poll(context, || shared.has(RECEIVER_GONE).then_some(()))
            })
            .await
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if !self.shared.has(SENT) {
            self.shared.object.write();
            self.shared.tell(SENDER_GONE, Side::Receiver);
        }
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
    /// The value was received.
    taken: bool,
}

/// What there is to receive; `None` while that is undecided.
fn look<T>(shared: &Shared<T>, taken: &mut bool) -> Option<Result<T, RecvError>> {
    let state = shared.state.load(Ordering::Acquire);
    if state & SENT != 0 && !*taken {
        *taken = true;
        return Some(shared.swap(None).ok_or(RecvError::Closed));
    }
    (state & (SENT | SENDER_GONE | RECEIVER_GONE) != 0).then_some(Err(RecvError::Closed))
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
            cx.checkpoint()?;
            let (shared, taken) = (&*self.shared, &mut self.taken);
            if shared.has(SENT | SENDER_GONE | RECEIVER_GONE) {
                shared.object.write();
                if let Some(answer) = look(shared, taken) {
                    return answer;
                }
            }
            let mut park = Park { shared, side: Side::Receiver, parked: false };
            cx.wait_at("oneshot::recv", site, |context| park.poll(context, || look(shared, taken)))
                .await?
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
        let (shared, taken) = (&*self.shared, &mut self.taken);
        let mut park = Park { shared, side: Side::Receiver, parked: false };
        blocking::wait(|context| park.poll(context, || look(shared, taken)))
    }

    /// The value, if it is there. Works in a cancelled scope too.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.object.write();
        match look(&self.shared, &mut self.taken) {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Takes no value any more: the sender gets it back from now on. One that was already sent can
    /// still be received.
    pub fn close(&mut self) {
        self.shared.object.write();
        self.shared.tell(RECEIVER_GONE, Side::Sender);
        if mutant!(OneshotCloseDropsValue) {
            drop(self.shared.swap(None));
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (shared, taken) = (&*this.shared, &mut this.taken);
        shared.object.write();
        match look(shared, taken) {
            Some(answer) => Poll::Ready(answer),
            None => shared.park(Side::Receiver, context, || look(shared, taken)),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.object.write();
        if self.taken {
            return;
        }
        let before = self.shared.tell(RECEIVER_GONE, Side::Sender);
        if before & SENT != 0 {
            drop(self.shared.swap(None));
        }
        if before & RECEIVER_WAITS != 0 {
            // Of a poll as a future, that was not seen through.
            let own = self.shared.wakers.lock()[Side::Receiver as usize].take();
            drop(own);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Receiver").finish_non_exhaustive()
    }
}

/// A parked end that takes its waker back when dropped.
struct Park<'a, T> {
    shared: &'a Shared<T>,
    side: Side,
    parked: bool,
}

impl<T> Park<'_, T> {
    fn poll<R>(&mut self, context: &Context<'_>, mut look: impl FnMut() -> Option<R>) -> Poll<R> {
        self.shared.object.write();
        // Most polls after the first come from the other end's wake, and need no second waker.
        let poll = match look() {
            Some(answer) => Poll::Ready(answer),
            None => self.shared.park(self.side, context, look),
        };
        self.parked = poll.is_pending();
        poll
    }
}

impl<T> Drop for Park<'_, T> {
    fn drop(&mut self) {
        if self.parked {
            // Who sends or leaves after this finds nobody to wake.
            self.shared.object.write();
            let waker = self.shared.wakers.lock()[self.side as usize].take();
            drop(waker);
        }
    }
}
