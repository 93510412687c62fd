//! What changed from one OS package to another, as its operator sees it: kernel, command line,
//! manifest, signers, and the files of the initramfs.
//!
//! Nothing is decided, and nothing vouches for either package. Where two *builds* differ to the byte
//! is another question; [`rebuild::compare`] answers that.

mod members;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;

use ospkg::Descriptor;
use rebuild::compare;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;

use crate::Error;
use crate::Result;
use crate::files;
use crate::package;
use crate::package::Names;

pub use members::Changed;
pub use members::Member;
pub use members::Members;
pub use tree::File;
pub use tree::Files;

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// Where the setup header of a kernel says where its version stands.
const HEADER_MAGIC: core::ops::Range<usize> = 0x202..0x206;
const VERSION_AT: core::ops::Range<usize> = 0x20e..0x210;
/// Longest version that is read, in bytes.
const MAX_VERSION: usize = 256;

/// What changed.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Whether archives, `os_pkg_url` and signers are the same.
    pub same: bool,
    /// The archives as wholes.
    pub archive: Change<Blob>,
    /// The kernels.
    pub kernel: Change<Kernel>,
    /// The initramfs as wholes.
    pub initramfs: Change<Blob>,
    /// Words of the command line.
    pub cmdline: Words,
    /// Keys of the manifest that differ, but for the command line. `kernel` and `initramfs` are the names
    /// of these two in the archive.
    pub manifest: Vec<Key>,
    /// What the archives hold beside manifest, kernel and initramfs.
    pub members: Members,
    /// Descriptors: keys that differ, but for signatures. None if one has no descriptor.
    pub descriptor: Option<Vec<Key>>,
    /// Who signed. None if one has no descriptor.
    pub signers: Option<Signers>,
    /// Files of the initramfs, or why they could not be compared.
    pub files: Result<Files, String>,
}

/// The same thing in both packages.
#[derive(Clone, Debug, Serialize)]
pub struct Change<T> {
    /// Whether it is the same in both.
    pub same: bool,
    /// In the first.
    pub first: T,
    /// In the second.
    pub second: T,
}

/// A piece of data.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Blob {
    /// Length in bytes.
    pub size: u64,
    /// Of all of it.
    pub sha256: String,
}

/// A kernel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Kernel {
    /// The file.
    #[serde(flatten)]
    pub blob: Blob,
    /// What it says of itself: release, who built it, and when.
    pub version: Option<String>,
}

/// Words that only one command line has, in its order.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Words {
    /// The first command line.
    pub first: String,
    /// The second command line.
    pub second: String,
    /// Only the first has these.
    pub removed: Vec<String>,
    /// Only the second has these.
    pub added: Vec<String>,
    /// The same words, but not in the same order: of two that set the same, the later one counts.
    pub reordered: bool,
}

/// A key of a document.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// In the first; none if it is not there.
    pub first: Option<Value>,
    /// In the second; none if it is not there.
    pub second: Option<Value>,
}

/// Who signed, by certificate. Whether the signatures are good is not asked.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Signers {
    /// Only the first.
    pub removed: Vec<Signer>,
    /// Only the second.
    pub added: Vec<Signer>,
    /// Both.
    pub both: Vec<Signer>,
}

/// A signer.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Signer {
    /// Subject of the certificate, or `?`.
    pub subject: String,
    /// SHA-256 of the key, or of the certificate if that does not parse.
    pub key: String,
}

impl Words {
    /// Whether both have the same words in the same order.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && !self.reordered
    }
}

/// One of the two packages.
struct Package {
    whole: Blob,
    manifest: Map<String, Value>,
    kernel: Kernel,
    initramfs: Vec<u8>,
    members: members::List,
    descriptor: Option<Descriptor>,
}

/// Reads two packages and says what changed from the first to the second.
///
/// # Errors
/// If an archive cannot be read, or is none of an OS package. It is named.
pub fn packages(first: &Names, second: &Names) -> Result<Difference> {
    let (first, second) = (Package::read(first)?, Package::read(second)?);
    let descriptors = first.descriptor.as_ref().zip(second.descriptor.as_ref());
    let descriptor = descriptors.map(|(one, other)| {
        let (one, other) = (one.os_pkg_url(), other.os_pkg_url());
        keys(&url(one), &url(other), &[])
    });
    let signers = descriptors.map(|(one, other)| signers(one, other));
    let unchanged = descriptor.as_ref().is_none_or(Vec::is_empty)
        && signers.as_ref().is_none_or(|it| it.added.is_empty() && it.removed.is_empty());
    let cmdline = |package: &Package| {
        let cmdline = package.manifest.get("cmdline").and_then(Value::as_str);
        cmdline.unwrap_or_default().to_owned()
    };
    Ok(Difference {
        same: first.whole == second.whole && unchanged,
        cmdline: words(cmdline(&first), cmdline(&second)),
        manifest: keys(&first.manifest, &second.manifest, &["cmdline"]),
        files: tree::files(&first.initramfs, &second.initramfs),
        members: members::compare(first.members, second.members),
        initramfs: change(blob(&first.initramfs), blob(&second.initramfs)),
        archive: change(first.whole, second.whole),
        kernel: change(first.kernel, second.kernel),
        descriptor,
        signers,
    })
}

