//! Authenticode: the digest that firmware identifies an image by, and signatures over it.
//!
//! Source: Microsoft, "Windows Authenticode Portable Executable Signature Format" (2008), and the
//! UEFI specification, chapter "Secure Boot and Driver Signing". SHA-256 and RSA only: nothing else
//! is verified by all firmware.

use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use sha2::Digest;
use sha2::Sha256;
use x509_cert::Certificate;
use x509_cert::der::Any;
use x509_cert::der::AnyRef;
use x509_cert::der::Decode;
use x509_cert::der::Encode;
use x509_cert::der::Reader;
use x509_cert::der::SliceReader;
use x509_cert::der::Tag;
use x509_cert::der::asn1::OctetStringRef;
use x509_cert::der::oid::ObjectIdentifier;

use crate::bytes;
use crate::pe;
use crate::pe::Image;
use crate::pe::PeError;
use crate::pkcs7;
use crate::signer::SHA256_WITH_RSA;
pub use crate::signer::SignError;
pub use crate::signer::Signer;
use crate::signer::failed;
use crate::signer::read_certificate;
use crate::signer::verify;

/// `SPC_INDIRECT_DATA`: the content says which digest something else has.
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");

/// Everything of `SpcIndirectDataContent` before the digest: it speaks of a PE image (object
/// identifier 1.3.6.1.4.1.311.2.1.15) without flags and with the file name that the format
/// prescribes, `<<<Obsolete>>>`, and the digest is SHA-256.
const INDIRECT_DATA_START: [u8; 72] = [
    0x30, 0x33, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0f, 0x30, 0x25,
    0x03, 0x01, 0x00, 0xa0, 0x20, 0xa2, 0x1e, 0x80, 0x1c, 0, b'<', 0, b'<', 0, b'<', 0, b'O', 0,
    b'b', 0, b's', 0, b'o', 0, b'l', 0, b'e', 0, b't', 0, b'e', 0, b'>', 0, b'>', 0, b'>', 0x30,
    0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// `WIN_CERTIFICATE`: length, revision and type come before the signature.
const ENTRY_HEADER_LEN: usize = 8;
/// Revision 2.0, and PKCS#7 signed data.
const ENTRY_KIND: [u8; 4] = [0x00, 0x02, 0x02, 0x00];
/// Entries start at multiples of this.
const ENTRY_ALIGNMENT: usize = 8;

/// What an image is identified by: the SHA-256 of everything but its checksum, the entry for the
/// certificate table, and that table.
///
/// # Errors
/// If it is no PE image, or one whose parts overlap.
pub fn digest(image: &[u8]) -> Result<[u8; 32], PeError> {
    digest_of(&Image::parse(image)?)
}

/// A signature of an image, as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Signature {
    /// Subject of the certificate that signed, as RFC 4514 text.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// The digest of the image that was signed.
    pub digest: Vec<u8>,
    /// Whether the image has this digest (SHA-256).
    pub digest_matches: bool,
    /// Whether the signature is one by the key in [`Self::certificate`] (RSA, SHA-256).
    pub is_valid: bool,
    /// The certificate that signed, as DER.
    pub certificate: Vec<u8>,
    /// Last second that it counts in, Unix time. Firmware does not look at it.
    pub not_after: u64,
}

impl Signature {
    /// Whether firmware that trusts this certificate (PEM or DER) alone would start the image for
    /// this signature: the signature is good, the image has the digest, and the certificate is the
    /// trusted one or was issued by it.
    ///
    /// # Errors
    /// If `trusted` is no certificate.
    pub fn accepted_by(&self, trusted: &[u8]) -> Result<bool, SignError> {
        let trusted = read_certificate(trusted)?;
        let own = read_certificate(&self.certificate)?;
        let known = own == trusted || issued_by(&own, &trusted)?;
        Ok(known && self.is_valid && self.digest_matches)
    }
}

impl Signer {
    /// The image with one more signature behind those that it has. A file whose length is no
    /// multiple of 8 is filled up with zeros first. The same image gives the same bytes.
    ///
    /// # Errors
    /// If it is no PE image.
    pub fn sign(&self, image: &[u8]) -> Result<Vec<u8>, SignError> {
        let parsed = Image::parse(image)?;
        let mut table = parsed.certificates().to_vec();
        // The digest of an image does not depend on where its certificate table is.
        let unsigned = with_signatures(image, &[])?;
        table.extend(entry(&self.signature_over(&digest(&unsigned)?)?)?);
        with_signatures(image, &table)
    }

    fn signature_over(&self, digest: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        let content = [INDIRECT_DATA_START.as_slice(), digest].concat();
        let content = Any::new(Tag::Sequence, content).map_err(failed)?;
        let data = pkcs7::sign_attached(self, INDIRECT_DATA, content)?;
        let content = Any::encode_from(&data).map_err(failed)?;
        ContentInfo { content_type: pkcs7::SIGNED_DATA, content }.to_der().map_err(failed)
    }
}

/// The image with this table of signatures ([`Image::certificates`] of another one that is the same
/// but for them) in place of its own. Whether they are over it is not looked at. A file whose length
/// is no multiple of 8 is filled up with zeros first.
///
/// # Errors
/// If it is no PE image.
pub fn with_signatures(image: &[u8], table: &[u8]) -> Result<Vec<u8>, SignError> {
    let parsed = Image::parse(image)?;
    let mut file = parsed.without_certificates().to_vec();
    file.resize(file.len().next_multiple_of(ENTRY_ALIGNMENT), 0);
    let number = |len: usize| u32::try_from(len).map_err(|_| PeError::TooLarge);
    // No table is nowhere.
    let start = if table.is_empty() { 0 } else { number(file.len())? };
    let place = [start, number(table.len())?].map(u32::to_le_bytes).concat();
    let mut done = bytes::put(&mut file, parsed.certificate_entry_at(), &place);
    file.extend(table);
    done &= pe::set_checksum(&mut file, parsed.checksum_at());
    if done { Ok(file) } else { Err(pe::CUT.into()) }
}

