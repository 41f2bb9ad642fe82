//! Look-ups on the virtual network.

#[path = "support/server.rs"]
mod server;

use asupersync_core::{CancelReason, Cx, Error, Outcome, TaskHandle};
use asupersync_dns::{
    AddressFamily, CacheLimits, Config, DnsError, DnsErrorKind, Hosts, Message, RecordData,
    RecordType, Resolver, ResponseCode,
};
use asupersync_lab::{ExploreOptions, LabConfig, LabReport, LabRuntime, LabTest, explore};
use asupersync_net::{ConnectOptions, Resolve, TcpListener, TcpStream, UdpSocket, VirtualOptions};
use server::{
    Log, Reply, Says, a, aaaa, answer_to, cname, record, serve_tcp, serve_udp, soa, zone,
};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const FIRST: &str = "10.0.0.53:53";
const SECOND: &str = "10.0.1.53:53";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn config() -> Config {
    Config::new([at(FIRST)])
}

fn start(cx: &Cx, address: &str, says: &Arc<Says>, log: &Log) -> [TaskHandle<(), Error>; 2] {
    let address = at(address);
    let (for_udp, for_tcp) = ((says.clone(), log.clone()), (says.clone(), log.clone()));
    [
        cx.spawn(async move |cx: &Cx| Ok(serve_udp(cx, address, for_udp.0, for_udp.1).await?)),
        cx.spawn(async move |cx: &Cx| Ok(serve_tcp(cx, address, for_tcp.0, for_tcp.1).await?)),
    ]
}

