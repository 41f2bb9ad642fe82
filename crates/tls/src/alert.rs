//! What a peer says when it gives up.

use std::fmt;

/// A fatal alert of the peer's, by its number (RFC 8446 section 6; the registry is IANA's
/// "TLS Alerts").
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(pub u8);

impl Alert {
    /// `handshake_failure`: nothing in common, said by servers of TLS 1.2.
    pub const HANDSHAKE_FAILURE: Alert = Alert(40);
    /// `bad_certificate`.
    pub const BAD_CERTIFICATE: Alert = Alert(42);
    /// `certificate_revoked`.
    pub const CERTIFICATE_REVOKED: Alert = Alert(44);
    /// `certificate_expired`.
    pub const CERTIFICATE_EXPIRED: Alert = Alert(45);
    /// `unknown_ca`: our chain leads to nobody the peer trusts.
    pub const UNKNOWN_CA: Alert = Alert(48);
    /// `access_denied`: rustls's answer to a name it has no certificate for.
    pub const ACCESS_DENIED: Alert = Alert(49);
    /// `decode_error`: what we sent could not be parsed.
    pub const DECODE_ERROR: Alert = Alert(50);
    /// `protocol_version`: no version in common.
    pub const PROTOCOL_VERSION: Alert = Alert(70);
    /// `internal_error`.
    pub const INTERNAL_ERROR: Alert = Alert(80);
    /// `unrecognized_name`: the peer has no certificate for the name.
    pub const UNRECOGNIZED_NAME: Alert = Alert(112);
    /// `certificate_required`: the peer wanted a certificate of ours.
    pub const CERTIFICATE_REQUIRED: Alert = Alert(116);
    /// `no_application_protocol`: no ALPN name in common.
    pub const NO_APPLICATION_PROTOCOL: Alert = Alert(120);

    /// The name in the registry; none for a number that is not in it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            52 => "too_many_cids_requested",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            121 => "ech_required",
            _ => return None,
        })
    }

    /// What it means for us.
    pub(crate) const fn advice(self) -> &'static str {
        match self.0 {
            40 | 70 | 71 => "compare versions, cipher suites and groups of both ends",
            42..=46 | 48 => "the peer does not accept our certificate; its log says why",
            49 | 112 => "the peer serves no such name; check the name given to `connect`",
            116 => "the peer wants a client certificate: give the builder an identity",
            120 => "offer an application protocol that the peer speaks",
            20 | 51 => "bytes were changed on the way, or one end has a defect",
            _ => "the peer's log says why",
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alert({}, {self})", self.0)
    }
}
