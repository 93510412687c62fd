//! The cache in `${XDG_CACHE_HOME:-~/.cache}/ramstrap`: kernels, unpacked modules, parts of boot
//! images. Everything in it appears whole or not at all, and can be deleted at any time.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

/// The cache's directory, created if it is missing.
///
/// # Errors
///
/// Neither `XDG_CACHE_HOME` nor `HOME` is set, or the directory cannot be created.
pub fn dir() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let Some(base) =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
    else {
        bail!("no place for the cache: set HOME or XDG_CACHE_HOME");
    };
    let dir = base.join("ramstrap");
    create_dir(&dir)?;
    Ok(dir)
}

/// A directory below the cache, created if it is missing.
///
/// # Errors
///
/// As [`dir`].
pub fn subdir(name: &str) -> Result<PathBuf> {
    let dir = dir()?.join(name);
    create_dir(&dir)?;
    Ok(dir)
}

/// Makes `target` by filling a temporary directory beside it and renaming that. If another process
/// was faster, its result stands.
///
/// # Errors
///
/// `fill` failed (nothing is left behind), or the file system refused.
pub fn publish_dir(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = target.parent().unwrap_or_else(|| Path::new("."));
    create_dir(parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)
        .with_context(|| format!("no temporary directory in {}", parent.display()))?;
    fill(temporary.path())?;
    match fs::rename(temporary.path(), target) {
        Ok(()) => {
            // It has moved: there is nothing left to clean up.
            let _ = temporary.keep();
            Ok(())
        }
        Err(_) if target.is_dir() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot create {}", target.display())),
    }
}

/// Writes `target` through a temporary file beside it, so that readers see all of it or nothing.
///
/// # Errors
///
/// The file system refused.
pub fn publish_file(target: &Path, contents: &[u8]) -> Result<()> {
    let parent = target.parent().unwrap_or_else(|| Path::new("."));
    create_dir(parent)?;
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(contents)?;
        // Temporary files are their owner's alone; lock files and pages are for everybody.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(target).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", target.display()))
}

/// Keeps the `keep` newest files of a directory of cached files and deletes the rest. Never fails:
/// a file that cannot be deleted now is deleted another time.
pub fn prune(dir: &Path, keep: usize) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, entry.path()))
        })
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(keep);
    for (_, path) in files.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}

fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::prune;
    use super::publish_dir;
    use super::publish_file;

    #[test]
    fn a_failed_fill_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("kernel");
        publish_dir(&target, |dir| {
            fs::write(dir.join("half"), "x")?;
            anyhow::bail!("broken off")
        })
        .unwrap_err();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_first_to_publish_wins() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("kernel");
        for text in ["first", "second"] {
            publish_dir(&target, |dir| Ok(fs::write(dir.join("file"), text)?)).unwrap();
        }
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "first");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn pruning_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..5 {
            let path = dir.path().join(number.to_string());
            publish_file(&path, b"x").unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(number);
            fs::File::open(&path).unwrap().set_modified(time).unwrap();
        }
        prune(dir.path(), 2);
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["3", "4"]);
    }
}
