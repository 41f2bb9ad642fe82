//! The typed half of a task: its stage, and the functions that know its type.

use super::plain::PlainWait;
use super::scopes::Scopes;
use super::state::State;
use super::{ANYWHERE, Extra, Header, Inner, TaskOptions, TaskRef};
use crate::cancel::CancelReason;
use crate::cap::Capabilities;
use crate::cx::{Cx, TaskCx};
use crate::id::TaskId;
use crate::mutant::mutant;
use crate::obligation::Slot;
use crate::outcome::{Outcome, PanicPayload, Severity};
use crate::primitive::{AtomicBool, AtomicU32, AtomicUsize, Mutex, UnsafeCell};
use crate::region::Region;
use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::task::{Context, Poll};

/// What can be spawned: a function of `&Cx` whose future is `Send`.
///
/// Async closures `async |cx| ..` and functions `async fn f(cx: &Cx) -> Result<T, E>` are task bodies;
/// nobody implements this by hand.
#[diagnostic::on_unimplemented(
    message = "this cannot be a task body",
    label = "not a `Send` async function of `&Cx` that returns a `Result`",
    note = "a body is `async |cx| {{ .. }}` or `async fn body(cx: &Cx) -> Result<T, E>`",
    note = "what it holds across an `.await` must be `Send`: drop `Rc`, `RefCell` borrows and std lock guards before the await",
    note = "what it captures must be owned (`async move |cx| ..`): a task may outlive the function that spawns it"
)]
pub trait TaskBody<'a, C, T, E>: FnOnce(&'a Cx<C>) -> Self::Future
where
    C: Capabilities,
{
    /// The future the body makes.
    type Future: Future<Output = Result<T, E>> + Send + 'a;
}

