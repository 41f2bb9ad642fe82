//! What the queue from many senders to one receiver promises.
#![cfg(not(loom))]

#[path = "../../sync/tests/support/host.rs"]
mod host;

use asupersync_channel::mpsc::{self, OwnedPermit, Receiver, Sender, SenderSink};
use asupersync_channel::{RecvError, SendError, TryRecvError, TrySendError};
use asupersync_core::TaskCx;
use futures_core::Stream;
use futures_sink::Sink;
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, once, poll, poll_with};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

type Reserving<'a, T> = Boxed<'a, Result<OwnedPermit<T>, SendError>>;

fn reserving<'a, T>(sender: &'a Sender<T>, cx: &'a TaskCx) -> Reserving<'a, T> {
    Box::pin(sender.reserve_owned(cx))
}

#[test]
fn messages_come_out_in_the_order_they_were_sent() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(4);
        now(tx.reserve(cx)).unwrap().send(1);
        now(tx.send(cx, 2)).unwrap();
        tx.try_send(3).unwrap();
        tx.try_reserve(cx).unwrap().send(4);
        assert!(matches!(tx.try_send(5), Err(TrySendError::Full(5))));
        assert_eq!(rx.len(), 4);
        for n in 1..=4 {
            assert_eq!(now(rx.recv(cx)), Ok(n));
        }
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        drop(tx);
        assert_eq!(now(rx.recv(cx)), Err(RecvError::Closed));
    });
}

#[test]
fn capacity_counts_what_the_receiver_took_in_one_go_but_has_not_received() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(2);
        tx.try_send(1).unwrap();
        tx.try_send(2).unwrap();
        assert_eq!(now(rx.recv(cx)), Ok(1));
        tx.try_send(3).unwrap();
        assert!(tx.try_send(4).is_err());
        assert_eq!((tx.in_flight(), rx.len()), (2, 2));
    });
}

#[test]
fn a_permit_that_is_dropped_or_aborted_gives_its_capacity_to_the_next_sender() {
    in_task(|cx, _| {
        let (tx, _rx) = mpsc::channel::<u8>(1);
        let permit = now(tx.reserve(cx)).unwrap();
        let (mut first, mut second) = (reserving(&tx, cx), reserving(&tx, cx));
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut second).is_pending());
        permit.abort();
        assert!(tx.try_reserve(cx).is_err(), "nobody overtakes");
        let Poll::Ready(Ok(permit)) = poll(&mut first) else { panic!("not handed over") };
        drop(permit);
        assert!(poll(&mut second).is_ready());
        drop(second);
        assert_eq!(tx.in_flight(), 0);
    });
}

#[test]
fn permits_reserved_together_are_sent_one_by_one_and_the_rest_comes_back() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(3);
        let mut permits = now(tx.reserve_many(cx, 3)).unwrap();
        assert!(tx.try_reserve(cx).is_err());
        assert!(permits.send(1).unwrap().is_queued());
        assert_eq!(permits.left(), 2);
        drop(permits);
        assert_eq!(tx.in_flight(), 1);
        let mut permits = now(tx.reserve_many(cx, 1)).unwrap();
        permits.send(2).unwrap();
        assert_eq!(permits.send(3), Err(3));
        let mut messages = vec![0];
        assert_eq!(now(rx.recv_many(cx, &mut messages, 9)), Ok(2));
        assert_eq!(messages, [0, 1, 2]);
        let error = now(tx.reserve_many(cx, 4)).unwrap_err();
        assert_eq!(error, SendError::TooMany { asked: 4, capacity: 3 });
    });
}

