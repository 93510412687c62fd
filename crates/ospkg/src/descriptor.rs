//! The descriptor: where the archive is, and who vouches for it.

use base64::Engine;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use base64::prelude::BASE64_STANDARD;
use report::Code;
use report::Coded;
use report::strict_json::Object;
use report::strict_json::kind;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use trust::Endorsement;
use trust::decode_certificate_pem;

use crate::json::read_object;
use crate::json::write_pretty;
use crate::url_reference::is_url_reference;

/// Longest descriptor that is read, in bytes.
pub const MAX_DESCRIPTOR_LEN: usize = 1024 * 1024;

const VERSION: u64 = 1;

/// Padding is demanded, but the bits that the last character has too many may be set: readers of
/// the format have always let them pass.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Why a descriptor is refused as a whole.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// Longer than [`MAX_DESCRIPTOR_LEN`].
    #[error("descriptor: {0} bytes long, at most {MAX_DESCRIPTOR_LEN} are read")]
    TooLarge(usize),
    /// Not a JSON object of this format.
    #[error("descriptor: {0}")]
    Malformed(String),
    /// The two lists have not the same length.
    #[error("descriptor: {certificates} certificates, but {signatures} signatures")]
    Mismatch {
        /// Entries of `certificates`.
        certificates: usize,
        /// Entries of `signatures`.
        signatures: usize,
    },
    /// An entry of one of the lists does not decode.
    #[error("descriptor: {list}[{entry}]: {reason}")]
    Entry {
        /// `certificates` or `signatures`.
        list: &'static str,
        /// Position in the list, from 1.
        entry: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate to be added is there already.
    #[error("descriptor: the certificate has signed this package already (entry {entry})")]
    AlreadySigned {
        /// Position of the entry with that certificate, from 1.
        entry: usize,
    },
}

impl Coded for DescriptorError {
    fn code(&self) -> Code {
        match self {
            Self::TooLarge(_) => Code::DescriptorTooLarge,
            Self::Malformed(_) => Code::DescriptorMalformed,
            Self::Mismatch { .. } => Code::DescriptorMismatch,
            Self::Entry { .. } => Code::DescriptorEntryInvalid,
            Self::AlreadySigned { .. } => Code::SignerRepeated,
        }
    }
}

