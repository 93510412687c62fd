//! Files that hold secrets, on file systems in memory only.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::chown;
use std::path::Path;

/// Makes a directory that only its owner sees.
pub(crate) fn directory(path: &Path, owner: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    chown(path, Some(owner), Some(owner))
}

/// Writes a file that only its owner reads; it must not be there yet.
pub(crate) fn write(path: &Path, content: &[u8], owner: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    chown(path, Some(owner), Some(owner))
}

/// Overwrites and removes everything below a directory, links not followed. Best effort: what cannot be
/// removed goes with its file system.
pub(crate) fn wipe(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                wipe(&path);
                let _ = fs::remove_dir(&path);
            }
            Ok(kind) => {
                if kind.is_file() {
                    let _ = overwrite(&path);
                }
                let _ = fs::remove_file(&path);
            }
            Err(_) => {}
        }
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).open(path)?;
    let mut left = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let zeros = [0_u8; 4096];
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all(zeros.get(..length).unwrap_or_default())?;
        left -= length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::directory;
    use super::wipe;
    use super::write;

    #[test]
    fn what_is_wiped_is_overwritten_before_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let me = std::os::unix::fs::MetadataExt::uid(&fs::metadata(root.path()).unwrap());
        let keys = root.path().join("keys");
        directory(&keys, me).unwrap();
        let path = keys.join("secret");
        write(&path, &[7; 5000], me).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
        let mut open = fs::File::open(&path).unwrap();
        wipe(root.path());
        let mut left = Vec::new();
        open.read_to_end(&mut left).unwrap();
        assert_eq!(left, [0; 5000]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
