//! Against dnsmasq, beside dig, over the loopback.

#[path = "../../net/tests/support/peers.rs"]
mod peers;
#[path = "../../net/tests/support/port.rs"]
mod port;

use asupersync_core::{Cx, Error, Outcome};
use asupersync_dns::{
    AddressFamily, Config, DnsError, DnsErrorKind, RecordData, RecordType, Resolver,
};
use asupersync_runtime::RuntimeBuilder;
use peers::installed;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server, stopped when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// dnsmasq with a zone of its own, asking nobody else.
fn dnsmasq() -> Option<Server> {
    let address = SocketAddr::from(([127, 0, 0, 1], port::free()));
    let mut command = Command::new("dnsmasq");
    command.args(["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user="]);
    command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--local=/test/"]);
    command.arg(format!("--port={}", address.port()));
    command.args(["--host-record=www.test,192.0.2.1,2001:db8::1", "--cname=alias.test,www.test"]);
    command.args(["--mx-host=test,mx2.test,20", "--mx-host=test,mx1.test,10"]);
    command.args(["--txt-record=test,v=spf1,-all", "--srv-host=_x._tcp.test,www.test,5222,1,2"]);
    command.args(["--local-ttl=60", "--auth-ttl=60"]);
    let address_of = |n: u32| format!("--host-record=many.test,10.1.{}.{}", n / 250, n % 250 + 1);
    command.args((0..120).map(address_of));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Some(Server { child: command.spawn().ok()?, address })
}

fn run(
    body: impl for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>
    + for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error>
    + Send
    + 'static,
) {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    match runtime.block_on(body) {
        Outcome::Ok(()) => {}
        Outcome::Err(error) => panic!("{error}"),
        _ => panic!("the body did not end"),
    }
    assert!(runtime.shutdown(Duration::from_secs(10)).is_clean());
}

/// The answer section's data as dig prints it, sorted.
fn dig(server: SocketAddr, name: &str, of: RecordType) -> Vec<String> {
    let output = Command::new("dig")
        .args([format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()])
        .args(["+noall", "+answer", "+tries=1", "+time=5", name, &of.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let wanted = of.to_string();
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines = lines.filter(|words| words.len() > 4 && words[3] == wanted);
    let mut data: Vec<String> =
        lines.map(|words| words[4..].join(" ").trim_end_matches('.').to_owned()).collect();
    data.sort();
    data
}

fn shown(data: &RecordData) -> String {
    match data {
        RecordData::A(address) => address.to_string(),
        RecordData::Aaaa(address) => address.to_string(),
        RecordData::Cname(name) | RecordData::Ptr(name) => name.to_string(),
        RecordData::Mx { preference, exchange } => format!("{preference} {exchange}"),
        RecordData::Srv { priority, weight, port, target } => {
            format!("{priority} {weight} {port} {target}")
        }
        RecordData::Txt(strings) => {
            let quoted = strings.iter().map(|s| format!("\"{}\"", String::from_utf8_lossy(s)));
            quoted.collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn dnsmasq_says_to_us_what_it_says_to_dig() {
    if !installed("dnsmasq") || !installed("dig") {
        return;
    }
    let server = dnsmasq().expect("dnsmasq starts");
    let address = server.address;
    run(async move |cx: &Cx| {
        let resolver = Resolver::new(Config::new([address]));
        // Until it listens.
        for _ in 0..50 {
            if resolver.lookup(cx, "www.test", RecordType::A).await.is_ok() {
                break;
            }
            cx.sleep(Duration::from_millis(100)).await?;
        }
        let questions = [
            ("www.test", RecordType::A, 1),
            ("WWW.test", RecordType::AAAA, 1),
            ("alias.test", RecordType::A, 1),
            ("alias.test", RecordType::CNAME, 1),
            ("test", RecordType::MX, 2),
            ("test", RecordType::TXT, 1),
            ("_x._tcp.test", RecordType::SRV, 1),
            ("1.2.0.192.in-addr.arpa", RecordType::PTR, 1),
            // By TCP: this is longer than a packet.
            ("many.test", RecordType::A, 120),
        ];
        for (name, of, count) in questions {
            let records = resolver.lookup(cx, name, of).await?;
            let mut ours: Vec<String> = records.iter().map(|record| shown(&record.data)).collect();
            ours.sort();
            assert_eq!(ours.len(), count, "{name} {of}");
            assert_eq!(ours, dig(address, name, of), "{name} {of}");
        }
        let both = resolver.addresses(cx, "alias.test", AddressFamily::Both).await?;
        assert_eq!(
            both,
            ["2001:db8::1", "192.0.2.1"].map(|text| text.parse::<std::net::IpAddr>().unwrap())
        );
        for (name, of, kind) in [
            ("gone.test", RecordType::A, DnsErrorKind::NoSuchName),
            ("many.test", RecordType::AAAA, DnsErrorKind::NoRecords),
        ] {
            let error = resolver.lookup(cx, name, of).await.unwrap_err();
            assert_eq!(DnsError::inside(&error).unwrap().kind(), kind);
            assert!(dig(address, name, of).is_empty());
        }
        Ok(())
    });
    drop(server);
}

#[test]
fn a_closed_port_is_no_answer() {
    let address = SocketAddr::from(([127, 0, 0, 1], port::free()));
    run(async move |cx: &Cx| {
        let config = Config { timeout: Duration::from_millis(100), ..Config::new([address]) };
        let error = Resolver::new(config).lookup(cx, "x.test", RecordType::A).await.unwrap_err();
        assert_eq!(DnsError::inside(&error).unwrap().kind(), DnsErrorKind::NoAnswer);
        Ok(())
    });
}
