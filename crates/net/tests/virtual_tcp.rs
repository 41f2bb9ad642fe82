//! TCP over the virtual network, as programs see it.

#[path = "support/world.rs"]
mod world;

use asupersync_combinator::timeout;
use asupersync_core::{
    BranchEnd, BranchOptions, CancelReason, Cx, Error, Outcome, TaskHandle, cancelled_in,
};
use asupersync_io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy};
use asupersync_net::{
    ListenOptions, NetError, Shutdown, TcpListener, TcpStream, VirtualNetwork, VirtualOptions,
};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use world::{run, run_without_network};

const SERVER: &str = "10.0.0.9:80";

/// Accepts `clients` connections and answers each with what it sends.
fn serve(cx: &Cx, listener: TcpListener, clients: usize) -> TaskHandle<(), Error> {
    cx.spawn(async move |cx: &Cx| {
        for _ in 0..clients {
            let (stream, _) = listener.accept(cx).await?;
            let _ = cx.spawn(async move |cx: &Cx| {
                let (mut reader, mut writer) = stream.into_split();
                // A connection that fails shows at its client; here it must not end the others.
                if copy(cx, &mut reader, &mut writer).await.is_ok() {
                    let _ = writer.close(cx).await;
                }
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
}

async fn ask(cx: &Cx, question: &[u8]) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(cx, SERVER).await?;
    let (mut reader, mut writer) = stream.into_split();
    let question = question.to_vec();
    let mut asking = cx.spawn(async move |cx: &Cx| {
        let _ = writer.write_all(cx, &question).await; // the answer tells
        Ok::<_, Error>(())
    });
    let mut answer = Vec::new();
    reader.read_to_end(cx, &mut answer, 1 << 20).await?;
    let _ = asking.join(cx).await;
    Ok(answer)
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

#[test]
fn every_seed_echoes_every_byte() {
    for seed in 0..100 {
        run(VirtualOptions::from_seed(seed), seed, async move |cx: &Cx| {
            let _ = serve(cx, TcpListener::bind(cx, SERVER).await?, 3);
            let mut clients = Vec::new();
            for client in 0..3 {
                let question = text(seed + client, 40 * client as usize);
                clients.push(cx.spawn(async move |cx: &Cx| {
                    assert_eq!(ask(cx, &question).await?, question);
                    Ok::<_, Error>(())
                }));
            }
            for mut client in clients {
                client.join(cx).await?.into_result()?;
            }
            Ok::<_, Error>(())
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let play = |seed| {
        let ran = run(VirtualOptions::from_seed(seed), seed, async move |cx: &Cx| {
            let _ = serve(cx, TcpListener::bind(cx, SERVER).await?, 2);
            let mut other =
                cx.spawn(async move |cx: &Cx| Ok::<_, Error>(ask(cx, &[1; 700]).await?));
            ask(cx, &[2; 500]).await?;
            other.join(cx).await?.into_result()?;
            Ok::<_, Error>(())
        });
        (ran.at, ran.history)
    };
    for seed in 0..10 {
        assert!(!play(seed).1.is_empty());
        assert_eq!(play(seed), play(seed));
    }
    assert_ne!(play(1), play(2));
}

#[test]
fn split_halves_in_two_tasks_move_16_mib_both_ways() {
    const SIZE: usize = 16 << 20;
    let ran = run(VirtualOptions::default(), 1, async move |cx: &Cx| {
        let listener = TcpListener::bind(cx, SERVER).await?;
        let mut accepting =
            cx.spawn(async move |cx: &Cx| Ok::<_, Error>(listener.accept(cx).await?.0));
        let near = TcpStream::connect(cx, SERVER).await?;
        let far = accepting.join(cx).await?.into_result()?;
        let mut tasks = Vec::new();
        for (stream, byte) in [(near, 1), (far, 2)] {
            let (mut reader, mut writer) = stream.into_split();
            tasks.push(cx.spawn(async move |cx: &Cx| {
                let piece = vec![byte; 1 << 16];
                for _ in 0..SIZE >> 16 {
                    writer.write_all(cx, &piece).await?;
                }
                Ok::<_, Error>(0)
            }));
            tasks.push(cx.spawn(async move |cx: &Cx| {
                let (mut buf, mut total) = (vec![0; 1 << 16], 0);
                loop {
                    match reader.read(cx, &mut buf).await? {
                        0 => return Ok::<_, Error>(total),
                        n => total += n,
                    }
                    assert!(buf[0] == 3 - byte);
                }
            }));
        }
        let mut total = 0;
        for mut task in tasks {
            total += task.join(cx).await?.into_result()?;
        }
        Ok::<_, Error>(total)
    });
    assert_eq!(ran.value, 2 * SIZE);
}

#[test]
fn connecting_where_nobody_listens_is_refused_with_advice() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let error = TcpStream::connect(cx, SERVER).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let inner = error.get_ref().unwrap().downcast_ref::<NetError>().unwrap();
        assert_eq!((inner.code(), inner.address()), ("ASY-0511", Some(SERVER.parse().unwrap())));
        assert!(error.to_string().contains("nobody listens there"), "{error}");
        let error = TcpStream::connect(cx, "localhost").await.unwrap_err();
        assert!(error.to_string().starts_with("ASY-0512"), "{error}");
        Ok::<_, Error>(())
    });
}

#[test]
fn a_host_without_a_network_says_so() {
    run_without_network(async |cx: &Cx| {
        let bound = TcpListener::bind(cx, SERVER).await.unwrap_err();
        let connected = TcpStream::connect(cx, SERVER).await.unwrap_err();
        for error in [bound, connected] {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            let text = error.to_string();
            assert!(text.starts_with("ASY-0004") && text.contains("virtual_tcp.rs"), "{text}");
        }
        Ok::<_, Error>(())
    });
}

#[test]
fn an_address_is_bound_once_and_free_after_its_listener_is_dropped() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let listener = TcpListener::bind(cx, SERVER).await?;
        let error = TcpListener::bind(cx, SERVER).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        TcpListener::bind(cx, SERVER).await?;
        let any = TcpListener::bind(cx, ([0, 0, 0, 0], 0)).await?;
        let port = any.local_addr()?.port();
        assert!(port >= 49152);
        let mut accepting = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(any.accept(cx).await?.0));
        let stream = TcpStream::connect(cx, ([10, 9, 9, 9], port)).await?;
        let accepted = accepting.join(cx).await?.into_result()?;
        assert_eq!(accepted.local_addr()?, stream.peer_addr()?);
        assert_eq!(accepted.peer_addr()?, stream.local_addr()?);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_full_backlog_makes_connecting_wait_and_then_time_out() {
    let options =
        VirtualOptions { connect_timeout: Duration::from_secs(10), ..VirtualOptions::default() };
    run(options, 1, async |cx: &Cx| {
        let listener = TcpListener::bind_with(cx, SERVER, &ListenOptions::new().backlog(1)).await?;
        let _first = TcpStream::connect(cx, SERVER).await?;
        let error = TcpStream::connect(cx, SERVER).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(cx.now().as_nanos() / 1_000_000_000, 10);
        let mut second =
            cx.spawn(async |cx: &Cx| Ok::<_, Error>(TcpStream::connect(cx, SERVER).await?));
        cx.sleep(Duration::from_millis(500)).await?;
        assert!(!second.is_finished());
        listener.accept(cx).await?;
        second.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
}

#[test]
fn connections_nobody_accepted_are_reset_with_their_listener() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let listener = TcpListener::bind(cx, SERVER).await?;
        let mut stream = TcpStream::connect(cx, SERVER).await?;
        drop(listener);
        let error = stream.read(cx, &mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        Ok::<_, Error>(())
    });
}

/// Two connected streams.
async fn pair(cx: &Cx) -> Result<(TcpStream, TcpStream), Error> {
    let listener = TcpListener::bind(cx, SERVER).await?;
    let mut accepting = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(listener.accept(cx).await?.0));
    let near = TcpStream::connect(cx, SERVER).await?;
    Ok((near, accepting.join(cx).await?.into_result()?))
}

#[test]
fn a_slow_reader_stops_its_writer_at_the_window() {
    let options = VirtualOptions { window: 1000, ..VirtualOptions::default() };
    run(options, 1, async |cx: &Cx| {
        let (mut near, mut far) = pair(cx).await?;
        let mut writing = cx.spawn(async move |cx: &Cx| {
            near.write_all(cx, &[7; 5000]).await?;
            Ok::<_, Error>(near)
        });
        cx.sleep(Duration::from_secs(3600)).await?;
        assert!(!writing.is_finished());
        let mut buf = vec![0; 4000];
        far.read_exact(cx, &mut buf).await?;
        let near = writing.join(cx).await?.into_result()?;
        drop(near);
        let mut rest = Vec::new();
        assert_eq!(far.read_to_end(cx, &mut rest, 1000).await?, 1000);
        Ok::<_, Error>(())
    });
}

#[test]
fn shutting_down_and_aborting_reach_the_peer() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let (mut near, mut far) = pair(cx).await?;
        near.shutdown(Shutdown::Write)?;
        assert_eq!(near.write(cx, b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(far.read(cx, &mut [0; 1]).await?, 0);
        far.write_all(cx, b"still").await?;
        let mut buf = [0; 5];
        near.read_exact(cx, &mut buf).await?;
        near.abort()?;
        let error = far.read(cx, &mut buf).await.map(|n| assert_eq!(n, 0));
        assert!(error.is_ok(), "the end of the stream came before the reset");
        cx.sleep(Duration::from_secs(1)).await?;
        let error = far.write(cx, b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        Ok::<_, Error>(())
    });
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

#[test]
fn a_partition_delays_what_it_cuts_and_a_reset_breaks_it() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let network = cx.service::<VirtualNetwork>().unwrap();
        let listener = TcpListener::bind(cx, SERVER).await?;
        let mut accepting = cx.spawn(async move |cx: &Cx| {
            Ok::<_, Error>((listener.accept(cx).await?.0, listener.accept(cx).await?.0))
        });
        let mut cut = TcpStream::connect_from(cx, ip(2), SERVER).await?;
        let mut whole = TcpStream::connect_from(cx, ip(3), SERVER).await?;
        assert_eq!(cut.local_addr()?.ip(), ip(2));
        let (mut far_cut, mut far_whole) = accepting.join(cx).await?.into_result()?;
        network.partition(ip(2), ip(9));
        cut.write_all(cx, b"late").await?;
        whole.write_all(cx, b"soon").await?;
        let mut buf = [0; 4];
        far_whole.read_exact(cx, &mut buf).await?;
        let mut healer = cx.spawn(async move |cx: &Cx| {
            cx.sleep(Duration::from_secs(60)).await?;
            network.heal_all();
            Ok::<_, Error>(network)
        });
        far_cut.read_exact(cx, &mut buf).await?;
        assert_eq!((&buf, cx.now().as_nanos() / 1_000_000_000), (b"late", 60));
        let network = healer.join(cx).await?.into_result()?;
        let address: SocketAddr = SERVER.parse().unwrap();
        assert_eq!(network.reset(address, cut.local_addr()?), 1);
        for stream in [&mut cut, &mut far_cut] {
            let error = stream.read(cx, &mut buf).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        Ok::<_, Error>(())
    });
}

/// A connection from `10.0.0.2` to the server's address, both ends of it, and the network.
async fn between_machines(cx: &Cx) -> Result<(TcpStream, TcpStream, Arc<VirtualNetwork>), Error> {
    let network = cx.service::<VirtualNetwork>().unwrap();
    let listener = TcpListener::bind(cx, SERVER).await?;
    let mut accepting = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(listener.accept(cx).await?.0));
    let near = TcpStream::connect_from(cx, ip(2), SERVER).await?;
    let far = accepting.join(cx).await?.into_result()?;
    Ok((near, far, network))
}

/// Whether four bytes arrive within a minute.
async fn arrives(cx: &Cx, stream: &mut TcpStream) -> bool {
    let mut buf = [0; 4];
    let minute = Duration::from_secs(60);
    timeout(cx, minute, stream.read_exact(cx, &mut buf)).await.is_ok_and(|read| read.is_ok())
}

#[test]
fn a_partition_one_way_cuts_that_way_only() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let (mut near, mut far, network) = between_machines(cx).await?;
        network.partition_one_way(ip(2), ip(9));
        near.write_all(cx, b"lost").await?;
        far.write_all(cx, b"here").await?;
        assert!(arrives(cx, &mut near).await);
        assert!(!arrives(cx, &mut far).await);
        network.heal(ip(9), ip(2));
        assert!(arrives(cx, &mut far).await);
        Ok::<_, Error>(())
    });
}

