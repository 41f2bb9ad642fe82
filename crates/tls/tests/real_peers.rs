//! Against OpenSSL and curl, over the loopback.

#[path = "../../net/tests/support/peers.rs"]
mod peers;
#[path = "support/pki.rs"]
mod pki;

use asupersync_combinator::timeout;
use asupersync_core::{Cx, Error, Outcome};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{TcpListener, TcpStream};
use asupersync_runtime::RuntimeBuilder;
use asupersync_tls::{
    Alert, ClientAuth, Identity, TlsAcceptor, TlsConnector, TlsError, TlsErrorKind, Version,
};
use peers::installed;
use pki::{Authority, NAME, authority_params, client_params, server_params};
use rcgen::{CertificateParams, date_time_ymd};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Valid whenever this runs.
fn always(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

fn authority(name: &str) -> Authority {
    Authority::of(always(authority_params(name)))
}

/// A folder with these files, and their paths.
fn files<const N: usize>(texts: [&str; N]) -> (tempfile::TempDir, [String; N]) {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let paths = texts.map(|text| {
        number += 1;
        let path = folder.path().join(format!("{number}.pem"));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    (folder, paths)
}

fn run<T: Send + 'static>(
    body: impl for<'a> AsyncFnOnce(&'a Cx) -> Result<T, Error>
    + for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, T, Error>
    + Send
    + 'static,
) -> T {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let value = match runtime.block_on(body) {
        Outcome::Ok(value) => value,
        Outcome::Err(error) => panic!("{error}"),
        Outcome::Cancelled(reason) => panic!("cancelled: {reason:?}"),
        Outcome::Panicked(panic) => panic!("{panic:?}"),
    };
    assert!(runtime.shutdown(Duration::from_secs(10)).is_clean());
    value
}

/// What a program prints when it is given this.
fn output(mut command: Command, input: &'static [u8]) -> io::Result<(bool, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    match stdin.write_all(input) {
        // It was refused and is gone already: what it has to say about that is what counts.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    // Held open: s_client leaves at its end.
    let output = child.wait_with_output();
    drop(stdin);
    let output = output?;
    let all = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&all).into_owned()))
}

/// Serves one connection of a program's, whose command is made for the address.
fn serve(
    acceptor: TlsAcceptor,
    input: &'static [u8],
    command: impl FnOnce(SocketAddr) -> Command + Send + 'static,
) -> (io::Result<String>, bool, String) {
    run(async move |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let command = command(listener.local_addr()?);
        let mut program = cx.spawn_blocking(move || Ok::<_, Error>(output(command, input)?));
        // A program that fails at its own options never connects.
        let accepted = timeout(cx, Duration::from_secs(30), listener.accept(cx)).await;
        let (stream, _) = accepted??;
        let served = async {
            let mut stream = acceptor.accept(cx, stream).await?;
            let mut question = [0; 16];
            stream.read_exact(cx, &mut question).await?;
            stream.write_all(cx, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nover TLS").await?;
            stream.close(cx).await?;
            Ok(String::from_utf8_lossy(&question).into_owned())
        };
        let served = served.await;
        let (good, said) = program.join(cx).await?.into_result()?;
        Ok((served, good, said))
    })
}

#[test]
fn curl_reads_what_we_serve_and_refuses_what_it_does_not_trust() {
    if !installed("curl") {
        return;
    }
    let ca = authority("authority");
    let acceptor = TlsAcceptor::builder(ca.issue(&always(server_params()))).alpn(["http/1.1"]);
    let acceptor = acceptor.build().unwrap();
    let (_folder, [trusted, other]) = files([&ca.pem, &authority("other").pem]);
    let curl = |roots: String, more: &'static [&str]| {
        move |address: SocketAddr| {
            let mut curl = Command::new("curl");
            let port = address.port();
            curl.args(["-sS", "--max-time", "10", "--cacert", &roots])
                .args(["--resolve", &format!("{NAME}:{port}:127.0.0.1")])
                .args(more)
                .arg(format!("https://{NAME}:{port}/"));
            curl
        }
    };
    for more in [&["--tlsv1.3"][..], &["--tls-max", "1.2"]] {
        let (served, good, said) = serve(acceptor.clone(), b"", curl(trusted.clone(), more));
        assert_eq!(served.unwrap(), "GET / HTTP/1.1\r\n");
        assert!(good && said == "over TLS", "{said}");
    }
    let (served, good, _) = serve(acceptor, b"", curl(other, &[]));
    let error = served.unwrap_err();
    assert_eq!(TlsError::inside(&error).unwrap().alert(), Some(Alert::UNKNOWN_CA), "{error}");
    assert!(!good);
}

