//! Peers and wires that are slow, silent or want something unusual.

#[path = "../../net/tests/support/peers.rs"]
mod peers;
#[path = "support/pki.rs"]
mod pki;

use asupersync_combinator::timeout;
use asupersync_core::{CancelReason, Cx, Error, Outcome};
use asupersync_io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex, split,
};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_net::TcpListener;
use asupersync_runtime::RuntimeBuilder;
use asupersync_tls::{TlsAcceptor, TlsConnector, TlsError, TlsErrorKind, TlsStream, Version};
use peers::installed;
use pki::{Authority, NAME, authority_params, clock, server_params};
use std::io::{self, BufRead, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

type Stream = TlsStream<DuplexStream>;

const SECOND: Duration = Duration::from_secs(1);

async fn connected(cx: &Cx, room: usize, version: Version) -> io::Result<(Stream, Stream)> {
    let ca = Authority::new("authority");
    let client = TlsConnector::builder(ca.roots()).clock(clock()).versions([version]).build()?;
    let server = TlsAcceptor::builder(ca.server()).clock(clock()).build()?;
    let (near, far) = duplex(room);
    let ends = (client.connect(cx, NAME, near), server.accept(cx, far));
    let (client, server) = asupersync_combinator::join(cx, ends).await?;
    Ok((client?, server?))
}

fn lab(
    body: impl for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>
    + for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error>
    + Send
    + 'static,
) {
    let report = LabRuntime::new(LabConfig::default()).run(body);
    assert!(report.is_ok(), "{report}");
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 / 7) as u8).collect()
}

#[test]
fn a_wire_of_one_byte_carries_a_conversation_both_ways() {
    for version in [Version::Tls12, Version::Tls13] {
        lab(async move |cx: &Cx| {
            let (client, server) = connected(cx, 1, version).await?;
            let mut tasks = Vec::new();
            for stream in [client, server] {
                let (mut reader, mut writer) = split(stream);
                tasks.push(cx.spawn(async move |cx: &Cx| {
                    writer.write_all(cx, &pattern(3000)).await?;
                    Ok::<_, Error>(writer.close(cx).await?)
                }));
                tasks.push(cx.spawn(async move |cx: &Cx| {
                    let mut all = Vec::new();
                    reader.read_to_end(cx, &mut all, 10_000).await?;
                    assert!(all == pattern(3000));
                    Ok::<_, Error>(())
                }));
            }
            for mut task in tasks {
                task.join(cx).await?.into_result()?;
            }
            Ok(())
        });
    }
}

#[test]
fn writes_to_a_peer_that_does_not_read_wait_and_lose_nothing_when_they_are_given_up() {
    const ROOM: usize = 1000;
    lab(async move |cx: &Cx| {
        let (mut client, mut server) = connected(cx, ROOM, Version::Tls13).await?;
        let text = pattern(1 << 20);
        let mut taken = 0;
        // One write is given up after the other.
        for _ in 0..100 {
            match timeout(cx, SECOND, client.write(cx, &text[taken..])).await {
                Ok(n) => taken += n?,
                Err(_) => assert!(taken > 0),
            }
        }
        assert!(taken <= ROOM + (64 << 10), "{taken} bytes wait in memory");
        let mut reading = cx.spawn(async move |cx: &Cx| {
            let mut all = Vec::new();
            server.read_to_end(cx, &mut all, 1 << 20).await?;
            Ok::<_, Error>(all)
        });
        client.write_all(cx, &text[taken..]).await?;
        client.close(cx).await?;
        assert!(reading.join(cx).await?.into_result()? == text);
        Ok(())
    });
}

#[test]
fn a_cancelled_task_says_farewell_under_a_mask() {
    lab(async move |cx: &Cx| {
        let (mut client, mut server) = connected(cx, 1 << 16, Version::Tls13).await?;
        let mut ending = cx.spawn(async move |cx: &Cx| {
            let waited = client.read(cx, &mut [0]).await;
            assert!(waited.is_err());
            assert!(client.close(cx).await.is_err(), "not while it is cancelled");
            Ok::<_, Error>(cx.masked(client.close(cx)).await?)
        });
        cx.sleep(SECOND).await?;
        ending.cancel(CancelReason::user("enough"));
        assert_eq!(server.read(cx, &mut [0]).await?, 0, "a farewell, not a truncation");
        ending.join(cx).await?.into_result()?;
        Ok(())
    });
}

