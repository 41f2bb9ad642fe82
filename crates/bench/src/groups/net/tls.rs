//! TLS over the loopback beside tokio-rustls: the same library, settings, key and version on both
//! sides, so that what differs is how records are moved.

use std::sync::Arc;
use std::time::Instant;

use asupersync_core::{Cx, Error};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{TcpListener, TcpStream};
use asupersync_tls::rustls::pki_types::pem::PemObject;
use asupersync_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use asupersync_tls::rustls::{ClientConfig, RootCertStore, ServerConfig, client, server};
use asupersync_tls::{Identity, TlsAcceptor, TlsConnector, TlsStream, rustls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{PIECE, echo, mebibytes, tcp_pair, tokio_echo, tokio_tcp_pair};
use crate::groups::sched::{Hosts, Pair, each, sides, size};
use crate::runner::{Better, Runner};

const NAME: &str = "localhost";

/// Both ends' settings: TLS 1.3, ECDSA P-256, X25519, no resumption.
#[derive(Clone)]
struct Settings {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Settings {
    fn new() -> Settings {
        let made = Identity::self_signed([NAME]).expect("a name");
        let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("PEM");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let only = [&rustls::version::TLS13];
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&only)
            .expect("suites for it")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = client::Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&only)
            .expect("suites for it")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("its key");
        server.session_storage = Arc::new(server::NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Settings { client: Arc::new(client), server: Arc::new(server) }
    }

    async fn pair(&self, cx: &Cx) -> Result<(TlsStream<TcpStream>, TlsStream<TcpStream>), Error> {
        let (near, far) = tcp_pair(cx)?;
        let acceptor = TlsAcceptor::from_config(self.server.clone());
        let mut accepting =
            cx.spawn(async move |cx: &Cx| Ok::<_, Error>(acceptor.accept(cx, far).await?));
        let near = TlsConnector::from_config(self.client.clone()).connect(cx, NAME, near).await?;
        Ok((near, accepting.join(cx).await?.into_result()?))
    }

    async fn tokio_pair(&self) -> std::io::Result<(TokioStream, TokioStream)> {
        let (near, far) = tokio_tcp_pair()?;
        let acceptor = tokio_rustls::TlsAcceptor::from(self.server.clone());
        let accepting = tokio::spawn(acceptor.accept(far).into_future());
        let name = ServerName::try_from(NAME).expect("a name");
        let near =
            tokio_rustls::TlsConnector::from(self.client.clone()).connect(name, near).await?;
        let far = accepting.await.expect("no panic")?;
        Ok((near.into(), far.into()))
    }
}

type TokioStream = tokio_rustls::TlsStream<tokio::net::TcpStream>;

/// Runs the rows.
pub(super) fn run(runner: &mut Runner) {
    let hosts = Hosts::new();
    let pair = &hosts.threads;
    let settings = Settings::new();
    let (shakes, trips, pieces) = (size(runner, 500), size(runner, 5_000), size(runner, 4_000));
    let rows: [Row; 3] = [
        ("tls_handshake", "ns", Better::Lower, shakes, our_handshakes, their_handshakes),
        ("tls_echo_64", "ns", Better::Lower, trips, our_echo, their_echo),
        ("tls_bulk_64k", "MiB/s", Better::Higher, pieces, our_bulk, their_bulk),
    ];
    for (bench, unit, better, turns, ours, theirs) in rows {
        let (our_settings, their_settings) = (settings.clone(), settings.clone());
        let both = sides(
            pair,
            move |pair| ours(pair, our_settings.clone(), turns),
            move |pair| theirs(pair, their_settings.clone(), turns),
        );
        runner.compare(bench, unit, better, both);
    }
}

type Side = fn(&Pair, Settings, usize) -> f64;
type Row = (&'static str, &'static str, Better, usize, Side, Side);

fn our_handshakes(pair: &Pair, settings: Settings, shakes: usize) -> f64 {
    pair.ours(async move |cx: &Cx| handshakes(cx, settings, shakes).await)
}

fn their_handshakes(pair: &Pair, settings: Settings, shakes: usize) -> f64 {
    pair.tokio(async move { tokio_handshakes(settings, shakes).await.expect("connected") })
}

fn our_echo(pair: &Pair, settings: Settings, trips: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let (near, far) = settings.pair(cx).await?;
        echo(cx, near, far, trips).await
    })
}

