//! Messages, values, requests.

use crate::probe::{Entry, MS, operation};
use asupersync_channel::{RecvError, SendError, broadcast, mpsc, oneshot, session, watch};
use asupersync_core::{Cx, Error};
use std::pin::Pin;

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    reserving(&mut list);
    sending(&mut list);
    receiving(&mut list);
    one_value(&mut list);
    every_message(&mut list);
    last_value(&mut list);
    requests(&mut list);
    list
}

/// A full channel of `capacity`, the subject in line, another sender behind it; then all is received.
macro_rules! reserved {
    ($list:ident, $name:literal, $capacity:literal, |$tx:ident, $cx:ident| $reserve:expr, |$got:ident| $commit:expr) => {
        operation!($list, $name, "behind a full channel, another sender behind", 1, |cx, case| {
            let (tx, mut rx) = mpsc::channel($capacity);
            for _ in 0..$capacity {
                tx.try_send(0).expect("room");
            }
            let behind = tx.clone();
            let mut behind = cx.spawn(async move |cx: &Cx| {
                cx.sleep(MS).await?;
                behind.reserve(cx).await?.send(100);
                Ok::<_, Error>(())
            });
            let mut drain = cx.spawn(async move |cx: &Cx| {
                cx.sleep(2 * MS).await?;
                let mut all = Vec::new();
                while let Ok(n) = rx.recv(cx).await {
                    all.push(n);
                }
                Ok::<_, Error>(all)
            });
            let committed = {
                let ($tx, $cx) = (&tx, cx);
                match case.subject(cx, $reserve).await {
                    Some(Ok($got)) => {
                        $commit;
                        true
                    }
                    _ => false,
                }
            };
            assert!(committed || case.struck());
            behind.join(cx).await?.into_result()?;
            let weak = tx.downgrade();
            assert_eq!(weak.upgrade().map(|tx| tx.is_closed()), Some(false));
            drop(tx);
            let all = drain.join(cx).await?.into_result()?;
            let mut wanted = vec![0; $capacity];
            wanted.extend(committed.then_some(1));
            wanted.push(100);
            assert_eq!(all, wanted, "in order, once");
        });
        operation!($list, $name, "as the receiver leaves", 1, |cx, case| {
            let (tx, rx) = mpsc::channel($capacity);
            for _ in 0..$capacity {
                tx.try_send(0).expect("room");
            }
            let mut leaving = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                drop(rx);
                Ok::<_, Error>(())
            });
            let ($tx, $cx) = (&tx, cx);
            let refused = !matches!(case.subject(cx, $reserve).await, Some(Ok(_)));
            assert!(refused, "there was no room before, and nobody made any");
            leaving.join(cx).await?.into_result()?;
            // The messages went with the receiver and keep their places; nothing waits.
            assert!(tx.is_closed() && tx.in_flight() == $capacity);
        });
    };
}

fn reserving(list: &mut Vec<Entry>) {
    reserved!(
        list,
        "channel::mpsc::sender::Sender::reserve",
        1,
        |tx, cx| tx.reserve(cx),
        |permit| permit.send(1)
    );
    reserved!(
        list,
        "channel::mpsc::sender::Sender::reserve_owned",
        1,
        |tx, cx| tx.reserve_owned(cx),
        |permit| permit.send(1)
    );
    reserved!(
        list,
        "channel::mpsc::sender::Sender::reserve_many",
        2,
        |tx, cx| tx.reserve_many(cx, 2),
        |permits| {
            let mut permits = permits;
            let _ = permits.send(1).expect("two were reserved");
            permits.abort();
        }
    );
    reserved!(list, "channel::mpsc::sender::Sender::send", 1, |tx, cx| tx.send(cx, 1), |sent| {
        let () = sent;
    });

    operation!(
        list,
        "channel::mpsc::sink::SenderSink::poll_ready",
        "as its own future",
        1,
        |cx, case| {
            let (tx, mut rx) = mpsc::channel(1);
            tx.try_send(0).expect("room");
            let other = tx.clone();
            let mut sink = tx.into_sink();
            let mut drain = cx.spawn(async move |cx: &Cx| {
                cx.sleep(MS).await?;
                assert_eq!(rx.recv(cx).await?, 0);
                Ok::<_, Error>(rx)
            });
            let ready = cx.wait("sink", |context| {
                futures_sink::Sink::<i32>::poll_ready(Pin::new(&mut sink), context)
            });
            let ready = matches!(case.subject(cx, ready).await, Some(Ok(Ok(()))));
            let mut rx = drain.join(cx).await?.into_result()?;
            if ready {
                futures_sink::Sink::start_send(Pin::new(&mut sink), 1)?;
            }
            drop(sink);
            assert_eq!(rx.try_recv().ok(), ready.then_some(1));
            assert_eq!(other.in_flight(), 0);
        }
    );
}

