//! What two archives hold beside manifest, kernel and initramfs: machines do not look at it, but it is
//! signed, and whoever takes a package apart finds it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::io::Read;

use rebuild::compare;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use zip::ZipArchive;

use super::Blob;

/// Most members that are compared: central directories are short, but packed by nobody who is known.
const MAX_MEMBERS: usize = 10_000;
/// Most bytes that are unpacked of all of them.
const MAX_BYTES: u64 = compare::MAX_FILE;

/// By name: size and digest.
#[derive(Clone, Debug, Default)]
pub(super) struct List(BTreeMap<String, Blob>);

/// Members that only one has, or that differ.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Members {
    /// Only the first has these.
    pub removed: Vec<Member>,
    /// Only the second has these.
    pub added: Vec<Member>,
    /// Both have these, with other contents.
    pub changed: Vec<Changed>,
}

/// A member of one archive.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(flatten)]
    pub blob: Blob,
}

/// A member of both archives.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// In the first.
    pub first: Blob,
    /// In the second.
    pub second: Blob,
}

impl Members {
    /// Whether both have the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self == &Self::default()
    }
}

/// All members but those with these names.
pub(super) fn list(archive: &[u8], but: &[&str]) -> Result<List, String> {
    let damaged = |error: zip::result::ZipError| error.to_string();
    let mut zip = ZipArchive::new(Cursor::new(archive)).map_err(damaged)?;
    if zip.len() > MAX_MEMBERS {
        return Err(format!("it has more than {MAX_MEMBERS} members"));
    }
    let mut left = MAX_BYTES;
    let mut found = BTreeMap::new();
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(damaged)?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        if but.contains(&name.as_str()) {
            continue;
        }
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        let mut block = vec![0; 64 << 10];
        loop {
            let read = member.read(&mut block).map_err(|error| format!("{name}: {error}"))?;
            if read == 0 {
                break;
            }
            size = size.saturating_add(read as u64);
            if size > left {
                return Err(format!("its members unpack to more than {MAX_BYTES} bytes"));
            }
            hash.update(block.get(..read).unwrap_or_default());
        }
        left -= size;
        found.insert(name, Blob { size, sha256: hex::encode(hash.finalize()) });
    }
    Ok(List(found))
}

/// What changed from the first to the second.
pub(super) fn compare(List(first): List, List(second): List) -> Members {
    let only = |these: &BTreeMap<String, Blob>, those: &BTreeMap<String, Blob>| -> Vec<Member> {
        let only = these.iter().filter(|(name, _)| !those.contains_key(*name));
        only.map(|(name, blob)| Member { name: name.clone(), blob: blob.clone() }).collect()
    };
    let both = first.iter().filter_map(|(name, one)| Some((name, one, second.get(name)?)));
    let changed = both.filter(|(_, one, other)| one != other);
    Members {
        removed: only(&first, &second),
        added: only(&second, &first),
        changed: changed
            .map(|(name, one, other)| Changed {
                name: name.clone(),
                first: one.clone(),
                second: other.clone(),
            })
            .collect(),
    }
}
