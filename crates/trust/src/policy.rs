//! The trust policy as the boot image embeds it: `trust_policy.json` and the roots beside it.

use agefile::Identities;
use agefile::IdentityError;
use report::Code;
use report::Coded;
use report::PolicyReport;
use report::strict_json::StrictJsonError;

use crate::Certificate;
use crate::CertificateError;
use crate::PemError;
use crate::PolicyDocument;
use crate::Sha256Digest;
use crate::SigsumPolicy;
use crate::SigsumPolicyError;
use crate::chain;
use crate::document::MAX_COSIGNATURE_AGE;
use crate::document::MAX_POLICY_LEN;
use crate::pem;

/// Most certificates that `ospkg_signing_root.pem` may hold.
pub const MAX_SIGNING_ROOTS: usize = 64;

/// Most certificates that `tls_roots.pem` may hold: more than any public collection of roots.
pub const MAX_TLS_ROOTS: usize = 1024;

const SIGNING_ROOTS: &str = "ospkg_signing_root.pem";
const TLS_ROOTS: &str = "tls_roots.pem";

const SIGSUM_POLICY: &str = "ospkg_trust_policy";
const DECRYPTION_IDENTITIES: &str = "decryption_identities";

/// The files of a trust policy directory. Files by other names mean nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicyFiles<'a> {
    /// `trust_policy.json`.
    pub trust_policy_json: &'a [u8],
    /// `ospkg_signing_root.pem`, if there is one.
    pub signing_root_pem: Option<&'a [u8]>,
    /// `tls_roots.pem`, if there is one.
    pub tls_roots_pem: Option<&'a [u8]>,
    /// `ospkg_trust_policy`, the Sigsum policy, if there is one.
    pub sigsum_policy: Option<&'a [u8]>,
    /// `decryption_identities`, the age identities, if there are any.
    pub decryption_identities: Option<&'a [u8]>,
}

