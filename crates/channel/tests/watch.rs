//! What the channel of the last value promises.
#![cfg(not(loom))]

#[path = "../../sync/tests/support/host.rs"]
mod host;

use asupersync_channel::{RecvError, watch};
use futures_core::Stream;
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, once, poll, poll_with};
use proptest::prelude::*;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

#[test]
fn a_receiver_sees_the_last_value_and_each_change_once() {
    in_task(|cx, _| {
        let (tx, mut rx) = watch::channel(1);
        assert_eq!(*rx.borrow(), 1);
        assert!(!rx.has_changed(), "the first value counts as seen");
        tx.send(2).unwrap();
        tx.send(3).unwrap();
        assert_eq!(now(rx.changed(cx)), Ok(()));
        assert_eq!(*rx.borrow_and_update(), 3);
        assert!(once(rx.changed(cx)).is_pending());
        rx.mark_changed();
        assert_eq!(now(rx.changed(cx)), Ok(()));
    });
}

#[test]
fn a_borrowed_value_neither_changes_nor_holds_the_sender_up() {
    let (tx, rx) = watch::channel(vec![1]);
    let before = rx.borrow();
    tx.send(vec![2]).unwrap();
    assert_eq!((&*before, &*rx.borrow()), (&vec![1], &vec![2]));
    assert_eq!(*tx.send_replace(vec![3]), [2]);
}

