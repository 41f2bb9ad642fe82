//! Deliberately broken kernels, for the checks that must catch them.
//!
//! Compiled in only under `cfg(mutants)` and `cfg(loom)`, which `cargo xtask mutants` and `cargo xtask
//! loom` pass; one of them is chosen at run time. In every other build `mutant!` is the constant `false`.

macro_rules! mutants {
    (
        conformance { $($(#[$doc:meta])* $name:ident,)* }
        loom { $($(#[$loom_doc:meta])* $loom_name:ident,)* }
    ) => {
        /// One way to break the kernel.
        #[cfg(any(mutants, loom))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Mutant { $($(#[$doc])* $name,)* $($(#[$loom_doc])* $loom_name,)* }

        /// The ways that show in a program's behaviour.
        #[cfg(any(mutants, loom))]
        pub const ALL: &[Mutant] = &[$(Mutant::$name),*];

        /// The ways that show only in an interleaving: loom's.
        #[cfg(any(mutants, loom))]
        pub const INTERLEAVED: &[Mutant] = &[$(Mutant::$loom_name),*];
    };
}

mutants! {
    conformance {
    /// A region closes without waiting for its live tasks.
    CloseDoesNotWait,
    /// A region that is closing or cancelled admits tasks and never runs them.
    RefusedTaskIsKept,
    /// A scope's deadline arms no timer.
    DeadlineNotArmed,
    /// A cancelled child counts for its region although it was joined.
    JoinTakesNothing,
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
    /// A cancelled branch answers at once and leaves its future where it stands.
    LoserLeftBehind,
    /// Tasks are named in the order in which they are spawned, over all runs.
    NamedByOrder,
    /// A cancelled region does not keep its services to the last.
    ServicesNotLast,
    /// A wish to finish is a cancellation.
    SoftIsHard,
    /// A wish to finish stays one when its grace is over.
    GraceForgotten,
    /// Who waits for a task to get ready is not told that it never will.
    NeverReadyUntold,
    /// A limit on children lets everybody in.
    LimitIgnored,
    /// The failure of a group's child is its region's, too.
    GroupFailureEscapes,
    }
    loom {
    /// A wake-up during a poll is forgotten when the poll ends.
    WakeDuringPollLost,
    /// A wait for a soft cancellation parks without looking again.
    SoftLooksOnce,
    /// A task admitted to a region that was asked to finish is not.
    SoftNotInherited,
    /// The end of the body does not look whether only services are left.
    CloseDismissesNobody,
    /// An ending task does not look whether its handle is gone.
    LetGoUnseen,
    /// A handle that goes does not look whether its task has ended.
    HandleLooksNot,
    /// Who waits for a region's close leaves its waker without looking again.
    ClosedLooksOnce,
    /// A snapshot does not look whether the wait it read was still the same at the end.
    WaitReadOnce,
    /// A poller of many looks who is woken before it leaves its waker.
    WokenLooksFirst,
    /// A joiner leaves its waker without looking again.
    JoinLooksOnce,
    /// A wait parks without looking at its scope again.
    ParkLooksOnce,
    /// A cancellation that finds waits to wake does not wake the task itself.
    CancelWakesWaitsOnly,
    /// A cleanup timer is kept although the region has closed meanwhile.
    TimerOutlivesRegion,
    /// Admission does not look at the region's state.
    AdmitUnchecked,
    /// A claim's release orders nothing.
    ReleaseRelaxed,
    /// An exclusive claim's release forgets that the cell is marked.
    ReleaseLosesMark,
    /// A task's last count is left to its obligation without looking whether that was just settled.
    TakeOverUnchecked,
    /// A read claim's release orders nothing.
    ReadReleaseRelaxed,
    /// A write claim's release orders nothing.
    WriteReleaseRelaxed,
    /// The last reference does not wait for the others' uses.
    RefDropRelaxed,
    /// A region's heap is freed while somebody still looks at a value.
    CloseIgnoresUses,
    /// The end of a look at a value on a region's heap orders nothing.
    UseEndsRelaxed,
    }
}

#[cfg(any(mutants, loom))]
static ACTIVE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(u32::MAX);

/// Breaks the kernel this way from now on; `None` mends it.
#[cfg(any(mutants, loom))]
pub fn set(mutant: Option<Mutant>) {
    let value = mutant.map_or(u32::MAX, |mutant| mutant as u32);
    ACTIVE.store(value, std::sync::atomic::Ordering::SeqCst);
}

#[cfg(any(mutants, loom))]
pub(crate) fn is_active(mutant: Mutant) -> bool {
    ACTIVE.load(std::sync::atomic::Ordering::SeqCst) == mutant as u32
}

/// Whether the kernel is broken in the named way.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(any(mutants, loom))]
        {
            $crate::mutant::is_active($crate::mutant::Mutant::$name)
        }
        #[cfg(not(any(mutants, loom)))]
        {
            false
        }
    }};
}
pub(crate) use mutant;
