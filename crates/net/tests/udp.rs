//! Datagrams, in the lab and on the machine.

use asupersync_combinator::timeout;
use asupersync_core::{CancelReason, Cx, Error, Outcome, TaskHandle};
use asupersync_lab::{LabConfig, LabRuntime, LabTest};
use asupersync_net::{NetError, UdpOptions, UdpSocket, VirtualNetwork, VirtualOptions};
use asupersync_runtime::RuntimeBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const SERVER: &str = "10.0.0.9:53";

fn lab(seed: u64, options: VirtualOptions) -> LabConfig {
    LabConfig::default().seed(seed).network(options)
}

fn server() -> SocketAddr {
    SERVER.parse().unwrap()
}

fn in_the_lab<F>(options: VirtualOptions, body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let report = LabRuntime::new(lab(1, options)).run(body);
    assert!(report.is_ok(), "{report}");
}

/// Asks until it is answered; a late answer to an earlier question is passed over.
async fn ask(cx: &Cx, question: u8) -> io::Result<usize> {
    let socket = UdpSocket::bind(cx, "10.0.0.1:0").await?;
    socket.connect(SERVER)?;
    for attempt in 1.. {
        socket.send(cx, &[question, attempt]).await?;
        let mut buf = [0; 8];
        match timeout(cx, Duration::from_secs(1), socket.recv(cx, &mut buf)).await {
            Ok(received) => {
                assert_eq!((received?, buf[0]), (2, question));
                return Ok(attempt as usize);
            }
            Err(_) => cx.checkpoint()?,
        }
    }
    unreachable!("it asks until it is answered")
}

/// Clients that ask a server over a bad network; answers how many attempts they needed.
async fn program(cx: &Cx) -> Result<usize, Error> {
    let outcome = cx
        .region(async |scope| {
            let socket = UdpSocket::bind(cx, SERVER).await?;
            let serving: TaskHandle<(), Error> = scope.spawn(async move |cx: &Cx| {
                let mut buf = [0; 8];
                loop {
                    let (n, from) = socket.recv_from(cx, &mut buf).await?;
                    socket.send_to(cx, &buf[..n], from).await?;
                }
            });
            let mut asking = Vec::new();
            for question in 0..3 {
                asking.push(scope.spawn(async move |cx: &Cx| Ok(ask(cx, question).await?)));
            }
            let mut attempts = 0;
            for mut asking in asking {
                attempts += asking.join(cx).await?.into_result()?;
            }
            serving.cancel(CancelReason::user("everybody is answered"));
            Ok::<_, Error>(attempts)
        })
        .await;
    Ok(outcome.into_result()?)
}

#[test]
fn on_a_bad_network_everybody_who_asks_again_is_answered() {
    let mut attempts = 0;
    for seed in 0..100 {
        let report = LabRuntime::new(lab(seed, VirtualOptions::from_seed(seed))).run(program);
        assert!(report.is_ok(), "seed {seed}: {report}");
        attempts += report.outcome.ok().unwrap_or(0);
    }
    assert!(attempts > 300, "{attempts} attempts for 300 questions: nothing was lost");
}

#[test]
fn a_program_cancelled_at_any_step_ends_in_order() {
    let options = VirtualOptions { loss: 300_000, ..VirtualOptions::default() };
    let test = LabTest::new("udp::program").config(lab(0, options)).seeds(3..5);
    let summary = test.inject_cancel(true).run(program);
    assert!(summary.runs > 40, "{summary:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let trace = |seed| {
        let config = lab(seed, VirtualOptions::from_seed(seed)).capture_trace(true);
        LabRuntime::new(config).run(program).trace.unwrap().into_bytes()
    };
    for seed in 0..5 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}

/// Sends `count` numbered datagrams from one socket to another and answers those that arrive, in order.
async fn arrivals(cx: &Cx, count: u32) -> io::Result<Vec<u32>> {
    let to = UdpSocket::bind(cx, SERVER).await?;
    let from = UdpSocket::bind(cx, "10.0.0.1:0").await?;
    for number in 0..count {
        from.send_to(cx, &number.to_be_bytes(), to.local_addr()?).await?;
        cx.sleep(Duration::from_micros(10)).await?;
    }
    let mut arrived = Vec::new();
    let mut buf = [0; 4];
    while let Ok(n) = timeout(cx, Duration::from_secs(1), to.recv(cx, &mut buf)).await {
        assert_eq!(n?, 4);
        arrived.push(u32::from_be_bytes(buf));
    }
    Ok(arrived)
}

