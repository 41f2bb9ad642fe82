//! The table of failures.

use crate::Alert;
use std::io;

/// Builds the enum and its texts from one table: variant, what happened, what to do.
macro_rules! kinds {
    ($(
        $code:literal $io:ident {
            $($(#[$doc:meta])* $kind:ident => $what:literal, $advice:literal;)*
        }
    )*) => {
        /// What went wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum TlsErrorKind {
            $($(
                $(#[$doc])*
                #[doc = concat!("What happened: ", $what, ".\n\nWhat to do: ", $advice, ".")]
                $kind,
            )*)*
            /// The peer gave up, and said why.
            PeerAlert(Alert),
        }

        impl TlsErrorKind {
            /// The code of the group it belongs to, which has a page.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $($(TlsErrorKind::$kind => $code,)*)*
                    TlsErrorKind::PeerAlert(_) => "ASY-0543",
                }
            }

            /// What happened, in a few words.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $($(TlsErrorKind::$kind => $what,)*)*
                    TlsErrorKind::PeerAlert(_) => "the peer gave up and says",
                }
            }

            /// What to do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self {
                    $($(TlsErrorKind::$kind => $advice,)*)*
                    TlsErrorKind::PeerAlert(alert) => alert.advice(),
                }
            }

            pub(crate) const fn io_kind(self) -> io::ErrorKind {
                match self {
                    $($(TlsErrorKind::$kind => io::ErrorKind::$io,)*)*
                    TlsErrorKind::PeerAlert(_) => io::ErrorKind::ConnectionAborted,
                }
            }
        }
    };
}

kinds! {
    "ASY-0540" InvalidData {
        CertificateExpired => "the peer's certificate has expired", "have the peer renew it; check our own clock too";
        CertificateNotYetValid => "the peer's certificate is not valid yet", "check the clocks of both ends";
        CertificateNameMismatch => "the peer's certificate is for another name", "connect by a name that it lists, or have it issued for this one";
        UnknownIssuer => "the peer's certificate leads to no authority that we trust", "trust its authority, or have the peer send the certificates between";
        CertificateBadSignature => "a signature of the peer's certificates is wrong", "a certificate was changed, or was signed by another key of the same name";
        CertificateRevoked => "the peer's certificate has been called back", "do not talk to this peer; it needs a new key";
        RevocationUnknown => "no revocation list says anything about the peer's certificate", "provide the list of its authority";
        RevocationListExpired => "the revocation list is out of date", "fetch a newer one";
        CertificateWrongPurpose => "the peer's certificate is not for this use", "a server needs serverAuth among its extended key usages, a client clientAuth";
        CertificateIsAuthority => "the peer presents an authority's certificate as its own", "have it use one that the authority has issued";
        IssuerIsNotAuthority => "the peer's certificate was issued by one that may not issue", "the chain is wrong, or an attack";
        PathTooLong => "the chain of certificates is longer than an authority allows", "issue from a nearer authority";
        NameConstraintViolated => "the peer's certificate is for a name that its authority may not issue for", "have it issued by another authority";
        UnsupportedCriticalExtension => "the peer's certificate demands what we do not know", "have it issued without that critical extension";
        UnsupportedSignatureAlgorithm => "the peer's certificates are signed in a way that we do not accept", "have them issued with ECDSA, Ed25519, or RSA of 2048 bits and SHA-2";
        CertificateMalformed => "a certificate cannot be parsed", "it is damaged, or no X.509 certificate of version 3";
        CertificateRejected => "the peer's certificate is refused", "see the detail";
        CertificateMissing => "the peer presents no certificate", "give the client an identity, or make it optional";
    }
    "ASY-0541" InvalidData {
        NoCommonVersion => "no version of the protocol in common", "allow TLS 1.2 or 1.3 on both ends";
        NoCommonCipherSuite => "no cipher suite in common", "compare the suites of both ends";
        NoCommonKeyExchange => "no key exchange in common", "allow X25519, or NIST P-256 or P-384, on both ends";
        NoCommonSignatureScheme => "no signature scheme in common", "use a key that the peer accepts: ECDSA P-256 is the widest known";
        NoCommonProtocol => "no application protocol (ALPN) in common", "offer one that the peer speaks";
        UnknownServerName => "the client asks for a name that we have no identity for", "set one for it, or a default";
        PeerIncompatible => "the peer lacks something that we need", "see the detail; the peer is outdated or set up too strictly";
    }
    "ASY-0542" InvalidData {
        NotTls => "the peer does not speak TLS", "check the port: this may be plain text, such as HTTP";
        RecordTooLarge => "the peer sent a record larger than allowed", "the peer is defective, or the bytes were changed";
        HandshakeTooLarge => "the peer sent a handshake message larger than allowed", "the peer is defective, or an attack";
        CertificatesTooLarge => "the peer sent more certificates than allowed", "have it send only those between it and the authority";
        Malformed => "a message cannot be parsed", "the peer is defective, or the bytes were changed";
        UnexpectedMessage => "a message came out of order", "the peer is defective, or an attack";
        DamagedRecord => "a record's check failed", "the bytes were changed or doubled on the way, or the peer is defective";
        PeerMisbehaved => "the peer broke a rule of the protocol", "the peer is defective, or an attack";
    }
    "ASY-0544" UnexpectedEof {
        /// After the handshake: the read says so once all that came before has been read.
        DataTruncated => "the connection ended without a farewell", "do not trust what was received to be whole: it may have been cut by an attacker";
        HandshakeTruncated => "the connection ended during the handshake", "the peer gave up without saying why: see its log";
    }
    "ASY-0545" TimedOut {
        HandshakeTimeout => "the handshake took too long", "the peer is slow, stuck or no TLS server; raise the limit if it is far away";
    }
    "ASY-0546" InvalidInput {
        InvalidServerName => "the name can be in no certificate", "give a host name such as `example.org`, or an IP address, without port";
        InvalidPem => "the text is no PEM", "it must hold `-----BEGIN ..-----` sections of base64";
        NoCertificateInPem => "the text has no certificate", "it must hold a `BEGIN CERTIFICATE` section";
        NoKeyInPem => "the text has no private key", "it must hold a `BEGIN PRIVATE KEY` section; encrypted keys are not read";
        KeyMismatch => "the private key is not the certificate's", "pair them again: the first certificate of the chain must be the end's own";
        UnsupportedKey => "the private key cannot be used", "use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more";
        InvalidRevocationList => "a revocation list cannot be used", "provide a full list of version 2, signed by its authority";
        NoRoots => "there is no authority to trust", "provide at least one";
        InvalidConfiguration => "the options do not fit together", "see the detail";
        Internal => "something failed that no peer has a part in", "see the detail";
    }
}

impl TlsErrorKind {
    /// Whether it is about our own settings.
    pub(crate) fn is_local(self) -> bool {
        self.io_kind() == io::ErrorKind::InvalidInput
    }
}
