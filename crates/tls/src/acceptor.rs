//! The server's end.

use crate::error::{Side, TlsError, TlsErrorKind};
use crate::settings::{HANDSHAKE_TIMEOUT, Settings, alpn_names, settings_methods, unfit};
use crate::stream::{TlsStream, handshake};
use crate::{Clock, Identities, KeyLog, RevocationLists, Roots, Version};
use asupersync_core::Cx;
use asupersync_core::cap::HasTime;
use asupersync_io::{AsyncRead, AsyncWrite};
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{ServerConfig, ServerConnection};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Whether a server asks its clients who they are.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// It does not.
    #[default]
    None,
    /// It asks; a client may stay unknown, but a certificate that it presents must lead to one of
    /// these authorities.
    Optional(Roots),
    /// It refuses clients without a certificate that leads to one of these authorities.
    Required(Roots),
}

/// Makes server connections. Clones share the remembered sessions.
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    identities: Option<Identities>,
    clock: Clock,
    timeout: Duration,
}

impl TlsAcceptor {
    /// A server that is this: an [`Identity`](crate::Identity), or [`Identities`] by name that may change.
    pub fn builder(identities: impl Into<Identities>) -> TlsAcceptorBuilder {
        TlsAcceptorBuilder {
            identities: identities.into(),
            clients: ClientAuth::None,
            revocation: RevocationLists::default(),
            settings: Settings::default(),
            early_data: 0,
        }
    }

    /// A server with the library's own settings, whatever they are: what the builder cannot express.
    /// The handshake's time limit is 10 s.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> TlsAcceptor {
        TlsAcceptor { config, identities: None, clock: Clock::system(), timeout: HANDSHAKE_TIMEOUT }
    }

    /// Makes a connection over an open stream with the client at its other end.
    ///
    /// # Errors
    /// A [`TlsError`] inside the `io::Error` ([`TlsError::inside`]): the client's certificate is
    /// refused or missing (ASY-0540), nothing in common (ASY-0541), the client broke the protocol or
    /// speaks another (ASY-0542), refused (ASY-0543) or ended the connection (ASY-0544), or the time
    /// limit passed (ASY-0545). Otherwise the stream's own error, or `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call drops the stream. A cancel request is answered within two polls.
    #[track_caller]
    pub fn accept<'a, C, S>(
        &'a self,
        cx: &'a Cx<C>,
        stream: S,
    ) -> impl Future<Output = io::Result<TlsStream<S>>> + 'a
    where
        C: HasTime,
        S: AsyncRead + AsyncWrite + Unpin + 'a,
    {
        let site = Location::caller();
        async move {
            self.clock.read(cx);
            let session = ServerConnection::new(self.config.clone()).map_err(|error| {
                TlsError::new(
                    TlsErrorKind::InvalidConfiguration,
                    Some(Side::Server),
                    None,
                    error.to_string(),
                )
            })?;
            let stream = TlsStream::new(stream, session.into(), None, self.identities.clone());
            handshake(cx, stream, self.timeout, "TlsAcceptor::accept", site).await
        }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor")
            .field("identities", &self.identities)
            .field("alpn", &alpn_names(&self.config.alpn_protocols))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The options of a server. Each method replaces what was set before.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct TlsAcceptorBuilder {
    identities: Identities,
    clients: ClientAuth,
    revocation: RevocationLists,
    settings: Settings,
    early_data: u32,
}

impl TlsAcceptorBuilder {
    /// Whether clients must say who they are (mutual TLS). Not by default.
    pub fn client_auth(mut self, clients: ClientAuth) -> Self {
        self.clients = clients;
        self
    }

    /// Refuses clients whose certificate is on one of these lists, or on none of their authorities'.
    pub fn revocation(mut self, lists: RevocationLists) -> Self {
        self.revocation = lists;
        self
    }

    /// How many bytes of a returning client are taken before the handshake has ended (0-RTT). None by
    /// default.
    ///
    /// **They can be replayed** (RFC 8446 section 8): whoever records them can send them again. A session
    /// carries early data once, so that this server, and its clones, notice; servers that share
    /// nothing do not. [`TlsStream::early_bytes`] says how much of what a connection's reads hand out
    /// came so; carry out nothing for it that must not be done twice.
    pub fn early_data(mut self, most: u32) -> Self {
        self.early_data = most;
        self
    }

    /// The server.
    ///
    /// # Errors
    /// [`TlsErrorKind::InvalidRevocationList`]; [`TlsErrorKind::InvalidConfiguration`] for no version,
    /// or a version that the provider has no cipher suite for.
    pub fn build(self) -> Result<TlsAcceptor, TlsError> {
        let settings = self.settings;
        let provider = settings.provider();
        let (roots, optional) = match self.clients {
            ClientAuth::None => (None, false),
            ClientAuth::Optional(roots) => (Some(roots), true),
            ClientAuth::Required(roots) => (Some(roots), false),
        };
        let verifier = match roots {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(roots) => {
                let mut builder =
                    WebPkiClientVerifier::builder_with_provider(roots.store, provider.clone());
                if optional {
                    builder = builder.allow_unauthenticated();
                }
                if !self.revocation.lists.is_empty() {
                    builder = builder
                        .with_crls(self.revocation.lists)
                        .only_check_end_entity_revocation()
                        .enforce_revocation_expiration();
                }
                builder.build().map_err(|error| {
                    TlsError::local(TlsErrorKind::InvalidRevocationList, error.to_string())
                })?
            }
        };
        let mut config = ServerConfig::builder_with_details(provider, settings.clock.provider())
            .with_protocol_versions(&settings.versions())
            .map_err(unfit)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(self.identities.clone()));
        config.max_early_data_size = self.early_data;
        config.alpn_protocols = settings.alpn;
        config.session_storage = match settings.sessions {
            0 => Arc::new(NoServerSessionStorage {}),
            sessions => ServerSessionMemoryCache::new(sessions),
        };
        if settings.sessions == 0 {
            config.send_tls13_tickets = 0;
        }
        config.key_log = settings.key_log.build();
        Ok(TlsAcceptor {
            config: Arc::new(config),
            identities: Some(self.identities),
            clock: settings.clock,
            timeout: settings.timeout,
        })
    }
}

settings_methods! {
    TlsAcceptorBuilder,
    alpn: "The application protocols to accept, dearest first (ALPN, RFC 7301). A client that offers some, none of them these, is refused. By default none is chosen, whatever is offered.",
    sessions: "How many sessions to remember, so that a returning client needs no certificates. 256 by default, the oldest is forgotten first; 0 turns resumption off."
}
