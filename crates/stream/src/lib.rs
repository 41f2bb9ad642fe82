//! What comes one after the other: adaptors and terminal operations for [`Stream`].
//!
//! - [`StreamExt`]: adaptors (`map`, `filter`, `take_while`, `scan`, `chunks`, `zip`, `merge`, `buffered`,
//!   `throttle`, `debounce`, ..) and terminal operations (`collect`, `fold`, `for_each_concurrent`, `find`,
//!   `forward`, ..). [`TryStreamExt`]: the same for streams of `Result`, up to the first error.
//! - [`iter`], [`unfold`], [`poll_fn`]: where streams come from. The receivers of
//!   [`asupersync_channel`] (`mpsc`, `broadcast`) are streams themselves, and
//!   [`forward`](StreamExt::forward) leads a stream into a channel.
//! - [`merge_all`]: many streams as one.
//!
//! The trait is `futures_core`'s, so streams of other crates can be used, and these by others.
//! Closures are synchronous, as an iterator's are; where a future belongs to each item the method says so:
//! `then`, `for_each`, `and_then`, or `map` with `buffered` behind it.
//!
//! What this crate does not know: tasks, regions, sockets, which host it runs on.
//!
//! # Example
//! ```
//! use asupersync_channel::mpsc;
//! use asupersync_core::{Cx, Error};
//! use asupersync_stream::{StreamExt, TryStreamExt};
//! use std::time::Duration;
//!
//! /// Looks up what is asked for, eight at once, in the order of the questions.
//! async fn answers(cx: &Cx, questions: mpsc::Receiver<u32>) -> Result<Vec<u32>, Error> {
//!     let look_up = async |n: u32| {
//!         cx.sleep(Duration::from_millis(50)).await?;
//!         Ok::<_, Error>(n * n)
//!     };
//!     questions.filter(|n| n % 2 == 1).map(look_up).buffered(cx, 8).try_collect(cx).await
//! }
//!
//! async fn program(cx: &Cx) -> Result<(), Error> {
//!     let (tx, rx) = mpsc::channel(9);
//!     for n in 1..=9 {
//!         tx.reserve(cx).await?.send(n);
//!     }
//!     drop(tx); // the stream ends
//!     assert_eq!(answers(cx, rx).await?, [1, 9, 25, 49, 81]);
//!     Ok(())
//! }
//! # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
//! # assert!(lab.run(program).is_ok());
//! ```
//!
//! # One wake, one poll
//! [`merge_all`], [`merge`](StreamExt::merge) and everything `buffered` give each stream and future a
//! waker of its own: a wake of one costs one poll of that one, whether it is one of three or of five
//! hundred. Nothing handles more than 64 items in a row without letting other tasks run, a loop of
//! [`next`](StreamExt::next) neither.
//!
//! # Cancel safety
//! `poll_next` has no context. So an adaptor cannot be cancelled by itself: it is whoever waits for the
//! stream who hears of a cancellation, and the futures in flight inside (of `then`, `buffered`, `unfold`),
//! which wait with contexts of their own. From this follows:
//!
//! - *Adaptors* keep what they hold (an unfinished chunk, one half of a pair, futures in flight) from one
//!   poll to the next, so a [`next`](StreamExt::next) that is cancelled or dropped loses nothing. What
//!   they hold is dropped when they are. Each says what it holds.
//! - *Terminal operations* poll the stream in a branch, a cancel scope of its own. When one stops before
//!   the end, by a cancellation, an error, its answer or a panic, what is in flight is told by its own
//!   waits and polled to its end before the operation returns. `buffered` and its kin, which know the
//!   context, begin no further future then. Futures that wait for nothing of the kernel's cannot be told,
//!   and are dropped.
//! - A stream that is left after some `next` is a value like any other: [`drain`](StreamExt::drain) ends
//!   what is in flight, dropping it drops that too. Regions open inside are cancelled and waited for by
//!   their parent either way.
//! - When a terminal operation's *future* is dropped, the stream is dropped with it, undrained: draining
//!   belongs to awaiting.
//!
//! Items that come while a stream is drained are dropped. Nothing is asked of a stream in which nothing
//! waits: `(&mut rx).find(cx, ..)` leaves the messages behind its answer in the channel.
//!
//! Every terminal operation and every `next`, `peek` and `forward` answers a cancel request within one poll,
//! or one poll after the last future in flight has ended: that is its *cancellation responsiveness bound*.
//!
//! # Panics
//! A panic of a closure, a future or a stream passes on through the terminal operation, after what else is
//! in flight has been cancelled and drained.
//!
//! # Limitations
//! - An adaptor that ends early (`take`, `take_while`, `zip`, `until_err`) above futures in flight looks like
//!   any end to the operation behind it: they are dropped, not drained. Leave early in the terminal
//!   operation (`find`, `any`, `try_*`) where that matters.
//! - Draining asks a stream for items as long as something in it waits. Of a channel's receiver that is
//!   lent to a pipeline with futures in flight, messages can be dropped so.
//! - [`drain`](StreamExt::drain) drops futures in flight that have opened a scope of their own (a time
//!   limit, a race) in an earlier `next`: that scope does not hear of it.
//! - Futures in flight are boxed, one allocation each. They take turns on one task; for parallelism spawn
//!   tasks and join their handles.
//! - A terminal operation allocates once and opens a branch; `next` does neither.

#![forbid(unsafe_code)]

mod ext;
mod flight;
mod merge;
mod run;
mod sequence;
mod sink;
mod source;
mod steps;
mod timed;
mod try_ext;

pub use crate::ext::StreamExt;
pub use crate::merge::{MergeAll, merge_all};
pub use crate::sequence::Peekable;
pub use crate::source::{Iter, PollFn, iter, poll_fn, unfold};
pub use crate::timed::Elapsed;
pub use crate::try_ext::TryStreamExt;
pub use futures_core::Stream;
