//! The library's errors sorted into ours.

use super::{Side, Stage, TlsErrorKind as Kind};
use crate::Alert;
use rustls::{CertRevocationListError, CertificateError, Error, InvalidMessage, PeerIncompatible};

pub(crate) fn kind(error: &Error, side: Side, stage: Stage) -> Kind {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::InvalidCertRevocationList(error) => revocation_list(error),
        Error::NoCertificatesPresented => Kind::CertificateMissing,
        Error::UnsupportedNameType => Kind::InvalidServerName,
        Error::PeerIncompatible(error) => incompatible(error),
        Error::NoApplicationProtocol => Kind::NoCommonProtocol,
        Error::InvalidMessage(error) => message(error, stage),
        Error::InappropriateMessage { .. } if stage == Stage::FirstMessage => Kind::NotTls,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            Kind::UnexpectedMessage
        }
        Error::PeerSentOversizedRecord => Kind::RecordTooLarge,
        Error::DecryptError => Kind::DamagedRecord,
        Error::PeerMisbehaved(_) => Kind::PeerMisbehaved,
        Error::AlertReceived(alert) => Kind::PeerAlert(Alert(u8::from(*alert))),
        Error::InconsistentKeys(_) => Kind::KeyMismatch,
        Error::BadMaxFragmentSize => Kind::InvalidConfiguration,
        // The only general error of a server's handshake: its resolver had an identity, for else the
        // stream would have said so, but none that can sign what the client takes.
        Error::General(_) if side == Side::Server && stage != Stage::Data => {
            Kind::NoCommonSignatureScheme
        }
        _ => Kind::Internal,
    }
}

fn certificate(error: &CertificateError) -> Kind {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Kind::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Kind::CertificateNotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Kind::CertificateNameMismatch
        }
        CertificateError::UnknownIssuer => Kind::UnknownIssuer,
        CertificateError::BadSignature => Kind::CertificateBadSignature,
        CertificateError::Revoked => Kind::CertificateRevoked,
        CertificateError::UnknownRevocationStatus => Kind::RevocationUnknown,
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => Kind::RevocationListExpired,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Kind::CertificateWrongPurpose
        }
        CertificateError::UnhandledCriticalExtension => Kind::UnsupportedCriticalExtension,
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            Kind::UnsupportedSignatureAlgorithm
        }
        CertificateError::BadEncoding => Kind::CertificateMalformed,
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(error) => path(error),
            None => Kind::CertificateRejected,
        },
        _ => Kind::CertificateRejected,
    }
}

/// What the library passes on from the check of the chain.
fn path(error: &webpki::Error) -> Kind {
    match error {
        webpki::Error::UnsupportedCriticalExtension => Kind::UnsupportedCriticalExtension,
        webpki::Error::CaUsedAsEndEntity => Kind::CertificateIsAuthority,
        webpki::Error::EndEntityUsedAsCa => Kind::IssuerIsNotAuthority,
        webpki::Error::PathLenConstraintViolated
        | webpki::Error::MaximumPathDepthExceeded
        | webpki::Error::MaximumPathBuildCallsExceeded
        | webpki::Error::MaximumSignatureChecksExceeded => Kind::PathTooLong,
        webpki::Error::NameConstraintViolation
        | webpki::Error::MaximumNameConstraintComparisonsExceeded => Kind::NameConstraintViolated,
        webpki::Error::UnsupportedCertVersion
        | webpki::Error::BadDer
        | webpki::Error::BadDerTime
        | webpki::Error::TrailingData(_)
        | webpki::Error::InvalidCertValidity
        | webpki::Error::InvalidSerialNumber
        | webpki::Error::ExtensionValueInvalid
        | webpki::Error::MalformedExtensions
        | webpki::Error::MalformedDnsIdentifier
        | webpki::Error::MalformedNameConstraint
        | webpki::Error::SignatureAlgorithmMismatch => Kind::CertificateMalformed,
        webpki::Error::InvalidSignatureForPublicKey => Kind::CertificateBadSignature,
        _ => Kind::CertificateRejected,
    }
}

fn revocation_list(error: &CertRevocationListError) -> Kind {
    match error {
        CertRevocationListError::IssuerInvalidForCrl => Kind::RevocationUnknown,
        _ => Kind::InvalidRevocationList,
    }
}

fn incompatible(error: &PeerIncompatible) -> Kind {
    match error {
        PeerIncompatible::NoCipherSuitesInCommon => Kind::NoCommonCipherSuite,
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NoEcPointFormatsInCommon => {
            Kind::NoCommonKeyExchange
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            Kind::NoCommonSignatureScheme
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => Kind::NoCommonVersion,
        _ => Kind::PeerIncompatible,
    }
}

fn message(error: &InvalidMessage, stage: Stage) -> Kind {
    match error {
        InvalidMessage::CertificatePayloadTooLarge => Kind::CertificatesTooLarge,
        InvalidMessage::HandshakePayloadTooLarge => Kind::HandshakeTooLarge,
        // The head of a record is judged first, and text of another protocol fails by one of these.
        InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion
            if stage == Stage::FirstMessage =>
        {
            Kind::NotTls
        }
        InvalidMessage::MessageTooLarge => Kind::RecordTooLarge,
        _ => Kind::Malformed,
    }
}
