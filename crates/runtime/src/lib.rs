//! The production runtime: scheduler, reactor, timers and blocking pool put together as one host.
//!
//! A [`Runtime`] is the root of a region tree and the threads that run it. [`Runtime::block_on`] runs a
//! program and returns when nothing of it is left; [`Runtime::shutdown`] ends everything by the cancel
//! protocol and names what did not end; a [`Handle`] spawns from outside. [`RuntimeBuilder`] chooses
//! between threads of its own and the caller's.
//!
//! Tasks reach drivers through `cx.service::<T>()`. This host has two: `asupersync_reactor::Reactor`,
//! which registers anything epoll can watch, and `Arc<dyn asupersync_core::BlockingPool>`, which
//! `cx.spawn_blocking` uses. A program adds its own with [`RuntimeBuilder::service`].
//!
//! What this crate does not know: protocols, and sockets beyond their readiness.
//!
//! # Example
//! ```
//! use asupersync_core::{Cx, Error};
//! use asupersync_runtime::Runtime;
//! use std::time::Duration;
//!
//! let runtime = Runtime::multi_thread()?;
//! let outcome = runtime.block_on(async |cx: &Cx| {
//!     let mut slow = cx.spawn(async |cx: &Cx| {
//!         cx.sleep(Duration::from_millis(5)).await?;
//!         Ok::<_, Error>("slept")
//!     });
//!     Ok::<_, Error>(slow.join(cx).await?.into_result()?)
//! });
//! assert_eq!(outcome.ok(), Some("slept"));
//! assert!(runtime.shutdown(Duration::from_secs(1)).is_clean());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Cancel safety
//! The root is an ordinary region. A runtime that is dropped cancels what it holds and waits for it
//! (the builder's grace); it does not merely stop.
//!
//! # Limitations
//! - Linux, for the reactor's sake.
//! - A poll that does not return cannot be stopped: shutdown leaves its thread behind and says so.
//! - No watchdog looks for long polls.

#![forbid(unsafe_code)]

mod builder;
mod error;
mod handle;
mod host;
mod record;
mod runtime;
mod shutdown;
mod solo;

pub use builder::RuntimeBuilder;
pub use error::RecordError;
pub use handle::Handle;
pub use runtime::Runtime;
pub use shutdown::ShutdownReport;
