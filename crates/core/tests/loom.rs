//! Two-thread stories of the kernel's machines, in every interleaving.
//!
//! Each story is told twice: as it is, and weakened in one named step, where loom must find the failure.

#![cfg(loom)]

use asupersync_core::mutant::{self, Mutant};
use asupersync_core::primitive::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};
use asupersync_core::{
    Budget, CancelReason, Cancelled, Cx, ExclusiveCell, Host, Lane, ObligationKind, Outcome,
    RegionOptions, Removed, Root, Runnable, Scope, SharedCell, Time, TimerKey, WaitQueue, Woken,
};
use loom::thread;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake, Waker};

/// The mutant in force is one for the whole process.
static SERIAL: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs the story in every interleaving with at most two preemptions.
fn model(story: impl Fn() + Send + Sync + 'static) {
    let _serial = SERIAL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    explore(story);
}

fn explore(story: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(story);
}

/// The story must fail when the kernel is weakened in this step.
fn weakened(mutant: Mutant, story: impl Fn() + Send + Sync + 'static) {
    let _serial = SERIAL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    mutant::set(Some(mutant));
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(story)));
    mutant::set(None);
    assert!(failed.is_err(), "{mutant:?} went unnoticed");
}

/// A host whose queue is run by whoever calls `drain`.
struct Machine {
    queue: Mutex<VecDeque<Runnable>>,
    timers: Mutex<(u64, BTreeMap<u64, Waker>)>,
}

impl Machine {
    fn new() -> StdArc<Machine> {
        StdArc::new(Machine {
            queue: Mutex::new(VecDeque::new()),
            timers: Mutex::new((0, BTreeMap::new())),
        })
    }

    fn drain(&self) {
        loop {
            let task = self.queue.lock().pop_front();
            match task {
                Some(task) => task.run(),
                None => return,
            }
        }
    }
}

impl Machine {
    /// Fires the timer that was armed first; false when there is none.
    fn fire(&self) -> bool {
        let first = self.timers.lock().1.pop_first();
        first.map(|(_, waker)| waker.wake()).is_some()
    }
}

impl Host for Machine {
    fn schedule(&self, task: Runnable, _lane: Lane) {
        self.queue.lock().push_back(task);
    }
    fn now(&self) -> Time {
        Time::ZERO
    }
    fn arm_timer(&self, _at: Time, waker: Waker) -> TimerKey {
        let mut timers = self.timers.lock();
        timers.0 += 1;
        let key = timers.0;
        timers.1.insert(key, waker);
        TimerKey(key)
    }
    fn disarm_timer(&self, key: TimerKey) {
        let waker = self.timers.lock().1.remove(&key.0);
        drop(waker);
    }
    fn seed(&self) -> u64 {
        1
    }
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A flag that wakes one waiter: the smallest event.
#[derive(Default)]
struct Flag {
    state: Mutex<(bool, Option<Waker>)>,
}

impl Flag {
    fn set(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut waker = Some(context.waker().clone());
        let mut state = self.state.lock();
        if state.0 {
            return Poll::Ready(());
        }
        std::mem::swap(&mut state.1, &mut waker);
        drop(state);
        Poll::Pending
    }
}

fn a_wake_during_a_poll_is_not_lost() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let flag = StdArc::new(Flag::default());
    let waits = flag.clone();
    let task =
        root.spawn(async move |cx: &Cx| cx.wait("flag", |context| waits.poll(context)).await);
    root.begin_close();
    let other = thread::spawn(move || flag.set());
    machine.drain();
    other.join().unwrap();
    machine.drain();
    assert!(task.is_finished());
    assert!(root.is_closed());
}

#[test]
fn task_cell_wake() {
    model(a_wake_during_a_poll_is_not_lost);
}

#[test]
fn task_cell_wake_weakened() {
    weakened(Mutant::WakeDuringPollLost, a_wake_during_a_poll_is_not_lost);
}

fn a_joiner_sees_the_outcome_or_is_woken() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let mut handle = root.spawn(async |_cx: &Cx| Ok::<_, Cancelled>(7));
    root.begin_close();
    let count = StdArc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let runner = thread::spawn(move || machine.drain());
    let mut context = Context::from_waker(&waker);
    let first = handle.poll_join(&mut context);
    runner.join().unwrap();
    let joined = match first {
        Poll::Ready(joined) => joined,
        Poll::Pending => {
            assert_eq!(count.0.load(Ordering::Acquire), 1, "the joiner was not woken");
            match handle.poll_join(&mut context) {
                Poll::Ready(joined) => joined,
                Poll::Pending => panic!("woken for nothing"),
            }
        }
    };
    assert!(matches!(joined, Ok(Outcome::Ok(7))));
}

