//! Enough of many.

use crate::drive::{self, Drive};
use crate::list::List;
use asupersync_core::primitive::{Arc, AtomicUsize, Ordering};
use asupersync_core::{CancelKind, Cancelled, Error, ErrorKind, TaskCx};
use std::fmt;
use std::panic::Location;
use std::pin::Pin;

/// Why [`quorum`] was not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuorumError<E> {
    /// Too many have failed for the rest to be enough.
    Impossible {
        /// How many successes were needed.
        needed: usize,
        /// Of how many.
        of: usize,
        /// The failures that decided it, in the order of the branches.
        errors: Vec<E>,
    },
    /// The enclosing scope was cancelled first, and branches were dropped for it.
    Cancelled(Cancelled),
}

impl<E: fmt::Display> fmt::Display for QuorumError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumError::Impossible { needed, of, .. } if needed > of => {
                write!(f, "{needed} successes were asked for, of only {of} futures")
            }
            QuorumError::Impossible { needed, of, errors } => {
                write!(f, "{needed} of {of} cannot succeed any more: {} failed", errors.len())?;
                errors.first().map_or(Ok(()), |first| write!(f, ", the first with: {first}"))
            }
            QuorumError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for QuorumError<E> {}

impl<E: std::error::Error + Send + Sync + 'static> From<QuorumError<E>> for Error {
    #[track_caller]
    fn from(error: QuorumError<E>) -> Error {
        let what = error.to_string();
        match error {
            QuorumError::Cancelled(cancelled) => Error::from(cancelled),
            QuorumError::Impossible { errors, .. } => match errors.into_iter().next() {
                Some(first) => Error::new(ErrorKind::Other, what).with_source(first),
                None => Error::new(ErrorKind::InvalidInput, what),
            },
        }
    }
}

/// A branch's result and how the count stood with it.
struct Vote<T, E> {
    result: Result<T, E>,
    /// Came before the matter was settled, or settled it.
    counts: bool,
    decides: bool,
}

/// Successes and failures so far.
struct Tally {
    needed: usize,
    of: usize,
    successes: AtomicUsize,
    failures: AtomicUsize,
}

impl Tally {
    /// Only the one task that polls the branches votes.
    fn vote<T, E>(&self, result: Result<T, E>) -> Vote<T, E> {
        let (successes, failures) =
            (self.successes.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed));
        let counts = successes < self.needed && failures <= self.of - self.needed;
        let decides = match (&result, counts) {
            (_, false) => false,
            (Ok(_), true) => {
                self.successes.store(successes + 1, Ordering::Relaxed);
                successes + 1 == self.needed
            }
            (Err(_), true) => {
                self.failures.store(failures + 1, Ordering::Relaxed);
                failures + 1 > self.of - self.needed
            }
        };
        Vote { result, counts, decides }
    }
}

/// Runs futures concurrently until `needed` of them have succeeded, and returns those values in the
/// order of the branches.
///
/// It stops as early as the matter is settled: at the last success that was needed, or at the failure
/// after which the rest cannot be enough. The branches that are still open are then cancelled with
/// [`CancelKind::RaceLost`] and have ended when it returns; what they returned is dropped. Zero are had
/// at once, and more than there are futures fail at once; either way none of them is polled.
///
/// ```
/// use asupersync_combinator::quorum;
/// use asupersync_core::{Cx, Error};
///
/// async fn vote(cx: &Cx) -> Result<(), Error> {
///     let replicas = [Ok(1), Err("offline"), Ok(3)].map(std::future::ready);
///     assert_eq!(quorum(cx, 2, replicas).await, Ok(vec![1, 3]));
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(vote).is_ok());
/// ```
///
/// # Errors
/// [`QuorumError`].
///
/// # Panics
/// Passes on the first panic of a branch once the others are cancelled and drained.
///
/// # Cancel safety
/// Awaited, every branch ends by itself and is told when it is no longer needed. Values of branches
/// beyond the quorum, and successes when it is not reached, are dropped: give them to operations that
/// may succeed unheard (a write to a replica). When the enclosing scope is cancelled, what the branches
/// answer to that counts as any answer does. A cancel request is answered when the last branch has
/// ended; a branch that waits for nothing of the kernel's is dropped within one poll.
#[track_caller]
pub fn quorum<'a, F, T, E>(
    cx: &'a TaskCx,
    needed: usize,
    futures: impl IntoIterator<Item = F>,
) -> impl Future<Output = Result<Vec<T>, QuorumError<E>>>
where
    F: Future<Output = Result<T, E>> + 'a,
    T: 'a,
    E: 'a,
{
    let site = Location::caller();
    let futures: Vec<F> = futures.into_iter().collect();
    async move {
        let of = futures.len();
        if needed == 0 {
            return Ok(Vec::new());
        }
        if needed > of {
            return Err(QuorumError::Impossible { needed, of, errors: Vec::new() });
        }
        let tally = Tally { needed, of, successes: 0.into(), failures: 0.into() };
        let tally = Arc::new(tally);
        let branches = futures.into_iter().map(|future| {
            let tally = Arc::clone(&tally);
            async move { tally.vote(future.await) }
        });
        match run(cx, site, branches.collect()).await {
            Some(votes) => collect(needed, of, votes),
            None => Err(QuorumError::Cancelled(drive::cancelled(cx, "quorum", site).await)),
        }
    }
}

/// The votes that counted, in the order of the branches.
async fn run<'a, F, T, E>(
    cx: &'a TaskCx,
    site: &'static Location<'static>,
    futures: Vec<F>,
) -> Option<Vec<Result<T, E>>>
where
    F: Future<Output = Vote<T, E>> + 'a,
    T: 'a,
    E: 'a,
{
    let list = List::of(cx, |vote: &Vote<T, E>| vote.decides, futures);
    let finish = |list: Pin<&mut List<'a, F>>, decided: Option<usize>| {
        decided?;
        let votes = list.get_mut().take_finished();
        Some(votes.filter(|vote| vote.counts).map(|vote| vote.result).collect())
    };
    Drive::new(cx, site, CancelKind::RaceLost, list, finish).await
}

fn collect<T, E>(
    needed: usize,
    of: usize,
    votes: Vec<Result<T, E>>,
) -> Result<Vec<T>, QuorumError<E>> {
    let mut values = Vec::with_capacity(needed);
    let mut errors = Vec::new();
    for vote in votes {
        match vote {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if values.len() >= needed {
        Ok(values)
    } else {
        Err(QuorumError::Impossible { needed, of, errors })
    }
}