#[test]
fn receiving_many_takes_what_is_there_up_to_the_bound() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::unbounded();
        let mut messages = Vec::new();
        assert_eq!(now(rx.recv_many(cx, &mut messages, 0)), Ok(0));
        for n in 0..5 {
            tx.try_send(n).unwrap();
        }
        assert_eq!(now(rx.recv(cx)), Ok(0));
        tx.try_send(5).unwrap();
        assert_eq!(now(rx.recv_many(cx, &mut messages, 2)), Ok(2));
        assert_eq!(now(rx.recv_many(cx, &mut messages, 10)), Ok(3), "both halves at once");
        assert_eq!(messages, [1, 2, 3, 4, 5]);
        drop(tx);
        assert_eq!(now(rx.recv_many(cx, &mut messages, 1)), Err(RecvError::Closed));
    });
}

#[test]
fn a_closed_channel_gives_no_permits_but_delivers_what_is_out() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(2);
        let permit = now(tx.reserve(cx)).unwrap();
        tx.try_send(1).unwrap();
        rx.close();
        assert_eq!(now(tx.reserve(cx)).unwrap_err(), SendError::Closed);
        assert!(matches!(tx.try_send(9), Err(TrySendError::Closed(9))));
        let unsent = now(tx.send(cx, 9)).unwrap_err();
        assert_eq!((unsent.value, unsent.error), (9, SendError::Closed));
        assert_eq!(now(rx.recv(cx)), Ok(1));
        assert!(once(rx.recv(cx)).is_pending());
        assert!(permit.send(2).is_queued());
        assert_eq!(now(rx.recv(cx)), Ok(2));
        assert_eq!(now(rx.recv(cx)), Err(RecvError::Closed));
    });
}

#[test]
fn the_last_permit_of_a_closed_channel_wakes_the_receiver() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel::<u8>(1);
        let permit = now(tx.reserve(cx)).unwrap();
        rx.close();
        let (wakes, waker) = Wakes::new();
        let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
        assert!(poll_with(&mut receiving, &waker).is_pending());
        drop(permit);
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll(&mut receiving), Poll::Ready(Err(RecvError::Closed)));
    });
}

#[test]
fn a_value_sent_to_a_vanished_receiver_comes_back() {
    in_task(|cx, _| {
        let (tx, rx) = mpsc::channel(1);
        let permit = now(tx.reserve(cx)).unwrap();
        drop(rx);
        assert_eq!(permit.send(7).handed_back(), Some(7));
        assert!(tx.is_closed());
        assert_eq!(tx.in_flight(), 0);
    });
}

#[test]
fn a_cancelled_sender_keeps_its_value_and_a_cancelled_receiver_its_messages() {
    in_task(|cx, cancel| {
        let (tx, mut rx) = mpsc::channel(1);
        tx.try_send(1).unwrap();
        let mut sending: Boxed<'_, _> = Box::pin(tx.send(cx, 2));
        assert!(poll(&mut sending).is_pending());
        cancel();
        let Poll::Ready(Err(unsent)) = poll(&mut sending) else { panic!("answers in one poll") };
        assert_eq!(unsent.value, 2);
        assert!(matches!(unsent.error, SendError::Cancelled(_)));
        assert!(matches!(now(rx.recv(cx)), Err(RecvError::Cancelled(_))));
        assert_eq!(rx.try_recv(), Ok(1));
        drop(sending);
        assert_eq!(tx.in_flight(), 0);
    });
}

