//! What questions with answers promise.
#![cfg(not(loom))]

#[path = "../../sync/tests/support/host.rs"]
mod host;
#[path = "../../core/tests/support/mod.rs"]
mod support;

use asupersync_channel::session::{self, CallError, Pending, Reply, ReplyError};
use asupersync_channel::{RecvError, SendError};
use asupersync_core::{CancelReason, Cx, Error, RegionOptions};
use host::{Boxed, Wakes, now, on_wake, once, poll, poll_with};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use support::run;

/// Runs the body as a task; answers how many obligations it leaked.
fn leaks(body: impl FnOnce(&Cx) + Send + 'static) -> usize {
    let ran = run(async move |cx: &Cx| {
        body(cx);
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
    ran.report.leaks.len()
}

#[test]
fn a_request_is_answered_by_its_own_reply() {
    let leaked = leaks(|cx| {
        let (client, mut server) = session::channel::<u32, u32>(2);
        let mut one: Boxed<'_, _> = Box::pin(client.call(cx, 1));
        let mut two: Boxed<'_, _> = Box::pin(client.call(cx, 2));
        assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending());
        let (first, reply_first) = now(server.next(cx)).unwrap();
        let (second, reply_second) = now(server.next(cx)).unwrap();
        assert_eq!(reply_second.send(second * 10), Ok(()));
        assert_eq!(reply_first.send(first * 10), Ok(()));
        assert_eq!(poll(&mut one), Poll::Ready(Ok(10)));
        assert_eq!(poll(&mut two), Poll::Ready(Ok(20)));
    });
    assert_eq!(leaked, 0);
}

#[test]
fn a_dropped_reply_is_a_leak_and_the_client_is_told_at_once() {
    let leaked = leaks(|cx| {
        let (client, mut server) = session::channel::<u32, u32>(1);
        let mut call: Boxed<'_, _> = Box::pin(client.call(cx, 1));
        assert!(poll(&mut call).is_pending());
        let (_, reply) = now(server.next(cx)).unwrap();
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut call, &waker).is_pending());
        drop(reply);
        assert!(wakes.count() > 0);
        assert_eq!(poll(&mut call), Poll::Ready(Err(CallError::Unanswered(ReplyError::Lost))));
    });
    assert_eq!(leaked, 1);
}