#[test]
fn join_handle() {
    model(a_joiner_sees_the_outcome_or_is_woken);
}

#[test]
fn join_handle_weakened() {
    weakened(Mutant::JoinLooksOnce, a_joiner_sees_the_outcome_or_is_woken);
}

/// A value that nobody joins for, whoever lets go of it.
fn a_value_nobody_joins_for_is_dropped_before_its_region_closes() {
    struct Value(Arc<AtomicBool>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let gone = Arc::new(AtomicBool::new(false));
    let value = Value(gone.clone());
    let _ = root.spawn(async move |_: &Cx| Ok::<_, Cancelled>(value));
    root.begin_close();
    let worker = machine.clone();
    let other = thread::spawn(move || worker.drain());
    if root.is_closed() {
        assert!(gone.load(Ordering::Acquire), "the region closed before the value was dropped");
    }
    other.join().unwrap();
    machine.drain();
    assert!(root.is_closed() && gone.load(Ordering::Acquire));
}

#[test]
fn value_against_close() {
    model(a_value_nobody_joins_for_is_dropped_before_its_region_closes);
}

#[test]
fn value_against_close_weakened() {
    weakened(Mutant::LetGoUnseen, a_value_nobody_joins_for_is_dropped_before_its_region_closes);
}

/// A handle that goes while its task ends: one of the two drops the value, and neither drops it twice.
fn a_handle_let_go_while_the_task_ends_leaves_no_value() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let gone = Arc::new(AtomicUsize::new(0));
    struct Value(Arc<AtomicUsize>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }
    let value = Value(gone.clone());
    let handle = root.spawn(async move |_: &Cx| Ok::<_, Cancelled>(value));
    root.begin_close();
    let worker = machine.clone();
    let other = thread::spawn(move || worker.drain());
    drop(handle);
    if root.is_closed() {
        assert_eq!(
            gone.load(Ordering::Acquire),
            1,
            "the region closed before the value was dropped"
        );
    }
    other.join().unwrap();
    assert_eq!(gone.load(Ordering::Acquire), 1);
    assert!(root.is_closed());
}

#[test]
fn handle_against_completion() {
    model(a_handle_let_go_while_the_task_ends_leaves_no_value);
}

#[test]
fn handle_against_completion_weakened() {
    let story = a_handle_let_go_while_the_task_ends_leaves_no_value;
    weakened(Mutant::HandleLooksNot, story);
}

/// The first wait hangs on a foreign waker, as in a combinator with wakers of its own, so waking it does not
/// make the task look at the second.
fn a_cancelled_wait_ends_however_late_it_parks() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let task = root.spawn(async |cx: &Cx| {
        let mut first = pin!(cx.wait("first", |_context| Poll::<()>::Pending));
        let mut second = pin!(cx.wait("second", |_context| Poll::<()>::Pending));
        poll_fn(|context| {
            let _ = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            second.as_mut().poll(context)
        })
        .await
    });
    root.begin_close();
    let canceller = root.clone();
    let other = thread::spawn(move || canceller.cancel(CancelReason::user("stop")));
    machine.drain();
    other.join().unwrap();
    machine.drain();
    assert!(task.is_finished(), "the cancelled task is parked for ever");
    assert!(root.is_closed());
}

#[test]
fn cancel_against_park() {
    model(a_cancelled_wait_ends_however_late_it_parks);
}

#[test]
fn cancel_against_park_weakened() {
    weakened(Mutant::CancelWakesWaitsOnly, a_cancelled_wait_ends_however_late_it_parks);
}

/// A region's body waits; only its own scope is cancelled, which wakes waits and no task.
fn a_wait_in_a_cancelled_region_ends_however_late_it_parks() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let task = root.spawn(async |cx: &Cx| {
        let options = RegionOptions::new().budget(Budget::new().with_deadline(Time::from_secs(1)));
        let body =
            async |_: &Scope<Cancelled>| cx.wait("for ever", |_context| Poll::<()>::Pending).await;
        let _ = cx.region_with(options, body).await;
        Ok::<_, Cancelled>(())
    });
    root.begin_close();
    let clock = machine.clone();
    let other = thread::spawn(move || clock.fire());
    machine.drain();
    // The first timer is the deadline; one after it would end the cleanup, and the wait by force.
    let fired = other.join().unwrap();
    if !fired {
        machine.fire();
    }
    machine.drain();
    assert!(task.is_finished(), "the cancelled task is parked for ever");
    assert!(root.is_closed());
}

