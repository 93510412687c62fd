//! That this user has built exactly these bytes again.
//!
//! One file an archive below `${XDG_STATE_HOME:-~/.local/state}/ramstrap/rebuilt`, written by
//! `cargo xtask ospkg rebuild` when every byte was the same and by nothing else. It is for this user
//! and this machine alone: copied from elsewhere it says nothing.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Result;
use crate::build::BuildRecord;
use crate::files;
use crate::is_sha256;
use crate::toolchain::Toolchain;

const VERSION: u32 = 1;
const MAX_LEN: u64 = 1 << 20;
const SECRET: u32 = 0o600;
/// Others may write the file.
const WRITABLE: u32 = 0o022;

/// What was built again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The archive of an OS package.
    Ospkg,
    /// A boot image or boot medium.
    BootImage,
}

/// A file that was built again, byte for byte.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rebuilt {
    /// Version of the format.
    pub version: u32,
    /// What it is.
    pub kind: Kind,
    /// Of the whole file.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
    /// Name of the recipe; of a boot image, its format.
    pub name: String,
    /// Number of the release, if it has one.
    pub release: Option<u64>,
    /// The revision of the source tree.
    pub revision: String,
    /// SHA-256 of the lock file.
    pub lock_sha256: Option<String>,
    /// What it was built with here.
    pub toolchain: Toolchain,
    /// Whether that was the locked builder root.
    #[serde(default)]
    pub locked: bool,
    /// When, RFC 3339.
    pub rebuilt_at: String,
}

impl Rebuilt {
    /// A package that was built again now.
    #[must_use]
    pub fn package(archive: &[u8], build: &BuildRecord, toolchain: Toolchain) -> Self {
        Self {
            version: VERSION,
            kind: Kind::Ospkg,
            sha256: crate::sha256(archive),
            size: archive.len() as u64,
            name: build.name.clone(),
            release: build.release,
            revision: build.source.revision.clone(),
            lock_sha256: build.lock_sha256.clone(),
            toolchain,
            locked: build.builder.is_some(),
            rebuilt_at: now(),
        }
    }

    /// A boot image that was built again now from this revision.
    #[must_use]
    pub fn image(image: &[u8], format: &str, revision: &str, toolchain: Toolchain) -> Self {
        Self {
            version: VERSION,
            kind: Kind::BootImage,
            sha256: crate::sha256(image),
            size: image.len() as u64,
            name: format.to_owned(),
            release: None,
            revision: revision.to_owned(),
            lock_sha256: None,
            toolchain,
            locked: false,
            rebuilt_at: now(),
        }
    }

    /// Writes it below [`directory`]; gives the path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<PathBuf> {
        let path = directory.join(format!("{}.json", self.sha256));
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::new(format!("writing the record: {error}")))?;
        text.push('\n');
        files::write(&path, text.as_bytes(), SECRET)?;
        Ok(path)
    }

    /// Whether it is about the very build that this package says it is.
    ///
    /// # Errors
    /// With the detail that differs.
    pub fn check(&self, build: &BuildRecord) -> Result<()> {
        let release =
            |release: Option<u64>| release.map_or_else(|| "none".to_owned(), |it| it.to_string());
        let lock = |lock: &Option<String>| lock.clone().unwrap_or_else(|| "none".to_owned());
        let kind = |kind| if kind == Kind::Ospkg { "OS package" } else { "boot image" };
        let pairs = [
            ("kind", kind(self.kind).to_owned(), kind(Kind::Ospkg).to_owned()),
            ("name", self.name.clone(), build.name.clone()),
            ("release", release(self.release), release(build.release)),
            ("revision", self.revision.clone(), build.source.revision.clone()),
            ("lock_sha256", lock(&self.lock_sha256), lock(&build.lock_sha256)),
        ];
        match pairs.into_iter().find(|(_, one, other)| one != other) {
            None => Ok(()),
            Some((name, ours, theirs)) => Err(Error::new(format!(
                "the record of the rebuild says {name} {ours}, the package says {theirs}"
            ))
            .remedy("delete the record and rebuild the package")),
        }
    }
}

/// Where the records of this user are.
///
/// # Errors
/// If neither `XDG_STATE_HOME` nor `HOME` says where that is.
pub fn directory() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let base = base.ok_or_else(|| {
        Error::new("no place for records of rebuilds").remedy("set HOME or XDG_STATE_HOME")
    })?;
    Ok(base.join("ramstrap/rebuilt"))
}

/// The record about the file with this digest; none if there is none.
///
/// # Errors
/// If it cannot be read, is about another file, or others may have written it.
pub fn find(directory: &Path, sha256: &str) -> Result<Option<Rebuilt>> {
    if !is_sha256(sha256) {
        return Err(Error::new(format!("{sha256:?} is no SHA-256")));
    }
    let path = directory.join(format!("{sha256}.json"));
    let Ok(data) = fs::symlink_metadata(&path) else { return Ok(None) };
    let bad = |what: &str| {
        Error::new(format!("{} {what}", path.display())).remedy("delete it and rebuild the package")
    };
    if !data.is_file() {
        return Err(bad("is no regular file"));
    }
    if data.uid() != rustix::process::geteuid().as_raw() || data.mode() & WRITABLE != 0 {
        return Err(bad("is not this user's alone"));
    }
    let text = files::read(&path, MAX_LEN)?;
    let record: Rebuilt =
        serde_json::from_slice(&text).map_err(|error| bad(&format!("cannot be read: {error}")))?;
    if record.version != VERSION || record.sha256 != sha256 {
        return Err(bad("is about something else"));
    }
    Ok(Some(record))
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    // Whole seconds are precise enough.
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn build() -> BuildRecord {
        BuildRecord { name: "vpn".to_owned(), release: Some(7), ..BuildRecord::default() }
    }

    #[test]
    fn what_was_rebuilt_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state/rebuilt");
        let record = Rebuilt::package(b"archive", &build(), Toolchain::default());
        let digest = crate::sha256(b"archive");
        assert_eq!(find(&state, &digest).unwrap(), None);
        let path = record.write(&state).unwrap();
        assert_eq!(path, state.join(format!("{digest}.json")));
        assert_eq!(find(&state, &digest).unwrap(), Some(record.clone()));
        assert_eq!(find(&state, &crate::sha256(b"other")).unwrap(), None);
        record.check(&build()).unwrap();
    }

    #[test]
    fn details_must_match() {
        let record = Rebuilt::package(b"archive", &build(), Toolchain::default());
        let mut other = build();
        other.release = Some(8);
        let error = record.check(&other).unwrap_err().to_string();
        assert!(error.contains("release 7") && error.contains("says 8"), "{error}");
        let image = Rebuilt::image(b"archive", "vpn", "", Toolchain::default());
        assert!(image.check(&build()).is_err());
    }

    #[test]
    fn records_of_others_do_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let record = Rebuilt::package(b"archive", &build(), Toolchain::default());
        let digest = record.sha256.clone();
        let path = record.write(directory.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let error = find(directory.path(), &digest).unwrap_err().to_string();
        assert!(error.contains("not this user's alone"), "{error}");
        // A record under another name.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let other = crate::sha256(b"other");
        fs::rename(&path, directory.path().join(format!("{other}.json"))).unwrap();
        let error = find(directory.path(), &other).unwrap_err().to_string();
        assert!(error.contains("about something else"), "{error}");
    }
}
