//! What a region says about itself when it has closed.

use crate::cancel::CancelReason;
use crate::error::{Error, ErrorKind};
use crate::id::{RegionId, TaskId};
use crate::obligation::LeakReport;
use crate::outcome::{Outcome, OutcomeError, PanicPayload};
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
    /// Whose task it was.
    pub region: RegionId,
    /// What it was waiting for when its time ran out; empty when it was computing.
    pub waits: Vec<WaitSnapshot>,
}

impl fmt::Display for Straggler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "\"{name}\" ({})", self.task)?,
            None => write!(f, "{}", self.task)?,
        }
        write!(f, " of {}, spawned at {}", self.region, self.spawned_at)?;
        for wait in &self.waits {
            write!(f, ", waiting in {wait}")?;
        }
        Ok(())
    }
}

/// The books of a closed region: its own, and what the regions beneath it left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegionReport {
    /// Which region.
    pub region: RegionId,
    /// How many tasks, regions and finalizers ended in it.
    pub ended: u64,
    /// Why it was cancelled, if it was.
    pub cancelled: Option<CancelReason>,
    /// Tasks that did not clean up in time, here and beneath.
    pub stragglers: Vec<Straggler>,
    /// Obligations that were never settled, here and beneath.
    pub leaks: Vec<LeakReport>,
    /// How many more of the two there were: each list holds at most [`RegionReport::KEPT`].
    pub omitted: u64,
}

impl RegionReport {
    /// The most stragglers, and the most leaks, that a report keeps; the first ones.
    pub const KEPT: usize = 256;

    /// Whether everything was settled, and everyone ended in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stragglers.is_empty() && self.leaks.is_empty()
    }

    /// What went wrong with the close, as an error that can be passed on.
    ///
    /// # Errors
    /// [`ErrorKind::RegionCloseTimeout`] when tasks did not clean up in time, or else
    /// [`ErrorKind::ObligationLeak`] when something was never settled. The first of them gives the error its
    /// task and line; the text names up to eight.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(first) = self.stragglers.first() {
            let what = listing(
                format!("RegionCloseTimeout: {} did not end within its cleanup time", self.region),
                &self.stragglers,
            );
            return Err(Error::at(ErrorKind::RegionCloseTimeout, what, first.spawned_at)
                .in_task(first.task));
        }
        if let Some(first) = self.leaks.first() {
            let what = listing(
                format!("ObligationLeak: {} closed over what was never settled", self.region),
                &self.leaks,
            );
            return Err(Error::at(ErrorKind::ObligationLeak, what, first.site).in_task(first.task));
        }
        Ok(())
    }
}

fn listing(mut what: String, items: &[impl fmt::Display]) -> String {
    const SHOWN: usize = 8;
    for item in items.iter().take(SHOWN) {
        what.push_str(&format!("\n    {item}"));
    }
    if items.len() > SHOWN {
        what.push_str(&format!("\n    and {} more", items.len() - SHOWN));
    }
    what
}

/// What a region keeps of stragglers and leaks; most regions have none.
#[derive(Clone, Default)]
pub(super) struct Books {
    pub(super) stragglers: Vec<Straggler>,
    pub(super) leaks: Vec<LeakReport>,
    pub(super) omitted: u64,
}

impl Books {
    pub(super) fn straggler(&mut self, straggler: Straggler) {
        if self.stragglers.iter().any(|known| known.task == straggler.task) {
            return;
        }
        if self.stragglers.len() < RegionReport::KEPT {
            self.stragglers.push(straggler);
        } else {
            self.omitted += 1;
        }
    }

    pub(super) fn leak(&mut self, leak: LeakReport) {
        if self.leaks.len() < RegionReport::KEPT {
            self.leaks.push(leak);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds the books of a region beneath.
    pub(super) fn absorb(&mut self, beneath: Books) {
        for straggler in beneath.stragglers {
            self.straggler(straggler);
        }
        for leak in beneath.leaks {
            self.leak(leak);
        }
        self.omitted += beneath.omitted;
    }
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

impl<T, E> Closed<T, E> {
    /// The body's value, unless anything went wrong: the outcome, or else the close itself.
    ///
    /// # Errors
    /// The outcome's error, cancellation or panic; or else what [`RegionReport::check`] finds.
    pub fn into_result(self) -> Result<T, Error>
    where
        Error: From<OutcomeError<E>>,
    {
        let value = self.outcome.into_result()?;
        self.report.check()?;
        Ok(value)
    }
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