#[test]
fn deadline_against_park() {
    model(a_wait_in_a_cancelled_region_ends_however_late_it_parks);
}

#[test]
fn deadline_against_park_weakened() {
    weakened(Mutant::ParkLooksOnce, a_wait_in_a_cancelled_region_ends_however_late_it_parks);
}

static PERMIT: ObligationKind = ObligationKind::new("a permit");

/// Says when the task that holds it is freed.
struct Freed(Arc<AtomicUsize>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn a_task_is_freed_once_whoever_settles_its_obligation_last() {
    let machine = Machine::new();
    let freed = Arc::new(AtomicUsize::new(0));
    let handed_over = StdArc::new(Mutex::new(None));
    let (outcome, give) = (Freed(freed.clone()), handed_over.clone());
    let root = Root::new(machine.clone(), RegionOptions::new());
    drop(root.spawn(async move |cx: &Cx| {
        *give.lock() = Some(cx.obligation(&PERMIT));
        // The error of a told task stays in it until it is freed.
        assert!(cx.checkpoint().is_err());
        Err::<(), _>(outcome)
    }));
    root.begin_close();
    root.cancel(CancelReason::user("stop"));
    let other = thread::spawn({
        let handed_over = handed_over.clone();
        move || {
            let obligation = handed_over.lock().take();
            drop(obligation);
        }
    });
    machine.drain();
    drop(root);
    other.join().unwrap();
    let obligation = handed_over.lock().take();
    drop(obligation);
    assert_eq!(freed.load(Ordering::Relaxed), 1);
}

#[test]
fn obligation_against_free() {
    model(a_task_is_freed_once_whoever_settles_its_obligation_last);
}

#[test]
fn obligation_against_free_weakened() {
    let story = a_task_is_freed_once_whoever_settles_its_obligation_last;
    weakened(Mutant::TakeOverUnchecked, story);
}

fn a_cancel_comes_before_or_after_completion() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let mut handle = root.spawn(async |cx: &Cx| cx.checkpoint());
    root.begin_close();
    let canceller = root.clone();
    let other = thread::spawn(move || canceller.cancel(CancelReason::user("stop")));
    machine.drain();
    other.join().unwrap();
    machine.drain();
    assert!(root.is_closed());
    let Poll::Ready(Ok(outcome)) = handle.poll_join(&mut Context::from_waker(Waker::noop())) else {
        panic!("a closed region's task has its outcome")
    };
    assert!(matches!(outcome, Outcome::Ok(()) | Outcome::Cancelled(_)));
    assert!(machine.timers.lock().1.is_empty(), "a timer outlived its region");
}

#[test]
fn cancel_against_completion() {
    model(a_cancel_comes_before_or_after_completion);
}

#[test]
fn cancel_against_completion_weakened() {
    weakened(Mutant::TimerOutlivesRegion, a_cancel_comes_before_or_after_completion);
}

fn a_spawn_is_finished_or_refused_when_the_region_has_closed() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let late = root.clone();
    let ran = StdArc::new(AtomicBool::new(false));
    let runs = ran.clone();
    let spawner = thread::spawn(move || {
        let mut handle = late.spawn(async move |_cx: &Cx| {
            runs.store(true, Ordering::Release);
            Ok::<_, Cancelled>(())
        });
        match handle.poll_join(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Outcome::Cancelled(_))) => true,
            _ => false,
        }
    });
    root.begin_close();
    let closed_at_once = root.is_closed();
    let ran_before_closed = ran.load(Ordering::Acquire);
    let refused = spawner.join().unwrap();
    machine.drain();
    assert!(root.is_closed());
    let ran = ran.load(Ordering::Acquire);
    assert!(ran != refused, "a task runs or is refused, never both or neither");
    assert!(!closed_at_once || ran_before_closed || refused, "it ran in a closed region");
}

#[test]
fn spawn_against_close() {
    model(a_spawn_is_finished_or_refused_when_the_region_has_closed);
}

#[test]
fn spawn_against_close_weakened() {
    weakened(Mutant::AdmitUnchecked, a_spawn_is_finished_or_refused_when_the_region_has_closed);
}

/// Counts its own drop where loom can see whether anyone else is still at it.
struct Touch(Arc<loom::cell::UnsafeCell<u32>>);

// SAFETY: whether it is sound to send it through a task is what the story checks.
unsafe impl Send for Touch {}