/// Runs a body beside servers, and stops them after it.
async fn beside<T>(
    cx: &Cx,
    servers: &[(&'static str, Arc<Says>)],
    body: impl AsyncFnOnce(&Cx, Log) -> Result<T, Error>,
) -> Result<T, Error> {
    let log = Log::default();
    let mut tasks = Vec::new();
    for (address, says) in servers {
        tasks.extend(start(cx, address, says, &log));
    }
    // Until they have bound their addresses.
    let answer = match cx.sleep(Duration::from_millis(1)).await {
        Ok(()) => body(cx, log).await,
        Err(cancelled) => Err(cancelled.into()),
    };
    for task in &tasks {
        task.cancel(CancelReason::user("the test is over"));
    }
    for mut task in tasks {
        let _: Outcome<(), _> = task.join(cx).await?;
    }
    answer
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> DnsErrorKind {
    let error = result.unwrap_err();
    DnsError::inside(&error).unwrap_or_else(|| panic!("{error}")).kind()
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn our_zone() -> Arc<Says> {
    let server = |text: &str| text.parse().unwrap();
    let service = |priority, weight, target: &str| RecordData::Srv {
        priority,
        weight,
        port: 5222,
        target: target.parse().unwrap(),
    };
    let text =
        |parts: &[&str]| RecordData::Txt(parts.iter().map(|part| part.as_bytes().into()).collect());
    zone(vec![
        soa("example.test", 60),
        a("www.example.test", 300, "192.0.2.1"),
        a("www.example.test", 300, "192.0.2.2"),
        aaaa("www.example.test", 300, "2001:db8::1"),
        a("old.example.test", 300, "192.0.2.9"),
        cname("alias.example.test", 100, "www.example.test"),
        record(
            "example.test",
            300,
            RecordData::Mx { preference: 20, exchange: server("mx2.test") },
        ),
        record(
            "example.test",
            300,
            RecordData::Mx { preference: 10, exchange: server("mx1.test") },
        ),
        record("example.test", 300, text(&["v=spf1 ", "-all"])),
        record("_xmpp._tcp.example.test", 300, service(20, 0, "last.test")),
        record("_xmpp._tcp.example.test", 300, service(10, 90, "big.test")),
        record("_xmpp._tcp.example.test", 300, service(10, 10, "small.test")),
        record("_no._tcp.example.test", 300, service(0, 0, ".")),
        record("1.2.0.192.in-addr.arpa", 300, RecordData::Ptr(server("www.example.test"))),
        cname("round.example.test", 100, "about.example.test"),
        cname("about.example.test", 100, "round.example.test"),
    ])
}

fn run<T: Clone + Send + 'static>(
    config: LabConfig,
    body: impl for<'a> AsyncFnOnce(&'a Cx) -> Result<T, Error>
    + for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, T, Error>
    + Send
    + 'static,
) -> (T, LabReport<T, Error>) {
    let report = LabRuntime::new(config).run(body);
    assert!(report.is_ok(), "{report}");
    let Outcome::Ok(value) = &report.outcome else { unreachable!("the report is ok") };
    (value.clone(), report)
}

#[test]
fn every_kind_of_record_is_found() {
    run(LabConfig::default(), async |cx: &Cx| {
        beside(cx, &[(FIRST, our_zone())], async |cx, _| {
            let resolver = Resolver::new(config());
            let both = resolver.addresses(cx, "WWW.example.test", AddressFamily::Both).await?;
            assert_eq!(texts(&both), ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
            let four = resolver.addresses(cx, "old.example.test", AddressFamily::Both).await?;
            assert_eq!(texts(&four), ["192.0.2.9"], "one family is enough");
            let alias = resolver.addresses(cx, "alias.example.test", AddressFamily::Ipv4).await?;
            assert_eq!(texts(&alias), ["192.0.2.1", "192.0.2.2"]);
            let mail = resolver.mx(cx, "example.test").await?;
            assert_eq!(
                mail.iter().map(|(p, n)| format!("{p} {n}")).collect::<Vec<_>>(),
                ["10 mx1.test", "20 mx2.test"]
            );
            assert_eq!(resolver.txt(cx, "example.test").await?, [b"v=spf1 -all"]);
            let names = resolver.names_of(cx, "192.0.2.1".parse().unwrap()).await?;
            assert_eq!(texts(&names), ["www.example.test"]);
            let mut first = [0, 0];
            for _ in 0..200 {
                let services = resolver.srv(cx, "_xmpp._tcp.example.test").await?;
                assert_eq!(services.len(), 3);
                assert_eq!(services[2].target.to_string(), "last.test");
                first[usize::from(services[0].target.to_string() == "small.test")] += 1;
            }
            assert!(first[0] > 150 && first[1] > 5, "by weight, 9 to 1: {first:?}");
            assert_eq!(
                kind(resolver.srv(cx, "_no._tcp.example.test").await),
                DnsErrorKind::NoRecords
            );
            Ok(())
        })
        .await
    });
}

#[test]
fn a_no_is_told_from_another() {
    run(LabConfig::default(), async |cx: &Cx| {
        beside(cx, &[(FIRST, our_zone())], async |cx, _| {
            let resolver = Resolver::new(config());
            let six = resolver.addresses(cx, "old.example.test", AddressFamily::Ipv6).await;
            assert_eq!(kind(six), DnsErrorKind::NoRecords);
            let gone = resolver.addresses(cx, "gone.example.test", AddressFamily::Both).await;
            assert_eq!(kind(gone), DnsErrorKind::NoSuchName);
            let round = resolver.addresses(cx, "round.example.test", AddressFamily::Both).await;
            assert_eq!(kind(round), DnsErrorKind::AliasChain);
            let invalid = resolver.lookup(cx, "no name", RecordType::A).await;
            assert!(matches!(kind(invalid), DnsErrorKind::InvalidName(_)));
            let nobody = Resolver::new(Config::default());
            assert_eq!(kind(nobody.lookup(cx, "x", RecordType::A).await), DnsErrorKind::NoServers);
            Ok(())
        })
        .await
    });
}

#[test]
fn an_answer_and_a_no_are_remembered_as_long_as_they_say() {
    run(LabConfig::default(), async |cx: &Cx| {
        beside(cx, &[(FIRST, our_zone())], async |cx, log| {
            let resolver = Resolver::new(config());
            let mut asked = Vec::new();
            let again = resolver.clone();
            for pause in [0, 59, 2, 38, 2] {
                cx.sleep(Duration::from_secs(pause)).await?;
                // 100 seconds of an alias to what is kept for 300; 60 of a no.
                again.lookup(cx, "alias.example.test", RecordType::A).await?;
                assert_eq!(
                    kind(again.lookup(cx, "gone.example.test", RecordType::A).await),
                    DnsErrorKind::NoSuchName
                );
                asked.push(log.lock().unwrap().len());
            }
            assert_eq!(asked, [2, 2, 3, 3, 4]);
            resolver.clear_cache();
            again.lookup(cx, "alias.example.test", RecordType::A).await?;
            assert_eq!(log.lock().unwrap().len(), 5);
            let forgetful = CacheLimits { entries: 0, ..CacheLimits::default() };
            let forgetful =
                Resolver::with(config(), Hosts::default(), AddressFamily::Ipv4, forgetful);
            for _ in 0..3 {
                forgetful.lookup(cx, "www.example.test", RecordType::A).await?;
            }
            assert_eq!(log.lock().unwrap().len(), 8);
            Ok(())
        })
        .await
    });
}

#[test]
fn what_is_too_long_for_a_packet_comes_by_tcp() {
    run(LabConfig::default(), async |cx: &Cx| {
        let many = (0..200).map(|n| a("many.test", 60, &format!("192.0.2.{n}"))).collect();
        beside(cx, &[(FIRST, zone(many))], async |cx, log| {
            let resolver = Resolver::new(config());
            let addresses = resolver.addresses(cx, "many.test", AddressFamily::Ipv4).await?;
            assert_eq!(addresses.len(), 200);
            let by_tcp: Vec<bool> = log.lock().unwrap().iter().map(|(_, tcp)| *tcp).collect();
            assert_eq!(by_tcp, [false, true]);
            Ok(())
        })
        .await
    });
}

#[test]
fn aliases_are_followed_from_server_answer_to_server_answer_and_not_for_ever() {
    // A server that never follows an alias: a chain of n, or one without an end.
    let chain = |length: usize| -> Arc<Says> {
        Arc::new(move |query: &Message| {
            let mut answer = answer_to(query);
            let name = query.questions[0].name.to_string();
            let n: usize = name.trim_start_matches('n').split('.').next().unwrap().parse().unwrap();
            answer.answers.push(if n == length {
                a(&name, 60, "192.0.2.1")
            } else {
                cname(&name, 60, &format!("n{}.test", n + 1))
            });
            Reply::Answer(answer)
        })
    };
    run(LabConfig::default(), async move |cx: &Cx| {
        beside(cx, &[(FIRST, chain(7)), (SECOND, chain(usize::MAX))], async |cx, log| {
            let resolver = Resolver::new(config());
            assert_eq!(resolver.lookup(cx, "n0.test", RecordType::A).await?.len(), 1);
            assert_eq!(log.lock().unwrap().len(), 8);
            let endless = Resolver::new(Config::new([at(SECOND)]));
            let answer = endless.lookup(cx, "n0.test", RecordType::A).await;
            assert_eq!(kind(answer), DnsErrorKind::AliasChain);
            assert_eq!(log.lock().unwrap().len(), 16);
            Ok(())
        })
        .await
    });
}

#[test]
fn the_next_server_is_asked_when_one_is_silent_or_fails() {
    let silent: Arc<Says> = Arc::new(|_| Reply::Silence);
    let failing: Arc<Says> =
        Arc::new(|query| Reply::Answer(Message { code: 2, ..answer_to(query) }));
    for (says, takes) in [(silent.clone(), 2), (failing.clone(), 0)] {
        run(LabConfig::default(), async move |cx: &Cx| {
            beside(cx, &[(FIRST, says), (SECOND, our_zone())], async move |cx, _| {
                let resolver = Resolver::new(Config::new([at(FIRST), at(SECOND)]));
                let start = cx.now();
                resolver.lookup(cx, "www.example.test", RecordType::A).await?;
                assert_eq!(cx.now().saturating_since(start).as_secs(), takes);
                Ok(())
            })
            .await
        });
    }
    run(LabConfig::default(), async move |cx: &Cx| {
        beside(cx, &[(FIRST, silent), (SECOND, failing)], async |cx, log| {
            let mut config = config();
            let start = cx.now();
            let answer = Resolver::new(config.clone()).lookup(cx, "x.test", RecordType::A).await;
            assert_eq!(kind(answer), DnsErrorKind::NoAnswer);
            assert_eq!(cx.now().saturating_since(start).as_secs(), 4, "two tries of two seconds");
            config.servers.push(at(SECOND));
            let answer = Resolver::new(config).lookup(cx, "x.test", RecordType::A).await;
            assert_eq!(kind(answer), DnsErrorKind::ServerFailed(ResponseCode::SERVER_FAILURE));
            assert_eq!(log.lock().unwrap().len(), 6, "nothing of it was remembered");
            Ok(())
        })
        .await
    });
}

#[test]
fn a_server_from_before_edns_is_asked_without_it() {
    let old: Arc<Says> = Arc::new(|query| {
        let mut answer = Message { edns: None, ..answer_to(query) };
        match query.edns {
            Some(_) => answer.code = ResponseCode::FORMAT.0,
            None => answer.answers.push(a(&query.questions[0].name.to_string(), 60, "192.0.2.1")),
        }
        Reply::Answer(answer)
    });
    run(LabConfig::default(), async move |cx: &Cx| {
        beside(cx, &[(FIRST, old)], async |cx, _| {
            let found = Resolver::new(config()).lookup(cx, "x.test", RecordType::A).await?;
            assert_eq!(found.len(), 1);
            Ok(())
        })
        .await
    });
}

#[test]
fn short_names_are_found_below_the_search_domains_and_in_the_hosts_file() {
    run(LabConfig::default(), async |cx: &Cx| {
        beside(cx, &[(FIRST, our_zone())], async |cx, log| {
            let search = ["other.test", "example.test"].map(|name| name.parse().unwrap());
            let config = Config { search: search.to_vec(), ..config() };
            let hosts = Hosts::parse("192.0.2.77 db\n192.0.2.78 web.example.test");
            let resolver =
                Resolver::with(config, hosts, AddressFamily::Ipv4, CacheLimits::default());
            let found = async |name: &str| {
                resolver.addresses(cx, name, AddressFamily::Ipv4).await.map(|found| texts(&found))
            };
            assert_eq!(found("www").await?, ["192.0.2.1", "192.0.2.2"]);
            let asked: Vec<String> =
                log.lock().unwrap().iter().map(|(question, _)| question.name.to_string()).collect();
            assert_eq!(asked, ["www.other.test", "www.example.test"]);
            assert_eq!(found("db").await?, ["192.0.2.77"]);
            assert_eq!(found("web").await?, ["192.0.2.78"]);
            assert_eq!(found("localhost").await?, ["127.0.0.1"]);
            assert_eq!(log.lock().unwrap().len(), 2);
            assert_eq!(kind(found("www.").await), DnsErrorKind::NoSuchName);
            let name = resolver.names_of(cx, "192.0.2.77".parse().unwrap()).await?;
            assert_eq!(texts(&name), ["db"]);
            Ok(())
        })
        .await
    });
}

/// Says a number of false answers before the true one, each wrong in one of four ways.
async fn liar(cx: &Cx, lies: u64) -> Result<(), Error> {
    let server = UdpSocket::bind(cx, at(FIRST)).await?;
    let elsewhere = UdpSocket::bind(cx, at("10.0.0.66:53")).await?;
    let other_port = UdpSocket::bind(cx, at("10.0.0.53:5353")).await?;
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = server.recv_from(cx, &mut buffer).await?;
        let query = Message::parse(&buffer[..length]).unwrap();
        let name = query.questions[0].name.to_string();
        let mut lie = answer_to(&query);
        lie.answers = vec![a(&name, 60, "198.51.100.66")];
        for n in 0..lies {
            let mut lie = lie.clone();
            match n % 5 {
                0 => lie.id = lie.id.wrapping_add(1 + (n as u16 % 65_535)),
                1 => lie.questions[0].name = "other.test".parse().unwrap(),
                2 => lie.questions[0].of = RecordType::AAAA,
                3 => drop(elsewhere.send_to(cx, &lie.encode(), from).await?),
                _ => drop(other_port.send_to(cx, &lie.encode(), from).await?),
            }
            if n % 5 < 3 {
                server.send_to(cx, &lie.encode(), from).await?;
            }
        }
        cx.sleep(Duration::from_millis(10)).await?;
        let mut truth = answer_to(&query);
        truth.answers = vec![
            // What nobody asked for is not taken either.
            a("bank.test", 86_400, "198.51.100.66"),
            a(&name, 60, "192.0.2.1"),
        ];
        truth.additional = vec![a("bank.test", 86_400, "198.51.100.66")];
        server.send_to(cx, &truth.encode(), from).await?;
    }
}

#[test]
fn no_lie_is_taken_for_an_answer_however_many_come_first() {
    for (lies, by_tcp) in [(10, 0), (63, 0), (2_000, 1)] {
        run(LabConfig::default(), async move |cx: &Cx| {
            let log = Log::default();
            let heard = log.clone();
            let zone = zone(vec![a("x.test", 60, "192.0.2.1")]);
            let lying = cx.spawn(async move |cx: &Cx| liar(cx, lies).await);
            let honest = cx.spawn(async move |cx: &Cx| {
                Ok::<_, Error>(serve_tcp(cx, at(FIRST), zone, heard).await?)
            });
            cx.sleep(Duration::from_millis(1)).await?;
            let resolver = Resolver::new(config());
            let found = resolver.addresses(cx, "x.test", AddressFamily::Ipv4).await?;
            assert_eq!(texts(&found), ["192.0.2.1"]);
            assert_eq!(log.lock().unwrap().len(), by_tcp);
            for mut task in [lying, honest] {
                task.cancel(CancelReason::user("the test is over"));
                let _: Outcome<(), _> = task.join(cx).await?;
            }
            Ok(())
        });
    }
}

#[test]
fn questions_have_ids_and_ports_that_do_not_repeat() {
    let ((), _) = run(LabConfig::default(), async |cx: &Cx| {
        let socket = UdpSocket::bind(cx, at(FIRST)).await?;
        let mut asking = cx.spawn(async |cx: &Cx| {
            let patient = Config { timeout: Duration::from_millis(10), attempts: 50, ..config() };
            let answer = Resolver::new(patient).lookup(cx, "x.test", RecordType::A).await;
            assert_eq!(kind(answer), DnsErrorKind::NoAnswer);
            Ok::<_, Error>(())
        });
        let mut seen = std::collections::BTreeSet::new();
        let mut buffer = [0; 512];
        for _ in 0..50 {
            let (length, from) = socket.recv_from(cx, &mut buffer).await?;
            seen.insert((Message::parse(&buffer[..length]).unwrap().id, from.port()));
            assert!(from.port() >= 1024);
        }
        let distinct = |of: fn(&(u16, u16)) -> u16| {
            seen.iter().map(of).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert!(distinct(|(id, _)| *id) > 45 && distinct(|(_, port)| *port) > 45, "{seen:?}");
        asking.join(cx).await?.into_result()?;
        Ok(())
    });
}

#[test]
fn a_host_that_is_given_the_resolver_connects_by_name() {
    let hosts = Hosts::parse("10.0.0.80 web.test");
    let limits = CacheLimits::default();
    let resolver = Resolver::with(config(), hosts, AddressFamily::Both, limits);
    let service: Arc<dyn Resolve> = Arc::new(resolver);
    run(LabConfig::default().service(Arc::new(service)), async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "10.0.0.80:80").await?;
        let options = ConnectOptions::default();
        let connected = TcpStream::connect_name(cx, "web.test:80", &options).await?;
        listener.accept(cx).await?;
        assert_eq!(connected.peer_addr()?, at("10.0.0.80:80"));
        let error = TcpStream::connect_name(cx, "gone.test:80", &options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "nobody serves names here: {error}");
        Ok(())
    });
}

/// On a network that loses, doubles and delays a quarter of all packets.
async fn program(cx: &Cx) -> Result<usize, Error> {
    beside(cx, &[(FIRST, our_zone()), (SECOND, our_zone())], async |cx, _| {
        let config = Config { attempts: 5, rotate: true, ..Config::new([at(FIRST), at(SECOND)]) };
        let resolver = Resolver::new(config);
        let mut found = 0;
        for name in ["www.example.test", "alias.example.test", "gone.example.test"] {
            match resolver.addresses(cx, name, AddressFamily::Both).await {
                Ok(addresses) => {
                    assert!(texts(&addresses).contains(&"192.0.2.1".to_owned()));
                    found += 1;
                }
                Err(error) => {
                    cx.checkpoint()?;
                    let kind = DnsError::inside(&error).unwrap().kind();
                    assert!(
                        matches!(kind, DnsErrorKind::NoSuchName | DnsErrorKind::NoAnswer),
                        "{error}"
                    );
                }
            }
        }
        Ok(found)
    })
    .await
}

fn lossy(seed: u64) -> LabConfig {
    LabConfig::default().seed(seed).network(VirtualOptions {
        loss: 250_000,
        duplicate: 250_000,
        reorder: 250_000,
        ..VirtualOptions::default()
    })
}

#[test]
fn names_are_found_on_a_network_that_loses_a_quarter() {
    let mut found = 0;
    for seed in 0..60 {
        let (count, _) = run(lossy(seed), program);
        found += count;
    }
    assert!(found >= 115, "{found} of 120");
}

#[test]
fn every_await_of_a_look_up_can_be_cancelled() {
    let summary = LabTest::new("dns::every_await_of_a_look_up_can_be_cancelled")
        .seeds(3..4)
        .inject_cancel(true)
        .config(lossy(3))
        .run(program);
    assert!(summary.runs > 40, "{summary:?}");
}

#[test]
fn exploration_sees_that_who_looks_into_the_cache_and_who_clears_it_do_not_commute() {
    let found = explore(ExploreOptions::default(), async |cx: &Cx| {
        let hosts = Hosts::default();
        let config = Config { servers: Vec::new(), ..config() };
        let resolver = Resolver::with(config, hosts, AddressFamily::Ipv4, CacheLimits::default());
        let clears = resolver.clone();
        let mut other = cx.spawn(async move |_: &Cx| {
            clears.clear_cache();
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        assert_eq!(
            kind(resolver.lookup(cx, "a.test", RecordType::A).await),
            DnsErrorKind::NoServers
        );
        other.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(found.exhausted && found.failure.is_none());
    assert_eq!(found.runs, 2, "the cache is looked into before it is cleared, or after");
}

#[test]
fn an_address_in_words_is_its_own_address_and_nobody_is_asked() {
    run(LabConfig::default(), async |cx: &Cx| {
        let resolver = Resolver::new(Config { servers: Vec::new(), ..config() });
        let four = resolver.addresses(cx, "192.0.2.1", AddressFamily::Both).await?;
        let six = resolver.addresses(cx, "2001:db8::1", AddressFamily::Ipv4First).await?;
        assert_eq!(texts(&[four, six].concat()), ["192.0.2.1", "2001:db8::1"]);
        let other = resolver.addresses(cx, "192.0.2.1", AddressFamily::Ipv6).await;
        assert_eq!(kind(other), DnsErrorKind::NoRecords);
        Ok(())
    });
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let trace = |seed| {
        let report = LabRuntime::new(lossy(seed).capture_trace(true)).run(program);
        (report.trace.unwrap().into_bytes(), report.virtual_time)
    };
    for seed in 0..10 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}
