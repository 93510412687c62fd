//! Every kind of bad input, by name, with the code and the words that it is refused with; and the
//! tricks that are read all the same, with the reason.
//!
//! The library's test and the tool's are both made from this one table.

#[path = "archives.rs"]
mod archives;
#[path = "descriptors.rs"]
mod descriptors;
#[path = "policies.rs"]
mod policies;
#[path = "raw_zip.rs"]
pub(crate) mod raw_zip;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use report::Code;
use trust::Sha256Digest;

/// The moment at which everything is judged: 2026-11-21T22:07:17Z.
pub(crate) const NOW: i64 = 1_795_298_837;

/// What is bad. Everything else is good.
#[derive(Clone)]
pub(crate) enum Input {
    /// An archive; it is well signed.
    Archive(Vec<u8>),
    /// A descriptor of the good archive.
    Descriptor(Vec<u8>),
    /// `trust_policy.json`.
    Policy(Vec<u8>),
    /// `ospkg_signing_root.pem`.
    Roots(Vec<u8>),
}

/// The four files of a boot, one of which may be bad.
pub(crate) struct Files {
    /// `os.zip`.
    pub(crate) archive: Vec<u8>,
    /// `os.json`.
    pub(crate) descriptor: Vec<u8>,
    /// `trust_policy.json`.
    pub(crate) policy: Vec<u8>,
    /// `ospkg_signing_root.pem`.
    pub(crate) roots: Vec<u8>,
}

impl Input {
    /// With good files around it.
    pub(crate) fn among_good_ones(&self) -> Files {
        let archive = good_archive();
        let good = Files {
            descriptor: signed(&archive).into_bytes(),
            archive,
            policy: POLICY.into(),
            roots: vector("keys/root.cert.pem"),
        };
        match self.clone() {
            Self::Archive(archive) => {
                Files { descriptor: signed(&archive).into_bytes(), archive, ..good }
            }
            Self::Descriptor(descriptor) => Files { descriptor, ..good },
            Self::Policy(policy) => Files { policy, ..good },
            Self::Roots(roots) => Files { roots, ..good },
        }
    }
}

/// What comes of it.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// It is refused with this code, and these words are in the message.
    Refused(Code, &'static str),
    /// It is read as if nothing were wrong, and this is why.
    Read(&'static str),
}

/// A row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) input: Input,
    pub(crate) verdict: Verdict,
}

/// The whole table.
pub(crate) fn all() -> Vec<Case> {
    let all: Vec<Case> =
        [archives::refused(), archives::read(), descriptors::cases(), policies::cases()]
            .into_iter()
            .flatten()
            .collect();
    for (index, case) in all.iter().enumerate() {
        assert!(
            all[..index].iter().all(|other| other.name != case.name),
            "{} is there twice",
            case.name
        );
    }
    all
}

/// A file of the vectors.
pub(crate) fn vector(name: &str) -> Vec<u8> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    fs::read(vectors.join(name)).unwrap()
}

/// The certificate of the first test signer.
pub(crate) fn certificate() -> String {
    String::from_utf8(vector("keys/signer1.cert.pem")).unwrap()
}

/// The first test signer's signature over an archive.
pub(crate) fn signature(archive: &[u8]) -> [u8; 64] {
    let text = String::from_utf8(vector("keys/signer1.key.pem")).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    // PKCS#8 of an Ed25519 key ends in its seed.
    let key = SigningKey::from_bytes(BASE64_STANDARD.decode(base64).unwrap().last_chunk().unwrap());
    ospkg::sign(&key, Sha256Digest::of(archive))
}

/// The good archive.
pub(crate) fn good_archive() -> Vec<u8> {
    raw_zip::build(&raw_zip::good())
}

/// A descriptor with these texts, not encoded yet, as certificate and signature.
pub(crate) fn descriptor_of(certificate: &[u8], signature: &[u8]) -> String {
    let (certificate, signature) =
        (BASE64_STANDARD.encode(certificate), BASE64_STANDARD.encode(signature));
    format!(
        r#"{{"version": 1, "os_pkg_url": "os.zip", "certificates": ["{certificate}"], "signatures": ["{signature}"]}}"#
    )
}

/// The descriptor of an archive, well signed.
pub(crate) fn signed(archive: &[u8]) -> String {
    descriptor_of(certificate().as_bytes(), &signature(archive))
}

/// The good `trust_policy.json`.
pub(crate) const POLICY: &str =
    r#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"}"#;
