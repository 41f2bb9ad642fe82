//! Many senders, one receiver, in order.
//!
//! Sending has two phases: [`Sender::reserve`] waits for capacity, and the [`Permit`] it yields puts
//! the message in without waiting and without being able to fail. Cancelling can hit only the first
//! phase, where there is no message yet to be lost. Capacity goes to waiting senders in the order in
//! which they came; messages come out in the order in which they were sent.
//!
//! ```
//! use asupersync_channel::mpsc;
//! use asupersync_core::{Cx, Error};
//!
//! async fn count(cx: &Cx, numbers: mpsc::Sender<u32>) -> Result<(), Error> {
//!     for n in 0..3 {
//!         let permit = numbers.reserve(cx).await?; // cancelled here: nothing is lost
//!         permit.send(n);                          // cannot fail, cannot be half done
//!     }
//!     Ok(())
//! }
//! ```

mod permit;
mod receiver;
mod sender;
mod shared;
mod sink;

pub use permit::{OwnedPermit, Permit, Permits};
pub use receiver::Receiver;
pub use sender::{Sender, WeakSender};
pub use sink::SenderSink;

use asupersync_sync::slots::Slots;
use shared::Shared;

/// A channel that holds at most `capacity` messages and permits together.
///
/// A capacity of zero would let nobody send, so it counts as one; one above [`Slots::MAX`] is cut to
/// that. Memory is used by the messages that are there, not set aside for all.
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(capacity.clamp(1, Slots::MAX - 1))
}

/// A channel without a limit: reserving never waits, and memory grows with the messages that are
/// not yet received.
///
/// Everything is as in a bounded channel; only [`TrySendError::Full`](crate::TrySendError) does not
/// occur, so [`Sender::try_send`] is the natural way to send from code that cannot wait.
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(Slots::MAX)
}

fn pair<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Shared::new(capacity);
    (Sender::first(shared.clone()), Receiver::new(shared))
}
