//! Who may provision a machine: the list that its signed package holds.

use std::fs;
use std::io;
use std::path::Path;

use crate::Fingerprint;
use crate::KeyError;
use crate::PublicKey;

const EXTENSION: &str = "pem";
const MAX_NAME_LEN: usize = 64;
const MAX_FILE_LEN: u64 = 16 << 10;

/// The public keys of staff, each under a name.
#[derive(Clone, Debug, Default)]
pub struct Staff {
    members: Vec<(String, PublicKey)>,
}

/// Why a list of staff cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StaffError {
    /// The directory or a file in it cannot be read.
    #[error("staff keys: cannot read {0}: {1}")]
    Unreadable(String, io::Error),
    /// A name that cannot be shown on a console line.
    #[error("staff key {0:?}: a name has 1 to 64 of the characters a-z A-Z 0-9 . _ -")]
    Name(String),
    /// A file that holds no public Ed25519 key.
    #[error("staff key {0}: {1}")]
    Key(String, KeyError),
    /// One key under two names: nobody could say who it was.
    #[error("staff keys {0} and {1} are the same key")]
    SameKey(String, String),
    /// Two keys under one name.
    #[error("there are two staff keys named {0}")]
    SameName(String),
}

impl Staff {
    /// Every `NAME.pem` of a directory. Other files are left alone; a directory that is missing is
    /// an empty list, with which nobody can provision.
    ///
    /// # Errors
    /// If one of the files cannot be used: a list that is silently shorter than it looks would be
    /// found out only when somebody is locked out.
    pub fn load(directory: &Path) -> Result<Self, StaffError> {
        let unreadable =
            |path: &Path, error| StaffError::Unreadable(path.to_string_lossy().into_owned(), error);
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(directory, error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(directory, error))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                let length = fs::metadata(&path).map_err(|error| unreadable(&path, error))?.len();
                if length > MAX_FILE_LEN {
                    let name = path.to_string_lossy().into_owned();
                    return Err(StaffError::Key(name, KeyError::NotPem));
                }
                let pem = fs::read(&path).map_err(|error| unreadable(&path, error))?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                files.push((name, pem));
            }
        }
        files.sort();
        Self::from_pems(files)
    }

    /// A list of names and PEM files.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_pems<N, P>(files: impl IntoIterator<Item = (N, P)>) -> Result<Self, StaffError>
    where
        N: Into<String>,
        P: AsRef<[u8]>,
    {
        let mut members: Vec<(String, PublicKey)> = Vec::new();
        for (name, pem) in files {
            let name = name.into();
            if !is_name(&name) {
                return Err(StaffError::Name(name));
            }
            let key = PublicKey::from_pem(pem.as_ref())
                .map_err(|error| StaffError::Key(name.clone(), error))?;
            if members.iter().any(|(other, _)| *other == name) {
                return Err(StaffError::SameName(name));
            }
            if let Some((other, _)) = members.iter().find(|(_, known)| *known == key) {
                return Err(StaffError::SameKey(other.clone(), name));
            }
            members.push((name, key));
        }
        Ok(Self { members })
    }

    /// Whether nobody is on the list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The names and fingerprints, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Fingerprint)> {
        self.members.iter().map(|(name, key)| (name.as_str(), key.fingerprint()))
    }

    /// Whose key this is.
    #[must_use]
    pub fn name_of(&self, key: PublicKey) -> Option<&str> {
        self.members.iter().find(|(_, known)| *known == key).map(|(name, _)| name.as_str())
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests;
