//! The decision: have enough distinct keys signed this archive?

use std::collections::BTreeSet;

use ed25519_dalek::Signature;
use report::Code;
use report::Coded;
use report::SignerReport;
use report::SigsumReport;
use report::SkippedReport;

use crate::Certificate;
use crate::Channel;
use crate::Clock;
use crate::Refusal;
use crate::Sha256Digest;
use crate::Skipped;
use crate::TimeError;
use crate::Timestamp;
use crate::TrustPolicy;
use crate::chain;
use crate::key::PublicKey;
use crate::sigsum::Logged;
use crate::sigsum::Proof;
use crate::sigsum::is_proof;

/// Most signatures that a package may have. A descriptor with more is refused unread.
pub const MAX_ENDORSEMENTS: usize = 256;

/// One signature of a descriptor with its certificate, decoded but not judged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endorsement {
    /// The signer's certificate in DER.
    pub certificate_der: Vec<u8>,
    /// The signature over the 32 bytes of the archive's SHA-256 digest, or the text of a Sigsum
    /// proof, byte for byte.
    pub signature: Vec<u8>,
}

/// A signer whose signature counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signer {
    entry: usize,
    key: Sha256Digest,
    subject: String,
    not_after: Timestamp,
    sigsum: Option<Logged>,
}

impl Signer {
    /// Position of the signature in the descriptor, from 1.
    #[must_use]
    pub const fn entry(&self) -> usize {
        self.entry
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo.
    #[must_use]
    pub const fn key(&self) -> Sha256Digest {
        self.key
    }

    /// Subject of the certificate, fit for a console.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// End of the certificate's validity.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Where the signature was published, if the policy wants that.
    #[must_use]
    pub const fn sigsum(&self) -> Option<&Logged> {
        self.sigsum.as_ref()
    }
}

impl From<&Signer> for SignerReport {
    fn from(signer: &Signer) -> Self {
        Self {
            key: signer.key.to_string(),
            subject: signer.subject.clone(),
            not_after: signer.not_after.to_string(),
            sigsum: signer.sigsum.as_ref().map(SigsumReport::from),
        }
    }
}

/// Proof that enough distinct keys have signed the archive with this digest. Only [`authorize`]
/// makes one, and it cannot be copied: whoever holds it has had one archive authorised, once.
///
/// ```compile_fail
/// fn twice(authorized: trust::Authorized) -> (trust::Authorized, trust::Authorized) {
///     (authorized.clone(), authorized)
/// }
/// ```
///
/// Nor can it be taken from thin air:
///
/// ```compile_fail
/// fn nothing() -> trust::Authorized {
///     Default::default()
/// }
/// ```
///
/// ```compile_fail
/// fn forged(authorized: trust::Authorized, archive: trust::Sha256Digest) -> trust::Authorized {
///     trust::Authorized { archive, ..authorized }
/// }
/// ```
#[derive(Debug)]
pub struct Authorized {
    archive: Sha256Digest,
    threshold: u64,
    min_release: Option<u64>,
    channel: Option<Channel>,
    clock: Clock,
    signers: Vec<Signer>,
    skipped: Vec<Skipped>,
}

impl Authorized {
    /// SHA-256 of the archive that may be opened.
    #[must_use]
    pub const fn archive_digest(&self) -> Sha256Digest {
        self.archive
    }

    /// How many distinct keys had to sign.
    #[must_use]
    pub const fn threshold(&self) -> u64 {
        self.threshold
    }

    /// The lowest release that the policy lets run, to be held against the archive's manifest once
    /// it can be read; `None` if the policy asks for none.
    #[must_use]
    pub const fn min_release(&self) -> Option<u64> {
        self.min_release
    }

    /// The channel that the policy demands, to be held against the archive's manifest like
    /// [`Authorized::min_release`]; `None` if the policy asks for none.
    #[must_use]
    pub const fn channel(&self) -> Option<&Channel> {
        self.channel.as_ref()
    }

