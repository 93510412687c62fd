//! Certificates for signing OS packages: a root, and signers issued by it.
//!
//! They have the shape that System Transparency's own tools make, so that its bootloader takes
//! them as well as ours: CN from the key, no extended key usage, no basic constraints in signers.

use core::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;
use sha2::Sha256;
use x509_cert::TbsCertificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::builder::Builder;
use x509_cert::builder::CertificateBuilder;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::der::Any;
use x509_cert::der::Decode;
use x509_cert::der::Encode;
use x509_cert::der::EncodePem;
use x509_cert::der::Tag;
use x509_cert::der::asn1::OctetString;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::pem::LineEnding;
use x509_cert::ext::Extension;
use x509_cert::ext::ToExtension;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::name::Name;
use x509_cert::name::RdnSequence;
use x509_cert::name::RelativeDistinguishedName;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfo;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use x509_cert::time::Time;

use crate::Error;
use crate::Result;
use crate::dates;
use crate::keys::ForCertificates;
use crate::keys::PublicKey;
use crate::keys::Signer;
use crate::text_file;

/// Ten years and the leap days in them: a root is replaced with the boot images that embed it.
pub const ROOT_DAYS: u32 = 3653;
/// One year: a signer that leaves is then out after a year at the latest, and nobody has to renew
/// in a hurry.
pub const SIGNER_DAYS: u32 = 365;

/// 9999-12-31T23:59:59Z: the last second that a certificate can name (RFC 5280, 4.1.2.5).
const LAST_SECOND: i64 = 253_402_300_799;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// First and last second of a certificate, Unix time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// `notBefore`.
    pub not_before: i64,
    /// `notAfter`.
    pub not_after: i64,
}

impl Validity {
    /// From this second on, for so many days.
    #[must_use]
    pub fn days(not_before: i64, days: u32) -> Self {
        let length = i64::from(days).saturating_mul(dates::DAY);
        Self { not_before, not_after: not_before.saturating_add(length) }
    }

    /// Whether a certificate can have these dates.
    ///
    /// # Errors
    /// If it would end before it begins, begin before 1970 or end after 9999.
    pub fn check(&self) -> Result<()> {
        let Self { not_before, not_after } = *self;
        if not_after <= not_before {
            return Err(Error::new(format!(
                "the certificate would end before it begins: it is from {} until {}",
                dates::format(not_before),
                dates::format(not_after)
            ))
            .remedy(
                "give a --valid-until that is after --valid-from, which is yesterday if not given",
            ));
        }
        if not_before < 0 {
            return Err(Error::new(format!(
                "the certificate would begin on {}, before 1970",
                dates::format(not_before)
            ))
            .remedy("give a later --valid-from"));
        }
        if not_after > LAST_SECOND {
            return Err(Error::new(
                "the certificate would end after the year 9999, the last that it can name",
            )
            .remedy("give fewer --valid-days, or an earlier --valid-until"));
        }
        Ok(())
    }
}