/// All signatures of an image; none, if it is not signed.
///
/// # Errors
/// If it is no PE image, or a signature does not parse.
pub fn signatures(image: &[u8]) -> Result<Vec<Signature>, SignError> {
    let image = Image::parse(image)?;
    let digest = digest_of(&image)?;
    let mut signatures = Vec::new();
    let mut table = image.certificates();
    while !table.is_empty() {
        let index = signatures.len() + 1;
        let malformed = |reason: &str| SignError::Malformed { index, reason: reason.to_owned() };
        let len = bytes::u32(table, 0).and_then(|len| usize::try_from(len).ok());
        let len = len.filter(|&len| (ENTRY_HEADER_LEN..=table.len()).contains(&len));
        let len = len.ok_or_else(|| malformed("its length is out of range"))?;
        if bytes::array(table, 4) != Some(ENTRY_KIND) {
            return Err(malformed("it is not of the kind PKCS#7"));
        }
        let content = table.get(ENTRY_HEADER_LEN..len).unwrap_or_default();
        signatures.push(read_signature(content, &digest).map_err(|reason| malformed(&reason))?);
        table = table.get(len.next_multiple_of(ENTRY_ALIGNMENT)..).unwrap_or_default();
    }
    Ok(signatures)
}

/// As firmware counts: headers, then all sections in the order of the file, then what lies behind
/// as many bytes.
fn digest_of(image: &Image<'_>) -> Result<[u8; 32], PeError> {
    let file = image.without_certificates();
    let (checksum, entry, end) =
        (image.checksum_at(), image.certificate_entry_at(), image.headers_len());
    let mut hash = Sha256::new();
    for range in [0..checksum, checksum + 4..entry, entry + 8..end] {
        let part = file.get(range);
        hash.update(part.ok_or(pe::CUT)?);
    }
    let mut sections: Vec<_> = image.sections().iter().filter_map(pe::Section::raw).collect();
    sections.sort_by_key(|range| range.start);
    let mut hashed = end;
    for range in sections {
        hashed += range.len();
        hash.update(file.get(range).unwrap_or_default());
    }
    hash.update(file.get(hashed..).unwrap_or_default());
    Ok(hash.finalize().into())
}

/// One entry of the certificate table.
fn entry(signature: &[u8]) -> Result<Vec<u8>, SignError> {
    let len = (ENTRY_HEADER_LEN + signature.len()).next_multiple_of(ENTRY_ALIGNMENT);
    let number = u32::try_from(len).map_err(|_| PeError::TooLarge)?;
    let mut entry = Vec::with_capacity(len);
    entry.extend(number.to_le_bytes());
    entry.extend(ENTRY_KIND);
    entry.extend(signature);
    entry.resize(len, 0);
    Ok(entry)
}

fn read_signature(content: &[u8], actual: &[u8; 32]) -> Result<Signature, String> {
    let words = |error: x509_cert::der::Error| error.to_string();
    // Zeros may follow, up to the next multiple of 8.
    let mut reader = SliceReader::new(content).map_err(words)?;
    let info = ContentInfo::decode(&mut reader).map_err(words)?;
    if info.content_type != pkcs7::SIGNED_DATA {
        return Err("it holds no signed data".to_owned());
    }
    let data: SignedData = info.content.decode_as().map_err(words)?;
    let mut signers = data.signer_infos.0.iter();
    let (Some(signer), None) = (signers.next(), signers.next()) else {
        return Err("it has not exactly one signer".to_owned());
    };
    let certificate = pkcs7::signing_certificate(&data, signer);
    let certificate = certificate.ok_or("the certificate of its signer is not inside")?;
    let digest = signed_digest(&data).ok_or("it does not say which image it is for")?;
    let tbs = certificate.tbs_certificate();
    Ok(Signature {
        subject: tbs.subject().to_string(),
        issuer: tbs.issuer().to_string(),
        digest_matches: digest == actual,
        digest,
        is_valid: pkcs7::is_valid(&data, signer, certificate),
        certificate: certificate.to_der().map_err(words)?,
        not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
    })
}

/// The digest in `SpcIndirectDataContent`: its second member has an algorithm and the digest.
fn signed_digest(data: &SignedData) -> Option<Vec<u8>> {
    let content = &data.encap_content_info;
    let value = content.econtent.as_ref().filter(|_| content.econtent_type == INDIRECT_DATA)?;
    let mut reader = SliceReader::new(value.value()).ok()?;
    AnyRef::decode(&mut reader).ok()?;
    let info = AnyRef::decode(&mut reader).ok().filter(|_| reader.is_finished())?;
    let mut reader = SliceReader::new(info.value()).ok()?;
    AnyRef::decode(&mut reader).ok()?;
    let digest = <&OctetStringRef>::decode(&mut reader).ok()?;
    Some(digest.as_bytes().to_vec())
}

fn issued_by(certificate: &Certificate, issuer: &Certificate) -> Result<bool, SignError> {
    let tbs = certificate.tbs_certificate();
    if tbs.issuer() != issuer.tbs_certificate().subject()
        || certificate.signature_algorithm().oid != SHA256_WITH_RSA
    {
        return Ok(false);
    }
    let signed = tbs.to_der().map_err(failed)?;
    let signature = certificate.signature().as_bytes().unwrap_or_default();
    Ok(verify(issuer, &signed, signature))
}