/// Why a trust policy cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// `trust_policy.json` is longer than [`MAX_POLICY_LEN`].
    #[error("trust_policy.json is longer than {MAX_POLICY_LEN} bytes")]
    TooLong,
    /// `trust_policy.json` is not one unambiguous JSON object.
    #[error("trust_policy.json: {0}")]
    Json(StrictJsonError),
    /// A key of `trust_policy.json` is missing or has a value that cannot be.
    #[error("trust_policy.json: {key} {problem}")]
    Field {
        /// Name of the key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no `ospkg_signing_root.pem`.
    #[error("{SIGNING_ROOTS} is missing")]
    NoSigningRoots,
    /// `ospkg_signing_root.pem` is not usable PEM.
    #[error("{SIGNING_ROOTS}: {0}")]
    SigningRootsPem(PemError),
    /// `ospkg_signing_root.pem` holds more than [`MAX_SIGNING_ROOTS`] certificates.
    #[error("{SIGNING_ROOTS}: more than {MAX_SIGNING_ROOTS} certificates")]
    TooManySigningRoots,
    /// A certificate of `ospkg_signing_root.pem` cannot be read, or cannot be a root.
    #[error("{SIGNING_ROOTS}: certificate {number}: {problem}")]
    SigningRoot {
        /// Position in the file, from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// `ospkg_trust_policy` cannot be used.
    #[error("{SIGSUM_POLICY}: {0}")]
    Sigsum(SigsumPolicyError),
    /// `tls_roots.pem` is not usable PEM.
    #[error("{TLS_ROOTS}: {0}")]
    TlsRootsPem(PemError),
    /// `tls_roots.pem` holds more than [`MAX_TLS_ROOTS`] certificates.
    #[error("{TLS_ROOTS}: more than {MAX_TLS_ROOTS} certificates")]
    TooManyTlsRoots,
    /// A certificate of `tls_roots.pem` cannot be read.
    #[error("{TLS_ROOTS}: certificate {number}: {problem}")]
    TlsRoot {
        /// Position in the file, from 1.
        number: usize,
        /// What is wrong with it.
        problem: CertificateError,
    },
    /// `decryption_identities` cannot be used. Repeats nothing of it.
    #[error("{DECRYPTION_IDENTITIES}: {0}")]
    DecryptionIdentities(IdentityError),
}

impl PolicyError {
    pub(crate) fn field(key: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { key, problem: problem.into() }
    }
}

impl From<StrictJsonError> for PolicyError {
    fn from(error: StrictJsonError) -> Self {
        Self::Json(error)
    }
}

impl Coded for PolicyError {
    fn code(&self) -> Code {
        match self {
            Self::TooLong | Self::Json(_) => Code::TrustPolicyMalformed,
            Self::Field { .. } => Code::TrustPolicyInvalid,
            Self::NoSigningRoots
            | Self::SigningRootsPem(_)
            | Self::TooManySigningRoots
            | Self::SigningRoot { .. } => Code::SigningRootInvalid,
            Self::Sigsum(_) => Code::SigsumPolicyInvalid,
            Self::TlsRootsPem(_) | Self::TooManyTlsRoots | Self::TlsRoot { .. } => {
                Code::TlsRootsInvalid
            }
            Self::DecryptionIdentities(_) => Code::IdentitiesInvalid,
        }
    }
}

/// Everything that decides what may boot. Made from the boot image's own files and from nothing else.
#[derive(Clone, Debug)]
pub struct TrustPolicy {
    document: PolicyDocument,
    digest: Sha256Digest,
    signing_roots: Vec<Certificate>,
    tls_roots: Vec<Vec<u8>>,
    sigsum: Option<SigsumPolicy>,
    decryption_identities: Option<Identities>,
}

impl TrustPolicy {
    /// Reads a policy. Certificates that have expired are loaded all the same: dates are judged when
    /// a package is verified.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] for anything in these files that cannot be used; never a part of a policy.
    pub fn load(files: &PolicyFiles<'_>) -> Result<Self, PolicyError> {
        let document = PolicyDocument::parse(files.trust_policy_json)?;
        let sigsum = files.sigsum_policy.map(SigsumPolicy::parse).transpose();
        let sigsum = sigsum.map_err(PolicyError::Sigsum)?;
        // Without witnesses nothing proves a time: every age would be within the limit.
        if document.max_cosignature_age().is_some()
            && !sigsum.as_ref().is_some_and(SigsumPolicy::needs_witnesses)
        {
            let problem = format!("needs the file {SIGSUM_POLICY} with a quorum of witnesses");
            return Err(PolicyError::field(MAX_COSIGNATURE_AGE, problem));
        }
        Ok(Self {
            document,
            digest: Sha256Digest::of(files.trust_policy_json),
            signing_roots: signing_roots(
                files.signing_root_pem.ok_or(PolicyError::NoSigningRoots)?,
            )?,
            tls_roots: files.tls_roots_pem.map_or(Ok(Vec::new()), tls_roots)?,
            sigsum,
            decryption_identities: files
                .decryption_identities
                .map(Identities::parse)
                .transpose()
                .map_err(PolicyError::DecryptionIdentities)?,
        })
    }

    /// A policy made on the command line: these signing roots, this threshold, fetched over the
    /// network, no TLS roots, plain signatures. Its digest is that of the `trust_policy.json` that says the same.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] for roots that cannot be used and for a threshold of 0.
    pub fn for_roots(signing_root_pem: &[u8], threshold: u64) -> Result<Self, PolicyError> {
        let document = PolicyDocument::with_threshold(threshold)?;
        // Our own type always serialises.
        let json = serde_json::to_vec(&document).unwrap_or_default();
        Ok(Self {
            document,
            digest: Sha256Digest::of(&json),
            signing_roots: signing_roots(signing_root_pem)?,
            tls_roots: Vec::new(),
            sigsum: None,
            decryption_identities: None,
        })
    }

    /// The contents of `trust_policy.json`.
    #[must_use]
    pub const fn document(&self) -> &PolicyDocument {
        &self.document
    }

    /// SHA-256 of the bytes of `trust_policy.json`.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The signing roots, in the order of the file; at least one.
    #[must_use]
    pub fn signing_roots(&self) -> &[Certificate] {
        &self.signing_roots
    }

    /// The TLS roots in DER, in the order of the file; none if there is no file.
    #[must_use]
    pub fn tls_roots(&self) -> &[Vec<u8>] {
        &self.tls_roots
    }

    /// The Sigsum policy. Where there is one, only Sigsum proofs count as signatures.
    #[must_use]
    pub const fn sigsum(&self) -> Option<&SigsumPolicy> {
        self.sigsum.as_ref()
    }

    /// What an operator should look at, though it does not make the policy invalid.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let sigsum = self.sigsum.as_ref().map(SigsumPolicy::warnings).unwrap_or_default();
        let sigsum = sigsum.into_iter().map(|warning| format!("{SIGSUM_POLICY}: {warning}"));
        self.document.warnings().iter().cloned().chain(sigsum).collect()
    }

    /// What descriptors and archives that come over the network are decrypted with. Where there are
    /// any, one that is not encrypted is refused; those in the boot image never are encrypted.
    ///
    /// They keep others on the way from reading a package, and say nothing about who made it.
    #[must_use]
    pub const fn decryption_identities(&self) -> Option<&Identities> {
        self.decryption_identities.as_ref()
    }

    /// The policy as the boot report shows it.
    #[must_use]
    pub fn report(&self) -> PolicyReport {
        let digest = |root: &Certificate| Sha256Digest::of(root.der()).to_string();
        PolicyReport {
            sha256: self.digest.to_string(),
            threshold: self.document.threshold(),
            signing_roots: self.signing_roots.iter().map(digest).collect(),
            sigsum_sha256: self.sigsum.as_ref().map(|sigsum| sigsum.digest().to_string()),
        }
    }
}

fn signing_roots(file: &[u8]) -> Result<Vec<Certificate>, PolicyError> {
    let bundle = pem::decode_bundle(file).map_err(PolicyError::SigningRootsPem)?;
    if bundle.len() > MAX_SIGNING_ROOTS {
        return Err(PolicyError::TooManySigningRoots);
    }
    (1..)
        .zip(&bundle)
        .map(|(number, der)| {
            let refuse = |problem| PolicyError::SigningRoot { number, problem };
            let root = Certificate::parse(der).map_err(|error| refuse(error.to_string()))?;
            match chain::check_root(&root) {
                Ok(()) => Ok(root),
                Err(error) => Err(refuse(format!("{}: {error}", root.label()))),
            }
        })
        .collect()
}

fn tls_roots(file: &[u8]) -> Result<Vec<Vec<u8>>, PolicyError> {
    let bundle = pem::decode_bundle(file).map_err(PolicyError::TlsRootsPem)?;
    if bundle.len() > MAX_TLS_ROOTS {
        return Err(PolicyError::TooManyTlsRoots);
    }
    for (number, der) in (1..).zip(&bundle) {
        Certificate::parse_leniently(der)
            .map_err(|problem| PolicyError::TlsRoot { number, problem })?;
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests;