fn their_echo(pair: &Pair, settings: Settings, trips: usize) -> f64 {
    pair.tokio(async move {
        let (near, far) = settings.tokio_pair().await.expect("connected");
        tokio_echo(near, far, trips).await.expect("connected")
    })
}

fn our_bulk(pair: &Pair, settings: Settings, pieces: usize) -> f64 {
    pair.ours(async move |cx: &Cx| bulk(cx, settings, pieces).await)
}

fn their_bulk(pair: &Pair, settings: Settings, pieces: usize) -> f64 {
    pair.tokio(async move { tokio_bulk(settings, pieces).await.expect("connected") })
}

/// Connections made and shaken hands one after the other: nanoseconds each, connecting included.
async fn handshakes(cx: &Cx, settings: Settings, shakes: usize) -> Result<f64, Error> {
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let acceptor = TlsAcceptor::from_config(settings.server);
    let mut serving = cx.spawn(async move |cx: &Cx| {
        for _ in 0..shakes {
            let (stream, _) = listener.accept(cx).await?;
            acceptor.accept(cx, stream).await?;
        }
        Ok::<_, Error>(())
    });
    let connector = TlsConnector::from_config(settings.client);
    let start = Instant::now();
    for _ in 0..shakes {
        let stream = TcpStream::connect(cx, server).await?;
        connector.connect(cx, NAME, stream).await?;
    }
    let figure = each(start, shakes);
    serving.join(cx).await?.into_result()?;
    Ok(figure)
}

async fn tokio_handshakes(settings: Settings, shakes: usize) -> std::io::Result<f64> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let acceptor = tokio_rustls::TlsAcceptor::from(settings.server);
    let serving = tokio::spawn(async move {
        for _ in 0..shakes {
            let (stream, _) = listener.accept().await?;
            acceptor.accept(stream).await?;
        }
        std::io::Result::Ok(())
    });
    let connector = tokio_rustls::TlsConnector::from(settings.client);
    let name = ServerName::try_from(NAME).expect("a name");
    let start = Instant::now();
    for _ in 0..shakes {
        let stream = tokio::net::TcpStream::connect(server).await?;
        connector.connect(name.clone(), stream).await?;
    }
    let figure = each(start, shakes);
    serving.await.expect("no panic")?;
    Ok(figure)
}

/// Pieces of 64 KiB in one direction, read to the farewell.
async fn bulk(cx: &Cx, settings: Settings, pieces: usize) -> Result<f64, Error> {
    let (mut near, mut far) = settings.pair(cx).await?;
    let mut reading = cx.spawn(async move |cx: &Cx| {
        let (mut piece, mut total) = (vec![0; PIECE], 0);
        loop {
            match far.read(cx, &mut piece).await? {
                0 => return Ok::<_, Error>(total),
                n => total += n,
            }
        }
    });
    let piece = vec![7; PIECE];
    let start = Instant::now();
    for _ in 0..pieces {
        near.write_all(cx, &piece).await?;
    }
    near.close(cx).await?;
    let total = reading.join(cx).await?.into_result()?;
    assert_eq!(total, pieces * PIECE);
    Ok(mebibytes(start, pieces))
}

async fn tokio_bulk(settings: Settings, pieces: usize) -> std::io::Result<f64> {
    let (mut near, mut far) = settings.tokio_pair().await?;
    let reading = tokio::spawn(async move {
        let (mut piece, mut total) = (vec![0; PIECE], 0);
        loop {
            match far.read(&mut piece).await? {
                0 => return std::io::Result::Ok(total),
                n => total += n,
            }
        }
    });
    let piece = vec![7; PIECE];
    let start = Instant::now();
    for _ in 0..pieces {
        near.write_all(&piece).await?;
    }
    near.shutdown().await?;
    assert_eq!(reading.await.expect("no panic")?, pieces * PIECE);
    Ok(mebibytes(start, pieces))
}