fn sending(list: &mut Vec<Entry>) {
    operation!(
        list,
        "channel::mpsc::sender::Sender::send",
        "a cancelled one hands its value back",
        1,
        |cx, case| {
            let (tx, mut rx) = mpsc::channel(1);
            tx.try_send(0).expect("room");
            let mut drain = cx.spawn(async move |cx: &Cx| {
                cx.sleep(MS).await?;
                let mut all = Vec::new();
                while let Ok(n) = rx.recv(cx).await {
                    all.push(n);
                }
                Ok::<_, Error>(all)
            });
            let sent = case.subject(cx, tx.send(cx, 1)).await;
            drop(tx);
            let all = drain.join(cx).await?.into_result()?;
            match sent {
                Some(Ok(())) => assert_eq!(all, [0, 1]),
                Some(Err(unsent)) => {
                    assert_eq!((unsent.value, all), (1, vec![0]));
                    assert!(matches!(unsent.error, SendError::Cancelled(_)));
                }
                None => assert_eq!(all, [0]),
            }
        }
    );
}

/// Two senders whose numbers must come out in their own order, none missing, none twice.
macro_rules! received {
    ($list:ident, $name:literal, |$rx:ident, $cx:ident, $all:ident| $receive:expr) => {
        operation!($list, $name, "from two senders", 1, |cx, case| {
            let (tx, mut rx) = mpsc::channel(2);
            let mut senders = Vec::new();
            for sender in [0, 10] {
                let tx = tx.clone();
                senders.push(cx.spawn(async move |cx: &Cx| {
                    for n in 0..3 {
                        tx.reserve(cx).await?.send(sender + n);
                        cx.yield_now().await?;
                    }
                    Ok::<_, Error>(())
                }));
            }
            drop(tx);
            let mut all = Vec::new();
            {
                let ($rx, $cx, $all) = (&mut rx, cx, &mut all);
                let _ = case.subject(cx, $receive).await;
            }
            while let Ok(n) = rx.recv(cx).await {
                all.push(n);
            }
            for mut sender in senders {
                sender.join(cx).await?.into_result()?;
            }
            let of = |sender: i32| -> Vec<i32> {
                all.iter().copied().filter(|n| n / 10 == sender).map(|n| n % 10).collect()
            };
            assert_eq!((of(0), of(1), all.len()), (vec![0, 1, 2], vec![0, 1, 2], 6), "{all:?}");
        });
    };
}

fn receiving(list: &mut Vec<Entry>) {
    received!(list, "channel::mpsc::receiver::Receiver::recv", |rx, cx, all| async {
        all.push(rx.recv(cx).await?);
        Ok::<_, RecvError>(())
    });
    received!(list, "channel::mpsc::receiver::Receiver::recv_many", |rx, cx, all| rx
        .recv_many(cx, all, 3));
    received!(list, "channel::mpsc::receiver::Receiver::poll_next", |rx, cx, all| async {
        let next = cx
            .wait("stream", |context| futures_core::Stream::poll_next(Pin::new(&mut *rx), context));
        all.extend(next.await?);
        Ok::<_, RecvError>(())
    });
    operation!(
        list,
        "channel::mpsc::receiver::Receiver::recv",
        "as the last permit comes home",
        1,
        |cx, case| {
            let (tx, mut rx) = mpsc::channel::<u8>(1);
            let permit = tx.reserve_owned(cx).await?;
            rx.close();
            let mut holder = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                permit.abort();
                Ok::<_, Error>(())
            });
            let answer = case.subject(cx, rx.recv(cx)).await;
            assert!(!matches!(answer, Some(Ok(_))));
            holder.join(cx).await?.into_result()?;
            assert_eq!(rx.recv(cx).await, Err(RecvError::Closed));
        }
    );
}

