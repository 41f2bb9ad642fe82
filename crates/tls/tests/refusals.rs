//! Each way a certificate or a handshake can be bad has its own name.

#[path = "support/pair.rs"]
mod pair;
#[path = "support/pki.rs"]
mod pki;

use asupersync_tls::{
    Alert, ClientAuth, Identities, Identity, RevocationLists, Roots, TlsAcceptor,
    TlsAcceptorBuilder, TlsConnector, TlsConnectorBuilder, TlsErrorKind as Kind, Version, rustls,
};
use pair::{End, Failure, Ours, Wire, against, talk, talk_over};
use pki::{Authority, NAME, authority_params, client_params, clock, server_params};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, date_time_ymd};
use rustls::crypto::ring;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

fn connector(roots: &Authority) -> TlsConnectorBuilder {
    TlsConnector::builder(roots.roots()).clock(clock())
}

fn acceptor(identity: impl Into<Identities>) -> TlsAcceptorBuilder {
    TlsAcceptor::builder(identity).clock(clock())
}

thread_local! {
    /// The kinds that this test has demanded, but for what peers say.
    static TOLD: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

fn demanded(kind: Kind) -> Kind {
    if !matches!(kind, Kind::PeerAlert(_)) {
        TOLD.with_borrow_mut(|told| told.insert(format!("{kind:?}")));
    }
    kind
}

fn tls(kind: Kind) -> End {
    Err(Failure::Tls(demanded(kind)))
}

fn alert(alert: Alert) -> End {
    tls(Kind::PeerAlert(alert))
}

/// A server presents this; the client must say so, and the server must be told.
#[track_caller]
fn client_refuses(authority: &Authority, identity: Identity, kind: Kind) -> Kind {
    for version in [Version::Tls13, Version::Tls12] {
        let client = connector(authority).versions([version]).build().unwrap();
        let server = acceptor(identity.clone()).build().unwrap();
        let talk = talk(&client, &server, NAME);
        assert_eq!(talk.client, tls(kind), "{version:?}");
        assert!(
            matches!(talk.server, Err(Failure::Tls(Kind::PeerAlert(_)))),
            "{version:?}: {:?}",
            talk.server
        );
    }
    kind
}

/// A client presents this; the server must say so, and the client must be told, in its handshake or
/// (TLS 1.3) by its first read.
#[track_caller]
fn server_refuses(server: &TlsAcceptorBuilder, client: &TlsConnectorBuilder, kind: Kind) -> Kind {
    for version in [Version::Tls13, Version::Tls12] {
        let server = server.clone().versions([version]).build().unwrap();
        let client = client.clone().versions([version]).build().unwrap();
        let talk = talk(&client, &server, NAME);
        assert_eq!(talk.server, tls(kind), "{version:?}");
        assert!(
            matches!(talk.client, Err(Failure::Tls(Kind::PeerAlert(_)))),
            "{version:?}: {:?}",
            talk.client
        );
    }
    kind
}

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = server_params();
    change(&mut params);
    params
}

/// Changes the last byte of the certificate: of its signature.
fn forged(ca: &Authority) -> Identity {
    let (certificate, key) = ca.issue_pem(&server_params());
    let key = rcgen::KeyPair::from_pem(&key).unwrap();
    let mut der =
        Identity::from_pem(&certificate, key.serialize_pem()).unwrap().certificate().to_vec();
    *der.last_mut().unwrap() ^= 1;
    Identity::from_der(vec![der], key.serialize_der()).unwrap()
}

/// A server that does not look at its own certificate.
fn unchecked(certificate: &str, key: &str) -> TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let provider = ring::default_provider();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    TlsAcceptor::from_config(Arc::new(config))
}

/// Cryptography that knows one way to sign.
fn only_p256() -> rustls::crypto::CryptoProvider {
    let mut provider = ring::default_provider();
    let mapping = provider.signature_verification_algorithms.mapping;
    let scheme = rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
    let at = mapping.iter().position(|(known, _)| *known == scheme).unwrap();
    provider.signature_verification_algorithms = rustls::crypto::WebPkiSupportedAlgorithms {
        all: mapping[at].1,
        mapping: &mapping[at..=at],
    };
    provider
}

