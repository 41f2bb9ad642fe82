//! What two ends that get on with each other can rely on.

#[path = "support/pair.rs"]
mod pair;
#[path = "support/pki.rs"]
mod pki;

use asupersync_combinator::timeout;
use asupersync_core::{Cx, Error, Outcome};
use asupersync_io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_tls::{
    ClientAuth, Identities, KeyLog, TlsAcceptor, TlsConnector, TlsError, TlsErrorKind, TlsStream,
    Version,
};
use pki::{Authority, NAME, clock, server_params};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Stream = TlsStream<DuplexStream>;

/// Both ends of a connection, shaken hands, with this much room on the wire.
async fn connected(
    cx: &Cx,
    connector: &TlsConnector,
    acceptor: &TlsAcceptor,
    name: &str,
    room: usize,
) -> io::Result<(Stream, Stream)> {
    let (near, far) = duplex(room);
    let ends = (connector.connect(cx, name, near), acceptor.accept(cx, far));
    let (client, server) = asupersync_combinator::join(cx, ends).await?;
    Ok((client?, server?))
}

fn lab<T: Send + 'static>(
    body: impl for<'a> AsyncFnOnce(&'a Cx) -> Result<T, Error>
    + for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, T, Error>
    + Send
    + 'static,
) -> T {
    let report = LabRuntime::new(LabConfig::default()).run(body);
    assert!(report.is_ok(), "{report}");
    match report.outcome {
        Outcome::Ok(value) => value,
        _ => unreachable!("the report is ok"),
    }
}

fn ends() -> (Authority, TlsConnector, TlsAcceptor) {
    let ca = Authority::new("authority");
    let connector = TlsConnector::builder(ca.roots()).clock(clock()).build().unwrap();
    let acceptor = TlsAcceptor::builder(ca.server()).clock(clock()).build().unwrap();
    (ca, connector, acceptor)
}

#[test]
fn both_ends_agree_on_what_was_negotiated() {
    let (ca, ..) = ends();
    lab(async move |cx: &Cx| {
        let connector = TlsConnector::builder(ca.roots())
            .clock(clock())
            .identity(ca.client())
            .alpn(["h2", "http/1.1"])
            .build()?;
        let acceptor = TlsAcceptor::builder(ca.server())
            .clock(clock())
            .client_auth(ClientAuth::Required(ca.roots()))
            .alpn(["http/1.1"])
            .build()?;
        let (client, server) = connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
        for end in [&client, &server] {
            assert_eq!(end.alpn(), Some(&b"http/1.1"[..]));
            assert_eq!(end.version(), Some(Version::Tls13));
            assert_eq!(end.server_name(), Some(NAME));
            assert_eq!(end.cipher_suite(), Some("TLS13_AES_256_GCM_SHA384"));
            assert_eq!(end.peer_certificates().count(), 1);
            assert!(!end.is_resumed());
        }
        let secret = |end: &Stream| {
            let mut secret = [0; 32];
            end.export_secret(&mut secret, b"EXPORTER-test", None).unwrap();
            secret
        };
        assert_eq!(secret(&client), secret(&server));
        assert_ne!(secret(&client), [0; 32]);
        Ok(())
    });
}

#[test]
fn a_megabyte_each_way_at_once_through_a_narrow_wire_arrives_whole() {
    const SIZE: usize = 1 << 20;
    let (_ca, connector, acceptor) = ends();
    let text = |salt: usize| (0..SIZE).map(|at| (at * 31 / 7 + salt) as u8).collect::<Vec<u8>>();
    lab(async move |cx: &Cx| {
        let (client, server) = connected(cx, &connector, &acceptor, NAME, 1000).await?;
        let outcome = cx
            .region(async |scope| {
                for (stream, ours, theirs) in [(client, 1, 2), (server, 2, 1)] {
                    let (mut reader, mut writer) = split(stream);
                    drop(scope.spawn(async move |cx: &Cx| {
                        for piece in text(ours).chunks(10_007) {
                            writer.write_all(cx, piece).await?;
                        }
                        writer.close(cx).await?;
                        Ok::<_, Error>(())
                    }));
                    drop(scope.spawn(async move |cx: &Cx| {
                        let mut all = Vec::new();
                        reader.read_to_end(cx, &mut all, 2 * SIZE).await?;
                        assert!(all == text(theirs), "{} bytes came", all.len());
                        Ok(())
                    }));
                }
                Ok::<_, Error>(())
            })
            .await;
        Ok(outcome.into_result()?)
    });
}

/// Neither end flushes: each writes more than the wire takes, and reads.
#[test]
fn what_the_wire_did_not_take_is_sent_while_its_writer_reads() {
    const SIZE: usize = 10_000;
    let (_ca, connector, acceptor) = ends();
    lab(async move |cx: &Cx| {
        let (mut client, mut server) = connected(cx, &connector, &acceptor, NAME, 1000).await?;
        let mut answering = cx.spawn(async move |cx: &Cx| {
            let mut question = vec![0; SIZE];
            server.read_exact(cx, &mut question).await?;
            server.write_all(cx, &question).await?;
            // Until the client says farewell.
            Ok::<_, Error>(server.read(cx, &mut question).await?)
        });
        let (question, mut answer) = (vec![7; SIZE], vec![0; SIZE]);
        let asking = async {
            client.write_all(cx, &question).await?;
            client.read_exact(cx, &mut answer).await?;
            client.close(cx).await
        };
        timeout(cx, Duration::from_secs(60), asking).await.expect("nobody waits for ever")?;
        assert_eq!(answer, question);
        assert_eq!(answering.join(cx).await?.into_result()?, 0);
        Ok(())
    });
}

