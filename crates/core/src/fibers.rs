//! Fibers: concurrent pieces of one task that may borrow from the stack around them.

use crate::branch::{Branch, BranchEnd, BranchOptions};
use crate::cancel::{CancelKind, CancelReason};
use crate::cx::TaskCx;
use crate::outcome::Outcome;
use crate::woken::Woken;
use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

type Boxed<'f, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'f>>;
type Scoped<'f, T, E> = Pin<Box<Branch<'f, Boxed<'f, T, E>>>>;

/// Concurrent futures of one task, each in a cancel scope of its own; made by [`TaskCx::fibers`].
///
/// Between a task and a combinator's branch: a fiber borrows from the stack around it, as a branch does,
/// which a task cannot; and their number and types are free, as with tasks. They take turns on their task's
/// thread. Only a fiber that was woken is polled.
///
/// The first that fails or panics cancels the others, with the time for cleanup of
/// [`CancelKind::FailFast`].
///
/// ```
/// use asupersync_core::{Cx, Error};
///
/// async fn measure(cx: &Cx, lines: &[String]) -> Result<usize, Error> {
///     let mut fibers = cx.fibers();
///     for line in lines {
///         fibers.fiber(async move {
///             cx.yield_now().await?;
///             Ok::<_, Error>(line.len()) // borrowed, not cloned
///         });
///     }
///     Ok(fibers.run().await.into_result()?.into_iter().sum())
/// }
/// ```
///
/// # Cancel safety
/// When the surrounding scope is cancelled, so are the fibers, and [`run`](Fibers::run) returns when all have
/// ended. *Dropping* the value or its `run` drops the fibers where they stand.
#[must_use = "fibers do nothing until they are run"]
pub struct Fibers<'f, T, E> {
    cx: &'f TaskCx,
    fibers: Vec<Fiber<'f, T, E>>,
    woken: Woken,
    live: usize,
    site: &'static Location<'static>,
}

struct Fiber<'f, T, E> {
    /// Taken when the fiber has ended.
    branch: Option<Scoped<'f, T, E>>,
    value: Option<T>,
}

impl TaskCx {
    /// An empty set of fibers of this task.
    #[track_caller]
    pub fn fibers<T, E>(&self) -> Fibers<'_, T, E> {
        let site = Location::caller();
        Fibers { cx: self, fibers: Vec::new(), woken: Woken::new(), live: 0, site }
    }
}

/// What ended the fibers early.
enum Failed<E> {
    Err(E),
    Cancelled(CancelReason),
    Panicked(Box<dyn Any + Send>),
}

impl<'f, T, E> Fibers<'f, T, E> {
    /// Adds a fiber. It starts when all are [`run`](Fibers::run).
    pub fn fiber(&mut self, future: impl Future<Output = Result<T, E>> + Send + 'f) {
        let future: Boxed<'f, T, E> = Box::pin(future);
        let options = BranchOptions { site: Some(self.site), ..BranchOptions::default() };
        let branch = Some(Box::pin(Branch::new(self.cx, options, future)));
        self.fibers.push(Fiber { branch, value: None });
        self.woken.add();
        self.live += 1;
    }

    /// How many fibers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fibers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fibers.is_empty()
    }

    /// Runs the fibers until all have ended: their values in the order in which they were added, or the
    /// first failure.
    ///
    /// # Panics
    /// With the panic of the first fiber that panics, after all have ended.
    pub async fn run(mut self) -> Outcome<Vec<T>, E> {
        let mut failed = None;
        poll_fn(|context| self.poll(&mut failed, context)).await;
        self.cx.branches_left(self.fibers.iter().filter(|fiber| fiber.branch.is_some()).count());
        match failed {
            Some(Failed::Err(error)) => Outcome::Err(error),
            Some(Failed::Cancelled(reason)) => Outcome::Cancelled(reason),
            Some(Failed::Panicked(panic)) => resume_unwind(panic),
            None => Outcome::Ok(self.fibers.iter_mut().filter_map(|f| f.value.take()).collect()),
        }
    }

    fn poll(&mut self, failed: &mut Option<Failed<E>>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut newly_failed = false;
            for _ in 0..self.woken.begin(context.waker()) {
                let Some(index) = self.woken.pop() else { break };
                let fiber = &mut self.fibers[index];
                let mut context = Context::from_waker(self.woken.waker(index));
                let Some(end) = fiber.poll(&mut context) else { continue };
                self.live -= 1;
                let end = match end {
                    Ok(BranchEnd::Finished(Ok(value))) => {
                        fiber.value = Some(value);
                        continue;
                    }
                    Ok(BranchEnd::Finished(Err(error))) => Failed::Err(error),
                    Ok(BranchEnd::Dropped(reason)) => Failed::Cancelled(reason),
                    Err(panic) => Failed::Panicked(panic),
                };
                // The first failure counts, unless a later one is a panic.
                let is_worse = matches!(
                    (&end, &*failed),
                    (Failed::Panicked(_), Some(Failed::Err(_) | Failed::Cancelled(_)))
                );
                if failed.is_none() {
                    newly_failed = true;
                }
                if failed.is_none() || is_worse {
                    *failed = Some(end);
                }
            }
            if !newly_failed {
                break;
            }
            self.cancel();
        }
        if self.live == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// One has failed: cancels the others.
    fn cancel(&mut self) {
        for (index, fiber) in self.fibers.iter_mut().enumerate() {
            if let Some(branch) = &mut fiber.branch {
                let reason = CancelReason::new(CancelKind::FailFast)
                    .with_message("another fiber failed")
                    .at_site(self.site);
                branch.as_mut().cancel(reason);
                // Also one that no wait would wake: it is dropped at this poll.
                self.woken.rouse(index);
            }
        }
    }
}

impl<T, E> Fiber<'_, T, E> {
    /// One poll. Some when it has ended.
    #[expect(clippy::type_complexity, reason = "said once")]
    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<Result<BranchEnd<Result<T, E>>, Box<dyn Any + Send>>> {
        let branch = self.branch.as_mut()?;
        let end = match catch_unwind(AssertUnwindSafe(|| branch.as_mut().poll(context))) {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(end)) => Ok(end),
            Err(panic) => Err(panic),
        };
        self.branch = None;
        Some(end)
    }
}

impl<T, E> fmt::Debug for Fibers<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fibers").field("count", &self.fibers.len()).finish_non_exhaustive()
    }
}