#[test]
fn every_bad_server_certificate_is_refused_by_name() {
    let ca = Authority::new("authority");
    let other = Authority::new("other");
    let mut told = BTreeSet::new();
    let mut refuse = |identity: Identity, kind: Kind| {
        told.insert(format!("{:?}", client_refuses(&ca, identity, kind)));
    };
    let expired = with(|p| p.not_after = date_time_ymd(2029, 12, 31));
    refuse(ca.issue(&expired), Kind::CertificateExpired);
    let early = with(|p| p.not_before = date_time_ymd(2030, 1, 2));
    refuse(ca.issue(&early), Kind::CertificateNotYetValid);
    let name =
        with(|p| p.subject_alt_names = vec![rcgen::SanType::DnsName("x.test".try_into().unwrap())]);
    refuse(ca.issue(&name), Kind::CertificateNameMismatch);
    refuse(other.server(), Kind::UnknownIssuer);
    // An impostor of the authority's own name.
    refuse(Authority::new("authority").server(), Kind::CertificateBadSignature);
    refuse(forged(&ca), Kind::CertificateBadSignature);
    let purpose = with(|p| p.extended_key_usages = client_params().extended_key_usages);
    refuse(ca.issue(&purpose), Kind::CertificateWrongPurpose);
    let authority = with(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    refuse(ca.issue(&authority), Kind::CertificateIsAuthority);
    let demand = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    let demanding = with(|p| {
        let mut demand = demand;
        demand.set_criticality(true);
        p.custom_extensions = vec![demand];
    });
    let (certificate, key) = ca.issue_pem(&demanding);
    let client = connector(&ca).build().unwrap();
    assert_eq!(
        talk(&client, &unchecked(&certificate, &key), NAME).client,
        tls(Kind::UnsupportedCriticalExtension)
    );
    let ours = Identity::from_pem(&certificate, &key);
    assert_eq!(ours.unwrap_err().kind(), Kind::CertificateMalformed);
    // A leaf that plays authority.
    let mut no_authority = authority_params("pretender");
    no_authority.is_ca = IsCa::ExplicitNoCa;
    let pretender = ca.below(no_authority);
    refuse(pretender.issue_with(&server_params(), &[&pretender]), Kind::IssuerIsNotAuthority);
    // Signed in a way that this client does not accept: by Ed25519.
    let (certificate, key) = ca.issue_p256(&server_params());
    let server = acceptor(Identity::from_pem(certificate, key).unwrap()).build().unwrap();
    let client = connector(&ca).provider(only_p256()).build().unwrap();
    assert_eq!(talk(&client, &server, NAME).client, tls(Kind::UnsupportedSignatureAlgorithm));
    // The chain's middle is not sent.
    let middle = ca.below(authority_params("middle"));
    refuse(middle.server(), Kind::UnknownIssuer);
    assert_eq!(told.len(), 8, "{told:?}");
}

#[test]
fn an_authority_s_own_limits_hold() {
    let mut narrow = authority_params("narrow");
    narrow.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = Authority::new("root");
    let narrow = root.below(narrow);
    let middle = narrow.below(authority_params("middle"));
    let chain = middle.issue_with(&server_params(), &[&middle, &narrow]);
    client_refuses(&root, chain, Kind::PathTooLong);

    let mut elsewhere = authority_params("elsewhere");
    elsewhere.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("other.test".to_owned())],
        excluded_subtrees: vec![],
    });
    let root = Authority::new("root");
    let constrained = root.below(elsewhere);
    let chain = constrained.issue_with(&server_params(), &[&constrained]);
    client_refuses(&root, chain, Kind::NameConstraintViolated);

    // Seven authorities in a row are more than the library follows.
    let root = Authority::new("root");
    let mut row = vec![root.below(authority_params("a0"))];
    for depth in 1..8 {
        row.push(row[depth - 1].below(authority_params(&format!("a{depth}"))));
    }
    let chain: Vec<&Authority> = row.iter().rev().collect();
    let identity = row[7].issue_with(&server_params(), &chain);
    client_refuses(&root, identity, Kind::PathTooLong);
}

