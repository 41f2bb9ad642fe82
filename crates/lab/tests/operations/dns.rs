//! Look-ups of names, beside a server of the virtual network.

#[path = "../../../dns/tests/support/server.rs"]
mod server;

use crate::probe::{Entry, MS, operation};
use asupersync_core::{CancelReason, Cx, Error};
use asupersync_dns::{AddressFamily, Config, RecordData, RecordType, Resolver};
use server::{a, aaaa, cname, record, serve_udp, zone};
use std::net::SocketAddr;

fn address() -> SocketAddr {
    "10.0.0.53:53".parse().expect("an address")
}

async fn serve(cx: &Cx) -> Result<(), Error> {
    let name = |text: &str| text.parse().expect("a name");
    let service = RecordData::Srv { priority: 1, weight: 1, port: 80, target: name("www.test") };
    let records = vec![
        a("www.test", 300, "192.0.2.1"),
        aaaa("www.test", 300, "2001:db8::1"),
        cname("alias.test", 300, "www.test"),
        record("test", 300, RecordData::Mx { preference: 1, exchange: name("www.test") }),
        record("test", 300, RecordData::Txt([Box::from(&b"text"[..])].into())),
        record("_x._tcp.test", 300, service),
        record("1.2.0.192.in-addr.arpa", 300, RecordData::Ptr(name("www.test"))),
    ];
    Ok(serve_udp(cx, address(), zone(records), server::Log::default()).await?)
}

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    /// Interrupted or not, the next one finds what there is.
    macro_rules! finds {
        ($name:literal, |$resolver:ident, $cx:ident| $find:expr) => {
            operation!(list, $name, "with a server that answers", 2, |cx, case| {
                let mut serving = cx.spawn(serve);
                cx.sleep(MS).await?;
                let resolver = Resolver::new(Config::new([address()]));
                let found = {
                    let ($resolver, $cx) = (&resolver, cx);
                    case.subject(cx, $find).await
                };
                assert!(case.struck() || matches!(found, Some(Ok(_))));
                let again = {
                    let ($resolver, $cx) = (&resolver, cx);
                    $find.await?
                };
                assert_eq!(again.len(), 1);
                serving.cancel(CancelReason::user("every question is answered"));
                let _ = serving.join(cx).await?;
            });
        };
    }
    finds!("dns::resolver::Resolver::lookup", |resolver, cx| {
        resolver.lookup(cx, "alias.test", RecordType::A)
    });
    finds!("dns::resolver::Resolver::addresses", |resolver, cx| async {
        let both = resolver.addresses(cx, "www.test", AddressFamily::Both).await?;
        assert_eq!(both.len(), 2);
        Ok::<_, std::io::Error>(both[..1].to_vec())
    });
    finds!("dns::resolver::Resolver::mx", |resolver, cx| resolver.mx(cx, "test"));
    finds!("dns::resolver::Resolver::txt", |resolver, cx| resolver.txt(cx, "test"));
    finds!("dns::resolver::Resolver::srv", |resolver, cx| resolver.srv(cx, "_x._tcp.test"));
    finds!("dns::resolver::Resolver::names_of", |resolver, cx| {
        resolver.names_of(cx, [192, 0, 2, 1].into())
    });
    list
}