fn one_value(list: &mut Vec<Entry>) {
    macro_rules! one {
        ($name:literal, |$rx:ident, $cx:ident| $receive:expr) => {
            operation!(list, $name, "sent meanwhile", 1, |cx, case| {
                let (tx, mut rx) = oneshot::channel();
                let mut sender = cx.spawn(async move |cx: &Cx| {
                    let permit = tx.reserve(cx);
                    cx.yield_now().await?;
                    assert!(permit.send(7).is_queued());
                    Ok::<_, Error>(())
                });
                let got = {
                    let ($rx, $cx) = (&mut rx, cx);
                    case.subject(cx, $receive).await
                };
                sender.join(cx).await?.into_result()?;
                let later = rx.try_recv().ok();
                let got = got.and_then(Result::ok);
                assert_eq!(got.xor(later), Some(7), "once, now or later");
            });
        };
    }
    one!("channel::oneshot::Receiver::recv", |rx, cx| rx.recv(cx));
    one!("channel::oneshot::Receiver::poll", |rx, cx| async {
        cx.wait("future", |context| Future::poll(Pin::new(&mut *rx), context)).await?
    });
    operation!(list, "channel::oneshot::Receiver::recv", "as the sender leaves", 1, |cx, case| {
        let (tx, mut rx) = oneshot::channel::<u8>();
        let mut sender = cx.spawn(async move |cx: &Cx| {
            cx.yield_now().await?;
            drop(tx);
            Ok::<_, Error>(())
        });
        let got = case.subject(cx, rx.recv(cx)).await;
        assert!(!matches!(got, Some(Ok(_))));
        sender.join(cx).await?.into_result()?;
        assert_eq!(rx.recv(cx).await, Err(RecvError::Closed));
    });
    operation!(
        list,
        "channel::oneshot::Sender::closed",
        "as the receiver leaves",
        1,
        |cx, case| {
            let (mut tx, rx) = oneshot::channel();
            let mut receiver = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                drop(rx);
                Ok::<_, Error>(())
            });
            let _ = case.subject(cx, tx.closed(cx)).await;
            receiver.join(cx).await?.into_result()?;
            tx.closed(cx).await?;
            assert_eq!(tx.send(1), Err(1));
        }
    );
}

fn every_message(list: &mut Vec<Entry>) {
    macro_rules! each {
        ($name:literal, |$rx:ident, $cx:ident, $all:ident| $receive:expr) => {
            operation!(list, $name, "beside another receiver", 1, |cx, case| {
                let (tx, mut rx) = broadcast::channel(8);
                let mut other = tx.subscribe();
                let mut sender = cx.spawn(async move |cx: &Cx| {
                    for n in 0..4 {
                        cx.yield_now().await?;
                        assert_eq!(tx.send(n), Ok(2));
                    }
                    Ok::<_, Error>(tx)
                });
                let mut all = Vec::new();
                {
                    let ($rx, $cx, $all) = (&mut rx, cx, &mut all);
                    let _ = case.subject(cx, $receive).await;
                }
                let tx = sender.join(cx).await?.into_result()?;
                while let Ok(n) = rx.try_recv() {
                    all.push(n);
                }
                assert_eq!(all, [0, 1, 2, 3]);
                for n in 0..4 {
                    assert_eq!(other.try_recv(), Ok(n));
                }
                assert!(tx.is_empty(), "what all have had is gone");
            });
        };
    }
    each!("channel::broadcast::receiver::Receiver::recv", |rx, cx, all| async {
        all.push(rx.recv(cx).await?);
        Ok::<_, broadcast::RecvError>(())
    });
    each!("channel::broadcast::receiver::Receiver::poll_next", |rx, cx, all| async {
        let next = cx
            .wait("stream", |context| futures_core::Stream::poll_next(Pin::new(&mut *rx), context));
        all.extend(next.await?.transpose().expect("nothing is missed"));
        Ok::<_, broadcast::RecvError>(())
    });
    operation!(list, "channel::broadcast::receiver::Receiver::recv", "too slow", 1, |cx, case| {
        let (tx, mut rx) = broadcast::channel(1);
        for n in 0..3 {
            tx.send(n).expect("one receiver");
        }
        let told = matches!(
            case.subject(cx, rx.recv(cx)).await,
            Some(Err(broadcast::RecvError::Lagged(2)))
        );
        assert!(told || case.struck());
        if !told {
            assert_eq!(rx.try_recv(), Err(broadcast::TryRecvError::Lagged(2)), "still to be told");
        }
        assert_eq!(rx.try_recv(), Ok(2));
    });
}

