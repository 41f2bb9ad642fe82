//! Polling a future inside a scope of its task: entering, leaving, and what cancellation does to it.

use super::TaskCx;
use crate::cancel::CancelReason;
use crate::mutant::mutant;
use crate::task::scopes::{Child, Effects, ScopeKey};
use crate::task::{Header, TaskRef};
use crate::timer::{Fires, arm};
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

impl TaskCx {
    /// Cancels a scope inside this task.
    pub(crate) fn cancel_scope(&self, key: ScopeKey, reason: CancelReason) {
        self.task.cancel_scope(key, reason);
    }

    /// Polls a future inside a scope of this task, and applies the rule for futures that cancellation
    /// cannot reach: after a cancel, one that is pending without a kernel wait, a mask or a region of its
    /// own is dropped at once, any other when cleanup time is over.
    pub(crate) fn poll_scoped<F: Future>(
        &self,
        key: ScopeKey,
        mut slot: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<BodyEnd<F::Output>> {
        let inside = Inside::enter(self.header(), key, Why::Poll);
        if inside.escalated {
            return Poll::Ready(self.drop_scoped(inside, slot));
        }
        let Some(future) = slot.as_mut().as_pin_mut() else {
            unreachable!("a scoped future is not polled after its end")
        };
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Ready(output)) => {
                Poll::Ready(match catch_unwind(AssertUnwindSafe(|| slot.set(None))) {
                    Ok(()) => BodyEnd::Returned(output),
                    Err(panic) => BodyEnd::Panicked(panic),
                })
            }
            Err(panic) => {
                let _ = catch_unwind(AssertUnwindSafe(|| slot.set(None)));
                Poll::Ready(BodyEnd::Panicked(panic))
            }
            Ok(Poll::Pending) => {
                // Kept for cancellations that no wait inside hears.
                let mut waker = Some(context.waker().clone());
                let (stuck, unbounded) = {
                    let mut inner = self.header().inner.lock();
                    let stuck = inner.scopes.is_stuck(key);
                    let mut unbounded = false;
                    if let Some(child) = inner.scopes.child_mut(key).filter(|_| !stuck) {
                        std::mem::swap(&mut child.waker, &mut waker);
                        unbounded = child.node.cancel.is_some() && child.cleanup_timer.is_none();
                    }
                    (stuck, unbounded)
                };
                if stuck {
                    return Poll::Ready(self.drop_scoped(inside, slot));
                }
                drop(inside);
                if unbounded {
                    self.bound_cleanup(key);
                }
                Poll::Pending
            }
        }
    }

    /// Drops the future inside its scope, which is cancelled.
    fn drop_scoped<F: Future>(
        &self,
        inside: Inside<'_>,
        mut slot: Pin<&mut Option<F>>,
    ) -> BodyEnd<F::Output> {
        let reason = self.header().inner.lock().scopes.reason_behind_masks(inside.key);
        let dropped = catch_unwind(AssertUnwindSafe(|| slot.set(None)));
        drop(inside);
        match dropped {
            Ok(()) => BodyEnd::Dropped(
                reason.unwrap_or_else(|| CancelReason::user("cleanup time is over")),
            ),
            Err(panic) => BodyEnd::Panicked(panic),
        }
    }

    /// Arms the cleanup timer of a cancelled scope, once. Regions arm their own.
    fn bound_cleanup(&self, key: ScopeKey) {
        let header = self.header();
        let host = &header.region.host;
        let until = {
            let inner = header.inner.lock();
            match inner.scopes.child(key) {
                Some(child) if child.cleanup_timer.is_none() && child.region.is_none() => {
                    child.node.cancel.as_ref().map(|reason| {
                        (reason.root().at().unwrap_or_else(|| host.now())) + reason.cleanup_time()
                    })
                }
                _ => None,
            }
        };
        if let Some(until) = until {
            let timer = arm(host, until, Fires::ScopeCleanup(self.task().clone(), key));
            let mut inner = header.inner.lock();
            if let Some(child) = inner.scopes.child_mut(key) {
                child.cleanup_timer = Some(timer);
            }
        }
    }

    /// Runs `poll` with `key` as the innermost scope. Restores the scope that was there, also when `poll`
    /// panics.
    pub(crate) fn enter<R>(&self, key: ScopeKey, poll: impl FnOnce() -> R) -> R {
        let inside = Inside::enter(self.header(), key, Why::Poll);
        let result = poll();
        drop(inside);
        result
    }

    /// Runs `drop` with `key` as the innermost scope. A scope that is dropped from another place than it
    /// was polled in does not take on that place's cancellation: nothing in it will hear of it.
    pub(crate) fn enter_to_drop(&self, key: ScopeKey, drop: impl FnOnce()) {
        let _inside = Inside::enter(self.header(), key, Why::Drop);
        drop();
    }

    /// Opens a scope beneath the innermost one.
    pub(crate) fn open_scope(&self, child: Child) -> ScopeKey {
        let header = self.header();
        let mut inner = header.inner.lock();
        let parent = inner.scopes.current;
        inner.scopes.insert(Child { parent, ..child })
    }

    /// Takes a scope away and disarms its timers.
    pub(crate) fn close_scope(&self, key: ScopeKey) {
        let header = self.header();
        let removed = {
            let mut inner = header.inner.lock();
            let removed = inner.scopes.remove(key);
            inner.scopes.publish(header);
            removed
        };
        if let Some(mut removed) = removed {
            for timer in removed.timers() {
                header.region.host.disarm_timer(timer);
            }
        }
    }
}

