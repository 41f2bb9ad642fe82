//! The family's error: what happened, where, and what to do about it.

use crate::cancel::{CancelKind, CancelReason, Cancelled, cancelled_in};
use crate::id::TaskId;
use crate::outcome::OutcomeError;
use crate::task::JoinError;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

/// What sort of thing went wrong. Each has a code, and each code a page in `docs/errors/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The scope was cancelled.
    Cancelled,
    /// A join that could never end.
    JoinWouldDeadlock,
    /// An outcome that was taken before.
    OutcomeTaken,
    /// The host offers no such driver.
    ServiceMissing,
    /// `block_on` inside a task.
    NestedBlockOn,
    /// Nothing can run and nothing will happen.
    Deadlock,
    /// An obligation was never settled.
    ObligationLeak,
    /// A region could not close within its time.
    RegionCloseTimeout,
    /// A task holds obligations and is not polled forward.
    FuturelockViolation,
    /// The other end of a channel is gone.
    ChannelClosed,
    /// A lab run took more steps than allowed.
    StepLimit,
    /// The operating system or a peer refused an I/O operation.
    Io,
    /// A task panicked.
    Panicked,
    /// A deadline passed.
    TimedOut,
    /// An invariant's oracle saw it broken.
    InvariantViolated,
    /// An argument or configuration cannot be used.
    InvalidInput,
    /// The program's own error.
    Other,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recoverability {
    /// The same call may succeed later.
    Transient,
    /// The same call will fail again.
    Permanent,
    /// The program has a bug.
    Bug,
}

impl ErrorKind {
    /// The stable code of this kind, as `docs/errors/` lists it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            ErrorKind::Cancelled => "ASY-0001",
            ErrorKind::JoinWouldDeadlock => "ASY-0002",
            ErrorKind::OutcomeTaken => "ASY-0003",
            ErrorKind::ServiceMissing => "ASY-0004",
            ErrorKind::NestedBlockOn => "ASY-0005",
            ErrorKind::Deadlock => "ASY-0006",
            ErrorKind::ObligationLeak => "ASY-0007",
            ErrorKind::RegionCloseTimeout => "ASY-0008",
            ErrorKind::FuturelockViolation => "ASY-0009",
            ErrorKind::ChannelClosed => "ASY-0010",
            ErrorKind::StepLimit => "ASY-0011",
            ErrorKind::Io => "ASY-0012",
            ErrorKind::Panicked => "ASY-0013",
            ErrorKind::TimedOut => "ASY-0014",
            ErrorKind::InvariantViolated => "ASY-0015",
            ErrorKind::InvalidInput => "ASY-0016",
            ErrorKind::Other => "ASY-0000",
        }
    }

    /// What to do about it, in one sentence.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            ErrorKind::Cancelled => {
                "return it; work that must finish first goes into `cx.masked(..)` or `scope.defer(..)`"
            }
            ErrorKind::JoinWouldDeadlock => {
                "join from the task that opened the region, or send the result through a channel"
            }
            ErrorKind::OutcomeTaken => {
                "join a task once, before its region returns; a fail-fast region takes unclaimed errors itself"
            }
            ErrorKind::ServiceMissing => {
                "build the runtime with that driver enabled, or give the lab the virtual one"
            }
            ErrorKind::NestedBlockOn => {
                "inside a task, await; `block_on` is for the outermost function"
            }
            ErrorKind::Deadlock => {
                "the report names each task and what it waits for; one of them must be woken by another"
            }
            ErrorKind::ObligationLeak => {
                "settle it on every path: `send`/`abort`, `commit`/`abort`; never `mem::forget` it"
            }
            ErrorKind::RegionCloseTimeout => {
                "put `cx.checkpoint()?` into loops that do not wait, and long work on `spawn_blocking`"
            }
            ErrorKind::FuturelockViolation => {
                "poll the future that holds the permit or lock, or drop it before waiting for something else"
            }
            ErrorKind::ChannelClosed => "treat it as the end of the conversation",
            ErrorKind::StepLimit => {
                "raise `LabConfig::max_steps`, or look for a loop that yields without making progress"
            }
            ErrorKind::Io => "the source says what the system reported",
            ErrorKind::Panicked => {
                "the payload is in the outcome; the panic message names the line"
            }
            ErrorKind::TimedOut => "raise the deadline, or shorten the work inside it",
            ErrorKind::InvariantViolated => {
                "replay the printed seed: the trace shows the step that broke it"
            }
            ErrorKind::InvalidInput => "the message says which value is allowed",
            ErrorKind::Other => "see the source",
        }
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn recoverability(self) -> Recoverability {
        match self {
            ErrorKind::Io | ErrorKind::TimedOut => Recoverability::Transient,
            ErrorKind::JoinWouldDeadlock
            | ErrorKind::OutcomeTaken
            | ErrorKind::NestedBlockOn
            | ErrorKind::Deadlock
            | ErrorKind::ObligationLeak
            | ErrorKind::RegionCloseTimeout
            | ErrorKind::FuturelockViolation
            | ErrorKind::Panicked
            | ErrorKind::InvariantViolated => Recoverability::Bug,
            _ => Recoverability::Permanent,
        }
    }
}

/// An error that reads like advice: a code, what happened, in which task and at which line, what to do.
///
/// A body's error type may be this one or any other; what the family's own operations return converts
/// into it with `?`, which records the line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    what: What,
    task: Option<TaskId>,
    site: Option<&'static Location<'static>>,
    source: Option<Source>,
}

