//! Making archives.

use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;

use report::Code;
use report::Coded;
use trust::Channel;
use trust::Timestamp;

use crate::manifest::Manifest;
use crate::manifest::ManifestError;
use crate::package::MANIFEST;
use crate::package::MAX_MEMBER_LEN;
use crate::zip::WriteError;
use crate::zip::Writer;

const DIRECTORY: &str = "boot/";
/// Longest file name in the archive, in bytes: that of the usual file systems.
const MAX_FILE_NAME: usize = 255;

/// What goes into an archive besides kernel and initramfs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CreateOptions {
    /// Name for people; none if empty.
    pub label: String,
    /// Command line for the kernel; none if empty.
    pub cmdline: String,
    /// Name of the kernel; of a path the last part counts.
    pub kernel_name: String,
    /// Name of the initramfs; of a path the last part counts. Made different if it is the kernel's.
    pub initramfs_name: String,
    /// With what time-out, in seconds, a hardware watchdog runs on for the OS to take over; it is
    /// disarmed if there is none. Within [`crate::WATCHDOG_SECONDS`].
    pub watchdog_seconds: Option<u32>,
    /// Number that grows from one release of the package to the next; none if it has no number.
    pub release: Option<u64>,
    /// The last second at which machines may boot the package; none if it has no end.
    pub not_after: Option<Timestamp>,
    /// The line of releases that it belongs to; none if it belongs to none.
    pub channel: Option<Channel>,
    /// Further files, which no bootloader looks at but the signatures cover: their names, none of
    /// them in a directory, and what is in them. They are written in this order.
    pub extra: Vec<(String, Vec<u8>)>,
}

/// A file that goes into an archive.
#[derive(Clone, Debug)]
pub struct Input<R> {
    /// Its length in bytes.
    pub len: u64,
    /// Yields exactly that many bytes.
    pub data: R,
}

impl<'a> From<&'a [u8]> for Input<&'a [u8]> {
    fn from(data: &'a [u8]) -> Self {
        Self { len: data.len() as u64, data }
    }
}

