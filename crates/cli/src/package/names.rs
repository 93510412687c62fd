//! The two files of an OS package, and what is said when one of them is not where it should be.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::path::Path;
use std::path::PathBuf;

use agefile::AgeError;
use ospkg::Descriptor;
use ospkg::bzimage::BzImage;
use ospkg::bzimage::HEADER_LEN;
use report::Code;
use sha2::Digest;
use sha2::Sha256;
use trust::Sha256Digest;

use super::looks_like_initramfs;
use crate::Error;
use crate::Result;
use crate::files;
use crate::progress::Progress;

/// Name in a directory when no other is given.
const DEFAULT_NAME: &str = "os-package";

/// The two files of an OS package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// `NAME.zip`.
    pub archive: PathBuf,
    /// `NAME.json`.
    pub descriptor: PathBuf,
}

impl Names {
    /// From what a user calls the package: `NAME`, `NAME.zip`, `NAME.json`, or a directory, where
    /// it will be called `os-package`.
    #[must_use]
    pub fn new(out: &Path) -> Self {
        let ends_as_directory = out.as_os_str().to_string_lossy().ends_with('/');
        if ends_as_directory || out.is_dir() {
            return Self::new(&out.join(DEFAULT_NAME));
        }
        let stem = match out.extension().and_then(|it| it.to_str()) {
            Some("zip" | "json") => out.with_extension(""),
            _ => out.to_owned(),
        };
        let with = |suffix: &str| {
            let mut name = stem.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { archive: with(".zip"), descriptor: with(".json") }
    }

    /// From the path of a descriptor, whose name must end in `.json`.
    ///
    /// # Errors
    /// If it does not.
    pub fn of_descriptor(path: &Path) -> Result<Self> {
        if path.extension().is_none_or(|it| it != "json") {
            let error = Error::new(format!("{} is not named NAME.json", path.display()));
            return Err(error.remedy(match meant(path) {
                Some(descriptor) => format!("did you mean {}?", descriptor.display()),
                None => "give the descriptor; its archive is NAME.zip beside it".to_owned(),
            }));
        }
        Ok(Self { archive: path.with_extension("zip"), descriptor: path.to_owned() })
    }

    /// Of a package that is there, from any of its names. Its archive is; its descriptor may be.
    ///
    /// # Errors
    /// If there is no archive: with what there is in its place.
    pub fn of_existing(path: &Path) -> Result<Self> {
        let names = Self::new(path);
        if names.archive.symlink_metadata().is_ok() {
            return Ok(names);
        }
        let give = match meant(path) {
            Some(descriptor) => format!("did you mean {}?", descriptor.display()),
            None => "give OS packages: NAME.json, or the archive NAME.zip".to_owned(),
        };
        let shown = path.display();
        if path.is_dir() {
            let error = Error::new(format!("{shown} is a directory without {DEFAULT_NAME}.zip"));
            return Err(error.remedy(give));
        }
        if names.descriptor.exists() {
            return names.open_archive().map(|_| names);
        }
        if let Some(kind) = kind(path) {
            return Err(Error::new(format!("{shown} is no OS package, but {kind}"))
                .remedy(format!("{give}; `ramstrap compare` compares any two files")));
        }
        let missing = path.metadata().err().unwrap_or_else(|| std::io::ErrorKind::NotFound.into());
        Err(Error::io("read", path, &missing))
    }

    /// Reads the descriptor.
    ///
    /// # Errors
    /// If it cannot be read or parsed.
    pub fn read_descriptor(&self) -> Result<Descriptor> {
        let document = files::read(&self.descriptor)?;
        if agefile::is_age_file(&document) {
            return Err(encrypted(&self.descriptor, agefile::is_armored(&document)));
        }
        self.parse_descriptor(&document)
    }

    /// Parses the descriptor, as it was read or decrypted.
    ///
    /// # Errors
    /// If it does not parse: with what is odd about the file, if anything is.
    pub(crate) fn parse_descriptor(&self, document: &[u8]) -> Result<Descriptor> {
        Descriptor::parse(document).map_err(|error| {
            let file = self.descriptor.display();
            let refused = Error::coded(&error).on(&file);
            match refused.code() {
                // The code's own remedy speaks of a URL, and of this very tool.
                Some(Code::DescriptorMalformed) => refused
                    .remedy(
                        "give the NAME.json that `ramstrap ospkg create` wrote; if it is that, get \
                         it anew from whoever sent it",
                    )
                    .if_odd(document),
                _ => refused,
            }
        })
    }

    /// Opens the archive.
    ///
    /// # Errors
    /// If it is missing, is encrypted or cannot be read.
    pub fn open_archive(&self) -> Result<File> {
        let mut archive = self.open_archive_as_it_is()?;
        let failed = |error: std::io::Error| Error::io("read", &self.archive, &error);
        let mut start = Vec::new();
        (&archive).take(64).read_to_end(&mut start).map_err(failed)?;
        if agefile::is_age_file(&start) {
            return Err(encrypted(&self.archive, agefile::is_armored(&start)));
        }
        archive.rewind().map_err(failed)?;
        Ok(archive)
    }

    /// As [`Names::open_archive`], but it may be encrypted.
    ///
    /// # Errors
    /// If it is missing or cannot be read.
    pub(crate) fn open_archive_as_it_is(&self) -> Result<File> {
        // Asked before it is opened: a pipe would keep us waiting, a device never ends.
        if fs::metadata(&self.archive).is_ok_and(|archive| !archive.is_file()) {
            return Err(Error::new(format!("{} is not a regular file", self.archive.display()))
                .remedy("the archive must be the NAME.zip file that was made with NAME.json"));
        }
        File::open(&self.archive).map_err(|error| {
            let failed = Error::io("read", &self.archive, &error);
            match error.kind() {
                std::io::ErrorKind::NotFound => failed.remedy(format!(
                    "the archive of {} must be beside it under this name",
                    self.descriptor.display()
                )),
                _ => failed,
            }
        })
    }

    /// The archive's digest, and the archive if it is at hand: it may be elsewhere if its digest is
    /// told. Where both are there, they must agree.
    ///
    /// # Errors
    /// If they do not, if there is neither, or if the archive cannot be read.
    pub fn digest_or(&self, told: Option<Sha256Digest>) -> Result<(Sha256Digest, Option<File>)> {
        self.digest_or_of(told, || self.open_archive())
    }

    /// As [`Names::digest_or`], with the archive opened in this way.
    ///
    /// # Errors
    /// As [`Names::digest_or`], and those of `open`.
    pub(crate) fn digest_or_of(
        &self,
        told: Option<Sha256Digest>,
        open: impl FnOnce() -> Result<File>,
    ) -> Result<(Sha256Digest, Option<File>)> {
        let absent = matches!(self.archive.try_exists(), Ok(false));
        match told {
            Some(told) if absent => Ok((told, None)),
            None if absent => Err(Error::new(format!(
                "there is no {} beside {}",
                self.archive.display(),
                self.descriptor.display()
            ))
            .remedy(
                "put the archive there under this name, or give its SHA-256 with --digest, as \
                 somebody has told you whom you trust",
            )),
            told => {
                let mut file = open()?;
                let (digest, _) = self.digest_archive(&mut file)?;
                match told.filter(|told| *told != digest) {
                    None => Ok((digest, Some(file))),
                    Some(told) => Err(Error::new(format!(
                        "{} is not the archive with SHA-256 {told}: its own is {digest}",
                        self.archive.display()
                    ))
                    .remedy(
                        "ask whoever told you the digest which of the two is meant: either it was \
                         not that of this package, or the archive was changed on the way",
                    )),
                }
            }
        }
    }

    /// SHA-256 and length of the archive; afterwards the file is at its start again.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn digest_archive(&self, file: &mut File) -> Result<(Sha256Digest, u64)> {
        let failed = |error: std::io::Error| Error::io("read", &self.archive, &error);
        let length = file.metadata().map_err(failed)?.len();
        let mut progress = Progress::bytes("hashing", length);
        let mut reader = progress.reader(&mut *file);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0;
        loop {
            let read = reader.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            hash.update(buffer.get(..read).unwrap_or_default());
            total += read as u64;
        }
        file.rewind().map_err(failed)?;
        Ok((Sha256Digest::from_bytes(hash.finalize().into()), total))
    }
}

