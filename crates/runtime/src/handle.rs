//! Reaching a runtime from outside of its tasks.

use asupersync_core::{
    CancelReason, Cx, Futurelock, RegionSnapshot, Root, TaskBody, TaskHandle, TaskOptions, cap,
};
use std::time::Duration;

/// Spawns into a runtime's root region, from any thread. Cheap to clone.
///
/// A handle does not keep the runtime alive; after its shutdown, spawns are refused.
#[derive(Clone, Debug)]
pub struct Handle {
    root: Root,
}

impl Handle {
    pub(crate) fn new(root: Root) -> Handle {
        Handle { root }
    }

    /// Spawns a task into the root region. Its failure stops nobody else. Once the runtime shuts down,
    /// the body is dropped and the join answers `Cancelled`.
    ///
    /// ```
    /// use asupersync_core::{Cx, Error};
    /// use asupersync_runtime::Runtime;
    ///
    /// let runtime = Runtime::multi_thread()?;
    /// let mut task = runtime.handle().spawn(async |_cx: &Cx| Ok::<_, Error>(2 + 2));
    /// let joined = runtime.block_on(async move |cx: &Cx| Ok::<_, Error>(task.join(cx).await?));
    /// assert_eq!(joined.ok().unwrap().ok(), Some(4));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn<F, T, E>(&self, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
    {
        self.root.spawn(body)
    }

    /// [`spawn`](Handle::spawn) with a name or budget.
    #[track_caller]
    pub fn spawn_with<F, T, E>(&self, options: TaskOptions, body: F) -> TaskHandle<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
    {
        self.root.spawn_with(options, body)
    }

    /// Starts the shutdown without waiting for it: everything is cancelled with `Shutdown`, and has
    /// `grace` to clean up. Whoever waits in `block_on` gets its outcome when its region is quiescent.
    #[track_caller]
    pub fn shutdown(&self, grace: Duration) {
        self.root.cancel(CancelReason::shutdown(grace));
    }

    /// Looks at the tree twice, `idle` apart, and answers with the tasks that sat on a lock or permit all
    /// the while, as did somebody who waits for one of that kind; see [`RegionSnapshot::futurelocks`].
    ///
    /// Blocks the calling thread for `idle`: inside a task call it through `cx.spawn_blocking`.
    #[must_use]
    pub fn futurelocks(&self, idle: Duration) -> Vec<Futurelock> {
        let earlier = self.snapshot();
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread outside of all tasks, as documented"
        )]
        std::thread::sleep(idle);
        self.snapshot().futurelocks(&earlier)
    }

    /// The region tree as it stands.
    #[must_use]
    pub fn snapshot(&self) -> RegionSnapshot {
        self.root.snapshot()
    }
}