#[test]
fn connections_are_stalled_and_restored_one_by_one() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let network = cx.service::<VirtualNetwork>().unwrap();
        let listener = TcpListener::bind(cx, SERVER).await?;
        let mut accepting = cx.spawn(async move |cx: &Cx| {
            Ok::<_, Error>([listener.accept(cx).await?.0, listener.accept(cx).await?.0])
        });
        let mut near = [
            TcpStream::connect_from(cx, ip(2), SERVER).await?,
            TcpStream::connect_from(cx, ip(2), SERVER).await?,
        ];
        let mut far = accepting.join(cx).await?.into_result()?;
        let ends = [near[0].local_addr()?, near[1].local_addr()?];
        let server: SocketAddr = SERVER.parse().unwrap();
        assert_eq!((network.stall(ends[0], server), network.stall(server, ends[1])), (1, 1));
        for stream in &mut near {
            stream.write_all(cx, b"late").await?;
        }
        assert!(!arrives(cx, &mut far[0]).await && !arrives(cx, &mut far[1]).await);
        assert_eq!(network.unstall(ends[1], server), 1);
        assert!(!arrives(cx, &mut far[0]).await && arrives(cx, &mut far[1]).await);
        network.partition(ip(2), ip(9));
        network.unstall(ends[0], server);
        assert!(!arrives(cx, &mut far[0]).await, "the partition cuts it too");
        network.heal(ip(2), ip(9));
        assert!(arrives(cx, &mut far[0]).await);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_crashed_machine_leaves_its_peers_half_open_and_can_be_served_from_again() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let (mut near, far, network) = between_machines(cx).await?;
        network.crash(ip(9));
        drop(far); // its tasks end: no word of that leaves the machine
        assert!(!arrives(cx, &mut near).await);
        near.write_all(cx, b"hello").await?;
        let error = near.read(cx, &mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let (mut near, mut far, _) = between_machines(cx).await?;
        near.write_all(cx, b"anew").await?;
        assert!(arrives(cx, &mut far).await);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_calmed_network_resets_nothing_more() {
    let options = VirtualOptions { reset: 500_000, segment: 100, ..VirtualOptions::default() };
    let sent = run(options, 5, async |cx: &Cx| {
        let network = cx.service::<VirtualNetwork>().unwrap();
        let _ = serve(cx, TcpListener::bind(cx, SERVER).await?, 2);
        let question = text(1, 3000);
        assert!(ask(cx, &question).await.is_err(), "half of all segments are resets");
        network.calm();
        Ok::<_, Error>(ask(cx, &question).await?.len())
    });
    assert_eq!(sent.value, 3000);
}

#[test]
fn injected_resets_end_every_wait_and_leave_nothing() {
    let mut resets = 0;
    for seed in 0..100 {
        let options = VirtualOptions { reset: 50_000, ..VirtualOptions::from_seed(seed) };
        let ran = run(options, seed, async move |cx: &Cx| {
            let _ = serve(cx, TcpListener::bind(cx, SERVER).await?, 1);
            let question = text(seed, 3000);
            Ok::<_, Error>(match ask(cx, &question).await {
                Ok(answer) => {
                    assert!(question.starts_with(&answer));
                    usize::from(answer.len() < question.len())
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                    1
                }
            })
        });
        resets += ran.value;
    }
    assert!(resets > 10, "{resets} of 100 runs met a reset");
}

/// Cancels a call after a number of polls.
async fn cancelled_after<F: Future>(cx: &Cx, mut polls: usize, call: F) -> BranchEnd<F::Output> {
    let mut branch = pin!(cx.branch(BranchOptions::default(), call));
    poll_fn(|context| {
        if polls == 0 {
            branch.as_mut().cancel(CancelReason::user("interrupted"));
        }
        let poll = branch.as_mut().poll(context);
        if poll.is_pending() && polls > 0 {
            polls -= 1;
            if polls == 0 {
                context.waker().wake_by_ref();
            }
        }
        poll
    })
    .await
}

#[test]
fn a_cancelled_connect_or_accept_leaves_nothing_behind() {
    for polls in 0..5 {
        run(VirtualOptions::default(), 1, async move |cx: &Cx| {
            let listener = TcpListener::bind(cx, SERVER).await?;
            match cancelled_after(cx, polls, TcpStream::connect(cx, SERVER)).await {
                BranchEnd::Finished(Err(error)) => assert!(cancelled_in(&error).is_some()),
                BranchEnd::Finished(Ok(_)) => assert!(polls > 2),
                BranchEnd::Dropped(reason) => panic!("{reason:?}"),
            }
            let mut client =
                cx.spawn(async |cx: &Cx| Ok::<_, Error>(TcpStream::connect(cx, SERVER).await?));
            let mut accepted = match cancelled_after(cx, polls, listener.accept(cx)).await {
                BranchEnd::Finished(Ok((stream, _))) => stream,
                BranchEnd::Finished(Err(error)) => {
                    assert!(cancelled_in(&error).is_some());
                    listener.accept(cx).await?.0
                }
                BranchEnd::Dropped(reason) => panic!("{reason:?}"),
            };
            let Outcome::Ok(stream) = client.join(cx).await? else { panic!("not connected") };
            drop(stream);
            // Either connection ends; the cancelled one may stand before the other in the queue.
            assert_eq!(accepted.read(cx, &mut [0; 1]).await?, 0);
            Ok::<_, Error>(())
        });
    }
}

#[test]
fn a_cancelled_read_or_write_moves_no_byte() {
    for polls in 0..12 {
        run(VirtualOptions::from_seed(3), 3, async move |cx: &Cx| {
            let (mut near, mut far) = pair(cx).await?;
            let sent = text(3, 2000);
            let expected = sent.clone();
            let mut writing = cx.spawn(async move |cx: &Cx| {
                let mut written = 0;
                while written < sent.len() {
                    let call = near.write_all_resume(cx, &sent, &mut written);
                    if let BranchEnd::Finished(Ok(())) =
                        cancelled_after(cx, polls.max(1), call).await
                    {
                        break;
                    }
                    cx.sleep(Duration::from_millis(1)).await?;
                }
                Ok::<_, Error>(())
            });
            let mut got = Vec::new();
            loop {
                let call = far.read_to_end(cx, &mut got, 2000);
                match cancelled_after(cx, polls.max(1), call).await {
                    BranchEnd::Finished(Ok(_)) => break,
                    _ => cx.sleep(Duration::from_millis(1)).await?,
                }
            }
            assert_eq!(got, expected);
            writing.join(cx).await?.into_result()?;
            Ok::<_, Error>(())
        });
    }
}

#[test]
fn the_last_to_wait_is_woken_when_the_segment_arrives() {
    run(VirtualOptions::default(), 1, async |cx: &Cx| {
        let (mut near, mut far) = pair(cx).await?;
        near.write_all(cx, b"x").await?;
        {
            let mut nobody = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut far).poll_read(&mut nobody, &mut [0; 1]).is_pending());
        }
        near.write_all(cx, b"y").await?;
        far.read_exact(cx, &mut [0; 2]).await?;
        Ok::<_, Error>(())
    });
}