#[test]
fn a_reply_still_owed_when_its_region_closes_is_lost_and_comes_back_when_sent() {
    let ran = run(async |cx: &Cx| {
        let (client, mut server) = session::channel::<u32, u32>(1);
        let mut pending = client.request(cx).await?.send(1).expect("a server");
        let outcome = cx.region(async |_scope| Ok::<_, Error>(server.next(cx).await?.1)).await;
        assert_eq!(pending.recv(cx).await, Err(ReplyError::Lost));
        let reply = outcome.into_result()?;
        assert!(reply.is_closed());
        assert_eq!(reply.send(7), Err(7));
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

#[test]
fn a_request_that_is_declined_or_never_taken_is_told_apart() {
    let leaked = leaks(|cx| {
        let (client, mut server) = session::channel::<u32, u32>(2);
        let mut declined = now(client.request(cx)).unwrap().send(1).unwrap();
        let mut untaken = now(client.request(cx)).unwrap().send(2).unwrap();
        now(server.next(cx)).unwrap().1.decline();
        assert_eq!(now(declined.recv(cx)), Err(ReplyError::Declined));
        let permit = now(client.request(cx)).unwrap();
        let (wakes, waker) = Wakes::new();
        let mut waiting: Boxed<'_, _> = Box::pin(untaken.recv(cx));
        assert!(poll_with(&mut waiting, &waker).is_pending());
        drop(server);
        assert!(wakes.count() > 0);
        assert_eq!(poll(&mut waiting), Poll::Ready(Err(ReplyError::NotTaken)));
        assert_eq!(permit.send(3).unwrap_err(), 3);
        let Err(CallError::Unsent(unsent)) = now(client.call(cx, 4)) else { panic!("unsent") };
        assert_eq!((unsent.value, unsent.error), (4, SendError::Closed));
    });
    assert_eq!(leaked, 0);
}

#[test]
fn a_client_that_left_gets_no_reply_and_the_server_keeps_it() {
    let leaked = leaks(|cx| {
        let (client, mut server) = session::channel::<u32, u32>(1);
        drop(now(client.request(cx)).unwrap().send(1).unwrap());
        drop(client);
        let (_, reply) = now(server.next(cx)).unwrap();
        assert!(reply.is_closed());
        assert_eq!(reply.send(5), Err(5));
        assert_eq!(now(server.next(cx)).unwrap_err(), RecvError::Closed);
    });
    assert_eq!(leaked, 0);
}

#[test]
fn a_cancelled_call_answers_in_one_poll_and_hands_an_unsent_request_back() {
    host::in_task(|cx, cancel| {
        let (client, _server) = session::channel::<u32, u32>(1);
        let mut sent: Boxed<'_, _> = Box::pin(client.call(cx, 1));
        let mut unsent: Boxed<'_, _> = Box::pin(client.call(cx, 2));
        assert!(poll(&mut sent).is_pending() && poll(&mut unsent).is_pending());
        cancel();
        let Poll::Ready(Err(CallError::Unanswered(error))) = poll(&mut sent) else { panic!() };
        assert!(matches!(error, ReplyError::Cancelled(_)));
        let Poll::Ready(Err(CallError::Unsent(error))) = poll(&mut unsent) else { panic!() };
        assert_eq!(error.value, 2);
    });
}

#[test]
fn a_waker_that_panics_does_not_make_replying_fail() {
    let leaked = leaks(|cx| {
        let (client, mut server) = session::channel::<u32, u32>(1);
        let mut call: Boxed<'_, _> = Box::pin(client.call(cx, 1));
        let hostile = on_wake(|| panic!("hostile"));
        assert!(poll_with(&mut call, &hostile).is_pending());
        let (_, reply) = now(server.next(cx)).unwrap();
        assert!(poll_with(&mut call, &hostile).is_pending());
        assert_eq!(reply.send(2), Ok(()));
        assert_eq!(poll(&mut call), Poll::Ready(Ok(2)));
    });
    assert_eq!(leaked, 0);
}

#[test]
fn a_server_cancelled_over_its_reply_leaks_it_by_name_and_its_client_goes_on() {
    let ran = run(async |cx: &Cx| {
        let (client, mut server) = session::channel::<u32, u32>(1);
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope| {
                let serving = scope.spawn(async move |cx: &Cx| {
                    let (_, _reply) = server.next(cx).await?;
                    cx.wait("test::never", |_| Poll::<()>::Pending).await?;
                    Ok::<_, Error>(())
                });
                let mut pending = client.request(cx).await?.send(1).expect("a server");
                cx.yield_now().await?;
                serving.cancel(CancelReason::user("stop"));
                Ok::<_, Error>(pending.recv(cx).await)
            })
            .await;
        let kinds: Vec<_> = closed.report.leaks.iter().map(|leak| leak.kind).collect();
        Ok::<_, Error>((closed.outcome.into_result()?, kinds))
    });
    let expected = (Err(ReplyError::Lost), vec!["session::Reply"]);
    assert_eq!(ran.outcome.ok(), Some(expected));
}

#[derive(Clone, Debug)]
enum Operation {
    Request,
    Take,
    Send(usize),
    Decline(usize),
    Lose(usize),
    Receive(usize),
    Leave(usize),
    DropServer,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => Just(Operation::Request),
        6 => Just(Operation::Take),
        4 => (0..4_usize).prop_map(Operation::Send),
        2 => (0..4_usize).prop_map(Operation::Decline),
        2 => (0..4_usize).prop_map(Operation::Lose),
        5 => (0..6_usize).prop_map(Operation::Receive),
        2 => (0..6_usize).prop_map(Operation::Leave),
        1 => Just(Operation::DropServer),
    ]
}

type Answer = Result<u32, ReplyError>;

/// The model: a queue of names, and what each has heard.
fn behaves_like_the_model(cx: &Cx, operations: Vec<Operation>) -> usize {
    let (client, server) = session::channel::<u32, u32>(3);
    let mut server = Some(server);
    let mut queue: VecDeque<u32> = VecDeque::new();
    let mut owed: Vec<(u32, Reply<u32>)> = Vec::new();
    let mut waiting: Vec<(u32, Pending<u32>, Arc<Wakes>)> = Vec::new();
    let mut heard: Vec<(u32, Answer)> = Vec::new();
    let (mut next, mut lost) = (0, 0);
    for operation in operations {
        match operation {
            Operation::Request => match once(client.request(cx)) {
                Poll::Ready(Ok(permit)) => {
                    assert!(server.is_some() && queue.len() < 3);
                    let mut pending = permit.send(next).unwrap();
                    let (wakes, waker) = Wakes::new();
                    let mut receiving: Boxed<'_, _> = Box::pin(pending.recv(cx));
                    assert!(poll_with(&mut receiving, &waker).is_pending());
                    drop(receiving);
                    queue.push_back(next);
                    waiting.push((next, pending, wakes));
                    next += 1;
                }
                Poll::Ready(Err(error)) => {
                    assert_eq!(error, SendError::Closed);
                    assert!(server.is_none());
                }
                Poll::Pending => assert_eq!(queue.len(), 3),
            },
            Operation::Take => {
                let Some(server) = &mut server else { continue };
                match once(server.next(cx)) {
                    Poll::Ready(taken) => {
                        let (request, reply) = taken.unwrap();
                        assert_eq!(queue.pop_front(), Some(request));
                        owed.push((request, reply));
                    }
                    Poll::Pending => assert!(queue.is_empty()),
                }
            }
            Operation::Send(i) if i < owed.len() => {
                let (name, reply) = owed.remove(i);
                let is_waited_for = waiting.iter().any(|(other, ..)| *other == name);
                assert_eq!(reply.is_closed(), !is_waited_for);
                let expected = if is_waited_for { Ok(()) } else { Err(name + 100) };
                assert_eq!(reply.send(name + 100), expected);
                heard.push((name, Ok(name + 100)));
            }
            Operation::Decline(i) if i < owed.len() => {
                let (name, reply) = owed.remove(i);
                reply.decline();
                heard.push((name, Err(ReplyError::Declined)));
            }
            Operation::Lose(i) if i < owed.len() => {
                let (name, reply) = owed.remove(i);
                drop(reply);
                lost += 1;
                heard.push((name, Err(ReplyError::Lost)));
            }
            Operation::Receive(i) if i < waiting.len() => {
                let (name, pending, _) = &mut waiting[i];
                let expected = heard.iter().find(|(other, _)| other == name);
                match once(pending.recv(cx)) {
                    Poll::Ready(answer) => {
                        assert_eq!(Some(&answer), expected.map(|(_, answer)| answer));
                        drop(waiting.remove(i));
                    }
                    Poll::Pending => assert_eq!(expected, None),
                }
            }
            Operation::Leave(i) if i < waiting.len() => drop(waiting.remove(i)),
            Operation::DropServer => {
                drop(server.take());
                for name in queue.drain(..) {
                    heard.push((name, Err(ReplyError::NotTaken)));
                }
            }
            _ => {}
        }
    }
    for (_, reply) in owed {
        reply.decline();
    }
    lost
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_queue_of_names(operations in prop::collection::vec(operation(), 0..40)) {
        let expected = Arc::new(std::sync::Mutex::new(0));
        let place = expected.clone();
        let leaked = leaks(move |cx| {
            *place.lock().unwrap() = behaves_like_the_model(cx, operations);
        });
        prop_assert_eq!(leaked, *expected.lock().unwrap());
    }
}
