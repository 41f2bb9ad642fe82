//! How many, how long.

use crate::slots::Slots;
use std::time::Duration;

/// A pool's limits. There is no default size: only the caller knows what the other side bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// The most objects at a time, idle ones included; at least one.
    pub max_size: usize,
    /// How old an object may be when it is taken; `None`: as old as it likes. One that is out stays out.
    pub max_lifetime: Option<Duration>,
    /// How long an object may have been idle when it is taken; `None`: as long as it likes.
    pub idle_timeout: Option<Duration>,
    /// How long [`acquire`](super::Pool::acquire) may take, waiting, checking and making together;
    /// `None`: as long as the caller's scope lets it.
    pub acquire_timeout: Option<Duration>,
}

impl PoolOptions {
    /// Room for this many objects, without any limit of time; zero counts as one.
    #[must_use]
    pub const fn new(max_size: usize) -> PoolOptions {
        let max_size = if max_size == 0 { 1 } else { max_size };
        let max_size = if max_size > Slots::MAX { Slots::MAX } else { max_size };
        PoolOptions { max_size, max_lifetime: None, idle_timeout: None, acquire_timeout: None }
    }

    /// The same with a limit to the age of objects.
    #[must_use]
    pub const fn max_lifetime(mut self, limit: Duration) -> PoolOptions {
        self.max_lifetime = Some(limit);
        self
    }

    /// The same with a limit to how long objects may be idle.
    #[must_use]
    pub const fn idle_timeout(mut self, limit: Duration) -> PoolOptions {
        self.idle_timeout = Some(limit);
        self
    }

    /// The same with a limit to how long asking for an object may take.
    #[must_use]
    pub const fn acquire_timeout(mut self, limit: Duration) -> PoolOptions {
        self.acquire_timeout = Some(limit);
        self
    }
}
