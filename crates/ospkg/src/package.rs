//! Opening an authorised archive and taking kernel and initramfs out of it.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;

use report::Code;
use report::Coded;
use trust::Authorized;
use trust::Sha256Digest;

use crate::admission;
use crate::admission::AdmissionError;
use crate::manifest::MAX_MANIFEST_LEN;
use crate::manifest::Manifest;
use crate::manifest::ManifestError;
use crate::zip::Directory;
use crate::zip::Entry;
use crate::zip::Member;
use crate::zip::ZipError;
use crate::zip::copy_member;

/// Longest kernel or initramfs, in bytes: kernels before 6.16 cannot take larger ones.
pub const MAX_MEMBER_LEN: u64 = 2 * 1024 * 1024 * 1024;

pub(crate) const MANIFEST: &str = "manifest.json";

/// Why an authorised archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The archive is not the one that was authorised.
    #[error("archive: its SHA-256 is {found}, but {authorized} is what was signed")]
    OtherArchive {
        /// Digest of the archive at hand.
        found: Sha256Digest,
        /// Digest that the signatures are over.
        authorized: Sha256Digest,
    },
    /// Not a usable ZIP file.
    #[error("archive: {0}")]
    Archive(String),
    /// A member cannot be read.
    #[error("archive: {member}: {reason}")]
    Member {
        /// Its name, printable.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no `manifest.json`.
    #[error("archive: it has no manifest.json")]
    NoManifest,
    /// `manifest.json` cannot be used.
    #[error("archive: {0}")]
    Manifest(ManifestError),
    /// The trust policy or the clock does not let it run.
    #[error("archive: {0}")]
    Admission(AdmissionError),
    /// The kernel is missing or empty; the text says which.
    #[error("archive: kernel {0}")]
    Kernel(String),
    /// The initramfs is missing or empty; the text says which.
    #[error("archive: initramfs {0}")]
    Initramfs(String),
    /// Kernel or initramfs is larger than [`MAX_MEMBER_LEN`].
    #[error("archive: {member} has {len} bytes, more than {MAX_MEMBER_LEN}")]
    TooLarge {
        /// Its name, printable.
        member: String,
        /// Its length in bytes.
        len: u64,
    },
    /// The archive could not be read.
    #[error("archive: reading it failed: {0}")]
    Read(#[source] io::Error),
    /// Kernel or initramfs could not be copied.
    #[error("archive: copying {member} failed: {error}")]
    Write {
        /// Its name, printable.
        member: String,
        /// Why.
        error: io::Error,
    },
}

impl Coded for PackageError {
    fn code(&self) -> Code {
        match self {
            Self::OtherArchive { .. } => Code::SignatureWrong,
            Self::Archive(_) | Self::Member { .. } => Code::ArchiveInvalid,
            Self::NoManifest => Code::ManifestMissing,
            Self::Manifest(_) => Code::ManifestInvalid,
            Self::Admission(error) => error.code(),
            Self::Kernel(_) => Code::KernelMissing,
            Self::Initramfs(_) => Code::InitramfsMissing,
            Self::TooLarge { .. } => Code::MemberTooLarge,
            Self::Read(_) => Code::Internal,
            Self::Write { .. } => Code::MemoryFile,
        }
    }
}

/// An authorised archive with its manifest read and its kernel and initramfs found.
#[derive(Debug)]
pub struct Package<R> {
    authorized: Authorized,
    archive: R,
    archive_len: u64,
    manifest: Manifest,
    kernel: Member,
    initramfs: Member,
}

impl<R: Read + Seek> Package<R> {
    /// Opens an archive. `digest` is the SHA-256 of what `archive` yields, computed while it
    /// arrived; it is not computed again, so nothing may change the archive in between.
    ///
    /// # Errors
    ///
    /// [`PackageError::OtherArchive`] if that is not the digest that was authorised; everything
    /// else that can be told without unpacking: no ZIP file, no manifest, a release or a channel that
    /// the trust policy does not let run, an end that has passed, kernel or initramfs missing, empty, too large or compressed in a way
    /// that is not supported.
    pub fn open(
        authorized: Authorized,
        digest: Sha256Digest,
        mut archive: R,
    ) -> Result<Self, PackageError> {
        if digest != authorized.archive_digest() {
            return Err(PackageError::OtherArchive {
                found: digest,
                authorized: authorized.archive_digest(),
            });
        }
        let directory = Directory::read(&mut archive).map_err(in_archive)?;
        let manifest = read_manifest(&mut archive, &directory)?;
        admission::check(&manifest, &authorized).map_err(PackageError::Admission)?;
        let kernel = find(&mut archive, &directory, &manifest.kernel, PackageError::Kernel)?;
        let initramfs =
            find(&mut archive, &directory, &manifest.initramfs, PackageError::Initramfs)?;
        let archive_len = directory.archive_len();
        Ok(Self { authorized, archive, archive_len, manifest, kernel, initramfs })
    }

    /// What the archive says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Who vouches for it.
    pub fn authorized(&self) -> &Authorized {
        &self.authorized
    }

    /// Length of the kernel in bytes.
    pub fn kernel_len(&self) -> u64 {
        self.kernel.len
    }

    /// Length of the initramfs in bytes.
    pub fn initramfs_len(&self) -> u64 {
        self.initramfs.len
    }

    /// The start of the kernel, at most `max` bytes: enough for [`crate::bzimage::BzImage::parse`]
    /// to say how much memory the kernel will need, before it is unpacked.
    ///
    /// # Errors
    ///
    /// [`PackageError::Member`] if it cannot be unpacked, [`PackageError::Read`].
    pub fn kernel_start(&mut self, max: usize) -> Result<Vec<u8>, PackageError> {
        self.kernel
            .read_start(&mut self.archive, max)
            .map_err(|error| in_member(&self.manifest.kernel, error))
    }

    /// Copies the kernel, then the initramfs. `consumed` hears again and again up to which offset
    /// the archive is not needed any more, and may release what is before; in the end that is the
    /// length of the archive.
    ///
    /// # Errors
    ///
    /// [`PackageError`]; what was copied until then is worthless.
    pub fn extract<K: Write, I: Write>(
        self,
        mut kernel: K,
        mut initramfs: I,
        mut consumed: impl FnMut(&mut R, u64),
    ) -> Result<VerifiedPackage<K, I>, PackageError> {
        let Self { authorized, mut archive, archive_len, manifest, .. } = self;
        // Members may lie in any order, and one may be both.
        let initramfs_start = self.initramfs.start;
        copy_member(&mut archive, &self.kernel, &mut kernel, |archive, offset| {
            consumed(archive, offset.min(initramfs_start));
        })
        .map_err(|error| in_member(&manifest.kernel, error))?;
        copy_member(&mut archive, &self.initramfs, &mut initramfs, &mut consumed)
            .map_err(|error| in_member(&manifest.initramfs, error))?;
        consumed(&mut archive, archive_len);
        Ok(VerifiedPackage { authorized, manifest, kernel, initramfs })
    }
}

/// Kernel and initramfs of an authorised archive, copied out and checked. Only
/// [`Package::extract`] makes one.
pub struct VerifiedPackage<K, I> {
    authorized: Authorized,
    manifest: Manifest,
    kernel: K,
    initramfs: I,
}

impl<K, I> VerifiedPackage<K, I> {
    /// Who vouches for it.
    pub fn authorized(&self) -> &Authorized {
        &self.authorized
    }

    /// What the archive says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the kernel was copied to.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Where the initramfs was copied to.
    pub fn initramfs(&self) -> &I {
        &self.initramfs
    }

    /// All of it: who vouches, manifest, kernel, initramfs.
    pub fn into_parts(self) -> (Authorized, Manifest, K, I) {
        (self.authorized, self.manifest, self.kernel, self.initramfs)
    }
}

impl<K, I> fmt::Debug for VerifiedPackage<K, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPackage")
            .field("authorized", &self.authorized)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

fn read_manifest<R: Read + Seek>(
    archive: &mut R,
    directory: &Directory,
) -> Result<Manifest, PackageError> {
    let entry = directory.find(MANIFEST).ok_or(PackageError::NoManifest)?;
    if entry.len > MAX_MANIFEST_LEN {
        let reason = format!("it has {} bytes, more than {MAX_MANIFEST_LEN}", entry.len);
        return Err(PackageError::Member { member: MANIFEST.to_owned(), reason });
    }
    let member = locate(archive, directory, entry, MANIFEST)?;
    let mut document = Vec::new();
    copy_member(archive, &member, &mut document, |_, _| {})
        .map_err(|error| in_member(MANIFEST, error))?;
    Manifest::parse(&document).map_err(PackageError::Manifest)
}

fn find<R: Read + Seek>(
    archive: &mut R,
    directory: &Directory,
    name: &str,
    missing: fn(String) -> PackageError,
) -> Result<Member, PackageError> {
    let Some(entry) = directory.find(name) else {
        return Err(missing(format!("{} is not in it", printable(name))));
    };
    if entry.len == 0 {
        return Err(missing(format!("{} is empty", printable(name))));
    }
    if entry.len > MAX_MEMBER_LEN {
        return Err(PackageError::TooLarge { member: printable(name), len: entry.len });
    }
    locate(archive, directory, entry, name)
}

fn locate<R: Read + Seek>(
    archive: &mut R,
    directory: &Directory,
    entry: &Entry,
    name: &str,
) -> Result<Member, PackageError> {
    Member::locate(archive, directory, entry).map_err(|error| in_member(name, error))
}

fn in_archive(error: ZipError) -> PackageError {
    match error {
        ZipError::Invalid(text) => PackageError::Archive(text),
        ZipError::Read(error) | ZipError::Write(error) => PackageError::Read(error),
    }
}

fn in_member(name: &str, error: ZipError) -> PackageError {
    let member = printable(name);
    match error {
        ZipError::Invalid(reason) => PackageError::Member { member, reason },
        ZipError::Read(error) => PackageError::Read(error),
        ZipError::Write(error) => PackageError::Write { member, error },
    }
}

/// Longest part of a name that a message repeats, in characters.
const MAX_SHOWN: usize = 100;

/// A name in a form that can go to a terminal.
fn printable(name: &str) -> String {
    let short: String = name.chars().take(MAX_SHOWN).collect();
    format!("{short:?}")
}
