//! Room on disk, and one build at a time.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use nix::sys::statvfs::statvfs;

use crate::cache;

/// What unfinished things in the cache begin with.
pub(super) const UNFINISHED: &str = ".new-";

/// Refuses to begin what would fill the disk.
///
/// # Errors
///
/// There is less room than needed, or the file system does not say.
pub fn require(dir: &Path, bytes: u64, what: &str) -> Result<()> {
    let status =
        statvfs(dir).with_context(|| format!("cannot ask for room in {}", dir.display()))?;
    let free = status.blocks_available() * status.fragment_size();
    enough(dir, free, bytes, what)
}

fn enough(dir: &Path, free: u64, needed: u64, what: &str) -> Result<()> {
    if free < needed {
        bail!(
            "{what} needs {:.1} GB in {}, and {:.1} GB are free. Make room, or put the cache elsewhere \
             with XDG_CACHE_HOME",
            gigabytes(needed),
            dir.display(),
            gigabytes(free)
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// Held while kernels are built, so that two commands do not do the same work twice.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Waits until nobody else builds; then deletes what an interrupted build has left.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn take() -> Result<Self> {
        let dir = cache::subdir("kernels")?;
        let path = dir.join(".lock");
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("Another command builds a kernel: waiting for it.");
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        for below in ["ours", "source"] {
            sweep(&dir.join(below));
        }
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file's end does it, too; this is sooner where it was inherited.
        let _ = self.0.unlock();
    }
}

/// Deletes unfinished directories. What cannot be deleted now is deleted another time.
fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::enough;
    use super::require;
    use super::sweep;

    #[test]
    fn too_little_room_is_said_beforehand() {
        require(Path::new("/"), 1, "nothing").unwrap();
        let error = enough(Path::new("/x"), 1_200_000_000, 2_200_000_000, "the kernel's source")
            .unwrap_err()
            .to_string();
        assert!(error.contains("needs 2.2 GB in /x, and 1.2 GB are free"), "{error}");
        assert!(error.contains("XDG_CACHE_HOME"), "{error}");
    }

    #[test]
    fn what_was_interrupted_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".new-abc", "boot-6.12.117-0123"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        sweep(dir.path());
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().flatten().map(|it| it.file_name()).collect();
        assert_eq!(left, ["boot-6.12.117-0123"]);
    }
}