#[test]
fn a_change_in_place_is_published_only_if_it_says_so() {
    let (mut tx, rx) = watch::channel(1);
    assert!(!tx.send_if_modified(|value| {
        *value = 9;
        false
    }));
    assert_eq!((*rx.borrow(), rx.has_changed()), (1, false));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tx.send_if_modified(|value| {
            *value = 9;
            panic!("half done")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!((*rx.borrow(), rx.has_changed()), (1, false));
    assert!(tx.send_if_modified(|value| {
        *value += 1;
        true
    }));
    assert_eq!((*rx.borrow(), rx.has_changed()), (2, true));
}

#[test]
fn the_last_value_is_answered_before_the_senders_end() {
    in_task(|cx, _| {
        let (tx, mut rx) = watch::channel(1);
        let (wakes, waker) = Wakes::new();
        tx.send(2).unwrap();
        drop(tx);
        assert!(rx.is_closed());
        assert_eq!(now(rx.changed(cx)), Ok(()));
        assert_eq!(now(rx.changed(cx)), Err(RecvError::Closed));
        assert_eq!(*rx.borrow(), 2);
        let (tx, mut rx) = watch::channel(1);
        let mut waiting: Boxed<'_, _> = Box::pin(rx.changed(cx));
        assert!(poll_with(&mut waiting, &waker).is_pending());
        drop(tx);
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll(&mut waiting), Poll::Ready(Err(RecvError::Closed)));
    });
}

#[test]
fn a_value_nobody_can_see_comes_back() {
    in_task(|cx, _| {
        let (tx, rx) = watch::channel(1);
        let other = rx.clone();
        let (wakes, waker) = Wakes::new();
        let mut closed: Boxed<'_, _> = Box::pin(tx.closed(cx));
        assert!(poll_with(&mut closed, &waker).is_pending());
        drop(rx);
        assert_eq!(wakes.count(), 0);
        drop(other);
        assert_eq!(wakes.count(), 1);
        assert!(poll(&mut closed).is_ready());
        assert_eq!(tx.send(2), Err(2));
        tx.send_replace(3);
        assert_eq!(*tx.subscribe().borrow(), 3);
    });
}

#[test]
fn waiting_for_a_value_passes_over_those_it_refuses() {
    in_task(|cx, _| {
        let (tx, mut rx) = watch::channel(1);
        let mut waiting: Boxed<'_, _> = Box::pin(rx.wait_for(cx, |value| *value >= 3));
        assert!(poll(&mut waiting).is_pending());
        tx.send(2).unwrap();
        assert!(poll(&mut waiting).is_pending());
        tx.send(3).unwrap();
        let Poll::Ready(Ok(value)) = poll(&mut waiting) else { panic!("accepted") };
        assert_eq!(*value, 3);
    });
}

#[test]
fn a_cancelled_receiver_has_seen_nothing() {
    in_task(|cx, cancel| {
        let (tx, mut rx) = watch::channel(1);
        let mut waiting: Boxed<'_, _> = Box::pin(rx.changed(cx));
        assert!(poll(&mut waiting).is_pending());
        tx.send(2).unwrap();
        cancel();
        let answer = poll(&mut waiting);
        assert!(matches!(answer, Poll::Ready(Err(RecvError::Cancelled(_)))), "in one poll");
        drop(waiting);
        assert!(rx.has_changed());
        assert!(now(tx.closed(cx)).is_err());
        assert!(matches!(now(rx.wait_for(cx, |_| true)), Err(RecvError::Cancelled(_))));
    });
}

#[test]
fn a_receiver_is_a_stream_of_values_it_has_not_seen_that_ends_with_the_sender() {
    let (tx, mut rx) = watch::channel(0);
    let (wakes, waker) = Wakes::new();
    let mut next = || {
        let value = Pin::new(&mut rx).poll_next(&mut Context::from_waker(&waker));
        value.map(|value| value.map(|value| *value))
    };
    assert!(next().is_pending());
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!(wakes.count(), 1);
    assert_eq!(next(), Poll::Ready(Some(2)));
    assert!(next().is_pending());
    drop(tx);
    assert_eq!((next(), wakes.count()), (Poll::Ready(None), 2));
}

#[test]
fn hostile_wakers_keep_nobody_from_hearing_and_none_is_kept() {
    in_task(|cx, _| {
        let (tx, mut rx) = watch::channel(1);
        let (mut second, mut third) = (rx.clone(), rx.clone());
        let other = tx.borrow();
        let (wakes, waker) = Wakes::new();
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = dropped.clone();
        let counted = on_drop(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let back = rx.clone();
        let reenter = on_wake(move || assert_eq!(*back.clone().borrow_and_update(), 2));
        let mut one: Boxed<'_, _> = Box::pin(rx.changed(cx));
        let mut two: Boxed<'_, _> = Box::pin(second.changed(cx));
        let mut three: Boxed<'_, _> = Box::pin(third.changed(cx));
        assert!(poll_with(&mut one, &counted).is_pending());
        drop(counted);
        assert!(poll_with(&mut one, &on_wake(|| panic!("hostile"))).is_pending());
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "the replaced waker is gone");
        assert!(poll_with(&mut two, &reenter).is_pending());
        assert!(poll_with(&mut three, &waker).is_pending());
        tx.send(2).unwrap();
        assert_eq!(wakes.count(), 1);
        for future in [&mut one, &mut two, &mut three] {
            assert_eq!(poll(future), Poll::Ready(Ok(())));
        }
        assert_eq!(*other, 1);
    });
}

#[derive(Clone, Debug)]
enum Operation {
    Send,
    Modify(bool),
    Clone(usize),
    Subscribe,
    Start(usize),
    Poll(usize),
    GoAway(usize),
    Glance(usize),
    Update(usize),
    Drop(usize),
    Close,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => Just(Operation::Send),
        2 => any::<bool>().prop_map(Operation::Modify),
        2 => (0..4_usize).prop_map(Operation::Clone),
        1 => Just(Operation::Subscribe),
        5 => (0..4_usize).prop_map(Operation::Start),
        5 => (0..4_usize).prop_map(Operation::Poll),
        2 => (0..4_usize).prop_map(Operation::GoAway),
        3 => (0..4_usize).prop_map(Operation::Glance),
        2 => (0..4_usize).prop_map(Operation::Update),
        1 => (0..4_usize).prop_map(Operation::Drop),
        1 => Just(Operation::Close),
    ]
}

type Answer = (watch::Receiver<u64>, Result<(), RecvError>);

