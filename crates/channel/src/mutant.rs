//! Deliberately broken channels, for the checks that must catch them.
//!
//! Compiled in only under `cfg(mutants)`; one of them is chosen at run time. In every other build
//! `mutant!` is the constant `false`. The first is a bug that another library
//! has shipped.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One way to break a channel.
        #[cfg(mutants)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Mutant { $($(#[$doc])* $name),* }

        /// Every way to break a channel.
        #[cfg(mutants)]
        pub const ALL: &[Mutant] = &[$(Mutant::$name),*];
    };
}

mutants! {
    /// The last permit of a closed channel comes home and the receiver is not told.
    ClosedPermitDroppedSilently,
    /// The last sender leaves and the receiver is not told.
    LastSenderLeavesSilently,
    /// A receiver that found nothing leaves its waker without looking again.
    ParkWithoutSecondLook,
    /// A permit that is dropped keeps its slot.
    DroppedPermitKeepsSlot,
    /// A message sent to a vanished receiver is dropped in silence.
    NotHandedBack,
    /// A receiver of a watch that saw no change enters the line without looking again.
    WatchParksWithoutSecondLook,
    /// The sender of a watch leaves and the receivers are not told.
    WatchClosesSilently,
    /// The last sender of a broadcast leaves and the receivers are not told.
    LastBroadcasterLeavesSilently,
    /// A receiver of a broadcast that missed messages is not told.
    LagNotReported,
    /// A receiver of a broadcast that stops waiting stays in line.
    BroadcastWaiterLeftInLine,
    /// A receiver of a broadcast that leaves is counted on for the messages it has not taken.
    BroadcastLeaverCountedOn,
    /// The end of a oneshot that found nothing leaves its waker without looking again.
    OneshotParksWithoutSecondLook,
    /// Closing a oneshot drops the value that was sent already.
    OneshotCloseDropsValue,
    /// The last receiver of a watch leaves and its sender is not told.
    LastWatcherLeavesSilently,
    /// A receiver that leaves does not take the messages with it.
    ReceiverLeavesMessages,
}

#[cfg(mutants)]
static ACTIVE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(u32::MAX);

/// Breaks the channels this way from now on; `None` mends them.
#[cfg(mutants)]
pub fn set(mutant: Option<Mutant>) {
    let value = mutant.map_or(u32::MAX, |mutant| mutant as u32);
    ACTIVE.store(value, std::sync::atomic::Ordering::SeqCst);
}

#[cfg(mutants)]
pub(crate) fn is_active(mutant: Mutant) -> bool {
    ACTIVE.load(std::sync::atomic::Ordering::SeqCst) == mutant as u32
}

/// Whether the channels are broken in the named way.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(mutants)]
        {
            $crate::mutant::is_active($crate::mutant::Mutant::$name)
        }
        #[cfg(not(mutants))]
        {
            false
        }
    }};
}
pub(crate) use mutant;
