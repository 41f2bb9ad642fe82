//! Opening a region around a body, and waiting for its close.

use super::{
    ChildFailure, Closed, FailureCause, Origin, Place, Policy, Region, RegionOptions, RegionState,
};
use crate::cancel::{CancelKind, CancelReason};
use crate::cap::{All, Capabilities};
use crate::cx::{BodyEnd, Cx, TaskCx};
use crate::id::RegionId;
use crate::mutant::mutant;
use crate::outcome::{Outcome, PanicPayload};
use crate::snapshot::RegionSnapshot;
use crate::spawn;
use crate::task::cell::{Failure, allocate};
use crate::task::pinned::confine;
use crate::task::scopes::{Child, Effects, ScopeKey, earlier};
use crate::task::{PinnedBody, TaskBody, TaskHandle, TaskOptions, TaskRef};
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;

/// An open region, seen by its body: spawn into it, register finalizers, cancel it.
///
/// Its tasks are `'static`; what they need from the body moves into them. All of them share the region's
/// error type `E` and get the capabilities `C` that the opener had.
pub struct Scope<E, C = All> {
    pub(super) region: Arc<Region>,
    /// Who creates what is spawned here: names the children.
    pub(super) opener: TaskRef,
    types: PhantomData<fn() -> (E, C)>,
}

impl<E: Send + 'static, C: Capabilities> Scope<E, C> {
    /// Spawns a task into the region. It may run at once, on another thread.
    ///
    /// A region that is cancelled or past its body's end with no child left refuses: the body is dropped
    /// unrun, once, and the handle yields `Cancelled`.
    #[track_caller]
    pub fn spawn<F, T>(&self, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
    {
        self.spawn_with(TaskOptions::new(), body)
    }

    /// Spawns a task with a name for reports.
    #[track_caller]
    pub fn spawn_named<F, T>(&self, name: impl Into<Arc<str>>, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
    {
        self.spawn_with(TaskOptions::new().name(name), body)
    }

    /// Spawns a task with a name or budget of its own.
    #[track_caller]
    pub fn spawn_with<F, T>(&self, options: TaskOptions, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
    {
        let site = Location::caller();
        spawn::into_region::<C, T, E, F>(&self.region, Some(&self.opener), options, site, body)
    }

    /// Spawns a task that serves the others: a connection, a cache, a ticker.
    ///
    /// A region waits for its other children first, whether it closes or is cancelled. When its body has
    /// ended and none of them is left, the services are cancelled, with a cleanup time of their own; so
    /// a service may wait for ever and yet keeps no region open, and the others can rely on it to their
    /// end. What a service spawns with [`Cx::spawn`] is a service too. How a service ends when it is
    /// dismissed does not enter the region's outcome; a failure does.
    #[track_caller]
    pub fn spawn_service<F, T>(&self, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
    {
        self.spawn_with(TaskOptions::new().service(), body)
    }

    /// Spawns a task that stays on one thread, so its future need not be `Send`: what it holds across an
    /// await may be an `Rc`. The body itself moves to that thread, and its value comes from there, so they
    /// are.
    ///
    /// The host chooses the thread, and the future is made, polled and dropped there. Other tasks of that
    /// thread may be taken over by others, this one cannot: what keeps the thread busy keeps it waiting.
    ///
    /// On a runtime of the current-thread flavour the thread is the one that blocks on it. If several do,
    /// and one takes the worker over from another, the pinned tasks begun before end with a panic that
    /// says so, and their futures are leaked.
    #[track_caller]
    pub fn spawn_pinned<F, T>(&self, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<T, E>,
        F: for<'a> PinnedBody<'a, C, T, E> + Send + 'static,
    {
        let options = TaskOptions { home: Some(self.region.host.home()), ..TaskOptions::new() };
        let (site, body) = (Location::caller(), confine(body));
        spawn::into_region::<C, T, E, _>(&self.region, Some(&self.opener), options, site, body)
    }

    /// Registers a finalizer: it runs after the last child has ended, as a task of its own, masked, within
    /// the cleanup budget; the last registered runs first; each runs once. Its error counts as a child's.
    ///
    /// Registered too late (the region already finalizes or is closed) it is dropped unrun; from the
    /// region's own body that cannot happen.
    #[track_caller]
    pub fn defer<F>(&self, finalizer: F)
    where
        F: for<'a> AsyncFnOnce(&'a Cx<C>) -> Result<(), E>,
        F: for<'a> TaskBody<'a, C, (), E> + Send + 'static,
    {
        let site = Location::caller();
        let id = spawn::next_id(&self.region, Some(&self.opener));
        self.region.defer(Box::new(move |region| {
            let options = TaskOptions::new().name("finalizer");
            allocate::<C, (), E, F>(Arc::clone(region), id, options, site, finalizer)
        }));
    }
}

impl<E, C> Scope<E, C> {
    /// Requests cancellation of everything in the region, its own body included.
    #[track_caller]
    pub fn cancel(&self, reason: CancelReason) {
        self.region.cancel(reason, Origin::Itself);
    }

    /// Asks everything in the region to finish, its own body included, and cancels it for `reason` if it
    /// has not ended `grace` later (or at its deadline, if that is earlier).
    ///
    /// The wish is seen by [`TaskCx::is_soft_cancelled`] and [`TaskCx::soft_cancelled`] and by nothing
    /// else: waits go on, tasks may still be spawned (and see it, too), and what ends in time ends as if
    /// nobody had asked. Services are not asked. Masks do not hide it.
    #[track_caller]
    pub fn cancel_soft(&self, reason: CancelReason, grace: std::time::Duration) {
        self.region.cancel_soft(reason, grace);
    }

    /// Which region this is.
    #[must_use]
    pub fn id(&self) -> RegionId {
        self.region.id
    }

    /// How many tasks and child regions have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.region.live()
    }

    /// The region's tree as it stands.
    #[must_use]
    pub fn snapshot(&self) -> RegionSnapshot {
        RegionSnapshot::of(&self.region)
    }
}

impl<E, C> fmt::Debug for Scope<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("region", &self.region.id).finish_non_exhaustive()
    }
}