#[test]
fn revocation_is_judged_by_the_lists_given() {
    let ca = Authority::new("authority");
    let other = Authority::new("other");
    let client = |list: String| {
        connector(&ca).revocation(RevocationLists::from_pem(list).unwrap()).build().unwrap()
    };
    let server = acceptor(ca.server()).build().unwrap();
    let answer = |list| talk(&client(list), &server, NAME).client;
    assert_eq!(answer(ca.revocation_list(&[7], 2030)), tls(Kind::CertificateRevoked));
    assert_eq!(answer(ca.revocation_list(&[8], 2030)), Ok(()));
    assert_eq!(answer(ca.revocation_list(&[], 2028)), tls(Kind::RevocationListExpired));
    assert_eq!(answer(other.revocation_list(&[], 2030)), tls(Kind::RevocationUnknown));
}

#[test]
fn every_bad_client_certificate_is_refused_by_name() {
    let ca = Authority::new("authority");
    let other = Authority::new("other");
    let server = acceptor(ca.server()).client_auth(ClientAuth::Required(ca.roots()));
    let client = connector(&ca);
    let presenting = |identity: Identity| client.clone().identity(identity);
    let mut told = BTreeSet::new();
    let mut refuse = |client: TlsConnectorBuilder, kind: Kind| {
        told.insert(format!("{:?}", server_refuses(&server, &client, kind)));
    };
    refuse(client.clone(), Kind::CertificateMissing);
    refuse(presenting(other.client()), Kind::UnknownIssuer);
    let mut expired = client_params();
    expired.not_after = date_time_ymd(2029, 12, 31);
    refuse(presenting(ca.issue(&expired)), Kind::CertificateExpired);
    let mut early = client_params();
    early.not_before = date_time_ymd(2030, 6, 1);
    refuse(presenting(ca.issue(&early)), Kind::CertificateNotYetValid);
    let mut purpose = client_params();
    purpose.extended_key_usages = server_params().extended_key_usages;
    refuse(presenting(ca.issue(&purpose)), Kind::CertificateWrongPurpose);
    assert_eq!(told.len(), 5);

    let lists = RevocationLists::from_pem(ca.revocation_list(&[8], 2030)).unwrap();
    let revoking = server.clone().revocation(lists);
    server_refuses(&revoking, &presenting(ca.client()), Kind::CertificateRevoked);

    let optional = acceptor(ca.server()).client_auth(ClientAuth::Optional(ca.roots()));
    server_refuses(&optional, &presenting(other.client()), Kind::UnknownIssuer);
    let unknown = talk(&client.clone().build().unwrap(), &optional.build().unwrap(), NAME);
    assert_eq!((unknown.client, unknown.server), (Ok(()), Ok(())));
    let known = talk(&presenting(ca.client()).build().unwrap(), &server.build().unwrap(), NAME);
    assert_eq!((known.client, known.server), (Ok(()), Ok(())));
}

