//! Certificates for tests, made on the spot.

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PKCS_ED25519;
use rcgen::PublicKeyData;
use rcgen::SignatureAlgorithm;
use rcgen::SigningKey;
use rcgen::date_time_ymd;

use crate::Certificate;
use crate::Clock;
use crate::Endorsement;
use crate::PolicyFiles;
use crate::Sha256Digest;
use crate::Timestamp;
use crate::TrustPolicy;

/// 2026-07-01T00:00:00Z, when everything made here is valid.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_782_864_000);

pub(crate) fn clock() -> Clock {
    Clock::exactly(NOW)
}

pub(crate) fn day(year: i32, month: u8, day: u8) -> Timestamp {
    Timestamp::from_unix(date_time_ymd(year, month, day).unix_timestamp())
}

pub(crate) fn archive() -> Sha256Digest {
    Sha256Digest::of(b"the archive")
}

pub(crate) fn ed25519() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

/// Parameters of a CA certificate, valid from 2020 to 2040.
pub(crate) fn root_params(name: &str) -> CertificateParams {
    let mut params = leaf_params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

/// Parameters of a signer's certificate, valid through 2026.
pub(crate) fn leaf_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

/// A signing root with its key.
pub(crate) struct Root {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) der: Vec<u8>,
}

impl Root {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(root_params(name), ed25519())
    }

    pub(crate) fn with(params: CertificateParams, key: KeyPair) -> Self {
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    pub(crate) fn pem(&self) -> String {
        pem(&self.der)
    }

    pub(crate) fn issue(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Vec<u8> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).unwrap().der().to_vec()
    }

    /// A certificate over a new key, with its signature over [`archive`].
    pub(crate) fn endorse(&self, params: &CertificateParams) -> Endorsement {
        let key = ed25519();
        endorsement(self.issue(params, &key), &key)
    }

    /// A policy that trusts this root alone.
    pub(crate) fn policy(&self, threshold: u64) -> TrustPolicy {
        policy(&[self], &format!(r#""ospkg_signature_threshold": {threshold}"#))
    }
}

/// A policy with these roots and these keys of `trust_policy.json`.
pub(crate) fn policy(roots: &[&Root], keys: &str) -> TrustPolicy {
    let json = format!("{{\"ospkg_fetch_method\": \"network\", {keys}}}");
    let pem: String = roots.iter().map(|root| root.pem()).collect();
    TrustPolicy::load(&PolicyFiles {
        trust_policy_json: json.as_bytes(),
        signing_root_pem: Some(pem.as_bytes()),
        ..PolicyFiles::default()
    })
    .unwrap()
}

/// An Ed25519 public key whose private key nobody has.
pub(crate) struct RawKey(pub(crate) [u8; 32]);

impl PublicKeyData for RawKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

/// A key and a signature over [`archive`] whose R is the neutral element: a lenient verifier accepts
/// it, a strict one does not. Whoever has the key can make such signatures, and only they.
pub(crate) fn lenient_signature() -> (RawKey, Vec<u8>) {
    let half = |hex: &str| *hex.parse::<Sha256Digest>().unwrap().as_bytes();
    let key = half("ce0835d5eef35d3d7194904428ab19ee30b76afce559883b3b3542994e42af45");
    let r = half("0100000000000000000000000000000000000000000000000000000000000000");
    let s = half("95e9c02dc49c6ce2fcf61e8129860f03ae903fc90085607893ca8c4dec154b09");
    (RawKey(key), [r, s].concat())
}

pub(crate) fn endorsement(certificate_der: Vec<u8>, key: &KeyPair) -> Endorsement {
    let signature = key.sign(archive().as_bytes()).unwrap();
    Endorsement { certificate_der, signature }
}

pub(crate) fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

pub(crate) fn parse(der: &[u8]) -> Certificate {
    Certificate::parse(der).unwrap()
}