/// Abandons the region when its future is dropped before it has seen the close.
struct Abandon<'a> {
    cx: &'a TaskCx,
    region: &'a Arc<Region>,
    key: ScopeKey,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.region.abandon();
        // One that has closed already no longer knows its opener, and leaves its scope behind.
        detach(self.cx, self.key);
    }
}

/// The options of most regions: made when the region opens, and not carried there.
struct Plain;

impl From<Plain> for RegionOptions {
    fn from(Plain: Plain) -> RegionOptions {
        RegionOptions::new()
    }
}

/// Runs `body` in a region of its own and waits until that is quiescent.
async fn region<C, F, T, E>(
    cx: &TaskCx,
    options: impl Into<RegionOptions>,
    site: &'static Location<'static>,
    body: F,
) -> Assembled<T, E>
where
    C: Capabilities,
    E: Send + 'static,
    F: AsyncFnOnce(&Scope<E, C>) -> Result<T, E>,
{
    let (region, key) = open(cx, options.into(), site);
    let scope = Scope::<E, C> {
        region: Arc::clone(&region),
        opener: cx.task().clone(),
        types: PhantomData,
    };
    let guard = Abandon { cx, region: &region, key };
    let ended = {
        let mut future = pin!(Some(body(&scope)));
        poll_fn(|context| cx.poll_scoped(key, future.as_mut(), context).map(|(end, _)| end)).await
    };
    // What the body was told must be read before the scope goes.
    let told = match &ended {
        BodyEnd::Returned(Err(_)) => cx.header().inner.lock().scopes.told_reason(key),
        _ => None,
    };
    let failed = !matches!(ended, BodyEnd::Returned(Ok(_)));
    if failed && region.cancelled_for().is_none() && !mutant!(FailFastIgnored) {
        let reason = CancelReason::new(CancelKind::FailFast)
            .with_message("the region's body failed")
            .at_site(site);
        region.cancel(reason, Origin::Itself);
    }
    if region.begin_close() {
        leave_behind(cx, key);
    }
    // A cancellation reaches the region by itself; there is nothing that this future would do about it.
    poll_fn(|context| region.poll_closed(context)).await;
    detach(cx, key);
    std::mem::forget(guard);
    let (outcome, failures) = assemble(&region, ended, told);
    if outcome.is_cancelled() {
        // Where the scope around is cancelled too, this answer tells it so, as a wait's would.
        let _ = cx.header().tell();
    }
    Assembled { outcome, failures, region }
}

