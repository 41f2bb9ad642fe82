//! Whom one end trusts, and which certificates have been called back.

use crate::error::{TlsError, TlsErrorKind};
use crate::pem;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use std::fmt;
use std::sync::Arc;

/// The authorities that one end trusts. Clones are cheap.
#[derive(Clone)]
pub struct Roots {
    pub(crate) store: Arc<RootCertStore>,
}

impl Roots {
    /// From PEM text: at least one certificate. An end's own certificate may stand here too, and is
    /// then trusted by itself.
    ///
    /// # Errors
    /// [`TlsErrorKind::InvalidPem`], [`NoCertificateInPem`](TlsErrorKind::NoCertificateInPem),
    /// [`CertificateMalformed`](TlsErrorKind::CertificateMalformed).
    pub fn from_pem(text: impl AsRef<[u8]>) -> Result<Roots, TlsError> {
        Roots::from_rustls(pem::certificates(text.as_ref())?)
    }

    /// From DER.
    ///
    /// # Errors
    /// [`TlsErrorKind::CertificateMalformed`], or [`NoRoots`](TlsErrorKind::NoRoots) for an empty list.
    pub fn from_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Roots, TlsError> {
        Roots::from_rustls(certificates.into_iter().map(CertificateDer::from))
    }

    fn from_rustls(
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Roots, TlsError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            store.add(certificate).map_err(|error| {
                TlsError::local(TlsErrorKind::CertificateMalformed, error.to_string())
            })?;
        }
        if store.is_empty() {
            return Err(TlsError::local(TlsErrorKind::NoRoots, "the list is empty"));
        }
        Ok(Roots { store: Arc::new(store) })
    }

    /// The machine's authorities: those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or the system's.
    /// Certificates that cannot be read are left out. This reads files: call it once, at the start,
    /// or on the blocking pool.
    ///
    /// # Errors
    /// [`TlsErrorKind::NoRoots`] when not one could be read.
    #[cfg(feature = "tls-native-roots")]
    pub fn native() -> Result<Roots, TlsError> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(loaded.certs);
        if store.is_empty() {
            let first = loaded.errors.first().map(ToString::to_string);
            let detail = first.unwrap_or_else(|| "the machine has none".to_owned());
            return Err(TlsError::local(TlsErrorKind::NoRoots, detail));
        }
        Ok(Roots { store: Arc::new(store) })
    }

    /// Mozilla's authorities, as they stood when `webpki-roots` was published.
    #[cfg(feature = "tls-webpki-roots")]
    #[must_use]
    pub fn mozilla() -> Roots {
        let anchors = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        Roots { store: Arc::new(anchors.collect()) }
    }

    /// How many authorities these are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there are always some")]
    pub fn len(&self) -> usize {
        self.store.len()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.len())
    }
}

/// Authorities' lists of certificates that they have called back (RFC 5280 section 5).
///
/// With lists, the peer's own certificate must be covered by one that is still valid: without, it is
/// refused ([`TlsErrorKind::RevocationUnknown`], [`RevocationListExpired`](TlsErrorKind::RevocationListExpired)).
/// The certificates between it and the authority are not looked up.
#[derive(Clone, Default)]
pub struct RevocationLists {
    pub(crate) lists: Vec<CertificateRevocationListDer<'static>>,
}

impl RevocationLists {
    /// From PEM text: at least one list.
    ///
    /// # Errors
    /// [`TlsErrorKind::InvalidPem`], [`InvalidRevocationList`](TlsErrorKind::InvalidRevocationList).
    pub fn from_pem(text: impl AsRef<[u8]>) -> Result<RevocationLists, TlsError> {
        Ok(RevocationLists { lists: pem::revocation_lists(text.as_ref())? })
    }

    /// From DER.
    #[must_use]
    pub fn from_der(lists: impl IntoIterator<Item = Vec<u8>>) -> RevocationLists {
        RevocationLists { lists: lists.into_iter().map(Into::into).collect() }
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationLists({})", self.lists.len())
    }
}
