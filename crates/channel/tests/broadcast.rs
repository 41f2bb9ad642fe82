//! What the channel to every subscriber promises.
#![cfg(not(loom))]

#[path = "../../sync/tests/support/host.rs"]
mod host;

use asupersync_channel::broadcast::{self, Receiver, RecvError, Sender, TryRecvError};
use futures_core::Stream;
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, once, poll, poll_with};
use proptest::prelude::*;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

#[test]
fn every_receiver_gets_every_message_in_order() {
    in_task(|cx, _| {
        let (tx, mut one) = broadcast::channel(4);
        let mut two = tx.subscribe();
        for n in 0..3 {
            assert_eq!(tx.send(n), Ok(2));
        }
        drop(tx);
        for rx in [&mut one, &mut two] {
            for n in 0..3 {
                assert_eq!(now(rx.recv(cx)), Ok(n));
            }
            assert_eq!(now(rx.recv(cx)), Err(RecvError::Closed));
        }
    });
}

#[test]
fn a_slow_receiver_is_told_how_many_it_missed_and_goes_on_with_the_oldest() {
    in_task(|cx, _| {
        let (tx, mut slow) = broadcast::channel(2);
        let mut quick = tx.subscribe();
        for n in 0..5 {
            tx.send(n).unwrap();
            assert_eq!(now(quick.recv(cx)), Ok(n));
        }
        assert_eq!(slow.len(), 2);
        assert_eq!(now(slow.recv(cx)), Err(RecvError::Lagged(3)));
        assert_eq!(now(slow.recv(cx)), Ok(3));
        assert_eq!(slow.try_recv(), Ok(4));
        assert_eq!(slow.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_message_is_dropped_once_everybody_has_it_or_has_left() {
    let message = Arc::new(());
    let (tx, mut one) = broadcast::channel(4);
    let two = tx.subscribe();
    tx.send(message.clone()).unwrap();
    tx.send(message.clone()).unwrap();
    drop(one.try_recv());
    assert_eq!(tx.len(), 2);
    drop(two);
    assert_eq!((tx.len(), Arc::strong_count(&message)), (1, 2));
    drop(one.try_recv());
    assert_eq!(Arc::strong_count(&message), 1);
    drop(one);
    assert!(tx.send(message.clone()).is_err(), "handed back");
    assert_eq!(Arc::strong_count(&message), 1);
}

#[test]
fn weak_senders_do_not_keep_the_channel_open() {
    let (tx, mut rx) = broadcast::channel(1);
    let weak = tx.downgrade();
    let again = weak.upgrade().unwrap();
    assert!(again.same_channel(&tx) && rx.same_channel(&tx.subscribe()));
    drop(tx);
    assert!(!rx.is_closed());
    again.send(1).unwrap();
    drop(again);
    assert!(rx.is_closed() && weak.upgrade().is_none());
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn a_subscriber_gets_what_is_sent_after_it_came() {
    let (tx, mut old) = broadcast::channel(4);
    tx.send(1).unwrap();
    let mut new = old.resubscribe();
    tx.send(2).unwrap();
    assert_eq!((old.try_recv(), new.try_recv()), (Ok(1), Ok(2)));
}

#[test]
fn a_cancelled_receiver_leaves_its_message_where_it_is() {
    in_task(|cx, cancel| {
        let (tx, mut rx) = broadcast::channel(4);
        let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
        assert!(poll(&mut receiving).is_pending());
        tx.send(1).unwrap();
        cancel();
        let answer = poll(&mut receiving);
        assert!(matches!(answer, Poll::Ready(Err(RecvError::Cancelled(_)))), "in one poll");
        drop(receiving);
        assert_eq!(rx.try_recv(), Ok(1));
    });
}

#[test]
fn a_dropped_receive_leaves_no_waker_behind() {
    break_as_told();
    in_task(|cx, _| {
        let (_tx, mut rx) = broadcast::channel::<u8>(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = dropped.clone();
        let waker = on_drop(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
        assert!(poll_with(&mut receiving, &waker).is_pending());
        drop(waker);
        drop(receiving);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn hostile_wakers_keep_nobody_from_hearing() {
    in_task(|cx, _| {
        let (tx, mut one) = broadcast::channel(2);
        let (mut two, mut three) = (tx.subscribe(), tx.subscribe());
        let (wakes, waker) = Wakes::new();
        let back = tx.clone();
        let reenter = on_wake(move || drop(back.subscribe()));
        let mut first: Boxed<'_, _> = Box::pin(one.recv(cx));
        let mut second: Boxed<'_, _> = Box::pin(two.recv(cx));
        let mut third: Boxed<'_, _> = Box::pin(three.recv(cx));
        assert!(poll_with(&mut first, &on_wake(|| panic!("hostile"))).is_pending());
        assert!(poll_with(&mut second, &reenter).is_pending());
        assert!(poll_with(&mut third, &waker).is_pending());
        assert_eq!(tx.send(7), Ok(3));
        assert_eq!(wakes.count(), 1);
        for future in [&mut first, &mut second, &mut third] {
            assert_eq!(poll(future), Poll::Ready(Ok(7)));
        }
    });
}

#[test]
fn a_message_that_calls_back_when_cloned_or_dropped_finds_the_channel_unlocked() {
    struct Foreign(Sender<Foreign>);
    impl Clone for Foreign {
        fn clone(&self) -> Foreign {
            Foreign(self.0.clone())
        }
    }
    impl Drop for Foreign {
        fn drop(&mut self) {
            let _ = self.0.len();
        }
    }
    let (tx, mut one) = broadcast::channel(1);
    let two = tx.subscribe();
    for _ in 0..2 {
        assert!(tx.send(Foreign(tx.clone())).is_ok());
    }
    assert!(matches!(one.try_recv(), Err(TryRecvError::Lagged(1))));
    drop(one.try_recv());
    drop(two);
    assert!(tx.is_empty());
}

#[test]
fn a_receiver_is_a_stream_that_tells_what_it_missed_and_ends_when_closed() {
    let (tx, mut rx) = broadcast::channel(1);
    let (wakes, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut rx).poll_next(&mut context).is_pending());
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!(wakes.count(), 1);
    assert_eq!(Pin::new(&mut rx).poll_next(&mut context), Poll::Ready(Some(Err(1))));
    assert_eq!(Pin::new(&mut rx).poll_next(&mut context), Poll::Ready(Some(Ok(2))));
    drop(tx);
    assert_eq!(Pin::new(&mut rx).poll_next(&mut context), Poll::Ready(None));
}

#[derive(Clone, Debug)]
enum Operation {
    Send,
    Subscribe,
    Start(usize),
    Poll(usize),
    GoAway(usize),
    TryRecv(usize),
    Glance(usize),
    Drop(usize),
    Close,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => Just(Operation::Send),
        2 => Just(Operation::Subscribe),
        5 => (0..4_usize).prop_map(Operation::Start),
        5 => (0..4_usize).prop_map(Operation::Poll),
        2 => (0..4_usize).prop_map(Operation::GoAway),
        5 => (0..4_usize).prop_map(Operation::TryRecv),
        2 => (0..4_usize).prop_map(Operation::Glance),
        1 => (0..4_usize).prop_map(Operation::Drop),
        1 => Just(Operation::Close),
    ]
}

/// All messages ever sent, so that message `n` is `n`; who has had how many decides the rest.
struct Model {
    capacity: u64,
    sent: u64,
    closed: bool,
}

impl Model {
    /// What a receiver hears whose next message is `next`, and its next one then.
    fn receive(&self, next: &mut u64) -> Option<Result<u64, RecvError>> {
        let oldest = self.sent.saturating_sub(self.capacity);
        if *next < oldest {
            let missed = oldest - *next;
            *next = oldest;
            return Some(Err(RecvError::Lagged(missed)));
        }
        if *next < self.sent {
            *next += 1;
            return Some(Ok(*next - 1));
        }
        self.closed.then_some(Err(RecvError::Closed))
    }
}

type Answer = (Receiver<u64>, Result<u64, RecvError>);

fn behaves_like_the_model(capacity: usize, operations: Vec<Operation>) {
    break_as_told();
    in_task(move |cx, _| {
        let (tx, rx) = broadcast::channel(capacity);
        let mut tx = Some(tx);
        let mut model = Model { capacity: capacity as u64, sent: 0, closed: false };
        let mut idle = vec![(rx, 0)];
        let mut waiting: Vec<(Boxed<'_, Answer>, u64, Arc<Wakes>)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Send => {
                    let Some(tx) = &tx else { continue };
                    let receivers = idle.len() + waiting.len();
                    let expected = if receivers == 0 { Err(model.sent) } else { Ok(receivers) };
                    assert_eq!(tx.send(model.sent), expected);
                    model.sent += u64::from(expected.is_ok());
                }
                Operation::Subscribe => {
                    let Some(tx) = &tx else { continue };
                    idle.push((tx.subscribe(), model.sent));
                }
                Operation::Start(i) if i < idle.len() => {
                    let (mut rx, mut next) = idle.remove(i);
                    let mut future: Boxed<'_, Answer> = Box::pin(async move {
                        let answer = rx.recv(cx).await;
                        (rx, answer)
                    });
                    let (wakes, waker) = Wakes::new();
                    let expected = model.receive(&mut next);
                    match poll_with(&mut future, &waker) {
                        Poll::Ready((rx, answer)) => {
                            assert_eq!(Some(answer), expected);
                            idle.push((rx, next));
                        }
                        Poll::Pending => {
                            assert_eq!(expected, None);
                            waiting.push((future, next, wakes));
                        }
                    }
                }
                Operation::Poll(i) if i < waiting.len() => {
                    let (mut future, mut next, wakes) = waiting.remove(i);
                    let expected = model.receive(&mut next);
                    match poll_with(&mut future, &wakes.clone().into()) {
                        Poll::Ready((rx, answer)) => {
                            assert_eq!(Some(answer), expected);
                            idle.push((rx, next));
                        }
                        Poll::Pending => {
                            assert_eq!(expected, None);
                            waiting.push((future, next, wakes));
                        }
                    }
                }
                Operation::GoAway(i) if i < waiting.len() => drop(waiting.remove(i)),
                Operation::TryRecv(i) if i < idle.len() => {
                    let (rx, next) = &mut idle[i];
                    let expected = match model.receive(next) {
                        Some(Ok(n)) => Ok(n),
                        Some(Err(RecvError::Lagged(missed))) => Err(TryRecvError::Lagged(missed)),
                        Some(Err(_)) => Err(TryRecvError::Closed),
                        None => Err(TryRecvError::Empty),
                    };
                    assert_eq!(rx.try_recv(), expected);
                }
                Operation::Glance(i) if i < idle.len() => {
                    // Waits for nothing, and stops waiting at once.
                    let (rx, next) = &mut idle[i];
                    if *next == model.sent && !model.closed {
                        assert!(once(rx.recv(cx)).is_pending());
                    }
                }
                Operation::Drop(i) if i < idle.len() => drop(idle.remove(i)),
                Operation::Close => {
                    model.closed = true;
                    drop(tx.take());
                }
                _ => {}
            }
            let nexts = idle.iter().map(|(_, next)| *next);
            let slowest = nexts.chain(waiting.iter().map(|(_, next, _)| *next)).min();
            let kept = slowest.map_or(0, |next| (model.sent - next).min(model.capacity));
            if let Some(tx) = &tx {
                assert_eq!(tx.len() as u64, kept, "kept for the slowest receiver and no longer");
            }
            for (_, next, wakes) in &waiting {
                let due = *next < model.sent || model.closed;
                assert_eq!(wakes.count() > 0, due, "woken exactly when there is an answer");
            }
        }
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_log_and_a_place_in_it(
        capacity in 1..5_usize,
        operations in prop::collection::vec(operation(), 0..50),
    ) {
        behaves_like_the_model(capacity, operations);
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
    let model = "behaves_like_a_log_and_a_place_in_it";
    host::check_broken(model, Mutant::LagNotReported);
    host::check_broken(model, Mutant::LastBroadcasterLeavesSilently);
    host::check_broken(
        "a_dropped_receive_leaves_no_waker_behind",
        Mutant::BroadcastWaiterLeftInLine,
    );
}
