//! A lock for many readers or one writer.

mod guard;
mod place;

pub use guard::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
    RwLockReadGuard, RwLockWriteGuard,
};

use crate::blocking;
use crate::promptly::{at_once, promptly};
use asupersync_core::{
    Cancelled, DetachedRead, DetachedWrite, Holding, Object, ObligationKind, OwnedMut, OwnedRef,
    ReadClaim, SharedCell, TaskCx, Wait, WaitQueue, WakeList, WriteClaim, primitive,
};
use place::{Claims, Place};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

static READ: ObligationKind = ObligationKind::abort_on_drop("RwLock::ReadGuard");
static WRITE: ObligationKind = ObligationKind::abort_on_drop("RwLock::WriteGuard");

/// Shared access for readers, exclusive access for a writer, with neither starving.
///
/// A writer that waits keeps newcomers out, readers too: the readers inside are the last before it.
/// When a writer leaves, all readers that wait by then enter together, and the next writer after them.
/// So the phases alternate: a reader waits for at most one writer, a writer for those writers that
/// came before it and one batch of readers each. Within each kind it is first come, first served.
/// (This is the phase-fair policy of B. Brandenburg and J. Anderson, "Spin-based reader-writer
/// synchronization for multiprocessor real-time systems", *Real-Time Systems* 46, 2010.) Uncontended,
/// either lock is one compare-and-swap. Guards are obligations: the inspector names who holds them.
///
/// A task that holds a read lock and asks for another can wait for itself, because a writer may have
/// come in between; the lab reports it.
///
/// # Poisoning
/// There is none, as with [`Mutex`](crate::Mutex).
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// use asupersync_sync::RwLock;
///
/// async fn rename(cx: &Cx, name: &RwLock<String>) -> Result<usize, Error> {
///     name.write(cx).await?.push('!');
///     Ok(name.read(cx).await?.len())
/// }
/// ```
pub struct RwLock<T> {
    /// Marked while somebody stands in a line; the mark changes under the lines' lock.
    cell: SharedCell<T>,
    lines: primitive::Mutex<Lines>,
    object: Object,
}

/// A granted waiter's payload is the claim handed to it.
struct Lines {
    readers: WaitQueue<Option<DetachedRead>>,
    writers: WaitQueue<Option<DetachedWrite>>,
}

impl Lines {
    fn len(&self) -> usize {
        self.readers.len() + self.writers.len()
    }
}

/// Whose turn it is after a release.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A writer has left: all readers that wait, or else the next writer.
    Readers,
    /// A reader or a waiter has left: the next writer, or else all readers that wait.
    Writers,
}

impl<T> RwLock<T> {
    /// An unlocked lock around `value`.
    #[must_use]
    pub fn new(value: T) -> RwLock<T> {
        RwLock {
            cell: SharedCell::new(value),
            lines: primitive::Mutex::new(Lines {
                readers: WaitQueue::new(),
                writers: WaitQueue::new(),
            }),
            object: Object::new("RwLock"),
        }
    }

