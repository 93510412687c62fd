//! OS packages for simulated mirrors: one that may run, and what must not.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use netboot::Policy;
use ospkg::CreateOptions;
use ospkg::Descriptor;
use trust::PolicyFiles;
use trust::Sha256Digest;
use trust::TrustPolicy;

/// How long the kernel of a package is.
const KERNEL: usize = 200_000;

const POLICY: &str = r#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network"}"#;

/// A descriptor and its archive.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) descriptor: Vec<u8>,
    pub(crate) archive: Vec<u8>,
}

/// All that mirrors may serve. Signed once, used by every boot.
#[derive(Clone, Debug)]
pub struct Packages {
    /// By two signers, as the policy wants.
    pub(crate) good: Served,
    /// Of the same bytes, by one.
    pub(crate) below_threshold: Served,
    /// By two signers, of what was served before it.
    pub(crate) older: Served,
    /// The same, of what was served in between.
    pub(crate) between: Served,
    /// By two whom nobody knows.
    pub(crate) by_strangers: Served,
    /// The good descriptor with an archive in which one bit is another.
    pub(crate) tampered: Served,
    kernels: [Vec<u8>; 2],
    root: String,
}

impl Packages {
    /// Makes them with the keys of the test vectors.
    ///
    /// # Errors
    /// A key cannot be read.
    pub fn make() -> Result<Self> {
        let archive = archive(b'k')?;
        let good = signed(&archive, &["signer1", "signer2"])?;
        let both = |content| signed(&self::archive(content)?, &["signer1", "signer2"]);
        let (older, between) = (both(b'o')?, both(b'b')?);
        let below_threshold = signed(&archive, &["signer1"])?;
        let by_strangers = signed(&self::archive(b'x')?, &["selfsigned", "otherroot_signer"])?;
        let mut tampered = good.clone();
        let middle = tampered.archive.len() / 2;
        if let Some(byte) = tampered.archive.get_mut(middle) {
            *byte ^= 1;
        }
        let root = vector("root.cert.pem")?;
        let kernels = [kernel(b'k'), kernel(b'o')];
        Ok(Self { good, older, between, below_threshold, by_strangers, tampered, kernels, root })
    }

    /// The trust policy under which only the good one may run.
    ///
    /// # Errors
    /// The policy is none.
    pub fn policy(&self) -> Result<Policy> {
        let policy = TrustPolicy::load(&PolicyFiles {
            trust_policy_json: POLICY.as_bytes(),
            signing_root_pem: Some(self.root.as_bytes()),
            tls_roots_pem: Some(self.root.as_bytes()),
            ..PolicyFiles::default()
        })?;
        Ok(Policy { policy, files: Vec::new() })
    }

    /// Whether a kernel may run: that of the good package, or of the older one in whose place it comes.
    /// The descriptor of the one in between is never served.
    #[must_use]
    pub fn may_run(&self, kernel: &[u8]) -> bool {
        self.kernels.iter().any(|known| known == kernel)
    }
}

fn kernel(content: u8) -> Vec<u8> {
    (0..KERNEL)
        .map(|at| content ^ at.to_le_bytes().iter().fold(0, |sum, byte| sum ^ byte))
        .collect()
}

fn archive(content: u8) -> Result<Vec<u8>> {
    let options = CreateOptions {
        label: "simulated".into(),
        kernel_name: "vmlinuz".into(),
        initramfs_name: "initramfs".into(),
        ..CreateOptions::default()
    };
    let mut archive = Cursor::new(Vec::new());
    let kernel = kernel(content);
    ospkg::create(
        &mut archive,
        &options,
        kernel.as_slice().into(),
        b"initramfs".as_slice().into(),
    )?;
    Ok(archive.into_inner())
}

fn signed(archive: &[u8], signers: &[&str]) -> Result<Served> {
    let mut descriptor = Descriptor::new("os.zip")?;
    for name in signers {
        let signature = ospkg::sign(&signing_key(name)?, Sha256Digest::of(archive));
        descriptor.push(&vector(&format!("{name}.cert.pem"))?, &signature)?;
    }
    Ok(Served { descriptor: descriptor.to_json().into_bytes(), archive: archive.to_vec() })
}

fn vector(name: &str) -> Result<String> {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/keys");
    fs::read_to_string(keys.join(name)).with_context(|| format!("reading the key {name}"))
}

fn signing_key(name: &str) -> Result<SigningKey> {
    let text = vector(&format!("{name}.key.pem"))?;
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(base64)?;
    // PKCS#8 of an Ed25519 key ends in its seed.
    let seed = der.last_chunk().with_context(|| format!("{name} is no Ed25519 key"))?;
    Ok(SigningKey::from_bytes(seed))
}
