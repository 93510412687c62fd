//! The files of two initramfs, as they are once the kernel has unpacked all archives: of files with
//! the same path the last one counts.

use std::collections::BTreeMap;

use rebuild::initramfs;
use rebuild::initramfs::Archive;
use rebuild::initramfs::Limits;
use rebuild::initramfs::Member;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

const TYPE: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// A file of an initramfs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct File {
    /// `file`, `directory`, `symlink`, `device` or `other`.
    pub kind: &'static str,
    /// Permissions, as `0755`.
    pub mode: String,
    /// User and group, as `0:0`.
    pub owner: String,
    /// Length in bytes, of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Of the content, of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a symbolic link leads, or the numbers of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A file that only one of the two has.
#[derive(Clone, Debug, Serialize)]
pub struct Only {
    /// Path without a leading slash.
    pub path: String,
    /// The file.
    #[serde(flatten)]
    pub file: File,
}

/// A file that both have, but not alike.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// Path without a leading slash.
    pub path: String,
    /// What of it: `kind`, `mode`, `owner`, `content`, `target`.
    pub what: Vec<&'static str>,
    /// In the first.
    pub first: File,
    /// In the second.
    pub second: File,
}

/// Files that are not the same in both.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Files {
    /// Only the first has these.
    pub removed: Vec<Only>,
    /// Only the second has these.
    pub added: Vec<Only>,
    /// Both have these, but not alike. Times of modification are not looked at.
    pub changed: Vec<Changed>,
    /// How many both have alike.
    pub alike: usize,
}

/// Compares them.
///
/// # Errors
/// Which one cannot be read, and why.
pub(super) fn files(first: &[u8], second: &[u8]) -> Result<Files, String> {
    if first == second {
        let alike = tree(first).map_or(0, |tree| tree.len());
        return Ok(Files { alike, ..Files::default() });
    }
    let first = tree(first).map_err(|error| format!("first: {error}"))?;
    let mut second = tree(second).map_err(|error| format!("second: {error}"))?;
    let mut files = Files::default();
    for (path, one) in first {
        match second.remove(&path) {
            None => files.removed.push(Only { path, file: one }),
            Some(other) if one == other => files.alike += 1,
            Some(other) => {
                let what = what(&one, &other);
                files.changed.push(Changed { path, what, first: one, second: other });
            }
        }
    }
    files.added = second.into_iter().map(|(path, file)| Only { path, file }).collect();
    Ok(files)
}

fn what(one: &File, other: &File) -> Vec<&'static str> {
    let all = [
        ("kind", one.kind != other.kind),
        ("mode", one.mode != other.mode),
        ("owner", one.owner != other.owner),
        ("content", one.sha256 != other.sha256),
        ("target", one.target != other.target),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn tree(image: &[u8]) -> Result<BTreeMap<String, File>, rebuild::Error> {
    let archives = initramfs::read(image, Limits::default())?;
    let mut tree = BTreeMap::new();
    for archive in &archives {
        // Of files with several names only one member has the content.
        let linked: BTreeMap<u32, &Member> = archive
            .members
            .iter()
            .filter(|it| it.links > 1 && it.mode & TYPE == FILE && !it.content.is_empty())
            .map(|it| (it.inode, it))
            .collect();
        for member in &archive.members {
            let content = match linked.get(&member.inode) {
                Some(other) if member.links > 1 && member.content.is_empty() => other,
                _ => member,
            };
            tree.insert(member.path.clone(), file(archive, member, content));
        }
    }
    Ok(tree)
}

fn file(archive: &Archive<'_>, member: &Member, content: &Member) -> File {
    let bytes = archive.content(content);
    let kind = match member.mode & TYPE {
        FILE => "file",
        0o040_000 => "directory",
        SYMLINK => "symlink",
        0o020_000 | 0o060_000 => "device",
        _ => "other",
    };
    let is_file = kind == "file";
    File {
        kind,
        mode: format!("{:04o}", member.mode & 0o7777),
        owner: format!("{}:{}", member.owner.0, member.owner.1),
        size: is_file.then_some(bytes.len() as u64),
        sha256: is_file.then(|| hex::encode(Sha256::digest(bytes))),
        target: match kind {
            "symlink" => Some(String::from_utf8_lossy(bytes).into_owned()),
            "device" => Some(format!("{}:{}", member.device.0, member.device.1)),
            _ => None,
        },
    }
}
