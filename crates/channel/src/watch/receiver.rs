//! The receiving end, and what it sees.

use super::{CLOSED, ONE, Shared};
use crate::blocking;
use crate::error::RecvError;
use crate::mutant::mutant;
use asupersync_core::primitive::{Arc, Ordering};
use asupersync_core::{TaskCx, WaitKey, WakeList};
use futures_core::Stream;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Sees the last value. Clones have seen what this one has.
///
/// As a [`Stream`] it yields each value that this receiver has not seen, the latest when there are
/// several, and ends with the sender. A stream's `poll_next` has no context and so cannot be cancelled by
/// itself.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The stamp, without its mark, of the last value this receiver has seen.
    seen: u64,
    /// The place in line, while this receiver waits.
    key: Option<WaitKey>,
}

impl<T> Receiver<T> {
    pub(super) fn first(shared: Arc<Shared<T>>) -> Receiver<T> {
        Receiver { shared, seen: 0, key: None }
    }

    pub(super) fn another(shared: &Arc<Shared<T>>) -> Receiver<T> {
        shared.receivers.fetch_add(1, Ordering::AcqRel);
        let seen = shared.stamp.load(Ordering::Acquire) & !CLOSED;
        Receiver { shared: shared.clone(), seen, key: None }
    }

    /// The last value, as it is now. Later sends do not change it, and do not wait for it.
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        self.shared.object.read();
        Ref::new(self.shared.state.lock().value.clone())
    }

    /// The last value, which then counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        self.shared.object.read();
        let state = self.shared.state.lock();
        // Relaxed: the stamp changes under the lock only.
        self.seen = self.shared.stamp.load(Ordering::Relaxed) & !CLOSED;
        Ref::new(state.value.clone())
    }

    /// Whether there is a value that this receiver has not seen.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.shared.object.read();
        self.shared.stamp.load(Ordering::Acquire) & !CLOSED != self.seen
    }

    /// Whether the sender is gone: the value will not change any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.object.read();
        self.shared.stamp.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Counts the last value as not seen, so that the next [`changed`](Receiver::changed) does not
    /// wait.
    pub fn mark_changed(&mut self) {
        // The stamp before the first: 2^63 sends away from any other.
        self.seen = ONE.wrapping_neg();
    }

    /// Waits for a value that this receiver has not seen, and counts it as seen. A last value is
    /// answered before the sender's end.
    ///
    /// # Cancel safety
    /// Nothing is lost: a value counts as seen only in the poll that answers. A cancel request is
    /// answered within one poll, whether or not there was a change.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when the last value was seen and the sender is gone;
    /// [`RecvError::Cancelled`].
    #[track_caller]
    pub fn changed<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<(), RecvError>> {
        let site = Location::caller();
        async move { self.changed_at(cx, site).await }
    }

    async fn changed_at(
        &mut self,
        cx: &TaskCx,
        site: &'static Location<'static>,
    ) -> Result<(), RecvError> {
        let place = Place { receiver: self };
        cx.wait_at("watch::changed", site, |context| {
            cx.in_turn(context, |context| place.receiver.poll_changed(context))
        })
        .await?
    }

    /// Waits for a value that this receiver has not seen by parking the thread: for plain threads, and for
    /// closures on the blocking pool. Nothing cancels it but the sender's end.
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_changed(&mut self) -> Result<(), RecvError> {
        let place = Place { receiver: self };
        blocking::wait(|context| place.receiver.poll_changed(context))
    }

    /// Waits for a value that `wanted` accepts, beginning with the present one, and counts it as seen.
    /// Values that are replaced before this receiver looks are passed over.
    ///
    /// # Cancel safety
    /// Nothing is lost but the marks: values that were refused count as seen. A cancel request is
    /// answered within one poll.
    ///
    /// # Errors
    /// [`RecvError`]; `Closed` when the sender is gone and its last value was refused.
    #[track_caller]
    pub fn wait_for<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        mut wanted: impl FnMut(&T) -> bool + 'a,
    ) -> impl Future<Output = Result<Ref<T>, RecvError>> {
        let site = Location::caller();
        async move {
            cx.checkpoint()?;
            loop {
                let value = self.borrow_and_update();
                if wanted(&value) {
                    return Ok(value);
                }
                self.changed_at(cx, site).await?;
            }
        }
    }

    /// Whether both see the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Shared<T> {
    /// What there is to answer without waiting to a receiver that has `seen` this much.
    fn look(&self, seen: &mut u64) -> Option<Result<(), RecvError>> {
        let stamp = self.stamp.load(Ordering::Acquire);
        if stamp & !CLOSED != *seen {
            *seen = stamp & !CLOSED;
            return Some(Ok(()));
        }
        (stamp & CLOSED != 0).then_some(Err(RecvError::Closed))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.object.write();
        // Relaxed: a new receiver is made from one that exists.
        self.shared.receivers.fetch_add(1, Ordering::Relaxed);
        Receiver { shared: self.shared.clone(), seen: self.seen, key: None }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.leave();
        self.shared.object.write();
        let last = self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1;
        if !last || mutant!(LastWatcherLeavesSilently) {
            return;
        }
        let mut wakes = WakeList::new();
        // A waiter that looked before the count fell has entered the line before this lock.
        self.shared.state.lock().closers.grant_all(&mut wakes);
        wakes.wake();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("watch::Receiver")
            .field("changed", &self.has_changed())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A value as it was when it was borrowed; shared, not copied. Holding it holds nobody up: it only
/// keeps that value alive.
pub struct Ref<T> {
    value: Arc<T>,
}

impl<T> Ref<T> {
    pub(super) fn new(value: Arc<T>) -> Ref<T> {
        Ref { value }
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Ref<T> {
        Ref { value: self.value.clone() }
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Unpin for Receiver<T> {}

impl<T> Stream for Receiver<T> {
    type Item = Ref<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Ref<T>>> {
        match self.poll_changed(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Some(self.borrow_and_update())),
            Poll::Ready(Err(_)) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Receiver<T> {
    fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        // Without the lock, and without a clone of the waker that this poll would have no use for.
        self.shared.object.read();
        if let Some(answer) = self.shared.look(&mut self.seen) {
            if let Some(key) = self.key.take() {
                self.quit(key);
            }
            return Poll::Ready(answer);
        }
        let Receiver { shared, seen, key: place } = self;
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut state = shared.state.lock();
        if let Some(key) = &*place {
            if state.line.poll(key, &mut waker).is_none() {
                return Poll::Pending;
            }
            *place = None;
        }
        // For a newcomer the second look: a value may have come since the first, without the lock.
        let answer = if mutant!(WatchParksWithoutSecondLook) { None } else { shared.look(seen) };
        match answer {
            Some(answer) => Poll::Ready(answer),
            None => {
                shared.object.write();
                let waker = waker.take().unwrap_or_else(|| context.waker().clone());
                *place = Some(state.line.push_back((), waker));
                Poll::Pending
            }
        }
    }

    /// Leaves the line. A granted waiter has nothing to pass on: everybody was told of the same change.
    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        self.shared.object.write();
        self.quit(key);
    }

    fn quit(&self, key: WaitKey) {
        let mut waker = None;
        let _ = self.shared.state.lock().line.remove(key, &mut waker);
    }
}

/// A waiting receiver that leaves the line when dropped.
struct Place<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        self.receiver.leave();
    }
}
