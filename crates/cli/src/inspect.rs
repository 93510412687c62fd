//! Reads back what a boot image or a boot medium holds.
//!
//! Images may come from anywhere: every size is bounded, every reader ends, and what does not parse
//! becomes an error or a warning. Nothing here decides whether anything boots.

mod cut;
mod initramfs;
mod iso;
mod medium;
mod parts;
mod uki;

use std::path::Path;

use ospkg::bzimage::BzImage;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::Error;
use crate::Result;
use crate::media;

pub use initramfs::Archive;
pub use initramfs::Init;
pub use initramfs::Initramfs;
pub use initramfs::Member;
pub use initramfs::Modules;
pub use initramfs::Policy;
pub use initramfs::Root;
pub use initramfs::build_time;
pub use parts::parts;
pub use uki::Pcrs;
pub use uki::Signature;
pub use uki::Uki;

/// Largest image that is read: no boot medium is that large.
pub(crate) const MAX_IMAGE: u64 = 2 << 30;

/// What kind of image it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One or more cpio archives.
    Initramfs,
    /// A bzImage alone.
    Kernel,
    /// A unified kernel image.
    Uki,
    /// A UEFI executable that is no UKI.
    EfiExecutable,
    /// An ISO 9660 image.
    Iso,
    /// A disk image with a GPT and an EFI system partition.
    Disk,
    /// A directory for TFTP and HTTP servers.
    Pxe,
}

impl Kind {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Initramfs => "initramfs",
            Self::Kernel => "kernel (bzImage)",
            Self::Uki => "UKI (UEFI executable with kernel and initramfs)",
            Self::EfiExecutable => "UEFI executable, no UKI",
            Self::Iso => "ISO image",
            Self::Disk => "disk image with an EFI system partition",
            Self::Pxe => "directory for machines that start over the network",
        }
    }
}

/// A kernel inside an image.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Kernel {
    /// As `uname -r` will have it, if it says so.
    pub release: Option<String>,
    /// Length in bytes.
    pub size: u64,
    /// Of the bzImage.
    pub sha256: String,
}

/// What an image holds.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// What kind it is.
    pub kind: Kind,
    /// Length in bytes; of a directory, of all its files.
    pub size: u64,
    /// Of the whole file; none for a directory.
    pub sha256: Option<String>,
    /// The kernel that is started.
    pub kernel: Option<Kernel>,
    /// Its command line.
    pub command_line: Option<String>,
    /// The UEFI executable.
    pub uki: Option<Uki>,
    /// The initramfs.
    pub initramfs: Option<Initramfs>,
    /// What is odd: parts that differ from each other, do not parse, or are missing.
    pub warnings: Vec<String>,
}

/// Reads the image at `path`: a file, or a directory as `--format pxe` makes it.
///
/// # Errors
/// If it cannot be read, is of no known kind, or is damaged so that nothing can be said of it.
pub fn inspect(path: &Path) -> Result<Inspection> {
    if path.is_dir() {
        return medium::directory(path);
    }
    let bytes = read(path)?;
    inspect_bytes(&bytes).map_err(|error| error.on(path.display()))
}

/// As [`inspect`], of a file's content.
///
/// # Errors
/// If it is of no known kind, or is damaged so that nothing can be said of it.
pub fn inspect_bytes(bytes: &[u8]) -> Result<Inspection> {
    let mut found = match kind(bytes)? {
        Kind::Iso => medium::iso(bytes)?,
        Kind::Disk => medium::disk(bytes)?,
        Kind::Kernel => kernel_alone(bytes),
        Kind::Initramfs => of_initramfs(bytes)?,
        Kind::EfiExecutable | Kind::Uki | Kind::Pxe => uki::executable(bytes),
    };
    found.size = bytes.len() as u64;
    found.sha256 = Some(sha256(bytes));
    Ok(found)
}

/// What kind of image this is, by its first bytes. A UKI counts as a UEFI executable here.
fn kind(bytes: &[u8]) -> Result<Kind> {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..offset + magic.len()) == Some(magic);
    let pe = at(0, b"MZ").then(|| bootmedia::pe::Image::parse(bytes));
    if at(0x8001, b"CD001") {
        Ok(Kind::Iso)
    } else if at(512, b"EFI PART") {
        Ok(Kind::Disk)
    } else if let Some(error) = at(0x202, b"HdrS").then(|| cut::kernel(bytes)).flatten() {
        Err(error)
    } else if let Some(Ok(_)) = pe {
        Ok(Kind::EfiExecutable)
    } else if at(0x202, b"HdrS") {
        Ok(Kind::Kernel)
    } else if let Some(Err(error)) = pe {
        Err(cut::executable(bytes, &error))
    } else if rebuild::initramfs::begins(bytes) {
        Ok(Kind::Initramfs)
    } else {
        Err(Error::new(format!(
            "it is no initramfs, UEFI executable, ISO, disk image or kernel that is known here, or too \
             little of one: it has {} bytes",
            bytes.len()
        ))
        .remedy("give a whole file that `boot-image build` made, or the directory of --format pxe"))
    }
}

impl Inspection {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            size: 0,
            sha256: None,
            kernel: None,
            command_line: None,
            uki: None,
            initramfs: None,
            warnings: Vec::new(),
        }
    }
}

impl Kernel {
    /// With a warning if no machine would boot it.
    fn of(bytes: &[u8], warnings: &mut Vec<String>) -> Self {
        if let Err(error) = BzImage::parse_whole(bytes) {
            warnings.push(error.to_string());
        }
        Self { release: media::release(bytes), size: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

fn kernel_alone(bytes: &[u8]) -> Inspection {
    let mut found = Inspection::new(Kind::Kernel);
    found.kernel = Some(Kernel::of(bytes, &mut found.warnings));
    found
}

fn of_initramfs(bytes: &[u8]) -> Result<Inspection> {
    let mut found = Inspection::new(Kind::Initramfs);
    found.initramfs = Some(Initramfs::read(bytes, &mut found.warnings)?);
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let data = std::fs::metadata(path).map_err(|error| Error::io("read", path, &error))?;
    if data.len() > MAX_IMAGE {
        return Err(Error::new(format!("{} is larger than 2 GiB", path.display()))
            .remedy("is it the right file? no boot medium is that large"));
    }
    crate::files::read_large(path)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let _ = inspect_bytes(&bytes);
        }

        #[test]
        fn any_bytes_behind_a_magic_number_are_survived(
            kind in 0_usize..7,
            tail in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            let (at, magic): (usize, &[u8]) = [
                (0, b"070701".as_slice()),
                (0, b"\x28\xb5\x2f\xfd"),
                (0, b"\x1f\x8b\x08"),
                (0, b"\xfd7zXZ\0"),
                (0, b"MZ"),
                (512, b"EFI PART"),
                (0x8001, b"CD001"),
            ][kind];
            let mut bytes = vec![0; at];
            bytes.extend_from_slice(magic);
            bytes.extend(tail);
            let _ = inspect_bytes(&bytes);
        }
    }

    #[test]
    fn something_else_is_refused() {
        for bytes in [b"".as_slice(), b"#!/bin/sh\n", &[0; 100], &[0; 100_000]] {
            let error = inspect_bytes(bytes).unwrap_err();
            assert!(error.to_string().contains("that is known here"), "{error}");
        }
    }
}