/// The descriptor that somebody means who gave its archive, its name without the end, or the directory
/// in which it is the only one.
fn meant(path: &Path) -> Option<PathBuf> {
    let named = Names::new(path).descriptor;
    if named != path && named.is_file() {
        return Some(named);
    }
    let is_package = |file: &PathBuf| {
        file.extension().is_some_and(|it| it == "json") && file.with_extension("zip").is_file()
    };
    let entries = fs::read_dir(path).ok()?;
    let mut found = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_package);
    found.next().filter(|_| found.next().is_none())
}

/// What a file is that is no package; none if there is none, or it cannot be read.
fn kind(path: &Path) -> Option<&'static str> {
    let mut head = Vec::new();
    let file = File::open(path).ok().filter(|_| path.is_file())?;
    file.take(HEADER_LEN as u64).read_to_end(&mut head).ok()?;
    Some(if BzImage::parse(&head).is_ok() {
        "a kernel (bzImage)"
    } else if looks_like_initramfs(&head) {
        "an initramfs or another compressed file"
    } else {
        "a file of another kind"
    })
}

/// The error about a file that has to be read as it is.
pub(crate) fn encrypted(path: &Path, armored: bool) -> Error {
    let file = path.display();
    let (descriptor, archive) = (path.with_extension("json"), path.with_extension("zip"));
    let go_on = format!(
        "decrypt both files of the package: `age -d -i IDENTITY {} > DIR/NAME.json`, and \
         `age -d -i IDENTITY {} > DIR/NAME.zip`; `ramstrap ospkg status`, `verify`, `inspect` and \
         `extract` read them as they are, with --trust-policy if it has the identities",
        descriptor.display(),
        archive.display(),
    );
    if armored {
        Error::coded(&AgeError::Armored)
            .on(file)
            .detail("machines do not read it like this, and this command no encrypted file")
            .remedy(go_on)
    } else {
        Error::new(format!("{file} is encrypted with age; this command reads it as it was before"))
            .remedy(go_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_its_names_means_the_package() {
        for name in ["/x/os", "/x/os.zip", "/x/os.json"] {
            let names = Names::new(Path::new(name));
            assert_eq!(names.archive, Path::new("/x/os.zip"));
            assert_eq!(names.descriptor, Path::new("/x/os.json"));
        }
        assert_eq!(Names::new(Path::new("/x/os-1.2")).archive, Path::new("/x/os-1.2.zip"));
        assert_eq!(Names::new(Path::new("/none/")).archive, Path::new("/none/os-package.zip"));
        assert!(Names::of_descriptor(Path::new("os.zip")).is_err());
    }
}
