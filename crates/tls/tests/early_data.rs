//! What is sent before the handshake has ended.

#[path = "support/pki.rs"]
mod pki;

use asupersync_core::{Cx, Error};
use asupersync_io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_tls::rustls::pki_types::pem::PemObject;
use asupersync_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use asupersync_tls::rustls::server::ServerSessionMemoryCache;
use asupersync_tls::rustls::{ServerConfig, crypto};
use asupersync_tls::{TlsAcceptor, TlsConnector, TlsError, TlsErrorKind, TlsStream};
use pki::{Authority, NAME, clock, server_params};
use std::io;
use std::sync::Arc;

const QUESTION: &[u8] = b"which way is up?";

fn client(ca: &Authority, allowed: bool) -> TlsConnector {
    TlsConnector::builder(ca.roots()).clock(clock()).early_data(allowed).build().unwrap()
}

fn server(ca: &Authority, most: u32) -> TlsAcceptor {
    TlsAcceptor::builder(ca.server()).clock(clock()).early_data(most).build().unwrap()
}

/// Reads to the farewell and says its own; how much came early, and what came.
async fn serve(cx: &Cx, tls: &TlsAcceptor, stream: DuplexStream) -> io::Result<(usize, Vec<u8>)> {
    let mut stream: TlsStream<_> = tls.accept(cx, stream).await?;
    let mut all = Vec::new();
    stream.read_to_end(cx, &mut all, 1000).await?;
    stream.write_all(cx, b"up").await?;
    stream.close(cx).await?;
    Ok((stream.early_bytes(), all))
}

/// One connection: how much the client sent early, how much the server took so, and what it read.
async fn ask(cx: &Cx, client: &TlsConnector, server: &TlsAcceptor) -> io::Result<[usize; 2]> {
    let (near, far) = duplex(1 << 16);
    let asking = async {
        let mut stream = client.connect_with_early_data(cx, NAME, near, QUESTION).await?;
        stream.close(cx).await?;
        let mut answer = Vec::new();
        stream.read_to_end(cx, &mut answer, 10).await?;
        assert_eq!(answer, b"up");
        Ok::<_, io::Error>(stream.early_bytes())
    };
    let ends = (asking, serve(cx, server, far));
    let (sent, served) = asupersync_combinator::join(cx, ends).await?;
    let (taken, question) = served?;
    assert_eq!(question, QUESTION, "whole, once and in order");
    Ok([sent?, taken])
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

#[test]
fn a_question_goes_early_only_where_both_ends_allow_it_and_know_each_other() {
    lab(async |cx: &Cx| {
        let ca = Authority::new("authority");
        let all = QUESTION.len();
        for (allowed, most, early) in
            [(false, 0, 0), (true, 0, 0), (false, 1000, 0), (true, 1000, all), (true, 5, 5)]
        {
            let (client, server) = (client(&ca, allowed), server(&ca, most));
            assert_eq!(ask(cx, &client, &server).await?, [0, 0], "nothing is remembered yet");
            for _ in 0..2 {
                assert_eq!(ask(cx, &client, &server).await?, [early; 2], "{allowed} {most}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_server_that_has_forgotten_the_client_gets_the_question_after_the_handshake() {
    lab(async |cx: &Cx| {
        let ca = Authority::new("authority");
        let client = client(&ca, true);
        ask(cx, &client, &server(&ca, 1000)).await?;
        assert_eq!(ask(cx, &client, &server(&ca, 1000)).await?, [0, 0]);
        Ok(())
    });
}

#[test]
fn what_was_recorded_and_is_sent_again_is_not_taken_early() {
    lab(async |cx: &Cx| {
        let ca = Authority::new("authority");
        let (client, server) = (client(&ca, true), server(&ca, 1000));
        ask(cx, &client, &server).await?;
        let (near, mut wire) = duplex(1 << 16);
        let mut recorded = vec![0; 1 << 16];
        let recording = async {
            let n = wire.read(cx, &mut recorded).await?;
            recorded.truncate(n);
            // The client has sent its first flight, early data and all, and hears no answer.
            wire.close(cx).await
        };
        let asking = client.connect_with_early_data(cx, NAME, near, QUESTION);
        let (asked, recording) = asupersync_combinator::join(cx, (asking, recording)).await?;
        (recording?, assert!(asked.is_err()));
        let mut early = Vec::new();
        for _ in 0..2 {
            let (mut attacker, far) = duplex(1 << 16);
            attacker.write_all(cx, &recorded).await?;
            let listening = async {
                // What the server says to a client that it takes to know.
                let mut said = [0; 1 << 12];
                let n = attacker.read(cx, &mut said).await?;
                attacker.close(cx).await?;
                Ok::<_, io::Error>(n)
            };
            let ends = (serve(cx, &server, far), listening);
            let (served, heard) = asupersync_combinator::join(cx, ends).await?;
            assert!(served.is_err(), "no handshake was ended");
            early.push(heard?);
        }
        // The first goes on with the session; the second, which is a replay, is asked for a whole
        // handshake, with the certificates that go with it.
        assert!(early[0] < early[1], "{early:?}");
        Ok(())
    });
}

/// Servers that remember the same sessions and take so much early.
fn of_one_memory<const N: usize>(ca: &Authority, most: [u32; N]) -> [TlsAcceptor; N] {
    let (certificate, key) = ca.issue_pem(&server_params());
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.session_storage = ServerSessionMemoryCache::new(8);
    most.map(|most| {
        config.max_early_data_size = most;
        TlsAcceptor::from_config(Arc::new(config.clone()))
    })
}

/// The client goes by what it was once told; the server it meets has told nobody so much.
#[test]
fn a_client_that_sends_one_byte_more_early_than_the_server_takes_is_refused() {
    lab(async |cx: &Cx| {
        let ca = Authority::new("authority");
        let all = QUESTION.len();
        let [generous, enough, less] = of_one_memory(&ca, [1000, all as u32, all as u32 - 1]);
        let client = client(&ca, true);
        assert_eq!(ask(cx, &client, &generous).await?, [0, 0], "nothing is remembered yet");
        assert_eq!(ask(cx, &client, &enough).await?, [all; 2]);
        // Sessions that the generous one has opened.
        assert_eq!(ask(cx, &client, &generous).await?, [all; 2]);
        let (near, far) = duplex(1 << 16);
        let ends = (client.connect_with_early_data(cx, NAME, near, QUESTION), less.accept(cx, far));
        let (asked, served) = asupersync_combinator::join(cx, ends).await?;
        let kind = TlsError::inside(&served.unwrap_err()).map(TlsError::kind);
        assert_eq!(kind, Some(TlsErrorKind::PeerMisbehaved));
        assert!(asked.is_err(), "and the client is told");
        Ok(())
    });
}
