//! Getting the packages of a lock: from the cache, from kept inputs, or from the archive.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use rebuild::store::Origin;
use url::Url;

use crate::Error;
use crate::Result;
use crate::apt::Sources;
use crate::lock::Package;

/// Longest package that is taken, in bytes.
const MAX_DEB: u64 = 1 << 30;

/// Where packages come from.
#[derive(Clone, Debug)]
pub struct Debs {
    /// Directory of packages by their SHA-256.
    pub cache: PathBuf,
    /// Kept inputs, which are asked before the archive.
    pub inputs: Option<Origin>,
    /// The archive.
    pub sources: Sources,
}

impl Debs {
    /// The bytes of a package: exactly those that the lock names. `recipe` is for what to do if they
    /// cannot be had.
    ///
    /// # Errors
    /// If they are not to be had, or are others.
    pub fn get(&self, package: &Package, recipe: &str) -> Result<Vec<u8>> {
        let path = self.cache.join(&package.sha256);
        if let Ok(bytes) = fs::read(&path)
            && rebuild::sha256(&bytes) == package.sha256
        {
            return Ok(bytes);
        }
        let who = format!("{} {}", package.name, package.version);
        fs::create_dir_all(&self.cache)
            .map_err(|error| Error::io("create", &self.cache, &error))?;
        if let Some(inputs) = &self.inputs {
            inputs
                .fetch(&package.sha256, MAX_DEB, &path)
                .map_err(|error| Error::from(error).on(&who))?;
        } else {
            self.download(package, &path, recipe).map_err(|error| error.on(&who))?;
        }
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        check(package, &bytes, &path.display().to_string()).map_err(|error| error.on(&who))?;
        Ok(bytes)
    }

    fn download(&self, package: &Package, into: &Path, recipe: &str) -> Result<()> {
        let base = self.sources.base(&package.suite)?;
        let url = Url::parse(&format!("{base}/{}", package.path))
            .map_err(|error| Error::new(format!("{base}: {error}")))?;
        if url.scheme() == "file" {
            let from = PathBuf::from(url.path());
            let bytes = fs::read(&from).map_err(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    vanished(&base, package, recipe)
                } else {
                    Error::io("read", &from, &error)
                }
            })?;
            check(package, &bytes, &base)?;
            return publish(into, &bytes);
        }
        let mut file = tempfile::NamedTempFile::with_prefix_in(".ramstrap-", &self.cache)
            .map_err(|error| Error::io("write", into, &error))?;
        let found = rebuild::store::download(&url, package.size.min(MAX_DEB), &mut file)
            .map_err(|error| Error::from(error).on(&base))?;
        let found = found.ok_or_else(|| vanished(&base, package, recipe))?;
        if found != package.sha256 {
            return Err(other_bytes(package, &base, &found));
        }
        file.persist(into).map(drop).map_err(|error| Error::io("write", into, &error.error))
    }
}

fn publish(into: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = ramstrap_cli::files::NewFile::create(into)?;
    std::io::Write::write_all(&mut file, bytes)
        .map_err(|error| Error::io("write", into, &error))?;
    file.publish(ramstrap_cli::files::PUBLIC, true)
}

fn check(package: &Package, bytes: &[u8], from: &str) -> Result<()> {
    let found = rebuild::sha256(bytes);
    if found != package.sha256 {
        return Err(other_bytes(package, from, &found));
    }
    if bytes.len() as u64 != package.size {
        let length = bytes.len();
        return Err(Error::new(format!("it has {length} bytes, the lock says {}", package.size))
            .remedy("the lock file was edited: make it anew with `cargo xtask ospkg lock`"));
    }
    Ok(())
}

fn other_bytes(package: &Package, from: &str, found: &str) -> Error {
    Error::new(format!("what {from} gives is not what the lock file names"))
        .detail(format!("SHA-256 in the lock  {}", package.sha256))
        .detail(format!("SHA-256 of the file  {found}"))
        .remedy(
            "if the lock file is yours and unchanged, somebody tampers with the download: try \
             another --mirror; do not make the lock anew before you know why",
        )
}

fn vanished(base: &str, package: &Package, recipe: &str) -> Error {
    Error::new(format!("the archive {base} does not have {} any more", package.path)).remedy(format!(
        "take the version that it has now with `cargo xtask ospkg lock {recipe}`, or, to build the \
         very same package again, give its kept inputs with --inputs DIR|URL"
    ))
}
