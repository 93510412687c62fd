//! Adding a signature, and what is said about those that are there.

use std::path::Path;

use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use ospkg::Descriptor;
use ospkg::Manifest;
use report::Code;
use trust::Endorsement;
use trust::Sha256Digest;

use super::Names;
use super::check_kernel;
use super::open;
use super::write_descriptor;
use crate::Error;
use crate::Result;
use crate::certificate::Certificate;
use crate::keys::Signer;

/// What becomes of a package that does not hang together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InDoubt {
    /// It is not signed.
    Refuse,
    /// It is signed all the same, and the doubt is a warning.
    Sign,
}

/// A signature that a descriptor has, as far as it can be judged without a trust policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Position in the descriptor, from 1.
    pub entry: usize,
    /// Subject of the certificate.
    pub subject: String,
    /// Whether the signature is the certificate's key's over this archive. None if the key is not
    /// Ed25519: then it never counts.
    pub over_this_archive: Option<bool>,
}

/// A signature that was added.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What was signed.
    pub about: About,
    /// Signatures in the descriptor now.
    pub signatures: usize,
}

/// What is about to be signed, for the signer to see before anything is.
#[derive(Clone, Debug)]
pub struct About {
    /// SHA-256 of the archive: what is signed.
    pub digest: Sha256Digest,
    /// What is in the archive; none if it is not at hand, or no machine could open it.
    pub contents: Option<Seen>,
    /// Signatures that the descriptor has.
    pub before: Vec<Standing>,
    /// What can be signed, but will probably hurt.
    pub warnings: Vec<String>,
}

/// What is in an archive.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its manifest.
    pub manifest: Manifest,
    /// SHA-256 of the kernel.
    pub kernel: Sha256Digest,
    /// SHA-256 of the initramfs.
    pub initramfs: Sha256Digest,
}

/// Signs a package: adds certificate and signature to its descriptor.
///
/// A package travels from signer to signer, so each of them is told if it is no longer the one
/// that the others have signed, or could not be booted.
///
/// # Errors
/// If key and certificate do not belong together, the certificate has signed already, or a file
/// cannot be read or written. Unless `in_doubt` says otherwise, also if an earlier signature is
/// not over this archive ([`Code::SignatureWrong`]) or a machine could not open the archive.
pub fn sign(
    names: &Names,
    key: &Signer,
    certificate: &Certificate,
    in_doubt: InDoubt,
) -> Result<Signed> {
    sign_if(names, key, certificate, None, in_doubt, |_| Ok(()))
}

/// As [`sign`], if `condition` holds for what would be signed. It is asked last, before anything is
/// signed, and no `in_doubt` overrules it.
///
/// With a `digest` the archive need not be at hand: then it is not opened, and what was signed
/// before is held against the digest. If it is at hand, it must be the one with this digest.
///
/// # Errors
/// As [`sign`], and whatever `condition` says; if the archive is another one than `digest` says.
pub fn sign_if(
    names: &Names,
    key: &Signer,
    certificate: &Certificate,
    digest: Option<Sha256Digest>,
    in_doubt: InDoubt,
    condition: impl FnOnce(&About) -> Result<()>,
) -> Result<Signed> {
    if !certificate.is_of(key.public_key())? {
        return Err(Error::new("the private key does not belong to the certificate")
            .detail(certificate.whose_key()?)
            .detail(format!(
                "the key SHA-256 of the private key is {}",
                key.public_key().fingerprint()?
            ))
            .remedy("give the certificate that was issued for this very key"));
    }
    let mut descriptor = names.read_descriptor()?;
    let (digest, archive) = names.digest_or(digest)?;
    let before = standings(&descriptor, digest);
    let mut about = About { digest, contents: None, before, warnings: Vec::new() };
    let mut doubt = |error: Error| match in_doubt {
        InDoubt::Refuse => Err(error.detail("nothing was signed; --force signs it all the same")),
        InDoubt::Sign => {
            about.warnings.push(error.to_string());
            Ok(())
        }
    };
    let place = archive.as_ref().map(|_| names.archive.as_path());
    if let Some(error) = other_archive(names, place, digest, &about.before) {
        doubt(error)?;
    }
    match archive {
        None => about.warnings.push(format!(
            "{} is not here: nobody has looked into it on this machine",
            names.archive.display()
        )),
        Some(archive) => match open::rehearse(names, digest, archive) {
            Ok(package) => {
                if let Err(error) = check_kernel(&package.kernel().head) {
                    let warning = format!("a machine will not boot this kernel: {error}");
                    about.warnings.push(warning);
                }
                about.contents = Some(Seen {
                    manifest: package.manifest().clone(),
                    kernel: package.kernel().sha256(),
                    initramfs: package.initramfs().sha256(),
                });
            }
            Err(error) => doubt(error)?,
        },
    }
    condition(&about)?;
    let signature = key.sign(digest.as_bytes())?;
    descriptor
        .push(&certificate.to_pem()?, &signature)
        .map_err(|error| Error::coded(&error).on(names.descriptor.display()))?;
    write_descriptor(&names.descriptor, &descriptor)?;
    Ok(Signed { about, signatures: descriptor.endorsements().len() })
}

