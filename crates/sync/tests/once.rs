//! What a cell that is initialised once promises.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_core::{Cancelled, Cx, Error};
use asupersync_sync::OnceLock;
use host::{Boxed, Wakes, in_task, now, poll, poll_with};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn the_first_initialiser_wins_and_later_ones_do_not_run() {
    in_task(|cx, _| {
        let cell = OnceLock::new();
        assert_eq!(cell.get(), None);
        let made = now(cell.get_or_try_init(cx, async || Ok::<_, Cancelled>(1)));
        assert_eq!(made, Ok(&1));
        let again =
            now(cell
                .get_or_try_init(cx, async || -> Result<_, Cancelled> { panic!("must not run") }));
        assert_eq!(again, Ok(&1));
        assert_eq!(cell.set(2), Err(2));
        assert_eq!(cell.into_inner(), Some(1));
    });
}

#[test]
fn waiters_of_a_running_initialiser_get_its_value() {
    in_task(|cx, _| {
        let cell = OnceLock::new();
        let gate = asupersync_sync::Notify::new();
        let slow = async || {
            gate.notified(cx).await?;
            Ok::<_, Cancelled>(1)
        };
        let mut first: Boxed<'_, _> = Box::pin(cell.get_or_try_init(cx, slow));
        let mut second: Boxed<'_, Result<&i32, Cancelled>> =
            Box::pin(cell.get_or_try_init(cx, async || panic!("must not run")));
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut first).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        assert_eq!(cell.set(9), Err(9), "an initialiser is running");
        gate.notify_one();
        assert_eq!(poll(&mut first), Poll::Ready(Ok(&1)));
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll(&mut second), Poll::Ready(Ok(&1)));
    });
}

#[derive(Debug, PartialEq)]
struct Failed;

impl From<Cancelled> for Failed {
    fn from(_: Cancelled) -> Failed {
        Failed
    }
}

#[test]
fn an_initialiser_that_is_dropped_fails_or_panics_is_retried_by_the_next() {
    in_task(|cx, _| {
        let cell = OnceLock::new();
        let mut dropped: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || std::future::pending().await));
        let mut fails: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || Err(Failed)));
        let mut panics: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || panic!("half way")));
        let mut succeeds: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || Ok(4)));
        assert!(poll(&mut dropped).is_pending());
        assert!(poll(&mut fails).is_pending());
        assert!(poll(&mut panics).is_pending());
        assert!(poll(&mut succeeds).is_pending());
        drop(dropped);
        assert_eq!(poll(&mut fails), Poll::Ready(Err(Failed)));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = poll(&mut panics);
        }));
        assert!(panicked.is_err());
        assert_eq!(poll(&mut succeeds), Poll::Ready(Ok(&4)));
    });
}

#[test]
fn a_cancelled_waiter_answers_in_one_poll() {
    in_task(|cx, cancel| {
        let cell = OnceLock::new();
        let mut first: Boxed<'_, Result<&i32, Cancelled>> =
            Box::pin(cell.get_or_try_init(cx, async || std::future::pending().await));
        let mut second: Boxed<'_, Result<&i32, Cancelled>> =
            Box::pin(cell.get_or_try_init(cx, async || Ok(2)));
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut second).is_pending());
        cancel();
        assert!(matches!(poll(&mut second), Poll::Ready(Err(_))));
        drop(first);
        assert_eq!(cell.set(3), Ok(()), "the turn came back");
    });
}

/// How an initialiser ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Value,
    Failure,
    Panic,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Start,
    Poll(usize),
    /// Its initialiser ends this way at its next poll, if it comes to run.
    Decide(usize, End),
    GoAway(usize),
    Set,
}

fn operation() -> impl Strategy<Value = Operation> {
    let end = prop_oneof![Just(End::Value), Just(End::Failure), Just(End::Panic)];
    prop_oneof![
        3 => Just(Operation::Start),
        4 => (0..5_usize).prop_map(Operation::Poll),
        2 => (0..5_usize, end).prop_map(|(n, end)| Operation::Decide(n, end)),
        1 => (0..5_usize).prop_map(Operation::GoAway),
        1 => Just(Operation::Set),
    ]
}

/// Whose initialiser runs, who waits, and whose value is there.
#[derive(Default)]
struct Model {
    runs: Option<u32>,
    line: VecDeque<u32>,
    value: Option<u32>,
}

impl Model {
    fn pass_on(&mut self) {
        self.runs = self.line.pop_front();
    }

