//! Archives of OS packages. Nobody reads one that was not signed, so each input is signed first, by
//! a key for tests.

use std::io::Cursor;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use ospkg::Descriptor;
use ospkg::Package;
use trust::Clock;
use trust::PolicyFiles;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;

const ROOT: &str = include_str!("../../tests/vectors/keys/root.cert.pem");
const CERTIFICATE: &str = include_str!("../../tests/vectors/keys/signer1.cert.pem");
const KEY: &str = include_str!("../../tests/vectors/keys/signer1.key.pem");
const POLICY: &[u8] = br#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"}"#;
/// A moment at which the keys are valid: 2026-11-21T22:07:17Z.
const NOW: i64 = 1_795_298_837;

struct Signer {
    key: SigningKey,
    policy: TrustPolicy,
}

static SIGNER: LazyLock<Option<Signer>> = LazyLock::new(|| {
    let base64: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(base64).ok()?;
    let policy = TrustPolicy::load(&PolicyFiles {
        trust_policy_json: POLICY,
        signing_root_pem: Some(ROOT.as_bytes()),
        ..PolicyFiles::default()
    });
    // PKCS#8 of an Ed25519 key ends in its seed.
    Some(Signer { key: SigningKey::from_bytes(der.last_chunk()?), policy: policy.ok()? })
});

/// Signs the bytes, authorises them, opens them as an archive and unpacks kernel and initramfs.
pub(crate) fn run(bytes: &[u8]) -> bool {
    read(bytes).is_some()
}

fn read(bytes: &[u8]) -> Option<()> {
    let signer = SIGNER.as_ref()?;
    let digest = Sha256Digest::of(bytes);
    let mut descriptor = Descriptor::new("os.zip").ok()?;
    descriptor.push(CERTIFICATE, &ospkg::sign(&signer.key, digest)).ok()?;
    let clock = Clock::exactly(Timestamp::from_unix(NOW));
    let authorized =
        trust::authorize(&signer.policy, descriptor.endorsements(), digest, &clock).ok()?;
    let mut package = Package::open(authorized, digest, Cursor::new(bytes)).ok()?;
    package.kernel_start(4096).ok()?;
    // Not kept: a member may say that it is two gigabytes long.
    package.extract(std::io::sink(), std::io::sink(), |_, _| {}).ok()?;
    Some(())
}
