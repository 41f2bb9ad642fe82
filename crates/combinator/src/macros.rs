//! The macros. Each hands its `$crate` to the procedural macro that does the work.

/// What the expansions name beside the crate's own functions.
pub mod expand {
    pub use asupersync_core::{Error, Scope};
    pub use asupersync_macros::{join, race, scope, select, spawn, try_join};

    use asupersync_core::Cx;
    use asupersync_core::cap::{Capabilities, HasRandom};

    /// A context that `select!` can draw its first arm from.
    #[diagnostic::on_unimplemented(
        message = "`select!` begins at a random arm, and `{Self}` has no randomness",
        label = "cannot be drawn from",
        note = "write `biased;` first to have the arms polled from the top, or take a `&Cx`"
    )]
    pub trait Random {
        /// `cx.random_u64()`.
        fn random_u64(&self) -> u64;
    }

    impl<C: Capabilities + HasRandom> Random for Cx<C> {
        fn random_u64(&self) -> u64 {
            Cx::random_u64(self)
        }
    }

    /// Where a `select!` without `biased` begins.
    pub fn any_arm<R: Random + ?Sized>(cx: &R) -> usize {
        // Taken modulo the number of arms, so the high bits do not matter.
        cx.random_u64() as usize
    }
}

/// Opens a region: `scope! { statements; value }` is `cx.region(..).await`, and yields an
/// [`Outcome`](asupersync_core::Outcome) once everything inside has ended.
///
/// Inside, `scope` is the region's [`Scope`](asupersync_core::Scope), which [`spawn!`](crate::spawn!)
/// uses. The last expression is the value, without `Ok(..)`; `?` and `return Err(..)` leave the
/// region's body with an [`Error`](asupersync_core::Error). A region with another error type is opened
/// by [`Cx::region`](asupersync_core::Cx::region).
///
/// The context is the variable `cx`, or what `in expression;` in front says.
///
/// ```
/// use asupersync_combinator::{join, scope, spawn};
/// use asupersync_core::{Cx, Error};
///
/// async fn worker(_cx: &Cx) -> Result<u32, Error> {
///     Ok(21)
/// }
///
/// async fn sum(cx: &Cx) -> Result<(), Error> {
///     let outcome = scope! {
///         let a = spawn!(worker);
///         let b = spawn!(async |_cx| Ok(21));
///         let (a, b) = join!(a, b)?;
///         a?.into_result()? + b?.into_result()?
///     };
///     assert_eq!(outcome.into_result()?, 42);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(sum).is_ok());
/// ```
///
/// # Cancel safety
/// That of [`Cx::region`](asupersync_core::Cx::region).
#[macro_export]
macro_rules! scope {
    ($($input:tt)*) => { $crate::expand::scope!([$crate] $($input)*) };
}

/// Spawns a task into the region around: `spawn!(body)` is `scope.spawn(body)`, and
/// `spawn!("name", body)` is `scope.spawn_named("name", body)`.
///
/// The region is the variable `scope`, which [`scope!`](crate::scope!) makes, or what `in expression;`
/// in front says: a [`Scope`](asupersync_core::Scope) or, for the task's own region, a
/// [`Cx`](asupersync_core::Cx).
///
/// ```
/// use asupersync_combinator::spawn;
/// use asupersync_core::{Cx, Error};
///
/// async fn program(cx: &Cx) -> Result<(), Error> {
///     let mut task = spawn!(in cx; async |_cx: &Cx| Ok::<_, Error>(7));
///     assert_eq!(task.join(cx).await?.into_result()?, 7);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(program).is_ok());
/// ```
#[macro_export]
macro_rules! spawn {
    ($($input:tt)*) => { $crate::expand::spawn!([$crate] $($input)*) };
}

/// Awaits one to eight branches together: `join!(a, b)` is `join(cx, (a, b)).await`, where a branch is
/// a future or the handle of a task, which is joined.
///
/// Yields a `Result` of the tuple of values; see [`join`](crate::join()) and
/// [`into_branch`](crate::into_branch()). The context is the variable `cx`, or what `in expression;` in
/// front says.
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// # async fn program(cx: &Cx) -> Result<(), Error> {
/// use asupersync_combinator::{join, spawn};
///
/// let task = spawn!(in cx; async |_cx: &Cx| Ok::<_, Error>(1));
/// let (one, two) = join!(task, async { 2 })?;
/// assert_eq!((one?.into_result()?, two), (1, 2));
/// # Ok(()) }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(program).is_ok());
/// ```
///
/// # Cancel safety
/// That of [`join`](crate::join()).
#[macro_export]
macro_rules! join {
    ($($input:tt)*) => { $crate::expand::join!([$crate] $($input)*) };
}

