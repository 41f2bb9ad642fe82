//! The states of a region, and the only ways between them.

use std::fmt;

/// Where a region stands.
///
/// ```text
///            body ends                  last child ends
///   Open ───────────────▶ Closing ───────────────────────┐
///     │                      │ cancel                     ▼
///     │ body ends, cancelled ▼          last child ends  Finalizing ──▶ Closed
///     └────────────────▶ Draining ───────────────────────▶ (LIFO)
/// ```
/// A region without finalizers passes through `Finalizing` without stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionState {
    /// Its body runs; it admits tasks unless it is cancelled.
    Open,
    /// Its body has ended; its children run on, and may spawn siblings.
    Closing,
    /// Its body has ended and it is cancelled: its children wind down.
    Draining,
    /// No child is left; its finalizers run, one after the other.
    Finalizing,
    /// Quiescent. Nothing from inside runs, ever again.
    Closed,
}

impl RegionState {
    /// The body has ended.
    pub(super) fn body_ended(self, cancelled: bool) -> RegionState {
        match (self, cancelled) {
            (RegionState::Open, false) => RegionState::Closing,
            (RegionState::Open, true) => RegionState::Draining,
            (later, _) => later,
        }
    }

    /// A cancellation took effect.
    pub(super) fn cancelled(self) -> RegionState {
        match self {
            RegionState::Closing => RegionState::Draining,
            other => other,
        }
    }

    /// The last child has ended.
    pub(super) fn quiet(self) -> RegionState {
        assert!(self.is_ending(), "a region cannot finalize from {self}");
        RegionState::Finalizing
    }

    /// The last finalizer has ended.
    pub(super) fn finalized(self) -> RegionState {
        assert!(self == RegionState::Finalizing, "a region cannot close from {self}");
        RegionState::Closed
    }

    /// Whether the region's body has ended and its close is under way.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, RegionState::Closing | RegionState::Draining | RegionState::Finalizing)
    }

    /// Whether new tasks may enter, as far as the state goes.
    pub(super) fn admits(self) -> bool {
        matches!(self, RegionState::Open | RegionState::Closing)
    }
}

impl fmt::Display for RegionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegionState::Open => "open",
            RegionState::Closing => "closing",
            RegionState::Draining => "draining",
            RegionState::Finalizing => "finalizing",
            RegionState::Closed => "closed",
        })
    }
}
