//! What the operating system offers a process: files, other processes, pipes, signals, standard streams.
//!
//! | wanted | here |
//! |---|---|
//! | files and directories, temporary ones, atomic replacement | [`fs`] |
//! | child processes, with pipes | [`process`] |
//! | pipes, descriptors of others | [`pipe`](pipe()), [`AsyncFd`] |
//! | standard streams | [`stdin`], [`stdout`], [`stderr`] |
//! | signals | [`Signals`], [`ctrl_c`] |
//! | the orderly end of a program | [`Shutdown`] |
//! | more descriptors | [`raise_descriptor_limit`] |
//!
//! Everything is owned by a region: one that is cancelled leaves behind no child process, no temporary
//! file and no descriptor, and closes only when that is so. What blocks a thread runs on the blocking
//! pool, as a child of the region.
//!
//! Like sockets, all this belongs to the host: the production runtime has the machine's, the lab
//! [`fs::VirtualFiles`], and the signals that a test raises on its [`VirtualSignals`].
//!
//! This crate does not know what a program does about a signal, or what bytes mean.
//!
//! # Example
//!
//! ```
//! use asupersync_core::{Cx, Error};
//! use asupersync_os::fs;
//! use asupersync_os::process::Command;
//!
//! /// Keeps the list of this machine's interfaces, whole at any moment.
//! async fn keep_interfaces(cx: &Cx) -> Result<(), Error> {
//!     let output = Command::new("ip").arg("address").output(cx, 1 << 20).await?;
//!     fs::replace(cx, "interfaces.txt", output.stdout).await?;
//!     Ok(())
//! }
//! # let _ = keep_interfaces;
//! ```
//!
//! # Cancel safety
//!
//! A cancelled wait takes no signal, no byte and no entry; each call says what else it may have done. A
//! call on the blocking pool that has begun runs to its end.
//!
//! # Limitations
//!
//! * Linux only.
//! * A signal that was ever watched never has its default action again in this process, also after
//!   its last `Signals` is dropped.
//! * Signals are not counted: one that arrives twice before it is taken is received once, as the
//!   system itself has it.
//! * The lab runs no processes and has no standard streams.
//! * A process that ends by itself may leave others behind that it started; they are killed only when it
//!   is stopped.

#![deny(unsafe_code)]

mod async_fd;
mod blocking;
pub mod fs;
mod limit;
mod pipe;
pub mod process;
mod shutdown;
mod signal;
mod stdio;

pub use async_fd::AsyncFd;
pub use limit::raise_descriptor_limit;
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use shutdown::{Drain, Ended, Shutdown};
pub use signal::{Signal, Signals, UnwatchableSignal, VirtualSignals, ctrl_c};
pub use stdio::{Output, Stdin, stderr, stdin, stdout};
