//! Unix sockets, in the lab and on the machine.

#[path = "support/interrupt.rs"]
mod interrupt;

use asupersync_core::{CancelReason, Cx, Error, Outcome, TaskHandle};
use asupersync_io::{AsyncReadExt, AsyncWriteExt, copy};
use asupersync_lab::{LabConfig, LabRuntime, LabTest};
use asupersync_net::{NetError, UnixAddr, UnixDatagram, UnixListener, UnixStream, VirtualOptions};
use asupersync_runtime::RuntimeBuilder;
use interrupt::cancelled;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

fn code(error: &io::Error) -> &'static str {
    error.get_ref().unwrap().downcast_ref::<NetError>().unwrap().code()
}

/// Three clients of an echo server at `address`, and a few datagrams beside.
async fn program(cx: &Cx, address: UnixAddr, other: UnixAddr) -> Result<(), Error> {
    let outcome = cx
        .region(async |scope| {
            let listener = UnixListener::bind(cx, &address).await?;
            assert_eq!(listener.local_addr()?, address);
            let serving: TaskHandle<(), Error> = scope.spawn(async move |cx: &Cx| {
                loop {
                    let (mut reader, mut writer) = listener.accept(cx).await?.into_split();
                    copy(cx, &mut reader, &mut writer).await?;
                }
            });
            let mailbox = UnixDatagram::bind(cx, &other).await?;
            let sending = scope.spawn(async move |cx: &Cx| {
                let socket = UnixDatagram::unbound(cx)?;
                // More than there is room for.
                for number in 0..30u8 {
                    socket.send_to(cx, &[number], &other).await?;
                }
                Ok(())
            });
            let mut clients = Vec::new();
            for client in 0..3usize {
                let address = address.clone();
                clients.push(scope.spawn(async move |cx: &Cx| {
                    let mut stream = UnixStream::connect(cx, &address).await?;
                    let question = vec![client as u8; client * 100];
                    stream.write_all(cx, &question).await?;
                    stream.close(cx).await?;
                    let mut answer = Vec::new();
                    stream.read_to_end(cx, &mut answer, 1000).await?;
                    assert_eq!(question, answer);
                    Ok(())
                }));
            }
            for number in 0..30u8 {
                let mut buf = [0; 2];
                let (n, from) = mailbox.recv_from(cx, &mut buf).await?;
                assert_eq!((n, buf[0], from.is_unnamed()), (1, number, true));
            }
            for mut client in clients {
                client.join(cx).await?.into_result()?;
            }
            serving.cancel(CancelReason::user("everybody is served"));
            drop(sending);
            Ok::<_, Error>(())
        })
        .await;
    Ok(outcome.into_result()?)
}

async fn in_the_lab(cx: &Cx) -> Result<(), Error> {
    program(cx, "/run/echo.sock".into(), UnixAddr::abstract_name("mailbox")).await
}

#[test]
fn every_order_echoes_every_byte_and_delivers_every_datagram() {
    for seed in 0..50 {
        // A client writes its whole question before it reads: windows must hold that.
        let options = VirtualOptions { window: 200, ..VirtualOptions::from_seed(seed) };
        let config = LabConfig::default().seed(seed).network(options);
        let report = LabRuntime::new(config).run(in_the_lab);
        assert!(report.is_ok(), "seed {seed}: {report}");
    }
}

#[test]
fn a_program_cancelled_at_any_step_ends_in_order() {
    let summary = LabTest::new("unix::in_the_lab").seeds(0..5).inject_cancel(true);
    let summary = summary.run(in_the_lab);
    assert!(summary.runs > 80, "{summary:?}");
}