#[test]
fn weak_senders_do_not_keep_the_channel_open() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel::<u8>(1);
        let weak = tx.downgrade();
        let again = weak.upgrade().unwrap();
        assert!(again.same_channel(&tx));
        drop((tx, again));
        assert_eq!(now(rx.recv(cx)), Err(RecvError::Closed));
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn a_dropped_receive_leaves_no_waker_behind() {
    in_task(|cx, _| {
        let (_tx, mut rx) = mpsc::channel::<u8>(1);
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
fn a_receiver_is_a_stream_that_ends_when_closed() {
    let (tx, mut rx) = mpsc::channel(2);
    let (wakes, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut rx).poll_next(&mut context).is_pending());
    tx.try_send(1).unwrap();
    assert_eq!(wakes.count(), 1);
    assert_eq!(Pin::new(&mut rx).poll_next(&mut context), Poll::Ready(Some(1)));
    drop(tx);
    assert_eq!(Pin::new(&mut rx).poll_next(&mut context), Poll::Ready(None));
}

#[test]
fn a_sink_reserves_when_ready_and_commits_when_it_sends() {
    let (tx, mut rx) = mpsc::channel(1);
    let other = tx.clone();
    let (wakes, waker) = Wakes::new();
    let context = &mut Context::from_waker(&waker);
    let mut sink = tx.into_sink();
    let ready =
        |sink: &mut SenderSink<i32>, context: &mut Context<'_>| Pin::new(sink).poll_ready(context);
    assert_eq!(ready(&mut sink, context), Poll::Ready(Ok(())));
    assert_eq!(ready(&mut sink, context), Poll::Ready(Ok(())), "one place, however often asked");
    assert!(other.try_send(9).is_err());
    assert_eq!(Pin::new(&mut sink).start_send(1), Ok(()));
    assert!(ready(&mut sink, context).is_pending());
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(wakes.count(), 1);
    assert_eq!(ready(&mut sink, context), Poll::Ready(Ok(())));
    drop(sink);
    assert_eq!(other.in_flight(), 0, "what was reserved and not used comes back");

    let mut sink = other.into_sink();
    assert_eq!(ready(&mut sink, context), Poll::Ready(Ok(())));
    assert_eq!(Pin::new(&mut sink).poll_close(context), Poll::Ready(Ok(())));
    assert_eq!(ready(&mut sink, context), Poll::Ready(Err(SendError::Closed)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn a_sink_that_leaves_the_line_passes_its_capacity_on() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(1);
        tx.try_send(1).unwrap();
        let mut sink = tx.clone().into_sink();
        let context = &mut Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut sink).poll_ready(context).is_pending());
        let mut behind = reserving(&tx, cx);
        assert!(poll(&mut behind).is_pending());
        assert_eq!(rx.try_recv(), Ok(1));
        assert!(poll(&mut behind).is_pending(), "the sink is first");
        drop(sink.into_sender());
        assert!(poll(&mut behind).is_ready());
    });
}

#[test]
fn a_waker_that_panics_does_not_make_sending_fail() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(1);
        let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
        assert!(poll_with(&mut receiving, &on_wake(|| panic!("hostile"))).is_pending());
        assert!(now(tx.reserve(cx)).unwrap().send(1).is_queued());
        assert_eq!(poll(&mut receiving), Poll::Ready(Ok(1)));
    });
}

#[test]
fn a_waker_may_call_back_into_the_channel() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(2);
        let back = {
            let tx = tx.clone();
            move || tx.try_send(2).unwrap()
        };
        let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
        assert!(poll_with(&mut receiving, &on_wake(back)).is_pending());
        tx.try_send(1).unwrap();
        assert_eq!(poll(&mut receiving), Poll::Ready(Ok(1)));
        drop(receiving);
        assert_eq!(rx.try_recv(), Ok(2));
    });
}

/// A message that counts how many of its kind are alive.
struct Counted(u32, Arc<AtomicUsize>);

