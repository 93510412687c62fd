//! Reading whole files, and writing them so that a reader sees either all of a file or nothing.

use core::cell::OnceCell;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use tempfile::NamedTempFile;

use crate::Error;
use crate::Result;
use crate::unfinished;
use crate::unfinished::Unfinished;

/// For what a web server or another user has to read.
pub const PUBLIC: u32 = 0o644;
/// For keys and other secrets.
pub const SECRET: u32 = 0o600;

/// Small inputs (keys, certificates, policies, configurations, descriptors) end here.
const MAX_SMALL_FILE: u64 = 16 << 20;

/// Refuses an output that would take the place of one of the inputs, or of what they are in: by its
/// path, or because both are one file under two names.
///
/// # Errors
/// If it would.
pub fn spare_inputs<'a>(out: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    // What is not there yet takes no place.
    let Ok(place) = out.canonicalize() else { return Ok(()) };
    for input in inputs {
        let within = input.canonicalize().is_ok_and(|input| place.starts_with(&input));
        if within || is_same_file(out, input) {
            return Err(Error::new(format!(
                "the output {} would replace the input {}",
                out.display(),
                input.display()
            ))
            .remedy("choose another name for the output"));
        }
    }
    Ok(())
}

/// As [`spare_inputs`] for several outputs, none of which may take the place of another either.
///
/// # Errors
/// If one of them would.
pub fn spare_all(outputs: &[&Path], inputs: &[PathBuf]) -> Result<()> {
    for (number, out) in outputs.iter().enumerate() {
        spare_inputs(out, inputs.iter().map(PathBuf::as_path))?;
        let mut before = outputs.iter().take(number);
        if let Some(other) =
            before.find(|other| place(out) == place(other) || is_same_file(out, other))
        {
            return Err(Error::usage(format!(
                "the outputs {} and {} cannot be the same file",
                other.display(),
                out.display()
            ))
            .remedy("give each of them a name of its own"));
        }
    }
    Ok(())
}

/// Whether both are there, and one file. Of a device that several names mean, too: that is never
/// written to.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (one.metadata(), other.metadata()) else { return false };
    one.dev() == other.dev() && one.ino() == other.ino()
}

/// Where a file is or is going to be, without symbolic links: of what is not there yet, as much as
/// can be said.
fn place(path: &Path) -> PathBuf {
    if let Ok(place) = path.canonicalize() {
        return place;
    }
    let above = directory(path);
    if above == path {
        return path.to_owned();
    }
    let mut above = place(above);
    match path.file_name() {
        Some(name) => above.push(name),
        // It ends in `..`: all else that has no name is there.
        None => {
            above.pop();
        }
    }
    above
}

/// Reads a file that is meant to be small, at most 16 MiB.
///
/// # Errors
/// If it cannot be read, or is larger.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let file = fs::File::open(path).map_err(|error| Error::io("read", path, &error))?;
    read_small(file, path)
}

/// As [`read`], but `-` is what comes on stdin.
///
/// # Errors
/// As [`read`].
pub fn read_or_stdin(path: &Path) -> Result<Vec<u8>> {
    match path.to_str() {
        Some("-") => read_small(io::stdin().lock(), Path::new("stdin")),
        _ => read(path),
    }
}

fn read_small(input: impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input
        .take(MAX_SMALL_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", path, &error))?;
    if bytes.len() as u64 > MAX_SMALL_FILE {
        return Err(Error::new(format!("{} is larger than 16 MiB", path.display()))
            .remedy("is it the right file? nothing of this kind is that large"));
    }
    Ok(bytes)
}

/// Reads a file of any size.
///
/// # Errors
/// If it cannot be read.
pub fn read_large(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io("read", path, &error))
}

/// A file that takes its name only when it is complete. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: NamedTempFile,
    noted: Unfinished,
}

impl NewFile {
    /// Starts a file beside `path`. Directories above it that are missing are made.
    ///
    /// # Errors
    /// If the directory cannot be made or written to, or if the name is a directory's or a device's.
    pub fn create(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::new(format!("{} is a directory", path.display()))
                .remedy("give the name of a file"));
        }
        // Renaming would put a file in the place of the device, and nothing on it.
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(Error::new(format!("{} is a device or a pipe", path.display())).remedy(
                "write to a file first, and copy that: `dd if=FILE of=DEVICE bs=4M conv=fsync`",
            ));
        }
        create_directory_of(path)?;
        let file = NamedTempFile::with_prefix_in(".ramstrap-", directory(path))
            .map_err(|error| Error::io("write", path, &error))?;
        let noted = Unfinished::note(file.path());
        Ok(Self { path: path.to_owned(), file, noted })
    }

    /// Gives the file its name and exactly this mode, whatever the umask. Without `replace`, an
    /// existing file is left alone and the call fails.
    ///
    /// # Errors
    /// If the name is taken and `replace` is false, or if the disk is full.
    pub fn publish(self, mode: u32, replace: bool) -> Result<()> {
        let Self { path, file, noted: _noted } = self;
        let failed = |error: &io::Error| Error::io("write", &path, error);
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(mode))
            .and_then(|()| file.as_file().sync_all())
            .map_err(|error| failed(&error))?;
        if replace {
            file.persist(&path).map_err(|error| failed(&error.error))?;
            return Ok(());
        }
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&path)),
            Err(error) => Err(failed(&error.error)),
        }
    }

    /// The handle, for writers that also seek.
    pub fn file(&mut self) -> &mut fs::File {
        self.file.as_file_mut()
    }

    /// Reads what is in it so far, from its start.
    ///
    /// # Errors
    /// If it is gone.
    pub fn reopen(&self) -> io::Result<fs::File> {
        self.file.reopen()
    }

    /// How long it is so far, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.file.as_file().metadata().map_or(0, |data| data.len())
    }

    /// Where it will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for NewFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Passes on what is written, and keeps the first error of the file below: whoever is above tells it in
