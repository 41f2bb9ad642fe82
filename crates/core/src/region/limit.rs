//! A limit on how many children run at once.

use super::Scope;
use crate::cancel::Cancelled;
use crate::cap::{All, Capabilities};
use crate::cx::{Cx, TaskCx};
use crate::mutant::mutant;
use crate::outcome::Severity;
use crate::primitive::Mutex;
use crate::queue::{Removed, WaitKey, WaitQueue};
use crate::spawn;
use crate::step::Object;
use crate::task::{Listener, OnEnd, TaskBody, TaskHandle, TaskOptions, TaskRef};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Spawns children of a region, so many at a time; made by [`Scope::limit`].
///
/// [`spawn`](Limit::spawn) *waits* for a place, first come first served, and so slows down whoever produces
/// the work. [`try_spawn`](Limit::try_spawn) *refuses* instead. Only what is spawned through this value
/// (and its clones) counts; a place is free again when its child has ended.
pub struct Limit<'s, E, C = All> {
    scope: &'s Scope<E, C>,
    gate: Arc<Gate>,
}

struct Gate {
    state: Mutex<State>,
    object: Object,
}

struct State {
    free: usize,
    queue: WaitQueue,
}

impl<E: Send + 'static, C: Capabilities> Scope<E, C> {
    /// A way to spawn that lets at most `most` of its children run at once; 0 counts as 1.
    ///
    /// ```
    /// use asupersync_core::{Cx, Error};
    ///
    /// async fn crawl(cx: &Cx, pages: Vec<String>) -> Result<(), Error> {
    ///     let outcome = cx
    ///         .region(async |scope| {
    ///             let few = scope.limit(8);
    ///             for page in pages {
    ///                 let _ = few.spawn(cx, async move |cx| fetch(cx, &page).await).await?;
    ///             }
    ///             Ok::<_, Error>(())
    ///         })
    ///         .await;
    ///     Ok(outcome.into_result()?)
    /// }
    /// # async fn fetch(_: &Cx, _: &str) -> Result<(), Error> { Ok(()) }
    /// ```
    #[must_use]
    pub fn limit(&self, most: usize) -> Limit<'_, E, C> {
        let state = State { free: most.max(1), queue: WaitQueue::new() };
        let gate = Gate { state: Mutex::new(state), object: Object::new("Limit") };
        Limit { scope: self, gate: Arc::new(gate) }
    }
}

impl<'s, E: Send + 'static, C: Capabilities> Limit<'s, E, C> {
    /// Waits for a place, then spawns.
    ///
    /// # Errors
    /// [`Cancelled`] when the caller's scope is cancelled before there is a place; the body is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future gives up its place in line, and drops the body.
    #[track_caller]
    pub fn spawn<'a, F, T>(
        &'a self,
        cx: &'a TaskCx,
        body: F,
    ) -> impl Future<Output = Result<TaskHandle<T, E>, Cancelled>> + use<'a, 's, F, T, E, C>
    where
        T: Send + 'static,
        F: for<'b> AsyncFnOnce(&'b Cx<C>) -> Result<T, E>,
        F: for<'b> TaskBody<'b, C, T, E> + Send + 'static,
    {
        let site = Location::caller();
        async move {
            let mut line = Line { gate: &self.gate, key: None };
            cx.wait_at("Limit::spawn", site, |context| line.poll(context)).await?;
            drop(line);
            Ok(self.enter(site, body))
        }
    }

    /// Spawns if there is a place now and nobody waits for one; gives the body back if not.
    ///
    /// # Errors
    /// The body, unrun.
    #[track_caller]
    pub fn try_spawn<F, T>(&self, body: F) -> Result<TaskHandle<T, E>, F>
    where
        T: Send + 'static,
        F: for<'b> AsyncFnOnce(&'b Cx<C>) -> Result<T, E>,
        F: for<'b> TaskBody<'b, C, T, E> + Send + 'static,
    {
        if self.gate.try_enter() { Ok(self.enter(Location::caller(), body)) } else { Err(body) }
    }

    /// With a place taken.
    fn enter<F, T>(&self, site: &'static Location<'static>, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        F: for<'b> AsyncFnOnce(&'b Cx<C>) -> Result<T, E>,
        F: for<'b> TaskBody<'b, C, T, E> + Send + 'static,
    {
        let mut options = TaskOptions::new();
        options.on_end = Some(Listener(Arc::new(Taken(Arc::clone(&self.gate)))));
        let Scope { region, opener, .. } = self.scope;
        spawn::into_region::<C, T, E, F>(region, Some(opener), options, site, body)
    }
}

impl<E, C> Clone for Limit<'_, E, C> {
    fn clone(&self) -> Self {
        Limit { scope: self.scope, gate: Arc::clone(&self.gate) }
    }
}

impl<E, C> fmt::Debug for Limit<'_, E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.gate.state.lock();
        f.debug_struct("Limit")
            .field("free", &state.free)
            .field("waiting", &state.queue.len())
            .finish_non_exhaustive()
    }
}

impl Gate {
    fn try_enter(&self) -> bool {
        self.object.write();
        let mut state = self.state.lock();
        if mutant!(LimitIgnored) {
            return true;
        }
        let enters = state.free > 0 && state.queue.is_empty();
        state.free -= usize::from(enters);
        enters
    }

    fn leave(&self) {
        self.object.write();
        let next = {
            let mut state = self.state.lock();
            let next = state.queue.grant_front();
            state.free += usize::from(next.is_none());
            next
        };
        if let Some(next) = next {
            crate::wake::wake(next);
        }
    }
}

/// A child's place, until it has ended.
struct Taken(Arc<Gate>);

impl OnEnd for Taken {
    fn ended(&self, _task: &TaskRef, _severity: Severity) -> bool {
        false
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Somebody in line for a place.
struct Line<'g> {
    gate: &'g Gate,
    key: Option<WaitKey>,
}

impl Line<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.key.is_none() && self.gate.try_enter() {
            return Poll::Ready(());
        }
        self.gate.object.write();
        let mut waker = Some(context.waker().clone());
        let mut state = self.gate.state.lock();
        let Some(key) = &self.key else {
            if state.free > 0 && state.queue.is_empty() {
                state.free -= 1;
                return Poll::Ready(());
            }
            self.key = waker.take().map(|waker| state.queue.push_back((), waker));
            return Poll::Pending;
        };
        let granted = state.queue.poll(key, &mut waker).is_some();
        drop(state);
        if granted {
            self.key = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut waker = None;
        let removed = self.gate.state.lock().queue.remove(key, &mut waker);
        drop(waker);
        if let Removed::Granted(()) = removed {
            self.gate.leave();
        }
    }
}
