//! Channel operations of threads that have no context.
#![cfg(not(loom))]
#![expect(clippy::disallowed_methods, reason = "these operations are for plain threads")]

#[path = "../../sync/tests/support/host.rs"]
mod host;

use asupersync_channel::{RecvError, SendError, broadcast, mpsc, oneshot, watch};
use host::{in_task, now};
use std::thread;

#[test]
fn threads_pass_every_message_through_a_channel_of_one() {
    let (tx, mut rx) = mpsc::channel(1);
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let tx = tx.clone();
            thread::spawn(move || (0..500).for_each(|n| tx.blocking_send(n).unwrap()))
        })
        .collect();
    drop(tx);
    let mut sum = 0;
    let mut messages = Vec::new();
    while let Ok(n) = rx.blocking_recv() {
        sum += n;
        if n % 10 == 0 && rx.blocking_recv_many(&mut messages, 3).is_ok() {
            assert!((1..=3).contains(&messages.len()));
            sum += messages.drain(..).sum::<i32>();
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert_eq!(sum, 2 * (0..500).sum::<i32>());
}

#[test]
fn a_parked_thread_hears_the_other_end_leave() {
    let (tx, rx) = mpsc::channel(1);
    tx.try_send(0).unwrap();
    let sender = thread::spawn(move || tx.blocking_send(1).unwrap_err());
    drop(rx);
    let unsent = sender.join().unwrap();
    assert_eq!((unsent.value, unsent.error), (1, SendError::Closed));

    let (tx, mut rx) = oneshot::channel::<u8>();
    let receiver = thread::spawn(move || rx.blocking_recv());
    drop(tx);
    assert_eq!(receiver.join().unwrap(), Err(RecvError::Closed));
}

#[test]
fn one_value_every_message_and_the_last_value_reach_parked_threads() {
    let (tx, mut rx) = oneshot::channel();
    let receiver = thread::spawn(move || rx.blocking_recv());
    tx.send(7).unwrap();
    assert_eq!(receiver.join().unwrap(), Ok(7));

    let (tx, mut rx) = broadcast::channel(2);
    let receiver = thread::spawn(move || [rx.blocking_recv(), rx.blocking_recv()]);
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!(receiver.join().unwrap(), [Ok(1), Err(broadcast::RecvError::Closed)]);

    let (tx, mut rx) = watch::channel(0);
    let receiver = thread::spawn(move || rx.blocking_changed().map(|()| *rx.borrow()));
    tx.send(3).unwrap();
    assert_eq!(receiver.join().unwrap(), Ok(3));
}

#[test]
fn a_blocking_operation_that_would_stop_a_task_panics_and_leaves_the_channel_as_it_was() {
    in_task(|cx, _| {
        let (tx, mut rx) = mpsc::channel(1);
        tx.blocking_send(1).unwrap();
        let refused = |work: &mut dyn FnMut()| {
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
        };
        refused(&mut || tx.blocking_send(2).unwrap());
        assert_eq!(rx.blocking_recv(), Ok(1), "what is there can be had");
        refused(&mut || assert!(rx.blocking_recv().is_err()));
        now(tx.reserve(cx)).unwrap().send(3);
        assert_eq!(rx.try_recv(), Ok(3));
    });
}
