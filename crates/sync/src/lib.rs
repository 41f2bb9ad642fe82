//! Locks, semaphores and notifications for tasks that can be cancelled.
//!
//! [`Mutex`] protects a value, [`RwLock`] one that many may read at once, [`Semaphore`] counts permits,
//! [`Notify`] wakes without a value, [`OnceLock`] makes a value once, [`Barrier`] lets tasks meet,
//! [`Pool`] lets them share objects that are costly to make. [`ContendedMutex`] is a mutex that measures
//! itself.
//! Lines are strictly first come, first served: whatever is released goes to the head of the line
//! directly, and nobody who comes later overtakes. (A read-write lock has two lines, which take turns.)
//! Guards and permits are obligations of the kernel,
//! so that a region's report and the inspector can name who holds what, since which source line.
//! [`Slots`](slots::Slots) is the machine beneath the semaphore; channels count their capacity with
//! it too; [`blocking`] is the one beneath whatever waits without a task.
//!
//! What this crate does not know: clocks, sockets, which host it runs on. It spins for a
//! microsecond at most, makes no threads, and blocks one for longer than a few instructions under a lock
//! only in the `blocking_` operations.
//!
//! # Example
//! ```
//! use asupersync_core::{Cx, Error};
//! use asupersync_sync::{Mutex, Semaphore};
//!
//! async fn deposit(cx: &Cx, tellers: &Semaphore, balance: &Mutex<u64>) -> Result<(), Error> {
//!     let _teller = tellers.acquire(cx).await?;
//!     *balance.lock(cx).await? += 10;
//!     Ok(())
//! }
//! ```
//!
//! # Cancel safety
//! Every wait in this crate can be cancelled or dropped at any moment and loses nothing: the waiter
//! gives up its place in line, and what had already been handed to it (the lock, the permits, the
//! token) goes to the next. In a cancelled scope an operation answers `Cancelled` even if it could
//! have succeeded at once. Each answers a cancel request within one poll: that is the *cancellation
//! responsiveness bound* of every async operation here.
//!
//! # Limitations
//! - Owned guards ask for a `'static` value.
//! - The `blocking_` operations cannot be cancelled, panic where they would have to wait inside a task,
//!   and their guards are in no task's books.
//! - No lock is poisoned by a panic; each says why under `# Poisoning`.
//! - A mutex knows no priorities: a task being cancelled waits in line like any other.

#![forbid(unsafe_code)]

mod barrier;
pub mod blocking;
mod contended;
mod histogram;
#[cfg(mutants)]
pub mod mutant;
#[cfg(not(mutants))]
mod mutant;
mod mutex;
mod notify;
mod once;
mod pool;
mod promptly;
mod rwlock;
mod semaphore;
pub mod slots;

pub use barrier::Barrier;
pub use contended::{ContendedGuard, ContendedMutex, Contention};
pub use histogram::Histogram;
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMutexGuard};
pub use notify::Notify;
pub use once::OnceLock;
pub use pool::{Maker, Pool, PoolError, PoolOptions, Pooled};
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
    RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub use semaphore::{AcquireError, OwnedPermit, Permit, Semaphore, TryAcquireError};
