//! A mutex whose waiters take no steps.

use crate::host::{LabHost, Latch};
use crate::strategy::OpKind;
use asupersync_core::cap::HasIo;
use asupersync_core::{Cancelled, Cx, Object, TaskCx, TaskId};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) const LABEL: &str = "lab::Mutex";

/// A mutual exclusion of the textbook's kind, for models of programs: taking it is one step, which
/// can be chosen only while it is free, and a task that must wait takes none.
///
/// The mutex of `asupersync-sync` is the one for programs; there, finding it held is a step too. Clones
/// are handles to one mutex. Outside the lab a waiter spins, yielding.
///
/// # Cancel safety
/// A cancelled operation answers `Err(Cancelled)` and has not happened.
///
/// # Limitations
/// A task waits as a whole: a `lock` that waits inside a combinator keeps its siblings from being polled.
#[derive(Clone)]
pub struct Mutex {
    inner: Arc<Inner>,
}

struct Inner {
    object: Object,
    latch: Arc<Latch>,
}

impl Default for Mutex {
    fn default() -> Mutex {
        Mutex::new()
    }
}

impl Mutex {
    /// A free mutex. Made inside a task it is named after that task.
    #[must_use]
    pub fn new() -> Mutex {
        let object = Object::new(LABEL);
        object.write();
        Mutex { inner: Arc::new(Inner { object, latch: Arc::default() }) }
    }

    /// Yields, then takes the mutex, in a step that comes when it is free.
    ///
    /// # Errors
    /// `Cancelled`, and it was not taken.
    pub async fn lock<C: HasIo>(&self, cx: &Cx<C>) -> Result<MutexGuard, Cancelled> {
        let host = cx.service::<LabHost>();
        let latch = &self.inner.latch;
        loop {
            {
                let _gate = host.as_ref().map(|host| Gate::new(host, cx, latch));
                cx.yield_now().await?;
            }
            if !latch.held.swap(true, Ordering::Relaxed) {
                break;
            }
            // Cancelled while masked: chosen all the same, so that the cancellation is not held up.
            self.inner.object.read();
        }
        self.inner.object.write();
        Ok(self.guard(host, OpKind::Take, None))
    }

    /// Yields, then takes the mutex if it is free. Finding it held is a read.
    ///
    /// # Errors
    /// `Cancelled`, and it was not taken.
    pub async fn try_lock<C: HasIo>(&self, cx: &Cx<C>) -> Result<Option<MutexGuard>, Cancelled> {
        cx.yield_now().await?;
        let host = cx.service::<LabHost>();
        if self.inner.latch.held.swap(true, Ordering::Relaxed) {
            self.inner.object.read();
            if let Some(host) = host {
                host.note(OpKind::Plain, Some(0), (1, 1));
            }
            return Ok(None);
        }
        self.inner.object.write();
        Ok(Some(self.guard(host, OpKind::Plain, Some(0))))
    }

    fn guard(&self, host: Option<Arc<LabHost>>, kind: OpKind, expected: Option<u64>) -> MutexGuard {
        let object = host.as_ref().and_then(|host| host.note(kind, expected, (0, 1)));
        if let Some(object) = object {
            self.inner.latch.object.store(object.to_bits(), Ordering::Relaxed);
        }
        MutexGuard { mutex: self.clone(), host, forgotten: false }
    }
}

/// Keeps a task from being chosen while a latch is held, until dropped.
pub(crate) struct Gate<'a> {
    host: &'a Arc<LabHost>,
    task: TaskId,
    latch: &'a Arc<Latch>,
}

impl<'a> Gate<'a> {
    pub(crate) fn new(host: &'a Arc<LabHost>, cx: &TaskCx, latch: &'a Arc<Latch>) -> Gate<'a> {
        host.gate(cx.task_id(), latch.clone());
        Gate { host, task: cx.task_id(), latch }
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        self.host.ungate(self.task, self.latch);
    }
}

/// Holds a [`Mutex`] until dropped or, in a step of its own, [unlocked](MutexGuard::unlock).
#[must_use = "the mutex is released when the guard is dropped"]
pub struct MutexGuard {
    mutex: Mutex,
    host: Option<Arc<LabHost>>,
    forgotten: bool,
}

impl MutexGuard {
    /// Yields, then releases the mutex. A cancelled one is released too.
    ///
    /// # Errors
    /// `Cancelled`; the mutex is free all the same.
    pub async fn unlock(self, cx: &TaskCx) -> Result<(), Cancelled> {
        cx.yield_now().await
    }

    /// Never releases the mutex.
    pub fn forget(mut self) {
        self.forgotten = true;
    }
}

impl Drop for MutexGuard {
    fn drop(&mut self) {
        if self.forgotten {
            return;
        }
        self.mutex.inner.latch.held.store(false, Ordering::Relaxed);
        self.mutex.inner.object.write();
        if let Some(host) = &self.host {
            host.note(OpKind::Plain, None, (1, 0));
        }
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.inner.latch.held.load(Ordering::Relaxed);
        f.debug_struct("Mutex").field("held", &held).finish()
    }
}

impl fmt::Debug for MutexGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MutexGuard")
    }
}
