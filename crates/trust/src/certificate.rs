//! X.509 certificates: the facts that are judged, read strictly.

mod extensions;
mod names;

use report::Code;
use report::Coded;
use x509_cert::Version;
use x509_cert::certificate::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::der::Encode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use crate::Sha256Digest;
use crate::Timestamp;
use crate::key::KeyError;
use crate::key::PublicKey;
use crate::key::SignatureError;
use extensions::Extensions;

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Longest subject that is shown, in characters.
const MAX_SHOWN_NAME: usize = 128;

/// Why bytes are not a certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// Not the DER of an X.509 certificate, or not the only way to write it.
    #[error("not a certificate in DER: {0}")]
    Der(String),
    /// An extension whose content does not decode.
    #[error("extension {0} of the certificate does not decode")]
    Extension(&'static str),
    /// An extension that appears twice.
    #[error("extension {0} appears twice in the certificate")]
    RepeatedExtension(String),
    /// The signature algorithm that was signed is not the one that stands beside the signature.
    #[error("the certificate names two different signature algorithms")]
    Algorithms,
    /// Extensions in a certificate that is not of version 3.
    #[error("a certificate of version 1 or 2 has extensions")]
    Version,
    /// A name with a value that is no text, or not the text that its type says.
    #[error("the certificate's {0} holds a value that is not text of its type")]
    Name(&'static str),
    /// A public key that is not in the form its algorithm has.
    #[error("the certificate's public key is malformed")]
    Key,
}

impl Coded for CertificateError {
    fn code(&self) -> Code {
        Code::DescriptorEntryInvalid
    }
}

/// A certificate that could be read. That says nothing about whether to trust it.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    /// The bytes that the issuer signed.
    tbs_der: Vec<u8>,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: Option<Vec<u8>>,
    subject: String,
    subject_der: Vec<u8>,
    issuer: String,
    issuer_der: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    spki_sha256: Sha256Digest,
    key: Result<PublicKey, KeyError>,
    extensions: Extensions,
}