#[test]
fn a_session_is_taken_up_again_unless_resumption_is_off() {
    for version in [Version::Tls12, Version::Tls13] {
        let (ca, ..) = ends();
        lab(async move |cx: &Cx| {
            for sessions in [0, 8] {
                let connector = TlsConnector::builder(ca.roots())
                    .clock(clock())
                    .versions([version])
                    .sessions(sessions)
                    .build()?;
                let acceptor = TlsAcceptor::builder(ca.server()).clock(clock()).build()?;
                let mut resumed = Vec::new();
                for _ in 0..3 {
                    let (mut client, mut server) =
                        connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
                    server.close(cx).await?;
                    // Tickets come with the first bytes.
                    client.read_to_end(cx, &mut Vec::new(), 1).await?;
                    resumed.push((client.is_resumed(), server.is_resumed()));
                }
                let again = (sessions > 0, sessions > 0);
                assert_eq!(resumed, [(false, false), again, again], "{version:?}");
            }
            Ok(())
        });
    }
}

#[test]
fn a_new_certificate_serves_new_connections_and_leaves_old_ones_alone() {
    let (ca, connector, _) = ends();
    lab(async move |cx: &Cx| {
        let (old, new) = (ca.server(), ca.server());
        let identities = Identities::from(old.clone());
        let acceptor =
            TlsAcceptor::builder(identities.clone()).clock(clock()).sessions(0).build()?;
        let (mut client, mut server) = connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
        assert_eq!(client.peer_certificates().next(), Some(old.certificate()));
        identities.set_default(Some(new.clone()));
        let (later, _later) = connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
        assert_eq!(later.peer_certificates().next(), Some(new.certificate()));
        server.write_all(cx, b"still here").await?;
        let mut said = [0; 10];
        client.read_exact(cx, &mut said).await?;
        assert_eq!(&said, b"still here");
        Ok(())
    });
}

#[test]
fn a_certificate_expires_in_virtual_time() {
    let (ca, connector, _) = ends();
    lab(async move |cx: &Cx| {
        let mut short = server_params();
        short.not_after = rcgen::date_time_ymd(2030, 1, 31);
        let acceptor = TlsAcceptor::builder(ca.issue(&short)).clock(clock()).sessions(0).build()?;
        connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
        cx.sleep(Duration::from_secs(30 * 86_400 + 1)).await?;
        let error = connected(cx, &connector, &acceptor, NAME, 1 << 16).await.unwrap_err();
        assert_eq!(TlsError::inside(&error).unwrap().kind(), TlsErrorKind::CertificateExpired);
        Ok(())
    });
}

#[test]
fn what_came_whole_is_read_before_the_truncation_is_told_and_then_it_is_told_again() {
    let (_ca, connector, acceptor) = ends();
    lab(async move |cx: &Cx| {
        let (mut client, mut server) = connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
        server.write_all(cx, b"so far").await?;
        server.flush(cx).await?;
        drop(server);
        let mut said = [0; 6];
        client.read_exact(cx, &mut said).await?;
        assert_eq!(&said, b"so far");
        for _ in 0..2 {
            let error = client.read(cx, &mut said).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            let error = TlsError::inside(&error).unwrap();
            assert_eq!(error.kind(), TlsErrorKind::DataTruncated);
            assert_eq!(
                error.to_string(),
                "ASY-0544: TLS to `server.test`: the connection ended without a farewell; do not trust \
                 what was received to be whole: it may have been cut by an attacker"
            );
        }
        Ok(())
    });
}

#[test]
fn a_farewell_ends_one_direction_only() {
    let (_ca, connector, acceptor) = ends();
    lab(async move |cx: &Cx| {
        let (mut client, mut server) = connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
        client.write_all(cx, b"question").await?;
        client.close(cx).await?;
        let error = client.write_all(cx, b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let mut question = Vec::new();
        server.read_to_end(cx, &mut question, 100).await?;
        assert_eq!(question, b"question");
        server.write_all(cx, b"answer").await?;
        server.close(cx).await?;
        let mut answer = Vec::new();
        client.read_to_end(cx, &mut answer, 100).await?;
        assert_eq!(answer, b"answer");
        Ok(())
    });
}

#[test]
fn a_key_log_has_the_lines_that_analysers_read() {
    let (ca, ..) = ends();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    lab(async move |cx: &Cx| {
        let log = KeyLog::lines(move |line| log.lock().unwrap().push(line.to_owned()));
        let connector = TlsConnector::builder(ca.roots()).clock(clock()).key_log(log).build()?;
        let acceptor = TlsAcceptor::builder(ca.server()).clock(clock()).build()?;
        connected(cx, &connector, &acceptor, NAME, 1 << 16).await?;
        Ok(())
    });
    let lines = lines.lock().unwrap();
    let labels: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(labels.contains(&"CLIENT_TRAFFIC_SECRET_0"), "{labels:?}");
    assert!(labels.contains(&"SERVER_HANDSHAKE_TRAFFIC_SECRET"), "{labels:?}");
    for line in lines.iter() {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!((fields.len(), fields[1].len(), fields[2].len()), (3, 64, 96), "{line}");
    }
}
