//! What a run came to.

use crate::faults::FaultPlan;
use crate::oracle::{Invariant, Verdict};
use crate::rare::Mark;
use asupersync_core::{
    CancelReason, Error, ErrorKind, Outcome, RegionReport, RegionSnapshot, TaskId, Time,
};
use asupersync_trace::{EventLog, Fingerprint};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Something about a run that no correct program does.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// Nothing could run, no timer was armed, and the root region was not closed.
    Deadlock {
        /// Virtual time at which everything stood still.
        at: Time,
        /// Polls until then.
        step: u64,
        /// Who waits for what, and where.
        tree: Box<RegionSnapshot>,
    },
    /// The run had not ended after [`LabConfig::max_steps`](crate::LabConfig::max_steps).
    StepLimit {
        /// Virtual time reached.
        at: Time,
        /// The limit.
        steps: u64,
        /// Who was doing what.
        tree: Box<RegionSnapshot>,
    },
    /// Everything that had gone wrong was mended, and the run had not ended
    /// [`LabConfig::live_within`](crate::LabConfig::live_within) later.
    NotLive {
        /// Virtual time reached.
        at: Time,
        /// How long it had.
        within: Duration,
        /// Who was doing what.
        tree: Box<RegionSnapshot>,
    },
    /// A task panicked and nobody joined it.
    Panicked {
        /// Which task.
        task: TaskId,
        /// Where it was spawned.
        spawned_at: &'static Location<'static>,
        /// What it said, when that was text.
        message: Option<String>,
    },
    /// The tree could not be brought to quiescence even by dropping its futures.
    TeardownStuck {
        /// What was left.
        tree: Box<RegionSnapshot>,
    },
    /// The run was asked for inside another, whose tasks the inner one would have kept waiting. Its body
    /// was dropped unrun.
    Nested,
    /// A forced choice named a task that was not there: the program depends on something that is
    /// not in its trace, or the choices are of another program.
    Diverged {
        /// The position in the list of choices.
        choice: usize,
        /// How many tasks were runnable.
        enabled: usize,
    },
}

impl Finding {
    /// The code under which `asupersync explain` knows it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Finding::Deadlock { .. } => ErrorKind::Deadlock.code(),
            Finding::StepLimit { .. } | Finding::NotLive { .. } => ErrorKind::StepLimit.code(),
            Finding::TeardownStuck { .. } => ErrorKind::RegionCloseTimeout.code(),
            Finding::Panicked { .. } => ErrorKind::Panicked.code(),
            Finding::Nested => ErrorKind::NestedBlockOn.code(),
            Finding::Diverged { .. } => "ASY-0601",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            Finding::Deadlock { at, step, tree } => write!(
                f,
                "deadlock after {step} steps, at {at} of virtual time: no task can run and no timer \
                 is armed. Each task, and what it waits for:\n{tree}"
            ),
            Finding::StepLimit { at, steps, tree } => write!(
                f,
                "the run did not end within {steps} steps ({at} of virtual time): a task yields for \
                 ever, or the limit is too low (`LabConfig::max_steps`). The tree:\n{tree}"
            ),
            Finding::NotLive { at, within, tree } => write!(
                f,
                "every fault was mended at {}, and the run did not end within {within:?} after that ({at} \
                 of virtual time): the program does not recover, or the bound is too short \
                 (`LabConfig::live_within`). The tree:\n{tree}",
                FaultPlan::HEALED
            ),
            Finding::Panicked { task, spawned_at, message } => write!(
                f,
                "task {task}, spawned at {}:{}, panicked and nobody joined it: {}",
                spawned_at.file(),
                spawned_at.line(),
                message.as_deref().unwrap_or("(no message)")
            ),
            Finding::TeardownStuck { tree } => write!(
                f,
                "the tree did not become quiescent although its futures were dropped; this is a bug \
                 of the kernel or of a primitive. What is left:\n{tree}"
            ),
            Finding::Nested => f.write_str(
                "a lab run was started inside a task of another lab run; give the inner program a \
                 region of the outer run, or a test of its own",
            ),
            Finding::Diverged { choice, enabled } => write!(
                f,
                "the replay diverged at choice {choice}: only {enabled} tasks could run. The program \
                 depends on hidden shared state (a clock, a thread, a static, a randomly seeded map), \
                 or it is not the one that was recorded"
            ),
        }
    }
}

impl std::error::Error for Finding {}

