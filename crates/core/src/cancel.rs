//! Why something was asked to stop.

use crate::id::{RegionId, TaskId};
use crate::time::Time;
use std::borrow::Cow;
use std::error::Error as _;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Who or what asked for a cancellation. Later kinds are more severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CancelKind {
    /// Somebody asked for it by name.
    User,
    /// A deadline passed.
    Timeout,
    /// A poll or cost quota was spent.
    Quota,
    /// A sibling failed, and the region's policy is fail-fast.
    FailFast,
    /// Another branch of a race won.
    RaceLost,
    /// An enclosing scope was cancelled; the reason's cause says why.
    ParentCancelled,
    /// The runtime is going down.
    Shutdown,
}

impl CancelKind {
    /// All kinds, mildest first.
    pub const ALL: [CancelKind; 7] = [
        CancelKind::User,
        CancelKind::Timeout,
        CancelKind::Quota,
        CancelKind::FailFast,
        CancelKind::RaceLost,
        CancelKind::ParentCancelled,
        CancelKind::Shutdown,
    ];

    pub(crate) const fn from_rank(rank: u8) -> CancelKind {
        CancelKind::ALL[rank as usize]
    }

    /// How long a scope cancelled with this severity may take to clean up unless the request says
    /// otherwise. The more severe the request, the less time.
    #[must_use]
    pub const fn cleanup_time(self) -> Duration {
        Duration::from_secs(match self {
            CancelKind::User => 10,
            CancelKind::Timeout => 8,
            CancelKind::Quota => 6,
            CancelKind::FailFast => 5,
            CancelKind::RaceLost => 4,
            CancelKind::ParentCancelled => 3,
            CancelKind::Shutdown => 2,
        })
    }

    /// How often each task cancelled with this severity may still be polled.
    #[must_use]
    pub const fn cleanup_polls(self) -> u32 {
        match self {
            CancelKind::User => 10_000,
            CancelKind::Timeout => 8_000,
            CancelKind::Quota => 6_000,
            CancelKind::FailFast => 5_000,
            CancelKind::RaceLost => 4_000,
            CancelKind::ParentCancelled => 3_000,
            CancelKind::Shutdown => 2_000,
        }
    }
}

impl fmt::Display for CancelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CancelKind::User => "user request",
            CancelKind::Timeout => "deadline passed",
            CancelKind::Quota => "quota spent",
            CancelKind::FailFast => "a sibling failed",
            CancelKind::RaceLost => "race lost",
            CancelKind::ParentCancelled => "enclosing scope cancelled",
            CancelKind::Shutdown => "shutdown",
        })
    }
}

/// What a wait answers in a cancelled scope: small, `Copy`, an error of its own.
///
/// The whole story stays in the scope: `cx.cancel_reason()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cancelled {
    kind: CancelKind,
    severity: CancelKind,
}

impl Cancelled {
    pub(crate) const fn new(kind: CancelKind, severity: CancelKind) -> Cancelled {
        Cancelled { kind, severity }
    }

    /// The kind of the scope's own reason; `ParentCancelled` when the request came from further up.
    #[must_use]
    pub const fn kind(self) -> CancelKind {
        self.kind
    }

    /// The kind of the request at the root of the reason's chain.
    #[must_use]
    pub const fn severity(self) -> CancelKind {
        self.severity
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled ({})", self.severity)
    }
}

impl std::error::Error for Cancelled {}

/// Inside an `io::Error`, `Cancelled` is of kind `Other`: `Interrupted` would tell a reader to retry.
impl From<Cancelled> for std::io::Error {
    fn from(cancelled: Cancelled) -> Self {
        std::io::Error::other(cancelled)
    }
}

/// Finds the `Cancelled` inside an `io::Error` that was made from one, or from an
/// [`Error`](crate::Error) that was.
#[must_use]
pub fn cancelled_in(error: &std::io::Error) -> Option<Cancelled> {
    let carried = error.get_ref()?;
    if let Some(cancelled) = carried.downcast_ref::<Cancelled>() {
        return Some(*cancelled);
    }
    carried.downcast_ref::<crate::Error>()?.source()?.downcast_ref().copied()
}

