//! The one loop behind every terminal operation: poll the stream, settle, drain what is in flight.
//!
//! Named futures and no `async` blocks: the compiler does not see that a block is `Send` once closures
//! that borrow are inside.

use crate::sink::Sink;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Branch, BranchOptions, CancelKind, CancelReason, Cancelled, TaskCx, Wait};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::any::Any;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// So many items in a row are handled in one poll before others have their turn, and a cancellation is
/// looked for.
pub(crate) const IN_A_ROW: usize = TaskCx::IN_A_ROW;

/// What a terminal operation is called, where it was called, and why it stops early.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    pub(crate) label: &'static str,
    pub(crate) site: &'static Location<'static>,
    loss: CancelKind,
}

impl Op {
    #[track_caller]
    pub(crate) fn new(label: &'static str) -> Op {
        Op { label, site: Location::caller(), loss: CancelKind::RaceLost }
    }

    /// Stops early because of an error.
    #[track_caller]
    pub(crate) fn fallible(label: &'static str) -> Op {
        Op { loss: CancelKind::FailFast, ..Op::new(label) }
    }
}

enum End {
    Exhausted,
    Broke,
    Cancelled(Cancelled),
    Panicked(Box<dyn Any + Send>),
}

/// A wait that only a cancellation ends: it stands in the inspector while the stream is polled.
type Door<'a> = Wait<'a, fn(&mut Context<'_>) -> Poll<Infallible>>;

fn door<'a>(cx: &'a TaskCx, op: Op) -> Door<'a> {
    cx.wait_at(op.label, op.site, |_| Poll::Pending)
}

/// Where the result is left: the kernel may drop the stream before it has come to its end.
type Settled<K> = Arc<Mutex<Option<(End, K)>>>;

/// How often a drain is polled without polling the stream: once before the branch is cancelled, and once
/// after, when the kernel drops a stream in which nothing waits. So no item is asked for without need.
const UNPOLLED: u32 = 2;

pin_project! {
    /// Gives each item to the sink until that breaks or the stream ends.
    ///
    /// The stream is polled in a branch. When it is left before its end, the branch is cancelled, and
    /// polled until nothing in it waits for the kernel. A panic of the stream or the sink passes on after
    /// that.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Run<'a, S, K>
    where
        S: Stream,
        K: Sink<S::Item>,
    {
        cx: &'a TaskCx,
        op: Op,
        // Until the first poll: a branch is opened beneath the scope that is polled then.
        start: Option<(S, K)>,
        #[pin]
        branch: Option<Branch<'a, Work<'a, S, K>>>,
        settled: Settled<K>,
        unpolled: u32,
        // After a branch that was dropped before it settled, as only an overrun cleanup is.
        door: Option<Door<'a>>,
    }
}

impl<'a, S: Stream, K: Sink<S::Item>> Run<'a, S, K> {
    pub(crate) fn new(cx: &'a TaskCx, op: Op, stream: S, sink: K) -> Run<'a, S, K> {
        let settled = Arc::new(Mutex::new(None));
        let start = Some((stream, sink));
        Run { cx, op, start, branch: None, settled, unpolled: UNPOLLED, door: None }
    }
}

impl<S: Stream, K: Sink<S::Item>> Future for Run<'_, S, K> {
    type Output = Result<K::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (cx, op) = (*this.cx, *this.op);
        if let Some((stream, sink)) = this.start.take() {
            let settled = this.settled.clone();
            let work =
                Work { cx, op, stream, sink: Some(sink), door: None, settled, unpolled: UNPOLLED };
            let options = BranchOptions { deadline: None, site: Some(op.site) };
            this.branch.set(Some(Branch::new(cx, options, work)));
        }
        while let Some(mut branch) = this.branch.as_mut().as_pin_mut() {
            if branch.as_mut().poll(context).is_ready() {
                this.branch.set(None);
                cx.branches_left(0);
                break;
            }
            let left_early = match &*this.settled.lock() {
                Some((End::Cancelled(_), _)) => false,
                Some(_) => true,
                None => return Poll::Pending,
            };
            if *this.unpolled == 0 {
                return Poll::Pending;
            }
            if *this.unpolled == UNPOLLED && left_early {
                branch.cancel(CancelReason::new(op.loss).at_site(op.site));
            }
            *this.unpolled -= 1;
        }
        let settled = this.settled.lock().take();
        match settled {
            Some((End::Exhausted | End::Broke, sink)) => Poll::Ready(Ok(sink.finish())),
            Some((End::Cancelled(cancelled), _)) => Poll::Ready(Err(cancelled)),
            Some((End::Panicked(panic), _)) => resume_unwind(panic),
            None => {
                match ready!(Pin::new(this.door.get_or_insert_with(|| door(cx, op))).poll(context))
                {
                    Err(cancelled) => Poll::Ready(Err(cancelled)),
                    Ok(never) => match never {},
                }
            }
        }
    }
}

