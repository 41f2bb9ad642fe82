//! What clients and servers are set up with alike.

use crate::{Clock, KeyLog, TlsError, TlsErrorKind, Version};
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use std::sync::Arc;
use std::time::Duration;

/// How long a handshake may take unless a builder is told otherwise.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) versions: Vec<Version>,
    pub(crate) sessions: usize,
    pub(crate) key_log: KeyLog,
    pub(crate) clock: Clock,
    pub(crate) timeout: Duration,
    pub(crate) provider: Option<Arc<CryptoProvider>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            alpn: Vec::new(),
            versions: vec![Version::Tls13, Version::Tls12],
            sessions: 256,
            key_log: KeyLog::off(),
            clock: Clock::system(),
            timeout: HANDSHAKE_TIMEOUT,
            provider: None,
        }
    }
}

impl Settings {
    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        let ring = || Arc::new(rustls::crypto::ring::default_provider());
        self.provider.clone().unwrap_or_else(ring)
    }

    pub(crate) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        self.versions.iter().map(|version| version.supported()).collect()
    }
}

/// The library finds the settings at odds with each other.
pub(crate) fn unfit(error: rustls::Error) -> TlsError {
    TlsError::local(TlsErrorKind::InvalidConfiguration, error.to_string())
}

pub(crate) fn alpn_names(protocols: &[Vec<u8>]) -> Vec<String> {
    protocols.iter().map(|name| name.escape_ascii().to_string()).collect()
}

/// The methods of a builder that has a field `settings`.
macro_rules! settings_methods {
    ($builder:ty, alpn: $alpn:literal, sessions: $sessions:literal) => {
        impl $builder {
            #[doc = $alpn]
            pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
                let names = protocols.into_iter().map(|name| name.as_ref().to_vec());
                self.settings.alpn = names.collect();
                self
            }

            /// The versions to allow. Both by default.
            pub fn versions(mut self, versions: impl IntoIterator<Item = Version>) -> Self {
                self.settings.versions = versions.into_iter().collect();
                self
            }

            #[doc = $sessions]
            pub fn sessions(mut self, sessions: usize) -> Self {
                self.settings.sessions = sessions;
                self
            }

            /// Where to write the connections' secrets. Nowhere by default.
            pub fn key_log(mut self, log: KeyLog) -> Self {
                self.settings.key_log = log;
                self
            }

            /// The date by which certificates and sessions are judged. The machine's by default.
            pub fn clock(mut self, clock: Clock) -> Self {
                self.settings.clock = clock;
                self
            }

            /// How long a handshake may take. 10 s by default.
            pub fn handshake_timeout(mut self, limit: Duration) -> Self {
                self.settings.timeout = limit;
                self
            }

            /// The cryptography to use, cipher suites and groups included. `ring`'s by default.
            pub fn provider(mut self, provider: CryptoProvider) -> Self {
                self.settings.provider = Some(Arc::new(provider));
                self
            }
        }
    };
}

pub(crate) use settings_methods;