fn behaves_like_the_model(operations: Vec<Operation>) {
    break_as_told();
    in_task(|cx, _| {
        let (tx, rx) = watch::channel(0_u64);
        let mut tx = Some(tx);
        // The model: the last value, which is also the count of values; what each receiver has seen.
        let mut last = 0_u64;
        let mut idle = vec![(rx, 0)];
        let mut waiting: Vec<(Boxed<'_, Answer>, u64, Arc<Wakes>)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Send => {
                    let Some(tx) = &tx else { continue };
                    let sent = tx.send(last + 1);
                    assert_eq!(sent.is_ok(), !idle.is_empty() || !waiting.is_empty());
                    last += u64::from(sent.is_ok());
                }
                Operation::Modify(changed) => {
                    let Some(tx) = &mut tx else { continue };
                    let modified = tx.send_if_modified(|value| {
                        *value += 1;
                        changed
                    });
                    assert_eq!(modified, changed);
                    last += u64::from(changed);
                }
                Operation::Clone(i) if i < idle.len() && idle.len() < 4 => {
                    let clone = (idle[i].0.clone(), idle[i].1);
                    idle.push(clone);
                }
                Operation::Subscribe => {
                    let Some(tx) = &tx else { continue };
                    idle.push((tx.subscribe(), last));
                }
                Operation::Start(i) if i < idle.len() => {
                    let (mut rx, seen) = idle.remove(i);
                    let mut future: Boxed<'_, Answer> = Box::pin(async move {
                        let answer = rx.changed(cx).await;
                        (rx, answer)
                    });
                    let (wakes, waker) = Wakes::new();
                    match poll_with(&mut future, &waker) {
                        Poll::Ready((rx, answer)) => {
                            let expected =
                                if seen < last { Ok(()) } else { Err(RecvError::Closed) };
                            assert_eq!(answer, expected);
                            assert!(seen < last || tx.is_none());
                            idle.push((rx, last));
                        }
                        Poll::Pending => {
                            assert!(seen == last && tx.is_some(), "missed what was there");
                            waiting.push((future, seen, wakes));
                        }
                    }
                }
                Operation::Poll(i) if i < waiting.len() => {
                    let (mut future, seen, wakes) = waiting.remove(i);
                    match poll_with(&mut future, &wakes.clone().into()) {
                        Poll::Ready((rx, answer)) => {
                            let expected =
                                if seen < last { Ok(()) } else { Err(RecvError::Closed) };
                            assert_eq!(answer, expected);
                            idle.push((rx, last));
                        }
                        Poll::Pending => waiting.push((future, seen, wakes)),
                    }
                }
                Operation::GoAway(i) if i < waiting.len() => drop(waiting.remove(i)),
                Operation::Glance(i) if i < idle.len() => {
                    let (rx, seen) = &mut idle[i];
                    assert_eq!(*rx.borrow(), last);
                    assert_eq!((rx.has_changed(), rx.is_closed()), (*seen < last, tx.is_none()));
                    if once(rx.changed(cx)).is_ready() {
                        *seen = last;
                    }
                }
                Operation::Update(i) if i < idle.len() => {
                    assert_eq!(*idle[i].0.borrow_and_update(), last);
                    idle[i].1 = last;
                }
                Operation::Drop(i) if i < idle.len() => drop(idle.remove(i)),
                Operation::Close => drop(tx.take()),
                _ => {}
            }
            if let Some(tx) = &tx {
                assert_eq!(tx.receiver_count(), idle.len() + waiting.len());
            }
            for (_, seen, wakes) in &waiting {
                let due = *seen < last || tx.is_none();
                assert_eq!(wakes.count() > 0, due, "woken exactly when there is an answer");
            }
        }
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_value_and_a_count(operations in prop::collection::vec(operation(), 0..40)) {
        behaves_like_the_model(operations);
    }
}

fn break_as_told() {
    #[cfg(mutants)]
    asupersync_channel::mutant::set(host::broken_by(asupersync_channel::mutant::ALL));
}

#[cfg(mutants)]
#[test]
fn the_model_sees_its_mutants() {
    use asupersync_channel::mutant::Mutant;
    host::check_broken("behaves_like_a_value_and_a_count", Mutant::WatchClosesSilently);
}
