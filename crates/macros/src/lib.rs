//! The attributes of `asupersync`: [`macro@main`] and [`macro@test`].
//!
//! Both stand on an `async fn name(cx: &Cx)` that returns a `Result` or nothing, and expand to the
//! plain API: there is nothing they do that a program could not write itself. Use them through the
//! facade, as `#[asupersync::main]` and `#[asupersync::test]`; the paths in the expansion go there.
//!
//! What this crate does not know: the runtime and the lab; it only writes their names.
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
//! The function is not generic, and its one parameter is the context.

#![forbid(unsafe_code)]

mod function;
mod main_fn;
mod options;
mod test_fn;

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
/// Options: `seeds = 100` runs it under as many seeds, from 0 upwards; otherwise it runs once.
/// `inject_cancel` runs it again for each point at which its main task waits, and cancels it there.
///
/// The test fails when the function returns an error, when anything in it panics, when it deadlocks,
/// or when an oracle finds an invariant broken. The failure names the seed and prints the line that
/// replays it.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    test_fn::expand(options.into(), item.into()).into()
}
