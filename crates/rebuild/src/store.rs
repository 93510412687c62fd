//! The kept inputs of a release: files called by their digests.
//!
//! A store is a directory with files `sha256/HEX`, which any web server can publish beside the
//! release. Nothing in it is trusted: whoever takes a file out of it knows its digest and checks it.

mod origin;

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::Error;
use crate::Result;
use crate::files;
use crate::is_sha256;

pub use origin::Origin;
pub use origin::download;

/// The directory that the files are in.
const DIRECTORY: &str = "sha256";
/// Readable by everybody: a web server may be another user.
const PUBLIC: u32 = 0o644;

/// A directory of kept inputs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    root: PathBuf,
}

/// A file in a store.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Stored {
    /// Its name.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
    /// Whether it was not there before.
    pub new: bool,
}

/// What [`Store::verify`] found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Verified {
    /// Files that are what they are called.
    pub good: usize,
    /// Their length together, in bytes.
    pub bytes: u64,
    /// Files that are not, with the digest that they have.
    pub damaged: Vec<(String, String)>,
    /// Names that no file of a store has.
    pub strange: Vec<String>,
}

impl Store {
    /// Opens a store that is there.
    ///
    /// # Errors
    /// If it is no directory.
    pub fn open(root: &Path) -> Result<Self> {
        if !root.join(DIRECTORY).is_dir() {
            return Err(Error::new(format!("{} is no store of inputs", root.display())).remedy(
                "a store is a directory with files sha256/HEX; `cargo xtask ospkg build \
                 --keep-inputs DIR` and `ramstrap store put` make one",
            ));
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Opens a store, making it if it is missing.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(root: &Path) -> Result<Self> {
        let directory = root.join(DIRECTORY);
        fs::create_dir_all(&directory)
            .map_err(|error| Error::io("make the directory", &directory, &error))?;
        Ok(Self { root: root.to_owned() })
    }

    /// Where the file with this digest is, or would be.
    #[must_use]
    pub fn path(&self, sha256: &str) -> PathBuf {
        self.root.join(DIRECTORY).join(sha256)
    }

    /// Puts bytes in. With `expected`, they must have this digest.
    ///
    /// # Errors
    /// If they have another one, or cannot be written.
    pub fn put(&self, bytes: &[u8], expected: Option<&str>) -> Result<Stored> {
        self.put_from(bytes, Path::new("what was given"), expected)
    }

    /// Puts a file in. With `expected`, it must have this digest.
    ///
    /// # Errors
    /// If it has another one, or cannot be read or written.
    pub fn put_file(&self, file: &Path, expected: Option<&str>) -> Result<Stored> {
        let failed = |error: io::Error| Error::io("read", file, &error);
        // Asked before it is opened: a pipe would keep us waiting, a device never ends.
        if !fs::metadata(file).map_err(failed)?.is_file() {
            return Err(Error::new(format!("{} is no regular file", file.display())));
        }
        self.put_from(File::open(file).map_err(failed)?, file, expected)
    }

    fn put_from(&self, from: impl Read, name: &Path, expected: Option<&str>) -> Result<Stored> {
        let directory = self.root.join(DIRECTORY);
        let mut temporary = files::temporary_in(&directory)?;
        let (sha256, size) = digest(from, name, |chunk| {
            temporary.write_all(chunk).map_err(|error| Error::io("write in", &directory, &error))
        })?;
        if let Some(expected) = expected
            && expected != sha256
        {
            return Err(Error::new(format!(
                "{}: its SHA-256 is {sha256}, expected {expected}",
                name.display()
            ))
            .remedy("get the file anew, from who vouches for this digest"));
        }
        let path = self.path(&sha256);
        // What is there may be damaged: only what is whole is left alone.
        let new = !is_whole(&path, &sha256, size);
        if new {
            files::publish(temporary, &path, PUBLIC)?;
        }
        Ok(Stored { sha256, size, new })
    }

    /// The path of a file that is there and is what it is called; none if it is missing.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn get(&self, sha256: &str) -> Result<Option<PathBuf>> {
        if !is_sha256(sha256) {
            return Err(no_digest(sha256));
        }
        let path = self.path(sha256);
        if !path.is_file() {
            return Ok(None);
        }
        let found = digest_of(&path)?.0;
        if found != sha256 {
            return Err(Error::new(format!(
                "{} is damaged: its SHA-256 is {found}",
                path.display()
            ))
            .remedy("delete it, and put the file in again from elsewhere"));
        }
        Ok(Some(path))
    }

    /// All files, by name. Nothing is checked.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>> {
        Ok(self.names()?.0)
    }

    /// Reads all files and compares them with their names.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn verify(&self) -> Result<Verified> {
        let (stored, strange) = self.names()?;
        let mut verified = Verified { strange, ..Verified::default() };
        for file in stored {
            let (found, size) = digest_of(&self.path(&file.sha256))?;
            if found == file.sha256 {
                verified.good += 1;
                verified.bytes += size;
            } else {
                verified.damaged.push((file.sha256, found));
            }
        }
        Ok(verified)
    }

    /// Files of the store, and other names.
    fn names(&self) -> Result<(Vec<Stored>, Vec<String>)> {
        let directory = self.root.join(DIRECTORY);
        let failed = |error: io::Error| Error::io("read", &directory, &error);
        let (mut stored, mut strange) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let data = entry.metadata().map_err(failed)?;
            if is_sha256(&name) && data.is_file() {
                stored.push(Stored { sha256: name, size: data.len(), new: false });
            } else {
                strange.push(name);
            }
        }
        stored.sort();
        strange.sort();
        Ok((stored, strange))
    }
}

/// Whether this file is there, has this length and this digest.
fn is_whole(path: &Path, sha256: &str, size: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_file() && data.len() == size)
        && digest_of(path).is_ok_and(|(found, _)| found == sha256)
}

/// SHA-256 and length of a file.
fn digest_of(path: &Path) -> Result<(String, u64)> {
    let file = File::open(path).map_err(|error| Error::io("read", path, &error))?;
    digest(file, path, |_| Ok(()))
}

/// SHA-256 and length of what comes, which `each` hears piece by piece.
fn digest(
    mut from: impl Read,
    name: &Path,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((hex::encode(hash.finalize()), size)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", name, &error)),
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        hash.update(chunk);
        size += read as u64;
        each(chunk)?;
    }
}

fn no_digest(text: &str) -> Error {
    Error::new(format!("{text:?} is no SHA-256"))
        .remedy("write it as 64 lower-case hexadecimal digits")
}

#[cfg(test)]
mod tests;