/// What happened. A cancellation is put into words only where somebody reads them: every task of a
/// cancelled region makes such an error, and nearly all are dropped unread.
enum What {
    Text(Cow<'static, str>),
    Cancelled(CancelReason),
    TaskCancelled(CancelReason),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Text(text) => f.write_str(text),
            What::Cancelled(reason) => write!(f, "cancelled: {reason}"),
            What::TaskCancelled(reason) => write!(f, "the task was cancelled: {reason}"),
        }
    }
}

enum Source {
    Cancelled(Cancelled),
    Other(Box<dyn StdError + Send + Sync>),
}

impl Source {
    fn error(&self) -> &(dyn StdError + 'static) {
        match self {
            Source::Cancelled(cancelled) => cancelled,
            Source::Other(error) => error.as_ref(),
        }
    }
}

impl Error {
    /// An error of this kind, attributed to the calling line and the task whose step this is.
    #[track_caller]
    pub fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Error {
        Error::at(kind, what, Location::caller())
    }

    /// The program's own error, in words.
    #[track_caller]
    pub fn msg(what: impl Into<Cow<'static, str>>) -> Error {
        Error::at(ErrorKind::Other, what, Location::caller())
    }

    /// An error attributed to another line.
    pub fn at(
        kind: ErrorKind,
        what: impl Into<Cow<'static, str>>,
        site: &'static Location<'static>,
    ) -> Error {
        Error::of(kind, What::Text(what.into()), site)
    }

    fn of(kind: ErrorKind, what: What, site: &'static Location<'static>) -> Error {
        let task = crate::step::task();
        Error(Box::new(Inner { kind, what, task, site: Some(site), source: None }))
    }

    /// The cancellation is what it follows from.
    fn because_cancelled(mut self, cancelled: Cancelled) -> Error {
        self.0.source = Some(Source::Cancelled(cancelled));
        self
    }

    /// Attributes the error to another task than the one whose step this is.
    pub(crate) fn in_task(mut self, task: TaskId) -> Error {
        self.0.task = Some(task);
        self
    }

    /// Adds what it follows from.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(Source::Other(source.into()));
        self
    }

    /// What sort of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The kind's stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// The task in whose step the error was made.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.0.task
    }

    /// The line that made it, or that passed it on with `?` first.
    #[must_use]
    pub fn site(&self) -> Option<&'static Location<'static>> {
        self.0.site
    }

    /// Whether this is a cancellation, which a body passes on.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn recoverability(&self) -> Recoverability {
        self.0.kind.recoverability()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.0.what)?;
        match (self.0.task, self.0.site) {
            (Some(task), Some(site)) => write!(f, "\n  in task {task} at {site}")?,
            (None, Some(site)) => write!(f, "\n  at {site}")?,
            (Some(task), None) => write!(f, "\n  in task {task}")?,
            (None, None) => {}
        }
        if let Some(source) = &self.0.source {
            write!(f, "\n  because: {}", source.error())?;
        }
        if self.0.kind != ErrorKind::Other {
            write!(f, "\n  help: {}", self.0.kind.help())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(Source::error)
    }
}

impl From<Cancelled> for Error {
    #[track_caller]
    fn from(cancelled: Cancelled) -> Error {
        // The scope knows the whole story while the step is still inside it.
        let reason = crate::step::with(|header| header.told_reason()).flatten();
        let what = match (reason, cancelled.severity()) {
            (Some(reason), _) => What::Cancelled(reason),
            (None, CancelKind::Timeout) => What::Text("cancelled: a deadline passed".into()),
            (None, severity) => What::Text(format!("cancelled: {severity}").into()),
        };
        Error::of(ErrorKind::Cancelled, what, Location::caller()).because_cancelled(cancelled)
    }
}

impl From<JoinError> for Error {
    #[track_caller]
    fn from(error: JoinError) -> Error {
        let site = Location::caller();
        let kind = match error {
            JoinError::Cancelled(cancelled) => {
                return Error::at(ErrorKind::Cancelled, error.to_string(), site)
                    .because_cancelled(cancelled);
            }
            JoinError::WouldDeadlock { .. } => ErrorKind::JoinWouldDeadlock,
            JoinError::AlreadyTaken { .. } => ErrorKind::OutcomeTaken,
        };
        Error::at(kind, error.to_string(), site)
    }
}

/// What was carried through I/O comes out as it went in: an `Error` as itself, a `Cancelled` as a
/// cancellation.
impl From<std::io::Error> for Error {
    #[track_caller]
    fn from(error: std::io::Error) -> Error {
        let site = Location::caller();
        let error = match error.downcast::<Error>() {
            Ok(carried) => return carried,
            Err(error) => error,
        };
        if let Some(cancelled) = cancelled_in(&error) {
            return Error::at(ErrorKind::Cancelled, "cancelled during I/O", site)
                .because_cancelled(cancelled);
        }
        let kind = match error.kind() {
            std::io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::Io,
        };
        Error::at(kind, error.to_string(), site).with_source(error)
    }
}

/// For code that speaks `io::Result`. A cancellation stays one, for [`cancelled_in`] to find; a passed
/// deadline is `TimedOut`; the rest is `Other`, with the error inside.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        let kind = match error.kind() {
            ErrorKind::TimedOut => std::io::ErrorKind::TimedOut,
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}

impl From<OutcomeError<Error>> for Error {
    #[track_caller]
    fn from(error: OutcomeError<Error>) -> Error {
        let site = Location::caller();
        match error {
            OutcomeError::Err(error) => error,
            OutcomeError::Cancelled(reason) => {
                Error::of(ErrorKind::Cancelled, What::TaskCancelled(reason), site)
            }
            OutcomeError::Panicked(payload) => Error::at(
                ErrorKind::Panicked,
                format!("the task panicked: {}", payload.message()),
                site,
            ),
        }
    }
}