/// Why a scope was cancelled: kind, who asked, where and when, and the chain of causes back to the
/// first request.
///
/// Cloning is cheap (one shared allocation). A chain holds at most [`CancelReason::MAX_CAUSES`]
/// links; beyond that the middle is left out and the root is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelReason(Arc<Reason>);

#[derive(Clone, PartialEq, Eq)]
struct Reason {
    kind: CancelKind,
    severity: CancelKind,
    message: Option<Cow<'static, str>>,
    cleanup: Option<Duration>,
    site: Option<&'static Location<'static>>,
    at: Option<Time>,
    task: Option<TaskId>,
    region: Option<RegionId>,
    cause: Option<CancelReason>,
    depth: u8,
}

impl CancelReason {
    /// The most links a chain of causes keeps.
    pub const MAX_CAUSES: usize = 16;

    /// A reason of this kind, attributed to the calling line.
    #[track_caller]
    #[must_use]
    pub fn new(kind: CancelKind) -> CancelReason {
        CancelReason(Arc::new(Reason {
            kind,
            severity: kind,
            message: None,
            cleanup: None,
            site: Some(Location::caller()),
            at: None,
            task: None,
            region: None,
            cause: None,
            depth: 0,
        }))
    }

    /// Somebody's request, with their words.
    #[track_caller]
    #[must_use]
    pub fn user(message: impl Into<Cow<'static, str>>) -> CancelReason {
        CancelReason::new(CancelKind::User).with_message(message)
    }

    /// The runtime is going down; descendants get `grace` to clean up.
    #[track_caller]
    #[must_use]
    pub fn shutdown(grace: Duration) -> CancelReason {
        CancelReason::new(CancelKind::Shutdown).with_cleanup(grace)
    }

