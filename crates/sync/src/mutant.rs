//! Deliberately broken locks, for the checks that must catch them.
//!
//! Compiled in only under `cfg(mutants)`; one of them is chosen at run time. In every other build
//! `mutant!` is the constant `false`. The first two are bugs that other libraries have shipped.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One way to break a lock.
        #[cfg(mutants)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Mutant { $($(#[$doc])* $name),* }

        /// Every way to break a lock.
        #[cfg(mutants)]
        pub const ALL: &[Mutant] = &[$(Mutant::$name),*];
    };
}

mutants! {
    /// A waiter chosen by `notify_one` that goes away keeps its token.
    NotifyTokenDropped,
    /// When the head of a semaphore's line leaves, the next is not looked at.
    HeadLeavesUnserved,
    /// A waiter that goes away keeps the lock or the slots it was handed.
    GrantNotPassedOn,
    /// A taker who found the lock held, or too few slots, enters the line without looking again.
    EntryWithoutSecondLook,
    /// A taker enters the line without a look at the slots that were given aside.
    EntryWithoutCollecting,
    /// Who finds nothing aside does not look whether another taker has just come for it.
    AsideLooksOnce,
    /// Whether all slots are home is counted while some are on their way from one word to the other.
    HomeCountedOnTheWay,
    /// A waiting writer leaves, and the readers that stood behind it are not looked at.
    WriterLeavesReadersStand,
    /// A reader's end does not look at the line.
    ReaderLeavesSilently,
    /// Closing slots does not wake those who wait for some.
    CloseWakesNobody,
}

#[cfg(mutants)]
static ACTIVE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(u32::MAX);

/// Breaks the locks this way from now on; `None` mends them.
#[cfg(mutants)]
pub fn set(mutant: Option<Mutant>) {
    let value = mutant.map_or(u32::MAX, |mutant| mutant as u32);
    ACTIVE.store(value, std::sync::atomic::Ordering::SeqCst);
}

#[cfg(mutants)]
pub(crate) fn is_active(mutant: Mutant) -> bool {
    ACTIVE.load(std::sync::atomic::Ordering::SeqCst) == mutant as u32
}

/// Whether the locks are broken in the named way.
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
