//! Proofs in parts, each of which can be made wrong.

use core::fmt::Write;

use crate::Party;
use crate::hex;
use crate::tree_head;

/// A line of a witness.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cosignature {
    /// SHA-256 of the witness's key.
    pub key_hash: [u8; 32],
    /// Seconds since 1970.
    pub time: u64,
    /// The cosignature.
    pub signature: [u8; 64],
}

/// A proof as its lines say it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "named as the lines are")]
pub struct ProofParts {
    pub version: u64,
    pub log: [u8; 32],
    /// Only written in version 1.
    pub short_checksum: [u8; 2],
    pub leaf_key_hash: [u8; 32],
    pub leaf_signature: [u8; 64],
    pub size: u64,
    pub root: [u8; 32],
    pub log_signature: [u8; 64],
    pub cosignatures: Vec<Cosignature>,
    pub leaf_index: u64,
    pub path: Vec<[u8; 32]>,
}

impl ProofParts {
    /// The same proof in another version of the text.
    #[must_use]
    pub fn version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Has a log sign the tree head as it stands.
    pub fn sign_head(&mut self, log: &Party) {
        self.log_signature = log.sign(self.head().as_bytes());
    }

    /// Adds a cosignature under the tree head as it stands.
    pub fn cosign(&mut self, witness: &Party, time: u64) {
        let signature =
            witness.sign(format!("cosignature/v1\ntime {time}\n{}", self.head()).as_bytes());
        self.cosignatures.push(Cosignature { key_hash: witness.key_hash(), time, signature });
    }

    fn head(&self) -> String {
        tree_head(&self.log, self.size, &self.root)
    }

    /// The text that `sigsum-submit` would write.
    #[must_use]
    pub fn text(&self) -> String {
        let checksum = match self.version {
            1 => hex(&self.short_checksum) + " ",
            _ => String::new(),
        };
        let mut text = format!(
            "version={}\nlog={}\nleaf={checksum}{} {}\n\nsize={}\nroot_hash={}\nsignature={}\n",
            self.version,
            hex(&self.log),
            hex(&self.leaf_key_hash),
            hex(&self.leaf_signature),
            self.size,
            hex(&self.root),
            hex(&self.log_signature),
        );
        // Writing to a string does not fail.
        for it in &self.cosignatures {
            let (key_hash, signature) = (hex(&it.key_hash), hex(&it.signature));
            let _ = writeln!(text, "cosignature={key_hash} {} {signature}", it.time);
        }
        if self.size > 1 {
            let _ = write!(text, "\nleaf_index={}\n", self.leaf_index);
            for hash in &self.path {
                let _ = writeln!(text, "node_hash={}", hex(hash));
            }
        }
        text
    }
}
