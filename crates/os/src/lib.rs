//! What the operating system tells and allows a process.
//!
//! [`Signals`] is a stream of the signals that arrive, and [`ctrl_c`] waits for the one that a terminal
//! sends. Like sockets they belong to the host: the production runtime delivers the process's own,
//! the lab those that a test raises on its [`VirtualSignals`].
//! [`raise_descriptor_limit`] lets the process have as many open descriptors as it may.
//!
//! This crate does not know what a program does about a signal; shutting down is the region's
//! business.
//!
//! # Example
//!
//! ```
//! use asupersync_core::Cx;
//! use asupersync_os::{Signal, Signals};
//!
//! async fn wait_for_the_end(cx: &Cx) -> std::io::Result<Signal> {
//!     let mut signals = Signals::new(cx, [Signal::INTERRUPT, Signal::TERMINATE])?;
//!     signals.recv(cx).await
//! }
//! # let _ = wait_for_the_end;
//! ```
//!
//! # Cancel safety
//!
//! A cancelled wait takes no signal; it stays pending in its `Signals`.
//!
//! # Limitations
//!
//! * Linux only.
//! * A signal that was ever watched never has its default action again in this process, also after
//!   its last `Signals` is dropped.
//! * Signals are not counted: one that arrives twice before it is taken is received once, as the
//!   system itself has it.
//! * Files and child processes are not here yet; `std`'s block the thread.

#![deny(unsafe_code)]

mod limit;
mod signal;

pub use limit::raise_descriptor_limit;
pub use signal::{Signal, Signals, UnwatchableSignal, VirtualSignals, ctrl_c};
