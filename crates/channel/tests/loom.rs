//! Two-thread stories, in all their interleavings: `RUSTFLAGS="--cfg loom" cargo test --release`.
//!
//! With `--cfg mutants` too, each story is also told with the channel broken in the way it is there
//! to catch, and must fail.
#![cfg(loom)]

#[path = "../../sync/tests/support/host.rs"]
mod host;

use asupersync_channel::{RecvError, broadcast, mpsc, oneshot, watch};
use host::in_task;
use loom::future::block_on;
use loom::thread;

/// Runs `story` in every interleaving with at most three preemptions.
fn check(story: fn()) {
    #[cfg(mutants)]
    asupersync_channel::mutant::set(host::broken_by(asupersync_channel::mutant::ALL));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.max_branches = 20_000;
    model.check(story);
}

fn a_sender_waits_for_the_one_slot_and_gets_it() {
    let (tx, mut rx) = mpsc::channel(1);
    let sender = thread::spawn(move || {
        in_task(move |cx, _| {
            for n in [1, 2] {
                let _ = block_on(tx.reserve(cx)).unwrap().send(n);
            }
        });
    });
    in_task(move |cx, _| {
        assert_eq!(block_on(rx.recv(cx)), Ok(1));
        assert_eq!(block_on(rx.recv(cx)), Ok(2));
        assert_eq!(block_on(rx.recv(cx)), Err(RecvError::Closed));
    });
    sender.join().unwrap();
}

fn a_receiver_on_its_way_to_sleep_hears_the_message() {
    let (tx, mut rx) = mpsc::channel(1);
    let sender = thread::spawn(move || {
        tx.try_send(1).unwrap();
        tx
    });
    in_task(move |cx, _| assert_eq!(block_on(rx.recv(cx)), Ok(1)));
    sender.join().unwrap();
}

fn a_receiver_hears_the_last_sender_leave() {
    let (tx, mut rx) = mpsc::channel::<u8>(1);
    let sender = thread::spawn(move || drop(tx));
    in_task(move |cx, _| assert_eq!(block_on(rx.recv(cx)), Err(RecvError::Closed)));
    sender.join().unwrap();
}

fn a_receiver_of_a_closed_channel_hears_the_last_permit_come_home() {
    let (tx, mut rx) = mpsc::channel::<u8>(1);
    let kept = tx.clone();
    let sender = thread::spawn(move || {
        in_task(move |cx, _| {
            if let Ok(permit) = tx.try_reserve(cx) {
                drop(permit);
            }
        });
    });
    rx.close();
    in_task(move |cx, _| assert_eq!(block_on(rx.recv(cx)), Err(RecvError::Closed)));
    sender.join().unwrap();
    drop(kept);
}

fn a_message_racing_with_the_receivers_end_is_taken_or_handed_back() {
    let (tx, rx) = mpsc::channel(1);
    let message = loom::sync::Arc::new(());
    let kept = tx.clone();
    let sender = {
        let message = message.clone();
        thread::spawn(move || in_task(move |_, _| drop(tx.try_send(message))))
    };
    drop(rx);
    sender.join().unwrap();
    assert!(loom::sync::Arc::try_unwrap(message).is_ok(), "a message is left somewhere");
    drop(kept);
}

fn a_oneshot_value_arrives_or_comes_back() {
    let (tx, mut rx) = oneshot::channel();
    let sender = thread::spawn(move || tx.send(1).is_ok());
    rx.close();
    let received = rx.try_recv().is_ok();
    let sent = sender.join().unwrap();
    assert!(sent || !received);
    assert_eq!(sent, received || rx.try_recv().is_ok());
}

fn a_oneshot_receiver_hears_its_sender_send_or_leave() {
    let (tx, mut rx) = oneshot::channel();
    let (other_tx, mut other_rx) = oneshot::channel::<u8>();
    let sender = thread::spawn(move || {
        tx.send(1).unwrap();
        drop(other_tx);
    });
    in_task(move |cx, _| {
        assert_eq!(block_on(rx.recv(cx)), Ok(1));
        assert_eq!(block_on(other_rx.recv(cx)), Err(RecvError::Closed));
    });
    sender.join().unwrap();
}