/// A certificate that was read or issued here.
#[derive(Clone, Debug)]
pub struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// Reads exactly one PEM block `CERTIFICATE`.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_pem(bytes: &[u8]) -> Result<Self> {
        let mut chain = x509_cert::Certificate::load_pem_chain(bytes)
            .map_err(|error| no_certificate(bytes, &error))?;
        match (chain.pop(), chain.is_empty()) {
            (Some(certificate), true) => Ok(Self(certificate)),
            (None, _) => Err(no_certificate(bytes, &"it holds no CERTIFICATE block")),
            (Some(_), false) => Err(no_certificate(bytes, &"it holds more than one")),
        }
    }

    /// Whether its key is an Ed25519 key (RFC 8410), whatever its value.
    #[must_use]
    pub fn is_ed25519(&self) -> bool {
        let key = self.0.tbs_certificate().subject_public_key_info();
        key.algorithm.oid == ED25519
    }

    /// Reads DER.
    ///
    /// # Errors
    /// If it does not parse.
    pub fn from_der(bytes: &[u8]) -> Result<Self> {
        x509_cert::Certificate::from_der(bytes).map(Self).map_err(|error| {
            Error::new(format!("it is no certificate: {error}"))
                .remedy("get the file anew from who issued it: it is damaged, or something else")
        })
    }

    /// As a PEM block.
    ///
    /// # Errors
    /// Only if encoding fails, which is a bug.
    pub fn to_pem(&self) -> Result<String> {
        self.0.to_pem(LineEnding::LF).map_err(|error| encoding(&error))
    }

    /// As DER.
    ///
    /// # Errors
    /// Only if encoding fails, which is a bug.
    pub fn to_der(&self) -> Result<Vec<u8>> {
        self.0.to_der().map_err(|error| encoding(&error))
    }

    /// Subject, as RFC 4514 text.
    #[must_use]
    pub fn subject(&self) -> String {
        self.tbs().subject().to_string()
    }

    /// First and last second.
    #[must_use]
    pub fn validity(&self) -> Validity {
        let unix =
            |time: &Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let validity = self.tbs().validity();
        Validity { not_before: unix(&validity.not_before), not_after: unix(&validity.not_after) }
    }

    /// SHA-256 of the SubjectPublicKeyInfo, hex.
    ///
    /// # Errors
    /// Only if encoding fails, which is a bug.
    pub fn key_fingerprint(&self) -> Result<String> {
        let spki = self.tbs().subject_public_key_info().to_der();
        Ok(hex::encode(Sha256::digest(spki.map_err(|error| encoding(&error))?)))
    }

    /// Whether this is the certificate of that key.
    ///
    /// # Errors
    /// Only if encoding fails, which is a bug.
    pub fn is_of(&self, key: &PublicKey) -> Result<bool> {
        Ok(self.key_fingerprint()? == key.fingerprint()?)
    }

    /// Which key it is about, in words.
    pub(crate) fn whose_key(&self) -> Result<String> {
        let key = self.key_fingerprint()?;
        Ok(format!("the certificate of {} is about key SHA-256 {key}", self.subject()))
    }

    fn tbs(&self) -> &TbsCertificate {
        self.0.tbs_certificate()
    }

    fn is_ca(&self) -> bool {
        matches!(self.tbs().get_extension::<BasicConstraints>(), Ok(Some((_, it))) if it.ca)
    }

    fn subject_key_identifier(&self) -> Result<OctetString> {
        if let Ok(Some((_, identifier))) = self.tbs().get_extension::<SubjectKeyIdentifier>() {
            return Ok(identifier.0);
        }
        let spki = self.tbs().subject_public_key_info().to_der().map_err(|e| encoding(&e))?;
        SubjectPublicKeyInfoRef::from_der(&spki)
            .and_then(SubjectKeyIdentifier::try_from)
            .map(|identifier| identifier.0)
            .map_err(|error| encoding(&error))
    }
}

/// Issues a self-signed root. `common_name` is base64(SHA-256(public key)) if none is given.
///
/// # Errors
/// If the dates are in the wrong order or cannot be written in a certificate, or the name is too
/// long or has control characters. Also if the key cannot sign, as [`Signer::sign`].
pub fn issue_root(
    key: &Signer,
    common_name: Option<&str>,
    validity: Validity,
) -> Result<Certificate> {
    let subject = subject(key.public_key(), common_name)?;
    let profile = RootProfile { subject };
    build(profile, key.public_key(), validity, key)
}

/// Issues a certificate for a signer of OS packages.
///
/// # Errors
/// As [`issue_root`]; also if the root is none, or `root_key` is not its key.
pub fn issue_signer(
    root: &Certificate,
    root_key: &Signer,
    key: &PublicKey,
    common_name: Option<&str>,
    validity: Validity,
) -> Result<Certificate> {
    if !root.is_of(root_key.public_key())? {
        return Err(Error::new("the root key does not belong to the root certificate")
            .detail(root.whose_key()?)
            .detail(format!(
                "the key SHA-256 of the root key is {}",
                root_key.public_key().fingerprint()?
            ))
            .remedy("give the key that `ramstrap keygen root` wrote beside that certificate"));
    }
    if !root.is_ca() {
        return Err(Error::new("the root certificate is not a CA")
            .remedy("issue signers under a certificate made by `ramstrap keygen root`"));
    }
    let profile = SignerProfile {
        issuer: root.tbs().subject().clone(),
        issuer_key: root.subject_key_identifier()?,
        subject: subject(key, common_name)?,
    };
    build(profile, key, validity, root_key)
}

/// Why a file is no certificate, in the words of whoever mixed two files up, if that is what happened.
fn no_certificate(bytes: &[u8], error: &dyn core::fmt::Display) -> Error {
    let because = |reason: &str| Error::new(format!("it is no certificate: {reason}"));
    if let Some(odd) = text_file::oddity(bytes) {
        return because(odd.what).remedy(odd.remedy);
    }
    match text_file::pem_label(bytes) {
        Some(label) if label.ends_with("PRIVATE KEY") => because("it holds a private key").remedy(
            "give the certificate that was issued for this key; the key itself stays with its owner",
        ),
        Some("CERTIFICATE") if text_file::is_cut(bytes) => {
            because("its CERTIFICATE block has no END line that fits its BEGIN line")
                .remedy("the file was cut or damaged: get it anew")
        }
        Some("CERTIFICATE") | None => because(&error.to_string())
            .remedy("give a file with one CERTIFICATE block in PEM"),
        Some(label) => because(&format!("it holds a {label}"))
            .remedy("give a file with one CERTIFICATE block in PEM"),
    }
}

