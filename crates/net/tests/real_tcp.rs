//! TCP over the loopback, on the production runtime.

#[path = "support/interrupt.rs"]
mod interrupt;

use asupersync_combinator::timeout;
use asupersync_core::{Cx, Error, Event, Outcome};
use asupersync_io::{AsyncReadExt, AsyncWriteExt, copy};
use asupersync_net::{ListenOptions, NetError, Shutdown, TcpListener, TcpStream};
use asupersync_runtime::{Runtime, RuntimeBuilder};
use interrupt::cancelled;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Runs the same body on several threads and on one; it must end well, and soon.
macro_rules! on_both_runtimes {
    ($body:expr) => {
        for builder in
            [RuntimeBuilder::multi_thread().worker_threads(2), RuntimeBuilder::current_thread()]
        {
            let runtime: Runtime = builder.build().unwrap();
            match runtime.block_on($body) {
                Outcome::Ok(()) => {}
                other => panic!("{other:?}"),
            }
            assert!(runtime.shutdown(Duration::from_secs(10)).is_clean());
        }
    };
}

#[test]
fn a_thousand_messages_are_echoed_to_each_of_twenty_clients() {
    const CLIENTS: usize = 20;
    const MESSAGES: u32 = 1000;
    on_both_runtimes!(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let _ = cx.spawn(async move |cx: &Cx| {
            for _ in 0..CLIENTS {
                let (stream, peer) = listener.accept(cx).await?;
                assert!(peer.ip().is_loopback());
                let _ = cx.spawn(async move |cx: &Cx| {
                    let (mut reader, mut writer) = stream.into_split();
                    copy(cx, &mut reader, &mut writer).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        });
        let mut clients = Vec::new();
        for client in 0..CLIENTS as u32 {
            clients.push(cx.spawn(async move |cx: &Cx| {
                let mut stream = TcpStream::connect(cx, address).await?;
                stream.set_nodelay(true)?;
                for message in 0..MESSAGES {
                    let sent = (client * MESSAGES + message).to_be_bytes();
                    stream.write_all(cx, &sent).await?;
                    let mut got = [0; 4];
                    stream.read_exact(cx, &mut got).await?;
                    assert_eq!(sent, got);
                }
                stream.close(cx).await?;
                assert_eq!(stream.read(cx, &mut [0; 1]).await?, 0);
                Ok::<_, Error>(())
            }));
        }
        for mut client in clients {
            client.join(cx).await?.into_result()?;
        }
        Ok::<_, Error>(())
    });
}

async fn pair(cx: &Cx) -> Result<(TcpStream, TcpStream), Error> {
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let near = TcpStream::connect(cx, listener.local_addr()?).await?;
    Ok((near, listener.accept(cx).await?.0))
}

#[test]
fn connecting_where_nobody_listens_is_refused_with_advice() {
    on_both_runtimes!(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let error = TcpListener::bind(cx, address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let error = TcpStream::connect(cx, address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let inner = error.get_ref().unwrap().downcast_ref::<NetError>().unwrap();
        assert_eq!((inner.code(), inner.address()), ("ASY-0511", Some(address)));
        Ok::<_, Error>(())
    });
}

#[test]
fn options_are_those_of_the_socket() {
    on_both_runtimes!(async |cx: &Cx| {
        let options = ListenOptions::new().reuse_port(true).backlog(16);
        let one = TcpListener::bind_with(cx, "127.0.0.1:0", &options).await?;
        let two = TcpListener::bind_with(cx, one.local_addr()?, &options).await?;
        assert_eq!(one.local_addr()?, two.local_addr()?);
        let (near, mut far) = pair(cx).await?;
        near.set_nodelay(true)?;
        assert!(near.nodelay()?);
        assert_eq!(near.keepalive()?, None);
        near.set_keepalive(Some(Duration::from_secs(30)))?;
        assert_eq!(near.keepalive()?, Some(Duration::from_secs(30)));
        assert!(near.set_linger(Some(Duration::from_secs(1))).is_err());
        near.shutdown(Shutdown::Write)?;
        assert_eq!(far.read(cx, &mut [0; 1]).await?, 0);
        near.abort()?;
        let error = far.write(cx, b"x").await.unwrap_err();
        assert!(
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{error}"
        );
        let local = "127.0.0.2".parse().unwrap();
        let from = TcpStream::connect_from(cx, local, one.local_addr()?).await?;
        assert_eq!(from.local_addr()?.ip(), local);
        Ok::<_, Error>(())
    });
}

#[test]
fn inherited_sockets_are_taken_over() {
    on_both_runtimes!(async |cx: &Cx| {
        #[expect(clippy::disallowed_methods, reason = "stands for a socket made by somebody else")]
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let listener = TcpListener::from_std(cx, listener)?;
        #[expect(clippy::disallowed_methods, reason = "stands for a socket made by somebody else")]
        let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
        let mut near = TcpStream::from_std(cx, stream)?;
        let mut far = listener.accept(cx).await?.0;
        near.write_all(cx, b"x").await?;
        assert_eq!(far.read(cx, &mut [0; 2]).await?, 1);
        Ok::<_, Error>(())
    });
}

#[test]
fn cancelled_reads_and_accepts_lose_nothing() {
    on_both_runtimes!(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        assert!(matches!(cancelled(cx, listener.accept(cx)).await, Some(Err(_))));
        let mut near = TcpStream::connect(cx, listener.local_addr()?).await?;
        let mut far = listener.accept(cx).await?.0;
        let mut got = Vec::new();
        for byte in 0..100 {
            let mut buf = [0; 1];
            let end = cancelled(cx, far.read(cx, &mut buf)).await;
            assert!(matches!(end, Some(Err(_))), "{end:?}");
            near.write_all(cx, &[byte]).await?;
            match cancelled(cx, far.read(cx, &mut buf)).await {
                Some(Ok(n)) => assert_eq!(n, 1),
                _ => assert_eq!(far.read(cx, &mut buf).await?, 1),
            }
            got.push(buf[0]);
        }
        assert!(got.into_iter().eq(0..100));
        Ok::<_, Error>(())
    });
}

/// Sends and receives `size` bytes each way over one connection, by halves in four tasks.
async fn both_ways(cx: &Cx, size: usize) -> Result<(), Error> {
    const PIECE: usize = 64 << 10;
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let near = TcpStream::connect(cx, listener.local_addr()?).await?;
    let (far, _) = listener.accept(cx).await?;
    let mut tasks = Vec::new();
    for (stream, byte) in [(near, 1), (far, 2)] {
        let (mut reader, mut writer) = stream.into_split();
        tasks.push(cx.spawn(async move |cx: &Cx| {
            let piece = vec![byte; PIECE];
            for _ in 0..size / PIECE {
                writer.write_all(cx, &piece).await?;
            }
            writer.close(cx).await?;
            Ok::<_, Error>(size)
        }));
        tasks.push(cx.spawn(async move |cx: &Cx| {
            let (mut buf, mut total) = (vec![0; PIECE], 0);
            loop {
                match reader.read(cx, &mut buf).await? {
                    0 => return Ok(total),
                    n => {
                        assert!(buf[..n].iter().all(|got| *got == 3 - byte));
                        total += n;
                    }
                }
            }
        }));
    }
    for mut task in tasks {
        assert_eq!(task.join(cx).await?.into_result()?, size);
    }
    Ok(())
}

#[test]
fn split_halves_move_64_mib_both_ways_without_a_stall_or_a_spin() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = polls.clone();
    let count = move |event: &Event<'_>| {
        if matches!(event, Event::PollBegin { .. }) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let builder = RuntimeBuilder::multi_thread().worker_threads(2).observer(Arc::new(count));
    let runtime = builder.build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| both_ways(cx, 64 << 20).await);
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    // 2 x 64 MiB, written and read. A poll for every 4 KiB would be 65,536: who spins makes millions.
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls < 65_536, "{polls} polls");
}

