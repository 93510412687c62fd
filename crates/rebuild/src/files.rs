//! Reading with a limit, and writing so that a reader sees all of a file or nothing.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::Error;
use crate::Result;

/// Reads a file that must not be larger than this.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |error: io::Error| Error::io("read", path, &error);
    // Asked before it is opened: a pipe would keep us waiting, a device never ends.
    if fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(Error::new(format!("{} is a directory", path.display())));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(format!("{} has more than {limit} bytes", path.display()))
            .remedy("is it the right file? nothing of this kind is that large"));
    }
    Ok(bytes)
}

/// A temporary file in this directory, which is made if it is missing.
pub(crate) fn temporary_in(directory: &Path) -> Result<NamedTempFile> {
    let failed = |error: io::Error| Error::io("write in", directory, &error);
    fs::create_dir_all(directory).map_err(failed)?;
    NamedTempFile::with_prefix_in(".ramstrap-", directory).map_err(failed)
}

/// Gives a temporary file its name and exactly this mode, whatever the umask.
pub(crate) fn publish(file: NamedTempFile, path: &Path, mode: u32) -> Result<()> {
    let failed = |error: &io::Error| Error::io("write", path, error);
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| failed(&error))?;
    file.persist(path).map(drop).map_err(|error| failed(&error.error))
}

/// Writes a whole file under its name at once.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = temporary_in(directory)?;
    file.write_all(bytes).map_err(|error| Error::io("write", path, &error))?;
    publish(file, path, mode)
}