#[test]
fn a_good_network_loses_doubles_and_swaps_nothing() {
    in_the_lab(VirtualOptions::default(), async |cx: &Cx| {
        assert!(arrivals(cx, 1000).await?.into_iter().eq(0..1000));
        Ok(())
    });
}

#[test]
fn loss_strikes_as_often_as_the_options_say() {
    let options = VirtualOptions { loss: 100_000, ..VirtualOptions::default() };
    in_the_lab(options, async |cx: &Cx| {
        let arrived = arrivals(cx, 5000).await?;
        assert!((4400..4600).contains(&arrived.len()), "{}", arrived.len());
        assert!(arrived.is_sorted());
        Ok(())
    });
}

#[test]
fn duplicates_come_twice_and_late_ones_are_overtaken() {
    let options = VirtualOptions { duplicate: 100_000, ..VirtualOptions::default() };
    in_the_lab(options, async |cx: &Cx| {
        let arrived = arrivals(cx, 5000).await?;
        assert!((5400..5600).contains(&arrived.len()), "{}", arrived.len());
        Ok(())
    });
    let options = VirtualOptions { reorder: 100_000, ..VirtualOptions::default() };
    in_the_lab(options, async |cx: &Cx| {
        let mut arrived = arrivals(cx, 2000).await?;
        assert!(!arrived.is_sorted());
        arrived.sort_unstable();
        assert!(arrived.into_iter().eq(0..2000));
        Ok(())
    });
}

