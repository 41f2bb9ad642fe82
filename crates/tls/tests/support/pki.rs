//! Authorities and what they issue, with keys of one length so that every run's bytes have one length.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use asupersync_tls::{Clock, Identity, Roots};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::time::Duration;

/// 2030-01-01, the date of every run.
pub const TODAY: Duration = Duration::from_secs(1_893_456_000);
pub const NAME: &str = "server.test";

pub fn clock() -> Clock {
    Clock::host(TODAY)
}

pub struct Authority {
    pub params: CertificateParams,
    pub key: KeyPair,
    pub pem: String,
}

pub fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

fn base(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    // As long as any other: a random one may be shorter.
    params.serial_number = Some(SerialNumber::from(0x1000_0000 + serial));
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params
}

pub fn authority_params(name: &str) -> CertificateParams {
    let mut params = base(name, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn server_params() -> CertificateParams {
    let mut params = base("server", 7);
    params.subject_alt_names = vec![rcgen::SanType::DnsName(NAME.try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

pub fn client_params() -> CertificateParams {
    let mut params = base("client", 8);
    params.subject_alt_names = vec![rcgen::SanType::DnsName("client.test".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        Authority::of(authority_params(name))
    }

    pub fn of(params: CertificateParams) -> Authority {
        let key = key();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { params, key, pem }
    }

    /// An authority below this one.
    pub fn below(&self, params: CertificateParams) -> Authority {
        let key = key();
        let pem = params.signed_by(&key, &self.issuer()).unwrap().pem();
        Authority { params, key, pem }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    pub fn issue_pem(&self, params: &CertificateParams) -> (String, String) {
        self.issue_for(key(), params)
    }

    /// With a key that every other program reads too.
    pub fn issue_p256(&self, params: &CertificateParams) -> (String, String) {
        self.issue_for(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(), params)
    }

    fn issue_for(&self, key: KeyPair, params: &CertificateParams) -> (String, String) {
        let certificate = params.signed_by(&key, &self.issuer()).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub fn issue(&self, params: &CertificateParams) -> Identity {
        let (certificate, key) = self.issue_pem(params);
        Identity::from_pem(certificate, key).unwrap()
    }

    /// With the certificates of these authorities behind it.
    pub fn issue_with(&self, params: &CertificateParams, chain: &[&Authority]) -> Identity {
        let (mut certificate, key) = self.issue_pem(params);
        for authority in chain {
            certificate.push_str(&authority.pem);
        }
        Identity::from_pem(certificate, key).unwrap()
    }

    pub fn server(&self) -> Identity {
        self.issue(&server_params())
    }

    pub fn client(&self) -> Identity {
        self.issue(&client_params())
    }

    pub fn roots(&self) -> Roots {
        Roots::from_pem(&self.pem).unwrap()
    }

    /// A list that calls these serial numbers back, valid until the end of the year given.
    pub fn revocation_list(&self, serials: &[u64], until: i32) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(0x1000_0000 + serial),
            revocation_time: date_time_ymd(2029, 6, 1),
            reason_code: None,
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: date_time_ymd(2028, 6, 1),
            next_update: date_time_ymd(until, 12, 31),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer())
        .unwrap()
        .pem()
        .unwrap()
    }
}
