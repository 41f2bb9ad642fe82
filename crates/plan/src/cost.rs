//! The tropical semiring of times.

use std::fmt;
use std::time::Duration;

/// A time in the min-plus (tropical) semiring: *adding* takes the smaller, *multiplying* adds.
///
/// Alternatives add and successive parts multiply, so that the shortest path through a plan is a sum
/// of products. `ZERO` (never) is neutral for adding and absorbs in multiplying; `ONE` (no time) is
/// neutral for multiplying; multiplying distributes over adding, and adding is idempotent. This is another
/// thing than [`Budget`](asupersync_core::Budget), which is a meet-semilattice and adds nothing up.
///
/// Source: I. Simon, *Limited subsets of a free monoid*, FOCS 1978; notation after Heidergott, Olsder, van
/// der Woude, *Max Plus at Work*, 2006 (with min in place of max).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MinPlus(Option<Duration>);

impl MinPlus {
    /// Never: neutral for [`plus`](MinPlus::plus).
    pub const ZERO: MinPlus = MinPlus(None);

    /// No time: neutral for [`times`](MinPlus::times).
    pub const ONE: MinPlus = MinPlus(Some(Duration::ZERO));

    /// This long.
    #[must_use]
    pub const fn of(time: Duration) -> MinPlus {
        MinPlus(Some(time))
    }

    /// The time, unless it is never.
    #[must_use]
    pub const fn time(self) -> Option<Duration> {
        self.0
    }

    /// Either of two: the smaller.
    #[must_use]
    pub fn plus(self, other: MinPlus) -> MinPlus {
        match (self.0, other.0) {
            (Some(one), Some(other)) => MinPlus(Some(one.min(other))),
            (one, other) => MinPlus(one.or(other)),
        }
    }

    /// One after the other: the sum, which stops at the largest duration.
    #[must_use]
    pub fn times(self, other: MinPlus) -> MinPlus {
        match (self.0, other.0) {
            (Some(one), Some(other)) => MinPlus(Some(one.saturating_add(other))),
            _ => MinPlus::ZERO,
        }
    }

    /// Both of two, at once: the larger. Not an operation of the semiring, but what a join takes.
    #[must_use]
    pub fn both(self, other: MinPlus) -> MinPlus {
        match (self.0, other.0) {
            (Some(one), Some(other)) => MinPlus(Some(one.max(other))),
            _ => MinPlus::ZERO,
        }
    }
}

impl fmt::Display for MinPlus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{time:?}"),
            None => f.write_str("never"),
        }
    }
}