impl Counted {
    fn new(n: u32, alive: &Arc<AtomicUsize>) -> Counted {
        alive.fetch_add(1, Ordering::SeqCst);
        Counted(n, alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn messages_die_with_the_receiver_even_if_they_hold_a_sender() {
    #[expect(dead_code, reason = "held for their drops")]
    struct Holder(Sender<Holder>, Counted);
    let alive = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = mpsc::unbounded();
    let message = Holder(tx.clone(), Counted::new(0, &alive));
    assert!(tx.try_send(message).is_ok());
    drop(tx);
    drop(rx);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[derive(Clone, Debug)]
enum Operation {
    Start,
    Poll(usize),
    GoAway(usize),
    Send(usize),
    DropPermit(usize),
    TrySend,
    Recv,
    RecvMany(usize),
    TryRecv,
    Close,
    DropReceiver,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => Just(Operation::Start),
        8 => (0..6_usize).prop_map(Operation::Poll),
        4 => (0..6_usize).prop_map(Operation::GoAway),
        12 => (0..6_usize).prop_map(Operation::Send),
        3 => (0..6_usize).prop_map(Operation::DropPermit),
        4 => Just(Operation::TrySend),
        8 => Just(Operation::Recv),
        2 => (1..4_usize).prop_map(Operation::RecvMany),
        4 => Just(Operation::TryRecv),
        1 => Just(Operation::Close),
        1 => Just(Operation::DropReceiver),
    ]
}

#[derive(Default)]
struct Model {
    free: usize,
    line: VecDeque<u32>,
    granted: Vec<u32>,
    sent_home: Vec<u32>,
    permits: usize,
    queue: VecDeque<u32>,
    closed: bool,
    gone: bool,
}

impl Model {
    fn give(&mut self, n: usize) {
        self.free += n;
        while self.free > 0 && !self.line.is_empty() {
            self.free -= 1;
            self.granted.extend(self.line.pop_front());
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.sent_home.extend(self.line.drain(..));
    }

    fn finished(&self) -> bool {
        self.closed && self.queue.is_empty() && self.permits == 0 && self.granted.is_empty()
    }

    fn receive(&mut self) -> Option<u32> {
        let message = self.queue.pop_front()?;
        self.give(1);
        Some(message)
    }

    fn answered(&self, id: u32) -> bool {
        self.granted.contains(&id) || self.sent_home.contains(&id)
    }
}

fn behaves_like_the_model(capacity: usize, operations: Vec<Operation>) {
    break_as_told();
    in_task(move |cx, _| {
        let alive = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = mpsc::channel::<Counted>(capacity);
        let mut rx: Option<Receiver<Counted>> = Some(rx);
        let mut model = Model { free: capacity, ..Model::default() };
        let mut waiters: Vec<(u32, Reserving<'_, Counted>, Arc<Wakes>)> = Vec::new();
        let mut permits: Vec<OwnedPermit<Counted>> = Vec::new();
        let (mut next_waiter, mut next_message) = (0, 0);
        for operation in operations {
            match operation {
                Operation::Start => {
                    let (id, mut future) = (next_waiter, reserving(&tx, cx));
                    next_waiter += 1;
                    let (wakes, waker) = Wakes::new();
                    let answer = poll_with(&mut future, &waker);
                    if model.closed {
                        assert!(matches!(answer, Poll::Ready(Err(SendError::Closed))));
                    } else if model.free > 0 {
                        let Poll::Ready(Ok(permit)) = answer else {
                            panic!("waits for free capacity")
                        };
                        model.free -= 1;
                        model.permits += 1;
                        permits.push(permit);
                    } else {
                        assert!(answer.is_pending(), "reserved beyond capacity");
                        model.line.push_back(id);
                        waiters.push((id, future, wakes));
                    }
                }
                Operation::Poll(i) if i < waiters.len() => {
                    let id = waiters[i].0;
                    let waker = Arc::clone(&waiters[i].2).into();
                    match poll_with(&mut waiters[i].1, &waker) {
                        Poll::Ready(Ok(permit)) => {
                            assert!(model.granted.contains(&id), "reserved out of turn");
                            model.granted.retain(|other| *other != id);
                            model.permits += 1;
                            permits.push(permit);
                            drop(waiters.remove(i));
                        }
                        Poll::Ready(Err(error)) => {
                            assert_eq!(error, SendError::Closed);
                            assert!(model.sent_home.contains(&id));
                            drop(waiters.remove(i));
                        }
                        Poll::Pending => assert!(!model.answered(id), "missed its answer"),
                    }
                }
                Operation::GoAway(i) if i < waiters.len() => {
                    let (id, future, _) = waiters.remove(i);
                    drop(future);
                    model.line.retain(|other| *other != id);
                    if model.granted.contains(&id) {
                        model.granted.retain(|other| *other != id);
                        model.give(1);
                    }
                }
                Operation::Send(i) if i < permits.len() => {
                    let delivery = permits.remove(i).send(Counted::new(next_message, &alive));
                    model.permits -= 1;
                    assert_eq!(delivery.is_queued(), !model.gone);
                    if model.gone {
                        assert_eq!(delivery.handed_back().unwrap().0, next_message);
                        model.free += 1;
                    } else {
                        model.queue.push_back(next_message);
                    }
                    next_message += 1;
                }
                Operation::DropPermit(i) if i < permits.len() => {
                    drop(permits.remove(i));
                    model.permits -= 1;
                    model.give(1);
                }
                Operation::TrySend => {
                    let sent = tx.try_send(Counted::new(next_message, &alive));
                    if model.closed {
                        assert!(matches!(sent, Err(TrySendError::Closed(_))));
                    } else if model.free > 0 {
                        assert!(sent.is_ok());
                        model.free -= 1;
                        model.queue.push_back(next_message);
                    } else {
                        assert!(matches!(sent, Err(TrySendError::Full(_))));
                    }
                    next_message += 1;
                }
                Operation::Recv => {
                    let Some(rx) = &mut rx else { continue };
                    let answer = once(rx.recv(cx));
                    match answer {
                        Poll::Ready(Ok(message)) => assert_eq!(model.receive(), Some(message.0)),
                        Poll::Ready(Err(error)) => {
                            assert_eq!(error, RecvError::Closed);
                            assert!(model.finished());
                        }
                        Poll::Pending => assert!(model.queue.is_empty() && !model.finished()),
                    }
                }
                Operation::RecvMany(max) => {
                    let Some(rx) = &mut rx else { continue };
                    let mut messages = Vec::new();
                    let answer = once(rx.recv_many(cx, &mut messages, max));
                    match answer {
                        Poll::Ready(Ok(n)) => {
                            assert_eq!(n, model.queue.len().min(max));
                            assert!(n > 0);
                            for message in &messages {
                                assert_eq!(model.queue.pop_front(), Some(message.0));
                            }
                            model.give(n);
                        }
                        Poll::Ready(Err(_)) => assert!(model.finished()),
                        Poll::Pending => assert!(model.queue.is_empty() && !model.finished()),
                    }
                }
                Operation::TryRecv => {
                    let Some(rx) = &mut rx else { continue };
                    match rx.try_recv() {
                        Ok(message) => assert_eq!(model.receive(), Some(message.0)),
                        Err(TryRecvError::Closed) => assert!(model.finished()),
                        Err(TryRecvError::Empty) => {
                            assert!(model.queue.is_empty() && !model.finished());
                        }
                    }
                }
                Operation::Close => {
                    let Some(rx) = &mut rx else { continue };
                    rx.close();
                    model.close();
                }
                Operation::DropReceiver => {
                    if rx.take().is_some() {
                        model.close();
                        model.gone = true;
                        model.queue.clear();
                    }
                }
                Operation::Poll(_)
                | Operation::GoAway(_)
                | Operation::Send(_)
                | Operation::DropPermit(_) => {}
            }
            assert_eq!(
                alive.load(Ordering::SeqCst),
                model.queue.len(),
                "a message lost or doubled"
            );
            if let Some(rx) = &rx {
                assert_eq!(rx.len(), model.queue.len());
                assert_eq!(tx.in_flight(), capacity - model.free);
            }
            for (id, _, wakes) in &waiters {
                assert_eq!(wakes.count() > 0, model.answered(*id), "woken exactly when answered");
            }
        }
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_line_and_a_queue(
        capacity in 1..4_usize,
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
    for mutant in [Mutant::DroppedPermitKeepsSlot, Mutant::NotHandedBack] {
        host::check_broken("behaves_like_a_line_and_a_queue", mutant);
    }
}
