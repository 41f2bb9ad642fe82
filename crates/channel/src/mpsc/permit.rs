//! Reserved capacity.

use super::sender::Sender;
use crate::error::Delivery;
use asupersync_core::{Obligation, ObligationKind};
use std::fmt;

pub(super) static PERMIT: ObligationKind = ObligationKind::abort_on_drop("mpsc::Permit");

macro_rules! permit {
    ($(#[$doc:meta])* $name:ident <$($a:lifetime,)? T>, $sender:ty) => {
        $(#[$doc])*
        ///
        /// An obligation of the abort class: dropped, it gives its capacity to the next sender and
        /// nothing is lost.
        #[must_use = "a permit that is dropped sends nothing"]
        pub struct $name<$($a,)? T> {
            sender: $sender,
            // Taken exactly when the permit ends.
            obligation: Option<Obligation>,
        }

        impl<$($a,)? T> $name<$($a,)? T> {
            pub(super) fn new(sender: $sender, obligation: Obligation) -> Self {
                Self { sender, obligation: Some(obligation) }
            }

            /// Sends the value: at once, without waiting, without failing.
            ///
            /// From here on the message is the receiver's: it is received, or dropped with the
            /// receiver. If the receiver is already gone, the value comes back in the answer, which
            /// need not be looked at.
            pub fn send(mut self, value: T) -> Delivery<T> {
                if let Some(obligation) = self.obligation.take() {
                    obligation.commit();
                }
                self.sender.shared().push(value)
            }

            /// Gives the capacity back, and says so: the same as dropping the permit, but on record as
            /// intended.
            pub fn abort(mut self) {
                if let Some(obligation) = self.obligation.take() {
                    obligation.abort();
                    self.sender.shared().abort(1);
                }
            }
        }

        impl<$($a,)? T> Drop for $name<$($a,)? T> {
            fn drop(&mut self) {
                if let Some(obligation) = self.obligation.take() {
                    drop(obligation);
                    self.sender.shared().abort(1);
                }
            }
        }

        impl<$($a,)? T> fmt::Debug for $name<$($a,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

permit!(
    /// Capacity for one message.
    Permit<'a, T>, &'a Sender<T>
);
permit!(
    /// Capacity for one message, which keeps the channel open by itself.
    OwnedPermit<T>, Sender<T>
);

/// Capacity for several messages, from [`Sender::reserve_many`].
///
/// One obligation of the abort class for all of them: it is committed when the last is sent; what is
/// left when this is dropped goes to the next senders and nothing is lost.
#[must_use = "permits that are dropped send nothing"]
pub struct Permits<'a, T> {
    sender: &'a Sender<T>,
    left: usize,
    obligation: Option<Obligation>,
}

impl<'a, T> Permits<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, n: usize, obligation: Obligation) -> Permits<'a, T> {
        let mut permits = Permits { sender, left: n, obligation: Some(obligation) };
        permits.settle();
        permits
    }

    /// How many messages can still be sent.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Sends a value, as [`Permit::send`].
    ///
    /// # Errors
    /// The value, when no permit is left. (A receiver that is gone is no error, as with a single
    /// permit: it shows in the [`Delivery`].)
    pub fn send(&mut self, value: T) -> Result<Delivery<T>, T> {
        let Some(left) = self.left.checked_sub(1) else { return Err(value) };
        self.left = left;
        self.settle();
        Ok(self.sender.shared().push(value))
    }

    /// Gives what is left back, and says so.
    pub fn abort(mut self) {
        if let Some(obligation) = self.obligation.take() {
            obligation.abort();
        }
    }

    fn settle(&mut self) {
        if self.left == 0 {
            if let Some(obligation) = self.obligation.take() {
                obligation.commit();
            }
        }
    }
}

impl<T> Drop for Permits<'_, T> {
    fn drop(&mut self) {
        drop(self.obligation.take());
        if self.left > 0 {
            self.sender.shared().abort(self.left);
        }
    }
}

impl<T> fmt::Debug for Permits<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("left", &self.left).finish_non_exhaustive()
    }
}
