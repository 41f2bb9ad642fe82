//! The one slot in which a stream remembers who waits for it.

use std::task::{Context, Waker};

/// A slot for the waker of whoever waits, kept inside a stream's own mutex.
///
/// Wakers run foreign code, so they are never cloned, called or dropped under a lock. That makes
/// parking a two-step dance, which [`Waiter::park`] and its `spare` carry out: the first time round
/// it asks for a clone, made with the lock open; the second time it stores the clone and hands the
/// old waker back through `spare`, to be dropped when the lock is open again.
///
/// ```
/// # use asupersync_io::Waiter;
/// # use std::{sync::Mutex, task::{Context, Poll}};
/// fn poll_ready(state: &Mutex<(bool, Waiter)>, context: &mut Context<'_>) -> Poll<()> {
///     let mut spare = None; // outlives every guard below
///     loop {
///         let mut state = state.lock().unwrap();
///         if state.0 {
///             return Poll::Ready(());
///         }
///         if state.1.park(context, &mut spare) {
///             return Poll::Pending;
///         }
///         drop(state);
///         spare = Some(context.waker().clone());
///     }
/// }
/// # assert!(poll_ready(&Mutex::new((false, Waiter::new())), &mut Context::from_waker(std::task::Waker::noop())).is_pending());
/// ```
#[derive(Debug, Default)]
pub struct Waiter(Option<Waker>);

impl Waiter {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Waiter {
        Waiter(None)
    }

    /// Tries to remember the context's waker; false asks for a clone of it in `spare`.
    ///
    /// After `true`, `spare` holds what is to be dropped outside the lock. A waiter that is replaced
    /// is not woken: the slot serves one task at a time.
    #[must_use]
    pub fn park(&mut self, context: &Context<'_>, spare: &mut Option<Waker>) -> bool {
        if self.0.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return true;
        }
        match spare.take() {
            Some(waker) => {
                *spare = self.0.replace(waker);
                true
            }
            None => false,
        }
    }

    /// Whether somebody waits.
    #[must_use]
    pub const fn is_parked(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the waker out, to be woken outside the lock.
    #[must_use = "a waker that is taken must be woken"]
    pub fn take(&mut self) -> Option<Waker> {
        self.0.take()
    }
}
