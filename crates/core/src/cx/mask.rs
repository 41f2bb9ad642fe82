//! Masks: sections that a cancellation does not reach.

use super::TaskCx;
use crate::branch::arm_uncovered;
use crate::task::scopes::{Effects, ScopeKey};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

impl TaskCx {
    /// Shields the innermost scope from cancellation until the guard is dropped: waits inside answer with
    /// their events. For a section that is one future, [`masked`](TaskCx::masked) reads better.
    ///
    /// Masked time is charged to the cleanup budget: when that is spent the task's future is dropped,
    /// masked or not.
    #[must_use = "the mask ends when the guard is dropped"]
    pub fn mask(&self) -> MaskGuard<'_> {
        let header = self.header();
        let mut inner = header.inner.lock();
        let key = inner.scopes.current;
        if let Some(node) = inner.scopes.node_mut(key) {
            node.masks += 1;
        }
        let special = inner.scopes.is_special();
        drop(inner);
        if special {
            self.hidden();
        }
        MaskGuard { cx: self, key }
    }

    /// What has just been hidden from the innermost scope may have been cancelled, or relied on.
    #[cold]
    fn hidden(&self) {
        let header = self.header();
        header.inner.lock().scopes.publish(header);
        arm_uncovered(self);
    }

    /// Runs a future shielded from cancellation; see [`mask`](TaskCx::mask).
    ///
    /// ```
    /// # use asupersync_core::{TaskCx, Cancelled};
    /// # async fn flush(cx: &TaskCx) -> Result<(), Cancelled> { Ok(()) }
    /// async fn close(cx: &TaskCx) -> Result<(), Cancelled> {
    ///     cx.masked(flush(cx)).await // completes even when a cancellation arrives meanwhile
    /// }
    /// ```
    pub fn masked<F: Future>(&self, future: F) -> Masked<'_, F> {
        Masked { cx: self, key: None, future }
    }
}

/// Shields a scope from cancellation until dropped; made by [`TaskCx::mask`].
pub struct MaskGuard<'a> {
    cx: &'a TaskCx,
    key: ScopeKey,
}

impl Drop for MaskGuard<'_> {
    fn drop(&mut self) {
        let header = self.cx.header();
        let mut inner = header.inner.lock();
        if let Some(node) = inner.scopes.node_mut(self.key) {
            node.masks = node.masks.saturating_sub(1);
        }
        if inner.scopes.any_cancelled() {
            drop(inner);
            self.let_in();
        }
    }
}

impl MaskGuard<'_> {
    /// What was held off arrives now.
    #[cold]
    fn let_in(&self) {
        let header = self.cx.header();
        let mut effects = Effects::default();
        header.inner.lock().scopes.propagate(header, &mut effects);
        effects.run();
        if self.key == ScopeKey::BASE && header.wait.is_in() && header.cancelled_now().is_some() {
            self.cx.task().wake();
        }
    }
}

impl fmt::Debug for MaskGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskGuard")
    }
}

pin_project_lite::pin_project! {
    /// A future shielded from cancellation; made by [`TaskCx::masked`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Masked<'a, F> {
        cx: &'a TaskCx,
        key: Option<ScopeKey>,
        #[pin]
        future: F,
    }

    impl<F> PinnedDrop for Masked<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(key) = this.key.take() {
                this.cx.close_scope(key);
            }
        }
    }
}

impl<F: Future> Future for Masked<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let cx = *this.cx;
        let key = *this.key.get_or_insert_with(|| cx.open_scope(1));
        let future = this.future;
        let polled = cx.enter(key, || future.poll(context));
        if polled.is_ready() {
            cx.close_scope(key);
            *this.key = None;
        }
        polled
    }
}
