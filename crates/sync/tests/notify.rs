//! What a notification promises.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_core::{Cancelled, TaskCx};
use asupersync_sync::Notify;
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, poll, poll_with};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

type Waiting<'a> = Boxed<'a, Result<(), Cancelled>>;

fn waiting<'a>(notify: &'a Notify, cx: &'a TaskCx) -> Waiting<'a> {
    Box::pin(notify.notified(cx))
}

#[test]
fn one_token_is_kept_for_the_next_waiter_and_only_one() {
    in_task(|cx, _| {
        let notify = Notify::new();
        notify.notify_one();
        notify.notify_one();
        now(notify.notified(cx)).unwrap();
        assert!(poll(&mut waiting(&notify, cx)).is_pending());
    });
}

#[test]
fn a_chosen_waiter_that_is_dropped_passes_its_token_on() {
    in_task(|cx, _| {
        let notify = Notify::new();
        let (mut first, mut second) = (waiting(&notify, cx), waiting(&notify, cx));
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut first).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        notify.notify_one();
        drop(first);
        assert_eq!(wakes.count(), 1);
        drop(second);
        now(notify.notified(cx)).unwrap();
    });
}

#[test]
fn a_chosen_waiter_that_is_cancelled_passes_its_token_on() {
    in_task(|cx, cancel| {
        let notify = Notify::new();
        let mut chosen = waiting(&notify, cx);
        assert!(poll(&mut chosen).is_pending());
        notify.notify_one();
        cancel();
        assert!(matches!(poll(&mut chosen), Poll::Ready(Err(_))));
        drop(chosen);
        assert!(format!("{notify:?}").contains("token: true"));
    });
}

#[test]
fn a_broadcast_is_heard_by_futures_that_were_not_polled_yet_and_leaves_nothing() {
    in_task(|cx, _| {
        let notify = Notify::new();
        let mut early = waiting(&notify, cx);
        notify.notify_waiters();
        assert!(poll(&mut early).is_ready());
        assert!(poll(&mut waiting(&notify, cx)).is_pending());
    });
}

#[test]
fn a_waker_that_panics_does_not_keep_a_broadcast_from_others() {
    in_task(|cx, _| {
        let notify = Notify::new();
        let (mut hostile, mut second) = (waiting(&notify, cx), waiting(&notify, cx));
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut hostile, &on_wake(|| panic!("hostile"))).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        notify.notify_waiters();
        assert_eq!(wakes.count(), 1);
    });
}

#[test]
fn a_waker_may_notify_again() {
    in_task(|cx, _| {
        let notify = Arc::new(Notify::new());
        let calls = Arc::new(AtomicUsize::new(0));
        let back = {
            let (notify, calls) = (notify.clone(), calls.clone());
            move || {
                notify.notify_one();
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let (mut first, mut second) = (waiting(&notify, cx), waiting(&notify, cx));
        assert!(poll_with(&mut first, &on_wake(back.clone())).is_pending());
        assert!(poll_with(&mut second, &on_drop(back)).is_pending());
        notify.notify_one();
        assert!(poll(&mut first).is_ready());
        assert!(poll(&mut second).is_ready(), "notified by the first one's waker");
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    });
}

#[derive(Clone, Debug)]
enum Operation {
    Make,
    Poll(usize),
    GoAway(usize),
    One,
    All,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Make),
        5 => (0..6_usize).prop_map(Operation::Poll),
        2 => (0..6_usize).prop_map(Operation::GoAway),
        3 => Just(Operation::One),
        1 => Just(Operation::All),
    ]
}

#[derive(Default)]
struct Model {
    token: bool,
    line: VecDeque<u32>,
    made: Vec<u32>,
    alone: Vec<u32>,
    with_all: Vec<u32>,
}

impl Model {
    fn one(&mut self) {
        match self.line.pop_front() {
            Some(id) => self.alone.push(id),
            None => self.token = true,
        }
    }

    fn poll(&mut self, id: u32) -> bool {
        if take(&mut self.with_all, id) || take(&mut self.alone, id) {
            return true;
        }
        if take(&mut self.made, id) {
            if std::mem::take(&mut self.token) {
                return true;
            }
            self.line.push_back(id);
        }
        false
    }

    fn go_away(&mut self, id: u32) {
        take(&mut self.with_all, id);
        take(&mut self.made, id);
        self.line.retain(|other| *other != id);
        if take(&mut self.alone, id) {
            self.one();
        }
    }
}

fn take(list: &mut Vec<u32>, id: u32) -> bool {
    let before = list.len();
    list.retain(|other| *other != id);
    list.len() != before
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_token_and_a_line(operations in prop::collection::vec(operation(), 0..40)) {
        break_as_told();
        in_task(|cx, _| {
            let notify = Notify::new();
            let mut model = Model::default();
            let mut waiters: Vec<(u32, Waiting<'_>)> = Vec::new();
            let mut next = 0;
            for operation in operations {
                match operation {
                    Operation::Make => {
                        waiters.push((next, waiting(&notify, cx)));
                        model.made.push(next);
                        next += 1;
                    }
                    Operation::Poll(n) if n < waiters.len() => {
                        let ready = poll(&mut waiters[n].1).is_ready();
                        assert_eq!(ready, model.poll(waiters[n].0));
                        if ready {
                            drop(waiters.remove(n));
                        }
                    }
                    Operation::GoAway(n) if n < waiters.len() => {
                        let (id, future) = waiters.remove(n);
                        drop(future);
                        model.go_away(id);
                    }
                    Operation::One => {
                        notify.notify_one();
                        model.one();
                    }
                    Operation::All => {
                        notify.notify_waiters();
                        let heard = model.made.drain(..).chain(model.line.drain(..));
                        model.with_all.extend(heard);
                    }
                    Operation::Poll(_) | Operation::GoAway(_) => {}
                }
                assert_eq!(notify.waiting(), model.line.len());
            }
        });
    }
}

fn break_as_told() {
    #[cfg(mutants)]
    asupersync_sync::mutant::set(host::broken_by(asupersync_sync::mutant::ALL));
}

#[cfg(mutants)]
#[test]
fn the_model_sees_its_mutants() {
    use asupersync_sync::mutant::Mutant;
    for mutant in [Mutant::NotifyTokenDropped] {
        host::check_broken("behaves_like_a_token_and_a_line", mutant);
    }
}
