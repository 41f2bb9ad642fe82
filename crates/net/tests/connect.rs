//! Connecting by name and to the first of several addresses, in the lab and on the machine.

use asupersync_core::{Cx, Error, Outcome, Time};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{LabConfig, LabRuntime, LabTest};
use asupersync_net::{
    ConnectOptions, HostPort, Lookup, NetError, Resolve, ResolveCaps, TcpListener, TcpStream,
    VirtualNetwork, VirtualOptions, resolve,
};
use asupersync_runtime::RuntimeBuilder;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn quiet() -> LabConfig {
    let millisecond = Duration::from_millis(1);
    LabConfig::default()
        .network(VirtualOptions { latency: millisecond..=millisecond, ..Default::default() })
}

fn network(cx: &Cx) -> Arc<VirtualNetwork> {
    cx.service::<VirtualNetwork>().expect("the lab has one")
}

fn code(error: &io::Error) -> &'static str {
    error.get_ref().unwrap().downcast_ref::<NetError>().unwrap().code()
}

/// Runs a body in the lab and answers the moment at which it ended.
fn in_the_lab<F>(body: F) -> Time
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let report = LabRuntime::new(quiet()).run(body);
    assert!(report.is_ok(), "{report}");
    report.virtual_time
}

#[test]
fn a_silent_address_has_the_attempt_delay_for_itself_and_then_company() {
    let ended = in_the_lab(async |cx: &Cx| {
        let _silent = TcpListener::bind(cx, (ip(2), 80)).await?;
        let listener = TcpListener::bind(cx, (ip(3), 80)).await?;
        network(cx).partition(ip(1), ip(2));
        let addresses = [SocketAddr::new(ip(2), 80), SocketAddr::new(ip(3), 80)];
        let options = ConnectOptions::new();
        let stream = TcpStream::connect_any(cx, addresses, &options).await?;
        assert_eq!(stream.peer_addr()?, addresses[1]);
        listener.accept(cx).await?;
        Ok(())
    });
    assert_eq!(ended, Time::ZERO + Duration::from_millis(252));
}

#[test]
fn a_refusal_lets_the_next_address_begin_at_once() {
    let ended = in_the_lab(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, (ip(3), 80)).await?;
        let addresses = [SocketAddr::new(ip(2), 80), listener.local_addr()?];
        let stream = TcpStream::connect_any(cx, addresses, &ConnectOptions::new()).await?;
        assert_eq!(stream.peer_addr()?, addresses[1]);
        Ok(())
    });
    assert_eq!(ended, Time::ZERO + Duration::from_millis(4));
}

#[test]
fn time_runs_out_over_all_addresses_together() {
    let ended = in_the_lab(async |cx: &Cx| {
        for last in [2, 3, 4] {
            network(cx).partition(ip(1), ip(last));
        }
        let addresses = [2, 3, 4].map(|last| SocketAddr::new(ip(last), 80));
        let options = ConnectOptions::new().timeout(Duration::from_secs(2));
        let error = TcpStream::connect_any(cx, addresses, &options).await.unwrap_err();
        assert_eq!((error.kind(), code(&error)), (io::ErrorKind::TimedOut, "ASY-0511"));
        let error = TcpStream::connect_with(cx, addresses[0], &options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = TcpStream::connect_any(cx, [], &options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        Ok(())
    });
    assert_eq!(ended, Time::from_secs(4));
}

#[test]
fn every_address_refusing_is_one_error_and_leaves_nothing() {
    in_the_lab(async |cx: &Cx| {
        let addresses = [2, 3].map(|last| SocketAddr::new(ip(last), 80));
        let error =
            TcpStream::connect_any(cx, addresses, &ConnectOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(network(cx).connections().is_empty());
        Ok(())
    });
}

async fn by_name(cx: &Cx) -> Result<(), Error> {
    let network = network(cx);
    network.set_name("Db.Test.", [ip(2), ip(3)]);
    network.partition(ip(1), ip(2));
    let listener = TcpListener::bind(cx, (ip(3), 5432)).await?;
    let mut serving = cx.spawn(async move |cx: &Cx| {
        let (mut stream, _) = listener.accept(cx).await?;
        stream.write_all(cx, b"hello").await?;
        Ok::<_, Error>(())
    });
    let options = ConnectOptions::new().timeout(Duration::from_secs(5));
    let mut stream = TcpStream::connect_name(cx, "db.test:5432", &options).await?;
    let mut greeting = [0; 5];
    stream.read_exact(cx, &mut greeting).await?;
    serving.join(cx).await?.into_result()?;
    Ok(())
}

#[test]
fn a_name_is_connected_to_by_whichever_address_answers_wherever_it_is_cancelled() {
    let summary = LabTest::new("connect::by_name").config(quiet()).inject_cancel(true).run(by_name);
    assert!(summary.runs > 5, "{summary:?}");
}

#[test]
fn an_unknown_name_says_which_it_was() {
    in_the_lab(async |cx: &Cx| {
        let options = ConnectOptions::new();
        let error = TcpStream::connect_name(cx, "nowhere.test:1", &options).await.unwrap_err();
        assert_eq!((error.kind(), code(&error)), (io::ErrorKind::NotFound, "ASY-0513"));
        assert!(error.to_string().contains("`nowhere.test`"), "{error}");
        network(cx).set_name("gone.test", [ip(2)]);
        network(cx).set_name("gone.test", []);
        assert!(resolve(cx, "gone.test:1").await.is_err());
        assert_eq!(resolve(cx, "[::1]:7").await?, ["[::1]:7".parse().unwrap()]);
        assert_eq!(resolve(cx, "localhost:7").await?, ["127.0.0.1:7".parse().unwrap()]);
        Ok(())
    });
}

/// Answers after a second; for `empty` with nothing at all.
struct Slow;

impl Resolve for Slow {
    fn resolve<'a>(&'a self, cx: &'a Cx<ResolveCaps>, name: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move {
            cx.sleep(Duration::from_secs(1)).await?;
            Ok(if name == "empty" { vec![] } else { vec![SocketAddr::new(ip(9), port)] })
        })
    }
}

