//! The client's end.

use crate::error::{Side, TlsError, TlsErrorKind};
use crate::settings::{HANDSHAKE_TIMEOUT, Settings, alpn_names, settings_methods, unfit};
use crate::stream::{TlsStream, handshake};
use crate::{Clock, Identities, KeyLog, RevocationLists, Roots, Version};
use asupersync_core::Cx;
use asupersync_core::cap::HasTime;
use asupersync_io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::fmt;
use std::future::Future;
use std::io::{self, Write as _};
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
            settings: Settings::default(),
            early_data: false,
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
    /// A cancelled call drops the stream. A cancel request is answered within two polls.
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
        let (site, name) = (Location::caller(), name.to_owned());
        async move {
            let session = self.session(cx, &name)?;
            let stream = TlsStream::new(stream, session.into(), Some(name), None);
            handshake(cx, stream, self.timeout, "TlsConnector::connect", site).await
        }
    }

    /// As [`connect`](Self::connect), and writes `data`. Where the
    /// [option](TlsConnectorBuilder::early_data) is on and a remembered session allows it, as much of it
    /// as the server takes goes out with the first message, before the server has answered anything
    /// (0-RTT); what the server does not take so is written after the handshake. How much went early says
    /// [`TlsStream::early_bytes`].
    ///
    /// **Early data can be replayed** (RFC 8446 section 8): somebody who records it may send it to the
    /// server once more. Give this only what may be carried out twice: a question, not an order.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// A cancelled call drops the stream; the server may have received the data. A cancel request is
    /// answered within two polls.
    #[track_caller]
    pub fn connect_with_early_data<'a, C, S>(
        &'a self,
        cx: &'a Cx<C>,
        name: &str,
        stream: S,
        data: &'a [u8],
    ) -> impl Future<Output = io::Result<TlsStream<S>>> + 'a
    where
        C: HasTime,
        S: AsyncRead + AsyncWrite + Unpin + 'a,
    {
        let (site, name) = (Location::caller(), name.to_owned());
        async move {
            let mut session = self.session(cx, &name)?;
            let sent = session.early_data().map_or(Ok(0), |mut early| early.write(data))?;
            let stream = TlsStream::new(stream, session.into(), Some(name), None);
            let label = "TlsConnector::connect_with_early_data";
            let mut stream = handshake(cx, stream, self.timeout, label, site).await?;
            let taken = stream.sent_early(sent);
            stream.write_all(cx, &data[taken..]).await?;
            stream.flush(cx).await?;
            Ok(stream)
        }
    }

    fn session<C: HasTime>(&self, cx: &Cx<C>, name: &str) -> Result<ClientConnection, TlsError> {
        let failed = |kind, detail: String| {
            TlsError::new(kind, Some(Side::Client), Some(name.to_owned()), detail)
        };
        let parsed = ServerName::try_from(name.to_owned()).map_err(|_| {
            let detail = "neither a host name nor an IP address";
            failed(TlsErrorKind::InvalidServerName, detail.to_owned())
        })?;
        self.clock.read(cx);
        ClientConnection::new(self.config.clone(), parsed)
            .map_err(|error| failed(TlsErrorKind::InvalidConfiguration, error.to_string()))
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
    settings: Settings,
    early_data: bool,
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

    /// Whether [`connect_with_early_data`](TlsConnector::connect_with_early_data) may send data
    /// before the handshake has ended (0-RTT). Off by default: whoever records such data can send it
    /// to the server again, which may not notice.
    pub fn early_data(mut self, allowed: bool) -> Self {
        self.early_data = allowed;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`TlsErrorKind::InvalidRevocationList`]; [`TlsErrorKind::InvalidConfiguration`] for no version,
    /// or a version that the provider has no cipher suite for.
    pub fn build(self) -> Result<TlsConnector, TlsError> {
        let settings = self.settings;
        let provider = settings.provider();
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
        let builder = ClientConfig::builder_with_details(provider, settings.clock.provider())
            .with_protocol_versions(&settings.versions())
            .map_err(unfit)?
            .with_webpki_verifier(verifier);
        let mut config = match self.identities {
            Some(identities) => builder.with_client_cert_resolver(Arc::new(identities)),
            None => builder.with_no_client_auth(),
        };
        config.enable_early_data = self.early_data;
        config.alpn_protocols = settings.alpn;
        config.resumption = match settings.sessions {
            0 => Resumption::disabled(),
            sessions => Resumption::in_memory_sessions(sessions),
        };
        config.key_log = settings.key_log.build();
        Ok(TlsConnector {
            config: Arc::new(config),
            clock: settings.clock,
            timeout: settings.timeout,
        })
    }
}

settings_methods! {
    TlsConnectorBuilder,
    alpn: "The application protocols to offer, dearest first (ALPN, RFC 7301). None are offered by default.",
    sessions: "How many sessions to remember, so that a further connection to the same name needs no certificates. 256 by default; 0 turns resumption off."
}