/// Why an archive could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A name cannot be used.
    #[error("{file}: {name:?} cannot be the name of a file in an archive")]
    Name {
        /// `kernel`, `initramfs` or `extra file`.
        file: &'static str,
        /// What was given.
        name: String,
    },
    /// Two files would have the same name.
    #[error("{0}: there is another file of this name in the archive")]
    Twice(String),
    /// The kernel has no bytes.
    #[error("kernel: it is empty")]
    EmptyKernel,
    /// The initramfs has no bytes.
    #[error("initramfs: it is empty")]
    EmptyInitramfs,
    /// Larger than [`MAX_MEMBER_LEN`], or both together larger than an archive can be.
    #[error("{file}: {len} bytes are too many")]
    TooLarge {
        /// `kernel` or `initramfs`.
        file: &'static str,
        /// Its length in bytes.
        len: u64,
    },
    /// The command line, the watchdog's time-out or the end cannot be used.
    #[error("{0}")]
    Manifest(ManifestError),
    /// A file has not the length that was given.
    #[error("{file}: its length changed while it was read")]
    Length {
        /// `kernel` or `initramfs`.
        file: &'static str,
    },
    /// A file could not be read.
    #[error("{file}: reading it failed: {error}")]
    Read {
        /// `kernel` or `initramfs`.
        file: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The archive could not be written.
    #[error("archive: writing it failed: {0}")]
    Write(#[source] io::Error),
}

impl Coded for CreateError {
    fn code(&self) -> Code {
        match self {
            Self::Name { .. } | Self::Twice(_) | Self::Manifest(_) => Code::ManifestInvalid,
            Self::EmptyKernel => Code::KernelMissing,
            Self::EmptyInitramfs => Code::InitramfsMissing,
            Self::TooLarge { .. } => Code::MemberTooLarge,
            Self::Length { .. } | Self::Read { .. } | Self::Write(_) => Code::Internal,
        }
    }
}

/// Writes an archive to `out`, which must be empty and at its start; gives the archive's length.
///
/// The same inputs give the same bytes, anywhere. Entries are `boot/`, the kernel, the initramfs,
/// `manifest.json` and the extra files, all stored; the data of kernel and initramfs starts on a page (4096 bytes),
/// so that opening the package needs no unpacking. Nothing is buffered but a mebibyte.
///
/// # Errors
///
/// [`CreateError`]; what was written until then is no archive.
pub fn create<W: Write + Seek, K: Read, I: Read>(
    out: W,
    options: &CreateOptions,
    kernel: Input<K>,
    initramfs: Input<I>,
) -> Result<u64, CreateError> {
    let kernel_name = file_name("kernel", &options.kernel_name)?;
    let mut initramfs_name = file_name("initramfs", &options.initramfs_name)?;
    if initramfs_name == kernel_name {
        initramfs_name = file_name("initramfs", &format!("{initramfs_name}.initramfs"))?;
    }
    let manifest = Manifest {
        label: Some(options.label.clone()).filter(|label| !label.is_empty()),
        kernel: format!("{DIRECTORY}{kernel_name}"),
        initramfs: format!("{DIRECTORY}{initramfs_name}"),
        cmdline: Some(options.cmdline.clone()).filter(|cmdline| !cmdline.is_empty()),
        watchdog_seconds: options.watchdog_seconds,
        release: options.release,
        not_after: options.not_after,
        channel: options.channel.clone(),
    };
    manifest.check().map_err(CreateError::Manifest)?;
    if kernel.len == 0 {
        return Err(CreateError::EmptyKernel);
    }
    if initramfs.len == 0 {
        return Err(CreateError::EmptyInitramfs);
    }
    check_extra(&options.extra)?;
    for (file, len) in [("kernel", kernel.len), ("initramfs", initramfs.len)] {
        if len > MAX_MEMBER_LEN {
            return Err(CreateError::TooLarge { file, len });
        }
    }

    let failed = |file: &'static str, len: u64| {
        move |error: WriteError| match error {
            WriteError::Write(error) => CreateError::Write(error),
            WriteError::Read(error) => CreateError::Read { file, error },
            WriteError::Length => CreateError::Length { file },
            WriteError::TooLarge => CreateError::TooLarge { file, len },
        }
    };
    let (kernel_len, initramfs_len) = (kernel.len, initramfs.len);
    let mut archive = Writer::new(out);
    archive.directory(DIRECTORY).map_err(failed("kernel", kernel_len))?;
    archive
        .aligned(&manifest.kernel, kernel_len, kernel.data)
        .map_err(failed("kernel", kernel_len))?;
    archive
        .aligned(&manifest.initramfs, initramfs_len, initramfs.data)
        .map_err(failed("initramfs", initramfs_len))?;
    archive
        .file(MANIFEST, manifest.to_json().as_bytes())
        .map_err(failed("initramfs", initramfs_len))?;
    for (name, content) in &options.extra {
        let len = content.len() as u64;
        archive.file(name, content).map_err(failed("extra file", len))?;
    }
    archive.finish().map_err(failed("initramfs", initramfs_len))
}

/// They must not take the place of what bootloaders read, nor of one another.
fn check_extra(extra: &[(String, Vec<u8>)]) -> Result<(), CreateError> {
    let mut taken = vec![MANIFEST.to_owned()];
    for (name, _) in extra {
        if file_name("extra file", name)? != *name {
            return Err(CreateError::Name { file: "extra file", name: name.clone() });
        }
        if taken.contains(name) {
            return Err(CreateError::Twice(name.clone()));
        }
        taken.push(name.clone());
    }
    Ok(())
}

fn file_name<'a>(file: &'static str, path: &'a str) -> Result<String, CreateError> {
    let name: &'a str = path.rsplit('/').next().unwrap_or_default();
    let usable = !matches!(name, "" | "." | "..")
        && name.len() <= MAX_FILE_NAME
        && !name.contains(|character: char| character.is_control() || character == '\\');
    if usable {
        Ok(name.to_owned())
    } else {
        Err(CreateError::Name { file, name: path.to_owned() })
    }
}