/// An OS package descriptor, `NAME.json`.
///
/// It is not signed itself: nothing in it is worth anything before [`trust::authorize`] has judged
/// [`Descriptor::endorsements`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descriptor {
    os_pkg_url: String,
    /// PEM text as it was given, so that it is written again unchanged.
    certificates_pem: Vec<Vec<u8>>,
    endorsements: Vec<Endorsement>,
    /// Keys of other or later versions, written again as they were.
    unknown: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor without signatures. The URL may be relative to the descriptor's own, or empty
    /// for a package that is not fetched.
    ///
    /// # Errors
    ///
    /// [`DescriptorError::Malformed`] if it is not a URL reference.
    pub fn new(os_pkg_url: &str) -> Result<Self, DescriptorError> {
        check_url(os_pkg_url)?;
        Ok(Self { os_pkg_url: os_pkg_url.to_owned(), ..Self::default() })
    }

    /// Reads a descriptor. Every entry of both lists must decode (base64; for certificates also PEM
    /// and DER), or the whole descriptor is refused. Whether an entry counts is not judged here.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`], never [`DescriptorError::AlreadySigned`].
    pub fn parse(document: &[u8]) -> Result<Self, DescriptorError> {
        if document.len() > MAX_DESCRIPTOR_LEN {
            return Err(DescriptorError::TooLarge(document.len()));
        }
        let mut object =
            read_object(document).map_err(|error| DescriptorError::Malformed(error.to_string()))?;
        match object.take("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(Value::Number(other)) => {
                return Err(malformed("version", &other.to_string(), "1"));
            }
            Some(other) => return Err(malformed("version", kind(&other), "1")),
            None => return Err(malformed("version", "missing", "1")),
        }
        let os_pkg_url = match object.take_set("os_pkg_url") {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => return Err(malformed("os_pkg_url", kind(&other), "a string")),
        };
        check_url(&os_pkg_url)?;
        let certificates = take_list(&mut object, CERTIFICATES)?;
        let signatures = take_list(&mut object, SIGNATURES)?;
        if certificates.len() != signatures.len() {
            return Err(DescriptorError::Mismatch {
                certificates: certificates.len(),
                signatures: signatures.len(),
            });
        }

        let mut descriptor = Self { os_pkg_url, ..Self::default() };
        for (index, (certificate, signature)) in certificates.iter().zip(&signatures).enumerate() {
            let entry = index + 1;
            let certificate_pem = decode_base64(CERTIFICATES, entry, certificate)?;
            let certificate_der = decode_certificate(entry, &certificate_pem)?;
            let signature = decode_base64(SIGNATURES, entry, signature)?;
            descriptor.certificates_pem.push(certificate_pem);
            descriptor.endorsements.push(Endorsement { certificate_der, signature });
        }
        let names: Vec<String> = object.unknown_keys().map(str::to_owned).collect();
        for name in names {
            if let Some(value) = object.take(&name) {
                descriptor.unknown.insert(name, value);
            }
        }
        Ok(descriptor)
    }

    /// Where the archive is: absolute, relative to the descriptor's URL, or empty.
    #[must_use]
    pub fn os_pkg_url(&self) -> &str {
        &self.os_pkg_url
    }

    /// The same descriptor for an archive at another URL. Signatures are over the archive, not over
    /// its URL, so they stay.
    ///
    /// # Errors
    ///
    /// [`DescriptorError::Malformed`] if it is not a URL reference.
    pub fn with_os_pkg_url(self, os_pkg_url: &str) -> Result<Self, DescriptorError> {
        check_url(os_pkg_url)?;
        Ok(Self { os_pkg_url: os_pkg_url.to_owned(), ..self })
    }

    /// The same package without its signatures: what descriptors of one package have in common.
    #[must_use]
    pub fn without_signatures(&self) -> Self {
        Self { certificates_pem: Vec::new(), endorsements: Vec::new(), ..self.clone() }
    }

    /// The certificates of [`Self::endorsements`] as they were given: text of one PEM block each.
    pub fn certificates_pem(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates_pem.iter().map(Vec::as_slice)
    }

    /// The pairs of certificate and signature, in their order.
    #[must_use]
    pub fn endorsements(&self) -> &[Endorsement] {
        &self.endorsements
    }

    /// Adds a signature with the certificate of its key. Whether they belong together is for the
    /// caller to check: [`crate::check_signer`].
    ///
    /// # Errors
    ///
    /// [`DescriptorError::Entry`] if the certificate does not decode,
    /// [`DescriptorError::AlreadySigned`] if the same certificate is there already.
    pub fn push(&mut self, certificate_pem: &str, signature: &[u8]) -> Result<(), DescriptorError> {
        let entry = self.endorsements.len() + 1;
        let certificate_der = decode_certificate(entry, certificate_pem.as_bytes())?;
        let same = |known: &Endorsement| known.certificate_der == certificate_der;
        if let Some(index) = self.endorsements.iter().position(same) {
            return Err(DescriptorError::AlreadySigned { entry: index + 1 });
        }
        self.certificates_pem.push(certificate_pem.as_bytes().to_vec());
        self.endorsements.push(Endorsement { certificate_der, signature: signature.to_vec() });
        Ok(())
    }

    /// Puts another signature in the place of the one with this index, from 0; its certificate stays.
    /// Without such a signature, nothing happens.
    pub fn replace_signature(&mut self, index: usize, signature: &[u8]) {
        if let Some(endorsement) = self.endorsements.get_mut(index) {
            endorsement.signature = signature.to_vec();
        }
    }

    /// The descriptor as a file: what [`Descriptor::parse`] reads, without a new line at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let certificates: Vec<String> =
            self.certificates_pem.iter().map(|pem| BASE64_STANDARD.encode(pem)).collect();
        let signatures: Vec<String> = self
            .endorsements
            .iter()
            .map(|endorsement| BASE64_STANDARD.encode(&endorsement.signature))
            .collect();
        write_pretty(&Document {
            version: VERSION,
            os_pkg_url: &self.os_pkg_url,
            certificates: Some(certificates).filter(|list| !list.is_empty()),
            signatures: Some(signatures).filter(|list| !list.is_empty()),
            unknown: &self.unknown,
        })
    }
}

const CERTIFICATES: &str = "certificates";
const SIGNATURES: &str = "signatures";

/// The file, in the order of its keys.
#[derive(Serialize)]
struct Document<'a> {
    version: u64,
    os_pkg_url: &'a str,
    certificates: Option<Vec<String>>,
    signatures: Option<Vec<String>>,
    #[serde(flatten)]
    unknown: &'a Map<String, Value>,
}

fn malformed(key: &str, found: &str, expected: &str) -> DescriptorError {
    DescriptorError::Malformed(format!("{key}: {found}, expected {expected}"))
}

fn take_list(object: &mut Object, key: &'static str) -> Result<Vec<Value>, DescriptorError> {
    match object.take_set(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(entries)) => Ok(entries),
        Some(other) => Err(malformed(key, kind(&other), "a list of strings")),
    }
}

/// `null` is the empty text, as it is for the other implementation.
fn decode_base64(
    list: &'static str,
    entry: usize,
    value: &Value,
) -> Result<Vec<u8>, DescriptorError> {
    let text = match value {
        Value::Null => "",
        Value::String(text) => text,
        other => {
            let reason = format!("{}, expected a base64 string", kind(other));
            return Err(DescriptorError::Entry { list, entry, reason });
        }
    };
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    BASE64.decode(text).map_err(|error| DescriptorError::Entry {
        list,
        entry,
        reason: format!("not base64 of the standard alphabet with padding: {error}"),
    })
}

fn decode_certificate(entry: usize, pem: &[u8]) -> Result<Vec<u8>, DescriptorError> {
    let invalid = |reason: String| DescriptorError::Entry { list: CERTIFICATES, entry, reason };
    let der = decode_certificate_pem(pem).map_err(|error| invalid(error.to_string()))?;
    trust::Certificate::parse(&der).map_err(|error| invalid(error.to_string()))?;
    Ok(der)
}

/// Refuses what is no URL reference at all. Which schemes can be fetched is for the fetcher to say.
fn check_url(text: &str) -> Result<(), DescriptorError> {
    if text.is_empty() || is_url_reference(text) {
        return Ok(());
    }
    Err(DescriptorError::Malformed("os_pkg_url: not a URL".to_owned()))
}
