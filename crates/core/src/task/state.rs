//! The word that says whether a task is queued, being polled, or over.
//!
//! ```text
//!              wake                begin_poll
//!   (idle) ───────────▶ SCHEDULED ───────────▶ RUNNING ──end_poll──▶ (idle)
//!                           ▲                     │ wake
//!                           └──────end_poll── RUNNING|SCHEDULED
//!                                                 │ complete
//!                                                 ▼
//!                                             COMPLETE ──claim──▶ COMPLETE|CLAIMED
//! ```

use crate::mutant::mutant;
use crate::primitive::{AtomicU32, Ordering};

/// In a run queue, or to be put there when the poll that is under way ends.
const SCHEDULED: u32 = 1;
/// A thread is inside the task's poll and owns its stage. Excludes COMPLETE.
const RUNNING: u32 = 2;
/// The outcome is published; the stage changes only through a claim. Set once, never cleared.
const COMPLETE: u32 = 4;
/// The outcome was taken out. Set once, only after COMPLETE.
const CLAIMED: u32 = 8;
/// The cleanup budget is spent: the next poll drops the future instead. Never cleared.
const ESCALATED: u32 = 16;
/// The task is a service of its region. Set from the start or never.
const SERVICE: u32 = 32;
/// The handle is gone, so no join will come. Set once, before or after COMPLETE.
const LET_GO: u32 = 64;
/// Beside COMPLETE: the outcome is a failure, and the region's if no join takes it.
const FAILED: u32 = 128;
/// Somebody listens to the kernel's events. Set from the start or never. It is here because this word is
/// read anyway where there is something to tell. Under `cfg(unheard)` nobody ever listens, and nobody
/// asks: against such a build the bench counts what asking costs.
const OBSERVED: u32 = if cfg!(unheard) { 0 } else { 256 };

#[derive(Debug)]
pub(crate) struct State(AtomicU32);

/// What the caller of a transition owes next.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Hand the task to its host.
    Submit,
    /// Nothing: somebody else will.
    Nothing,
}

/// The task has opened a region. Set inside its steps, never cleared.
const OPENER: u32 = 512;
/// Beside CLAIMED: a join took the outcome, so it is nobody else's matter. Never cleared.
const JOINED: u32 = 1024;

/// What is special about a poll that begins; mostly nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun(u32);

impl Begun {
    pub(crate) const PLAIN: Begun = Begun(0);

    /// The future is to be dropped instead of polled.
    #[inline]
    pub(crate) fn is_escalated(self) -> bool {
        self.0 & ESCALATED != 0
    }

    /// Somebody listens.
    #[inline]
    pub(crate) fn is_observed(self) -> bool {
        self.0 & OBSERVED != 0
    }
}

impl State {
    /// A task that is about to be submitted for the first time.
    #[inline]
    pub(crate) fn scheduled(service: bool, observed: bool) -> State {
        let service = if service { SERVICE } else { 0 };
        let observed = if observed { OBSERVED } else { 0 };
        State(AtomicU32::new(SCHEDULED | service | observed))
    }

