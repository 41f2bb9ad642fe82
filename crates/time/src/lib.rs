//! Timers: a hierarchical wheel, and intervals over the clock of whatever host a task runs on.
//!
//! [`Wheel`] is a plain data structure, used by both hosts: the production runtime keeps one for
//! each worker, the lab one for its virtual time. [`Interval`] ticks for a task through its `Cx`.
//!
//! What this crate does not know: the clock. Somebody tells the wheel what time it is, and an
//! interval asks its context. Deadlines and timeouts of tasks are the kernel's.
//!
//! # Example
//! ```
//! use asupersync_core::Time;
//! use asupersync_time::Wheel;
//!
//! let mut wheel = Wheel::new();
//! wheel.insert(Time::from_secs(2), "two");
//! wheel.insert(Time::from_secs(1), "one");
//! let mut fired = Vec::new();
//! wheel.advance(Time::from_secs(5), |_, value| fired.push(value));
//! assert_eq!(fired, ["one", "two"]);
//! ```
//!
//! # Cancel safety
//! [`Interval::tick`] that is cancelled or dropped has consumed no tick.
//!
//! # Limitations
//! A wheel holds at most 2^32 - 1 entries at a time.

#![forbid(unsafe_code)]

mod interval;
mod wheel;

pub use interval::{Interval, MissedTicks, interval, interval_at};
pub use wheel::{Key, Wheel};