/// What a scope is entered for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Poll,
    Drop,
}

/// While it lives, `key` is its task's innermost scope.
struct Inside<'a> {
    header: &'a Header,
    key: ScopeKey,
    before: ScopeKey,
    /// The scope's cleanup time is over.
    escalated: bool,
}

impl<'a> Inside<'a> {
    fn enter(header: &'a Header, key: ScopeKey, why: Why) -> Inside<'a> {
        let mut effects = Effects::default();
        let inside = {
            let mut inner = header.inner.lock();
            let before = inner.scopes.current;
            let mut inside = Inside { header, key, before, escalated: false };
            if let Some(child) = inner.scopes.child_mut(key) {
                inside.escalated = child.escalated;
                // A future may be moved from one scope's poll to another's; it belongs to the present one.
                let moved = child.parent != before;
                child.parent = before;
                inner.scopes.current = key;
                if moved && why == Why::Poll {
                    inner.scopes.propagate(header, &mut effects);
                } else {
                    inner.scopes.publish(header);
                }
            }
            inside
        };
        effects.run();
        inside
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut inner = self.header.inner.lock();
        inner.scopes.current = self.before;
        inner.scopes.publish(self.header);
    }
}

impl TaskRef {
    /// Cancels a scope inside this task.
    pub(crate) fn cancel_scope(&self, key: ScopeKey, reason: CancelReason) {
        let header = self.header();
        let now = header.region.host.now();
        let reason = reason.attributed(now, crate::step::task(), Some(header.region.id));
        let mut effects = Effects::default();
        {
            let mut inner = header.inner.lock();
            let Some(node) = inner.scopes.node_mut(key) else { return };
            if !crate::cancel_strengthens(&reason, node.cancel.as_ref()) {
                return;
            }
            node.cancel = Some(reason);
            inner.scopes.propagate(header, &mut effects);
        }
        effects.run();
    }

    /// Cleanup of a scope inside this task is over: its wrapper drops the future at its next poll.
    pub(crate) fn escalate_scope(&self, key: ScopeKey) {
        if mutant!(EscalationIgnored) {
            return;
        }
        let waker = {
            let mut inner = self.header().inner.lock();
            let Some(child) = inner.scopes.child_mut(key) else { return };
            child.escalated = true;
            child.waker.take()
        };
        match waker {
            Some(waker) => crate::wake::wake(waker),
            None => self.wake(),
        }
    }
}

/// How a future that was polled in a scope ended.
pub(crate) enum BodyEnd<T> {
    Returned(T),
    Panicked(Box<dyn Any + Send>),
    /// Dropped after its scope was cancelled.
    Dropped(CancelReason),
}
