//! Acquire, use, release: the release happens, whatever happens.

use asupersync_core::cap::{Capabilities, HasSpawn};
use asupersync_core::{Cx, ExclusiveCell, Outcome, RegionOptions, Scope};
use std::sync::Arc;

/// What [`bracket`] takes for its release: `async |cx: &Cx, resource| -> Result<(), E>` whose future
/// is `Send`. Implemented by every such closure and function, and not by hand.
pub trait Release<'a, C, R, E>: FnOnce(&'a Cx<C>, R) -> Self::Future
where
    C: Capabilities,
{
    /// The future the release makes.
    type Future: Future<Output = Result<(), E>> + Send + 'a;
}

impl<'a, C, R, E, F, Fut> Release<'a, C, R, E> for F
where
    C: Capabilities,
    F: FnOnce(&'a Cx<C>, R) -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'a,
{
    type Future = Fut;
}

/// Acquires a resource, uses it, and releases it exactly once: after success, an error, a panic or a
/// cancellation of the use, and also when this very future is dropped.
///
/// The three run in a region of their own, and the release is that region's finalizer: a task, masked,
/// within the cleanup budget. So it is `'static`, and when the future of `bracket` is dropped it still
/// runs, and the region around waits for it. `body` has the resource to itself by `&mut`; its waits
/// belong to the region. If `acquire` fails there is nothing to release.
///
/// ```
/// use asupersync_combinator::bracket;
/// use asupersync_core::{Cx, Error};
///
/// async fn with_log(cx: &Cx) -> Result<(), Error> {
///     let open = async { Ok(String::from("opened, ")) };
///     let write = async |log: &mut String| { log.push_str("used, "); Ok(log.len()) };
///     let close = async |cx: &Cx, log: String| { cx.trace(log + "closed"); Ok::<_, Error>(()) };
///     assert_eq!(bracket(cx, open, write, close).await.into_result()?, 14);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(with_log).is_ok());
/// ```
///
/// # Outcome
/// As a region's: `body`'s result, `Cancelled` when it stopped for a cancellation, `Panicked` when it
/// or the release panicked (a panic is kept, not passed on). An error of the release counts when
/// nothing worse has happened.
///
/// # Cancel safety
/// Until `acquire` has returned, that of `acquire`. From then on the resource is released: between the
/// return and the registration of the release there is no wait. `body` is told through its waits and
/// has the cleanup time; then the release has its own. A cancel request is answered when both have
/// ended. A release that overruns its cleanup time is dropped at its next poll, with the resource, and
/// named in the region's report.
#[track_caller]
pub fn bracket<'a, C, R, T, E, A, B, F>(
    cx: &'a Cx<C>,
    acquire: A,
    body: B,
    release: F,
) -> impl Future<Output = Outcome<T, E>> + use<'a, C, R, T, E, A, B, F>
where
    C: HasSpawn,
    R: Send + 'static,
    E: Send + 'static,
    A: Future<Output = Result<R, E>>,
    B: AsyncFnOnce(&mut R) -> Result<T, E>,
    F: for<'c> AsyncFnOnce(&'c Cx<C>, R) -> Result<(), E>,
    F: for<'c> Release<'c, C, R, E> + Send + 'static,
{
    cx.region_with(RegionOptions::new().name("bracket"), async move |scope: &Scope<E, C>| {
        let resource = Arc::new(ExclusiveCell::new(Some(acquire.await?)));
        let shared = Arc::clone(&resource);
        scope.defer(async move |cx: &Cx<C>| match take(&shared) {
            Some(resource) => call(release, cx, resource).await,
            None => Ok(()),
        });
        let Some(mut claim) = resource.try_claim() else {
            unreachable!("the finalizer claims the resource only after the body has ended")
        };
        let Some(resource) = claim.as_mut() else {
            unreachable!("the finalizer takes the resource only after the body has ended")
        };
        body(resource).await
    })
}

fn take<R>(resource: &ExclusiveCell<Option<R>>) -> Option<R> {
    resource.try_claim()?.take()
}

/// Names the future's type, which is known to be `Send`; that of the `AsyncFnOnce` call is not.
fn call<'c, C, R, E, F>(release: F, cx: &'c Cx<C>, resource: R) -> F::Future
where
    C: Capabilities,
    F: Release<'c, C, R, E>,
{
    release(cx, resource)
}
