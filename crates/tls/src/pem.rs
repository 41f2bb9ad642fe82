//! Certificates, keys and revocation lists as text.

use crate::error::{TlsError, TlsErrorKind};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// More text than any list of authorities has, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// Every certificate of the text, at least one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = all(text, CertificateDer::pem_slice_iter(text))?;
    if found.is_empty() {
        let detail = "no `BEGIN CERTIFICATE` section in the text";
        return Err(TlsError::local(TlsErrorKind::NoCertificateInPem, detail));
    }
    Ok(found)
}

/// The first private key of the text: PKCS #8, PKCS #1 or SEC 1.
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    limit(text)?;
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        PemError::NoItemsFound => {
            let detail = "no `BEGIN PRIVATE KEY` section in the text";
            TlsError::local(TlsErrorKind::NoKeyInPem, detail)
        }
        error => invalid(&error),
    })
}

pub(crate) fn revocation_lists(
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let found = all(text, CertificateRevocationListDer::pem_slice_iter(text))?;
    if found.is_empty() {
        let detail = "no `BEGIN X509 CRL` section in the text";
        return Err(TlsError::local(TlsErrorKind::InvalidRevocationList, detail));
    }
    Ok(found)
}

fn all<T>(
    text: &[u8],
    items: impl Iterator<Item = Result<T, PemError>>,
) -> Result<Vec<T>, TlsError> {
    limit(text)?;
    items.collect::<Result<_, _>>().map_err(|error| invalid(&error))
}

fn limit(text: &[u8]) -> Result<(), TlsError> {
    if text.len() > MAX_TEXT {
        let detail = format!("the text has {} bytes, more than {MAX_TEXT}", text.len());
        return Err(TlsError::local(TlsErrorKind::InvalidPem, detail));
    }
    Ok(())
}

fn invalid(error: &PemError) -> TlsError {
    TlsError::local(TlsErrorKind::InvalidPem, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_one_byte_too_many_is_refused_unread() {
        let certificates_in = |length| certificates(&vec![b'#'; length]).unwrap_err().kind();
        assert_eq!(certificates_in(MAX_TEXT), TlsErrorKind::NoCertificateInPem);
        assert_eq!(certificates_in(MAX_TEXT + 1), TlsErrorKind::InvalidPem);
        let text = vec![b'#'; MAX_TEXT + 1];
        assert_eq!(private_key(&text).unwrap_err().kind(), TlsErrorKind::InvalidPem);
        assert_eq!(revocation_lists(&text).unwrap_err().kind(), TlsErrorKind::InvalidPem);
    }
}
