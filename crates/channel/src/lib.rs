//! Channels in which cancelling loses nothing.
//!
//! Wherever a value could be lost between two tasks, sending has two phases: *reserve* waits, and can
//! be cancelled while there is nothing to lose; *send* commits, and can neither wait nor fail.
//! [`mpsc`] is the queue from many senders to one receiver, bounded or not; [`oneshot`] carries one
//! value. Where sending never waits there is nothing to reserve: [`broadcast`] carries every message
//! to every receiver and tells the slow ones how many they missed; [`watch`] shows everybody the last
//! value. [`session`] carries requests whose replies are owed. Permits are obligations of the kernel: the inspector shows who holds them, and a region's
//! report names those that were forgotten.
//!
//! Receivers are streams, [`mpsc::SenderSink`] is a sink. Plain threads, and closures on the blocking pool,
//! use the `try_` and `blocking_` operations; the latter park the thread.
//!
//! What this crate does not know: clocks, sockets, which host it runs on. It makes no thread, and parks one
//! only in the `blocking_` operations.
//!
//! # Example
//! ```
//! use asupersync_channel::mpsc;
//! use asupersync_core::{Cx, Error};
//!
//! async fn sum(cx: &Cx) -> Result<u32, Error> {
//!     let (tx, mut rx) = mpsc::channel(16);
//!     for n in 1..=4 {
//!         tx.reserve(cx).await?.send(n);
//!     }
//!     drop(tx);
//!     let mut sum = 0;
//!     while let Ok(n) = rx.recv(cx).await {
//!         sum += n;
//!     }
//!     Ok(sum)
//! }
//! ```
//!
//! # Cancel safety
//! Every wait in this crate can be cancelled or dropped at any moment. A message that was sent is
//! received exactly once, or dropped together with its receiver, or handed back to its sender because
//! the receiver was gone; never anything else. Capacity that was handed to a waiter that goes away
//! goes to the next in line. Every async operation answers a cancel request within one poll: that is
//! its *cancellation responsiveness bound*. The operations that can drop a value are
//! [`mpsc::Sender::send`] and [`session::Client::call`], when their *future* is dropped before it has
//! sent; their error hands the value back on every other path.
//!
//! # Limitations
//! - The `blocking_` operations cannot be cancelled, and panic where they would have to wait inside a task.
//! - A message in a channel whose receiver is dropped is dropped, not handed back: take what is left
//!   with `close` and `try_recv` first.

#![forbid(unsafe_code)]

pub mod broadcast;
mod error;
pub mod mpsc;
#[cfg(mutants)]
pub mod mutant;
#[cfg(not(mutants))]
mod mutant;
pub mod oneshot;
pub mod session;
pub mod watch;

use asupersync_sync::blocking;

pub use error::{Delivery, RecvError, SendError, TryRecvError, TrySendError, Unsent};