impl Drop for Touch {
    fn drop(&mut self) {
        // SAFETY: loom checks that no other access overlaps.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }
}

fn the_last_reference_frees_the_task_after_all_uses() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let cell = Arc::new(loom::cell::UnsafeCell::new(0_u32));
    let touch = Touch(cell.clone());
    let slot = StdArc::new(std::sync::Mutex::new(None));
    let fill = slot.clone();
    let handle = root.spawn(async move |cx: &Cx| {
        poll_fn(|context| {
            *fill.lock().unwrap() = Some(context.waker().clone());
            Poll::Ready(())
        })
        .await;
        // The error of a told task stays in it until it is freed.
        assert!(cx.checkpoint().is_err());
        Err::<(), Touch>(touch)
    });
    root.begin_close();
    root.cancel(CancelReason::user("stop"));
    machine.drain();
    let waker = slot.lock().unwrap().take();
    let other = thread::spawn(move || {
        // SAFETY: this reference keeps the outcome alive; loom checks that its drop comes after.
        cell.with(|value| unsafe { *value });
        drop(waker);
    });
    drop(handle);
    other.join().unwrap();
}

#[test]
fn last_reference() {
    model(the_last_reference_frees_the_task_after_all_uses);
}

#[test]
fn last_reference_weakened() {
    weakened(Mutant::RefDropRelaxed, the_last_reference_frees_the_task_after_all_uses);
}

fn a_claim_publishes_what_the_last_holder_wrote() {
    let cell = Arc::new(ExclusiveCell::new(0_u32));
    let other = {
        let cell = cell.clone();
        thread::spawn(move || {
            if let Some(mut claim) = cell.try_claim() {
                *claim += 1;
            }
        })
    };
    if let Some(mut claim) = cell.try_claim() {
        *claim += 1;
    }
    other.join().unwrap();
}

#[test]
fn exclusive_cell() {
    model(a_claim_publishes_what_the_last_holder_wrote);
}

#[test]
fn exclusive_cell_weakened() {
    weakened(Mutant::ReleaseRelaxed, a_claim_publishes_what_the_last_holder_wrote);
}

/// A reader beside a writer, who both may find the cell claimed.
fn readers_and_writers_of_a_shared_cell_see_each_others_end() {
    let cell = Arc::new(SharedCell::new(0_u32));
    let reader = {
        let cell = cell.clone();
        thread::spawn(move || cell.try_read().map(|claim| *claim))
    };
    if let Some(mut claim) = cell.try_write() {
        *claim += 1;
    }
    let read = reader.join().unwrap();
    assert!(read.is_none_or(|value| value <= 1));
}

#[test]
fn shared_cell() {
    model(readers_and_writers_of_a_shared_cell_see_each_others_end);
}

#[test]
fn shared_cell_weakened() {
    weakened(Mutant::ReadReleaseRelaxed, readers_and_writers_of_a_shared_cell_see_each_others_end);
    weakened(Mutant::WriteReleaseRelaxed, readers_and_writers_of_a_shared_cell_see_each_others_end);
}

/// Somebody who finds the value claimed marks the cell, looks again and waits; the holder leaves. One of
/// the two must see the other, or the waiter waits for ever.
fn a_mark_and_a_release_see_one_another() {
    let cell = Arc::new(ExclusiveCell::new(0_u32));
    let mut claim = cell.try_claim().unwrap();
    let waiter = {
        let cell = cell.clone();
        thread::spawn(move || {
            cell.mark();
            cell.try_claim_marked().map(|claim| assert_eq!(*claim, 1)).is_some()
        })
    };
    *claim += 1;
    drop(claim);
    let served = cell.is_marked();
    assert!(waiter.join().unwrap() || served);
}

fn a_mark_and_a_writers_release_see_one_another() {
    let cell = Arc::new(SharedCell::new(0_u32));
    let mut claim = cell.try_write().unwrap();
    let waiters = [true, false].map(|writes| {
        let cell = cell.clone();
        thread::spawn(move || {
            cell.mark();
            if writes {
                cell.try_write_marked().map(|claim| assert_eq!(*claim, 1)).is_some()
            } else {
                cell.try_read_marked().map(|claim| assert_eq!(*claim, 1)).is_some()
            }
        })
    });
    *claim += 1;
    drop(claim);
    let served = cell.is_marked();
    let entered = waiters.map(|waiter| waiter.join().unwrap());
    assert!(entered.contains(&true) || served);
}

