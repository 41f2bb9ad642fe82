//! An object that is out.

use super::{Idle, Maker, OBJECT, Place, Pool};
use asupersync_core::{Cx, Holding, Time};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

/// An object of a [`Pool`]; goes back when dropped. An obligation of the abort class.
#[must_use = "an object that is dropped at once goes back unused"]
pub struct Pooled<'a, M: Maker> {
    pool: &'a Pool<M>,
    cx: &'a Cx,
    made: Time,
    // Taken exactly when the object leaves.
    object: Option<M::Object>,
    _holding: Holding,
    // Given back last: whoever gets the place finds the object.
    _place: Place<'a>,
}

impl<'a, M: Maker> Pooled<'a, M> {
    pub(super) fn new(
        pool: &'a Pool<M>,
        cx: &'a Cx,
        place: Place<'a>,
        object: M::Object,
        made: Time,
        site: &'static Location<'static>,
    ) -> Pooled<'a, M> {
        let holding = cx.holding_at(&OBJECT, site);
        Pooled { pool, cx, made, object: Some(object), _holding: holding, _place: place }
    }

    /// When the object was made.
    #[must_use]
    pub fn made(guard: &Pooled<'a, M>) -> Time {
        guard.made
    }

    /// Drops the object instead of giving it back: it is known to be broken.
    pub fn discard(guard: Pooled<'a, M>) {
        drop(Pooled::take(guard));
    }

    /// Takes the object out of the pool for good; the pool may make another.
    #[must_use]
    pub fn take(mut guard: Pooled<'a, M>) -> M::Object {
        match guard.object.take() {
            Some(object) => object,
            None => unreachable!("the object leaves once, with its guard"),
        }
    }
}

impl<M: Maker> Drop for Pooled<'_, M> {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if std::thread::panicking() {
            // Its user did not get to the end: see `Pool`, on poisoning.
            return;
        }
        self.pool.put(Idle { object, made: self.made, since: self.cx.now() });
    }
}

impl<M: Maker> Deref for Pooled<'_, M> {
    type Target = M::Object;

    fn deref(&self) -> &M::Object {
        match &self.object {
            Some(object) => object,
            None => unreachable!("the object leaves once, with its guard"),
        }
    }
}

impl<M: Maker> DerefMut for Pooled<'_, M> {
    fn deref_mut(&mut self) -> &mut M::Object {
        match &mut self.object {
            Some(object) => object,
            None => unreachable!("the object leaves once, with its guard"),
        }
    }
}

impl<M: Maker> fmt::Debug for Pooled<'_, M>
where
    M::Object: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