    /// Whether somebody listens to the kernel's events.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.0.load(Ordering::Relaxed) & OBSERVED != 0
    }

    pub(crate) fn is_service(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SERVICE != 0
    }

    /// Makes the task runnable. AcqRel: what the waker's caller wrote before waking is seen by the
    /// poll that follows, through `begin_poll`'s Acquire on the same word.
    pub(crate) fn wake(&self) -> Next {
        let before = self.0.fetch_or(SCHEDULED, Ordering::AcqRel);
        if before & (SCHEDULED | RUNNING | COMPLETE) == 0 { Next::Submit } else { Next::Nothing }
    }

    /// Makes the task runnable, to be dropped instead of polled.
    pub(crate) fn escalate(&self) -> Next {
        let before = self.0.fetch_or(SCHEDULED | ESCALATED, Ordering::AcqRel);
        if before & (SCHEDULED | RUNNING | COMPLETE) == 0 { Next::Submit } else { Next::Nothing }
    }

    /// SCHEDULED → RUNNING. Answers what is special about this poll.
    #[inline]
    pub(crate) fn begin_poll(&self) -> Begun {
        // One addition clears SCHEDULED and sets RUNNING, both being known.
        let before = self.0.fetch_add(RUNNING - SCHEDULED, Ordering::AcqRel);
        debug_assert_eq!(before & (SCHEDULED | RUNNING | COMPLETE), SCHEDULED);
        Begun(before & (ESCALATED | OBSERVED))
    }

    /// Whether the task was woken (or escalated) since `begin_poll`. Only the poller may ask.
    pub(crate) fn woken_meanwhile(&self) -> bool {
        self.0.load(Ordering::Acquire) & SCHEDULED != 0
    }

    /// RUNNING → idle, or back into the queue when the task was woken meanwhile.
    pub(crate) fn end_poll(&self) -> Next {
        let before = self.0.fetch_sub(RUNNING, Ordering::AcqRel);
        debug_assert!(before & RUNNING != 0);
        let woken = before & SCHEDULED != 0 && !mutant!(WakeDuringPollLost);
        if woken { Next::Submit } else { Next::Nothing }
    }

    /// RUNNING → COMPLETE. Release: the outcome written before is seen by whoever sees COMPLETE. Answers
    /// whether the outcome is nobody's, for the caller to drop.
    #[inline]
    #[must_use]
    pub(crate) fn complete(&self, failed: bool) -> bool {
        let bits = COMPLETE - RUNNING + if failed { FAILED } else { 0 };
        let before = self.0.fetch_add(bits, Ordering::AcqRel);
        debug_assert_eq!(before & (RUNNING | COMPLETE), RUNNING);
        before & LET_GO != 0 && !failed && !mutant!(LetGoUnseen)
    }

    /// No join will come. Answers whether the outcome is there already and nobody's, for the caller to drop.
    #[must_use]
    pub(crate) fn let_go(&self) -> bool {
        // A joined task is done with. Relaxed: what is not seen here is seen below.
        if self.0.load(Ordering::Relaxed) & CLAIMED != 0 {
            return false;
        }
        let before = self.0.fetch_or(LET_GO, Ordering::AcqRel);
        before & (COMPLETE | FAILED | CLAIMED) == COMPLETE && !mutant!(HandleLooksNot)
    }

    /// SCHEDULED → COMPLETE without ever having run: admission was refused.
    pub(crate) fn refuse(&self) {
        let before = self.0.fetch_add(COMPLETE - SCHEDULED, Ordering::AcqRel);
        debug_assert_eq!(before & !(SERVICE | OBSERVED), SCHEDULED);
    }

    /// The task opens a region. Inside its step.
    pub(crate) fn opens(&self) {
        if self.0.load(Ordering::Relaxed) & OPENER == 0 {
            self.0.fetch_or(OPENER, Ordering::Relaxed);
        }
    }

    /// Whether the task has ever opened a region.
    #[inline]
    pub(crate) fn has_opened(&self) -> bool {
        self.0.load(Ordering::Relaxed) & OPENER != 0
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// Takes the right to move the outcome out. True for one caller at most.
    pub(crate) fn claim(&self) -> bool {
        debug_assert!(self.is_complete());
        self.0.fetch_or(CLAIMED, Ordering::AcqRel) & CLAIMED == 0
    }

    /// The same, for a join.
    pub(crate) fn claim_to_join(&self) -> bool {
        debug_assert!(self.is_complete());
        self.0.fetch_or(CLAIMED | JOINED, Ordering::AcqRel) & CLAIMED == 0
    }

    /// Whether a join took the outcome.
    pub(crate) fn is_joined(&self) -> bool {
        self.0.load(Ordering::Relaxed) & JOINED != 0
    }

    pub(crate) fn describe(&self) -> &'static str {
        let bits = self.0.load(Ordering::Relaxed);
        if bits & COMPLETE != 0 {
            "completed"
        } else if bits & RUNNING != 0 {
            "running"
        } else if bits & SCHEDULED != 0 {
            "runnable"
        } else {
            "parked"
        }
    }
}
