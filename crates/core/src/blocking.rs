//! Closures that block a thread, as tasks of a region.

use crate::cancel::{CancelReason, Cancelled};
use crate::cap::All;
use crate::cx::Cx;
use crate::host::{BlockingClosure, BlockingJob, BlockingPool};
use crate::obligation::ObligationKind;
use crate::region::Region;
use crate::spawn;
use crate::task::{TaskHandle, TaskOptions, TaskRef};
use std::any::{Any, TypeId};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

static CLOSURE: ObligationKind = ObligationKind::new("blocking::Closure");

/// What a closure and the task that waits for it share.
struct Job<F, R> {
    state: Mutex<State<F, R>>,
}

enum State<F, R> {
    /// Not taken by a thread yet.
    Queued(F, Option<Waker>),
    /// Not taken by a thread yet, and not to be taken back.
    Claimed(F, Option<Waker>),
    Running(Option<Waker>),
    /// Not told to the task yet.
    Ended(Result<R, Box<dyn Any + Send>>, Option<Waker>),
    Done(Result<R, Box<dyn Any + Send>>),
    /// Taken back by a cancellation, or the result was taken out.
    Over,
}

impl<F: FnOnce() -> R, R> Job<F, R> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State<F, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the closure back if no thread has it yet.
    fn take_back(&self) -> bool {
        let mut state = self.lock();
        if !matches!(*state, State::Queued(..)) {
            return false;
        }
        let taken = std::mem::replace(&mut *state, State::Over);
        drop(state);
        drop(taken);
        true
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<R, Box<dyn Any + Send>>> {
        let mut waker = Some(context.waker().clone());
        let mut state = self.lock();
        match &mut *state {
            State::Queued(_, stored)
            | State::Claimed(_, stored)
            | State::Running(stored)
            | State::Ended(_, stored) => {
                std::mem::swap(stored, &mut waker);
                drop(state);
                Poll::Pending
            }
            State::Done(_) | State::Over => match std::mem::replace(&mut *state, State::Over) {
                State::Done(result) => Poll::Ready(result),
                _ => unreachable!("a blocking job is waited for by one task, once"),
            },
        }
    }
}

impl<F: FnOnce() -> R + Send, R: Send> BlockingClosure for Job<F, R> {
    fn claim(&self) {
        let mut state = self.lock();
        *state = match std::mem::replace(&mut *state, State::Over) {
            State::Queued(work, waker) => State::Claimed(work, waker),
            other => other,
        };
    }

    fn perform(&self) {
        let work = {
            let mut state = self.lock();
            match std::mem::replace(&mut *state, State::Over) {
                State::Queued(work, waker) | State::Claimed(work, waker) => {
                    *state = State::Running(waker);
                    work
                }
                other => {
                    *state = other;
                    return;
                }
            }
        };
        let result = catch_unwind(AssertUnwindSafe(work));
        let mut state = self.lock();
        *state = match std::mem::replace(&mut *state, State::Over) {
            State::Running(waker) => State::Ended(result, waker),
            _ => unreachable!("a running closure is waited for"),
        };
    }

    fn publish(&self) {
        let mut state = self.lock();
        let waker = match std::mem::replace(&mut *state, State::Over) {
            State::Ended(result, waker) => {
                *state = State::Done(result);
                waker
            }
            other => {
                *state = other;
                None
            }
        };
        drop(state);
        if let Some(waker) = waker {
            crate::wake::wake(waker);
        }
    }
}

pub(crate) fn spawn<F, T, E>(
    region: &Arc<Region>,
    creator: &TaskRef,
    options: TaskOptions,
    site: &'static Location<'static>,
    work: F,
) -> TaskHandle<T, E>
where
    T: Send + 'static,
    E: Send + From<Cancelled> + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    let body = async move |cx: &Cx<All>| -> Result<T, E> {
        let host = &cx.header().region.host;
        let pool = host
            .service(TypeId::of::<Arc<dyn BlockingPool>>())
            .and_then(|service| service.downcast::<Arc<dyn BlockingPool>>().ok());
        let Some(pool) = pool else {
            // A host without the pool: nothing can run the closure. Stop this task, and say why.
            let why = "this host has no blocking pool (ASY-0004)";
            cx.task().cancel_alone(CancelReason::user(why).at_site(site), false);
            cx.checkpoint()?;
            unreachable!("a cancelled task's checkpoint answers so")
        };
        cx.checkpoint()?;
        let job = Arc::new(Job { state: Mutex::new(State::Queued(work, None)) });
        // Dropped with the task, if that cannot wait any longer: the closure may still run.
        let op = cx.io_op(&CLOSURE);
        pool.submit(BlockingJob(job.clone()));
        let finished = match cx.wait_at("spawn_blocking", site, |context| job.poll(context)).await {
            Ok(finished) => finished,
            Err(cancelled) if job.take_back() => {
                let _ = op.cancel();
                return Err(E::from(cancelled));
            }
            // It runs, and a running closure cannot be stopped: see it through.
            Err(_) => {
                let rest = cx.wait_at("spawn_blocking", site, |context| job.poll(context));
                cx.masked(rest).await?
            }
        };
        let _ = op.complete();
        finished.unwrap_or_else(|panic| resume_unwind(panic))
    };
    // A call that is made in a masked section is part of it.
    let admit = match creator.header().is_masked() {
        true => Region::admit_masked,
        false => Region::admit,
    };
    spawn::admitted::<All, T, E, _>(region, Some(creator), options, site, body, admit)
}