#[test]
fn reads_cancelled_at_every_turn_lose_no_byte() {
    on_both_runtimes!(async |cx: &Cx| {
        const SIZE: usize = 200_000;
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let mut near = TcpStream::connect(cx, listener.local_addr()?).await?;
        let (mut far, _) = listener.accept(cx).await?;
        let mut writing = cx.spawn(async move |cx: &Cx| {
            let bytes: Vec<u8> = (0..SIZE).map(|i| (i / 7) as u8).collect();
            for piece in bytes.chunks(999) {
                near.write_all(cx, piece).await?;
                cx.yield_now().await?;
            }
            Ok::<_, Error>(())
        });
        let (mut got, mut interrupted) = (Vec::<u8>::new(), 0);
        let mut buf = [0; 700];
        while got.len() < SIZE {
            match cancelled(cx, far.read(cx, &mut buf)).await {
                Some(Ok(n)) => got.extend(&buf[..n]),
                Some(Err(_)) => interrupted += 1,
                None => panic!("a read answers when it is cancelled"),
            }
            // Else a single thread would never come to write.
            cx.yield_now().await?;
        }
        assert!(got.iter().enumerate().all(|(i, byte)| *byte == (i / 7) as u8));
        assert!(interrupted > 10, "{interrupted} reads were interrupted");
        writing.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
}

#[test]
fn reading_into_no_room_answers_at_once() {
    on_both_runtimes!(async |cx: &Cx| {
        let (mut near, _far) = pair(cx).await?;
        let read = timeout(cx, Duration::from_secs(10), near.read(cx, &mut []));
        assert_eq!(read.await.map_err(|_| Error::msg("it waits"))??, 0);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_keepalive_that_the_system_refuses_changes_nothing_and_others_are_rounded_up() {
    on_both_runtimes!(async |cx: &Cx| {
        let (near, _far) = pair(cx).await?;
        for refused in [Duration::ZERO, Duration::MAX] {
            assert!(near.set_keepalive(Some(refused)).is_err());
            assert_eq!(near.keepalive()?, None);
        }
        near.set_keepalive(Some(Duration::from_millis(1500)))?;
        assert_eq!(near.keepalive()?, Some(Duration::from_secs(2)));
        near.set_keepalive(None)?;
        assert_eq!(near.keepalive()?, None);
        Ok::<_, Error>(())
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a peer that sends what ours cannot")]
fn bytes_behind_an_urgent_one_are_read_although_the_read_before_them_was_short() {
    on_both_runtimes!(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let far = std::net::TcpStream::connect(listener.local_addr()?)?;
        let (mut near, _) = listener.accept(cx).await?;
        // The system stops a read before the urgent byte, and leaves that out.
        let socket = socket2::SockRef::from(&far);
        assert_eq!(socket.send(b"one")?, 3);
        assert_eq!(socket.send_out_of_band(b"!")?, 1);
        assert_eq!(socket.send(b"two")?, 3);
        let read = timeout(cx, Duration::from_secs(10), async {
            let mut bytes: Vec<u8> = Vec::new();
            while bytes.len() < 6 {
                let mut buf = [0; 100];
                let n = near.read(cx, &mut buf).await?;
                bytes.extend(&buf[..n]);
            }
            io::Result::Ok(bytes)
        });
        assert_eq!(read.await.map_err(|_| Error::msg("it waits"))??, b"onetwo");
        Ok::<_, Error>(())
    });
}