#[test]
fn marked_cells() {
    model(a_mark_and_a_release_see_one_another);
    model(a_mark_and_a_writers_release_see_one_another);
}

#[test]
fn marked_cells_weakened() {
    weakened(Mutant::ReleaseLosesMark, a_mark_and_a_release_see_one_another);
    weakened(Mutant::ReleaseLosesMark, a_mark_and_a_writers_release_see_one_another);
}

/// A read claim handed through a queue keeps its order: the writer before it, the writer after it.
fn a_detached_claim_is_between_its_writers() {
    let cell = Arc::new(SharedCell::new(0_u32));
    let mut claim = cell.try_write().unwrap();
    *claim = 1;
    drop(claim);
    let token = cell.try_read().unwrap().detach();
    let reader = {
        let cell = cell.clone();
        thread::spawn(move || assert_eq!(*cell.attach_read(token), 1))
    };
    if let Some(mut claim) = cell.try_write() {
        *claim = 2;
    }
    reader.join().unwrap();
}

#[test]
fn shared_cell_detached() {
    model(a_detached_claim_is_between_its_writers);
}

#[test]
fn shared_cell_detached_weakened() {
    weakened(Mutant::ReadReleaseRelaxed, a_detached_claim_is_between_its_writers);
}

/// One grant, two waiters, one of which leaves: the grant must reach the other.
fn a_grant_to_a_waiter_that_leaves_reaches_the_next(passes_on: bool) {
    let queue = Arc::new(Mutex::new(WaitQueue::<()>::new()));
    let counts = [(); 2].map(|()| StdArc::new(Count(AtomicUsize::new(0))));
    let keys = counts
        .each_ref()
        .map(|count| queue.lock().push_back((), Waker::from(StdArc::clone(count))));
    let [leaver, stayer] = keys;
    let granter = {
        let queue = queue.clone();
        thread::spawn(move || {
            let waker = queue.lock().grant_front();
            if let Some(waker) = waker {
                waker.wake();
            }
        })
    };
    let (passed, old) = {
        let mut queue = queue.lock();
        let mut old = None;
        let passed = match queue.remove(leaver, &mut old) {
            Removed::Granted(()) if passes_on => queue.grant_front(),
            _ => None,
        };
        (passed, old)
    };
    drop(old);
    if let Some(waker) = passed {
        waker.wake();
    }
    granter.join().unwrap();
    assert!(queue.lock().poll(&stayer, &mut None).is_some(), "the grant was lost");
    assert_eq!(counts[1].0.load(Ordering::Acquire), 1);
}

#[test]
fn wait_queue() {
    model(|| a_grant_to_a_waiter_that_leaves_reaches_the_next(true));
}

#[test]
#[should_panic = "the grant was lost"]
fn wait_queue_weakened() {
    model(|| a_grant_to_a_waiter_that_leaves_reaches_the_next(false));
}

