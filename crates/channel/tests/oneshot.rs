//! What the channel for one value promises.
#![cfg(not(loom))]

#[path = "../../sync/tests/support/host.rs"]
mod host;

use asupersync_channel::{RecvError, TryRecvError, oneshot};
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, once, poll, poll_with};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

#[test]
fn the_value_arrives_once() {
    in_task(|cx, _| {
        let (tx, mut rx) = oneshot::channel();
        let (wakes, waker) = Wakes::new();
        {
            let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
            assert!(poll_with(&mut receiving, &waker).is_pending());
            assert!(tx.reserve(cx).send(7).is_queued());
            assert_eq!(wakes.count(), 1);
            assert_eq!(poll(&mut receiving), Poll::Ready(Ok(7)));
        }
        assert_eq!(now(rx.recv(cx)), Err(RecvError::Closed));
    });
}

#[test]
fn a_sender_that_leaves_closes_the_channel_and_wakes_the_receiver() {
    in_task(|cx, _| {
        let (tx, mut rx) = oneshot::channel::<u8>();
        let (wakes, waker) = Wakes::new();
        let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
        assert!(poll_with(&mut receiving, &waker).is_pending());
        drop(tx.reserve(cx));
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll(&mut receiving), Poll::Ready(Err(RecvError::Closed)));
    });
}

#[test]
fn an_aborted_permit_gives_the_sender_back_and_leaves_the_channel_open() {
    in_task(|cx, _| {
        let (tx, mut rx) = oneshot::channel();
        let tx = tx.reserve(cx).abort().unwrap();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(tx.send(1), Ok(()));
        assert_eq!(rx.try_recv(), Ok(1));
    });
}

#[test]
fn a_value_sent_to_a_vanished_receiver_comes_back() {
    in_task(|cx, _| {
        let (mut tx, rx) = oneshot::channel();
        let (wakes, waker) = Wakes::new();
        {
            let mut closed: Boxed<'_, _> = Box::pin(tx.closed(cx));
            assert!(poll_with(&mut closed, &waker).is_pending());
            drop(rx);
            assert_eq!(wakes.count(), 1);
            assert!(poll(&mut closed).is_ready());
        }
        assert!(tx.is_closed());
        assert_eq!(tx.send(3), Err(3));
    });
}

#[test]
fn a_value_sent_before_close_can_still_be_received() {
    let (tx, mut rx) = oneshot::channel();
    tx.send(1).unwrap();
    rx.close();
    assert_eq!(rx.try_recv(), Ok(1));
}

#[test]
fn a_cancelled_receiver_leaves_the_value_where_it_is() {
    in_task(|cx, cancel| {
        let (tx, mut rx) = oneshot::channel();
        tx.send(1).unwrap();
        cancel();
        assert!(matches!(now(rx.recv(cx)), Err(RecvError::Cancelled(_))));
        assert_eq!(rx.try_recv(), Ok(1));
    });
}

#[test]
fn hostile_wakers_do_not_make_sending_fail_and_none_is_kept() {
    in_task(|cx, _| {
        let (tx, mut rx) = oneshot::channel();
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = dropped.clone();
        let waker = on_drop(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let mut receiving: Boxed<'_, _> = Box::pin(rx.recv(cx));
        assert!(poll_with(&mut receiving, &waker).is_pending());
        drop(waker);
        assert!(poll_with(&mut receiving, &on_wake(|| panic!("hostile"))).is_pending());
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "the replaced waker is gone");
        assert_eq!(tx.send(5), Ok(()));
        assert_eq!(poll(&mut receiving), Poll::Ready(Ok(5)));
    });
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Send,
    DropSender,
    Recv,
    TryRecv,
    Close,
    DropReceiver,
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_an_option_and_two_flags(operations in prop::collection::vec(
        prop::sample::select(vec![
            Operation::Send,
            Operation::DropSender,
            Operation::Recv,
            Operation::TryRecv,
            Operation::Close,
            Operation::DropReceiver,
        ]),
        0..8,
    )) {
        in_task(|cx, _| {
            let (tx, rx) = oneshot::channel();
            let (mut tx, mut rx) = (Some(tx), Some(rx));
            let (mut value, mut closed) = (None, false);
            for operation in operations {
                match operation {
                    Operation::Send => {
                        let Some(tx) = tx.take() else { continue };
                        if closed {
                            assert_eq!(tx.send(7), Err(7));
                        } else {
                            assert_eq!(tx.send(7), Ok(()));
                            value = Some(7);
                        }
                    }
                    Operation::DropSender => drop(tx.take()),
                    Operation::Recv | Operation::TryRecv => {
                        let Some(rx) = &mut rx else { continue };
                        let expected = match value.take() {
                            Some(value) => Some(Ok(value)),
                            None if closed || tx.is_none() => Some(Err(RecvError::Closed)),
                            None => None,
                        };
                        let got = if let Operation::Recv = operation {
                            match once(rx.recv(cx)) {
                                Poll::Ready(answer) => Some(answer),
                                Poll::Pending => None,
                            }
                        } else {
                            match rx.try_recv() {
                                Ok(value) => Some(Ok(value)),
                                Err(TryRecvError::Closed) => Some(Err(RecvError::Closed)),
                                Err(TryRecvError::Empty) => None,
                            }
                        };
                        assert_eq!(got, expected);
                    }
                    Operation::Close => {
                        let Some(rx) = &mut rx else { continue };
                        rx.close();
                        closed = true;
                    }
                    Operation::DropReceiver => {
                        drop(rx.take());
                        closed = true;
                        value = None;
                    }
                }
            }
        });
    }
}
