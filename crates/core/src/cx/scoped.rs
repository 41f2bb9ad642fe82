//! Polling a future inside a scope of its task: entering, leaving, and what cancellation does to it.

use super::TaskCx;
use crate::branch::arm_uncovered;
use crate::cancel::CancelReason;
use crate::mutant::mutant;
use crate::task::TaskRef;
use crate::task::scopes::{Child, Effects, ScopeKey};
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
    ) -> Poll<(BodyEnd<F::Output>, Inside<'_>)> {
        let inside = Inside::enter(self, key, Why::Poll);
        if inside.escalated {
            return Poll::Ready((self.drop_scoped(key, slot), inside));
        }
        let Some(future) = slot.as_mut().as_pin_mut() else {
            unreachable!("a scoped future is not polled after its end")
        };
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Ready(output)) => {
                let end = match catch_unwind(AssertUnwindSafe(|| slot.set(None))) {
                    Ok(()) => BodyEnd::Returned(output),
                    Err(panic) => BodyEnd::Panicked(panic),
                };
                Poll::Ready((end, inside))
            }
            Err(panic) => {
                let _ = catch_unwind(AssertUnwindSafe(|| slot.set(None)));
                Poll::Ready((BodyEnd::Panicked(panic), inside))
            }
            Ok(Poll::Pending) => match inside.leave_pending(context) {
                Ok(unbounded) => {
                    if unbounded {
                        self.bound_cleanup(key);
                    }
                    Poll::Pending
                }
                Err(inside) => Poll::Ready((self.drop_scoped(key, slot), inside)),
            },
        }
    }

    /// Drops the future inside its scope, which is cancelled.
    #[cold]
    fn drop_scoped<F: Future>(
        &self,
        key: ScopeKey,
        mut slot: Pin<&mut Option<F>>,
    ) -> BodyEnd<F::Output> {
        let reason = self.header().inner.lock().scopes.reason_behind_masks(key);
        let dropped = catch_unwind(AssertUnwindSafe(|| slot.set(None)));
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
        let inside = Inside::enter(self, key, Why::Poll);
        let result = poll();
        drop(inside);
        result
    }

    /// Runs `drop` with `key` as the innermost scope. A scope that is dropped from another place than it
    /// was polled in does not take on that place's cancellation: nothing in it will hear of it.
    pub(crate) fn enter_to_drop(&self, key: ScopeKey, drop: impl FnOnce()) {
        let _inside = Inside::enter(self, key, Why::Drop);
        drop();
    }

    /// Opens a scope beneath the innermost one, masked so many times.
    pub(crate) fn open_scope(&self, masks: u32) -> ScopeKey {
        let header = self.header();
        let mut inner = header.inner.lock();
        let parent = inner.scopes.current;
        let mut child = Child::new(parent, None);
        child.node.masks = masks;
        inner.scopes.insert(child)
    }

    /// Takes a scope away and disarms its timers.
    pub(crate) fn close_scope(&self, key: ScopeKey) {
        let header = self.header();
        let removed = {
            let mut inner = header.inner.lock();
            let removed = inner.scopes.remove(key);
            inner.scopes.publish(header);
            removed.map(|removed| (inner.scopes.relied_on(&removed), removed))
        };
        if let Some((relied_on, removed)) = removed {
            removed.disarm(header);
            if relied_on {
                arm_uncovered(self);
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
pub(crate) struct Inside<'a> {
    cx: &'a TaskCx,
    key: ScopeKey,
    before: ScopeKey,
    /// The scope's cleanup time is over, or the scope is gone.
    escalated: bool,
}

impl<'a> Inside<'a> {
    #[inline]
    fn enter(cx: &'a TaskCx, key: ScopeKey, why: Why) -> Inside<'a> {
        let header = cx.header();
        let mut inner = header.inner.lock();
        let before = inner.scopes.current;
        let scopes = &mut inner.scopes;
        match scopes.child(key) {
            // The usual case.
            Some(child) if child.parent == before && !scopes.any_cancelled() => {
                let escalated = child.escalated;
                scopes.current = key;
                scopes.publish(header);
                return Inside { cx, key, before, escalated };
            }
            _ => drop(inner),
        }
        Inside::enter_moved(cx, key, why)
    }

    /// Into a scope that has another parent now, or of a task that was cancelled somewhere.
    #[cold]
    fn enter_moved(cx: &'a TaskCx, key: ScopeKey, why: Why) -> Inside<'a> {
        let header = cx.header();
        let mut inner = header.inner.lock();
        let before = inner.scopes.current;
        let mut inside = Inside { cx, key, before, escalated: false };
        let Some(child) = inner.scopes.child_mut(key) else {
            // A region that was left behind: it has closed, or will, and nothing of it is to run any more.
            inside.escalated = true;
            return inside;
        };
        inside.escalated = child.escalated;
        // A future may be moved from one scope's poll to another's; it belongs to the present one.
        let moved = child.parent != before;
        if moved {
            inner.scopes.move_to(key, before);
        }
        inner.scopes.current = key;
        if moved && why == Why::Poll {
            let mut effects = Effects::default();
            inner.scopes.propagate(header, &mut effects);
            let unarmed = inner.scopes.has_unarmed();
            drop(inner);
            effects.run();
            if unarmed {
                arm_uncovered(cx);
            }
        } else {
            inner.scopes.publish(header);
        }
        inside
    }

    /// Leaves the scope after a poll that left its future pending. `Ok(true)`: it is cancelled, and its cleanup
    /// has no bound yet. `Err`: cancellation cannot reach the future.
    #[inline]
    fn leave_pending(self, context: &Context<'_>) -> Result<bool, Inside<'a>> {
        let header = self.cx.header();
        {
            let mut inner = header.inner.lock();
            let child = inner.scopes.child(self.key);
            let kept = child.is_some_and(|child| {
                !child.needs_waker()
                    || child.waker.as_ref().is_some_and(|w| w.will_wake(context.waker()))
            });
            if kept && !inner.scopes.any_cancelled() {
                inner.scopes.current = self.before;
                inner.scopes.publish(header);
                drop(inner);
                std::mem::forget(self);
                return Ok(false);
            }
        }
        self.leave_with_waker(context)
    }

    #[cold]
    fn leave_with_waker(self, context: &Context<'_>) -> Result<bool, Inside<'a>> {
        let header = self.cx.header();
        // Cloned before and dropped after the lock is held: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut inner = header.inner.lock();
        if inner.scopes.is_stuck(self.key) {
            drop(inner);
            return Err(self);
        }
        let mut unbounded = false;
        if let Some(child) = inner.scopes.child_mut(self.key) {
            let kept = child.waker.as_ref().is_some_and(|w| w.will_wake(context.waker()));
            if !kept && child.needs_waker() {
                std::mem::swap(&mut child.waker, &mut waker);
            }
            unbounded = child.node.cancel.is_some() && child.cleanup_timer.is_none();
            inner.scopes.keeps();
        }
        inner.scopes.current = self.before;
        inner.scopes.publish(header);
        drop(inner);
        std::mem::forget(self);
        Ok(unbounded)
    }

    /// Leaves the scope and takes it away. Answers why it was cancelled, itself and not one around it, if that
    /// has reached what is inside: a wait was told, or it was `dropped`.
    pub(crate) fn close(self, dropped: bool) -> Option<CancelReason> {
        let header = self.cx.header();
        let (told, removed) = {
            let mut inner = header.inner.lock();
            let removed = inner.scopes.remove(self.key);
            inner.scopes.current = self.before;
            inner.scopes.publish(header);
            let node = removed.as_ref().map(|child| &child.node);
            let told = node.filter(|node| node.told || dropped);
            let told = told.and_then(|node| node.cancel.clone());
            (told, removed.map(|removed| (inner.scopes.relied_on(&removed), removed)))
        };
        let cx = self.cx;
        std::mem::forget(self);
        if let Some((relied_on, removed)) = removed {
            removed.disarm(header);
            if relied_on {
                arm_uncovered(cx);
            }
        }
        told
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let header = self.cx.header();
        let mut inner = header.inner.lock();
        inner.scopes.current = self.before;
        inner.scopes.publish(header);
    }
}

impl TaskRef {
    /// Cancels a scope inside this task.
    pub(crate) fn cancel_scope(&self, key: ScopeKey, reason: CancelReason) {
        let header = self.header();
        let reason = self.attributed(reason);
        let mut effects = Effects::default();
        {
            let mut inner = header.inner.lock();
            if !inner.scopes.cancel(key, &reason) {
                return;
            }
            inner.scopes.propagate_from(key, header, &mut effects);
        }
        effects.run();
    }

    /// The reason with what it does not say yet: when, and by whom.
    pub(crate) fn attributed(&self, reason: CancelReason) -> CancelReason {
        if reason.is_attributed() {
            return reason;
        }
        let region = &self.header().region;
        reason.attributed(region.host.now(), crate::step::task(), Some(region.id))
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