#[test]
fn two_ends_without_anything_in_common_say_what_is_missing() {
    let ca = Authority::new("authority");
    let both = |client: TlsConnectorBuilder, server: TlsAcceptorBuilder| {
        let talk = talk(&client.build().unwrap(), &server.build().unwrap(), NAME);
        (talk.client, talk.server)
    };
    let client = || connector(&ca);
    let server = || acceptor(ca.server());
    assert_eq!(
        both(client().versions([Version::Tls12]), server().versions([Version::Tls13])),
        (alert(Alert::PROTOCOL_VERSION), tls(Kind::NoCommonVersion))
    );
    assert_eq!(
        both(client().versions([Version::Tls13]), server().versions([Version::Tls12])),
        (alert(Alert::PROTOCOL_VERSION), tls(Kind::NoCommonVersion))
    );
    let mut aes = ring::default_provider();
    aes.cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut chacha = ring::default_provider();
    chacha.cipher_suites = vec![ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    let only13 = [Version::Tls13];
    assert_eq!(
        both(client().versions(only13).provider(aes), server().versions(only13).provider(chacha)),
        (alert(Alert::HANDSHAKE_FAILURE), tls(Kind::NoCommonCipherSuite))
    );
    let mut x25519 = ring::default_provider();
    x25519.kx_groups = vec![ring::kx_group::X25519];
    let mut p384 = ring::default_provider();
    p384.kx_groups = vec![ring::kx_group::SECP384R1];
    assert_eq!(
        both(client().provider(x25519), server().provider(p384)),
        (alert(Alert::HANDSHAKE_FAILURE), tls(Kind::NoCommonKeyExchange))
    );
    assert_eq!(
        both(client().alpn(["h2"]), server().alpn(["http/1.1"])),
        (alert(Alert::NO_APPLICATION_PROTOCOL), tls(Kind::NoCommonProtocol))
    );
    let named = Identities::new();
    named.set("other.test", Some(ca.server()));
    assert_eq!(
        both(client(), acceptor(named)),
        (alert(Alert::ACCESS_DENIED), tls(Kind::UnknownServerName))
    );
    // A client that knows no Ed25519 meets a server that has nothing else.
    assert_eq!(
        both(client().provider(only_p256()), server()).1,
        tls(Kind::NoCommonSignatureScheme)
    );
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3, (body.len() >> 8) as u8, body.len() as u8];
    record.extend(body);
    record
}

fn message(kind: u8, length: usize, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, (length >> 16) as u8, (length >> 8) as u8, length as u8];
    message.extend(body);
    message
}

#[test]
fn every_peer_that_does_not_speak_the_protocol_is_told_apart() {
    const HANDSHAKE: u8 = 22;
    const HELLO: u8 = 2;
    let ca = Authority::new("authority");
    let client = Ours::Client(connector(&ca).build().unwrap());
    let server = Ours::Server(acceptor(ca.server()).build().unwrap());
    let long = record(HANDSHAKE, &message(11, 70_000, &[0; 1000]));
    let cases: Vec<(&str, Vec<u8>, Kind)> = vec![
        ("nothing", vec![], Kind::HandshakeTruncated),
        ("half a head", vec![22, 3, 3], Kind::HandshakeTruncated),
        ("half a record", record(HANDSHAKE, &[2; 100])[..50].to_vec(), Kind::HandshakeTruncated),
        ("http", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Kind::NotTls),
        ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Kind::NotTls),
        ("smtp", b"220 mail.test ESMTP\r\n".to_vec(), Kind::NotTls),
        ("zeros", vec![0; 64], Kind::NotTls),
        ("data first", record(23, b"hello"), Kind::NotTls),
        ("oversized record", record(HANDSHAKE, &[0; 20_000]), Kind::RecordTooLarge),
        ("empty record", record(HANDSHAKE, &[]), Kind::Malformed),
        ("oversized message", long, Kind::HandshakeTooLarge),
        ("hello of nothing", record(HANDSHAKE, &message(HELLO, 0, &[])), Kind::Malformed),
        ("hello of noise", record(HANDSHAKE, &message(HELLO, 40, &[9; 40])), Kind::Malformed),
        ("finished first", record(HANDSHAKE, &message(20, 12, &[1; 12])), Kind::UnexpectedMessage),
        ("fatal alert", record(21, &[2, 40]), Kind::PeerAlert(Alert::HANDSHAKE_FAILURE)),
        ("unheard-of alert", record(21, &[2, 200]), Kind::PeerAlert(Alert(200))),
        ("farewell", record(21, &[1, 0]), Kind::HandshakeTruncated),
        ("half an alert", record(21, &[2]), Kind::Malformed),
    ];
    let mut told = BTreeSet::new();
    for (name, bytes, kind) in cases {
        assert_eq!(against(&client, bytes.clone(), false), tls(kind), "client, {name}");
        let mut bytes = bytes;
        // A server expects another hello.
        if bytes.len() > 5 && bytes[0] == HANDSHAKE && bytes[5] == HELLO {
            bytes[5] = 1;
        }
        assert_eq!(against(&server, bytes, false), tls(kind), "server, {name}");
        told.insert(format!("{kind:?}"));
    }
    assert_eq!(told.len(), 8, "{told:?}");
}

