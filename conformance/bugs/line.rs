//! Waiting in line, for the models of primitives.

use asupersync_core::primitive::Mutex;
use asupersync_core::{Cancelled, Object, Removed, TaskCx, WaitKey, WaitQueue, WakeList};
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Some state, and a line of those who wait for it to change; each waits with a payload.
pub(crate) struct Line<S> {
    pub(crate) state: Mutex<(S, WaitQueue<usize>)>,
    pub(crate) object: Object,
}

/// What a change of the state means for those in line.
pub(crate) enum Serve {
    /// The first is served.
    First,
    /// Nobody is.
    Nobody,
}

impl<S> Line<S> {
    pub(crate) fn new(label: &'static str, state: S) -> Arc<Line<S>> {
        Arc::new(Line { state: Mutex::new((state, WaitQueue::new())), object: Object::new(label) })
    }

    /// Changes the state, again and again while the first in line is to be served. `change` is shown the
    /// first's payload.
    pub(crate) fn change(&self, mut change: impl FnMut(&mut S, Option<usize>) -> Serve) {
        self.object.write();
        let mut wakes = WakeList::new();
        let mut locked = self.state.lock();
        loop {
            let (state, line) = &mut *locked;
            let first = line.front_mut().map(|first| *first);
            match change(state, first) {
                Serve::First => wakes.extend(line.grant_front()),
                Serve::Nobody => break,
            }
        }
        drop(locked);
        wakes.wake();
    }

    /// Takes from the state with `take`, or waits in line to be served. `left` is told when a waiter goes
    /// away, and whether it had been served.
    #[track_caller]
    pub(crate) fn wait<'a>(
        &'a self,
        cx: &'a TaskCx,
        label: &'static str,
        payload: usize,
        mut take: impl FnMut(&mut S) -> bool + 'a,
        left: impl FnMut(bool) + 'a,
    ) -> impl Future<Output = Result<(), Cancelled>> + 'a {
        let site = Location::caller();
        let mut place = Place { line: self, key: None, left };
        async move { cx.wait_at(label, site, |context| place.poll(context, payload, &mut take)).await }
    }
}

struct Place<'a, S, L: FnMut(bool)> {
    line: &'a Line<S>,
    key: Option<WaitKey>,
    left: L,
}

impl<S, L: FnMut(bool)> Place<'_, S, L> {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        payload: usize,
        take: &mut impl FnMut(&mut S) -> bool,
    ) -> Poll<()> {
        let mut waker = Some(context.waker().clone());
        let mut locked = self.line.state.lock();
        let (state, queue) = &mut *locked;
        let Some(key) = &self.key else {
            self.line.object.write();
            if take(state) {
                return Poll::Ready(());
            }
            let waker = waker.take().unwrap_or_else(|| context.waker().clone());
            self.key = Some(queue.push_back(payload, waker));
            return Poll::Pending;
        };
        let served = queue.poll(key, &mut waker).is_some();
        drop(locked);
        if !served {
            return Poll::Pending;
        }
        self.key = None;
        Poll::Ready(())
    }
}

impl<S, L: FnMut(bool)> Drop for Place<'_, S, L> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        self.line.object.write();
        let mut waker = None;
        let removed = self.line.state.lock().1.remove(key, &mut waker);
        (self.left)(matches!(removed, Removed::Granted(_)));
    }
}

impl<S> Line<S> {
    /// Waits until `take` finds something, trying again at each turn and going to the end of the line in
    /// between.
    #[track_caller]
    pub(crate) fn wait_until<'a>(
        &'a self,
        cx: &'a TaskCx,
        label: &'static str,
        mut take: impl FnMut(&mut S) -> bool + 'a,
    ) -> impl Future<Output = Result<(), Cancelled>> + 'a {
        let site = Location::caller();
        let mut place = Place { line: self, key: None, left: |_| {} };
        async move {
            cx.wait_at(label, site, |context| {
                loop {
                    let in_line = place.key.is_some();
                    let mut tried = false;
                    let took = place.poll(context, 0, &mut |state| {
                        tried = true;
                        take(state)
                    });
                    match took {
                        Poll::Ready(()) if in_line && !tried => {}
                        other => return other,
                    }
                }
            })
            .await
        }
    }
}
