//! Objects that are costly to make, made once and used in turn.

mod error;
mod guard;
mod options;

pub use error::PoolError;
pub use guard::Pooled;
pub use options::PoolOptions;

use crate::slots::Slots;
use asupersync_core::primitive::Mutex;
use asupersync_core::{
    Branch, BranchEnd, BranchOptions, CancelKind, Cancelled, Cx, Object, ObligationKind, Time,
};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;

static OBJECT: ObligationKind = ObligationKind::abort_on_drop("Pool::Object");

/// Makes a pool's objects, and says which are still fit for use.
pub trait Maker: Send + Sync {
    /// What the pool holds.
    type Object: Send;
    /// Why an object could not be made.
    type Error: From<Cancelled> + Send;

    /// Makes an object. Runs in the task that asked for one.
    fn create<'a>(
        &'a self,
        cx: &'a Cx,
    ) -> impl Future<Output = Result<Self::Object, Self::Error>> + Send + 'a;

    /// Whether an object that was used before is fit to be used again; one that is not is dropped, and
    /// another taken or made. An object whose check was cancelled or dropped is dropped with it.
    fn check<'a>(
        &'a self,
        cx: &'a Cx,
        object: &'a mut Self::Object,
    ) -> impl Future<Output = bool> + Send + 'a {
        let _ = (cx, object);
        std::future::ready(true)
    }
}

/// Lets tasks share at most so many objects, each used by one task at a time.
///
/// Whoever asks stands in one line, first come, first served; an object that is given back is there for
/// the head of the line before its place is. The object used last is the first to be used again, so that
/// those a pool does not need grow old and go. An object that is out is an obligation of the abort class:
/// the inspector names the task and line that has it.
///
/// There is one stack of idle objects, under a lock that is held for a few instructions: no caches for
/// each worker, for a task cannot know on which thread it runs, and an object in another worker's cache
/// would be made twice or waited for in vain.
///
/// # Cancel safety
/// Every operation can be cancelled or dropped at any moment: a place in line is given up, what had
/// been handed over goes to the next, and an object in the midst of its making or check is dropped.
/// Nothing tells whether a task that is cancelled leaves its object in mid-sentence: that is for
/// [`Maker::check`] to find out, or for [`Pooled::discard`] to prevent.
///
/// # Poisoning
/// An object whose user panics is dropped, not given back: nobody can say what state it is in.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_sync::{Maker, Pool, PoolOptions};
/// use std::time::Duration;
///
/// struct Buffers;
///
/// impl Maker for Buffers {
///     type Object = Vec<u8>;
///     type Error = Error;
///
///     async fn create<'a>(&'a self, _cx: &'a Cx) -> Result<Vec<u8>, Error> {
///         Ok(Vec::with_capacity(65_536))
///     }
/// }
///
/// async fn work(cx: &Cx) -> Result<(), Error> {
///     let options = PoolOptions::new(8).acquire_timeout(Duration::from_secs(1));
///     let pool = Pool::new(Buffers, options);
///     let mut buffer = pool.acquire(cx).await?;
///     buffer.extend_from_slice(b"hello");
///     drop(buffer); // back into the pool
///     assert_eq!(pool.idle(), 1);
///     Ok(())
/// }
/// ```
pub struct Pool<M: Maker> {
    maker: M,
    options: PoolOptions,
    slots: Slots,
    idle: Mutex<Vec<Idle<M::Object>>>,
    /// The stack of idle objects, for the lab.
    stack: Object,
}

/// An object that nobody uses.
struct Idle<T> {
    object: T,
    made: Time,
    since: Time,
}

impl<M: Maker> Pool<M> {
    /// A pool without objects; they are made when they are asked for.
    #[must_use]
    pub fn new(maker: M, options: PoolOptions) -> Pool<M> {
        let slots = Slots::new("Pool", options.max_size);
        let stack = Object::new("Pool::idle");
        Pool { maker, options, slots, idle: Mutex::new(Vec::new()), stack }
    }

