//! Calls that block a thread, as children of the caller's region.

use asupersync_core::cap::{HasBlocking, HasSpawn};
use asupersync_core::{CancelReason, Cancelled, Cx, JoinError, Outcome, TaskHandle};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// A call on the blocking pool, taken back if it has not begun when nobody waits for it any more. Once
/// begun it runs to its end, and the region's close waits for it.
///
/// A *cancelled* wait takes it back, or sees it through and answers what it answered: so `Cancelled` means
/// that nothing was done, and no call is still at work behind the back of what the caller cleans up.
///
/// The answer does not travel as the task's output, which may be dropped a moment after the region has
/// closed. An answer that nobody takes (a file to be removed, a process to be killed) must be gone by then: it
/// is dropped by the call itself, or by whoever gave up waiting.
#[derive(Debug)]
pub(crate) struct Call<T: Send + 'static> {
    task: TaskHandle<(), Cancelled>,
    answer: Arc<Mutex<Answer<T>>>,
}

/// Whether anybody waits for a call.
pub(crate) type Wanted<'a> = &'a dyn Fn() -> bool;

#[derive(Debug)]
enum Answer<T> {
    Awaited,
    Given(io::Result<T>),
    Unwanted,
}

impl<T: Send + 'static> Call<T> {
    pub(crate) fn start<C: HasSpawn + HasBlocking>(
        cx: &Cx<C>,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Call<T> {
        Call::start_while_wanted(cx, |_| call())
    }

    /// The call can ask whether anybody waits for it still.
    pub(crate) fn start_while_wanted<C: HasSpawn + HasBlocking>(
        cx: &Cx<C>,
        call: impl FnOnce(Wanted<'_>) -> io::Result<T> + Send + 'static,
    ) -> Call<T> {
        let answer = Arc::new(Mutex::new(Answer::Awaited));
        let slot = Arc::clone(&answer);
        // The task itself succeeds: a file that is not there is no reason to stop its siblings.
        let task = cx.spawn_blocking(move || {
            let given = call(&|| {
                let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                matches!(*slot, Answer::Awaited)
            });
            let unwanted = {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                match *slot {
                    Answer::Awaited => {
                        *slot = Answer::Given(given);
                        None
                    }
                    _ => Some(given),
                }
            };
            drop(unwanted);
            Ok(())
        });
        Call { task, answer }
    }

    pub(crate) async fn wait<C: HasSpawn + HasBlocking>(mut self, cx: &Cx<C>) -> io::Result<T> {
        let mut joined = self.task.join(cx).await;
        if let Err(JoinError::Cancelled(cancelled)) = joined {
            self.task.cancel(CancelReason::user("whoever waits for the call is cancelled"));
            joined = cx.masked(self.task.join(cx)).await;
            if matches!(joined, Ok(Outcome::Cancelled(_))) {
                return Err(cancelled.into());
            }
        }
        self.take(joined)
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let joined = ready!(self.task.poll_join(context));
        Poll::Ready(self.take(joined))
    }

    fn take(&self, joined: Result<Outcome<(), Cancelled>, JoinError>) -> io::Result<T> {
        match joined {
            Ok(outcome) => outcome.into_result().map_err(io::Error::other)?,
            Err(JoinError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => return Err(io::Error::other(error)),
        }
        match self.leave() {
            Answer::Given(answer) => answer,
            _ => unreachable!("the call ended well, and its answer is taken once"),
        }
    }

    fn leave(&self) -> Answer<T> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *answer, Answer::Unwanted)
    }
}

impl<T: Send + 'static> Drop for Call<T> {
    fn drop(&mut self) {
        drop(self.leave());
        self.task.cancel(CancelReason::user("nobody waits for the call any more"));
    }
}
