//! PKCS#7 signed data, as firmware reads it: RSA and SHA-256, one signer, its certificate inside.
//!
//! Source: RFC 2315. `cms` has the types of its successor (RFC 5652), which are the same bytes as
//! long as the version says 1.

use cms::cert::CertificateChoices;
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::CmsVersion;
use cms::signed_data::CertificateSet;
use cms::signed_data::EncapsulatedContentInfo;
use cms::signed_data::SignedData;
use cms::signed_data::SignerIdentifier;
use cms::signed_data::SignerInfo;
use cms::signed_data::SignerInfos;
use sha2::Digest;
use sha2::Sha256;
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::attr::AttributeValue;
use x509_cert::attr::Attributes;
use x509_cert::der::Any;
use x509_cert::der::Encode;
use x509_cert::der::Tag;
use x509_cert::der::asn1::Null;
use x509_cert::der::asn1::OctetString;
use x509_cert::der::asn1::SetOfVec;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::signer::RSA;
use crate::signer::SHA256_WITH_RSA;
use crate::signer::SignError;
use crate::signer::Signer;
use crate::signer::failed;
use crate::signer::verify;

/// `signedData`.
pub(crate) const SIGNED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// `data`: bytes without a structure.
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// `id-sha256`.
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// `contentType`, a signed attribute.
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
/// `messageDigest`, a signed attribute.
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// Signs `content`, a DER value of this type, which becomes part of the result. No time is put in,
/// so that the same content gives the same bytes.
pub(crate) fn sign_attached(
    signer: &Signer,
    content_type: ObjectIdentifier,
    content: Any,
) -> Result<SignedData, SignError> {
    let digest = Sha256::digest(content.value());
    let attributes = vec![
        attribute(CONTENT_TYPE, Any::encode_from(&content_type).map_err(failed)?)?,
        attribute(MESSAGE_DIGEST, octets(&digest)?)?,
    ];
    let attributes = Attributes::from(SetOfVec::try_from(attributes).map_err(failed)?);
    let signature = signer.sign_message(&attributes.to_der().map_err(failed)?)?;
    let content = EncapsulatedContentInfo { econtent_type: content_type, econtent: Some(content) };
    signed_data(signer, content, Some(attributes), &signature)
}

/// Signs bytes that travel elsewhere, without attributes.
pub(crate) fn sign_detached(signer: &Signer, content: &[u8]) -> Result<SignedData, SignError> {
    let signature = signer.sign_message(content)?;
    let content = EncapsulatedContentInfo { econtent_type: DATA, econtent: None };
    signed_data(signer, content, None, &signature)
}

/// The certificate that signed, if it is inside.
pub(crate) fn signing_certificate<'a>(
    data: &'a SignedData,
    signer: &SignerInfo,
) -> Option<&'a Certificate> {
    let certificates = data.certificates.as_ref()?.0.iter().filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate),
        CertificateChoices::Other(_) => None,
    });
    let SignerIdentifier::IssuerAndSerialNumber(id) = &signer.sid else { return None };
    let mut certificates = certificates.map(|it| (it, it.tbs_certificate()));
    certificates
        .find(|(_, it)| *it.issuer() == id.issuer && *it.serial_number() == id.serial_number)
        .map(|(certificate, _)| certificate)
}

/// Whether the key of `certificate` made this signature over the content that is inside.
pub(crate) fn is_valid(data: &SignedData, signer: &SignerInfo, certificate: &Certificate) -> bool {
    let algorithm = signer.signature_algorithm.oid;
    if signer.digest_alg.oid != SHA256 || (algorithm != RSA && algorithm != SHA256_WITH_RSA) {
        return false;
    }
    let Some(content) = &data.encap_content_info.econtent else { return false };
    let Some(attributes) = &signer.signed_attrs else {
        return verify(certificate, content.value(), signer.signature.as_bytes());
    };
    let digest = Sha256::digest(content.value());
    let (Ok(digest), Ok(content_type), Ok(signed)) = (
        octets(&digest),
        Any::encode_from(&data.encap_content_info.econtent_type),
        attributes.to_der(),
    ) else {
        return false;
    };
    has(attributes, MESSAGE_DIGEST, &digest)
        && has(attributes, CONTENT_TYPE, &content_type)
        && verify(certificate, &signed, signer.signature.as_bytes())
}

fn signed_data(
    signer: &Signer,
    content: EncapsulatedContentInfo,
    signed_attrs: Option<Attributes>,
    signature: &[u8],
) -> Result<SignedData, SignError> {
    let certificate = signer.certificate();
    let tbs = certificate.tbs_certificate();
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: tbs.issuer().clone(),
            serial_number: tbs.serial_number().clone(),
        }),
        digest_alg: algorithm(SHA256)?,
        signed_attrs,
        signature_algorithm: algorithm(RSA)?,
        signature: OctetString::new(signature).map_err(failed)?,
        unsigned_attrs: None,
    };
    let certificates = vec![CertificateChoices::Certificate(certificate.clone())];
    Ok(SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![algorithm(SHA256)?]).map_err(failed)?,
        encap_content_info: content,
        certificates: Some(CertificateSet::try_from(certificates).map_err(failed)?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![info]).map_err(failed)?,
    })
}

fn has(attributes: &Attributes, oid: ObjectIdentifier, value: &AttributeValue) -> bool {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    matches!((found.next(), found.next()), (Some(attribute), None)
        if attribute.values.len() == 1 && attribute.values.get(0) == Some(value))
}

fn attribute(oid: ObjectIdentifier, value: AttributeValue) -> Result<Attribute, SignError> {
    let values = SetOfVec::try_from(vec![value]).map_err(failed)?;
    Ok(Attribute { oid, values })
}

fn octets(bytes: &[u8]) -> Result<Any, SignError> {
    Any::new(Tag::OctetString, bytes).map_err(failed)
}

fn algorithm(oid: ObjectIdentifier) -> Result<AlgorithmIdentifierOwned, SignError> {
    let parameters = Any::encode_from(&Null).map_err(failed)?;
    Ok(AlgorithmIdentifierOwned { oid, parameters: Some(parameters) })
}