fn last_value(list: &mut Vec<Entry>) {
    macro_rules! value {
        ($name:literal, |$rx:ident, $cx:ident| $see:expr) => {
            operation!(list, $name, "sent meanwhile", 1, |cx, case| {
                let (tx, mut rx) = watch::channel(0);
                let mut sender = cx.spawn(async move |cx: &Cx| {
                    cx.yield_now().await?;
                    tx.send(1).map_err(|_| Error::msg("gone"))?;
                    Ok::<_, Error>(tx)
                });
                let seen = {
                    let ($rx, $cx) = (&mut rx, cx);
                    let seen = $see;
                    matches!(case.subject(cx, seen).await, Some(Ok(_)))
                };
                let tx = sender.join(cx).await?.into_result()?;
                assert!(seen || case.struck());
                assert_ne!(
                    rx.has_changed(),
                    seen,
                    "seen by whom it was answered to, and only then"
                );
                assert_eq!(*rx.borrow_and_update(), 1);
                assert_eq!(tx.receiver_count(), 1);
                drop(tx);
                assert_eq!(rx.changed(cx).await, Err(RecvError::Closed));
            });
        };
    }
    value!("channel::watch::receiver::Receiver::changed", |rx, cx| rx.changed(cx));
    value!("channel::watch::receiver::Receiver::wait_for", |rx, cx| rx.wait_for(cx, |n| *n == 1));
    value!("channel::watch::receiver::Receiver::poll_next", |rx, cx| cx
        .wait("stream", |context| {
            futures_core::Stream::poll_next(Pin::new(&mut *rx), context)
        }));
    operation!(
        list,
        "channel::watch::Sender::closed",
        "as the last receiver leaves",
        1,
        |cx, case| {
            let (tx, rx) = watch::channel(0);
            let mut receiver = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                drop(rx);
                Ok::<_, Error>(())
            });
            let _ = case.subject(cx, tx.closed(cx)).await;
            receiver.join(cx).await?.into_result()?;
            tx.closed(cx).await?;
            assert_eq!(tx.send(1), Err(1));
        }
    );
}

/// A server that doubles until no client is left; answers how many requests it took.
async fn serve(cx: &Cx, mut server: session::Server<u32, u32>) -> Result<u32, Error> {
    let mut taken = 0;
    while let Ok((n, reply)) = server.next(cx).await {
        cx.yield_now().await?;
        let _ = reply.send(2 * n);
        taken += 1;
    }
    Ok(taken)
}

