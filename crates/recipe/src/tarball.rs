//! Tar archives, of packages and of whole root file systems, into a [`Tree`].

use std::io::Read;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use tar::Archive;
use tar::EntryType;

use crate::Error;
use crate::Result;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::Tree;

/// What all files of one archive may have together, in bytes: no OS in RAM is that large.
const MAX_TOTAL: u64 = 4 << 30;
/// Most entries in one archive.
const MAX_ENTRIES: usize = 1_000_000;

/// What is done about devices in an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Devices {
    /// A package has none.
    Refuse,
    /// A root file system may have some in `/dev`: they are left out, as the kernel makes its own.
    LeaveOut,
}

/// What an archive held.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Paths of files and links as they are in the tree now, with what they took the place of.
    pub replaced: Vec<(String, Node)>,
    /// What was left out or could not be kept.
    pub warnings: Vec<String>,
}

/// Takes the compression away: gzip, xz, zstd or none, told by the first bytes.
///
/// # Errors
/// If it is compressed in another way, or damaged from the start.
pub fn decompress<'a>(bytes: &'a [u8]) -> Result<Box<dyn Read + 'a>> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"\x1f\x8b") {
        return Ok(Box::new(MultiGzDecoder::new(bytes)));
    }
    if starts(b"\xfd7zXZ\0") {
        return Ok(Box::new(XzReader::new(bytes, true)));
    }
    if starts(b"\x28\xb5\x2f\xfd") {
        let decoder = zstd::stream::Decoder::new(bytes);
        return Ok(Box::new(decoder.map_err(|error| Error::new(format!("zstd: {error}")))?));
    }
    if starts(b"BZh") || starts(b"\x5d\0\0") || starts(b"\x04\x22\x4d\x18") {
        return Err(Error::new("it is compressed with bzip2, lzma or lz4")
            .remedy("compress it with gzip, xz or zstd, or not at all"));
    }
    Ok(Box::new(bytes))
}

/// Unpacks an archive into a tree.
///
/// # Errors
/// If it is damaged, or has an entry that has no place in a root file system: a path that is
/// absolute or leads out of it, a device, a link to nothing.
pub fn unpack(
    reader: impl Read,
    tree: &mut Tree,
    origin: &Arc<str>,
    devices: Devices,
) -> Result<Unpacked> {
    let damaged = |error: std::io::Error| Error::new(format!("the archive is damaged: {error}"));
    let mut archive = Archive::new(reader);
    let mut done = Unpacked::default();
    let mut total = 0_u64;
    for (number, entry) in archive.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        let raw = entry.path_bytes().into_owned();
        let Some(path) = plain_path(&raw)? else { continue };
        total = total.saturating_add(entry.size());
        if number > MAX_ENTRIES || total > MAX_TOTAL {
            return Err(Error::new("it has more than 4 GiB or a million files")
                .remedy("an OS of that size does not fit into RAM"));
        }
        if let Ok(Some(extensions)) = entry.pax_extensions() {
            let attributes =
                extensions.flatten().filter_map(|it| it.key().ok().map(ToOwned::to_owned));
            for key in attributes.filter(|key| key.starts_with("SCHILY.xattr.")) {
                let name = key.trim_start_matches("SCHILY.xattr.");
                done.warnings.push(format!("/{path}: {name} is lost: an initramfs cannot hold it"));
            }
        }
        let header = entry.header();
        let mode = header.mode().map_err(damaged)? & 0o7777;
        let id = |id: std::io::Result<u64>| {
            let id = id.map_err(damaged)?;
            u32::try_from(id)
                .map_err(|_| Error::new(format!("/{path}: owner {id} is out of range")))
        };
        let (uid, gid) = (id(header.uid())?, id(header.gid())?);
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(damaged)?;
                Kind::File(content.into())
            }
            EntryType::Symlink => Kind::Symlink(target(&entry, &path)?),
            EntryType::Link => {
                let target = target(&entry, &path)?;
                let place = plain_path(target.as_bytes())?.unwrap_or_default();
                let found = tree.resolve(&place, false).and_then(|place| tree.get(&place).cloned());
                let Some(found) = found.filter(|it| matches!(it.kind, Kind::File(_))) else {
                    return Err(Error::new(format!(
                        "/{path}: a hard link to /{place}, which is no file of it"
                    )));
                };
                found.kind
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let in_dev = path.starts_with("dev/");
                if devices == Devices::LeaveOut && in_dev {
                    continue;
                }
                return Err(Error::new(format!("/{path} is a device or a pipe")).remedy(
                    "only the kernel makes devices, in /dev: leave it out of the archive",
                ));
            }
            other => {
                return Err(Error::new(format!(
                    "/{path}: an entry of a kind ({other:?}) that is not known"
                )));
            }
        };
        let is_directory = kind == Kind::Directory;
        let node = Node { kind, mode, uid, gid, origin: Arc::clone(origin) };
        let (place, before) = tree.put(&path, node)?;
        if let Some(before) = before.filter(|_| !is_directory) {
            done.replaced.push((place, before));
        }
    }
    Ok(done)
}

/// `./usr/bin/` is `usr/bin`; none for the root itself.
fn plain_path(raw: &[u8]) -> Result<Option<String>> {
    let refused = || {
        let text = String::from_utf8_lossy(raw);
        Error::new(format!("the path {text:?} does not stay inside a root file system"))
            .remedy("get the archive anew from a place that you trust")
    };
    let text = core::str::from_utf8(raw).map_err(|_| {
        let text = String::from_utf8_lossy(raw);
        Error::new(format!("the path {text:?} is not UTF-8")).remedy("rename that file")
    })?;
    if text.starts_with('/') || text.contains('\0') {
        return Err(refused());
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(refused());
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn target<R: Read>(entry: &tar::Entry<'_, R>, path: &str) -> Result<String> {
    let raw = entry.link_name_bytes().unwrap_or_default().into_owned();
    let target = String::from_utf8(raw).ok().filter(|it| !it.is_empty() && !it.contains('\0'));
    target.ok_or_else(|| Error::new(format!("/{path}: a link whose target is no path")))
}