/// The result of one run.
#[derive(Debug)]
#[non_exhaustive]
pub struct LabReport<T, E> {
    /// How the body ended.
    pub outcome: Outcome<T, E>,
    /// Deadlock, step limit and the like; empty for a good run.
    pub findings: Vec<Finding>,
    /// One verdict an oracle.
    pub verdicts: Vec<Verdict>,
    /// What was not wrong in this run, and may be in another: locks taken in opposite orders.
    pub warnings: Vec<String>,
    /// The seed it ran with.
    pub seed: u64,
    /// Polls; where time races, its passing too.
    pub steps: u64,
    /// How far the clock got.
    pub virtual_time: Time,
    /// The positions chosen wherever more than one task could run: they replay the run.
    pub choices: Vec<u32>,
    /// The run's class under reordering of independent steps; none when that, or any event, was not looked at.
    pub fingerprint: Option<Fingerprint>,
    /// What happened, when the trace was captured; [`into_bytes`](EventLog::into_bytes) makes the trace file of it.
    pub trace: Option<EventLog>,
    /// What the kernel reports about the root region; none if it never closed.
    pub region: Option<RegionReport>,
    /// The marks of [`rare`](crate::rare) that the run met, by their names.
    pub marks: Vec<Mark>,
    /// Polls until the first task failed, if one did.
    pub(crate) failed_at: Option<u64>,
    /// Polls until the root was cancelled by the lab, if it was.
    pub(crate) cancelled_at: Option<u64>,
    /// Time could have passed while a task could run, but for the limit of such times.
    pub(crate) time_held_back: bool,
}

impl<T, E> LabReport<T, E> {
    pub(crate) fn nested(seed: u64) -> LabReport<T, E> {
        let reason = CancelReason::user("a lab run inside a lab run");
        LabReport {
            outcome: Outcome::Cancelled(reason),
            findings: vec![Finding::Nested],
            verdicts: Vec::new(),
            warnings: Vec::new(),
            seed,
            steps: 0,
            virtual_time: Time::ZERO,
            choices: Vec::new(),
            fingerprint: None,
            trace: None,
            region: None,
            marks: Vec::new(),
            failed_at: None,
            cancelled_at: None,
            time_held_back: false,
        }
    }

    /// No finding, and every oracle content. Says nothing about the outcome: a body may well be
    /// meant to fail.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.verdicts.iter().all(Verdict::is_ok)
    }

    /// Sound, and the body returned `Ok`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.is_sound() && self.outcome.is_ok()
    }
}

impl<T, E> LabReport<T, E> {
    /// The first thing that is wrong with the run, as an error that can be passed on. Says nothing about
    /// the outcome.
    ///
    /// # Errors
    /// A finding, by its own kind; or a broken oracle: [`ErrorKind::ObligationLeak`],
    /// [`ErrorKind::FuturelockViolation`], or [`ErrorKind::InvariantViolated`] for every other.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(finding) = self.findings.first() {
            let kind = match finding {
                Finding::Deadlock { .. } => ErrorKind::Deadlock,
                Finding::StepLimit { .. } | Finding::NotLive { .. } => ErrorKind::StepLimit,
                Finding::TeardownStuck { .. } => ErrorKind::RegionCloseTimeout,
                Finding::Panicked { .. } => ErrorKind::Panicked,
                Finding::Nested => ErrorKind::NestedBlockOn,
                Finding::Diverged { .. } => ErrorKind::Other,
            };
            let text = finding.to_string();
            let what = text.strip_prefix(kind.code()).and_then(|text| text.strip_prefix(": "));
            return Err(Error::new(kind, what.unwrap_or(&text).to_owned()));
        }
        let Some(broken) = self.verdicts.iter().find(|verdict| !verdict.is_ok()) else {
            return Ok(());
        };
        let kind = match broken.invariant() {
            Invariant::Obligations => ErrorKind::ObligationLeak,
            Invariant::Futurelock => ErrorKind::FuturelockViolation,
            _ => ErrorKind::InvariantViolated,
        };
        Err(Error::new(kind, format!("{kind:?}: {broken}")))
    }
}

/// Everything that is wrong with the run, a paragraph each.
impl<T, E: fmt::Debug> fmt::Display for LabReport<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Ok(_) => f.write_str("the body returned Ok")?,
            Outcome::Err(error) => write!(f, "the body returned the error {error:?}")?,
            Outcome::Cancelled(reason) => write!(f, "the body was cancelled: {reason}")?,
            Outcome::Panicked(payload) => write!(f, "the body panicked: {}", payload.message())?,
        }
        write!(f, " ({} steps, {} of virtual time)", self.steps, self.virtual_time)?;
        for finding in &self.findings {
            write!(f, "\n{finding}")?;
        }
        for verdict in self.verdicts.iter().filter(|verdict| !verdict.is_ok()) {
            write!(f, "\noracle {verdict}")?;
        }
        Ok(())
    }
}
