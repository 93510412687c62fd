//! Opening an archive as a machine does, keeping next to nothing of it.

use std::fs::File;
use std::io::Write;

use ospkg::AdmissionError;
use ospkg::Package;
use ospkg::PackageError;
use ospkg::VerifiedPackage;
use ospkg::bzimage::HEADER_LEN;
use report::Coded;
use sha2::Digest;
use sha2::Sha256;
use trust::Authorized;
use trust::Clock;
use trust::Endorsement;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;

use super::Names;
use crate::Error;
use crate::Result;
use crate::certificate;
use crate::certificate::Validity;
use crate::dates;
use crate::keys::PrivateKey;
use crate::keys::Signer;
use crate::progress::Progress;

/// An archive that was read to its end: manifest, kernel and initramfs are what they should be.
pub(crate) type Opened = VerifiedPackage<Sink, Sink>;

/// Takes everything and keeps the start of it.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    /// The first [`HEADER_LEN`] bytes.
    pub(crate) head: Vec<u8>,
    /// How many bytes came.
    pub(crate) length: u64,
    hash: Sha256,
}

impl Sink {
    /// SHA-256 of all that came.
    pub(crate) fn sha256(&self) -> Sha256Digest {
        Sha256Digest::from_bytes(self.hash.clone().finalize().into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = HEADER_LEN.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.length += bytes.len() as u64;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Opens an authorised archive whose SHA-256 is `digest`.
///
/// # Errors
/// Whatever would keep a machine from taking kernel and initramfs out of it.
pub(crate) fn open(
    names: &Names,
    authorized: Authorized,
    digest: Sha256Digest,
    archive: File,
) -> Result<Opened> {
    open_into(names, authorized, digest, archive, Sink::default(), Sink::default())
}

/// As [`open`], with kernel and initramfs copied to where they are wanted. What was copied is
/// worthless after an error.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_into<K: Write, I: Write>(
    names: &Names,
    authorized: Authorized,
    digest: Sha256Digest,
    archive: File,
    kernel: K,
    initramfs: I,
) -> Result<VerifiedPackage<K, I>> {
    let _progress = Progress::spinner("unpacking");
    Package::open(authorized, digest, archive)
        .and_then(|package| package.extract(kernel, initramfs, |_, _| {}))
        .map_err(|error| refused(&error).on(names.archive.display()))
}

/// Why a machine does not open it. What it says of clocks is true of machines only: here no time
/// server was asked.
pub(crate) fn refused(error: &PackageError) -> Error {
    let PackageError::Admission(AdmissionError::Expired { end, clock }) = error else {
        return Error::coded(error);
    };
    let now = clock.now_for(clock.floor());
    Error::with_code(
        error.code(),
        format!(
            "archive: its manifest says not_after {end}, and it is {now} or later by the time that it \
             is judged by"
        ),
    )
}

/// Opens an archive that nobody has signed yet: what a machine will do with it once enough signers
/// have.
///
/// Only what is authorised can be opened, so it is authorised here by a key made for this one call,
/// under a policy that knows no other.
///
/// # Errors
/// As [`open`].
pub(crate) fn rehearse(names: &Names, digest: Sha256Digest, archive: File) -> Result<Opened> {
    open(names, anybody(digest)?, digest, archive)
}

/// The authorisation of an archive that nobody vouches for, by a key made for this one call.
///
/// # Errors
/// If there are no random numbers.
pub(crate) fn anybody(digest: Sha256Digest) -> Result<Authorized> {
    let now = dates::now();
    let key = PrivateKey::generate()?;
    let validity = Validity::days(now - dates::DAY, 2);
    let root = certificate::issue_root(&Signer::from(&key), Some("rehearsal"), validity)?;
    let policy = TrustPolicy::for_roots(root.to_pem()?.as_bytes(), 1)
        .map_err(|error| Error::new(format!("rehearsing the boot: {error}")))?;
    let endorsement = Endorsement {
        certificate_der: root.to_der()?,
        signature: ospkg::sign(key.signing_key(), digest).to_vec(),
    };
    let clock = Clock::exactly(Timestamp::from_unix(now));
    trust::authorize(&policy, &[endorsement], digest, &clock)
        .map_err(|refusal| Error::new(format!("rehearsing the boot: {refusal}")))
}
