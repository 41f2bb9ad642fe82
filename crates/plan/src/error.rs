//! What can be wrong with a plan, and with its execution.

use asupersync_core::{Cancelled, Error, ErrorKind};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why [`PlanBuilder::build`](crate::PlanBuilder::build) refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// A node is named that this builder did not make.
    UnknownNode {
        /// Its place in the builder that made it.
        index: usize,
    },
    /// Combinators stand deeper in one another than [`MAX_DEPTH`](crate::PlanBuilder::MAX_DEPTH).
    TooDeep,
    /// There are more nodes than [`MAX_NODES`](crate::PlanBuilder::MAX_NODES).
    TooLarge,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::PlanBuilder;
        match self {
            PlanError::UnknownNode { index } => write!(
                f,
                "node {index} was not made by this builder; build a plan from one builder's nodes"
            ),
            PlanError::TooDeep => write!(
                f,
                "the plan is more than {} combinators deep; put chains into one sequence, join or race",
                PlanBuilder::MAX_DEPTH
            ),
            PlanError::TooLarge => {
                write!(f, "the plan has more than {} nodes", PlanBuilder::MAX_NODES)
            }
        }
    }
}

impl std::error::Error for PlanError {}

impl From<PlanError> for Error {
    #[track_caller]
    fn from(error: PlanError) -> Error {
        Error::new(ErrorKind::InvalidInput, error.to_string())
    }
}

/// Why a plan's execution has no values.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// A leaf failed.
    Leaf {
        /// Its name.
        leaf: Arc<str>,
        /// With what. Shared, as several parents may hear of it.
        error: Arc<E>,
    },
    /// A time limit passed.
    TimedOut {
        /// The limit, as the plan says it.
        limit: Duration,
    },
    /// The enclosing scope was cancelled.
    Cancelled(Cancelled),
    /// A part that several parents share ended without a result: it panicked, and the outcome of the
    /// whole is that panic.
    Lost,
}

impl<E> Clone for Failure<E> {
    fn clone(&self) -> Failure<E> {
        match self {
            Failure::Leaf { leaf, error } => {
                Failure::Leaf { leaf: leaf.clone(), error: error.clone() }
            }
            Failure::TimedOut { limit } => Failure::TimedOut { limit: *limit },
            Failure::Cancelled(cancelled) => Failure::Cancelled(*cancelled),
            Failure::Lost => Failure::Lost,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Leaf { leaf, error } => write!(f, "leaf `{leaf}` failed: {error}"),
            Failure::TimedOut { limit } => write!(f, "the time limit of {limit:?} passed"),
            Failure::Cancelled(cancelled) => cancelled.fmt(f),
            Failure::Lost => f.write_str("a shared part of the plan ended without a result"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Failure<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Leaf { error, .. } => Some(&**error),
            Failure::TimedOut { .. } | Failure::Cancelled(_) | Failure::Lost => None,
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<Failure<E>> for Error {
    #[track_caller]
    fn from(failure: Failure<E>) -> Error {
        let kind = match &failure {
            Failure::Cancelled(cancelled) => return (*cancelled).into(),
            Failure::TimedOut { .. } => ErrorKind::TimedOut,
            Failure::Leaf { .. } | Failure::Lost => ErrorKind::Other,
        };
        Error::new(kind, failure.to_string()).with_source(failure)
    }
}

impl<E> From<Cancelled> for Failure<E> {
    fn from(cancelled: Cancelled) -> Failure<E> {
        Failure::Cancelled(cancelled)
    }
}
