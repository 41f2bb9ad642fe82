//! The macros of `asupersync`: the attributes [`macro@main`] and [`macro@test`], and what is behind
//! `scope!`, `spawn!`, `join!`, `try_join!`, `race!` and `select!`.
//!
//! All expand to the plain API: there is nothing they do that a program could not write itself.
//! `docs/macro-dsl.md` shows each with its expansion.
//!
//! The attributes stand on an `async fn name(cx: &Cx)` that returns a `Result` or nothing. Use them
//! through the facade, as `#[asupersync::main]` and `#[asupersync::test]`; the paths in the expansion
//! go there, as a program's entry needs a whole host.
//!
//! The others are used as `asupersync::join!` or, without the facade, as `asupersync_combinator::join!`
//! with the feature `macros`. There each is a `macro_rules!` of one line that hands its `$crate` to the
//! function of the same name here, so the expansion finds the crate whatever it is called.
//!
//! What this crate does not know: the runtime, the lab, the kernel; it only writes their names.
//!
//! # Example
//! ```
//! use asupersync::prelude::*;
//!
//! #[asupersync::main(flavor = "current_thread")]
//! async fn main(cx: &Cx) -> Result<(), Error> {
//!     cx.checkpoint()?;
//!     Ok(())
//! }
//! ```
//!
//! # Limitations
//! - The attributes' function is not generic, and its one parameter is the context.
//! - `join!`, `race!` and `select!` take at most eight branches, as the tuples of the plain API do.

#![forbid(unsafe_code)]

mod branches;
mod function;
mod main_fn;
mod options;
#[cfg(test)]
mod page;
mod place;
mod scope;
mod select;
mod spawn;
mod test_fn;

use crate::branches::Branches;
use crate::scope::Scope;
use crate::select::Select;
use crate::spawn::Spawn;
use proc_macro::TokenStream;

/// Makes an async function the program's `main`, run by the production runtime.
///
/// Options: `flavor = "multi_thread"` (the default) or `flavor = "current_thread"`;
/// `workers = 4` sets the number of worker threads, otherwise one for each processor.
///
/// The process exits with code 0 when the function returns `Ok` or nothing. When it returns an error,
/// was cancelled or panicked, that is printed to standard error and the code is 1. Either way the
/// runtime is quiescent by then: every task has ended and every finalizer has run.
///
/// `#[asupersync::main(workers = 4)] async fn main(cx: &Cx) -> Result<(), Error> { .. }` expands to
///
/// ```ignore
/// fn main() -> ExitCode {
///     async fn main(cx: &Cx) -> Result<(), Error> { .. }
///     let runtime = match RuntimeBuilder::multi_thread().worker_threads(4).build() { .. };
///     match runtime.block_on_reported(RegionOptions::new().name("main"), main) { .. }
/// }
/// ```
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(options.into(), item.into()).into()
}

/// Makes an async function a test that runs in the lab: virtual time, a seeded schedule, and the
/// oracles watching.
///
/// Options, in any order and combination:
///
/// - `seeds = 100` runs it under as many seeds, from 0 upwards; otherwise under seed 0 alone.
/// - `explore` runs it, for each seed, in every order of its tasks that can make a difference, in place of one
///   order. The test fails too when something was left out; `explore = 10_000` sets after how many runs of a
///   seed to give up, a million otherwise.
/// - `inject_cancel` runs it again for each step of each seed's run, with the root region cancelled just
///   before that step.
/// - `faults` lets happen in each run what its seed says: `faults = "network"` a bad network, partitions, stalls
///   and resets, `"files"` a disk that is full for a while, `"rare"` the marks that the program passes with
///   `asupersync::lab::rare`, `"clock"` a clock that jumps ahead and timers that are late; several as `faults = "network, files"`, all without a value. After a while all is
///   well again, and then the program must come to its end. A failure prints what the seed expanded to.
/// - `time_races = 16` lets time pass at any step of a run, the first sixteen times that it does, and not only when no
///   task can run: timeouts fire while the tasks that they wait for are slow, deliveries and faults come between two
///   steps of a task.
///
/// The test fails when the function returns an error, when anything in it panics, when it deadlocks,
/// or when an oracle finds an invariant broken. The failure names the seed and prints the line that
/// replays it.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    test_fn::expand(options.into(), item.into()).into()
}

/// Behind `asupersync_combinator::scope!`, where it is documented.
#[doc(hidden)]
#[proc_macro]
pub fn scope(input: TokenStream) -> TokenStream {
    expand("scope", input.into()).into()
}

/// Behind `asupersync_combinator::spawn!`, where it is documented.
#[doc(hidden)]
#[proc_macro]
pub fn spawn(input: TokenStream) -> TokenStream {
    expand("spawn", input.into()).into()
}

/// Behind `asupersync_combinator::join!`, where it is documented.
#[doc(hidden)]
#[proc_macro]
pub fn join(input: TokenStream) -> TokenStream {
    expand("join", input.into()).into()
}

/// Behind `asupersync_combinator::try_join!`, where it is documented.
#[doc(hidden)]
#[proc_macro]
pub fn try_join(input: TokenStream) -> TokenStream {
    expand("try_join", input.into()).into()
}

/// Behind `asupersync_combinator::race!`, where it is documented.
#[doc(hidden)]
#[proc_macro]
pub fn race(input: TokenStream) -> TokenStream {
    expand("race", input.into()).into()
}

/// Behind `asupersync_combinator::select!`, where it is documented.
#[doc(hidden)]
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    expand("select", input.into()).into()
}

fn expand(name: &str, input: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let expanded = match name {
        "scope" => syn::parse2::<Scope>(input).map(Scope::expand),
        "spawn" => syn::parse2::<Spawn>(input).map(Spawn::expand),
        "select" => syn::parse2::<Select>(input).map(Select::expand),
        _ => syn::parse2::<Branches>(input).and_then(|branches| branches.expand(name)),
    };
    expanded.unwrap_or_else(|error| error.to_compile_error())
}
