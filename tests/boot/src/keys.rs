//! Keys and certificates of the tests: good ones, and every kind that must not count.
//!
//! Made with a library that the product does not use, so that product and tests cannot share a
//! mistake.

use anyhow::Context;
use anyhow::Result;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PublicKeyData;
use rcgen::SigningKey;
use sigsum_log::Leaf;
use sigsum_log::Log;
use time::OffsetDateTime;
use trust::Sha256Digest;

/// A throw-away RSA key: the library cannot make one.
const RSA_KEY: &str = include_str!("../../vectors/keys/rsa.key.pem");

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// 2020 to 2045.
    Now,
    /// Until 2024.
    Expired,
    /// From 2044.
    NotYet,
}

impl Validity {
    fn bounds(self) -> (OffsetDateTime, OffsetDateTime) {
        let (from, to) = match self {
            Self::Now => (2020, 2045),
            Self::Expired => (2020, 2024),
            Self::NotYet => (2044, 2045),
        };
        (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1))
    }
}

/// A certificate authority for signers.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, as `ospkg_signing_root.pem` holds it.
    pub pem: String,
}

impl Authority {
    /// Makes an Ed25519 authority.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = params(name, Validity::Now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A signer with a new Ed25519 key under this authority.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn signer(&self, name: &str, validity: Validity) -> Result<Signer> {
        self.certify(KeyPair::generate_for(&rcgen::PKCS_ED25519)?, params(name, validity)?)
    }

    /// A signer whose certificate may be used for TLS servers only.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn tls_only(&self, name: &str) -> Result<Signer> {
        let mut params = params(name, Validity::Now)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.certify(KeyPair::generate_for(&rcgen::PKCS_ED25519)?, params)
    }

    /// The key of another signer under one more certificate.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn again(&self, signer: &Signer, name: &str) -> Result<Signer> {
        let key = KeyPair::from_pem(&signer.key.serialize_pem())?;
        self.certify(key, params(name, Validity::Now)?)
    }

    /// A signer with an RSA key of 2048 bits.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn rsa(&self) -> Result<Signer> {
        let key = KeyPair::from_pem(RSA_KEY).context("the RSA key of the fixtures")?;
        self.certify(key, params("rsa", Validity::Now)?)
    }

    /// A signer with an ECDSA key on P-256.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn ecdsa(&self) -> Result<Signer> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        self.certify(key, params("ecdsa", Validity::Now)?)
    }

    fn certify(&self, key: KeyPair, params: CertificateParams) -> Result<Signer> {
        let name = params.distinguished_name.get(&DnType::CommonName).map(name_text);
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signer { name: name.unwrap_or_default(), pem, key })
    }
}

/// A key with its certificate.
#[derive(Debug)]
pub struct Signer {
    /// Common name in the certificate.
    pub name: String,
    /// The certificate.
    pub pem: String,
    key: KeyPair,
}

impl Signer {
    /// SHA-256 of the public key's SubjectPublicKeyInfo, hex, as `denied_keys` wants it.
    #[must_use]
    pub fn key_sha256(&self) -> String {
        Sha256Digest::of(&self.key.subject_public_key_info()).to_string()
    }

    /// Signs the SHA-256 of an archive, as descriptors want it: the 32 bytes are the message.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>> {
        Ok(self.key.sign(digest)?)
    }

    /// Puts the signature over the SHA-256 of an archive into a log.
    ///
    /// # Errors
    /// If the library refuses, or the key is not Ed25519.
    pub fn publish(&self, log: &mut Log, digest: &[u8; 32]) -> Result<Leaf> {
        let public = self.key.der_bytes().try_into().context("an Ed25519 key")?;
        let mut failure = None;
        let leaf = log.submit(public, digest, |message| {
            let signed = self.key.sign(message).map_err(anyhow::Error::from);
            let signed = signed.and_then(|it| it.try_into().ok().context("64 bytes"));
            signed.unwrap_or_else(|error| {
                failure = Some(error);
                [0; 64]
            })
        });
        failure.map_or(Ok(leaf), Err)
    }
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = validity.bounds();
    Ok(params)
}

fn name_text(value: &rcgen::DnValue) -> String {
    match value {
        rcgen::DnValue::Utf8String(text) => text.clone(),
        other => format!("{other:?}"),
    }
}
