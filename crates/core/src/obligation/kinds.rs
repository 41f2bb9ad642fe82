//! Duties with the verbs of what they stand for.

use super::{AlreadySettled, Duty, DutyWatch, ObligationKind, Settlement};
use crate::cx::TaskCx;
use std::panic::Location;

macro_rules! kind {
    (
        $(#[$doc:meta])*
        $name:ident,
        $(#[$make_doc:meta])*
        $make:ident,
        $(#[$good_doc:meta])*
        $good:ident,
        $(#[$bad_doc:meta])*
        $bad:ident
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "one that is dropped is a leak"]
        pub struct $name(Duty);

        impl $name {
            $(#[$good_doc])*
            ///
            /// # Errors
            /// When it had leaked before.
            pub fn $good(self) -> Result<(), AlreadySettled> {
                self.0.commit()
            }

            $(#[$bad_doc])*
            ///
            /// # Errors
            /// When it had leaked before.
            pub fn $bad(self) -> Result<(), AlreadySettled> {
                self.0.abort()
            }

            /// Moves it into the ledger of the region that `cx`'s task lives in; see [`Duty::transfer`].
            pub fn transfer(self, cx: &TaskCx) -> $name {
                $name(self.0.transfer(cx))
            }

            /// How it stands.
            #[must_use]
            pub fn settlement(&self) -> Settlement {
                self.0.settlement()
            }

            /// For the other party: sees how it ends.
            #[must_use]
            pub fn watch(&self) -> DutyWatch {
                self.0.watch()
            }
        }

        impl TaskCx {
            $(#[$make_doc])*
            #[track_caller]
            pub fn $make(&self, kind: &'static ObligationKind) -> $name {
                $name(self.enter_duty(kind, Location::caller(), false))
            }
        }
    };
}

kind!(
    /// An acknowledgement owed for something received: [`commit`](Ack::commit) when it was dealt with,
    /// [`nack`](Ack::nack) when it was not and may be delivered again.
    ///
    /// A [`Duty`] by other verbs: dropping it, or closing the region over it, is a leak; whoever
    /// [`watch`](Ack::watch)es is told at once.
    Ack,
    /// Takes on an acknowledgement, owed before the innermost region closes.
    ack,
    /// It was dealt with.
    commit,
    /// It was not dealt with.
    nack
);

kind!(
    /// An operation that something outside of the tree is at: a thread, the operating system.
    ///
    /// A [`Duty`] by other verbs. It is resolved by what became of the operation and by nothing else: a
    /// task that is dropped while its operation goes on leaves a leak, which says that it may still go on.
    IoOp,
    /// Takes on an operation that something outside of the tree is at.
    io_op,
    /// The operation is over.
    complete,
    /// The operation was taken back before it began, or is known to have been stopped.
    cancel
);
