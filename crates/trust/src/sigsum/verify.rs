//! Whether a proof is true under a policy.

use core::fmt::Write;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use report::Code;
use report::Coded;
use report::SigsumReport;

use super::merkle;
use super::policy::SigsumPolicy;
use super::proof::Proof;
use super::quorum::key_hash;
use crate::Certificate;
use crate::Sha256Digest;
use crate::Timestamp;
use crate::key::PublicKey;

/// Why a proof does not count.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unlogged {
    /// The certificate's key cannot sign leaves.
    #[error("{0}")]
    Key(String),
    /// The leaf is by another key than the certificate's.
    #[error("the Sigsum proof is for a signature by another key (key hash {0})")]
    OtherKey(Sha256Digest),
    /// The leaf's signature is not over this archive.
    #[error("the signature in the Sigsum proof is not over this archive (SHA-256 {0})")]
    LeafSignature(Sha256Digest),
    /// The log is not in the policy.
    #[error("the Sigsum proof is from a log that the policy does not list (key hash {0})")]
    UnknownLog(Sha256Digest),
    /// The log did not sign this tree head.
    #[error("the tree head in the Sigsum proof is not signed by its log")]
    TreeHead,
    /// The leaf is not in the tree.
    #[error("the Sigsum proof's path does not lead from the signature to the log's tree head")]
    Inclusion,
    /// Too few witnesses have cosigned.
    #[error("the quorum of Sigsum witnesses is not reached: {0}")]
    Quorum(String),
}

impl Coded for Unlogged {
    fn code(&self) -> Code {
        match self {
            Self::Key(_) => Code::SignerAlgorithm,
            Self::OtherKey(_) | Self::LeafSignature(_) => Code::SignatureWrong,
            Self::UnknownLog(_) | Self::TreeHead | Self::Inclusion => Code::SigsumLogWrong,
            Self::Quorum(_) => Code::SigsumQuorum,
        }
    }
}

/// A witness that has cosigned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Witnessed {
    /// Its name in the policy, fit for a console.
    pub name: String,
    /// When it cosigned, by its own clock.
    pub time: Timestamp,
}

/// What a witness of the policy contributes to a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It has cosigned at this time.
    Cosigned(Timestamp),
    /// A cosignature in its name is not by its key over this tree head.
    Wrong,
    /// It has not cosigned.
    Missing,
}

/// Proof that a signature is in a log of the policy, under a tree head that the policy's quorum of
/// witnesses has cosigned. Only [`SigsumPolicy::verify`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Logged {
    log: Sha256Digest,
    size: u64,
    leaf_index: u64,
    witnesses: Vec<Witnessed>,
    time: Option<Timestamp>,
}

impl Logged {
    /// Hash of the log's key.
    #[must_use]
    pub const fn log(&self) -> Sha256Digest {
        self.log
    }

    /// Leaves in the log's tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Place of the signature in the log, from 0.
    #[must_use]
    pub const fn leaf_index(&self) -> u64 {
        self.leaf_index
    }

    /// The witnesses whose cosignatures count: those that the quorum asks, in the policy's order.
    #[must_use]
    pub fn witnesses(&self) -> &[Witnessed] {
        &self.witnesses
    }

    /// The latest time of which it is true that the witnesses which cosigned then or later meet the
    /// quorum: the log had the signature by then, and the present is not before it. `None` if the
    /// policy needs no witness.
    #[must_use]
    pub const fn time(&self) -> Option<Timestamp> {
        self.time
    }
}

impl From<&Logged> for SigsumReport {
    fn from(logged: &Logged) -> Self {
        Self {
            log: logged.log.to_string(),
            size: logged.size,
            witnesses: logged.witnesses.iter().map(|it| it.name.clone()).collect(),
            time: logged.time.map(|time| time.to_string()),
        }
    }
}

impl Proof {
    /// Whether the leaf is a signature by this certificate's key over the archive with this digest.
    /// Log and witnesses are not looked at: that takes a policy, and [`SigsumPolicy::verify`].
    ///
    /// # Errors
    ///
    /// [`Unlogged::Key`], [`Unlogged::OtherKey`] and [`Unlogged::LeafSignature`].
    pub fn check_leaf(
        &self,
        certificate: &Certificate,
        archive: Sha256Digest,
    ) -> Result<(), Unlogged> {
        let key = certificate
            .key()
            .and_then(PublicKey::as_ed25519)
            .map_err(|error| Unlogged::Key(error.to_string()))?;
        self.leaf_hash(key, archive).map(|_| ())
    }

    /// Hash of the leaf in the log's tree, once its signature is found good.
    fn leaf_hash(
        &self,
        key: &VerifyingKey,
        archive: Sha256Digest,
    ) -> Result<Sha256Digest, Unlogged> {
        let wrong = Unlogged::LeafSignature(archive);
        if self.leaf_key_hash != key_hash(key.as_bytes()) {
            return Err(Unlogged::OtherKey(self.leaf_key_hash));
        }
        // The log never sees what was signed, only its hash; here, that is the hash of a digest.
        let checksum = Sha256Digest::of(archive.as_bytes());
        if self.short_checksum.is_some_and(|short| !checksum.as_bytes().starts_with(&short)) {
            return Err(wrong);
        }
        let message = [b"sigsum.org/v1/tree-leaf\0".as_slice(), checksum.as_bytes()].concat();
        if !is_by(key, &message, &self.leaf_signature) {
            return Err(wrong);
        }
        let leaf =
            [checksum.as_bytes().as_slice(), &self.leaf_signature, self.leaf_key_hash.as_bytes()];
        Ok(merkle::leaf_hash(&leaf.concat()))
    }