    /// Says more, in words.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> CancelReason {
        Arc::make_mut(&mut self.0).message = Some(message.into());
        self
    }

    /// Sets the time for cleanup, in place of the kind's own [`CancelKind::cleanup_time`].
    #[must_use]
    pub fn with_cleanup(mut self, cleanup: Duration) -> CancelReason {
        Arc::make_mut(&mut self.0).cleanup = Some(cleanup);
        self
    }

    /// Attributes the reason to another line than the one that made it.
    #[must_use]
    pub fn at_site(mut self, site: &'static Location<'static>) -> CancelReason {
        Arc::make_mut(&mut self.0).site = Some(site);
        self
    }

    /// The reason that scopes beneath a scope cancelled for `self` get.
    pub(crate) fn inherited(&self, region: Option<RegionId>, at: Time) -> CancelReason {
        let cause = if usize::from(self.0.depth) + 1 >= Self::MAX_CAUSES {
            self.root().clone()
        } else {
            self.clone()
        };
        CancelReason(Arc::new(Reason {
            kind: CancelKind::ParentCancelled,
            severity: self.0.severity,
            message: None,
            cleanup: self.0.cleanup,
            site: self.0.site,
            at: Some(at),
            task: self.0.task,
            region,
            depth: cause.0.depth + 1,
            cause: Some(cause),
        }))
    }

    /// Whether it says when, by which task and in which region.
    pub(crate) fn is_attributed(&self) -> bool {
        self.0.at.is_some() && self.0.task.is_some() && self.0.region.is_some()
    }

    /// Adds who asked and when, where the request did not say so itself.
    pub(crate) fn attributed(
        mut self,
        at: Time,
        task: Option<TaskId>,
        region: Option<RegionId>,
    ) -> CancelReason {
        let reason = Arc::make_mut(&mut self.0);
        reason.at = reason.at.or(Some(at));
        reason.task = reason.task.or(task);
        reason.region = reason.region.or(region);
        self
    }

    /// The kind of this link of the chain.
    #[must_use]
    pub fn kind(&self) -> CancelKind {
        self.0.kind
    }

    /// The kind at the root of the chain: what lanes and cleanup budgets go by.
    #[must_use]
    pub fn severity(&self) -> CancelKind {
        self.0.severity
    }

    /// The requester's words, on this link.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The source line of the request.
    #[must_use]
    pub fn site(&self) -> Option<&'static Location<'static>> {
        self.0.site
    }

    /// When the request took effect.
    #[must_use]
    pub fn at(&self) -> Option<Time> {
        self.0.at
    }

    /// The task that asked, when a task did.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.0.task
    }

    /// The region through which the request came.
    #[must_use]
    pub fn region(&self) -> Option<RegionId> {
        self.0.region
    }

    /// The reason this one follows from.
    #[must_use]
    pub fn cause(&self) -> Option<&CancelReason> {
        self.0.cause.as_ref()
    }

    /// The chain from this reason back to the first request.
    pub fn chain(&self) -> impl Iterator<Item = &CancelReason> {
        std::iter::successors(Some(self), |reason| reason.cause())
    }

    /// The first request.
    #[must_use]
    pub fn root(&self) -> &CancelReason {
        self.chain().last().unwrap_or(self)
    }

    /// How long the cancelled scope may take to clean up.
    #[must_use]
    pub fn cleanup_time(&self) -> Duration {
        self.0.cleanup.unwrap_or_else(|| self.0.severity.cleanup_time())
    }

    pub(crate) fn cancelled(&self) -> Cancelled {
        Cancelled::new(self.0.kind, self.0.severity)
    }

    /// Whether this reason replaces `current`: only a strictly more severe one does.
    pub(crate) fn strengthens(&self, current: Option<&CancelReason>) -> bool {
        current.is_none_or(|current| self.severity() > current.severity())
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.root();
        write!(f, "{}", root.kind())?;
        if let Some(message) = root.message() {
            write!(f, " \"{message}\"")?;
        }
        if let Some(task) = root.task() {
            write!(f, " by {task}")?;
        }
        if let Some(site) = root.site() {
            write!(f, " at {}:{}", site.file(), site.line())?;
        }
        let links = self.chain().count() - 1;
        if links > 0 {
            write!(f, ", through {links} enclosing scope{}", if links == 1 { "" } else { "s" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelReason({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_keeps_its_root_beyond_the_longest_length() {
        let mut reason = CancelReason::user("stop");
        for n in 0..100 {
            reason = reason.inherited(None, Time::from_secs(n));
        }
        assert!(reason.chain().count() <= CancelReason::MAX_CAUSES);
        assert_eq!(reason.root().message(), Some("stop"));
        assert_eq!(reason.severity(), CancelKind::User);
        assert_eq!(reason.kind(), CancelKind::ParentCancelled);
    }

    #[test]
    fn only_a_more_severe_reason_replaces_another() {
        for (rank, kind) in CancelKind::ALL.into_iter().enumerate() {
            for (other_rank, other) in CancelKind::ALL.into_iter().enumerate() {
                let current = CancelReason::new(other);
                let replaces = CancelReason::new(kind).strengthens(Some(&current));
                assert_eq!(replaces, rank > other_rank);
            }
        }
    }

    #[test]
    fn cleanup_time_shrinks_as_severity_grows() {
        for pair in CancelKind::ALL.windows(2) {
            assert!(pair[0].cleanup_time() > pair[1].cleanup_time());
            assert!(pair[0].cleanup_polls() > pair[1].cleanup_polls());
        }
    }

    #[test]
    fn cancelled_survives_a_trip_through_io_error() {
        let cancelled = CancelReason::new(CancelKind::Timeout).cancelled();
        let error = std::io::Error::from(cancelled);
        assert_eq!(error.kind(), std::io::ErrorKind::Other);
        assert_eq!(cancelled_in(&error), Some(cancelled));
    }
}
