//! Servers that are broken, lame or slow, on the virtual network.

#[path = "support/server.rs"]
mod server;

use asupersync_core::{CancelReason, Cx, Error, Outcome, TaskHandle};
use asupersync_dns::{
    AddressFamily, CacheLimits, Config, DnsError, DnsErrorKind, Hosts, Message, RecordType,
    Resolver,
};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_net::{TcpListener, UdpSocket};
use server::{Log, a, aaaa, answer_to, serve_tcp, serve_udp, soa, zone};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

const FIRST: &str = "10.0.0.53:53";
const SECOND: &str = "10.0.1.53:53";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

type Task = TaskHandle<(), Error>;

/// A server that answers each packet with these.
fn udp(cx: &Cx, address: &str, says: impl Fn(Message) -> Vec<Vec<u8>> + Send + 'static) -> Task {
    let address = at(address);
    cx.spawn(async move |cx: &Cx| {
        let socket = UdpSocket::bind(cx, address).await?;
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = socket.recv_from(cx, &mut buffer).await?;
            for packet in says(Message::parse(&buffer[..length]).unwrap()) {
                socket.send_to(cx, &packet, from).await?;
            }
        }
    })
}

/// A server that writes these bytes in pieces of such a size and closes.
fn tcp(
    cx: &Cx,
    address: &str,
    piece: usize,
    says: impl Fn(Message) -> Vec<u8> + Send + 'static,
) -> Task {
    let address = at(address);
    cx.spawn(async move |cx: &Cx| {
        let listener = TcpListener::bind(cx, address).await?;
        loop {
            let (mut stream, _) = listener.accept(cx).await?;
            let mut length = [0; 2];
            stream.read_exact(cx, &mut length).await?;
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(cx, &mut query).await?;
            for piece in says(Message::parse(&query).unwrap()).chunks(piece) {
                stream.write_all(cx, piece).await?;
                cx.sleep(Duration::from_micros(10)).await?;
            }
            stream.close(cx).await?;
        }
    })
}

/// Honest, on both ways.
fn honest(cx: &Cx, address: &str) -> (Vec<Task>, Log) {
    let (log, address) = (Log::default(), at(address));
    let says = zone(vec![
        soa("test", 60),
        a("x.test", 60, "192.0.2.1"),
        aaaa("six.test", 60, "2001:db8::1"),
        a("six.test", 60, "192.0.2.6"),
    ]);
    let (for_udp, for_tcp) = ((says.clone(), log.clone()), (says, log.clone()));
    let tasks = vec![
        cx.spawn(async move |cx: &Cx| Ok(serve_udp(cx, address, for_udp.0, for_udp.1).await?)),
        cx.spawn(async move |cx: &Cx| Ok(serve_tcp(cx, address, for_tcp.0, for_tcp.1).await?)),
    ];
    (tasks, log)
}

async fn stop(cx: &Cx, tasks: Vec<Task>) -> Result<(), Error> {
    for mut task in tasks {
        task.cancel(CancelReason::user("the test is over"));
        let _: Outcome<(), _> = task.join(cx).await?;
    }
    Ok(())
}

fn run(
    body: impl for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>
    + for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error>
    + Send
    + 'static,
) {
    let report = LabRuntime::new(LabConfig::default()).run(body);
    assert!(report.is_ok(), "{report}");
}

/// What a resolver of these servers says of a name's IPv4 addresses, and after how many milliseconds.
async fn ask(cx: &Cx, servers: &[&str], name: &str) -> (io::Result<Vec<String>>, u64) {
    // Until they have bound their addresses.
    cx.sleep(Duration::from_millis(1)).await.unwrap();
    let resolver = Resolver::new(Config::new(servers.iter().map(|server| at(server))));
    let start = cx.now();
    let found = resolver.addresses(cx, name, AddressFamily::Ipv4).await;
    let texts = found.map(|found| found.iter().map(ToString::to_string).collect());
    (texts, cx.now().saturating_since(start).as_millis() as u64)
}

fn frame(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes(), packet].concat()
}

fn true_answer(query: &Message) -> Message {
    let name = query.questions[0].name.to_string();
    Message { answers: vec![a(&name, 60, "192.0.2.1")], ..answer_to(query) }
}

#[test]
fn an_answer_that_is_cut_anywhere_is_asked_for_by_tcp_at_once() {
    run(async |cx: &Cx| {
        // The mark is set, and the packet ends in the middle of a record.
        let mut tasks = vec![
            udp(cx, FIRST, |query| {
                let mut packet = Message { truncated: true, ..true_answer(&query) }.encode();
                packet.truncate(packet.len() - 20);
                vec![packet]
            }),
            // Longer than what we said that we receive.
            udp(cx, SECOND, |query| {
                let mut answer = true_answer(&query);
                answer.answers = vec![answer.answers[0].clone(); 60];
                vec![answer.encode()]
            }),
        ];
        for address in [FIRST, SECOND] {
            tasks.push(tcp(cx, address, 4096, |query| frame(&true_answer(&query).encode())));
        }
        for address in [FIRST, SECOND] {
            let (found, took) = ask(cx, &[address], "x.test").await;
            assert_eq!(found?, ["192.0.2.1"]);
            assert!(took < 100, "{address}: {took} ms");
        }
        stop(cx, tasks).await
    });
}

#[test]
fn frames_come_in_pieces_and_what_follows_is_left() {
    run(async |cx: &Cx| {
        let cut = |query: Message| {
            vec![Message { truncated: true, answers: vec![], ..true_answer(&query) }.encode()]
        };
        let tasks = vec![
            udp(cx, FIRST, cut),
            tcp(cx, FIRST, 1, |query| {
                let mut bytes = frame(&true_answer(&query).encode());
                bytes.extend(frame(b"another"));
                bytes
            }),
        ];
        let (found, _) = ask(cx, &[FIRST], "x.test").await;
        assert_eq!(found?, ["192.0.2.1"]);
        stop(cx, tasks).await
    });
}

