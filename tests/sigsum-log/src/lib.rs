//! A Sigsum log with witnesses, in memory, for tests.
//!
//! Its keys are made of names and are the same every time. Everything is computed as the definitions
//! say, by recursion and with no thought of speed, and without the code that it tests.
//!
//! ```
//! use sigsum_log::Log;
//! use sigsum_log::Party;
//!
//! let mut log = Log::new("log");
//! log.grow(6);
//! let signer = Party::new("signer");
//! let leaf = log.submit(signer.public(), &[7; 32], |message| signer.sign(message));
//! let witness = Party::new("witness");
//! let proof = log.prove(&leaf, 7, &[(&witness, 1_800_000_000)]);
//! assert!(proof.text().starts_with("version=2\nlog="));
//! ```

#![forbid(unsafe_code)]

mod proof;
pub mod tree;

pub use proof::Cosignature;
pub use proof::ProofParts;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use sha2::Digest;
use sha2::Sha256;

/// Whoever has a key: a log, a witness, a signer.
#[derive(Clone, Debug)]
pub struct Party {
    name: String,
    key: SigningKey,
}

impl Party {
    /// The party with this name. Its key is the hash of the name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), key: SigningKey::from_bytes(&sha256(name.as_bytes())) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Its private key.
    #[must_use]
    pub const fn secret(&self) -> &SigningKey {
        &self.key
    }

    /// Its signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// What Sigsum calls it: SHA-256 of its public key.
    #[must_use]
    pub fn key_hash(&self) -> [u8; 32] {
        sha256(&self.public())
    }

    /// The line `log KEY` of a policy.
    #[must_use]
    pub fn log_line(&self) -> String {
        format!("log {}\n", hex(&self.public()))
    }

    /// The line `witness NAME KEY` of a policy.
    #[must_use]
    pub fn witness_line(&self) -> String {
        format!("witness {} {}\n", self.name, hex(&self.public()))
    }
}

/// A signature that is in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaf {
    /// Place in the log, from 0.
    pub index: usize,
    /// SHA-256 of what was signed.
    pub checksum: [u8; 32],
    /// SHA-256 of the signer's key.
    pub key_hash: [u8; 32],
    /// The signature.
    pub signature: [u8; 64],
}

/// A log.
#[derive(Clone, Debug)]
pub struct Log {
    party: Party,
    /// Contents of the leaves.
    leaves: Vec<Vec<u8>>,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { party: Party::new(name), leaves: Vec::new() }
    }

    /// The log's key.
    #[must_use]
    pub const fn party(&self) -> &Party {
        &self.party
    }

    /// Takes the signatures of strangers until there are this many leaves.
    pub fn grow(&mut self, size: usize) {
        while self.leaves.len() < size {
            let stranger = Party::new(&format!("stranger {}", self.leaves.len()));
            let _ = self.submit(stranger.public(), &[0; 32], |message| stranger.sign(message));
        }
    }

    /// Takes a signature over a message, which for OS packages is the SHA-256 of the archive.
    /// `sign` must sign with the key whose public half is given.
    pub fn submit(
        &mut self,
        public: [u8; 32],
        message: &[u8; 32],
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Leaf {
        let checksum = sha256(message);
        let signature = sign(&[b"sigsum.org/v1/tree-leaf\0".as_slice(), &checksum].concat());
        let key_hash = sha256(&public);
        self.leaves.push([checksum.as_slice(), &signature, &key_hash].concat());
        Leaf { index: self.leaves.len() - 1, checksum, key_hash, signature }
    }

    /// Proof of version 2 that a leaf is among the first `size` ones, with cosignatures of these
    /// witnesses at these times.
    #[must_use]
    pub fn prove(&self, leaf: &Leaf, size: usize, witnesses: &[(&Party, u64)]) -> ProofParts {
        let hashes: Vec<_> = self.leaves.iter().take(size).map(|it| tree::leaf_hash(it)).collect();
        let root = tree::root(&hashes);
        let mut proof = ProofParts {
            version: 2,
            log: self.party.key_hash(),
            short_checksum: [leaf.checksum[0], leaf.checksum[1]],
            leaf_key_hash: leaf.key_hash,
            leaf_signature: leaf.signature,
            size: size as u64,
            root,
            log_signature: [0; 64],
            cosignatures: Vec::new(),
            leaf_index: leaf.index as u64,
            path: tree::path(leaf.index, &hashes),
        };
        proof.sign_head(&self.party);
        for (witness, time) in witnesses {
            proof.cosign(witness, *time);
        }
        proof
    }
}

/// What a log signs, and witnesses with it.
#[must_use]
pub fn tree_head(log: &[u8; 32], size: u64, root: &[u8; 32]) -> String {
    format!("sigsum.org/v1/tree/{}\n{size}\n{}\n", hex(log), BASE64_STANDARD.encode(root))
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// In lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
