//! Who one end claims to be, and the key that proves it.

use crate::error::{TlsError, TlsErrorKind};
use crate::pem;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::fmt;
use std::sync::Arc;

/// A certificate, the certificates that lead from it towards an authority, and its private key.
#[derive(Clone)]
pub struct Identity {
    pub(crate) certified: Arc<CertifiedKey>,
}

impl Identity {
    /// From PEM text: a chain, the end's own certificate first, and a private key (PKCS #8, PKCS #1 or
    /// SEC 1). Both may be the same text.
    ///
    /// # Errors
    /// [`TlsErrorKind::InvalidPem`], [`NoCertificateInPem`](TlsErrorKind::NoCertificateInPem),
    /// [`NoKeyInPem`](TlsErrorKind::NoKeyInPem), [`KeyMismatch`](TlsErrorKind::KeyMismatch) when the
    /// key is another certificate's, [`UnsupportedKey`](TlsErrorKind::UnsupportedKey).
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Identity, TlsError> {
        let chain = pem::certificates(chain.as_ref())?;
        let key = pem::private_key(key.as_ref())?;
        Identity::from_rustls(chain, key, &rustls::crypto::ring::default_provider())
    }

    /// From DER: a chain, the end's own certificate first, and a private key.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem), but for those of the text.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Identity, TlsError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key)
            .map_err(|detail| TlsError::local(TlsErrorKind::UnsupportedKey, detail))?;
        Identity::from_rustls(chain, key, &rustls::crypto::ring::default_provider())
    }

    /// As [`from_der`](Self::from_der), with the library's types, the key for another provider.
    ///
    /// # Errors
    /// As [`from_der`](Self::from_der).
    pub fn from_rustls(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Identity, TlsError> {
        if chain.is_empty() {
            let detail = "the chain has no certificate";
            return Err(TlsError::local(TlsErrorKind::NoCertificateInPem, detail));
        }
        match CertifiedKey::from_der(chain, key, provider) {
            Ok(certified) => Ok(Identity { certified: Arc::new(certified) }),
            Err(error) => {
                let kind = match &error {
                    Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                        TlsErrorKind::KeyMismatch
                    }
                    Error::InvalidCertificate(_) => TlsErrorKind::CertificateMalformed,
                    _ => TlsErrorKind::UnsupportedKey,
                };
                Err(TlsError::local(kind, error.to_string()))
            }
        }
    }

    /// A new key (ECDSA P-256) and a certificate for these names (or IP addresses) that it signs itself, for
    /// development. The key is the machine's randomness; the certificate does not expire.
    ///
    /// # Errors
    /// [`TlsErrorKind::InvalidServerName`] for what is neither a name nor an address.
    #[cfg(feature = "self-signed")]
    pub fn self_signed<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<SelfSigned, TlsError> {
        let failed = |kind| move |error: rcgen::Error| TlsError::local(kind, error.to_string());
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let parameters = rcgen::CertificateParams::new(names)
            .map_err(failed(TlsErrorKind::InvalidServerName))?;
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(failed(TlsErrorKind::Internal))?;
        let signed = parameters.self_signed(&key).map_err(failed(TlsErrorKind::Internal))?;
        let (certificate, key) = (signed.pem(), key.serialize_pem());
        let identity = Identity::from_pem(&certificate, &key)?;
        Ok(SelfSigned { identity, certificate, key })
    }

    /// The end's own certificate, in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        // By construction a chain has a certificate.
        self.certified.cert.first().map_or(&[], |certificate| certificate.as_ref())
    }
}

/// What [`Identity::self_signed`] makes.
#[cfg(feature = "self-signed")]
#[derive(Debug)]
pub struct SelfSigned {
    /// To serve with.
    pub identity: Identity,
    /// The certificate as PEM text, for whoever is to trust it: see [`Roots`](crate::Roots).
    pub certificate: String,
    /// The private key as PEM text.
    pub key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.certified.cert.len())
            .finish_non_exhaustive()
    }
}
