//! TLS over the virtual network: any order of tasks, any cancellation, any seed.

#[path = "support/pki.rs"]
mod pki;

use asupersync_core::{CancelReason, Cx, Error, Outcome};
use asupersync_io::{AsyncReadExt, AsyncWriteExt, copy, split};
use asupersync_lab::{LabConfig, LabRuntime, LabTest};
use asupersync_net::{TcpListener, TcpStream, VirtualOptions};
use asupersync_tls::{TlsAcceptor, TlsConnector, TlsError, TlsErrorKind, Version};
use pki::{Authority, NAME, clock};
use std::io;

const SERVER: &str = "10.0.0.9:443";
const CLIENTS: usize = 2;

#[derive(Clone)]
struct Ends {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

/// Without resumption, which would let one client's connection depend on another's.
fn ends() -> Ends {
    let ca = Authority::new("authority");
    let only = [Version::Tls13];
    let connector = TlsConnector::builder(ca.roots()).clock(clock()).versions(only).sessions(0);
    let acceptor = TlsAcceptor::builder(ca.server()).clock(clock()).versions(only).sessions(0);
    Ends { connector: connector.build().unwrap(), acceptor: acceptor.build().unwrap() }
}

fn config(seed: u64, resets: u32) -> LabConfig {
    let options = VirtualOptions { reset: resets, ..VirtualOptions::from_seed(seed) };
    LabConfig::default().seed(seed).network(options)
}

async fn echo(cx: &Cx, acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = split(acceptor.accept(cx, stream).await?);
    copy(cx, &mut reader, &mut writer).await?;
    writer.close(cx).await
}

async fn ask(cx: &Cx, connector: &TlsConnector, question: &[u8]) -> io::Result<bool> {
    let stream = TcpStream::connect(cx, SERVER).await?;
    let (mut reader, mut writer) = split(connector.connect(cx, NAME, stream).await?);
    let sent = question.to_vec();
    // With small windows, who writes everything before reading anything waits for itself.
    let mut asking = cx.spawn(async move |cx: &Cx| {
        for piece in sent.chunks(30) {
            if writer.write_all(cx, piece).await.is_err() {
                return Ok(());
            }
        }
        let _ = writer.close(cx).await;
        Ok::<_, Error>(())
    });
    let mut answer = Vec::new();
    let read = reader.read_to_end(cx, &mut answer, 1000).await;
    let _ = asking.join(cx).await;
    read?;
    assert_eq!(answer, question);
    Ok(true)
}

/// What a reset leaves of a connection: never a wrong byte, never a silent end.
fn broken(error: &io::Error) -> bool {
    let tls = TlsError::inside(error).map(TlsError::kind);
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        || matches!(tls, Some(TlsErrorKind::DataTruncated | TlsErrorKind::HandshakeTruncated))
}

async fn program(cx: &Cx, ends: Ends) -> Result<usize, Error> {
    let outcome = cx
        .region(async |scope| {
            let listener = TcpListener::bind(cx, SERVER).await?;
            let acceptor = ends.acceptor.clone();
            let mut serving = scope.spawn(async move |cx: &Cx| {
                loop {
                    let (stream, _) = listener.accept(cx).await?;
                    let acceptor = acceptor.clone();
                    drop(cx.spawn(async move |cx: &Cx| match echo(cx, &acceptor, stream).await {
                        Err(error) if !broken(&error) => Err(Error::from(error)),
                        _ => Ok(0),
                    }));
                }
            });
            let mut clients = Vec::new();
            for client in 0..CLIENTS {
                let connector = ends.connector.clone();
                clients.push(scope.spawn(async move |cx: &Cx| {
                    match ask(cx, &connector, &vec![client as u8; 100 * client]).await {
                        Ok(whole) => Ok::<_, Error>(usize::from(whole)),
                        Err(error) if broken(&error) => Ok(0),
                        Err(error) => Err(error.into()),
                    }
                }));
            }
            let mut answered = 0;
            for mut client in clients {
                answered += client.join(cx).await?.into_result()?;
            }
            serving.cancel(CancelReason::user("every client is served"));
            let _: Outcome<usize, _> = serving.join(cx).await?;
            Ok::<_, Error>(answered)
        })
        .await;
    Ok(outcome.into_result()?)
}

#[test]
fn every_seed_and_order_echoes_every_byte() {
    let ends = ends();
    for seed in 0..60 {
        let ends = ends.clone();
        let lab = LabRuntime::new(config(seed, 0));
        let report = lab.run(async move |cx: &Cx| program(cx, ends).await);
        assert!(report.is_ok(), "seed {seed}: {report}");
        assert_eq!(report.outcome.ok(), Some(CLIENTS), "seed {seed}");
    }
}

#[test]
fn resets_never_hang_leak_or_damage() {
    let ends = ends();
    let mut lost = 0;
    for seed in 0..100 {
        let ends = ends.clone();
        let lab = LabRuntime::new(config(seed, 30_000));
        let report = lab.run(async move |cx: &Cx| program(cx, ends).await);
        assert!(report.is_ok(), "seed {seed}: {report}");
        lost += CLIENTS - report.outcome.ok().unwrap_or(0);
    }
    assert!(lost > 10, "{lost} connections were reset");
}

#[test]
fn every_await_of_a_handshake_and_an_echo_can_be_cancelled() {
    let ends = ends();
    let summary = LabTest::new("tls::every_await_of_a_handshake_and_an_echo_can_be_cancelled")
        .seeds(7..8)
        .inject_cancel(true)
        .config(config(7, 0))
        .run(async move |cx: &Cx| program(cx, ends).await);
    assert!(summary.runs > 30, "{summary:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    // Each run has keys, nonces and certificates of its own.
    let trace = |seed| {
        let ends = ends();
        let lab = LabRuntime::new(config(seed, 10_000).capture_trace(true));
        let report = lab.run(async move |cx: &Cx| program(cx, ends).await);
        (report.trace.unwrap().into_bytes(), report.virtual_time)
    };
    for seed in 0..10 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}
