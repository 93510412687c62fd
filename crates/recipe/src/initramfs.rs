//! A root file system as the kernel unpacks it: a cpio archive ("new ASCII"), compressed with zstd.

use std::io::Write;

use cpio::newc;

use crate::Error;
use crate::Result;
use crate::tree::Kind;
use crate::tree::Tree;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Best ratio that still unpacks in a fraction of a second; the window stays at 8 MiB.
const ZSTD_LEVEL: i32 = 19;

/// The archive: sorted by path, every time the same.
///
/// # Errors
/// If a file is too large, or the time is none that an archive can hold.
pub fn archive(tree: &Tree, source_date_epoch: i64) -> Result<Vec<u8>> {
    let time = u32::try_from(source_date_epoch).map_err(|_| {
        Error::new(format!("source_date_epoch {source_date_epoch} is out of range"))
    })?;
    let mut out = Vec::new();
    for (inode, (path, node)) in (1_u32..).zip(tree.iter()) {
        let (format, content): (u32, &[u8]) = match &node.kind {
            Kind::Directory => (DIRECTORY, &[]),
            Kind::File(content) => (REGULAR, content),
            Kind::Symlink(target) => (SYMLINK, target.as_bytes()),
            Kind::CharacterDevice(..) => (CHARACTER_DEVICE, &[]),
        };
        let length = u32::try_from(content.len())
            .map_err(|_| Error::new(format!("/{path} is too large for an initramfs")))?;
        let mut entry = newc::Builder::new(path)
            .ino(inode)
            .mode(format | node.mode)
            .uid(node.uid)
            .gid(node.gid)
            .nlink(if format == DIRECTORY { 2 } else { 1 })
            .mtime(time);
        if let Kind::CharacterDevice(major, minor) = node.kind {
            entry = entry.rdev_major(major).rdev_minor(minor);
        }
        let failed = |error: std::io::Error| Error::new(format!("/{path}: {error}"));
        let mut writer = entry.write(&mut out, length);
        writer.write_all(content).map_err(failed)?;
        writer.finish().map_err(failed)?;
    }
    newc::trailer(&mut out).map_err(|error| Error::new(format!("the initramfs: {error}")))?;
    Ok(out)
}

/// One zstd frame, padded with zeros to a multiple of 4: the kernel skips them.
///
/// # Errors
/// If compression fails.
pub fn compress(archive: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::new(format!("compressing the initramfs: {error}"));
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?;
    compressor.include_checksum(true).map_err(failed)?;
    let mut bytes = compressor.compress(archive).map_err(failed)?;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes)
}
