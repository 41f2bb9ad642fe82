//! A group: children whose outcomes are taken one by one, as they end.

use super::{Region, Scope};
use crate::cancel::{CancelReason, Cancelled};
use crate::cap::{All, Capabilities};
use crate::cx::{Cx, TaskCx};
use crate::id::TaskId;
use crate::mutant::mutant;
use crate::outcome::{Outcome, Severity};
use crate::primitive::Mutex;
use crate::spawn;
use crate::step::Object;
use crate::task::{Listener, OnEnd, TaskBody, TaskHandle, TaskOptions, TaskRef};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Children of one region whose outcomes are handed out as they end, in that order.
///
/// Made by [`Scope::group`]. The children are ordinary children of the region, which waits for them; but
/// the group answers for how they end: a failure cancels no sibling and does not enter the region's
/// outcome, it is what [`next`](Group::next) yields. A child that has ended takes up memory only until it is
/// taken. What is not taken when the group is dropped is the region's again, failures included.
///
/// ```
/// use asupersync_core::{Cx, Error};
///
/// async fn sum(cx: &Cx, parts: Vec<u64>) -> Result<u64, Error> {
///     let outcome = cx
///         .region(async |scope| {
///             let mut group = scope.group();
///             for part in parts {
///                 group.spawn(async move |_cx| Ok::<_, Error>(part * part));
///             }
///             let mut total = 0;
///             while let Some((_, outcome)) = group.next(cx).await? {
///                 total += outcome.into_result()?;
///             }
///             Ok(total)
///         })
///         .await;
///     Ok(outcome.into_result()?)
/// }
/// ```
pub struct Group<T, E, C = All> {
    region: Arc<Region>,
    opener: TaskRef,
    members: Arc<Members>,
    output: PhantomData<fn() -> T>,
    types: PhantomData<fn() -> (E, C)>,
}

/// A child and how it ended, or nothing more.
type Yielded<T, E> = Option<(TaskId, Outcome<T, E>)>;

struct Members {
    state: Mutex<State>,
    object: Object,
}

struct State {
    /// Children that have not been entered in `ended`.
    pending: usize,
    /// Those that can be cancelled.
    live: BTreeMap<TaskId, TaskRef>,
    ended: VecDeque<(TaskRef, Severity)>,
    waker: Option<Waker>,
    /// The group is gone: what ends from now on is the region's.
    closed: bool,
}

impl OnEnd for Members {
    fn ended(&self, task: &TaskRef, severity: Severity) -> bool {
        self.object.write();
        let (waker, gone) = {
            let mut state = self.state.lock();
            let gone = state.live.remove(&task.header().id);
            state.pending -= 1;
            if state.closed {
                return false;
            }
            state.ended.push_back((task.clone(), severity));
            (state.waker.take(), gone)
        };
        drop(gone);
        if let Some(waker) = waker {
            crate::wake::wake(waker);
        }
        !mutant!(GroupFailureEscapes)
    }
}

impl<E: Send + 'static, C: Capabilities> Scope<E, C> {
    /// An empty group of children of this region.
    #[must_use]
    pub fn group<T: Send + 'static>(&self) -> Group<T, E, C> {
        Group {
            region: Arc::clone(&self.region),
            opener: self.opener.clone(),
            members: Arc::new(Members {
                state: Mutex::new(State {
                    pending: 0,
                    live: BTreeMap::new(),
                    ended: VecDeque::new(),
                    waker: None,
                    closed: false,
                }),
                object: Object::new("Group"),
            }),
            output: PhantomData,
            types: PhantomData,
        }
    }
}

impl<T: Send + 'static, E: Send + 'static, C: Capabilities> Group<T, E, C> {
    /// Spawns a child into the region. One that the region refuses is yielded as `Cancelled`.
    #[track_caller]
    pub fn spawn<F>(&mut self, body: F) -> TaskId
    where
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
    {
        self.spawn_with(TaskOptions::new(), body)
    }

