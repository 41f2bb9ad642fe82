//! One after the other, until one succeeds.

use asupersync_core::{Cancelled, Error, ErrorKind, TaskCx};
use std::fmt;

/// Why [`first_ok`] has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstOkError<E> {
    /// Every future failed; their errors in order. Empty when there was none to try.
    AllFailed(Vec<E>),
    /// The scope was cancelled before one succeeded.
    Cancelled {
        /// What the scope's check was told.
        cancelled: Cancelled,
        /// The errors until then, in order.
        errors: Vec<E>,
    },
}

impl<E: fmt::Display> fmt::Display for FirstOkError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FirstOkError::AllFailed(errors) => match errors.last() {
                Some(last) => write!(f, "all {} failed, the last with: {last}", errors.len()),
                None => f.write_str("there was nothing to try: give it at least one future"),
            },
            FirstOkError::Cancelled { cancelled, errors } => {
                write!(f, "{cancelled} after {} had failed", errors.len())
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for FirstOkError<E> {}

impl<E: std::error::Error + Send + Sync + 'static> From<FirstOkError<E>> for Error {
    #[track_caller]
    fn from(error: FirstOkError<E>) -> Error {
        let what = error.to_string();
        match error {
            FirstOkError::Cancelled { cancelled, .. } => Error::from(cancelled),
            FirstOkError::AllFailed(mut errors) => match errors.pop() {
                Some(last) => Error::new(ErrorKind::Other, what).with_source(last),
                None => Error::new(ErrorKind::InvalidInput, what),
            },
        }
    }
}

/// Runs fallible futures one after the other and returns the first success.
///
/// The iterator is asked for the next future only when the one before has failed, so a lazy one makes
/// no more futures than are needed. It is kept while they run: give it owned items, as the
/// compiler cannot yet tell that a future which holds an iterator over references is `Send`.
///
/// ```
/// use asupersync_combinator::first_ok;
/// use asupersync_core::{Cx, Error};
///
/// async fn connect(cx: &Cx) -> Result<(), Error> {
///     let replicas = (0..9).map(async |n| if n == 3 { Ok(n) } else { Err("down") });
///     assert_eq!(first_ok(cx, replicas).await, Ok(3));
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(connect).is_ok());
/// ```
///
/// # Errors
/// [`FirstOkError`].
///
/// # Panics
/// Passes on a future's panic.
///
/// # Cancel safety
/// That of the futures: each runs in the caller's scope, alone. A success is returned even if the scope
/// was cancelled meanwhile; no further future is polled in a cancelled scope. A cancel request is
/// answered when the future that runs has ended.
pub async fn first_ok<T, E, F>(
    cx: &TaskCx,
    futures: impl IntoIterator<Item = F>,
) -> Result<T, FirstOkError<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut errors = Vec::new();
    for future in futures {
        if let Err(cancelled) = cx.checkpoint() {
            return Err(FirstOkError::Cancelled { cancelled, errors });
        }
        match future.await {
            Ok(value) => return Ok(value),
            Err(error) => errors.push(error),
        }
    }
    match cx.checkpoint() {
        Ok(()) => Err(FirstOkError::AllFailed(errors)),
        Err(cancelled) => Err(FirstOkError::Cancelled { cancelled, errors }),
    }
}