    /// What log and witnesses sign: a checkpoint.
    fn tree_head(&self) -> String {
        let root = BASE64_STANDARD.encode(self.root_hash.as_bytes());
        format!("sigsum.org/v1/tree/{}\n{}\n{root}\n", self.log, self.size)
    }
}

impl SigsumPolicy {
    /// Whether the proof shows that this certificate's key has signed the archive with this digest,
    /// and that the signature is in a log of this policy, under a tree head that enough witnesses
    /// have cosigned.
    ///
    /// Cosignatures that are wrong, or by witnesses that the policy does not know, do not count and
    /// do no harm. Times are not judged here.
    ///
    /// # Errors
    ///
    /// [`Unlogged`]. Of several reasons, the first in the order of the proof's lines, except that
    /// the place in the tree is judged before the witnesses.
    pub fn verify(
        &self,
        proof: &Proof,
        certificate: &Certificate,
        archive: Sha256Digest,
    ) -> Result<Logged, Unlogged> {
        let key = certificate
            .key()
            .and_then(PublicKey::as_ed25519)
            .map_err(|error| Unlogged::Key(error.to_string()))?;
        let leaf = proof.leaf_hash(key, archive)?;
        let log = self.logs.get(&proof.log).ok_or(Unlogged::UnknownLog(proof.log))?;
        if !is_by(log, proof.tree_head().as_bytes(), &proof.log_signature) {
            return Err(Unlogged::TreeHead);
        }
        if merkle::root(leaf, proof.leaf_index, proof.size, &proof.path) != Some(proof.root_hash) {
            return Err(Unlogged::Inclusion);
        }

        let standings = self.standings(proof);
        let asked = self.quorum.witnesses();
        let cosigned: BTreeMap<usize, i64> = standings
            .iter()
            .enumerate()
            .filter(|(index, _)| asked.contains(index))
            .filter_map(|(index, standing)| match standing {
                Standing::Cosigned(time) => Some((index, time.unix())),
                Standing::Wrong | Standing::Missing => None,
            })
            .collect();
        if !self.quorum.is_met_by(&cosigned.keys().copied().collect()) {
            return Err(Unlogged::Quorum(self.shortfall(&standings, &asked)));
        }
        let witnessed = |(index, time): (&usize, &i64)| {
            let name = self.witnesses.get(*index)?.name.clone();
            Some(Witnessed { name, time: Timestamp::from_unix(*time) })
        };
        Ok(Logged {
            log: proof.log,
            size: proof.size,
            leaf_index: proof.leaf_index,
            witnesses: cosigned.iter().filter_map(witnessed).collect(),
            time: self.quorum.time(&cosigned).map(Timestamp::from_unix),
        })
    }

    /// Name and contribution of every witness that the quorum asks, in the policy's order: what an
    /// operator wants to see of a proof that does not count.
    #[must_use]
    pub fn witness_standings(&self, proof: &Proof) -> Vec<(String, Standing)> {
        let asked = self.quorum.witnesses();
        let standings = self.standings(proof);
        (0..)
            .zip(self.witnesses.iter().zip(standings))
            .filter(|(index, _)| asked.contains(index))
            .map(|(_, (witness, standing))| (witness.name.clone(), standing))
            .collect()
    }

    /// What every witness of the policy contributes, in the policy's order.
    fn standings(&self, proof: &Proof) -> Vec<Standing> {
        let tree_head = proof.tree_head();
        self.witnesses
            .iter()
            .map(|witness| {
                let mut cosignatures = proof.cosignatures.iter();
                let Some(found) = cosignatures.find(|it| it.key_hash == witness.key_hash) else {
                    return Standing::Missing;
                };
                let message = format!("cosignature/v1\ntime {}\n{tree_head}", found.time);
                if is_by(&witness.key, message.as_bytes(), &found.signature) {
                    Standing::Cosigned(Timestamp::from_unix(found.time))
                } else {
                    Standing::Wrong
                }
            })
            .collect()
    }

    /// Who has cosigned and who has not, on one line.
    fn shortfall(&self, standings: &[Standing], asked: &BTreeSet<usize>) -> String {
        let names = |wanted: fn(&Standing) -> bool| -> String {
            let mut names = String::new();
            for (index, (witness, standing)) in self.witnesses.iter().zip(standings).enumerate() {
                if asked.contains(&index) && wanted(standing) {
                    let separator = if names.is_empty() { "" } else { ", " };
                    // Writing to a string does not fail.
                    let _ = write!(names, "{separator}{}", witness.name);
                }
            }
            if names.is_empty() { "nobody".to_owned() } else { names }
        };
        let cosigned = names(|it| matches!(it, Standing::Cosigned(_)));
        let missing = names(|it| matches!(it, Standing::Missing));
        let wrong = names(|it| matches!(it, Standing::Wrong));
        let wrong = if wrong == "nobody" { String::new() } else { format!("; wrong: {wrong}") };
        format!("cosigned by {cosigned}; missing: {missing}{wrong}")
    }
}

/// The only place here where signatures are verified: strictly, so that there is one verdict on each
/// of them, whatever library gives it.
fn is_by(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
}
