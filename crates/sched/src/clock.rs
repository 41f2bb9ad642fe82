//! The monotonic clock, as `Time`.

use asupersync_core::Time;
use std::time::Instant;

/// Counts the system's monotonic clock from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows zero.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a default that reads the clock would surprise")]
    pub fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub fn now(&self) -> Time {
        // 584 years of nanoseconds fit.
        Time::from_nanos(self.start.elapsed().as_nanos() as u64)
    }
}