/// How a region ended; its books are still in it.
struct Assembled<T, E> {
    outcome: Outcome<T, E>,
    failures: Vec<ChildFailure<E>>,
    region: Arc<Region>,
}

fn open(
    cx: &TaskCx,
    options: RegionOptions,
    site: &'static Location<'static>,
) -> (Arc<Region>, ScopeKey) {
    let header = cx.header();
    header.state.opens();
    // The scope first: the region knows it from the start, so that a deadline that passes at once finds it.
    let (parent, inherited_deadline, reach, own, account, key) = {
        let mut inner = header.inner.lock();
        let current = inner.scopes.current;
        let own = inner.extra.as_ref().map_or(crate::Budget::UNLIMITED, |extra| extra.budget);
        let account = inner.extra.as_ref().and_then(|extra| extra.account.clone());
        let (parent, deadline) = if current == ScopeKey::BASE {
            (None, None)
        } else {
            (inner.scopes.enclosing_region(current), inner.scopes.deadline(current))
        };
        let reach = inner.scopes.reached_by(current);
        let key = inner.scopes.insert(Child::new(current, None));
        (parent, deadline, reach, own, account, key)
    };
    let parent = parent.unwrap_or_else(|| Arc::clone(&header.region));
    // Inside a region that this task opened, that region's account is already chained to the task's.
    let account = if Arc::ptr_eq(&parent, &header.region) {
        account.or_else(|| parent.account.clone())
    } else {
        parent.account.clone()
    };
    let mut above = own;
    let around = match &reach.region {
        Some(region) => region.due,
        None if reach.masked => None,
        None => header.region.due,
    };
    let own_deadline = above.deadline.filter(|_| !reach.masked);
    let due = earlier(earlier(reach.deadline, around), own_deadline);
    above.deadline = earlier(above.deadline, inherited_deadline);
    // Cost is shared through accounts; the field says only what was set here.
    above.cost_quota = None;
    let opener = Some((cx.task().clone(), key));
    let place = Place { parent: Some(parent), opener, account, budget: above, due };
    let region = Region::new(Arc::clone(&header.region.host), place, options, site);
    let mut effects = None;
    let soft = {
        let mut inner = header.inner.lock();
        if let Some(child) = inner.scopes.child_mut(key) {
            child.region = Some(Arc::clone(&region));
        }
        // Opened in a cancelled scope: the region is cancelled from the start.
        if inner.scopes.effective(key).is_some() {
            inner.scopes.propagate(header, effects.insert(Effects::default()));
        }
        // Under the lock: a soft cancellation of the task finds the region there, or this finds it.
        inner.scopes.is_soft(key)
    };
    if soft {
        region.mark_soft();
    }
    if let Some(effects) = effects {
        effects.run();
    }
    (region, key)
}

/// The body has ended, and nobody polls what it opened as long as its own region is waited for: a region
/// inside whose future was forgotten, or moved out, counts as dropped.
#[cold]
fn leave_behind(cx: &TaskCx, key: ScopeKey) {
    let opened = cx.header().inner.lock().scopes.regions_within(key);
    for region in opened {
        region.abandon();
    }
}

