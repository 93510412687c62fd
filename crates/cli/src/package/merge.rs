//! Joining signatures that were made in parallel, on copies of one descriptor.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use ospkg::Descriptor;
use report::Code;
use trust::MAX_ENDORSEMENTS;
use trust::Sha256Digest;

use super::is_over;
use crate::Error;
use crate::Result;

/// Descriptors that were joined.
#[derive(Clone, Debug)]
pub struct Merged {
    /// All signatures, each once, in the order of the signers' names.
    pub descriptor: Descriptor,
    /// Subjects of the signers, in this order.
    pub subjects: Vec<String>,
    /// How many signatures were there more than once.
    pub repeated: usize,
}

/// One signature, and where it comes from.
struct Entry<'a> {
    file: &'a Path,
    number: usize,
    pem: &'a [u8],
    signature: &'a [u8],
}

/// Joins the signatures of descriptors of one package, whose archive has this digest. The result does
/// not depend on the order of the files.
///
/// # Errors
/// If the descriptors are not of one package, a signature is not over this archive
/// ([`Code::SignatureWrong`]), one certificate has two different signatures, or there are too many.
pub fn merge(parts: &[(PathBuf, Descriptor)], digest: Sha256Digest) -> Result<Merged> {
    let Some(((first_file, first), others)) = parts.split_first() else {
        return Err(Error::usage("there is nothing to join"));
    };
    let facts = first.without_signatures();
    for (file, other) in others {
        if let Some(what) = difference(&facts, &other.without_signatures()) {
            return Err(Error::new(format!(
                "{} and {} are not of the same package: {what}",
                first_file.display(),
                file.display()
            ))
            .remedy(
                "join copies of one descriptor only; nothing but signatures may be added to it",
            ));
        }
    }
    // By the signers' names, so that people find them; by the certificate where names are the same.
    let mut entries: BTreeMap<(String, &[u8]), Entry<'_>> = BTreeMap::new();
    let mut repeated = 0;
    for (file, descriptor) in parts {
        let pairs = descriptor.certificates_pem().zip(descriptor.endorsements());
        for (number, (pem, endorsement)) in (1..).zip(pairs) {
            let subject = trust::Certificate::parse(&endorsement.certificate_der)
                .map_or_else(|_| "?".to_owned(), |certificate| certificate.label());
            if is_over(endorsement, digest) == Some(false) {
                return Err(Error::with_code(
                    Code::SignatureWrong,
                    format!(
                        "{}: signature {number} by {subject} is not over the archive with SHA-256 {digest}",
                        file.display()
                    ),
                )
                .remedy(
                    "find out whether that signer has signed another archive, or the digest is of another; \
                     without this file the others can be joined",
                ));
            }
            let entry = Entry { file, number, pem, signature: &endorsement.signature };
            let name = (subject, endorsement.certificate_der.as_slice());
            if let Some(known) = entries.get(&name) {
                if known.signature != entry.signature {
                    return Err(two_signatures(known, &entry, &name.0));
                }
                repeated += 1;
                continue;
            }
            entries.insert(name, entry);
        }
    }
    if entries.len() > MAX_ENDORSEMENTS {
        return Err(Error::new(format!(
            "together they have {} signatures; machines read at most {MAX_ENDORSEMENTS}",
            entries.len()
        ))
        .remedy("begin again with a descriptor without signatures, and fewer signers"));
    }
    let mut descriptor = facts;
    let mut subjects = Vec::new();
    for ((subject, _), entry) in entries {
        let pem = core::str::from_utf8(entry.pem)
            .map_err(|_| Error::new("a certificate is not text").on(entry.file.display()))?;
        descriptor
            .push(pem, entry.signature)
            .map_err(|error| Error::coded(&error).on(entry.file.display()))?;
        subjects.push(subject);
    }
    Ok(Merged { descriptor, subjects, repeated })
}

/// A plain signature and a published one, or two published ones: nobody but the signer knows which
/// is meant.
fn two_signatures(known: &Entry<'_>, other: &Entry<'_>, subject: &str) -> Error {
    Error::new(format!(
        "{subject} has signed twice with one certificate, differently: entry {} of {} and entry {} of {}",
        known.number,
        known.file.display(),
        other.number,
        other.file.display()
    ))
    .detail(format!("one is {} bytes long, the other {}", known.signature.len(), other.signature.len()))
    .remedy("ask the signer which one is meant, and join without the other file")
}

/// What two descriptors without signatures do not have in common.
fn difference(one: &Descriptor, other: &Descriptor) -> Option<String> {
    if one == other {
        return None;
    }
    if one.os_pkg_url() != other.os_pkg_url() {
        return Some(format!(
            "os_pkg_url is {:?} in one, {:?} in the other",
            one.os_pkg_url(),
            other.os_pkg_url()
        ));
    }
    let keys = |descriptor: &Descriptor| -> BTreeMap<String, serde_json::Value> {
        serde_json::from_str(&descriptor.to_json()).unwrap_or_default()
    };
    let (one, other) = (keys(one), keys(other));
    let differ = one.keys().chain(other.keys()).find(|key| one.get(*key) != other.get(*key));
    Some(differ.map_or_else(|| "they differ".to_owned(), |key| format!("{key} differs")))
}