impl<'a, C, T, E, F, Fut> TaskBody<'a, C, T, E> for F
where
    C: Capabilities,
    F: FnOnce(&'a Cx<C>) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
{
    type Future = Fut;
}

/// The functions that know the task's type.
///
/// # Safety
/// Each is called with a pointer to a live task of that type. `poll` and `abandon`: only by the thread
/// that set RUNNING, before COMPLETE. `take` and `take_failure`: only after COMPLETE, by the one whose
/// claim succeeded; `take`'s second argument points at an `Option<Finished<T, E>>`. `free`: by the
/// holder of the last count.
pub(crate) struct Vtable {
    /// One poll. Some when the outcome is stored.
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Option<Severity>,
    /// Drops body or future and stores `Cancelled`, or `Panicked` if that drop panics.
    pub(super) abandon: unsafe fn(NonNull<Header>, CancelReason) -> Severity,
    pub(super) take: unsafe fn(NonNull<Header>, *mut ()),
    pub(crate) take_failure: unsafe fn(NonNull<Header>) -> Option<Failure>,
    pub(super) free: unsafe fn(NonNull<Header>),
}

/// How a child failed, its error's type erased.
pub(crate) enum Failure {
    Err(Box<dyn Any + Send>),
    Panicked(PanicPayload),
}

/// An outcome, and the error that a cancelled body returned beside it.
pub(crate) struct Finished<T, E> {
    pub(crate) outcome: Outcome<T, E>,
    pub(crate) beside: Option<E>,
}

enum Stage<F, Fut, T, E> {
    Body(F),
    Running(Fut),
    Finished(Finished<T, E>),
    Empty,
}

#[repr(C)] // The header first: a pointer to the cell is a pointer to the header.
struct Cell<C, T, E, F, Fut> {
    header: Header,
    stage: UnsafeCell<Stage<F, Fut, T, E>>,
    capabilities: PhantomData<fn() -> C>,
}

/// Allocates a task with one count. It is not in its region yet.
pub(crate) fn allocate<C, T, E, F>(
    region: Arc<Region>,
    id: TaskId,
    options: TaskOptions,
    site: &'static Location<'static>,
    body: F,
) -> TaskRef
where
    C: Capabilities,
    T: Send + 'static,
    E: Send + 'static,
    F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
{
    type FutureOf<F, C, T, E> = <F as TaskBody<'static, C, T, E>>::Future;
    let budget = options.budget;
    let quota = budget.poll_quota.min(region.budget.poll_quota);
    let TaskOptions { name, service, on_end, home, .. } = options;
    let plain = name.is_none() && on_end.is_none() && budget == crate::Budget::UNLIMITED;
    let extra = (!plain).then(|| Box::new(Extra { name, budget, on_end, ..Extra::default() }));
    let observed = region.is_observed();
    // Written where it stays: it is too much to be made elsewhere and copied.
    let mut cell = Box::new_uninit();
    cell.write(Cell::<C, T, E, F, FutureOf<F, C, T, E>> {
        header: Header {
            state: State::scheduled(service, observed),
            eff: AtomicU32::new(0),
            refs: AtomicUsize::new(1),
            vtable: vtable::<C, T, E, F>(),
            region,
            id,
            quota: AtomicU32::new(quota),
            slot: AtomicU32::new(u32::MAX),
            ordinals: AtomicU32::new(0),
            draws: AtomicU32::new(0),
            obligation: Slot::empty(),
            wait: PlainWait::none(),
            nested: AtomicBool::new(false),
            row: AtomicU8::new(0),
            listed: AtomicU32::new(0),
            home: home.unwrap_or(ANYWHERE),
            spawned_at: site,
            cx: TaskCx::dangling(),
            inner: Mutex::new(Inner { scopes: Scopes::new(), joiner: None, extra }),
        },
        stage: UnsafeCell::new(Stage::Body(body)),
        capabilities: PhantomData,
    });
    let raw: NonNull<Header> = NonNull::from(Box::leak(cell)).cast();
    // SAFETY: the cell was just written and is not shared yet.
    unsafe { (*raw.as_ptr()).cx = TaskCx::of(raw) };
    // SAFETY: the count of 1 is this reference's.
    unsafe { TaskRef::from_raw(raw) }
}

fn vtable<C, T, E, F>() -> &'static Vtable
where
    C: Capabilities,
    T: Send + 'static,
    E: Send + 'static,
    F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
{
    const {
        &Vtable {
            poll: poll::<C, T, E, F>,
            abandon: abandon::<C, T, E, F>,
            take: take::<C, T, E, F>,
            take_failure: take_failure::<C, T, E, F>,
            free: free::<C, T, E, F>,
        }
    }
}

type CellOf<C, T, E, F> = Cell<C, T, E, F, <F as TaskBody<'static, C, T, E>>::Future>;
type StageOf<C, T, E, F> = Stage<F, <F as TaskBody<'static, C, T, E>>::Future, T, E>;

/// # Safety
/// As for [`Vtable`]: a live task of this type.
unsafe fn with_stage<C, T, E, F, R>(
    raw: NonNull<Header>,
    use_stage: impl FnOnce(*mut StageOf<C, T, E, F>) -> R,
) -> R
where
    C: Capabilities,
    F: for<'a> TaskBody<'a, C, T, E>,
{
    let cell = raw.cast::<CellOf<C, T, E, F>>().as_ptr();
    // SAFETY: `repr(C)` puts the header first, and `raw` carries the whole allocation's provenance, so
    // the cast is in bounds. Only the stage's cell is borrowed, shared.
    let stage = unsafe { &(*cell).stage };
    stage.with_mut(use_stage)
}

/// Drops what the stage holds, in place, and leaves it empty. The panic of a drop is answered.
///
/// # Safety
/// The caller has exclusive access to a valid stage.
unsafe fn clear<F, Fut, T, E>(stage: *mut Stage<F, Fut, T, E>) -> Result<(), Box<dyn Any + Send>> {
    // SAFETY: the stage is valid and exclusively ours; a pinned future is dropped where it is. If the drop
    // panics, the rest of the value has been dropped by the unwinding, and nothing reads it again.
    let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { std::ptr::drop_in_place(stage) }));
    // SAFETY: what was there is dropped; this only overwrites it.
    unsafe { stage.write(Stage::Empty) };
    dropped
}

