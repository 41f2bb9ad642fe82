//! Readiness of sockets and other descriptors, from mio (epoll), for tasks.
//!
//! [`Driver`] waits and says whom to wake; it belongs to whoever parks a thread. [`Reactor`] is its shared handle,
//! which the production runtime offers as the service of that type (`cx.service::<Reactor>()`);
//! [`Reactor::register`] gives a [`Registration`], and [`Io`] keeps a source and its registration
//! together. Readiness is cached per direction and comes at edges: an operation is tried until it
//! would block, then [`Registration::clear_ready`] says so, which never loses an event that came in
//! between.
//!
//! [`Taped`] takes the [`Reactor`]'s place where a run is recorded, and where a recording is replayed: what
//! its sources answer, and when they become ready, goes through a [`Tape`].
//!
//! What this crate does not know: protocols, tasks, deadlines. A wait that can be cancelled is made by
//! the caller, who polls a registration inside the kernel's wait door.
//!
//! # Example
//! ```
//! use asupersync_core::WakeList;
//! use asupersync_reactor::{Direction, Driver, Io};
//! use mio::Interest;
//! use std::io::Write;
//! use std::task::{Context, Waker};
//!
//! let (mut driver, reactor) = Driver::new()?;
//! let (pipe, mut peer) = mio::net::UnixStream::pair()?;
//! let pipe = Io::new(&reactor, pipe, Interest::READABLE)?;
//! peer.write_all(b"x")?;
//! let mut wakers = WakeList::new();
//! driver.turn(None, &mut wakers)?;
//! wakers.wake();
//! assert!(pipe.registration().ready(Direction::Read).is_some());
//! # let mut context = Context::from_waker(Waker::noop());
//! # assert!(pipe.registration().poll_ready(Direction::Read, &mut context).is_ready());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Cancel safety
//! Waiting consumes nothing; see [`Registration::poll_ready`].
//!
//! # Limitations
//! Linux with 64-bit pointers.

#![deny(unsafe_code)]

mod fd;
mod reactor;
mod readiness;
mod registration;
mod taped;

pub use fd::FdSource;
pub use reactor::{Driver, Reactor, Turn};
pub use readiness::{Direction, Ready};
pub use registration::{Io, Registration};
pub use taped::{Call, Tape, Taped, TapedSource};
