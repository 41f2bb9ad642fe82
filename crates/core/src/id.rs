//! Names of tasks, regions, obligations and objects that do not depend on the schedule.
//!
//! An id is a digest of a path: who created the thing, and which of its creations it was. Two runs
//! of one program that differ only in the order of independent steps give every task the same id,
//! which is what lets traces of different schedules be compared at all.

use crate::random::SplitMix64;
use std::fmt;

const fn path(creator: u64, ordinal: u32, tag: u64) -> u64 {
    SplitMix64::mix(creator ^ SplitMix64::mix(((ordinal as u64) << 8) | tag))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $tag:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id with these bits, as read from a trace.
            #[must_use]
            pub const fn from_bits(bits: u64) -> Self {
                Self(bits)
            }

            /// The id's bits, as written to a trace.
            #[must_use]
            pub const fn to_bits(self) -> u64 {
                self.0
            }

            /// The id of the creator's `ordinal`-th creation of this sort.
            pub(crate) const fn of(creator: u64, ordinal: u32) -> Self {
                Self(path(creator, ordinal, $tag))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // 40 bits are enough to tell a run's things apart and short enough to read.
                write!(f, concat!($prefix, "{:010x}"), self.0 >> 24)
            }
        }
    };
}

id!(
    /// Names a task. Printed as `t` and ten hexadecimal digits.
    TaskId, "t", 1
);
id!(
    /// Names a region. Printed as `r` and ten hexadecimal digits.
    RegionId, "r", 2
);
id!(
    /// Names an obligation. Printed as `o` and ten hexadecimal digits.
    ObligationId, "o", 3
);
id!(
    /// Names a shared object (a lock, a channel, a join cell) that steps read and write.
    /// Printed as `x` and ten hexadecimal digits.
    ObjectId, "x", 4
);