fn a_watcher_on_its_way_to_sleep_hears_the_value() {
    let (tx, mut rx) = watch::channel(0);
    let sender = thread::spawn(move || {
        tx.send(1).unwrap();
        tx
    });
    in_task(move |cx, _| {
        block_on(rx.changed(cx)).unwrap();
        assert_eq!(*rx.borrow_and_update(), 1);
    });
    drop(sender.join().unwrap());
}

fn a_watcher_sees_the_last_value_before_the_senders_end() {
    let (tx, mut rx) = watch::channel(0);
    let sender = thread::spawn(move || {
        let _ = tx.send(1);
    });
    in_task(move |cx, _| {
        block_on(rx.changed(cx)).unwrap();
        assert_eq!(*rx.borrow(), 1);
        assert_eq!(block_on(rx.changed(cx)), Err(RecvError::Closed));
    });
    sender.join().unwrap();
}

fn the_sender_of_a_watch_hears_the_last_receiver_leave() {
    let (tx, rx) = watch::channel(0);
    let other = rx.clone();
    let leavers = [rx, other].map(|rx| thread::spawn(move || drop(rx)));
    in_task(move |cx, _| {
        block_on(tx.closed(cx)).unwrap();
        assert_eq!(tx.send(1), Err(1));
    });
    for leaver in leavers {
        leaver.join().unwrap();
    }
}

fn a_subscriber_gets_every_message_and_then_hears_the_end() {
    let (tx, mut rx) = broadcast::channel(2);
    let sender = thread::spawn(move || {
        tx.send(1).unwrap();
        tx.send(2).unwrap();
    });
    in_task(move |cx, _| {
        assert_eq!(block_on(rx.recv(cx)), Ok(1));
        assert_eq!(block_on(rx.recv(cx)), Ok(2));
        assert_eq!(block_on(rx.recv(cx)), Err(broadcast::RecvError::Closed));
    });
    sender.join().unwrap();
}

fn a_subscriber_that_leaves_in_mid_send_keeps_no_message_alive() {
    let (tx, rx) = broadcast::channel(1);
    let mut other = rx.resubscribe();
    let message = loom::sync::Arc::new(());
    let leaver = thread::spawn(move || drop(rx));
    tx.send(message.clone()).unwrap();
    drop(other.try_recv());
    leaver.join().unwrap();
    assert!(tx.is_empty());
    assert!(loom::sync::Arc::try_unwrap(message).is_ok(), "a message is left somewhere");
}

macro_rules! stories {
    ($($story:ident, broken by $mutant:ident;)*) => {
        mod holds {
            $(#[test] fn $story() { super::check(super::$story); })*
        }

        #[cfg(mutants)]
        mod fails_when_broken {
            $(#[test] fn $story() {
                let story = concat!("holds::", stringify!($story));
                super::host::check_broken(story, asupersync_channel::mutant::Mutant::$mutant);
            })*
        }
    };
}

stories! {
    a_sender_waits_for_the_one_slot_and_gets_it, broken by LastSenderLeavesSilently;
    a_receiver_on_its_way_to_sleep_hears_the_message, broken by ParkWithoutSecondLook;
    a_receiver_hears_the_last_sender_leave, broken by LastSenderLeavesSilently;
    a_receiver_of_a_closed_channel_hears_the_last_permit_come_home, broken by ClosedPermitDroppedSilently;
    a_message_racing_with_the_receivers_end_is_taken_or_handed_back, broken by ReceiverLeavesMessages;
    a_oneshot_value_arrives_or_comes_back, broken by OneshotCloseDropsValue;
    a_oneshot_receiver_hears_its_sender_send_or_leave, broken by OneshotParksWithoutSecondLook;
    a_watcher_on_its_way_to_sleep_hears_the_value, broken by WatchParksWithoutSecondLook;
    a_watcher_sees_the_last_value_before_the_senders_end, broken by WatchClosesSilently;
    the_sender_of_a_watch_hears_the_last_receiver_leave, broken by LastWatcherLeavesSilently;
    a_subscriber_gets_every_message_and_then_hears_the_end, broken by LastBroadcasterLeavesSilently;
    a_subscriber_that_leaves_in_mid_send_keeps_no_message_alive, broken by BroadcastLeaverCountedOn;
}