    /// Waits for shared access.
    ///
    /// # Cancel safety
    /// Nothing is lost. A waiter that is cancelled or dropped gives up its place; access that had
    /// already been handed to it is given back, and whoever waits for that enters. A cancel request is
    /// answered within one poll.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn read<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<RwLockReadGuard<'a, T>, Cancelled>> {
        let site = Location::caller();
        promptly(
            move || at_once(cx, || self.read_free()),
            move || self.read_in_turn(cx, site),
            move |claim| Ok(RwLockReadGuard::new(self, claim?, cx.holding_at(&READ, site))),
        )
    }

    /// Waits for exclusive access.
    ///
    /// # Cancel safety
    /// As [`read`](RwLock::read). Readers that stood behind a waiting writer enter when it leaves.
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn write<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<RwLockWriteGuard<'a, T>, Cancelled>> {
        let site = Location::caller();
        promptly(
            move || at_once(cx, || self.write_free()),
            move || self.write_in_turn(cx, site),
            move |claim| Ok(RwLockWriteGuard::new(self, claim?, cx.holding_at(&WRITE, site))),
        )
    }

    /// Waits for shared access; the guard keeps the lock alive instead of borrowing it.
    ///
    /// # Cancel safety
    /// As [`read`](RwLock::read).
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn read_owned<'a>(
        self: &'a Arc<Self>,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<OwnedRwLockReadGuard<T>, Cancelled>>
    where
        T: 'static,
    {
        let site = Location::caller();
        async move {
            cx.checkpoint()?;
            let free =
                OwnedRef::claim(Arc::clone(self), |lock| Some(lock.read_free()?.into_part()));
            let claim = match free {
                Ok(claim) => claim,
                Err(lock) => {
                    let claim = self.read_in_turn(cx, site).await?.detach();
                    OwnedRef::of(lock, |lock| lock.cell.attach_read(claim).into_part())
                }
            };
            let holding = cx.holding_at(&READ, site);
            Ok(OwnedRwLockReadGuard::new(Arc::clone(self), claim, holding))
        }
    }

    /// Waits for exclusive access; the guard keeps the lock alive instead of borrowing it.
    ///
    /// # Cancel safety
    /// As [`write`](RwLock::write).
    ///
    /// # Errors
    /// [`Cancelled`], when the waiting scope is.
    #[track_caller]
    pub fn write_owned<'a>(
        self: &'a Arc<Self>,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<OwnedRwLockWriteGuard<T>, Cancelled>>
    where
        T: 'static,
    {
        let site = Location::caller();
        async move {
            cx.checkpoint()?;
            let free =
                OwnedMut::claim(Arc::clone(self), |lock| Some(lock.write_free()?.into_part()));
            let claim = match free {
                Ok(claim) => claim,
                Err(lock) => {
                    let claim = self.write_in_turn(cx, site).await?.detach();
                    OwnedMut::of(lock, |lock| lock.cell.attach_write(claim).into_part())
                }
            };
            let holding = cx.holding_at(&WRITE, site);
            Ok(OwnedRwLockWriteGuard::new(Arc::clone(self), claim, holding))
        }
    }

    /// Shared access, if no writer is inside and nobody waits.
    #[track_caller]
    pub fn try_read(&self, cx: &TaskCx) -> Option<RwLockReadGuard<'_, T>> {
        let claim = self.read_free()?;
        Some(RwLockReadGuard::new(self, claim, cx.holding_at(&READ, Location::caller())))
    }

    /// Exclusive access, if nobody is inside and nobody waits.
    #[track_caller]
    pub fn try_write(&self, cx: &TaskCx) -> Option<RwLockWriteGuard<'_, T>> {
        let claim = self.write_free()?;
        Some(RwLockWriteGuard::new(self, claim, cx.holding_at(&WRITE, Location::caller())))
    }

    /// Waits for shared access by parking the thread: for plain threads, and for closures on the blocking
    /// pool. They stand in the same lines as tasks. Nothing cancels it, and no report names the holder.
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        let claim = self.read_free().unwrap_or_else(|| self.blocking_in_turn());
        RwLockReadGuard::new(self, claim, Holding::of_a_thread())
    }

    /// Waits for exclusive access by parking the thread; otherwise as
    /// [`blocking_read`](RwLock::blocking_read).
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        let claim = self.write_free().unwrap_or_else(|| self.blocking_in_turn());
        RwLockWriteGuard::new(self, claim, Holding::of_a_thread())
    }

    #[track_caller]
    fn blocking_in_turn<'a, C: Claims<'a, T>>(&'a self) -> C {
        let mut place = Place::new(self);
        blocking::wait(|context| place.poll(context))
    }

    /// The value; no locking is needed to take a lock apart.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.cell.into_inner()
    }

    /// The value in place; exclusive access to the lock is exclusive access to its value.
    pub fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }

    /// How many tasks and threads wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.object.read();
        self.lines.lock().len()
    }

    #[inline]
    fn read_free(&self) -> Option<ReadClaim<'_, T>> {
        self.object.write();
        self.cell.try_read()
    }

    #[inline]
    fn write_free(&self) -> Option<WriteClaim<'_, T>> {
        self.object.write();
        self.cell.try_write()
    }

    /// Shared access, after standing in line for it.
    fn read_in_turn<'a>(
        &'a self,
        cx: &'a TaskCx,
        site: &'static Location<'static>,
    ) -> Wait<'a, impl FnMut(&mut Context<'_>) -> Poll<ReadClaim<'a, T>>> {
        let mut place = Place::new(self);
        cx.wait_at("RwLock::read", site, move |context| place.poll(context))
    }

    /// Exclusive access, after standing in line for it.
    fn write_in_turn<'a>(
        &'a self,
        cx: &'a TaskCx,
        site: &'static Location<'static>,
    ) -> Wait<'a, impl FnMut(&mut Context<'_>) -> Poll<WriteClaim<'a, T>>> {
        let mut place = Place::new(self);
        cx.wait_at("RwLock::write", site, move |context| place.poll(context))
    }

    /// After a release: looks whether anybody waits.
    #[inline]
    fn released(&self, turn: Turn) {
        if self.cell.is_marked() {
            self.pass_on(turn);
        }
    }

    /// Hands what is free to those whose turn it is. Whoever releases a claim of the marked cell, or leaves
    /// a line, owes this call.
    #[cold]
    fn pass_on(&self, turn: Turn) {
        let mut wakes = WakeList::new();
        let mut lines = self.lines.lock();
        let readers_first = turn == Turn::Readers && !lines.readers.is_empty();
        if lines.writers.is_empty() || readers_first {
            while let Some(handed) = lines.readers.front_mut() {
                // Refused: a writer who saw empty lines took the lock in between. It will see the
                // mark when it unlocks.
                let Some(claim) = self.cell.try_read_marked() else { break };
                *handed = Some(claim.detach());
                wakes.extend(lines.readers.grant_front());
            }
        } else if let Some(handed) = lines.writers.front_mut() {
            // Refused: somebody is still, or again, inside, and will see the mark at the end.
            if let Some(claim) = self.cell.try_write_marked() {
                *handed = Some(claim.detach());
                wakes.extend(lines.writers.grant_front());
            }
        }
        self.unmark_if_empty(&lines);
        drop(lines);
        wakes.wake();
    }
}

impl<T> RwLock<T> {
    fn unmark_if_empty(&self, lines: &Lines) {
        if lines.len() == 0 {
            self.cell.unmark();
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}