impl Package {
    fn read(names: &Names) -> Result<Self> {
        let on = |error: rebuild::Error| Error::from(error).on(names.archive.display());
        let bytes = read(&names.archive)?;
        if agefile::is_age_file(&bytes) {
            return Err(package::encrypted(&names.archive, agefile::is_armored(&bytes)));
        }
        let archive = std::io::Cursor::new(bytes.as_slice());
        let manifest = compare::entry(archive, "manifest.json", MAX_MANIFEST).map_err(on)?;
        let manifest: Map<String, Value> = serde_json::from_slice(&manifest).map_err(|error| {
            Error::new(format!("{}: manifest.json: {error}", names.archive.display()))
                .remedy("it is no OS package, or a damaged one: get it anew")
        })?;
        let named = |key: &str| manifest.get(key).and_then(Value::as_str).unwrap_or_default();
        let shown = ["manifest.json", named("kernel"), named("initramfs")];
        let members = members::list(&bytes, &shown).map_err(|reason| {
            Error::new(format!("{}: {reason}", names.archive.display()))
                .remedy("it is a damaged package, or none of `ramstrap ospkg create`: get it anew")
        })?;
        let kernel = compare::kernel_of(&bytes).map_err(on)?;
        let descriptor = match names.descriptor.exists() {
            true => Some(names.read_descriptor()?),
            false => None,
        };
        Ok(Self {
            whole: blob(&bytes),
            kernel: Kernel { blob: blob(&kernel), version: version(&kernel) },
            initramfs: compare::initramfs_of(&bytes).map_err(on)?,
            members,
            manifest,
            descriptor,
        })
    }
}

/// A whole archive.
fn read(path: &Path) -> Result<Vec<u8>> {
    let data = std::fs::metadata(path).map_err(|error| Error::io("read", path, &error))?;
    if !data.is_file() || data.len() > compare::MAX_FILE {
        return Err(Error::new(format!("{} is no file of up to 2 GiB", path.display()))
            .remedy("give OS packages: NAME.json, or the archive NAME.zip"));
    }
    files::read_large(path)
}

fn change<T: Eq>(first: T, second: T) -> Change<T> {
    Change { same: first == second, first, second }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
}

/// All that a bzImage says of its version, in one line.
fn version(kernel: &[u8]) -> Option<String> {
    if kernel.get(HEADER_MAGIC)? != b"HdrS" {
        return None;
    }
    let at: [u8; 2] = kernel.get(VERSION_AT)?.try_into().ok()?;
    let at = usize::from(u16::from_le_bytes(at));
    let text = kernel.get(at.checked_add(0x200)?..).filter(|_| at != 0)?;
    let text = text.get(..text.iter().take(MAX_VERSION).position(|byte| *byte == 0)?)?;
    Some(String::from_utf8_lossy(text).trim().to_owned()).filter(|text| !text.is_empty())
}

fn words(first: String, second: String) -> Words {
    let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (list(&first), list(&second));
    let removed = without(&one, &other);
    let added = without(&other, &one);
    let reordered = removed.is_empty() && added.is_empty() && one != other;
    Words { first, second, removed, added, reordered }
}

/// The words of `these`, each as often as it is there more often than in `those`.
fn without(these: &[String], those: &[String]) -> Vec<String> {
    let mut left: Vec<&String> = those.iter().collect();
    let only = these.iter().filter(|word| match left.iter().position(|it| it == word) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    });
    only.cloned().collect()
}

fn url(url: &str) -> Map<String, Value> {
    Map::from_iter([("os_pkg_url".to_owned(), url.into())])
}

fn keys(first: &Map<String, Value>, second: &Map<String, Value>, but: &[&str]) -> Vec<Key> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let names = names.into_iter().filter(|name| !but.contains(&name.as_str()));
    let differ = names.filter(|name| first.get(*name) != second.get(*name));
    differ
        .map(|name| Key {
            key: name.clone(),
            first: first.get(name).cloned(),
            second: second.get(name).cloned(),
        })
        .collect()
}

fn signers(first: &Descriptor, second: &Descriptor) -> Signers {
    let list = |descriptor: &Descriptor| -> Vec<Signer> {
        let signer = |certificate: &[u8]| match trust::Certificate::parse(certificate) {
            Ok(it) => Signer { subject: it.label(), key: it.spki_sha256().to_string() },
            Err(_) => {
                Signer { subject: "?".to_owned(), key: hex::encode(Sha256::digest(certificate)) }
            }
        };
        let all = descriptor.endorsements().iter().map(|it| signer(&it.certificate_der));
        all.collect()
    };
    let (first, second) = (list(first), list(second));
    let has = |list: &[Signer], signer: &Signer| list.iter().any(|it| it.key == signer.key);
    Signers {
        removed: first.iter().filter(|it| !has(&second, it)).cloned().collect(),
        added: second.iter().filter(|it| !has(&first, it)).cloned().collect(),
        both: second.iter().filter(|it| has(&first, it)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_compared_by_word() {
        let changed = words("quiet a=1 a=1 b".to_owned(), "b  a=1 c".to_owned());
        assert_eq!(changed.removed, ["quiet", "a=1"]);
        assert_eq!(changed.added, ["c"]);
        assert!(!changed.reordered);
        assert!(words("a b".to_owned(), "b a".to_owned()).reordered);
        assert!(!words("a  b".to_owned(), "a b".to_owned()).reordered);
    }

    #[test]
    fn keys_that_are_gone_differ_from_those_that_are_null() {
        let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let found = keys(
            &object(r#"{"kernel": "a", "x": 1, "y": null}"#),
            &object(r#"{"kernel": "b", "x": 2}"#),
            &["kernel"],
        );
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].first.clone(), found[1].second.clone()), (Some(Value::Null), None));
    }

    #[test]
    fn a_file_that_is_no_kernel_has_no_version() {
        assert_eq!(version(b"short"), None);
        let mut kernel = vec![0; 0x400];
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(version(&kernel), None);
        kernel[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        kernel[0x300..0x30e].copy_from_slice(b"6.12.1 (me) #1");
        assert_eq!(version(&kernel).as_deref(), Some("6.12.1 (me) #1"));
    }
}