impl Certificate {
    /// Reads a certificate. Its DER must be exact: anything that would be written differently is
    /// refused, so that what is judged is what was signed. What it holds of the common extensions,
    /// names and keys must decode, used here or not, because other readers refuse the rest.
    ///
    /// # Errors
    ///
    /// [`CertificateError`]. A key of an unknown kind and an unknown extension are no errors here.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let x509 = X509::from_der(der).map_err(malformed)?;
        if x509.to_der().map_err(malformed)? != der {
            return Err(CertificateError::Der("it is not encoded canonically".to_owned()));
        }
        Self::read(der, &x509)
    }

    /// Reads a certificate that others judge, such as the root of a public CA: everything in it must
    /// decode, but need not be encoded canonically.
    pub(crate) fn parse_leniently(der: &[u8]) -> Result<Self, CertificateError> {
        Self::read(der, &X509::from_der(der).map_err(malformed)?)
    }

    fn read(der: &[u8], x509: &X509) -> Result<Self, CertificateError> {
        let tbs = x509.tbs_certificate();
        if tbs.signature() != x509.signature_algorithm() {
            return Err(CertificateError::Algorithms);
        }
        if tbs.version() != Version::V3 && tbs.extensions().is_some() {
            return Err(CertificateError::Version);
        }
        names::check("issuer", tbs.issuer())?;
        names::check("subject", tbs.subject())?;
        let spki = tbs.subject_public_key_info();
        let key = PublicKey::from_spki(spki);
        if key == Err(KeyError::Malformed) {
            return Err(CertificateError::Key);
        }
        Ok(Self {
            der: der.to_vec(),
            tbs_der: tbs.to_der().map_err(malformed)?,
            signature_algorithm: x509.signature_algorithm().clone(),
            signature: x509.signature().as_bytes().map(<[u8]>::to_vec),
            subject: printable(&tbs.subject().to_string()),
            subject_der: tbs.subject().to_der().map_err(malformed)?,
            issuer: printable(&tbs.issuer().to_string()),
            issuer_der: tbs.issuer().to_der().map_err(malformed)?,
            not_before: timestamp(tbs.validity().not_before),
            not_after: timestamp(tbs.validity().not_after),
            spki_sha256: Sha256Digest::of(&spki.to_der().map_err(malformed)?),
            key,
            extensions: Extensions::read(x509)?,
        })
    }

    /// The DER that it was read from.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject in the form of RFC 4514, such as `CN=signer 1`, made fit for a console. May be
    /// empty; [`Certificate::label`] never is.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer, in the form of [`Certificate::subject`].
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What to call this certificate in a message: the subject, or the key where that is empty.
    #[must_use]
    pub fn label(&self) -> String {
        if self.subject.is_empty() {
            format!("key {}", self.spki_sha256)
        } else {
            self.subject.clone()
        }
    }

    /// First moment at which it is valid.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Last moment at which it is valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// SHA-256 of the SubjectPublicKeyInfo in DER: what `denied_keys` lists, and what tells one
    /// signer from another.
    #[must_use]
    pub const fn spki_sha256(&self) -> Sha256Digest {
        self.spki_sha256
    }

    /// The key, if it is a usable Ed25519 key.
    #[must_use]
    pub fn ed25519_public_key(&self) -> Option<[u8; 32]> {
        self.key().and_then(PublicKey::as_ed25519).ok().map(|key| key.to_bytes())
    }

    /// Whether it says of itself that it may issue certificates.
    #[must_use]
    pub const fn is_ca(&self) -> bool {
        self.extensions.ca
    }

    pub(crate) fn key(&self) -> Result<&PublicKey, KeyError> {
        self.key.as_ref().map_err(|error| *error)
    }

    /// Whether the KeyUsage extension, where there is one, allows to issue certificates.
    pub(crate) fn may_sign_certificates(&self) -> bool {
        self.extensions.key_usage.is_none_or(|usage| usage.key_cert_sign())
    }

    /// Whether the ExtendedKeyUsage extension, where there is one, allows to sign code.
    pub(crate) fn may_sign_code(&self) -> bool {
        self.extensions.extended_key_usage.as_ref().is_none_or(|purposes| {
            purposes.iter().any(|oid| *oid == CODE_SIGNING || *oid == ANY_EXTENDED_KEY_USAGE)
        })
    }

    pub(crate) const fn has_name_constraints(&self) -> bool {
        self.extensions.name_constraints
    }

    /// A critical extension that nobody here understands.
    pub(crate) const fn unknown_critical_extension(&self) -> Option<ObjectIdentifier> {
        self.extensions.unknown_critical
    }

    /// Whether it has the name and the key of `other`.
    pub(crate) fn is_twin_of(&self, other: &Self) -> bool {
        self.subject_der == other.subject_der && self.spki_sha256 == other.spki_sha256
    }

    /// Whether its issuer is called exactly like `issuer`'s subject.
    pub(crate) fn names_as_issuer(&self, issuer: &Self) -> bool {
        self.issuer_der == issuer.subject_der
    }

    /// Whether `key` made the signature on this certificate.
    pub(crate) fn verify_issued_by(&self, key: &PublicKey) -> Result<(), SignatureError> {
        let signature = self.signature.as_deref().ok_or(SignatureError::Wrong)?;
        key.verify(&self.signature_algorithm, &self.tbs_der, signature)
    }
}

/// First and last moment of validity of a certificate, nothing else of it judged: for TLS chains,
/// whose certificates are verified elsewhere but by the same [`crate::Clock`].
///
/// # Errors
///
/// [`CertificateError::Der`] for bytes that are not an X.509 certificate.
pub fn validity(der: &[u8]) -> Result<(Timestamp, Timestamp), CertificateError> {
    let x509 = X509::from_der(der).map_err(malformed)?;
    let validity = x509.tbs_certificate().validity();
    Ok((timestamp(validity.not_before), timestamp(validity.not_after)))
}

fn malformed(error: x509_cert::der::Error) -> CertificateError {
    CertificateError::Der(error.to_string())
}

fn timestamp(time: Time) -> Timestamp {
    // X.509 time ends with the year 9999, far inside i64.
    Timestamp::from_unix(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

/// A name that whoever made the certificate chose freely, in a form that can go to a terminal.
pub(crate) fn printable(name: &str) -> String {
    let mut shown: String = name
        .chars()
        .take(MAX_SHOWN_NAME)
        .map(|character| if is_plain(character) { character } else { '\u{fffd}' })
        .collect();
    if name.chars().nth(MAX_SHOWN_NAME).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a character neither controls a terminal nor changes the order of others on a line.
fn is_plain(character: char) -> bool {
    let reorders = matches!(
        character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    );
    !character.is_control() && !reorders
}

#[cfg(test)]
mod tests;