fn on_the_machine<F>(body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error>
        + Clone
        + Send
        + 'static,
{
    for builder in
        [RuntimeBuilder::multi_thread().worker_threads(2), RuntimeBuilder::current_thread()]
    {
        let runtime = builder.build().unwrap();
        let outcome = runtime.block_on(body.clone());
        assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    }
}

#[test]
fn the_machine_runs_the_same_program_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("echo"), folder.path().join("mailbox"));
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    for _ in 0..2 {
        let (path, other) = (UnixAddr::from(&path), UnixAddr::from(&other));
        let outcome = runtime.block_on(async move |cx: &Cx| program(cx, path, other).await);
        assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_cancelled_call_has_passed_no_descriptor_and_lost_none() {
    on_the_machine(async |cx: &Cx| {
        let (near, far) = UnixStream::pair(cx)?;
        let (reader, _writer) = rustix::pipe::pipe().map_err(io::Error::from)?;
        let mut buf = vec![0; 1 << 16];
        for round in 0..50 {
            // Nothing is there: the call waits, and goes without taking anything.
            let early = cancelled(cx, far.recv_with_fds(cx, &mut buf)).await;
            assert!(matches!(early, Some(Err(_))), "{early:?}");
            // Until there is no room, and a call waits.
            let piece = vec![round; 50_000];
            let mut bytes = near.send_with_fds(cx, &piece, &[reader.as_fd()]).await?;
            let mut sent = 1;
            while let Some(Ok(n)) =
                cancelled(cx, near.send_with_fds(cx, &piece, &[reader.as_fd()])).await
            {
                (sent, bytes) = (sent + 1, bytes + n);
            }
            let mut got = 0;
            while bytes > 0 {
                let received = far.recv_with_fds(cx, &mut buf).await?;
                (got, bytes) = (got + received.fds.len(), bytes - received.bytes);
            }
            assert_eq!(got, sent);
        }
        Ok(())
    });
}

#[test]
fn descriptors_travel_and_credentials_are_ours() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let name = format!("asupersync-unix-{}", std::process::id());
        let listener = UnixListener::bind(cx, UnixAddr::abstract_name(name)).await?;
        let near = UnixStream::connect(cx, listener.local_addr()?).await?;
        let far = listener.accept(cx).await?;
        let peer = far.peer_credentials()?;
        assert_eq!(peer.pid as u32, std::process::id());
        assert_eq!(peer.uid, rustix::process::getuid().as_raw());

        let (reader, writer) = rustix::pipe::pipe().map_err(io::Error::from)?;
        assert_eq!(near.send_with_fds(cx, b"take", &[writer.as_fd()]).await?, 4);
        drop(writer);
        let mut buf = [0; 8];
        let received = far.recv_with_fds(cx, &mut buf).await?;
        assert_eq!((&buf[..received.bytes], received.truncated), (&b"take"[..], false));
        let [fd] = <[_; 1]>::try_from(received.fds).unwrap();
        rustix::io::write(&fd, b"through the pipe").map_err(io::Error::from)?;
        drop(fd);
        let text = io::read_to_string(std::fs::File::from(reader.try_clone()?))?;
        assert_eq!(text, "through the pipe");

        let refused = near.send_with_fds(cx, b"", &[]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        let many = vec![reader.as_fd(); 65];
        let refused = near.send_with_fds(cx, b"many", &many).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        near.send_with_fds(cx, b"many", &many[..64]).await?;
        let received = far.recv_with_fds(cx, &mut buf).await?;
        assert_eq!((received.bytes, received.fds.len(), received.truncated), (4, 64, false));
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

#[test]
fn a_full_receiver_holds_its_senders_back_on_the_machine_too() {
    on_the_machine(async |cx: &Cx| {
        let (near, far) = UnixDatagram::pair(cx)?;
        let mut sending = cx.spawn(async move |cx: &Cx| {
            for number in 0..1000u32 {
                near.send(cx, &number.to_be_bytes()).await?;
            }
            Ok::<_, Error>(())
        });
        cx.sleep(Duration::from_millis(5)).await?;
        assert!(!sending.is_finished(), "a thousand datagrams fit");
        let mut buf = [0; 8];
        for number in 0..1000u32 {
            let n = far.recv(cx, &mut buf).await?;
            assert_eq!(buf[..n], number.to_be_bytes());
        }
        sending.join(cx).await?.into_result()?;
        Ok(())
    });
}

/// Three clients come to a listener with room for fewer, which accepts only after a while.
async fn crowd(cx: &Cx, listener: UnixListener, address: UnixAddr) -> Result<(), Error> {
    let mut clients = Vec::new();
    for _ in 0..3 {
        let address = address.clone();
        clients.push(
            cx.spawn(async move |cx: &Cx| Ok::<_, Error>(UnixStream::connect(cx, address).await?)),
        );
    }
    cx.sleep(Duration::from_millis(50)).await?;
    let connected = clients.iter().filter(|client| client.is_finished()).count();
    assert!(connected < 3, "the queue has room for all");
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.push(listener.accept(cx).await?);
    }
    for mut client in clients {
        client.join(cx).await?.into_result()?;
    }
    Ok(())
}

#[test]
fn who_meets_a_full_queue_waits_for_room() {
    let options = VirtualOptions { backlog: 1, ..VirtualOptions::default() };
    let report = LabRuntime::new(LabConfig::default().network(options)).run(async |cx: &Cx| {
        let address = UnixAddr::abstract_name("crowd");
        crowd(cx, UnixListener::bind(cx, &address).await?, address).await
    });
    assert!(report.is_ok(), "{report}");
    on_the_machine(async |cx: &Cx| {
        use socket2::{Domain, SockAddr, Socket, Type};
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("crowd");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        socket.listen(0)?;
        crowd(cx, UnixListener::from_std(cx, socket.into())?, path.into()).await
    });
}

#[test]
fn what_is_not_there_or_taken_or_too_long_is_named() {
    async fn check(cx: &Cx) -> Result<(), Error> {
        let absent = UnixStream::connect(cx, "/nowhere/to/be/found").await.unwrap_err();
        assert_eq!((absent.kind(), code(&absent)), (io::ErrorKind::NotFound, "ASY-0511"));
        assert!(absent.to_string().contains("/nowhere/to/be/found"), "{absent}");
        let long = "x".repeat(200);
        let error = UnixListener::bind(cx, &long).await.unwrap_err();
        assert_eq!((error.kind(), code(&error)), (io::ErrorKind::InvalidInput, "ASY-0510"));
        let name = UnixAddr::abstract_name(format!("asupersync-{}-taken", std::process::id()));
        let _first = UnixListener::bind(cx, &name).await?;
        let error = UnixListener::bind(cx, &name).await.unwrap_err();
        assert_eq!((error.kind(), code(&error)), (io::ErrorKind::AddrInUse, "ASY-0510"));
        Ok(())
    }
    let report = LabRuntime::new(LabConfig::default()).run(check);
    assert!(report.is_ok(), "{report}");
    on_the_machine(check);
}

#[test]
fn a_file_that_took_the_sockets_place_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let runtime = RuntimeBuilder::current_thread().build().unwrap();
    let at = path.clone();
    let outcome = runtime.block_on(async move |cx: &Cx| {
        let listener = UnixListener::bind(cx, &at).await?;
        std::fs::remove_file(&at)?;
        std::fs::write(&at, "somebody else's")?;
        drop(listener);
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "somebody else's");
}

/// Reads and writes that never have to wait, on one thread: between them timers fire and others run.
#[test]
fn a_task_whose_stream_is_always_ready_keeps_neither_timers_nor_others_from_their_turns() {
    let runtime = RuntimeBuilder::current_thread().build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let (told, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (tells, counted) = (told.clone(), turns.clone());
        drop(cx.spawn(async move |cx: &Cx| {
            cx.sleep(Duration::from_millis(20)).await?;
            tells.store(true, Ordering::Relaxed);
            Ok::<_, Error>(())
        }));
        let other = cx.spawn(async move |cx: &Cx| -> Result<(), Error> {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                cx.yield_now().await?;
            }
        });
        let (mut near, mut far) = UnixStream::pair(cx)?;
        let (mut piece, mut pieces) = ([7; 4096], 0);
        while !told.load(Ordering::Relaxed) {
            assert!(pieces < 5_000_000, "the timer has not fired");
            // There is always room for this, and then always something to read.
            near.write_all(cx, &piece).await?;
            far.read_exact(cx, &mut piece).await?;
            pieces += 1;
        }
        other.cancel(CancelReason::user("the test is over"));
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns >= pieces / 20, "{turns} turns beside {pieces} pieces each way");
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

#[test]
fn bytes_behind_a_descriptor_are_read_although_the_read_before_them_was_short() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let (mut near, far) = UnixStream::pair(cx)?;
        // The system stops a read behind the bytes that a descriptor came with.
        far.send_with_fds(cx, b"one", &[io::stdin().as_fd()]).await?;
        (&far).write_all(cx, b"two").await?;
        let mut bytes = [0; 6];
        let reading = near.read_exact(cx, &mut bytes);
        let read = asupersync_combinator::timeout(cx, Duration::from_secs(10), reading).await;
        assert!(matches!(read, Ok(Ok(()))), "{read:?}, and {bytes:?}");
        assert_eq!(&bytes, b"onetwo");
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}
