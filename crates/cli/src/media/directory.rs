//! A directory that takes its name only when it is complete.

use std::ffi::OsString;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::Error;
use crate::Result;
use crate::files;

/// A directory in the making, beside the place where it goes. Dropped early, it leaves nothing.
#[derive(Debug)]
pub(super) struct NewDirectory {
    out: PathBuf,
    made: TempDir,
    /// Files of others in the earlier directory.
    kept: Vec<OsString>,
}

impl NewDirectory {
    /// Starts it. What stands at `out` must be an empty directory, or an earlier one of these: with
    /// a file of the name `mark` in it. Its files of other names than `ours` are kept: somebody put
    /// them there.
    ///
    /// # Errors
    /// If something else is there, or if the directory above is missing or not writable.
    pub(super) fn create(out: &Path, mark: &str, ours: &[&str]) -> Result<Self> {
        if out.symlink_metadata().is_ok() && !replaceable(out, mark)? {
            return Err(Error::new(format!(
                "{} is there, and is not ours to replace",
                out.display()
            ))
            .remedy(
                "name a directory that does not exist, or one that was made like this before",
            ));
        }
        let kept = others(out, ours)?;
        let above = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let made = TempDir::with_prefix_in(".ramstrap-", above)
            .map_err(|error| Error::io("write", out, &error))?;
        Ok(Self { out: out.to_owned(), made, kept })
    }

    /// Writes a file that everybody may read.
    ///
    /// # Errors
    /// If the disk is full.
    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // Of the final place, where one that looks for the error can find it.
        let failed = |error: Error| error.on(self.out.display());
        files::write(&self.made.path().join(name), bytes, files::PUBLIC, true).map_err(failed)
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// If it cannot be renamed. What stood there before stands there again then.
    pub(super) fn publish(self) -> Result<()> {
        let Self { out, made, kept } = self;
        let failed = |error: std::io::Error| Error::io("write", &out, &error);
        fs::set_permissions(made.path(), Permissions::from_mode(0o755)).map_err(failed)?;
        for name in kept {
            fs::hard_link(out.join(&name), made.path().join(&name)).map_err(failed)?;
        }
        let before = out.symlink_metadata().is_ok();
        // Both are in one directory, so that renaming is enough.
        let aside = made.path().with_extension("before");
        if before {
            fs::rename(&out, &aside).map_err(failed)?;
        }
        if let Err(error) = fs::rename(made.path(), &out) {
            if before {
                let _ = fs::rename(&aside, &out);
            }
            return Err(failed(error));
        }
        // It has another name now, under which nobody is to remove it.
        let _ = made.keep();
        if before { fs::remove_dir_all(&aside).map_err(failed) } else { Ok(()) }
    }
}

fn replaceable(out: &Path, mark: &str) -> Result<bool> {
    let is_directory = out.symlink_metadata().is_ok_and(|data| data.is_dir());
    if !is_directory {
        return Ok(false);
    }
    let mut entries = fs::read_dir(out).map_err(|error| Error::io("read", out, &error))?;
    Ok(out.join(mark).is_file() || entries.next().is_none())
}

/// Names of files in a directory that are not ours; none if there is no directory.
fn others(out: &Path, ours: &[&str]) -> Result<Vec<OsString>> {
    if !out.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |error: std::io::Error| Error::io("read", out, &error);
    let mut others = Vec::new();
    for entry in fs::read_dir(out).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if ours.iter().any(|it| name == *it) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            let what = entry.path();
            return Err(Error::new(format!("{} is not of an earlier build", what.display()))
                .remedy("move it elsewhere, or name another directory: this one is replaced"));
        }
        others.push(name);
    }
    Ok(others)
}
