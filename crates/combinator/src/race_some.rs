//! A race that not every answer wins.

use crate::drive;
use crate::tuple::RaceSome;
use asupersync_core::{Cancelled, TaskCx};
use std::panic::Location;

/// Runs a tuple of futures concurrently until one of them returns `Some`, and returns that. A branch
/// that returns `None` is out of the race; when all of them are, the result is `None`.
///
/// The remaining branches are cancelled with
/// [`CancelKind::RaceLost`](asupersync_core::CancelKind::RaceLost) and have ended when it returns; what
/// they returned is dropped.
///
/// Of branches that are ready in the same step the earliest wins, counted from branch number `first`
/// (from zero, taken modulo the number of branches) in a circle. In a loop a random `first` is fair
/// to all branches; zero gives those on the left precedence. `select!` is this function with patterns.
///
/// ```
/// use asupersync_combinator::race_some;
/// use asupersync_core::{Cx, Error};
///
/// async fn first_even(cx: &Cx) -> Result<(), Error> {
///     let even = |n: u32| (n % 2 == 0).then_some(n);
///     assert_eq!(race_some(cx, 0, (async { even(3) }, async { even(4) })).await?, Some(4));
///     assert_eq!(race_some(cx, 0, (async { even(3) }, async { even(5) })).await?, None);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(first_even).is_ok());
/// ```
///
/// # Errors
/// `Cancelled` when the enclosing scope was cancelled, nobody has won and at least one branch was
/// dropped for it.
///
/// # Panics
/// Passes on the first panic of a branch once the others are cancelled and drained.
///
/// # Cancel safety
/// As [`race`](crate::race()).
#[track_caller]
pub fn race_some<'a, T: RaceSome>(
    cx: &'a TaskCx,
    first: usize,
    futures: T,
) -> impl Future<Output = Result<Option<T::Output>, Cancelled>> + use<'a, T> {
    let site = Location::caller();
    async move {
        match futures.race_some(cx, site, first).await {
            Some(value) => Ok(value),
            None => Err(drive::cancelled(cx, "race_some", site).await),
        }
    }
}
