//! Spawning a child, and waiting until it says that it is ready.

use super::Scope;
use crate::cancel::Cancelled;
use crate::cap::Capabilities;
use crate::cx::{Cx, TaskCx};
use crate::error::{Error, ErrorKind};
use crate::id::TaskId;
use crate::mutant::mutant;
use crate::primitive::Mutex;
use crate::spawn;
use crate::step::Object;
use crate::task::{TaskBody, TaskHandle, TaskOptions};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How a child tells that it is ready; given to it by [`Scope::spawn_ready`].
///
/// Dropping it unused, which the child's end does, tells that it will never be.
#[must_use = "dropping it says that the task will never be ready"]
pub struct Ready<V> {
    said: Arc<Said<V>>,
}

struct Said<V> {
    state: Mutex<(Word<V>, Option<Waker>)>,
    object: Object,
}

enum Word<V> {
    NotYet,
    Ready(V),
    Never,
}

impl<V> Ready<V> {
    /// Says that the task is ready, and hands `value` to whoever spawned it: an address, a handle.
    pub fn set(self, value: V) {
        self.said.say(Word::Ready(value));
    }
}

impl<V> Drop for Ready<V> {
    fn drop(&mut self) {
        if !mutant!(NeverReadyUntold) {
            self.said.say(Word::Never);
        }
    }
}

impl<V> fmt::Debug for Ready<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

impl<V> Said<V> {
    /// The first word counts.
    fn say(&self, word: Word<V>) {
        self.object.write();
        let (waker, unheard) = {
            let mut state = self.state.lock();
            match state.0 {
                Word::NotYet => {
                    state.0 = word;
                    (state.1.take(), None)
                }
                _ => (None, Some(word)),
            }
        };
        drop(unheard);
        if let Some(waker) = waker {
            crate::wake::wake(waker);
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<V>> {
        self.object.write();
        let mut waker = Some(context.waker().clone());
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.0, Word::Never) {
            Word::Ready(value) => Poll::Ready(Some(value)),
            Word::Never => Poll::Ready(None),
            Word::NotYet => {
                state.0 = Word::NotYet;
                std::mem::swap(&mut state.1, &mut waker);
                drop(state);
                Poll::Pending
            }
        }
    }
}

/// Why a child did not get ready. It is its region's in any case, which takes its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// The caller's scope was cancelled first; the child goes on.
    Cancelled(Cancelled),
    /// The child ended, or dropped its [`Ready`], without having said so.
    Ended {
        /// Which child.
        task: TaskId,
    },
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReady::Cancelled(cancelled) => write!(f, "{cancelled} while a task got ready"),
            NotReady::Ended { task } => write!(f, "{task} ended before it was ready"),
        }
    }
}

impl std::error::Error for NotReady {}

impl From<NotReady> for Error {
    #[track_caller]
    fn from(error: NotReady) -> Error {
        match error {
            NotReady::Cancelled(cancelled) => Error::from(cancelled),
            NotReady::Ended { .. } => Error::new(ErrorKind::Other, error.to_string()),
        }
    }
}

impl<E: Send + 'static, C: Capabilities> Scope<E, C> {
    /// Spawns a service and waits until it says that it is ready: a listener that is bound, a cache that is
    /// warm. `make` gets the [`Ready`] and makes the body.
    ///
    /// ```
    /// use asupersync_core::{Cx, Error};
    ///
    /// async fn serve(cx: &Cx) -> Result<(), Error> {
    ///     let outcome = cx
    ///         .region(async |scope| {
    ///             let (_server, port) = scope
    ///                 .spawn_ready(cx, |ready| {
    ///                     async move |cx: &Cx| {
    ///                         let port = 8080; // bind here
    ///                         ready.set(port);
    ///                         cx.wait("requests", |_| std::task::Poll::<()>::Pending).await?;
    ///                         Ok::<_, Error>(())
    ///                     }
    ///                 })
    ///                 .await?;
    ///             assert_eq!(port, 8080); // whoever starts now finds it bound
    ///             Ok::<_, Error>(())
    ///         })
    ///         .await;
    ///     Ok(outcome.into_result()?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NotReady`].
    ///
    /// # Cancel safety
    /// The child is spawned by the call, before the first poll; dropping the future leaves it to the region.
    #[track_caller]
    pub fn spawn_ready<'a, M, F, T, V>(
        &'a self,
        cx: &'a TaskCx,
        make: M,
    ) -> impl Future<Output = Result<(TaskHandle<T, E>, V), NotReady>> + use<'a, M, F, T, V, E, C>
    where
        T: Send + 'static,
        V: Send + 'static,
        M: FnOnce(Ready<V>) -> F,
        F: for<'b> AsyncFnOnce(&'b Cx<C>) -> Result<T, E>,
        F: for<'b> TaskBody<'b, C, T, E> + Send + 'static,
    {
        let site = Location::caller();
        let state = Mutex::new((Word::NotYet, None));
        let said = Arc::new(Said { state, object: Object::new("Ready") });
        let body = make(Ready { said: Arc::clone(&said) });
        let options = TaskOptions::new().service();
        let opener = Some(&self.opener);
        let handle = spawn::into_region::<C, T, E, F>(&self.region, opener, options, site, body);
        async move {
            match cx.wait_at("spawn_ready", site, |context| said.poll(context)).await {
                Ok(Some(value)) => Ok((handle, value)),
                Ok(None) => Err(NotReady::Ended { task: handle.id() }),
                Err(cancelled) => Err(NotReady::Cancelled(cancelled)),
            }
        }
    }
}
