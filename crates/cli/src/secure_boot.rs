//! Secure Boot with own keys: making them, entering them into a machine, signing with them.

mod enroll;
mod keys;

use std::path::Path;

use bootmedia::authenticode;
use bootmedia::authenticode::SignError;
use bootmedia::authenticode::Signer;
use bootmedia::signer;
use x509_cert::der::Encode;

pub use enroll::Enrolled;
pub use enroll::SetupMode;
pub use enroll::enroll;
pub use enroll::mount;
pub use enroll::restart;
pub use keys::DEFAULT_BITS;
pub use keys::KeySet;
pub use keys::Request;
pub(crate) use keys::refuse_used;
pub use keys::vm_variables;

use crate::Error;
use crate::Result;
use crate::files;

/// Reads an RSA key and its certificate, and sees that they belong together.
///
/// # Errors
/// Which file cannot be used, and why; or that one is not for the other.
pub fn read_signer(key: &Path, certificate: &Path) -> Result<Signer> {
    let (key_bytes, certificate_bytes) = (files::read(key)?, files::read(certificate)?);
    Signer::from_pem(&key_bytes, &certificate_bytes).map_err(|error| {
        let words = Error::new(error.to_string());
        match error {
            SignError::Encrypted => words
                .on(key.display())
                .remedy("decrypt a copy of it with `openssl rsa`, or sign with a tool that asks"),
            SignError::NotRsa | SignError::BadRsa(_) => words
                .on(key.display())
                .remedy("`ramstrap secure-boot keygen` makes keys that firmware can verify"),
            SignError::NotKey(_) => words
                .on(key.display())
                .remedy("give a private key in PEM: PRIVATE KEY or RSA PRIVATE KEY"),
            SignError::NotCertificate(_) => not_certificate(&error, certificate),
            SignError::Mismatch(_) => {
                words.on(format!("{} and {}", key.display(), certificate.display())).remedy(
                    "give the certificate that was made with this key, such as db.key and db.crt",
                )
            }
            _ => words,
        }
    })
}

/// Reads a certificate (PEM or DER) as it is, and sees that it is one.
///
/// # Errors
/// If it cannot be read, or why it is none.
pub(crate) fn read_certificate(path: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(path)?;
    match signer::read_certificate(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(not_certificate(&error, path)),
    }
}

/// Reads a certificate (PEM or DER) as it stands in signature lists: in DER.
fn certificate_der(path: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(path)?;
    signer::read_certificate(&bytes)
        .map_err(|error| not_certificate(&error, path))?
        .to_der()
        .map_err(|error| Error::new(error.to_string()).on(path.display()))
}

fn not_certificate(error: &SignError, path: &Path) -> Error {
    Error::new(error.to_string())
        .on(path.display())
        .remedy("give a file with one certificate in PEM or DER, such as db.crt or db.cer")
}

/// Refuses an image that was changed after somebody signed it: nobody with Secure Boot starts it, and
/// whoever signed it once more would vouch for what another has changed.
///
/// # Errors
/// If one of its signatures is over something else.
pub fn refuse_changed(image: &[u8]) -> Result<()> {
    let signatures = authenticode::signatures(image).unwrap_or_default();
    match signatures.iter().find(|signature| !signature.digest_matches) {
        Some(signature) => Err(Error::new(format!(
            "the signature by {} is over another image: this one was changed after signing",
            signature.subject
        ))
        .remedy(CHANGED)),
        None => Ok(()),
    }
}

/// What to do with an image that was changed after signing.
pub const CHANGED: &str =
    "do not sign it: copy the signed image again, or build it anew and sign that";
