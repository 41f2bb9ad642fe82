//! A place in one of the two lines.

use super::{Lines, RwLock, Turn};
use crate::mutant::mutant;
use asupersync_core::{
    DetachedRead, DetachedWrite, ReadClaim, Removed, SharedCell, WaitKey, WaitQueue, WriteClaim,
};
use std::marker::PhantomData;
use std::task::{Context, Poll};

/// What the two kinds of claim differ in.
pub(super) trait Claims<'a, T>: Sized {
    /// The claim on its way to a waiter.
    type Token;

    fn line(lines: &mut Lines) -> &mut WaitQueue<Option<Self::Token>>;
    /// Whether a newcomer may look at the cell before it enters its line.
    fn may_look(lines: &Lines) -> bool;
    /// A claim on the marked cell, if it is free for it.
    fn claim(cell: &'a SharedCell<T>) -> Option<Self>;
    fn attach(cell: &'a SharedCell<T>, token: Self::Token) -> Self;
    /// Whose turn it is when a waiter leaves: before it was handed its claim, or after.
    fn after_leaving(granted: bool) -> Option<Turn>;
}

impl<'a, T> Claims<'a, T> for ReadClaim<'a, T> {
    type Token = DetachedRead;

    fn line(lines: &mut Lines) -> &mut WaitQueue<Option<DetachedRead>> {
        &mut lines.readers
    }

    fn may_look(lines: &Lines) -> bool {
        // Readers that wait without a writer would be of this one's batch.
        lines.writers.is_empty()
    }

    fn claim(cell: &'a SharedCell<T>) -> Option<Self> {
        cell.try_read_marked()
    }

    fn attach(cell: &'a SharedCell<T>, token: DetachedRead) -> Self {
        cell.attach_read(token)
    }

    fn after_leaving(granted: bool) -> Option<Turn> {
        // Nobody stands behind a waiting reader who does not stand behind a writer.
        granted.then_some(Turn::Writers)
    }
}

impl<'a, T> Claims<'a, T> for WriteClaim<'a, T> {
    type Token = DetachedWrite;

    fn line(lines: &mut Lines) -> &mut WaitQueue<Option<DetachedWrite>> {
        &mut lines.writers
    }

    fn may_look(lines: &Lines) -> bool {
        lines.len() == 0
    }

    fn claim(cell: &'a SharedCell<T>) -> Option<Self> {
        cell.try_write_marked()
    }

    fn attach(cell: &'a SharedCell<T>, token: DetachedWrite) -> Self {
        cell.attach_write(token)
    }

    fn after_leaving(granted: bool) -> Option<Turn> {
        if granted {
            return Some(Turn::Readers);
        }
        // Readers may stand behind this writer while readers are inside.
        (!mutant!(WriterLeavesReadersStand)).then_some(Turn::Writers)
    }
}

/// A place in line that is given up when dropped.
pub(super) struct Place<'a, T, C: Claims<'a, T>> {
    lock: &'a RwLock<T>,
    key: Option<WaitKey>,
    claims: PhantomData<C>,
}

impl<'a, T, C: Claims<'a, T>> Place<'a, T, C> {
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Place { lock, key: None, claims: PhantomData }
    }

    // Out of the way of those who need not wait.
    #[cold]
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<C> {
        let lock = self.lock;
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut lines = lock.lines.lock();
        let Some(key) = &self.key else {
            lock.object.write();
            let looks = C::may_look(&lines) && !mutant!(EntryWithoutSecondLook);
            // Announced first: whoever releases from here on sees the mark and hands the lock over, who
            // released before has left it free.
            lock.cell.mark();
            if let Some(claim) = looks.then(|| C::claim(&lock.cell)).flatten() {
                lock.unmark_if_empty(&lines);
                drop(lines);
                return Poll::Ready(claim);
            }
            let waker = waker.take().unwrap_or_else(|| context.waker().clone());
            self.key = Some(C::line(&mut lines).push_back(None, waker));
            return Poll::Pending;
        };
        let handed = C::line(&mut lines).poll(key, &mut waker);
        drop(lines);
        let Some(handed) = handed else { return Poll::Pending };
        self.key = None;
        match handed {
            Some(token) => Poll::Ready(C::attach(&lock.cell, token)),
            None => unreachable!("a granted waiter was given the claim"),
        }
    }
}

impl<'a, T, C: Claims<'a, T>> Drop for Place<'a, T, C> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let lock = self.lock;
        lock.object.write();
        let mut waker = None;
        let mut lines = lock.lines.lock();
        let removed = C::line(&mut lines).remove(key, &mut waker);
        lock.unmark_if_empty(&lines);
        drop(lines);
        let granted = match removed {
            Removed::Granted(Some(_)) if mutant!(GrantNotPassedOn) => return,
            Removed::Granted(Some(token)) => {
                drop(C::attach(&lock.cell, token));
                true
            }
            Removed::Granted(None) | Removed::Waiting(_) => false,
        };
        if let Some(turn) = C::after_leaving(granted) {
            lock.released(turn);
        }
    }
}
