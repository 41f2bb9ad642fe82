//! What a region says about itself when it has closed.

use crate::cancel::CancelReason;
use crate::id::{RegionId, TaskId};
use crate::obligation::LeakReport;
use crate::outcome::{Outcome, PanicPayload};
use crate::snapshot::WaitSnapshot;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A task whose cleanup budget ran out.
#[derive(Clone, Debug)]
pub struct Straggler {
    /// Which task.
    pub task: TaskId,
    /// Its name, when it has one.
    pub name: Option<Arc<str>>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// What it was waiting for when its time ran out; empty when it was computing.
    pub waits: Vec<WaitSnapshot>,
}

impl fmt::Display for Straggler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "\"{name}\" ({})", self.task)?,
            None => write!(f, "{}", self.task)?,
        }
        write!(f, " spawned at {}", self.spawned_at)?;
        for wait in &self.waits {
            write!(f, ", waiting in {wait}")?;
        }
        Ok(())
    }
}

/// The books of a closed region.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegionReport {
    /// Which region.
    pub region: RegionId,
    /// How many tasks, regions and finalizers ended in it.
    pub ended: u64,
    /// Why it was cancelled, if it was.
    pub cancelled: Option<CancelReason>,
    /// Tasks that did not clean up in time.
    pub stragglers: Vec<Straggler>,
    /// Obligations that were never settled.
    pub leaks: Vec<LeakReport>,
}

/// How a closed region ended: its outcome, every error of its children, its books.
#[derive(Debug)]
#[must_use = "the outcome may hold an error, a cancellation or a panic"]
pub struct Closed<T, E> {
    /// The body's value, or the worst that happened inside.
    pub outcome: Outcome<T, E>,
    /// The unclaimed failures that did not become the outcome, in the order in which they happened.
    pub failures: Vec<ChildFailure<E>>,
    /// Everything else worth knowing.
    pub report: RegionReport,
}

/// How a child failed, when nobody joined it.
#[derive(Debug)]
pub struct ChildFailure<E> {
    /// Which task.
    pub task: TaskId,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// What went wrong.
    pub cause: FailureCause<E>,
}

/// What went wrong in a child.
#[derive(Debug)]
pub enum FailureCause<E> {
    /// It returned this error.
    Err(E),
    /// It returned an error that is not of the region's error type.
    OtherErr,
    /// It panicked.
    Panicked(PanicPayload),
}
