//! What can be a branch: a future, or the handle of a task.

use asupersync_core::{JoinError, Outcome, TaskCx, TaskHandle};

/// How a type is made a branch; inferred, never written.
pub(crate) mod kind {
    pub enum Future {}
    pub enum Handle {}
}

/// What `join!` takes: a future as it is, or a [`TaskHandle`], which is joined. `Kind` is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a future nor the handle of a task",
    label = "cannot be waited for",
    note = "a future is what an `async` block or a call of an `async fn` gives; an async closure has to be called first"
)]
pub trait IntoBranch<'a, Kind> {
    /// What the branch returns.
    type Output;

    /// The branch's future.
    fn into_branch(self, cx: &'a TaskCx) -> impl Future<Output = Self::Output>;
}

impl<F: Future> IntoBranch<'_, kind::Future> for F {
    type Output = F::Output;

    fn into_branch(self, _: &TaskCx) -> impl Future<Output = F::Output> {
        self
    }
}

impl<'a, T, E> IntoBranch<'a, kind::Handle> for TaskHandle<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<Outcome<T, E>, JoinError>;

    async fn into_branch(mut self, cx: &'a TaskCx) -> Self::Output {
        self.join(cx).await
    }
}

/// A future as it is, or a task's handle as the future that joins it, so that both can stand side by
/// side in [`join`](crate::join()).
///
/// ```
/// use asupersync_combinator::{into_branch, join};
/// use asupersync_core::{Cx, Error};
///
/// async fn both(cx: &Cx) -> Result<(), Error> {
///     let task = cx.spawn(async |_: &Cx| Ok::<_, Error>(1));
///     let (one, two) = join(cx, (into_branch(cx, task), into_branch(cx, async { 2 }))).await?;
///     assert_eq!((one?.into_result()?, two), (1, 2));
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(both).is_ok());
/// ```
///
/// The inspector shows the wait of a joined handle at a line of this function's: for the caller's own
/// line write `task.join(cx)`.
///
/// # Cancel safety
/// That of the future. Dropping the join of a handle leaves the task to its region, and gives up the
/// handle.
pub fn into_branch<'a, Kind, B: IntoBranch<'a, Kind>>(
    cx: &'a TaskCx,
    branch: B,
) -> impl Future<Output = B::Output> {
    branch.into_branch(cx)
}
