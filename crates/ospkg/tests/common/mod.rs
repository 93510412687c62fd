//! A signer, and the way from bytes to an opened package.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use ed25519_dalek::SigningKey;
use ospkg::Descriptor;
use ospkg::Package;
use ospkg::PackageError;
use trust::Authorized;
use trust::Clock;
use trust::PolicyFiles;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;

/// A moment at which the keys of the vectors are valid: 2026-11-21T22:07:17Z.
pub(crate) const NOW: i64 = 1_795_298_837;

pub(crate) fn key_file(name: &str) -> String {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/keys");
    fs::read_to_string(keys.join(name)).unwrap()
}

pub(crate) fn signing_key(name: &str) -> SigningKey {
    let text = key_file(&format!("{name}.key.pem"));
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap();
    // PKCS#8 of an Ed25519 key ends in its seed.
    SigningKey::from_bytes(der.last_chunk().unwrap())
}

pub(crate) fn certificate(name: &str) -> String {
    key_file(&format!("{name}.cert.pem"))
}

/// The descriptor of an archive, signed by the first test signer.
pub(crate) fn signed(archive: &[u8]) -> Descriptor {
    let mut descriptor = Descriptor::new("os.zip").unwrap();
    let signature = ospkg::sign(&signing_key("signer1"), Sha256Digest::of(archive));
    descriptor.push(&certificate("signer1"), &signature).unwrap();
    descriptor
}

pub(crate) fn authorize(
    descriptor: &Descriptor,
    digest: Sha256Digest,
) -> Result<Authorized, trust::Refusal> {
    let policy = r#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"}"#;
    authorize_by(policy, descriptor, digest)
}

/// As [`authorize`], by this `trust_policy.json`.
pub(crate) fn authorize_by(
    policy: &str,
    descriptor: &Descriptor,
    digest: Sha256Digest,
) -> Result<Authorized, trust::Refusal> {
    authorize_at(policy, descriptor, digest, &Clock::exactly(Timestamp::from_unix(NOW)))
}

/// As [`authorize_by`], judged by this clock.
pub(crate) fn authorize_at(
    policy: &str,
    descriptor: &Descriptor,
    digest: Sha256Digest,
    clock: &Clock,
) -> Result<Authorized, trust::Refusal> {
    let policy = TrustPolicy::load(&PolicyFiles {
        trust_policy_json: policy.as_bytes(),
        signing_root_pem: Some(certificate("root").as_bytes()),
        ..PolicyFiles::default()
    })
    .unwrap();
    trust::authorize(&policy, descriptor.endorsements(), digest, clock)
}

/// Signs an archive and opens it.
pub(crate) fn open(archive: Vec<u8>) -> Result<Package<Cursor<Vec<u8>>>, PackageError> {
    let digest = Sha256Digest::of(&archive);
    let authorized = authorize(&signed(&archive), digest).unwrap();
    Package::open(authorized, digest, Cursor::new(archive))
}

/// Kernel and initramfs of an archive.
pub(crate) fn contents(archive: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), PackageError> {
    let verified = open(archive)?.extract(Vec::new(), Vec::new(), |_, _| {})?;
    let (_, _, kernel, initramfs) = verified.into_parts();
    Ok((kernel, initramfs))
}
