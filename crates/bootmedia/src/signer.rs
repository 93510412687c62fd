//! An RSA key with its certificate: what Secure Boot signatures are made with.

use core::fmt;

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use ring::signature::RSA_PKCS1_SHA256;
use ring::signature::UnparsedPublicKey;
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::Encode;
use x509_cert::der::ErrorKind;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::pem;

use crate::pe::PeError;

/// `rsaEncryption`, the algorithm of RSA keys.
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `sha256WithRSAEncryption`.
pub(crate) const SHA256_WITH_RSA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// Why nothing could be signed, or a signature could not be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SignError {
    /// The file holds something else.
    #[error("the key cannot be used: {0}")]
    NotKey(String),
    /// A password is in the way.
    #[error("the key is protected by a password")]
    Encrypted,
    /// Secure Boot knows RSA only.
    #[error("the key is not RSA, and firmware verifies nothing else")]
    NotRsa,
    /// Ring's reason for refusing it.
    #[error("the RSA key cannot be used ({0}): it must have 2048 to 4096 bits")]
    BadRsa(String),
    /// The file holds something else.
    #[error("the certificate cannot be used: {0}")]
    NotCertificate(String),
    /// Two files that do not belong together.
    #[error("the key does not match its certificate, which is for another key: {0}")]
    Mismatch(String),
    /// The image is none.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// A signature that does not parse.
    #[error("signature {index} of the image is damaged: {reason}")]
    Malformed {
        /// Which one, from 1 on.
        index: usize,
        /// What does not parse.
        reason: String,
    },
    /// Encoding failed, which is a bug, or the system has no random numbers.
    #[error("the signature could not be made: {0}")]
    Failed(String),
}

/// An RSA key and the certificate for it.
pub struct Signer {
    key: KeyPair,
    certificate: Certificate,
}

impl Signer {
    /// Takes a private key in PEM (PKCS#8 or PKCS#1, 2048 to 4096 bits, not encrypted) and its
    /// certificate in PEM or DER.
    ///
    /// # Errors
    /// [`SignError`], if one of the two is something else, or the certificate is for another key.
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Self, SignError> {
        let key = read_key(key)?;
        let certificate = read_certificate(certificate)?;
        if public_key(&certificate).is_none_or(|public| public != key.public().as_ref()) {
            return Err(SignError::Mismatch(certificate.tbs_certificate().subject().to_string()));
        }
        Ok(Self { key, certificate })
    }

    /// The certificate, as DER.
    ///
    /// # Errors
    /// Only if encoding fails, which is a bug.
    pub fn certificate_der(&self) -> Result<Vec<u8>, SignError> {
        self.certificate.to_der().map_err(failed)
    }

    /// Subject of the certificate, as RFC 4514 text.
    #[must_use]
    pub fn subject(&self) -> String {
        self.certificate.tbs_certificate().subject().to_string()
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs a message: PKCS#1 v1.5 with SHA-256, which gives the same bytes every time.
    pub(crate) fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SignError::Failed("the RSA operation failed".to_owned()))?;
        Ok(signature)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("subject", &self.subject()).finish_non_exhaustive()
    }
}

/// Reads one certificate, in PEM or DER.
///
/// # Errors
/// If it is something else, or more than one.
pub fn read_certificate(bytes: &[u8]) -> Result<Certificate, SignError> {
    let bad = |reason: String| SignError::NotCertificate(reason);
    let no_x509 = |error: &dyn fmt::Display| bad(format!("what it holds is no X.509: {error}"));
    if bytes.starts_with(&[0x30]) {
        return Certificate::from_der(bytes).map_err(|error| no_x509(&error));
    }
    if let Some(reason) = no_pem(bytes) {
        return Err(bad(reason));
    }
    let mut chain = Certificate::load_pem_chain(bytes).map_err(|error| match error.kind() {
        ErrorKind::Pem(error) => bad(format!("its CERTIFICATE block is damaged ({error})")),
        _ => no_x509(&error),
    })?;
    match (chain.pop(), chain.is_empty()) {
        (Some(certificate), true) => Ok(certificate),
        (None, _) => Err(bad("it holds no CERTIFICATE block".to_owned())),
        (Some(_), false) => Err(bad("it holds more than one certificate".to_owned())),
    }
}

/// Why this cannot be a certificate in PEM, as far as the lines around it show.
fn no_pem(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let marks = |which: &str| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(which));
        lines.filter_map(|rest| rest.strip_suffix("-----")).map(str::to_owned).next()
    };
    match (marks("-----BEGIN "), marks("-----END ")) {
        (None, _) => Some(
            "it is neither PEM, for no line is -----BEGIN CERTIFICATE-----, nor DER".to_owned(),
        ),
        (Some(label), _) if label != "CERTIFICATE" => {
            Some(format!("it holds a {label} in place of a certificate"))
        }
        (Some(_), None) => {
            Some("it is cut short: there is no line -----END CERTIFICATE-----".to_owned())
        }
        (Some(_), Some(_)) => None,
    }
}

/// Whether the key of this certificate made that signature (RSA, PKCS#1 v1.5, SHA-256).
pub(crate) fn verify(certificate: &Certificate, message: &[u8], signature: &[u8]) -> bool {
    public_key(certificate).is_some_and(|key| {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        key.verify(message, signature).is_ok()
    })
}

pub(crate) fn failed(error: impl fmt::Display) -> SignError {
    SignError::Failed(error.to_string())
}

/// The RSA key of a certificate, as PKCS#1 has it.
fn public_key(certificate: &Certificate) -> Option<&[u8]> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    (info.algorithm.oid == RSA).then(|| info.subject_public_key.as_bytes()).flatten()
}

fn read_key(bytes: &[u8]) -> Result<KeyPair, SignError> {
    let text = core::str::from_utf8(bytes)
        .map_err(|_| SignError::NotKey("it is no text; keys are read as PEM".to_owned()))?;
    // Of PKCS#8 and of the older form, which says it in a header.
    if text.contains("ENCRYPTED") {
        return Err(SignError::Encrypted);
    }
    let (label, der) = pem::decode_vec(text.trim().as_bytes())
        .map_err(|error| SignError::NotKey(format!("it is no key in PEM ({error})")))?;
    let refused = |error: ring::error::KeyRejected| match error.to_string().as_str() {
        "WrongAlgorithm" => SignError::NotRsa,
        reason => SignError::BadRsa(reason.to_owned()),
    };
    match label {
        "PRIVATE KEY" => KeyPair::from_pkcs8(&der).map_err(refused),
        "RSA PRIVATE KEY" => KeyPair::from_der(&der).map_err(refused),
        "EC PRIVATE KEY" | "DSA PRIVATE KEY" | "OPENSSH PRIVATE KEY" => Err(SignError::NotRsa),
        other => Err(SignError::NotKey(format!("it holds a {other}, not a private key"))),
    }
}