#[test]
fn a_peer_that_breaks_a_rule_or_lacks_what_we_need_is_told_so() {
    // A hello's version, random number and empty session id (RFC 5246 section 7.4.1).
    let head = [&[3, 3][..], &[7; 32], &[0]].concat();
    let ca = Authority::new("authority");
    // A server that chooses a suite that nobody offered.
    let chooses = [&head[..], &[0x00, 0x0a, 0, 0, 0]].concat();
    let hello = record(22, &message(2, chooses.len(), &chooses));
    let client = Ours::Client(connector(&ca).build().unwrap());
    assert_eq!(against(&client, hello, false), tls(Kind::PeerMisbehaved));
    // A client without any extension: it does not say how it takes signatures.
    let offers = [&head[..], &[0, 2, 0xc0, 0x2b, 1, 0, 0, 0]].concat();
    let hello = record(22, &message(1, offers.len(), &offers));
    let server = Ours::Server(acceptor(ca.server()).build().unwrap());
    assert_eq!(against(&server, hello, false), tls(Kind::PeerIncompatible));
}

#[test]
fn a_peer_that_says_nothing_meets_the_time_limit() {
    let ca = Authority::new("authority");
    let client = Ours::Client(connector(&ca).build().unwrap());
    let server = Ours::Server(acceptor(ca.server()).build().unwrap());
    for ours in [client, server] {
        assert_eq!(against(&ours, vec![], true), tls(Kind::HandshakeTimeout));
        assert_eq!(against(&ours, vec![22, 3], true), tls(Kind::HandshakeTimeout));
    }
}

/// Whether the byte is the low one of a record's version, which "MUST be ignored for all purposes"
/// (RFC 8446 section 5.1).
fn ignored(bytes: &[u8], at: usize) -> bool {
    let mut head = 0;
    while head + 5 <= bytes.len() {
        if at == head + 2 {
            return true;
        }
        head += 5 + usize::from(u16::from_be_bytes([bytes[head + 3], bytes[head + 4]]));
    }
    false
}

/// The ends of a conversation whose wire breaks at every so many bytes.
fn every_break(versions: [Version; 1], step: usize, harm: fn(usize) -> Wire) -> BTreeSet<String> {
    let ca = Authority::new("authority");
    let client = connector(&ca).versions(versions).sessions(0).build().unwrap();
    let server = acceptor(ca.server()).versions(versions).sessions(0).build().unwrap();
    let whole = talk(&client, &server, NAME);
    assert_eq!((&whole.client, &whole.server), (&Ok(()), &Ok(())));
    let mut told = BTreeSet::new();
    for at in (0..whole.to_client.len()).step_by(step) {
        let broken = talk_over(&client, &server, NAME, harm(at), Wire::default());
        match broken.client {
            Err(failure) => drop(told.insert(format!("client {failure:?}"))),
            Ok(()) => {
                assert!(ignored(&whole.to_client, at), "{versions:?}: byte {at} to the client");
            }
        }
    }
    for at in (0..whole.to_server.len()).step_by(step) {
        let broken = talk_over(&client, &server, NAME, Wire::default(), harm(at));
        match broken.server {
            Err(failure) => drop(told.insert(format!("server {failure:?}"))),
            Ok(()) => {
                assert!(ignored(&whole.to_server, at), "{versions:?}: byte {at} to the server");
            }
        }
    }
    told
}

fn cut(at: usize) -> Wire {
    Wire { cut: Some(at), damage: None }
}

fn damage(at: usize) -> Wire {
    Wire { cut: None, damage: Some(at) }
}