#[test]
fn a_resolver_of_ones_own_is_asked_and_its_time_counts() {
    let service = Arc::new(Arc::new(Slow) as Arc<dyn Resolve>);
    let report = LabRuntime::new(quiet().service(service)).run(async |cx: &Cx| {
        let host: HostPort = "any:9".parse()?;
        assert_eq!(resolve(cx, &host).await?, [SocketAddr::new(ip(9), 9)]);
        let error = resolve(cx, ("empty", 9)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let options = ConnectOptions::new().timeout(Duration::from_millis(500));
        let error = TcpStream::connect_name(cx, host, &options).await.unwrap_err();
        assert_eq!((error.kind(), code(&error)), (io::ErrorKind::TimedOut, "ASY-0513"));
        assert_eq!(cx.now(), Time::ZERO + Duration::from_millis(2500));
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn the_machine_resolves_localhost_and_takes_a_resolver_of_ones_own() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let options = ConnectOptions::new().timeout(Duration::from_secs(10));
        // ::1 comes first on many machines, and refuses.
        let stream = TcpStream::connect_name(cx, ("localhost", port), &options).await?;
        assert_eq!(stream.peer_addr()?.port(), port);
        listener.accept(cx).await?;
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");

    let mine = Arc::new(Arc::new(Slow) as Arc<dyn Resolve>);
    let runtime = RuntimeBuilder::current_thread().service(mine).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        assert_eq!(resolve(cx, "anything:80").await?, [SocketAddr::new(ip(9), 80)]);
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

#[test]
fn of_more_addresses_than_are_tried_the_first_are_tried() {
    in_the_lab(async |cx: &Cx| {
        let _listener = TcpListener::bind(cx, (ip(9), 80)).await?;
        // Nobody is at the others, which the network refuses at once.
        let addresses = |refusing: usize| {
            let refusing = (0..refusing).map(|_| SocketAddr::new(ip(9), 81));
            refusing.chain([SocketAddr::new(ip(9), 80)])
        };
        let options = ConnectOptions::new();
        TcpStream::connect_any(cx, addresses(63), &options).await?;
        let error = TcpStream::connect_any(cx, addresses(64), &options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        Ok(())
    });
}

/// Finds as many addresses of any name as it was told, of which only the last has a listener.
struct Many(usize);

impl Resolve for Many {
    fn resolve<'a>(&'a self, _: &'a Cx<ResolveCaps>, _: &'a str, port: u16) -> Lookup<'a> {
        let refusing = (1..self.0).map(move |_| SocketAddr::new(ip(9), port + 1));
        let all = refusing.chain([SocketAddr::new(ip(9), port)]).collect();
        Box::pin(async move { Ok(all) })
    }
}

#[test]
fn of_a_name_with_more_addresses_than_are_tried_the_first_are_tried() {
    for (count, found) in [(64, true), (65, false)] {
        let resolver: Arc<dyn Resolve> = Arc::new(Many(count));
        let config = quiet().service(Arc::new(resolver));
        let report = LabRuntime::new(config).run(async move |cx: &Cx| {
            let _listener = TcpListener::bind(cx, (ip(9), 80)).await?;
            let options = ConnectOptions::new();
            let connected = TcpStream::connect_name(cx, "many.test:80", &options).await;
            assert_eq!(connected.is_ok(), found);
            Ok::<_, Error>(())
        });
        assert!(report.is_ok(), "{report}");
    }
}