    /// Spawns a child with a name or budget of its own.
    #[track_caller]
    pub fn spawn_with<F>(&mut self, mut options: TaskOptions, body: F) -> TaskId
    where
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
    {
        let site = Location::caller();
        self.members.object.write();
        self.members.state.lock().pending += 1;
        let members: Arc<dyn OnEnd> = Arc::<Members>::clone(&self.members);
        options.on_end = Some(Listener(members));
        let opener = Some(&self.opener);
        let handle = spawn::into_region::<C, T, E, F>(&self.region, opener, options, site, body);
        let task = handle.into_task();
        let id = task.header().id;
        let mut state = self.members.state.lock();
        // Under the lock: one that is not complete here is taken out when it ends.
        if !task.header().state.is_complete() {
            state.live.insert(id, task);
        }
        id
    }

    /// Waits for the next child to end, and takes its outcome; `None` when there is none left, neither
    /// live nor ended.
    ///
    /// # Errors
    /// [`Cancelled`] when the caller's scope is cancelled; the children go on.
    ///
    /// # Cancel safety
    /// No outcome is lost by dropping the future: what it has not yielded stays in the group.
    #[track_caller]
    pub fn next<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<Yielded<T, E>, Cancelled>> + Send + use<'a, T, E, C> {
        let members = &self.members;
        cx.wait_at("Group::next", Location::caller(), move |context| {
            members.poll_ended(context).map(|ended| ended.map(take))
        })
    }

    /// How many children have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.members.object.read();
        self.members.state.lock().pending
    }

    /// Requests the cancellation of every child that has not ended. Each is yielded in its turn.
    #[track_caller]
    pub fn cancel(&self, reason: CancelReason) {
        let live: Vec<TaskRef> = self.members.state.lock().live.values().cloned().collect();
        for task in live {
            task.cancel_alone(reason.clone(), true);
        }
    }

    /// Requests the cancellation of one child. False when it has ended, or is not of this group.
    #[track_caller]
    pub fn cancel_one(&self, child: TaskId, reason: CancelReason) -> bool {
        let task = self.members.state.lock().live.get(&child).cloned();
        task.map(|task| task.cancel_alone(reason, true)).is_some()
    }
}

impl Members {
    fn poll_ended(&self, context: &mut Context<'_>) -> Poll<Option<TaskRef>> {
        self.object.write();
        let mut waker = Some(context.waker().clone());
        let mut state = self.state.lock();
        if let Some((task, _)) = state.ended.pop_front() {
            return Poll::Ready(Some(task));
        }
        if state.pending == 0 {
            return Poll::Ready(None);
        }
        std::mem::swap(&mut state.waker, &mut waker);
        drop(state);
        Poll::Pending
    }
}

/// The outcome of an ended child, which nobody else can have taken.
fn take<T, E>(task: TaskRef) -> (TaskId, Outcome<T, E>) {
    let mut handle = TaskHandle::<T, E>::new(task);
    let id = handle.id();
    match handle.poll_join(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(outcome)) => (id, outcome),
        _ => unreachable!("an ended child of a group is taken once, by the group"),
    }
}

impl<T, E, C> Drop for Group<T, E, C> {
    fn drop(&mut self) {
        let (ended, live, waker) = {
            let mut state = self.members.state.lock();
            state.closed = true;
            let live = std::mem::take(&mut state.live);
            (std::mem::take(&mut state.ended), live, state.waker.take())
        };
        drop((live, waker));
        for (task, severity) in ended {
            if matches!(severity, Severity::Err | Severity::Panicked) {
                self.region.take_back(task, severity);
            }
        }
    }
}

impl<T, E, C> fmt::Debug for Group<T, E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.members.state.lock();
        f.debug_struct("Group")
            .field("live", &state.pending)
            .field("ended", &state.ended.len())
            .finish_non_exhaustive()
    }
}