/// Awaits one to eight fallible futures together, until the first error: `try_join!(a, b)` is
/// `try_join(cx, (a, b)).await`; see [`try_join`](crate::try_join()).
///
/// The context is the variable `cx`, or what `in expression;` in front says.
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// # async fn program(cx: &Cx) -> Result<(), Error> {
/// use asupersync_combinator::try_join;
///
/// let (one, two) = try_join!(async { Ok::<_, Error>(1) }, async { Ok(2) })?;
/// assert_eq!(one + two, 3);
/// # Ok(()) }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(program).is_ok());
/// ```
///
/// # Cancel safety
/// That of [`try_join`](crate::try_join()).
#[macro_export]
macro_rules! try_join {
    ($($input:tt)*) => { $crate::expand::try_join!([$crate] $($input)*) };
}

/// Awaits the first of one to eight futures: `race!(a, b)` is `race(cx, (a, b)).await`; see
/// [`race`](crate::race()). The losers are cancelled, and have ended when it yields.
///
/// The context is the variable `cx`, or what `in expression;` in front says.
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// # use std::time::Duration;
/// # async fn program(cx: &Cx) -> Result<(), Error> {
/// use asupersync_combinator::race;
///
/// let slow = async { cx.sleep(Duration::from_secs(3600)).await.map(|()| 2) };
/// assert_eq!(race!(async { Ok(1) }, slow)??, 1);
/// # Ok(()) }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(program).is_ok());
/// ```
///
/// # Cancel safety
/// That of [`race`](crate::race()).
#[macro_export]
macro_rules! race {
    ($($input:tt)*) => { $crate::expand::race!([$crate] $($input)*) };
}

/// Awaits the first of one to eight futures whose value fits its pattern, and goes on with that arm:
///
/// ```text
/// select! {
///     in context;                                 // optional: otherwise the variable `cx`
///     biased;                                     // optional
///     pattern = future => value,
///     pattern = future, if condition => value,
///     else => value,
/// }
/// ```
///
/// 1. The conditions are evaluated, from the top; an arm whose condition is false is out, and its
///    future expression is not evaluated.
/// 2. The futures race, each in a cancel scope of its own; see [`race_some`](crate::race_some()). One
///    whose value does not fit the pattern is out.
/// 3. The losers are cancelled with `RaceLost` and polled to their end.
/// 4. The winner's value is bound, and its arm's expression is evaluated in the surrounding function:
///    `?`, `break`, `return` and `.await` mean there what they mean outside. When every arm was ruled
///    out, it is the one of `else`.
///
/// Yields `Ok` of the arm's expression, or `Err(Cancelled)` when the enclosing scope was cancelled and
/// the race has no winner for it. Where an arm waits for the kernel, cancellation is its own value:
/// `rx.recv(cx)` answers `Err(RecvError::Cancelled(..))`, which a pattern such as `Ok(message)` rules
/// out, and `else` hears of it by `cx.checkpoint()?`.
///
/// `else` must be there when every arm has a condition or a pattern that some value might not fit; by
/// its looks, that is any pattern but names, `_` and tuples of those. A name in lower case is a binding,
/// never a constant.
///
/// # Which of two that are ready
/// The arms are polled in a circle from one that is drawn with
/// [`Cx::random_u64`](asupersync_core::Cx::random_u64) at each use, so that in a loop no arm starves
/// another. The draw comes from the task's own stream of randomness: in the lab it follows from the
/// seed, and a failure replays. With `biased;` they are polled from the top, nothing is drawn, and a
/// [`TaskCx`](asupersync_core::TaskCx) is enough; put what must not be missed, a stop signal for
/// example, above what is always ready.
///
/// ```
/// use asupersync_channel::mpsc;
/// use asupersync_combinator::select;
/// use asupersync_core::{Cx, Error};
/// use std::time::Duration;
///
/// async fn sum_until_quiet(cx: &Cx, mut rx: mpsc::Receiver<u32>) -> Result<u32, Error> {
///     let mut sum = 0;
///     loop {
///         select! {
///             Ok(n) = rx.recv(cx), if sum < 100 => sum += n,
///             slept = cx.sleep(Duration::from_secs(1)) => {
///                 slept?;
///                 return Ok(sum);
///             }
///         }?;
///     }
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # let report = lab.run(async |cx: &Cx| {
/// #     let (tx, rx) = mpsc::channel(2);
/// #     tx.reserve(cx).await?.send(3);
/// #     tx.reserve(cx).await?.send(4);
/// #     sum_until_quiet(cx, rx).await
/// # });
/// # assert_eq!(report.outcome.into_result().unwrap(), 7);
/// ```
///
/// # Cancel safety
/// Each arm loses what its future loses when it is cancelled: with operations that commit in one step
/// (`recv`, `reserve`, `lock`, `sleep`), nothing. A value that a loser returns after it was told, or that
/// did not fit its pattern, is dropped.
#[macro_export]
macro_rules! select {
    ($($input:tt)*) => { $crate::expand::select!([$crate] $($input)*) };
}
