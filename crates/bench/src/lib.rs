//! Side-by-side measurements: ours, a peer and a floor in the same process, rounds interleaved.
//!
//! [`runner`] measures and reports; each module of [`groups`] is one group of workloads. A group
//! is run by name: `cargo run --profile bench -p asupersync-bench -- GROUP [--quick]`.
//! [`instructions`] are scenarios for callgrind, which counts the same under any load; they need no peers,
//! and build without the feature of that name.
//!
//! # Limitations
//! Nothing is pinned and frequencies are not controlled: only the ratios within one run mean much.

#![forbid(unsafe_code)]
#![cfg_attr(
    feature = "peers",
    expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")
)]

#[cfg(feature = "peers")]
pub mod groups;
pub mod instructions;
mod programs;
#[cfg(feature = "peers")]
pub mod runner;
