//! What a step of the model shows: the kernel's events in the model's numbers.

use super::{RegionNo, TaskNo};
use crate::log::{Cause, End};
use std::time::Duration;

/// How a task or region ended, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It finished.
    Ok,
    /// It failed.
    Err,
    /// It was cancelled.
    Cancelled,
    /// It panicked.
    Panicked,
}

/// How an obligation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// Fulfilled.
    Committed,
    /// Given back by name.
    Aborted,
    /// Given back by being dropped.
    Dropped,
    /// Dropped, or left open by a close, although it had to be settled.
    Leaked,
}

/// Something that a step shows. Tasks, regions and obligations are numbered in the order in which they
/// appear; the main task and the root region are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the kernel's events, by their names")]
pub enum Seen {
    Spawned { task: TaskNo, region: RegionNo, by: Option<TaskNo>, finalizer: bool },
    Refused { region: RegionNo, by: Option<TaskNo> },
    Parked { task: TaskNo, label: &'static str },
    WaitEnded { task: TaskNo, label: &'static str, cancelled: bool },
    CancelRequested { task: TaskNo, kind: Cause, severity: Cause },
    Told { task: TaskNo },
    Escalated { task: TaskNo },
    Completed { task: TaskNo, region: RegionNo, rank: Rank },
    BranchOpened { task: TaskNo, branch: u32 },
    BranchClosed { task: TaskNo, branch: u32, dropped: bool },
    RegionOpened { region: RegionNo, parent: Option<RegionNo>, by: Option<TaskNo> },
    RegionCancel { region: RegionNo, kind: Cause, severity: Cause },
    RegionClosing { region: RegionNo },
    RegionFinalizing { region: RegionNo },
    Deferred { region: RegionNo, ordinal: u32 },
    FinalizerStarted { region: RegionNo, ordinal: u32, task: TaskNo },
    RegionClosed { region: RegionNo, live: u32, unresolved: u32 },
    Reserved { obligation: usize, task: TaskNo },
    Resolved { obligation: usize, how: How },
}

/// Why something is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) kind: Cause,
    /// The root request's kind.
    pub(super) severity: Cause,
    /// When the root request took effect, in nanoseconds.
    pub(super) at: u64,
    pub(super) cleanup: Option<Duration>,
}

impl Reason {
    pub(super) fn new(kind: Cause, at: u64, cleanup: Option<Duration>) -> Reason {
        Reason { kind, severity: kind, at, cleanup }
    }

    /// What scopes beneath get.
    pub(super) fn inherited(self) -> Reason {
        Reason { kind: Cause::Parent, ..self }
    }

    pub(super) fn strengthens(self, current: Option<Reason>) -> bool {
        current.is_none_or(|current| self.severity > current.severity)
    }

    pub(super) fn cleanup_nanos(self) -> u64 {
        self.cleanup.map_or_else(|| cleanup_seconds(self.severity) * SECOND, nanos)
    }
}

pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds of cleanup by severity, where the request does not say.
#[must_use]
pub fn cleanup_seconds(severity: Cause) -> u64 {
    match severity {
        Cause::User => 10,
        Cause::Timeout => 8,
        Cause::Quota => 6,
        Cause::FailFast => 5,
        Cause::RaceLost => 4,
        Cause::Parent => 3,
        Cause::Shutdown => 2,
    }
}

/// Polls of cleanup by severity.
#[must_use]
pub fn cleanup_polls(severity: Cause) -> u32 {
    cleanup_seconds(severity) as u32 * 1_000
}

/// What ends a body before its last step.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// It was told; the severity is what it knows.
    Cancelled(Cause),
    /// An error of its own, in words.
    Failed(String),
    Panic(&'static str),
}

/// A task's or region's outcome.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Ok,
    Err(String),
    Cancelled(Reason),
    Panicked(String),
}

impl Out {
    pub(super) fn rank(&self) -> Rank {
        match self {
            Out::Ok => Rank::Ok,
            Out::Err(_) => Rank::Err,
            Out::Cancelled(_) => Rank::Cancelled,
            Out::Panicked(_) => Rank::Panicked,
        }
    }

    pub(super) fn end(&self) -> End {
        match self {
            Out::Ok => End::Ok,
            Out::Err(text) => End::Failed(text.clone()),
            Out::Cancelled(reason) => End::Cancelled(reason.severity),
            Out::Panicked(text) => End::Panicked(text.clone()),
        }
    }

    /// Of a body's answer and the reason it was told, if any.
    pub(super) fn of(result: Result<(), Stop>, told: Option<Reason>) -> Out {
        match (result, told) {
            (Ok(()), _) => Out::Ok,
            (Err(Stop::Panic(text)), _) => Out::Panicked(text.to_owned()),
            (Err(_), Some(reason)) => Out::Cancelled(reason),
            (Err(Stop::Failed(text)), None) => Out::Err(text),
            (Err(Stop::Cancelled(severity)), None) => {
                Out::Err(format!("cancelled ({})", words(severity)))
            }
        }
    }
}

fn words(severity: Cause) -> &'static str {
    match severity {
        Cause::User => "user request",
        Cause::Timeout => "deadline passed",
        Cause::Quota => "quota spent",
        Cause::FailFast => "a sibling failed",
        Cause::RaceLost => "race lost",
        Cause::Parent => "enclosing scope cancelled",
        Cause::Shutdown => "shutdown",
    }
}