#[test]
fn a_handshake_is_limited_by_the_scope_it_runs_in() {
    lab(async move |cx: &Cx| {
        let ca = Authority::new("authority");
        let client = TlsConnector::builder(ca.roots()).clock(clock()).build()?;
        let (near, far) = duplex(1 << 16);
        let limited = timeout(cx, SECOND, client.connect(cx, NAME, near)).await;
        assert!(limited.is_err(), "nobody answers");
        drop(far);
        // A stream that is there, and ends: that is no matter of time.
        let (near, far) = duplex(1 << 16);
        drop(far);
        let error = timeout(cx, SECOND, client.connect(cx, NAME, near)).await.unwrap().unwrap_err();
        let kind = TlsError::inside(&error).map(TlsError::kind);
        assert!(
            kind == Some(TlsErrorKind::HandshakeTruncated)
                || error.kind() == io::ErrorKind::BrokenPipe,
            "{error}"
        );
        Ok(())
    });
}

/// `openssl s_client` on a connection that echoes lines; says `first`, does the command, and says `second`.
/// Answers how the echo ended, and what was echoed.
fn with_s_client(version: &str, command: &str, done: &str) -> (io::Result<()>, String) {
    let ca = {
        let mut params = authority_params("authority");
        params.not_after = rcgen::date_time_ymd(2120, 1, 1);
        Authority::of(params)
    };
    let mut params = server_params();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    let acceptor = TlsAcceptor::builder(ca.issue(&params)).build().unwrap();
    let (version, command, done) = (version.to_owned(), command.to_owned(), done.to_owned());
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async move |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let mut client = cx.spawn_blocking(move || {
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-connect", &address, "-servername", NAME, &version]);
            openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut openssl = openssl.spawn()?;
            let mut stdin = openssl.stdin.take().unwrap();
            let mut out = io::BufReader::new(openssl.stdout.take().unwrap()).lines();
            let mut err = io::BufReader::new(openssl.stderr.take().unwrap()).lines();
            stdin.write_all(b"first\n")?;
            let _ = out.find(|line| line.as_ref().is_ok_and(|line| line == "echo first"));
            stdin.write_all(command.as_bytes())?;
            let _ = err.find(|line| line.as_ref().is_ok_and(|line| line == &done));
            // It may have given up by then.
            let _ = stdin.write_all(b"second\n");
            let found = out.find(|line| line.as_ref().is_ok_and(|line| line == "echo second"));
            let _ = stdin.write_all(b"Q\n");
            drop(stdin);
            openssl.wait()?;
            Ok::<_, Error>(found.is_some())
        });
        let (stream, _) = timeout(cx, SECOND * 30, listener.accept(cx)).await??;
        let mut echoed = String::new();
        let serving = async {
            let mut stream = BufReader::new(acceptor.accept(cx, stream).await?);
            loop {
                let mut line = String::new();
                if stream.read_line(cx, &mut line, 100).await? == 0 {
                    return Ok(());
                }
                stream.get_mut().write_all(cx, format!("echo {line}").as_bytes()).await?;
                stream.get_mut().flush(cx).await?;
                echoed += &line;
            }
        };
        let served = timeout(cx, SECOND * 30, serving).await.expect("the connection ends");
        let _: Outcome<bool, _> = client.join(cx).await?;
        Ok::<_, Error>((served, echoed))
    });
    outcome.ok().unwrap()
}

#[test]
fn keys_are_renewed_when_the_peer_asks_for_it() {
    if !installed("openssl") {
        return;
    }
    for command in ["K\n", "k\n"] {
        let (served, echoed) = with_s_client("-tls1_3", command, "KEYUPDATE");
        assert_eq!(echoed, "first\nsecond\n", "{served:?}");
    }
}

#[test]
fn renegotiation_is_refused_and_ends_the_connection_with_the_peers_word() {
    if !installed("openssl") {
        return;
    }
    let (served, echoed) = with_s_client("-tls1_2", "R\n", "RENEGOTIATING");
    assert_eq!(echoed, "first\n");
    let error = served.unwrap_err();
    let kind = TlsError::inside(&error).map(TlsError::kind);
    assert!(matches!(kind, Some(TlsErrorKind::PeerAlert(_))), "{error}");
}
