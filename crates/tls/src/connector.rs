//! The client's end.

use crate::error::{Side, TlsError, TlsErrorKind};
use crate::stream::{TlsStream, handshake};
use crate::{
    Clock, HANDSHAKE_TIMEOUT, Identities, KeyLog, RevocationLists, Roots, SESSIONS, Version,
};
use asupersync_core::Cx;
use asupersync_core::cap::HasTime;
use asupersync_io::{AsyncRead, AsyncWrite};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Makes client connections. Clones share the remembered sessions.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    clock: Clock,
    timeout: Duration,
}

impl TlsConnector {
    /// A client that trusts these authorities.
    pub fn builder(roots: Roots) -> TlsConnectorBuilder {
        TlsConnectorBuilder {
            roots,
            revocation: RevocationLists::default(),
            identities: None,
            alpn: Vec::new(),
            versions: vec![Version::Tls13, Version::Tls12],
            sessions: SESSIONS,
            key_log: KeyLog::off(),
            clock: Clock::system(),
            timeout: HANDSHAKE_TIMEOUT,
            provider: None,
        }
    }

    /// A client with the library's own settings, whatever they are: what the builder cannot express.
    /// The handshake's time limit is 10 s.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> TlsConnector {
        TlsConnector { config, clock: Clock::system(), timeout: HANDSHAKE_TIMEOUT }
    }

    /// Makes a connection over an open stream with the server of this name: a host name, which is
    /// also sent to the server (SNI), or an IP address.
    ///
    /// # Errors
    /// A [`TlsError`] inside the `io::Error` ([`TlsError::inside`]): the name cannot be one
    /// (ASY-0546), the server's certificate is refused (ASY-0540), nothing in common (ASY-0541), the
    /// server broke the protocol (ASY-0542), refused (ASY-0543) or ended the connection (ASY-0544), or
    /// the time limit passed (ASY-0545). Otherwise the stream's own error, or `Cancelled`.
    ///
    /// With TLS 1.3 the handshake ends here before the server has judged our certificate: its
    /// refusal is the answer of the first read.
    ///
    /// # Cancel safety
    /// A cancelled call drops the stream.
    #[track_caller]
    pub fn connect<'a, C, S>(
        &'a self,
        cx: &'a Cx<C>,
        name: &str,
        stream: S,
    ) -> impl Future<Output = io::Result<TlsStream<S>>> + 'a
    where
        C: HasTime,
        S: AsyncRead + AsyncWrite + Unpin + 'a,
    {
        let site = Location::caller();
        let name = name.to_owned();
        async move {
            let parsed = ServerName::try_from(name.clone()).map_err(|_| {
                TlsError::new(
                    TlsErrorKind::InvalidServerName,
                    Some(Side::Client),
                    Some(name.clone()),
                    "neither a host name nor an IP address",
                )
            })?;
            self.clock.read(cx);
            let session = ClientConnection::new(self.config.clone(), parsed).map_err(|error| {
                TlsError::new(
                    TlsErrorKind::InvalidConfiguration,
                    Some(Side::Client),
                    Some(name.clone()),
                    error.to_string(),
                )
            })?;
            let stream = TlsStream::new(stream, session.into(), Some(name), None);
            handshake(cx, stream, self.timeout, "TlsConnector::connect", site).await
        }
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("alpn", &alpn_names(&self.config.alpn_protocols))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The options of a client. Each method replaces what was set before.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct TlsConnectorBuilder {
    roots: Roots,
    revocation: RevocationLists,
    identities: Option<Identities>,
    alpn: Vec<Vec<u8>>,
    versions: Vec<Version>,
    sessions: usize,
    key_log: KeyLog,
    clock: Clock,
    timeout: Duration,
    provider: Option<Arc<CryptoProvider>>,
}

impl TlsConnectorBuilder {
    /// Refuses servers whose certificate is on one of these lists, or on none of their authorities'.
    pub fn revocation(mut self, lists: RevocationLists) -> Self {
        self.revocation = lists;
        self
    }

    /// What to present to a server that asks: an [`Identity`](crate::Identity), or [`Identities`] that
    /// may change.
    pub fn identity(mut self, identities: impl Into<Identities>) -> Self {
        self.identities = Some(identities.into());
        self
    }

    /// The application protocols to offer, dearest first (ALPN, RFC 7301). None are offered by default.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// The versions to allow. Both by default.
    pub fn versions(mut self, versions: impl IntoIterator<Item = Version>) -> Self {
        self.versions = versions.into_iter().collect();
        self
    }

    /// How many sessions to remember, so that a further connection to the same name needs no
    /// certificates. 256 by default; 0 turns resumption off.
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.sessions = sessions;
        self
    }

    /// Where to write the connections' secrets. Nowhere by default.
    pub fn key_log(mut self, log: KeyLog) -> Self {
        self.key_log = log;
        self
    }

    /// The date by which certificates are judged. The machine's by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How long a handshake may take. 10 s by default.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The cryptography to use, cipher suites and groups included. `ring`'s by default.
    pub fn provider(mut self, provider: CryptoProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`TlsErrorKind::InvalidRevocationList`]; [`TlsErrorKind::InvalidConfiguration`] for no version,
    /// or a version that the provider has no cipher suite for.
    pub fn build(self) -> Result<TlsConnector, TlsError> {
        let provider = self.provider.unwrap_or_else(ring);
        let mut verifier =
            WebPkiServerVerifier::builder_with_provider(self.roots.store, provider.clone());
        if !self.revocation.lists.is_empty() {
            verifier = verifier
                .with_crls(self.revocation.lists)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration();
        }
        let verifier = verifier.build().map_err(|error| {
            TlsError::local(TlsErrorKind::InvalidRevocationList, error.to_string())
        })?;
        let versions: Vec<_> = self.versions.iter().map(|version| version.supported()).collect();
        let builder = ClientConfig::builder_with_details(provider, self.clock.provider())
            .with_protocol_versions(&versions)
            .map_err(unfit)?
            .with_webpki_verifier(verifier);
        let mut config = match self.identities {
            Some(identities) => builder.with_client_cert_resolver(Arc::new(identities)),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.resumption = match self.sessions {
            0 => Resumption::disabled(),
            sessions => Resumption::in_memory_sessions(sessions),
        };
        config.key_log = self.key_log.build();
        Ok(TlsConnector { config: Arc::new(config), clock: self.clock, timeout: self.timeout })
    }
}

pub(crate) fn ring() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(crate) fn unfit(error: rustls::Error) -> TlsError {
    TlsError::local(TlsErrorKind::InvalidConfiguration, error.to_string())
}

pub(crate) fn alpn_names(protocols: &[Vec<u8>]) -> Vec<String> {
    protocols.iter().map(|name| name.escape_ascii().to_string()).collect()
}