pin_project! {
    /// What runs in the branch.
    struct Work<'a, S, K> {
        cx: &'a TaskCx,
        op: Op,
        #[pin]
        stream: S,
        // Until it is settled.
        sink: Option<K>,
        door: Option<Door<'a>>,
        settled: Settled<K>,
        unpolled: u32,
    }
}

impl<S: Stream, K: Sink<S::Item>> Future for Work<'_, S, K> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(sink) = this.sink {
            let door = this.door.get_or_insert_with(|| door(this.cx, *this.op));
            let end = match Pin::new(door).poll(context) {
                Poll::Ready(Err(cancelled)) => End::Cancelled(cancelled),
                Poll::Ready(Ok(never)) => match never {},
                Poll::Pending => ready!(some(context, this.stream.as_mut(), sink)),
            };
            *this.door = None;
            let exhausted = matches!(end, End::Exhausted);
            *this.settled.lock() = this.sink.take().map(|sink| (end, sink));
            if exhausted {
                return Poll::Ready(());
            }
        }
        drain(this.stream, this.unpolled, context)
    }
}

/// Items until something settles the matter, or there is none.
fn some<S: Stream>(
    context: &mut Context<'_>,
    mut stream: Pin<&mut S>,
    sink: &mut impl Sink<S::Item>,
) -> Poll<End> {
    for _ in 0..IN_A_ROW {
        let one = || match stream.as_mut().poll_next(context) {
            Poll::Pending => Some(Poll::Pending),
            Poll::Ready(None) => Some(Poll::Ready(End::Exhausted)),
            Poll::Ready(Some(item)) => match sink.take(item) {
                ControlFlow::Continue(()) => None,
                ControlFlow::Break(()) => Some(Poll::Ready(End::Broke)),
            },
        };
        match catch_unwind(AssertUnwindSafe(one)) {
            Ok(None) => {}
            Ok(Some(poll)) => return poll,
            Err(panic) => return Poll::Ready(End::Panicked(panic)),
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

/// Polls a cancelled stream to its end. The kernel drops it as soon as nothing in it waits any more, or
/// when cleanup time is over.
fn drain<S: Stream>(
    stream: Pin<&mut S>,
    unpolled: &mut u32,
    context: &mut Context<'_>,
) -> Poll<()> {
    if *unpolled > 0 {
        *unpolled -= 1;
        return Poll::Pending;
    }
    match catch_unwind(AssertUnwindSafe(|| stream.poll_next(context).map(|item| item.is_some()))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(true)) => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        // A second panic has nobody left to be told to.
        Ok(Poll::Ready(false)) | Err(_) => Poll::Ready(()),
    }
}

pin_project! {
    /// Cancels what is in flight in a stream, and drains it.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Leave<'a, S: Stream> {
        cx: &'a TaskCx,
        op: Op,
        start: Option<S>,
        #[pin]
        branch: Option<Branch<'a, Drain<S>>>,
    }
}

impl<'a, S: Stream> Leave<'a, S> {
    pub(crate) fn new(cx: &'a TaskCx, op: Op, stream: S) -> Leave<'a, S> {
        Leave { cx, op, start: Some(stream), branch: None }
    }
}

impl<S: Stream> Future for Leave<'_, S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(stream) = this.start.take() {
            // What is in flight has waited in another scope so far, so the kernel does not see it waiting
            // in this one: it is polled at once after the cancellation.
            let options = BranchOptions { deadline: None, site: Some(this.op.site) };
            let branch = Branch::new(this.cx, options, Drain { stream, unpolled: 0 });
            this.branch.set(Some(branch));
            if let Some(branch) = this.branch.as_mut().as_pin_mut() {
                branch.cancel(CancelReason::new(this.op.loss).at_site(this.op.site));
            }
        }
        if let Some(branch) = this.branch.as_mut().as_pin_mut() {
            // Finished or dropped, it is over.
            let _ = ready!(branch.poll(context));
            this.branch.set(None);
            this.cx.branches_left(0);
        }
        Poll::Ready(())
    }
}

pin_project! {
    struct Drain<S> {
        #[pin]
        stream: S,
        unpolled: u32,
    }
}

impl<S: Stream> Future for Drain<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        drain(this.stream, this.unpolled, context)
    }
}