    /// What is known about the present: the clock that [`authorize`] was given, raised by the times
    /// that Sigsum witnesses have signed under this package. The end that the archive's manifest
    /// sets is judged by it.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The signers that count, one for each key, in the descriptor's order; at least
    /// [`Authorized::threshold`].
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The signatures that do not count, in the descriptor's order.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// [`Authorized::signers`] as the boot report shows them.
    #[must_use]
    pub fn signer_reports(&self) -> Vec<SignerReport> {
        self.signers.iter().map(SignerReport::from).collect()
    }

    /// [`Authorized::skipped`] as the boot report shows them.
    #[must_use]
    pub fn skipped_reports(&self) -> Vec<SkippedReport> {
        self.skipped.iter().map(SkippedReport::from).collect()
    }
}

/// Decides whether the archive with this digest may be opened: at least the policy's threshold of
/// distinct keys must each have a valid signature over it, under a certificate that a signing root
/// issued (or is) and that is valid at this time.
///
/// Where the policy has a Sigsum policy, only Sigsum proofs count; where it has none, only plain
/// signatures do. The times that witnesses have signed raise the clock ([`Clock::raised_to`]) for all
/// signers: a certificate that had ended by then has expired, whatever the machine's clock says.
///
/// # Errors
///
/// [`Refusal`], with the reason for every signature that does not count.
pub fn authorize(
    policy: &TrustPolicy,
    endorsements: &[Endorsement],
    archive: Sha256Digest,
    clock: &Clock,
) -> Result<Authorized, Refusal> {
    let required = policy.document().threshold();
    if endorsements.len() > MAX_ENDORSEMENTS {
        return Err(Refusal::new(endorsements.len(), 0, required, Vec::new()));
    }
    let judged: Vec<_> = (1..)
        .zip(endorsements)
        .map(|(entry, endorsement)| judge(policy, entry, endorsement, archive, clock))
        .collect();
    let clock = judged
        .iter()
        .flatten()
        .filter_map(|(signer, _)| signer.sigsum.as_ref()?.time())
        .fold(*clock, Clock::raised_to);
    let settled = judged.into_iter().map(|judged| {
        judged.and_then(|(signer, certificate)| judge_times(policy, signer, &certificate, &clock))
    });
    let (signers, skipped) = count_distinct_keys(settled);
    if u64::try_from(signers.len()).is_ok_and(|valid| valid >= required) {
        let min_release = policy.document().min_release();
        let channel = policy.document().channel().cloned();
        Ok(Authorized {
            archive,
            threshold: required,
            min_release,
            channel,
            clock,
            signers,
            skipped,
        })
    } else {
        Err(Refusal::new(endorsements.len(), signers.len(), required, skipped))
    }
}

/// The only place where signatures are counted. Each key counts once, for the first of its
/// signatures that is valid, however many certificates it has.
fn count_distinct_keys(
    judged: impl Iterator<Item = Result<Signer, Skipped>>,
) -> (Vec<Signer>, Vec<Skipped>) {
    let mut keys = BTreeSet::new();
    let mut signers = Vec::new();
    let mut skipped = Vec::new();
    for result in judged {
        match result {
            Ok(signer) if keys.insert(signer.key) => signers.push(signer),
            Ok(repeated) => skipped.push(Skipped {
                entry: repeated.entry,
                code: Code::SignerRepeated,
                subject: Some(repeated.subject),
                reason: "the same key has signed before".to_owned(),
            }),
            Err(refused) => skipped.push(refused),
        }
    }
    (signers, skipped)
}

/// Whether one signature is valid, all by itself. The order of the checks decides which code a
/// signature with several faults gets; nothing of a proof is read before its signer is one that the
/// policy trusts.
fn judge(
    policy: &TrustPolicy,
    entry: usize,
    endorsement: &Endorsement,
    archive: Sha256Digest,
    clock: &Clock,
) -> Result<(Signer, Certificate), Skipped> {
    let certificate =
        Certificate::parse(&endorsement.certificate_der).map_err(|error| Skipped {
            entry,
            code: Code::DescriptorEntryInvalid,
            subject: None,
            reason: error.to_string(),
        })?;
    let subject = certificate.label();
    let skip =
        |code, reason: String| Skipped { entry, code, subject: Some(subject.clone()), reason };

    let key = certificate
        .key()
        .and_then(PublicKey::as_ed25519)
        .map_err(|error| skip(Code::SignerAlgorithm, error.to_string()))?;
    check_kind(policy, &endorsement.signature).map_err(|(code, reason)| skip(code, reason))?;
    chain::check(&certificate, policy, clock).map_err(|error| skip(error.code, error.reason))?;
    let sigsum = match policy.sigsum() {
        Some(sigsum) => {
            let proof = Proof::parse(&endorsement.signature).map_err(|error| {
                skip(Code::SigsumProofMalformed, format!("not a Sigsum proof: {error}"))
            })?;
            let logged = sigsum.verify(&proof, &certificate, archive);
            Some(logged.map_err(|error| skip(error.code(), error.to_string()))?)
        }
        None => {
            let wrong = || format!("signature is not over this archive (SHA-256 {archive})");
            Signature::from_slice(&endorsement.signature)
                .and_then(|signature| key.verify_strict(archive.as_bytes(), &signature))
                .map_err(|_| skip(Code::SignatureWrong, wrong()))?;
            None
        }
    };
    let key = certificate.spki_sha256();
    let not_after = certificate.not_after();
    Ok((Signer { entry, key, subject, not_after, sigsum }, certificate))
}

/// A policy takes plain signatures or proofs, never both: else whoever has keys, but does not want
/// to be seen, signs plainly.
fn check_kind(policy: &TrustPolicy, signature: &[u8]) -> Result<(), (Code, String)> {
    let length = signature.len();
    match policy.sigsum() {
        Some(_) if length == Signature::BYTE_SIZE => Err((
            Code::SigsumKind,
            "a plain signature, but this trust policy wants Sigsum proofs (ospkg_trust_policy)"
                .into(),
        )),
        Some(_) => Ok(()),
        None if is_proof(signature) => Err((
            Code::SigsumKind,
            "a Sigsum proof, but this trust policy has no ospkg_trust_policy".into(),
        )),
        None if length != Signature::BYTE_SIZE => {
            Err((Code::SignatureLength, format!("signature is {length} bytes long, not 64")))
        }
        None => Ok(()),
    }
}

/// Holds a signer against what the witnesses say about the time: the dates of its certificates, and
/// the age of its proof.
///
/// A proof that may be so many seconds old ends like a certificate: on a clock that is not trusted,
/// only where its end is before the floor.
fn judge_times(
    policy: &TrustPolicy,
    signer: Signer,
    certificate: &Certificate,
    clock: &Clock,
) -> Result<Signer, Skipped> {
    let Some(logged) = &signer.sigsum else { return Ok(signer) };
    let skip = |code, reason| Skipped {
        entry: signer.entry,
        code,
        subject: Some(signer.subject.clone()),
        reason,
    };
    chain::check(certificate, policy, clock).map_err(|error| skip(error.code, error.reason))?;
    if let (Some(age), Some(time)) = (policy.document().max_cosignature_age(), logged.time()) {
        let end = Timestamp::from_unix(time.unix().saturating_add_unsigned(age));
        if let Err(TimeError::Expired(_)) = clock.check(time, end) {
            let reason = format!(
                "the witnesses have cosigned on {time}, which is more than the {age} seconds ago that \
                 the policy allows"
            );
            return Err(skip(Code::SigsumTooOld, reason));
        }
    }
    Ok(signer)
}

#[cfg(test)]
mod tests;