    /// Waits for an object: the one used last if it is fit, or else a new one.
    ///
    /// # Cancel safety
    /// Nothing is lost: see [`Pool`]. A cancel request is answered within one poll while waiting in line;
    /// while an object is checked or made, by the maker.
    ///
    /// # Errors
    /// [`PoolError`].
    #[track_caller]
    pub fn acquire<'a>(
        &'a self,
        cx: &'a Cx,
    ) -> impl Future<Output = Result<Pooled<'a, M>, PoolError<M::Error>>> {
        let site = Location::caller();
        // Counted from this call, as every other time limit.
        let deadline = self.options.acquire_timeout.map(|limit| cx.now() + limit);
        async move {
            let Some(deadline) = deadline else { return self.acquire_at(cx, site).await };
            let options = BranchOptions { deadline: Some(deadline), site: Some(site) };
            let mut branch = pin!(Branch::new(cx, options, self.acquire_at(cx, site)));
            let end = branch.as_mut().await;
            let told = branch.told_reason().map(asupersync_core::CancelReason::kind);
            cx.branches_left(0);
            match end {
                // An object that came at the last moment is not thrown away.
                BranchEnd::Finished(Ok(object)) => Ok(object),
                _ if told == Some(CancelKind::Timeout) => Err(PoolError::TimedOut),
                BranchEnd::Finished(Err(error)) => Err(error),
                BranchEnd::Dropped(_) => {
                    cx.checkpoint()?;
                    Err(PoolError::TimedOut)
                }
            }
        }
    }

    async fn acquire_at<'a>(
        &'a self,
        cx: &'a Cx,
        site: &'static Location<'static>,
    ) -> Result<Pooled<'a, M>, PoolError<M::Error>> {
        if !self.slots.take_now(cx, 1)? {
            self.slots.take_in_turn(cx, 1, "Pool::acquire", site).await?;
        }
        let place = Place { slots: &self.slots };
        loop {
            let Some(mut idle) = self.take_idle() else { break };
            if self.is_expired(&idle, cx.now()) {
                continue;
            }
            if self.maker.check(cx, &mut idle.object).await {
                return Ok(Pooled::new(self, cx, place, idle.object, idle.made, site));
            }
            cx.checkpoint()?;
        }
        let object = self.maker.create(cx).await.map_err(PoolError::Create)?;
        Ok(Pooled::new(self, cx, place, object, cx.now(), site))
    }

    /// An object, if one is idle, fit as far as its age tells, and nobody stands in line. It is not
    /// checked, for that may wait.
    #[track_caller]
    pub fn try_acquire<'a>(&'a self, cx: &'a Cx) -> Option<Pooled<'a, M>> {
        let site = Location::caller();
        self.slots.try_take(1).ok()?;
        let place = Place { slots: &self.slots };
        loop {
            let idle = self.take_idle()?;
            if !self.is_expired(&idle, cx.now()) {
                return Some(Pooled::new(self, cx, place, idle.object, idle.made, site));
            }
        }
    }

    /// Drops the idle objects whose time is over; answers how many. Call it now and then from a task: a
    /// pool has none of its own.
    pub fn reap(&self, cx: &Cx) -> usize {
        let now = cx.now();
        self.stack.write();
        // Taken out and looked at outside of the lock: dropping an object is foreign code.
        let idle = std::mem::take(&mut *self.idle.lock());
        let (old, fit): (Vec<_>, Vec<_>) =
            idle.into_iter().partition(|idle| self.is_expired(idle, now));
        let mut back = self.idle.lock();
        // What came back meanwhile was used later, and stays on top.
        let newer = std::mem::replace(&mut *back, fit);
        back.extend(newer);
        let leftover = if self.is_closed() { std::mem::take(&mut *back) } else { Vec::new() };
        drop(back);
        old.len() + leftover.len()
    }

    /// Gives no more objects: everybody in line, and everybody who asks later, hears `Closed`. Idle
    /// objects are dropped now, those that are out when they come back.
    pub fn close(&self) {
        self.slots.close();
        self.stack.write();
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    /// Whether the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.slots.is_closed()
    }

    /// How many objects nobody uses.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.stack.read();
        self.idle.lock().len()
    }

    /// How many objects are out, being checked or being made.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.options.max_size - self.slots.free().min(self.options.max_size)
    }

    /// How many stand in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// What the pool was made with.
    #[must_use]
    pub fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// What makes its objects.
    #[must_use]
    pub fn maker(&self) -> &M {
        &self.maker
    }

    fn take_idle(&self) -> Option<Idle<M::Object>> {
        self.stack.write();
        self.idle.lock().pop()
    }

    fn is_expired(&self, idle: &Idle<M::Object>, now: Time) -> bool {
        let over = |limit: Option<std::time::Duration>, since: Time| {
            limit.is_some_and(|limit| now.saturating_since(since) >= limit)
        };
        over(self.options.max_lifetime, idle.made) || over(self.options.idle_timeout, idle.since)
    }

    /// Takes an object back. Its place is given back after, so whoever gets it finds the object.
    fn put(&self, idle: Idle<M::Object>) {
        if self.is_closed() {
            return;
        }
        self.stack.write();
        let mut objects = self.idle.lock();
        objects.push(idle);
        // Closed in between: `close` may have taken what was there before.
        let leftover = if self.is_closed() { std::mem::take(&mut *objects) } else { Vec::new() };
        drop(objects);
        drop(leftover);
    }
}

impl<M: Maker> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.idle())
            .field("in_use", &self.in_use())
            .field("waiting", &self.waiting())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The right to one object; given back when dropped.
struct Place<'a> {
    slots: &'a Slots,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.slots.give(1);
    }
}
