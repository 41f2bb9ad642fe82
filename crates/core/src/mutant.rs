//! Deliberately broken kernels, for the checks that must catch them.
//!
//! Compiled in only under `cfg(mutants)`, which `cargo xtask mutants` passes; one of them is chosen
//! at run time. In every other build `mutant!` is the constant `false`.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One way to break the kernel.
        #[cfg(mutants)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Mutant { $($(#[$doc])* $name),* }

        /// Every way to break the kernel.
        #[cfg(mutants)]
        pub const ALL: &[Mutant] = &[$(Mutant::$name),*];
    };
}

mutants! {
    /// A region closes without waiting for its live tasks.
    CloseDoesNotWait,
    /// A region that is closing or cancelled admits tasks and never runs them.
    RefusedTaskIsKept,
    /// A scope's deadline arms no timer.
    DeadlineNotArmed,
    /// Poll quotas are not counted.
    QuotaIgnored,
    /// A cancelled region forgets to cancel its tasks.
    CancelStopsAtRegion,
    /// A cancelled scope does not wake its waits.
    CancelWakesNobody,
    /// Waits in a cancelled scope look at their event first.
    WaitIgnoresCancel,
    /// A later, milder reason replaces a more severe one.
    SeverityFalls,
    /// Finalizers run in the order they were registered.
    FinalizersFifo,
    /// Finalizers are skipped.
    FinalizersSkipped,
    /// Finalizers run unmasked.
    FinalizersUnmasked,
    /// Masks shield nothing.
    MaskIgnored,
    /// Spent cleanup budgets have no consequence.
    EscalationIgnored,
    /// A child's failure does not cancel its siblings.
    FailFastIgnored,
    /// A fail-fast region reports its own cancellation in place of the error that caused it.
    CauseForgotten,
    /// Dropping a join future cancels the child.
    JoinDropCancels,
    /// Dropping a region's future leaves its tasks running uncancelled.
    DroppedRegionRunsOn,
    /// A branch around a foreign future waits for it even after its cancellation.
    ForeignNotDropped,
    /// A panic in a body is passed over in silence.
    PanicSwallowed,
    /// Obligations that are never settled are not reported.
    LeakNotReported,
    /// A charge is not taken from the region's account.
    ChargeIgnored,
}

#[cfg(mutants)]
static ACTIVE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(u32::MAX);

/// Breaks the kernel this way from now on; `None` mends it.
#[cfg(mutants)]
pub fn set(mutant: Option<Mutant>) {
    let value = mutant.map_or(u32::MAX, |mutant| mutant as u32);
    ACTIVE.store(value, std::sync::atomic::Ordering::SeqCst);
}

#[cfg(mutants)]
pub(crate) fn is_active(mutant: Mutant) -> bool {
    ACTIVE.load(std::sync::atomic::Ordering::SeqCst) == mutant as u32
}

/// Whether the kernel is broken in the named way.
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