struct RootProfile {
    subject: Name,
}

impl BuilderProfile for RootProfile {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let usage = KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyCertSign);
        let constraints = BasicConstraints { ca: true, path_len_constraint: None };
        let name = tbs.subject();
        Ok(vec![
            usage.to_extension(name, &[])?,
            constraints.to_extension(name, &[])?,
            SubjectKeyIdentifier::try_from(key)?.to_extension(name, &[])?,
        ])
    }
}

struct SignerProfile {
    issuer: Name,
    issuer_key: OctetString,
    subject: Name,
}

impl BuilderProfile for SignerProfile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let usage = KeyUsage(KeyUsages::DigitalSignature.into());
        let issuer = AuthorityKeyIdentifier {
            key_identifier: Some(self.issuer_key.clone()),
            ..AuthorityKeyIdentifier::default()
        };
        let name = tbs.subject();
        Ok(vec![usage.to_extension(name, &[])?, issuer.to_extension(name, &[])?])
    }
}

fn build<P: BuilderProfile>(
    profile: P,
    key: &PublicKey,
    validity: Validity,
    issuer_key: &Signer,
) -> Result<Certificate> {
    validity.check()?;
    let validity =
        x509_cert::time::Validity::new(time(validity.not_before)?, time(validity.not_after)?);
    let spki = SubjectPublicKeyInfo::from_der(&key.spki_der()?).map_err(|e| encoding(&e))?;
    let builder = CertificateBuilder::new(profile, serial_number()?, validity, spki);
    let signer = ForCertificates::new(issuer_key);
    match builder.and_then(|builder| builder.build::<_, ed25519_dalek::Signature>(&signer)) {
        Ok(certificate) => Ok(Certificate(certificate)),
        Err(error) => Err(signer.into_error().unwrap_or_else(|| encoding(&error))),
    }
}

/// 127 random bits: positive, and the same length everywhere.
fn serial_number() -> Result<SerialNumber> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(format!("no random numbers from the system: {error}")))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::new(&bytes).map_err(|error| encoding(&error))
}

fn time(unix: i64) -> Result<Time> {
    // Validity::check has refused what a certificate cannot hold.
    let out_of_range = || Error::new(format!("a certificate cannot hold the date {unix}"));
    let since_epoch = Duration::from_secs(u64::try_from(unix).map_err(|_| out_of_range())?);
    let moment: SystemTime = UNIX_EPOCH.checked_add(since_epoch).ok_or_else(out_of_range)?;
    Time::try_from(moment).map_err(|_| out_of_range())
}

/// Whether this can be the name in a certificate.
///
/// # Errors
/// If it has not 1 to 64 characters, or has control characters.
pub(crate) fn check_name(common_name: Option<&str>) -> Result<()> {
    let Some(name) = common_name else { return Ok(()) };
    let length = name.chars().count();
    if (1..=64).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::new(format!(
        "the name has {length} characters, or control characters: a subject has 1 to 64, and none of those"
    ))
    .remedy("give another --subject-cn, or leave it out"))
}

fn subject(key: &PublicKey, common_name: Option<&str>) -> Result<Name> {
    let common_name = common_name
        .map_or_else(|| STANDARD.encode(Sha256::digest(key.as_bytes())), ToOwned::to_owned);
    check_name(Some(&common_name))?;
    let value =
        Any::new(Tag::Utf8String, common_name.into_bytes()).map_err(|error| encoding(&error))?;
    let attribute = AttributeTypeAndValue { oid: COMMON_NAME, value };
    let mut names = RdnSequence::default();
    names.push(RelativeDistinguishedName::try_from(vec![attribute]).map_err(|e| encoding(&e))?);
    // Through DER: the type has no other public way in for a name that needs no escaping.
    let der = names.to_der().map_err(|error| encoding(&error))?;
    Name::from_der(&der).map_err(|error| encoding(&error))
}

fn encoding(error: &dyn core::fmt::Display) -> Error {
    Error::new(format!("encoding a certificate: {error}"))
}