#[test]
fn what_a_full_buffer_or_a_partition_meets_is_lost() {
    let options = VirtualOptions { datagram_buffer: 40, ..VirtualOptions::default() };
    in_the_lab(options, async |cx: &Cx| {
        assert!(arrivals(cx, 100).await?.into_iter().eq(0..10));
        let network = cx.service::<VirtualNetwork>().unwrap();
        network.partition([10, 0, 0, 1].into(), server().ip());
        assert_eq!(arrivals(cx, 10).await?, []);
        network.heal_all();
        assert_eq!(arrivals(cx, 10).await?.len(), 10);
        Ok(())
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only_and_a_peek_takes_nothing() {
    in_the_lab(VirtualOptions::default(), async |cx: &Cx| {
        let here = UdpSocket::bind(cx, SERVER).await?;
        let peer = UdpSocket::bind(cx, "10.0.0.2:7").await?;
        let stranger = UdpSocket::bind(cx, "10.0.0.3:7").await?;
        assert_eq!(here.peer_addr().unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert_eq!(here.send(cx, b"x").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        here.connect("10.0.0.2:7")?;
        stranger.send_to(cx, b"stranger", server()).await?;
        peer.send_to(cx, b"a friend", server()).await?;
        let mut buf = [0; 4];
        assert_eq!(here.peek_from(cx, &mut buf).await?, (4, peer.local_addr()?));
        assert_eq!((here.recv(cx, &mut buf).await?, &buf), (4, b"a fr"));
        let rest = timeout(cx, Duration::from_secs(1), here.recv(cx, &mut buf)).await;
        assert!(rest.is_err(), "the rest of a datagram is gone: {rest:?}");
        let long = vec![0; 65_508];
        assert_eq!(here.send(cx, &long).await.unwrap_err().raw_os_error(), Some(90));
        let taken = UdpSocket::bind(cx, SERVER).await.unwrap_err();
        assert_eq!(taken.get_ref().unwrap().downcast_ref::<NetError>().unwrap().code(), "ASY-0510");
        Ok(())
    });
}

#[test]
fn groups_are_reached_by_multicast_and_everybody_by_broadcast() {
    in_the_lab(VirtualOptions::default(), async |cx: &Cx| {
        let group = Ipv4Addr::new(239, 0, 0, 1);
        let mut members = Vec::new();
        for last in 1..=3 {
            let socket = UdpSocket::bind(cx, (Ipv4Addr::new(10, 0, 0, last), 5353)).await?;
            socket.join_multicast_v4(group, Ipv4Addr::UNSPECIFIED)?;
            members.push(socket);
        }
        members[2].leave_multicast_v4(group, Ipv4Addr::UNSPECIFIED)?;
        members[0].set_multicast_loop_v4(false)?;
        members[0].send_to(cx, b"group", (group, 5353).into()).await?;
        let everybody = (Ipv4Addr::BROADCAST, 5353).into();
        let refused = members[0].send_to(cx, b"all", everybody).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        members[1].set_broadcast(true)?;
        cx.sleep(Duration::from_secs(1)).await?;
        members[1].send_to(cx, b"all", everybody).await?;
        let mut buf = [0; 8];
        assert_eq!(members[0].recv(cx, &mut buf).await?, 3);
        assert_eq!(members[1].recv(cx, &mut buf).await?, 5);
        assert_eq!(members[2].recv(cx, &mut buf).await?, 3);
        Ok(())
    });
}

fn on_the_machine<F>(body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(body);
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

#[test]
fn the_machine_echoes_ten_thousand_datagrams_between_two_tasks() {
    on_the_machine(async |cx: &Cx| {
        let server = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        let client = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        client.connect(server.local_addr()?)?;
        assert_eq!(client.peer_addr()?, server.local_addr()?);
        let serving: TaskHandle<(), Error> = cx.spawn(async move |cx: &Cx| {
            let mut buf = [0; 1500];
            loop {
                let (n, from) = server.recv_from(cx, &mut buf).await?;
                server.send_to(cx, &buf[..n], from).await?;
            }
        });
        let mut buf = [0; 1500];
        for number in 0..10_000u32 {
            client.send(cx, &number.to_be_bytes()).await?;
            // The loopback loses nothing that fits the buffer, and this is one at a time.
            let n = client.recv(cx, &mut buf).await?;
            assert_eq!(buf[..n], number.to_be_bytes());
        }
        serving.cancel(CancelReason::user("enough"));
        Ok(())
    });
}

#[test]
fn options_reach_the_machines_sockets() {
    on_the_machine(async |cx: &Cx| {
        let options = UdpOptions::new().reuse_port(true).receive_buffer(64 * 1024);
        let one = UdpSocket::bind_with(cx, "127.0.0.1:0", &options).await?;
        let two = UdpSocket::bind_with(cx, one.local_addr()?, &options).await?;
        assert_eq!(one.local_addr()?, two.local_addr()?);
        assert!(one.receive_buffer()?.unwrap() >= 64 * 1024);
        one.set_ttl(7)?;
        assert_eq!(one.ttl()?, 7);
        one.set_broadcast(true)?;
        assert!(one.broadcast()?);
        one.set_multicast_loop_v4(true)?;
        one.set_multicast_ttl_v4(0)?;
        assert_eq!((one.multicast_loop_v4()?, one.multicast_ttl_v4()?), (true, 0));
        let group = Ipv4Addr::new(239, 255, 77, 1);
        let member = UdpSocket::bind(cx, "0.0.0.0:0").await?;
        member.join_multicast_v4(group, Ipv4Addr::LOCALHOST)?;
        let port = member.local_addr()?.port();
        let sender = socket2::Socket::from(one_of_the_loopback());
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        let sender = UdpSocket::from_std(cx, sender.into())?;
        sender.send_to(cx, b"group", (group, port).into()).await?;
        let mut buf = [0; 8];
        assert_eq!(member.recv_from(cx, &mut buf).await?, (5, sender.local_addr()?));
        member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST)?;
        Ok(())
    });
}

#[expect(clippy::disallowed_methods, reason = "a socket made elsewhere, to be taken over")]
fn one_of_the_loopback() -> std::net::UdpSocket {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_host_without_a_network_says_so() {
    let config = LabConfig::default().service(Arc::new(()));
    let report = LabRuntime::new(config).run(async |cx: &Cx| {
        // The lab has a network; what it has not are kernel sockets to take over.
        let error = UdpSocket::from_std(cx, one_of_the_loopback()).unwrap_err();
        assert!(error.to_string().starts_with("ASY-0004"), "{error}");
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

/// Every call's bytes arrive as datagrams of the size asked for, the last one perhaps shorter.
async fn segmented(cx: &Cx, here: SocketAddr, there: SocketAddr) -> Result<(), Error> {
    let to = UdpSocket::bind(cx, here).await?;
    let from = UdpSocket::bind(cx, there).await?;
    let to_address = to.local_addr()?;
    let bytes: Vec<u8> = (0..15_050_u32).map(|n| (n / 59) as u8).collect();
    let mut buf = [0; 2000];
    for (size, most) in [(100, 6400), (1400, 15_050), (1, 64), (15_050, 15_050), (20_000, 15_050)] {
        let mut rest = &bytes[..if size == 1 { 200 } else { bytes.len() }];
        while !rest.is_empty() {
            let sent = from.send_segments(cx, rest, size, Some(to_address)).await?;
            assert_eq!(sent, rest.len().min(most), "in one call");
            let (batch, after) = rest.split_at(sent);
            for datagram in batch.chunks(size) {
                let n = to.recv(cx, &mut buf).await?;
                assert_eq!(buf[..n], datagram[..datagram.len().min(buf.len())]);
            }
            rest = after;
        }
    }
    assert_eq!(from.send_segments(cx, b"", 10, Some(to_address)).await?, 0);
    let refused = from.send_segments(cx, b"x", 0, Some(to_address)).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    let unnamed = from.send_segments(cx, &bytes, 100, None).await.unwrap_err();
    assert!(unnamed.raw_os_error().is_some() || unnamed.kind() == io::ErrorKind::NotConnected);
    from.connect(to_address)?;
    assert_eq!(from.send_segments(cx, &bytes[..300], 100, None).await?, 300);
    assert_eq!(to.recv(cx, &mut buf).await?, 100, "and nothing came before it");
    Ok(())
}

#[test]
fn bytes_are_cut_up_into_datagrams_of_one_size() {
    in_the_lab(VirtualOptions::default(), async |cx: &Cx| {
        segmented(cx, server(), "10.0.0.1:0".parse().expect("an address")).await
    });
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let outcome = runtime.block_on(async move |cx: &Cx| segmented(cx, any, any).await);
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

/// What one datagram over IPv4 holds, and one byte more.
async fn longest(cx: &Cx, here: SocketAddr, there: SocketAddr) -> Result<(), Error> {
    const LONGEST: usize = 65_507;
    const EMSGSIZE: i32 = 90;
    let to = UdpSocket::bind(cx, here).await?;
    let from = UdpSocket::bind(cx, there).await?;
    let address = to.local_addr()?;
    let bytes: Vec<u8> = (0..=LONGEST).map(|n| (n / 251) as u8).collect();
    let mut buf = vec![0; LONGEST + 1];
    for (given, size, goes) in [
        (LONGEST, LONGEST, LONGEST),
        (LONGEST + 1, LONGEST, LONGEST),
        // Two that together are one byte too long to be cut from one.
        (LONGEST + 1, LONGEST.div_ceil(2), LONGEST.div_ceil(2)),
        (LONGEST, LONGEST + 1, LONGEST),
    ] {
        let sent = from.send_segments(cx, &bytes[..given], size, Some(address)).await?;
        assert_eq!(sent, goes, "of {given} by {size}");
        let n = to.recv(cx, &mut buf).await?;
        assert!(buf[..n] == bytes[..goes], "{n} of {goes} bytes");
    }
    let one_more = from.send_segments(cx, &bytes, bytes.len(), Some(address)).await.unwrap_err();
    assert_eq!(one_more.raw_os_error(), Some(EMSGSIZE));
    assert_eq!(from.send_to(cx, &bytes[..LONGEST], address).await?, LONGEST);
    assert_eq!(to.recv(cx, &mut buf).await?, LONGEST);
    let one_more = from.send_to(cx, &bytes, address).await.unwrap_err();
    assert_eq!(one_more.raw_os_error(), Some(EMSGSIZE));
    Ok(())
}

#[test]
fn the_longest_datagram_goes_and_one_byte_more_is_refused() {
    in_the_lab(VirtualOptions::default(), async |cx: &Cx| {
        longest(cx, server(), "10.0.0.1:0".parse().expect("an address")).await
    });
    on_the_machine(async |cx: &Cx| {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        longest(cx, any, any).await
    });
}

#[test]
fn without_a_peer_there_is_nobody_to_send_to() {
    on_the_machine(async |cx: &Cx| {
        let socket = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        let alone = socket.send(cx, b"x").await.unwrap_err();
        assert_eq!(alone.kind(), io::ErrorKind::NotConnected);
        for many in [&b"x"[..], b"xyz"] {
            let alone = socket.send_segments(cx, many, 1, None).await.unwrap_err();
            assert_eq!(alone.kind(), io::ErrorKind::NotConnected);
        }
        Ok(())
    });
}