    /// What a poll of this caller answers; `None` is pending, `Some(None)` a panic.
    fn poll(&mut self, id: u32, end: Option<End>) -> Option<Option<Result<u32, Failed>>> {
        if let Some(value) = self.value {
            return Some(Some(Ok(value)));
        }
        if self.runs != Some(id) {
            return None;
        }
        if let End::Value = end? {
            (self.value, self.runs) = (Some(id), None);
            self.line.clear();
            return Some(Some(Ok(id)));
        }
        self.pass_on();
        Some(matches!(end?, End::Failure).then_some(Err(Failed)))
    }
}

struct Caller<'a> {
    id: u32,
    future: Boxed<'a, Result<&'a u32, Failed>>,
    wakes: Arc<Wakes>,
    end: Rc<Cell<Option<End>>>,
    /// It went into the line, where only a wake brings it out.
    waited: bool,
}

fn caller<'a>(cx: &'a asupersync_core::TaskCx, cell: &'a OnceLock<u32>, id: u32) -> Caller<'a> {
    let end = Rc::new(Cell::new(None));
    let decided = end.clone();
    let init = async move || {
        let end = std::future::poll_fn(|_| decided.get().map_or(Poll::Pending, Poll::Ready)).await;
        match end {
            End::Value => Ok(id),
            End::Failure => Err(Failed),
            End::Panic => panic!("half way"),
        }
    };
    let future: Boxed<'a, _> = Box::pin(cell.get_or_try_init(cx, init));
    Caller { id, future, wakes: Wakes::new().0, end, waited: false }
}

/// Polls, compares the answer with the model's; whether the caller goes on.
fn agree(model: &mut Model, caller: &mut Caller<'_>) -> bool {
    let expected = model.poll(caller.id, caller.end.get());
    let waker = Arc::clone(&caller.wakes).into();
    let poll = || poll_with(&mut caller.future, &waker);
    let got = match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(Poll::Pending) => None,
        Ok(Poll::Ready(answer)) => Some(Some(answer.copied())),
        Err(_) => Some(None),
    };
    assert_eq!(got, expected);
    got.is_none()
}

fn behaves_like_the_model(operations: Vec<Operation>) {
    in_task(|cx, _| {
        let cell = OnceLock::new();
        let mut model = Model::default();
        let mut callers: Vec<Caller<'_>> = Vec::new();
        for (id, operation) in (0..).zip(operations) {
            match operation {
                Operation::Start => {
                    let mut new = caller(cx, &cell, id);
                    if model.value.is_none() {
                        new.waited = model.runs.is_some();
                        if new.waited {
                            model.line.push_back(id);
                        } else {
                            model.runs = Some(id);
                        }
                    }
                    if agree(&mut model, &mut new) {
                        callers.push(new);
                    }
                }
                Operation::Poll(n) if n < callers.len() => {
                    if !agree(&mut model, &mut callers[n]) {
                        drop(callers.remove(n));
                    }
                }
                Operation::Decide(n, end) if n < callers.len() => callers[n].end.set(Some(end)),
                Operation::GoAway(n) if n < callers.len() => {
                    let gone = callers.remove(n).id;
                    model.line.retain(|waits| *waits != gone);
                    if model.runs == Some(gone) {
                        model.pass_on();
                    }
                }
                Operation::Set => {
                    let free = model.value.is_none() && model.runs.is_none();
                    assert_eq!(cell.set(id).is_ok(), free);
                    model.value = model.value.or(free.then_some(id));
                }
                Operation::Poll(_) | Operation::Decide(..) | Operation::GoAway(_) => {}
            }
            assert_eq!(cell.get().copied(), model.value);
            for waits in callers.iter().filter(|caller| caller.waited) {
                let due = !model.line.contains(&waits.id);
                assert_eq!(waits.wakes.count() > 0, due, "woken exactly when it is its turn");
            }
        }
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_turn_that_goes_round_until_there_is_a_value(
        operations in prop::collection::vec(operation(), 0..40),
    ) {
        behaves_like_the_model(operations);
    }
}

#[test]
fn a_deadlock_report_names_who_initialises() {
    let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
    let report = lab.run(async |cx: &Cx| {
        let cell = Arc::new(OnceLock::<u32>::new());
        let begun = Arc::new(asupersync_sync::Notify::new());
        let (theirs, begins) = (cell.clone(), begun.clone());
        let _ = cx.spawn(async move |cx: &Cx| {
            let never = async || {
                begins.notify_one();
                Ok::<u32, Error>(std::future::pending().await)
            };
            theirs.get_or_try_init(cx, never).await.map(|_: &u32| ())
        });
        begun.notified(cx).await?;
        cell.get_or_try_init(cx, async || Ok::<_, Error>(1)).await?;
        Ok::<_, Error>(())
    });
    assert!(!report.is_ok());
    let told = report.to_string();
    assert!(told.contains("holds OnceLock::get_or_try_init from"), "{told}");
}
