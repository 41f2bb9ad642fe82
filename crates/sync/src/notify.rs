//! Wake-ups without a value.

use crate::mutant::mutant;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Cancelled, Object, Removed, TaskCx, WaitKey, WaitQueue, WakeList};
use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

/// Wakes tasks that wait for something to have happened.
///
/// [`notify_one`](Notify::notify_one) wakes the task that has waited longest. When nobody waits, it
/// leaves a token that lets the next waiter through; at most one token is kept.
/// [`notify_waiters`](Notify::notify_waiters) wakes everybody who waits now and leaves nothing.
///
/// A waiter that was chosen by `notify_one` and goes away before it could run passes its token on.
///
/// To wait for a condition, make the future first and check after, or a `notify_waiters` between
/// check and wait is missed:
///
/// ```
/// # use asupersync_core::{Cancelled, Cx};
/// # use std::sync::atomic::{AtomicBool, Ordering};
/// use asupersync_sync::Notify;
///
/// async fn until_ready(cx: &Cx, ready: &AtomicBool, changed: &Notify) -> Result<(), Cancelled> {
///     loop {
///         let change = changed.notified(cx);
///         if ready.load(Ordering::Acquire) {
///             return Ok(());
///         }
///         change.await?;
///     }
/// }
/// ```
pub struct Notify {
    state: Mutex<State>,
    object: Object,
}

struct State {
    line: WaitQueue<Call>,
    token: bool,
    /// Counts `notify_waiters`, so that a future made before the call, but not polled yet, hears it.
    broadcasts: u64,
}

/// How a waiter was called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    NotYet,
    Alone,
    WithAll,
}

impl Notify {
    /// No waiters, no token.
    #[must_use]
    pub fn new() -> Notify {
        Notify {
            state: Mutex::new(State { line: WaitQueue::new(), token: false, broadcasts: 0 }),
            object: Object::new("Notify"),
        }
    }

    /// Wakes the longest waiting task, or leaves a token for the next.
    pub fn notify_one(&self) {
        self.object.write();
        self.call_one();
    }

    fn call_one(&self) {
        let mut wakes = WakeList::new();
        let mut state = self.state.lock();
        match state.line.front_mut() {
            Some(call) => {
                *call = Call::Alone;
                wakes.extend(state.line.grant_front());
            }
            None => state.token = true,
        }
        drop(state);
        wakes.wake();
    }

    /// Wakes all tasks that wait now, and all [`notified`](Notify::notified) futures that exist now.
    pub fn notify_waiters(&self) {
        self.object.write();
        let mut wakes = WakeList::new();
        let mut state = self.state.lock();
        state.broadcasts = state.broadcasts.wrapping_add(1);
        while let Some(call) = state.line.front_mut() {
            *call = Call::WithAll;
            wakes.extend(state.line.grant_front());
        }
        drop(state);
        wakes.wake();
    }

    /// How many tasks wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.object.read();
        self.state.lock().line.len()
    }

    /// Waits to be notified.
    ///
    /// The future hears every `notify_waiters` from the moment this function returns, polled or not;
    /// it takes a place in line, or the token, when it is first polled.
    ///
    /// # Cancel safety
    /// Nothing is lost: a `notify_one` that had chosen a waiter which is then cancelled or dropped
    /// goes to the next waiter, or becomes the token. A cancel request is answered within one poll.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn notified<'a>(&'a self, cx: &'a TaskCx) -> impl Future<Output = Result<(), Cancelled>> {
        let site = Location::caller();
        self.object.read();
        let since = self.state.lock().broadcasts;
        let mut place = Place { notify: self, since, key: None };
        async move { cx.wait_at("Notify::notified", site, |context| place.poll(context)).await }
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Notify")
            .field("waiting", &state.line.len())
            .field("token", &state.token)
            .finish()
    }
}

/// A place in line that is given up when dropped.
struct Place<'a> {
    notify: &'a Notify,
    since: u64,
    key: Option<WaitKey>,
}

impl Place<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut state = self.notify.state.lock();
        let Some(key) = &self.key else {
            self.notify.object.write();
            if state.broadcasts != self.since {
                return Poll::Ready(());
            }
            if std::mem::take(&mut state.token) {
                return Poll::Ready(());
            }
            let waker = waker.take().unwrap_or_else(|| context.waker().clone());
            self.key = Some(state.line.push_back(Call::NotYet, waker));
            return Poll::Pending;
        };
        let called = state.line.poll(key, &mut waker).is_some();
        drop(state);
        if !called {
            return Poll::Pending;
        }
        self.key = None;
        Poll::Ready(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        self.notify.object.write();
        let mut waker = None;
        let removed = self.notify.state.lock().line.remove(key, &mut waker);
        if let Removed::Granted(Call::Alone) = removed {
            if mutant!(NotifyTokenDropped) {
                return;
            }
            self.notify.call_one();
        }
    }
}
