//! Making signatures.

use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use ed25519_dalek::VerifyingKey;
use report::Code;
use report::Coded;
use trust::Certificate;
use trust::Sha256Digest;

/// Why a key cannot sign with a certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The certificate does not decode.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The certificate is not for an Ed25519 key.
    #[error("certificate: its key is not Ed25519")]
    Algorithm,
    /// The certificate is for another key.
    #[error("the key is not the one that the certificate is for")]
    OtherKey,
}

impl Coded for SignerError {
    fn code(&self) -> Code {
        match self {
            Self::Certificate(_) => Code::DescriptorEntryInvalid,
            Self::Algorithm => Code::SignerAlgorithm,
            Self::OtherKey => Code::SignatureWrong,
        }
    }
}

/// The signature over an archive: Ed25519 over the 32 bytes of its SHA-256 digest.
#[must_use]
pub fn sign(key: &SigningKey, archive: Sha256Digest) -> [u8; 64] {
    key.sign(archive.as_bytes()).to_bytes()
}

/// Whether a certificate is for this key. To be asked before [`crate::Descriptor::push`]: a
/// signature with another key's certificate never counts.
///
/// # Errors
///
/// [`SignerError`].
pub fn check_signer(certificate_pem: &str, key: &VerifyingKey) -> Result<(), SignerError> {
    let der = trust::decode_certificate_pem(certificate_pem.as_bytes())
        .map_err(|error| SignerError::Certificate(error.to_string()))?;
    let certificate =
        Certificate::parse(&der).map_err(|error| SignerError::Certificate(error.to_string()))?;
    match certificate.ed25519_public_key() {
        None => Err(SignerError::Algorithm),
        Some(public) if public == key.to_bytes() => Ok(()),
        Some(_) => Err(SignerError::OtherKey),
    }
}