fn requests(list: &mut Vec<Entry>) {
    operation!(list, "channel::session::Client::call", "with a server at work", 1, |cx, case| {
        let (client, server) = session::channel(1);
        let mut server = cx.spawn(async move |cx: &Cx| serve(cx, server).await);
        let answer = case.subject(cx, client.call(cx, 21)).await;
        assert_eq!(client.call(cx, 4).await?, 8, "the session goes on");
        drop(client);
        let taken = server.join(cx).await?.into_result()?;
        match answer {
            Some(Ok(n)) => assert_eq!((n, taken), (42, 2)),
            Some(Err(session::CallError::Unsent(unsent))) => {
                assert_eq!((unsent.value, taken), (21, 1));
            }
            Some(Err(session::CallError::Unanswered(_))) => assert_eq!(taken, 2),
            None => assert!((1..=2).contains(&taken)),
        }
    });
    operation!(list, "channel::session::Client::request", "behind a full queue", 1, |cx, case| {
        let (client, server) = session::channel(1);
        let first = client.request(cx).await?;
        let shared = client.clone();
        let mut behind = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(shared.call(cx, 3).await?));
        let first = first.send(1).map_err(|_| Error::msg("the server is there"))?;
        let mut server = cx.spawn(async move |cx: &Cx| {
            cx.sleep(MS).await?;
            serve(cx, server).await
        });
        if let Some(Ok(permit)) = case.subject(cx, client.request(cx)).await {
            permit.abort();
        }
        let mut first = first;
        assert_eq!(first.recv(cx).await?, 2);
        assert_eq!(behind.join(cx).await?.into_result()?, 6);
        drop(client);
        assert_eq!(server.join(cx).await?.into_result()?, 2);
    });
    operation!(
        list,
        "channel::session::pending::Pending::recv",
        "the reply comes later",
        1,
        |cx, case| {
            let (client, server) = session::channel(1);
            let mut server = cx.spawn(async move |cx: &Cx| serve(cx, server).await);
            let mut pending = client.request(cx).await?.send(5).expect("the server is there");
            let got = case.subject(cx, pending.recv(cx)).await;
            if !matches!(got, Some(Ok(10))) {
                assert!(case.struck());
                assert_eq!(pending.recv(cx).await?, 10, "still to be had");
            }
            drop(client);
            server.join(cx).await?.into_result()?;
        }
    );
    operation!(
        list,
        "channel::session::server::Server::next",
        "a request comes later",
        1,
        |cx, case| {
            let (client, mut server) = session::channel::<u32, u32>(1);
            let mut asking = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                Ok::<_, Error>(client.call(cx, 1).await?)
            });
            let taken = case.subject(cx, server.next(cx)).await;
            let (n, reply) = match taken {
                Some(Ok(taken)) => taken,
                _ => server.next(cx).await?,
            };
            assert_eq!(n, 1);
            reply.send(9).map_err(|_| Error::msg("the client waits"))?;
            assert_eq!(asking.join(cx).await?.into_result()?, 9);
        }
    );
    operation!(
        list,
        "channel::session::server::Server::next",
        "as the last client leaves",
        1,
        |cx, case| {
            let (client, mut server) = session::channel::<u32, u32>(1);
            let mut leaving = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                drop(client);
                Ok::<_, Error>(())
            });
            assert!(!matches!(case.subject(cx, server.next(cx)).await, Some(Ok(_))));
            leaving.join(cx).await?.into_result()?;
            assert!(matches!(server.next(cx).await, Err(RecvError::Closed)));
        }
    );
    operation!(
        list,
        "channel::session::pending::Pending::recv",
        "as the server leaves",
        1,
        |cx, case| {
            let (client, server) = session::channel::<u32, u32>(1);
            let mut pending = client.request(cx).await?.send(5).expect("the server is there");
            let mut leaving = cx.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                drop(server);
                Ok::<_, Error>(())
            });
            let _ = case.subject(cx, pending.recv(cx)).await;
            leaving.join(cx).await?.into_result()?;
            assert_eq!(pending.recv(cx).await, Err(session::ReplyError::NotTaken));
        }
    );
    for_senders_that_leave(list);
}

fn for_senders_that_leave(list: &mut Vec<Entry>) {
    macro_rules! leaves {
        ($name:literal, $channel:expr, |$rx:ident, $cx:ident| $wait:expr, $closed:pat) => {
            operation!(list, $name, "as the last sender leaves", 1, |cx, case| {
                let (tx, mut rx) = $channel;
                let mut leaving = cx.spawn(async move |cx: &Cx| {
                    cx.yield_now().await?;
                    drop(tx);
                    Ok::<_, Error>(())
                });
                {
                    let ($rx, $cx) = (&mut rx, cx);
                    assert!(!matches!(case.subject(cx, $wait).await, Some(Ok(_))));
                }
                leaving.join(cx).await?.into_result()?;
                let ($rx, $cx) = (&mut rx, cx);
                assert!(matches!($wait.await, Err($closed)));
            });
        };
    }
    leaves!(
        "channel::mpsc::receiver::Receiver::recv",
        mpsc::channel::<u8>(1),
        |rx, cx| rx.recv(cx),
        RecvError::Closed
    );
    leaves!(
        "channel::mpsc::receiver::Receiver::recv",
        mpsc::unbounded::<u8>(),
        |rx, cx| rx.recv(cx),
        RecvError::Closed
    );
    leaves!(
        "channel::broadcast::receiver::Receiver::recv",
        broadcast::channel::<u8>(1),
        |rx, cx| rx.recv(cx),
        broadcast::RecvError::Closed
    );
    leaves!(
        "channel::watch::receiver::Receiver::changed",
        watch::channel(0),
        |rx, cx| rx.changed(cx),
        RecvError::Closed
    );
}