#[test]
fn s_client_reads_what_we_serve_and_is_known_by_its_certificate() {
    if !installed("openssl") {
        return;
    }
    let ca = authority("authority");
    let acceptor = TlsAcceptor::builder(ca.issue(&always(server_params())))
        .client_auth(ClientAuth::Required(ca.roots()))
        .build()
        .unwrap();
    let (certificate, key) = ca.issue_p256(&always(client_params()));
    let (_folder, [roots, certificate, key]) = files([&ca.pem, &certificate, &key]);
    for version in ["-tls1_2", "-tls1_3"] {
        for known in [true, false] {
            let (roots, certificate, key) = (roots.clone(), certificate.clone(), key.clone());
            let command = move |address: SocketAddr| {
                let mut openssl = Command::new("openssl");
                openssl.args([
                    "s_client",
                    "-quiet",
                    "-verify_return_error",
                    version,
                    "-CAfile",
                    &roots,
                ]);
                openssl.args(["-connect", &address.to_string(), "-servername", NAME]);
                openssl.args(["-verify_hostname", NAME]);
                if known {
                    openssl.args(["-cert", &certificate, "-key", &key]);
                }
                openssl
            };
            let (served, _, said) = serve(acceptor.clone(), b"GET / HTTP/1.1\r\n", command);
            if known {
                assert_eq!(served.unwrap(), "GET / HTTP/1.1\r\n", "{said}");
                assert!(said.contains("over TLS"), "{said}");
            } else {
                let kind = served.map_err(|error| TlsError::inside(&error).map(TlsError::kind));
                assert_eq!(kind.unwrap_err(), Some(TlsErrorKind::CertificateMissing));
                // Its words for the alert; which of the two depends on the version.
                assert!(said.contains("alert"), "{said}");
            }
        }
    }
}

/// `openssl s_server`, and the address it listens on.
struct Server(Child, SocketAddr);

impl Server {
    /// Sends each line back reversed.
    fn start(arguments: &[&str]) -> Server {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-rev"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ")?.parse().ok());
        let address = address.unwrap();
        // Whatever else it says must have room.
        std::thread::Builder::new().spawn(move || lines.for_each(drop)).unwrap();
        Server(child, address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn reversed(
    cx: &Cx,
    tls: &TlsConnector,
    name: &str,
    address: SocketAddr,
) -> io::Result<bool> {
    let stream = TcpStream::connect(cx, address).await?;
    let mut stream = tls.connect(cx, name, stream).await?;
    stream.write_all(cx, b"stressed\n").await?;
    let mut answer = [0; 9];
    stream.read_exact(cx, &mut answer).await?;
    assert_eq!(&answer, b"desserts\n");
    let resumed = stream.is_resumed();
    stream.close(cx).await?;
    Ok(resumed)
}

#[test]
fn we_talk_to_s_server_and_refuse_what_we_do_not_trust() {
    if !installed("openssl") {
        return;
    }
    let ca = authority("authority");
    let (certificate, key) = ca.issue_p256(&always(server_params()));
    let (_folder, [certificate, key]) = files([&certificate, &key]);
    for (version, argument) in [(Version::Tls12, "-tls1_2"), (Version::Tls13, "-tls1_3")] {
        let server = Server::start(&["-cert", &certificate, "-key", &key, argument]);
        let address = server.1;
        let trusting = TlsConnector::builder(ca.roots()).build().unwrap();
        let strange = TlsConnector::builder(authority("other").roots()).build().unwrap();
        let other = [Version::Tls12, Version::Tls13].into_iter().filter(|v| *v != version);
        let unfit = TlsConnector::builder(ca.roots()).versions(other).build().unwrap();
        run(async move |cx: &Cx| {
            assert!(!reversed(cx, &trusting, NAME, address).await?);
            assert!(reversed(cx, &trusting, NAME, address).await?, "{version:?}: not resumed");
            let mut kinds = Vec::new();
            for (tls, name) in [(&strange, NAME), (&trusting, "x.test"), (&unfit, NAME)] {
                let error = reversed(cx, tls, name, address).await.unwrap_err();
                kinds.push(TlsError::inside(&error).unwrap().kind());
            }
            assert_eq!(
                kinds,
                [
                    TlsErrorKind::UnknownIssuer,
                    TlsErrorKind::CertificateNameMismatch,
                    TlsErrorKind::PeerAlert(Alert::PROTOCOL_VERSION)
                ]
            );
            Ok(())
        });
    }
}

#[test]
fn s_server_knows_us_by_our_certificate() {
    if !installed("openssl") {
        return;
    }
    let ca = authority("authority");
    let (certificate, key) = ca.issue_p256(&always(server_params()));
    let (_folder, [roots, certificate, key]) = files([&ca.pem, &certificate, &key]);
    let server = Server::start(&[
        "-cert",
        &certificate,
        "-key",
        &key,
        "-CAfile",
        &roots,
        "-Verify",
        "1",
        "-verify_return_error",
    ]);
    let address = server.1;
    let ours: Identity = ca.issue(&always(client_params()));
    run(async move |cx: &Cx| {
        let known = TlsConnector::builder(ca.roots()).identity(ours).build()?;
        reversed(cx, &known, NAME, address).await?;
        let unknown = TlsConnector::builder(ca.roots()).build()?;
        let error = reversed(cx, &unknown, NAME, address).await.unwrap_err();
        let alert = TlsError::inside(&error).and_then(TlsError::alert);
        assert_eq!(alert, Some(Alert::CERTIFICATE_REQUIRED), "{error}");
        Ok(())
    });
}