fn cut_kinds() -> BTreeSet<String> {
    let ends = ["client", "server"];
    let kinds = ["DataTruncated", "HandshakeTruncated"];
    ends.iter().flat_map(|end| kinds.map(|kind| format!("{end} Tls({kind})"))).collect()
}

#[test]
fn a_wire_that_ends_within_any_flight_is_a_truncation() {
    assert_eq!(every_break([Version::Tls13], 23, cut), cut_kinds());
    assert_eq!(every_break([Version::Tls12], 23, cut), cut_kinds());
}

#[test]
fn no_damaged_byte_goes_unnoticed() {
    for version in [Version::Tls13, Version::Tls12] {
        let told = every_break([version], 29, damage);
        assert!(told.contains("client Tls(DamagedRecord)"), "{told:?}");
        assert!(told.contains("server Tls(DamagedRecord)"), "{told:?}");
    }
}

#[test]
#[ignore = "every single byte: a minute"]
fn no_byte_can_be_cut_off_or_damaged_unnoticed() {
    for version in [Version::Tls13, Version::Tls12] {
        assert_eq!(every_break([version], 1, cut), cut_kinds());
        every_break([version], 1, damage);
    }
}

#[test]
fn what_cannot_work_is_refused_before_any_connection() {
    let ca = Authority::new("authority");
    let (certificate, key) = ca.issue_pem(&server_params());
    let (other, _) = ca.issue_pem(&server_params());
    let kind =
        |result: Result<Identity, asupersync_tls::TlsError>| demanded(result.unwrap_err().kind());
    assert_eq!(kind(Identity::from_pem("", &key)), Kind::NoCertificateInPem);
    assert_eq!(kind(Identity::from_pem(&certificate, "")), Kind::NoKeyInPem);
    assert_eq!(kind(Identity::from_pem(&certificate, &certificate)), Kind::NoKeyInPem);
    assert_eq!(kind(Identity::from_pem(&other, &key)), Kind::KeyMismatch);
    let broken = certificate.replace("MII", "M!I");
    assert_eq!(kind(Identity::from_pem(&broken, &key)), Kind::InvalidPem);
    let noise = vec![vec![1, 2, 3]];
    assert_eq!(kind(Identity::from_der(noise.clone(), vec![])), Kind::UnsupportedKey);
    assert_eq!(demanded(Roots::from_pem("no PEM").unwrap_err().kind()), Kind::NoCertificateInPem);
    assert_eq!(demanded(Roots::from_der(noise).unwrap_err().kind()), Kind::CertificateMalformed);
    assert_eq!(demanded(Roots::from_der([]).unwrap_err().kind()), Kind::NoRoots);
    let lists = RevocationLists::from_der([vec![1, 2, 3]]);
    let built = connector(&ca).revocation(lists).build();
    assert_eq!(demanded(built.unwrap_err().kind()), Kind::InvalidRevocationList);
    let built = connector(&ca).versions([]).build();
    assert_eq!(demanded(built.unwrap_err().kind()), Kind::InvalidConfiguration);
    let connector = connector(&ca).build().unwrap();
    let server = acceptor(ca.server()).build().unwrap();
    let bad_name = talk(&connector, &server, "no name at all");
    assert_eq!(bad_name.client, tls(Kind::InvalidServerName));
}

#[test]
fn forty_kinds_of_bad_certificates_and_handshakes_have_forty_names() {
    every_bad_server_certificate_is_refused_by_name();
    an_authority_s_own_limits_hold();
    revocation_is_judged_by_the_lists_given();
    every_bad_client_certificate_is_refused_by_name();
    two_ends_without_anything_in_common_say_what_is_missing();
    every_peer_that_does_not_speak_the_protocol_is_told_apart();
    a_peer_that_breaks_a_rule_or_lacks_what_we_need_is_told_so();
    a_peer_that_says_nothing_meets_the_time_limit();
    what_cannot_work_is_refused_before_any_connection();
    let told = TOLD.take();
    assert!(told.len() >= 40, "{}: {told:?}", told.len());
}