/// One task that is asked softly while it begins to wait for just that, in a scope of its own.
fn a_soft_cancellation_is_heard_however_late_the_wait_parks() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let task = root.spawn(async move |cx: &Cx| {
        let mut branch = pin!(cx.branch(Default::default(), cx.soft_cancelled()));
        // A sub-waker: waking the task as a whole polls nothing inside.
        let woken = StdArc::new(Count(AtomicUsize::new(1)));
        let own = Waker::from(woken.clone());
        poll_fn(|_| {
            while woken.0.swap(0, Ordering::AcqRel) > 0 {
                if branch.as_mut().poll(&mut Context::from_waker(&own)).is_ready() {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
        Ok::<_, Cancelled>(())
    });
    root.begin_close();
    let asks = root.clone();
    let other = thread::spawn(move || {
        asks.cancel_soft(CancelReason::user("please"), std::time::Duration::from_secs(1));
    });
    machine.drain();
    other.join().unwrap();
    machine.drain();
    assert!(task.is_finished());
}

#[test]
fn soft_cancel_against_park() {
    model(a_soft_cancellation_is_heard_however_late_the_wait_parks);
}

#[test]
fn soft_cancel_against_park_weakened() {
    let story = a_soft_cancellation_is_heard_however_late_the_wait_parks;
    weakened(Mutant::SoftLooksOnce, story);
}

fn a_child_admitted_while_its_region_is_asked_hears_it() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let asks = root.clone();
    let other = thread::spawn(move || {
        asks.cancel_soft(CancelReason::user("please"), std::time::Duration::from_secs(1));
    });
    let task = root.spawn(async move |cx: &Cx| cx.soft_cancelled().await);
    root.begin_close();
    machine.drain();
    other.join().unwrap();
    machine.drain();
    assert!(task.is_finished());
}

#[test]
fn soft_cancel_against_spawn() {
    model(a_child_admitted_while_its_region_is_asked_hears_it);
}

#[test]
fn soft_cancel_against_spawn_weakened() {
    weakened(Mutant::SoftNotInherited, a_child_admitted_while_its_region_is_asked_hears_it);
}

fn the_service_is_dismissed_by_whichever_child_ends_last() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let service = asupersync_core::TaskOptions::new().service();
    let _ = root
        .spawn_with(service, async |cx: &Cx| cx.wait("for ever", |_| Poll::<()>::Pending).await);
    machine.drain();
    let _ = root.spawn(async |_cx: &Cx| Ok::<_, Cancelled>(()));
    let runs = machine.clone();
    let other = thread::spawn(move || runs.drain());
    root.begin_close();
    machine.drain();
    other.join().unwrap();
    machine.drain();
    assert!(root.is_closed());
}

#[test]
fn service_against_last_child() {
    model(the_service_is_dismissed_by_whichever_child_ends_last);
}

#[test]
fn service_against_last_child_weakened() {
    weakened(Mutant::CloseDismissesNobody, the_service_is_dismissed_by_whichever_child_ends_last);
}

fn who_waits_for_a_close_sees_it_or_is_woken() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let _ = root.spawn(async |_cx: &Cx| Ok::<_, Cancelled>(()));
    root.begin_close();
    let count = StdArc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let runner = thread::spawn(move || machine.drain());
    let mut context = Context::from_waker(&waker);
    let first = root.poll_closed(&mut context).is_ready();
    runner.join().unwrap();
    if !first {
        assert_eq!(count.0.load(Ordering::Acquire), 1, "who waits was not woken");
        assert!(root.poll_closed(&mut context).is_ready());
    }
}

#[test]
fn close_against_its_waiter() {
    model(who_waits_for_a_close_sees_it_or_is_woken);
}

#[test]
fn close_against_its_waiter_weakened() {
    weakened(Mutant::ClosedLooksOnce, who_waits_for_a_close_sees_it_or_is_woken);
}

#[track_caller]
fn here() -> &'static Location<'static> {
    Location::caller()
}

/// Two plain waits, one after the other, and somebody who looks at the task meanwhile.
fn a_snapshot_mixes_no_two_waits() {
    let machine = Machine::new();
    let root = Root::new(machine.clone(), RegionOptions::new());
    let first = here();
    let second = here();
    let _ = root.spawn(async move |cx: &Cx| {
        poll_fn(|context| {
            for (label, site) in [("one", first), ("two", second)] {
                let mut wait = pin!(cx.wait_at(label, site, |_| Poll::<()>::Pending));
                assert!(wait.as_mut().poll(context).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        Ok::<_, Cancelled>(())
    });
    root.begin_close();
    let looks = root.clone();
    let other = thread::spawn(move || {
        for wait in looks.snapshot().tasks.iter().flat_map(|task| &task.waits) {
            let site = if wait.label == "one" { first } else { second };
            assert_eq!(wait.site, site, "{} and another wait's line", wait.label);
        }
    });
    machine.drain();
    other.join().unwrap();
}

#[test]
fn plain_wait_against_snapshot() {
    model(a_snapshot_mixes_no_two_waits);
}

#[test]
fn plain_wait_against_snapshot_weakened() {
    weakened(Mutant::WaitReadOnce, a_snapshot_mixes_no_two_waits);
}

fn a_wake_among_many_is_seen_or_tells_the_task() {
    let mut woken = Woken::new();
    let slot = woken.add();
    assert_eq!(woken.pop(), Some(slot));
    let waker = woken.waker(slot).clone();
    let other = thread::spawn(move || waker.wake());
    let count = StdArc::new(Count(AtomicUsize::new(0)));
    let task = Waker::from(count.clone());
    let seen = (0..woken.begin(&task)).filter_map(|_| woken.pop()).count();
    other.join().unwrap();
    let told = count.0.load(Ordering::Acquire);
    assert_eq!(seen + told, 1, "a wake is lost, or told twice");
}

#[test]
fn woken_against_wake() {
    model(a_wake_among_many_is_seen_or_tells_the_task);
}

#[test]
fn woken_against_wake_weakened() {
    weakened(Mutant::WokenLooksFirst, a_wake_among_many_is_seen_or_tells_the_task);
}