unsafe fn poll<C, T, E, F>(raw: NonNull<Header>, context: &mut Context<'_>) -> Option<Severity>
where
    C: Capabilities,
    T: Send + 'static,
    E: Send + 'static,
    F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
{
    // SAFETY: the task is alive while it is polled. The reference is `'static` for the type's sake only:
    // the body is valid for *every* lifetime of its context, so it can assume nothing about this one, its
    // future is dropped before the header is, and `T` and `E` do not depend on it.
    let cx: &'static Cx<C> = unsafe { Cx::from_task(&(*raw.as_ptr()).cx) };
    // SAFETY: the caller set RUNNING, so the stage is ours.
    unsafe {
        with_stage::<C, T, E, F, _>(raw, |stage| {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                if matches!(&*stage, Stage::Body(_)) {
                    let Stage::Body(body) = stage.replace(Stage::Empty) else { unreachable!() };
                    // `Empty` needs no drop, and the future is not pinned before it is in its place.
                    stage.write(Stage::Running(body(cx)));
                }
                match &mut *stage {
                    // The future is in its final place and is dropped there: it is pinned.
                    Stage::Running(future) => Pin::new_unchecked(future).poll(context),
                    _ => unreachable!("a finished task is not polled"),
                }
            }));
            let result = match polled {
                Ok(Poll::Pending) => return None,
                Ok(Poll::Ready(result)) => Ok(result),
                Err(panic) => Err(panic),
            };
            // Read before the future goes: its drop may run code that asks for checkpoints.
            let told = match &result {
                Ok(Err(_)) => (*raw.as_ptr()).told_reason(),
                _ => None,
            };
            // A panic on the way out is worse than anything the body returned.
            let result = clear(stage).and(result);
            let finished = finish(result, told);
            let severity = finished.outcome.severity();
            stage.write(Stage::Finished(finished));
            Some(severity)
        })
    }
}

fn finish<T, E>(
    result: Result<Result<T, E>, Box<dyn Any + Send>>,
    told: Option<CancelReason>,
) -> Finished<T, E> {
    match (result, told) {
        (Ok(Ok(value)), _) => Finished { outcome: Outcome::Ok(value), beside: None },
        (Ok(Err(error)), Some(reason)) => {
            Finished { outcome: Outcome::Cancelled(reason), beside: Some(error) }
        }
        (Ok(Err(error)), None) => Finished { outcome: Outcome::Err(error), beside: None },
        (Err(_), _) if mutant!(PanicSwallowed) => Finished {
            outcome: Outcome::Cancelled(CancelReason::user("a panic was swallowed")),
            beside: None,
        },
        (Err(panic), _) => {
            Finished { outcome: Outcome::Panicked(PanicPayload::new(panic)), beside: None }
        }
    }
}

unsafe fn abandon<C, T, E, F>(raw: NonNull<Header>, reason: CancelReason) -> Severity
where
    C: Capabilities,
    F: for<'a> TaskBody<'a, C, T, E>,
{
    // SAFETY: the caller set RUNNING, or the task was never submitted; the stage is ours.
    unsafe {
        with_stage::<C, T, E, F, _>(raw, |stage| {
            let outcome = match clear(stage) {
                Ok(()) => Outcome::Cancelled(reason),
                Err(panic) => Outcome::Panicked(PanicPayload::new(panic)),
            };
            let severity = outcome.severity();
            stage.write(Stage::Finished(Finished { outcome, beside: None }));
            severity
        })
    }
}

unsafe fn take<C, T, E, F>(raw: NonNull<Header>, out: *mut ())
where
    C: Capabilities,
    F: for<'a> TaskBody<'a, C, T, E>,
{
    // SAFETY: COMPLETE was seen with Acquire and the claim is the caller's, so the stage is ours; `out`
    // points at an `Option<Finished<T, E>>` by the caller's contract.
    unsafe {
        with_stage::<C, T, E, F, _>(raw, |stage| {
            if let Stage::Finished(finished) = stage.replace(Stage::Empty) {
                *out.cast::<Option<Finished<T, E>>>() = Some(finished);
            }
        });
    }
}

unsafe fn take_failure<C, T, E, F>(raw: NonNull<Header>) -> Option<Failure>
where
    C: Capabilities,
    E: Send + 'static,
    F: for<'a> TaskBody<'a, C, T, E>,
{
    // SAFETY: as in `take`.
    unsafe {
        with_stage::<C, T, E, F, _>(raw, |stage| match stage.replace(Stage::Empty) {
            Stage::Finished(Finished { outcome: Outcome::Err(error), .. }) => {
                Some(Failure::Err(Box::new(error)))
            }
            Stage::Finished(Finished { outcome: Outcome::Panicked(payload), .. }) => {
                Some(Failure::Panicked(payload))
            }
            _ => None,
        })
    }
}

unsafe fn free<C, T, E, F>(raw: NonNull<Header>)
where
    C: Capabilities,
    F: for<'a> TaskBody<'a, C, T, E>,
{
    // SAFETY: `raw` came from `Box::leak` of this very type, and the last count is gone.
    let cell = unsafe { Box::from_raw(raw.cast::<CellOf<C, T, E, F>>().as_ptr()) };
    // What is left of an unclaimed outcome is foreign; its panic has no one to go to.
    crate::wake::drop_quietly(cell);
}