/// words of its own, which are a machine's and not this tool's.
#[derive(Debug)]
pub(crate) struct Noting<'a, W> {
    inner: W,
    failed: &'a OnceCell<io::Error>,
}

impl<'a, W> Noting<'a, W> {
    /// Around a writer; what fails is put into the cell.
    pub(crate) fn new(inner: W, failed: &'a OnceCell<io::Error>) -> Self {
        Self { inner, failed }
    }

    /// The writer.
    pub(crate) fn into_inner(self) -> W {
        self.inner
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            let copy = match error.raw_os_error() {
                Some(number) => io::Error::from_raw_os_error(number),
                None => error.kind().into(),
            };
            self.failed.get_or_init(|| copy);
        }
        result
    }
}

impl<W: Write> Write for Noting<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.note(flushed)
    }
}

impl<W: Seek> Seek for Noting<'_, W> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let sought = self.inner.seek(to);
        self.note(sought)
    }
}

/// Gives two files that belong together their names, one right after the other, in the place of those
/// that were there: an interruption leaves both or none of them.
///
/// # Errors
/// As [`NewFile::publish`]. If the first fails, the second is left alone.
pub fn publish_both(first: NewFile, second: NewFile, mode: u32) -> Result<()> {
    // What takes long is done before: then there is next to no time between the names.
    for new in [&first, &second] {
        let synced = new.file.as_file().sync_all();
        synced.map_err(|error| Error::io("write", &new.path, &error))?;
    }
    let _undisturbed = unfinished::together();
    first.publish(mode, true)?;
    second.publish(mode, true)
}

/// The directory that this is in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the directory that something is to be written into, if it is missing: one rule for every
/// output of the tool.
///
/// # Errors
/// If it cannot be made.
pub fn create_directory_of(path: &Path) -> Result<()> {
    let directory = directory(path);
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)
        .map_err(|error| Error::io("make the directory", directory, &error))
}

/// Writes a whole file under its name at once.
///
/// # Errors
/// As [`NewFile::create`] and [`NewFile::publish`].
pub fn write(path: &Path, bytes: &[u8], mode: u32, replace: bool) -> Result<()> {
    let mut new = NewFile::create(path)?;
    new.write_all(bytes).map_err(|error| Error::io("write", path, &error))?;
    new.publish(mode, replace)
}

/// Whether nobody but its owner may read a file.
#[must_use]
pub fn is_private(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o077 == 0)
}

/// Refuses if one of these files exists: asked before anything of a set is written.
///
/// # Errors
/// If one exists.
pub fn refuse_existing(paths: &[&Path]) -> Result<()> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(exists(path)),
        None => Ok(()),
    }
}

fn exists(path: &Path) -> Error {
    Error::new(format!("{} exists already", path.display()))
        .remedy("choose another name, or replace it with --force")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_under_several_names_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("key"), "x").unwrap();
        fs::hard_link(path("key"), path("hard")).unwrap();
        std::os::unix::fs::symlink(path("key"), path("soft")).unwrap();
        fs::create_dir(path("d")).unwrap();
        for name in ["key", "d/../key", "./key", "hard", "soft"] {
            let refused = spare_inputs(&path(name), [path("key").as_path()]);
            assert!(refused.is_err(), "{name}");
        }
        for name in ["other", "d/key", "new/key", "keys", "key/x"] {
            spare_inputs(&path(name), [path("key").as_path()]).unwrap();
        }
        let same = [("new", "./new"), ("d/new", "d/../d/new"), ("a/b/new", "a/./b/../b/new")];
        for (one, other) in same.into_iter().chain([("hard", "soft")]) {
            assert!(spare_all(&[&path(one), &path(other)], &[]).is_err(), "{one} {other}");
        }
        spare_all(&[&path("one"), &path("other")], &[path("key")]).unwrap();
        assert!(spare_all(&[&path("one"), &path("hard")], &[path("key")]).is_err());
    }
}
