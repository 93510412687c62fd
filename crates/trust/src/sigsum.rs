//! Sigsum: proofs that a signature was published in a transparency log before it counts.
//!
//! A trust policy that has the file `ospkg_trust_policy` takes no plain signatures. In their place it
//! wants *proofs*, each of which holds the signer's signature over the archive's digest (the *leaf*),
//! the head of a log's tree, countersigned (*cosigned*) by witnesses, and the path of hashes by which
//! the leaf is in that tree. What boots has therefore been put where everybody can see it: a package
//! that was made for one machine only, or kept from its owners, cannot stay hidden, because witnesses
//! never cosign two trees that contradict each other.
//!
//! [`SigsumPolicy`] says which logs and witnesses count, [`Proof`] is what was read and not judged,
//! and [`SigsumPolicy::verify`] makes a [`Logged`] of the two, which nothing else can make.
//!
//! The formats are those of Sigsum's own tools: proofs of version 1 and 2, policy files as
//! `sigsum-submit` and `sigsum-verify` read them. Hashing of trees is that of RFC 6962, section 2.1.
//!
//! # Why this is not the crate `sigsum`
//!
//! Version 0.3.0 of that crate was read and measured; tests compare its verdicts with ours. It is not
//! used to decide, because it
//!
//! * verifies Ed25519 signatures leniently, so that signatures under weak keys count;
//! * takes `group G 0 …` as a quorum that needs nobody, and `group G 2 A A` as met by A alone;
//! * walks groups of groups without a bound on the time that takes;
//! * reads no proofs of version 1 and none from a tree of size 1, but takes `+1`, leading zeros,
//!   carriage returns and repeated cosignatures;
//! * refuses a proof for one wrong cosignature that the quorum does not need;
//! * answers yes or no: neither which witnesses counted, nor when;
//! * would bring second copies of the curve and of SHA-256 into the bootloader.

mod merkle;
mod policy;
mod proof;
mod quorum;
mod verify;

pub use policy::MAX_SIGSUM_POLICY_LEN;
pub use policy::SigsumPolicy;
pub use policy::SigsumPolicyError;
pub use proof::MAX_PROOF_LEN;
pub use proof::Proof;
pub use proof::ProofError;
pub use verify::Logged;
pub use verify::Standing;
pub use verify::Unlogged;
pub use verify::Witnessed;

/// Whether bytes in the place of a signature are meant to be a proof, well formed or not.
#[must_use]
pub fn is_proof(signature: &[u8]) -> bool {
    signature.len() != ed25519_dalek::SIGNATURE_LENGTH && signature.starts_with(b"version=")
}

#[cfg(test)]
mod tests;