/// All signatures of a descriptor, held against an archive with this digest.
pub(crate) fn standings(descriptor: &Descriptor, digest: Sha256Digest) -> Vec<Standing> {
    (1..)
        .zip(descriptor.endorsements())
        .map(|(entry, endorsement)| Standing {
            entry,
            subject: trust::Certificate::parse(&endorsement.certificate_der)
                .map_or_else(|_| "?".to_owned(), |certificate| certificate.label()),
            over_this_archive: is_over(endorsement, digest),
        })
        .collect()
}

/// Whether a signature, plain or in a Sigsum proof, is its certificate's key's over an archive with this digest; `None` if the
/// key is not Ed25519.
pub(crate) fn is_over(endorsement: &Endorsement, digest: Sha256Digest) -> Option<bool> {
    let certificate = trust::Certificate::parse(&endorsement.certificate_der).ok()?;
    let key = certificate.ed25519_public_key()?;
    if trust::sigsum::is_proof(&endorsement.signature) {
        let proof = trust::sigsum::Proof::parse(&endorsement.signature);
        return Some(proof.is_ok_and(|proof| proof.check_leaf(&certificate, digest).is_ok()));
    }
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_bytes(&key), Signature::from_slice(&endorsement.signature))
    else {
        return Some(false);
    };
    Some(key.verify_strict(digest.as_bytes(), &signature).is_ok())
}

/// The error about signatures that are over another archive than the one at hand, or than the one whose
/// digest was told.
fn other_archive(
    names: &Names,
    archive: Option<&Path>,
    digest: Sha256Digest,
    before: &[Standing],
) -> Option<Error> {
    let other: Vec<&Standing> =
        before.iter().filter(|it| it.over_this_archive == Some(false)).collect();
    let entries: Vec<String> = other.iter().map(|it| it.entry.to_string()).collect();
    let subjects: Vec<&str> = other.iter().map(|it| it.subject.as_str()).collect();
    let (thing, verb) = match other.len() {
        0 => return None,
        1 => ("signature", "is"),
        _ => ("signatures", "are"),
    };
    let what = match archive {
        Some(archive) => archive.display().to_string(),
        None => format!("the archive with the SHA-256 of --digest, {digest}"),
    };
    let message = format!(
        "{}: {thing} {} ({}) {verb} not over {what}",
        names.descriptor.display(),
        entries.join(", "),
        subjects.join(", "),
    );
    let remedy = match archive {
        Some(_) => {
            "find out who changed the archive, and sign the one that the others have signed; if it \
             was replaced on purpose, start with `ramstrap ospkg create --replace`"
        }
        None => {
            "ask whoever told you the digest, and those who have signed, for the SHA-256 of their \
             archive: somebody has another one, or the digest is of another release"
        }
    };
    Some(Error::with_code(Code::SignatureWrong, message).remedy(remedy))
}