#[test]
fn a_broken_frame_sends_us_to_the_next_server() {
    let broken: [fn(Message) -> Vec<u8>; 5] = [
        |_| vec![],
        |_| vec![0],
        |_| frame(b""),
        |query| frame(&true_answer(&query).encode()[..20]),
        |query| frame(&Message { id: query.id ^ 1, ..true_answer(&query) }.encode()),
    ];
    for says in broken {
        run(async move |cx: &Cx| {
            let cut = |query: Message| {
                vec![Message { truncated: true, answers: vec![], ..true_answer(&query) }.encode()]
            };
            let (mut tasks, log) = honest(cx, SECOND);
            tasks.extend([udp(cx, FIRST, cut), tcp(cx, FIRST, 100, says)]);
            let (found, took) = ask(cx, &[FIRST, SECOND], "x.test").await;
            assert_eq!(found?, ["192.0.2.1"]);
            assert_eq!(log.lock().unwrap().len(), 1);
            assert!(took < 100, "{took} ms");
            stop(cx, tasks).await
        });
    }
}

#[test]
fn a_server_that_is_not_ours_to_ask_is_passed_over() {
    run(async |cx: &Cx| {
        // It answers for no such zone, asks nobody, and names others: no "no".
        let lame = udp(cx, FIRST, |query| {
            vec![Message { recursion_available: false, ..answer_to(&query) }.encode()]
        });
        let (mut tasks, _) = honest(cx, SECOND);
        tasks.push(lame);
        let (found, _) = ask(cx, &[FIRST, SECOND], "x.test").await;
        assert_eq!(found?, ["192.0.2.1"]);
        let (found, _) = ask(cx, &[FIRST], "x.test").await;
        let error = found.unwrap_err();
        let kind = DnsError::inside(&error).unwrap().kind();
        assert!(matches!(kind, DnsErrorKind::ServerFailed(_)), "{error}");
        assert!(error.to_string().contains("refers"), "{error}");
        stop(cx, tasks).await
    });
}

#[test]
fn garbage_before_the_answer_is_passed_over() {
    run(async |cx: &Cx| {
        let tasks = vec![udp(cx, FIRST, |query| {
            let truth = true_answer(&query).encode();
            let name_at = 12;
            // A name that points to itself, a header alone, nothing, a question sent back, a shorter id.
            let mut round = truth.clone();
            round.splice(name_at.., [0xc0, 0x0c, 0, 1, 0, 1]);
            let question = query.encode();
            vec![round, truth[..12].to_vec(), vec![], question, truth[..1].to_vec(), truth]
        })];
        let (found, took) = ask(cx, &[FIRST], "x.test").await;
        assert_eq!(found?, ["192.0.2.1"]);
        assert!(took < 100, "{took} ms");
        stop(cx, tasks).await
    });
}

#[test]
fn the_root_as_a_search_domain_asks_no_question_twice() {
    run(async |cx: &Cx| {
        let (tasks, log) = honest(cx, FIRST);
        cx.sleep(Duration::from_millis(1)).await?;
        let mut config = Config::parse("search . test test\noptions ndots:2");
        config.servers = vec![at(FIRST)];
        let resolver = Resolver::with(
            config,
            Hosts::default(),
            AddressFamily::Ipv4,
            CacheLimits { entries: 0, ..CacheLimits::default() },
        );
        resolver.lookup(cx, "nothing.x", RecordType::A).await.unwrap_err();
        let asked: Vec<String> =
            log.lock().unwrap().iter().map(|(question, _)| question.name.to_string()).collect();
        assert_eq!(asked, ["nothing.x", "nothing.x.test"]);
        stop(cx, tasks).await
    });
}

#[test]
fn an_answer_for_ever_is_kept_as_long_as_the_cache_may() {
    run(async |cx: &Cx| {
        let tasks = vec![udp(cx, FIRST, |query| {
            let name = query.questions[0].name.to_string();
            vec![
                Message {
                    answers: vec![a(&name, u32::MAX >> 1, "192.0.2.1")],
                    ..answer_to(&query)
                }
                .encode(),
            ]
        })];
        cx.sleep(Duration::from_millis(1)).await?;
        let limits = CacheLimits {
            longest: Duration::MAX,
            shortest: Duration::MAX,
            ..CacheLimits::default()
        };
        let config = Config::new([at(FIRST)]);
        let resolver = Resolver::with(config, Hosts::default(), AddressFamily::Ipv4, limits);
        resolver.lookup(cx, "x.test", RecordType::A).await?;
        stop(cx, tasks).await?;
        cx.sleep(Duration::from_secs(1_000_000)).await?;
        assert_eq!(resolver.lookup(cx, "x.test", RecordType::A).await?.len(), 1);
        Ok(())
    });
}

#[test]
fn a_server_that_is_silent_about_one_family_holds_nobody_up_for_long() {
    run(async |cx: &Cx| {
        let mute = udp(cx, FIRST, |query| match query.questions[0].of {
            RecordType::A => vec![true_answer(&query).encode()],
            _ => vec![],
        });
        cx.sleep(Duration::from_millis(1)).await?;
        let resolver = Resolver::new(Config::new([at(FIRST)]));
        let start = cx.now();
        let found = asupersync_net::Resolve::resolve(&resolver, cx.narrow(), "x.test", 80).await?;
        assert_eq!(found, [at("192.0.2.1:80")]);
        let took = cx.now().saturating_since(start).as_millis();
        assert!(took <= 100, "{took} ms");
        stop(cx, vec![mute]).await
    });
}