fn detach(cx: &TaskCx, key: ScopeKey) {
    let header = cx.header();
    let removed = {
        let mut inner = header.inner.lock();
        let removed = inner.scopes.remove(key);
        inner.scopes.publish(header);
        removed
    };
    drop(removed);
}

/// Joins what the body returned with what the children left, in the severity lattice.
fn assemble<T, E: Send + 'static>(
    region: &Arc<Region>,
    mut ended: BodyEnd<Result<T, E>>,
    told: Option<CancelReason>,
) -> (Outcome<T, E>, Vec<ChildFailure<E>>) {
    let (failed, (child_cancelled, kept), cancel, origin) = {
        let mut inner = region.inner.lock();
        debug_assert!(inner.state == RegionState::Closed);
        let calm = inner.cancel.is_none() && inner.child_cancelled.is_none();
        let calm = calm && inner.rare.as_ref().is_none_or(|rare| rare.cancelled.is_empty());
        if calm && inner.failed.is_empty() {
            match ended {
                BodyEnd::Returned(Ok(value)) => return (Outcome::Ok(value), Vec::new()),
                other => ended = other,
            }
        }
        let failed = std::mem::take(&mut inner.failed);
        (failed, inner.take_cancelled(), inner.cancel.clone(), inner.origin)
    };
    drop(kept);
    let mut failures: Vec<ChildFailure<E>> = failed.iter().filter_map(claim_failure::<E>).collect();
    let from_outside = cancel.clone().filter(|_| origin == Origin::Outside);
    // A child's own deadline or quota counts; what the region itself asked for does not.
    let child_reason = child_cancelled
        .filter(|reason| reason.kind() != CancelKind::ParentCancelled || from_outside.is_some());
    let fail_fast = region.policy == Policy::FailFast && !mutant!(CauseForgotten);

    let mut outcome = match ended {
        BodyEnd::Panicked(panic) => Outcome::Panicked(PanicPayload::new(panic)),
        BodyEnd::Dropped(reason) => Outcome::Cancelled(reason),
        BodyEnd::Returned(Ok(value)) => Outcome::Ok(value),
        BodyEnd::Returned(Err(error)) => match told {
            Some(reason) => Outcome::Cancelled(reason),
            None => Outcome::Err(error),
        },
    };
    // The body was cancelled only because a child failed: the failure is the cause, and the outcome.
    let caused_by_child =
        fail_fast && outcome.is_cancelled() && from_outside.is_none() && !failures.is_empty();
    let worst = failures.iter().position(|f| matches!(f.cause, FailureCause::Panicked(_)));
    let first = worst.or(if failures.is_empty() { None } else { Some(0) });
    if let Some(first) = first {
        let severity =
            if worst.is_some() { crate::Severity::Panicked } else { crate::Severity::Err };
        if caused_by_child || severity > outcome.severity() {
            let failure = failures.remove(first);
            outcome = match failure.cause {
                FailureCause::Err(error) => Outcome::Err(error),
                FailureCause::Panicked(payload) => Outcome::Panicked(payload),
                FailureCause::OtherErr => Outcome::Cancelled(
                    CancelReason::new(CancelKind::FailFast)
                        .with_message(format!(
                            "{} failed with an error of another type than its region's",
                            failure.task
                        ))
                        .at_site(failure.spawned_at),
                ),
            };
        }
    }
    if let Some(reason) = child_reason.filter(|_| outcome.severity() < crate::Severity::Cancelled) {
        outcome = Outcome::Cancelled(from_outside.unwrap_or(reason));
    }
    // The body may have ended on a milder request than the one its children were then cancelled for.
    if let (Outcome::Cancelled(reason), Some(last)) = (&outcome, cancel) {
        if last.strengthens(Some(reason)) {
            outcome = Outcome::Cancelled(last);
        }
    }
    (outcome, failures)
}

fn claim_failure<E: Send + 'static>(task: &TaskRef) -> Option<ChildFailure<E>> {
    let header = task.header();
    let cause = match task.claim_failure()? {
        Failure::Err(error) => match error.downcast::<E>() {
            Ok(error) => FailureCause::Err(*error),
            Err(_) => FailureCause::OtherErr,
        },
        Failure::Panicked(payload) => FailureCause::Panicked(payload),
    };
    Some(ChildFailure { task: header.id, spawned_at: header.spawned_at, cause })
}

impl TaskRef {
    /// Takes the failure out of an ended task, unless a join was first.
    pub(super) fn claim_failure(&self) -> Option<Failure> {
        let header = self.header();
        if !header.state.claim() {
            return None;
        }
        // SAFETY: `failed` holds completed tasks only, and the claim is ours.
        unsafe { (header.vtable.take_failure)(self.as_raw()) }
    }
}

impl<C: Capabilities> Cx<C> {
    /// Runs `body` in a region of its own: returns when everything inside has ended.
    ///
    /// The body may spawn through the scope, register finalizers and wait with this very context; its
    /// waits belong to the region. When it returns `Ok`, the region waits for its children; when it
    /// returns `Err` or panics, they are cancelled first. Fail-fast unless [`region_with`](Cx::region_with)
    /// says otherwise.
    ///
    /// # Cancel safety
    /// When the surrounding scope is cancelled so is the region, and the future still waits until it is
    /// quiescent. *Dropping* the future cancels the region and leaves its close to the parent region,
    /// which waits for it: nothing is orphaned.
    ///
    /// ```no_run
    /// # use asupersync_core::{Cx, Error};
    /// # async fn example(cx: &Cx) -> Result<(), Error> {
    /// let outcome = cx
    ///     .region(async |scope| {
    ///         let mut answer = scope.spawn(async |_cx| Ok::<_, Error>(42));
    ///         Ok(answer.join(cx).await?.into_result()?)
    ///     })
    ///     .await;
    /// assert_eq!(outcome.into_result()?, 42);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn region<'s, F, T, E>(
        &'s self,
        body: F,
    ) -> impl Future<Output = Outcome<T, E>> + use<'s, F, T, E, C>
    where
        C: crate::cap::HasSpawn,
        E: Send + 'static,
        F: AsyncFnOnce(&Scope<E, C>) -> Result<T, E>,
    {
        let site = Location::caller();
        async move { region::<C, F, T, E>(self, Plain, site, body).await.outcome }
    }

    /// [`region`](Cx::region) with a name, policy or budget.
    #[track_caller]
    pub fn region_with<'s, F, T, E>(
        &'s self,
        options: RegionOptions,
        body: F,
    ) -> impl Future<Output = Outcome<T, E>> + use<'s, F, T, E, C>
    where
        C: crate::cap::HasSpawn,
        E: Send + 'static,
        F: AsyncFnOnce(&Scope<E, C>) -> Result<T, E>,
    {
        let site = Location::caller();
        async move { region::<C, F, T, E>(self, options, site, body).await.outcome }
    }

    /// [`region_with`](Cx::region_with), and the region's books: every error, stragglers, leaks.
    #[track_caller]
    pub fn region_reported<'s, F, T, E>(
        &'s self,
        options: RegionOptions,
        body: F,
    ) -> impl Future<Output = Closed<T, E>> + use<'s, F, T, E, C>
    where
        C: crate::cap::HasSpawn,
        E: Send + 'static,
        F: AsyncFnOnce(&Scope<E, C>) -> Result<T, E>,
    {
        let site = Location::caller();
        async move {
            let Assembled { outcome, failures, region } =
                region::<C, F, T, E>(self, options, site, body).await;
            Closed { outcome, failures, report: region.report() }
        }
    }
}
