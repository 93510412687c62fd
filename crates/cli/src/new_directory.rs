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
use crate::unfinished::Unfinished;

/// A directory in the making, beside the place where it goes. Dropped early, it leaves nothing.
#[derive(Debug)]
pub(crate) struct NewDirectory {
    out: PathBuf,
    made: TempDir,
    noted: Unfinished,
    mode: u32,
    /// Files of others in the earlier directory, if there is one.
    former: Option<Vec<OsString>>,
}

impl NewDirectory {
    /// Starts it, in the place of nothing or of an empty directory. It will have this mode; until
    /// then it is its owner's alone. Directories above it that are missing are made.
    ///
    /// # Errors
    /// If the directory above cannot be made or written to.
    pub(crate) fn create(out: &Path, mode: u32) -> Result<Self> {
        files::create_directory_of(out)?;
        let made = TempDir::with_prefix_in(".ramstrap-", files::directory(out))
            .map_err(|error| Error::io("write", out, &error))?;
        let noted = Unfinished::note(made.path());
        Ok(Self { out: out.to_owned(), made, noted, mode, former: None })
    }

    /// As [`Self::create`], also in the place of an earlier one of these: with a file of the name
    /// `mark` in it. Its files of other names than `ours` are kept: somebody put them there.
    ///
    /// # Errors
    /// As [`Self::create`], or if something else is there.
    pub(crate) fn replacing(out: &Path, mode: u32, mark: &str, ours: &[&str]) -> Result<Self> {
        let former = match out.symlink_metadata() {
            Err(_) => None,
            Ok(_) if replaceable(out, mark)? => Some(others(out, ours)?),
            Ok(_) => {
                return Err(Error::new(format!(
                    "{} is there, and is not ours to replace",
                    out.display()
                ))
                .remedy(
                    "name a directory that does not exist, or one that was made like this before",
                ));
            }
        };
        Ok(Self { former, ..Self::create(out, mode)? })
    }

    /// Writes a file of exactly this mode.
    ///
    /// # Errors
    /// If the disk is full.
    pub(crate) fn file(&self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        // Of the final place, where one that looks for the error can find it.
        let failed = |error: Error| error.on(self.out.display());
        files::write(&self.made.path().join(name), bytes, mode, false).map_err(failed)
    }

    /// Starts a file of exactly this mode, to be written piece by piece.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn start(&self, name: &str, mode: u32) -> Result<fs::File> {
        let failed = |error: std::io::Error| Error::io("write", &self.out, &error);
        let file = fs::File::create_new(self.made.path().join(name)).map_err(failed)?;
        file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        Ok(file)
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// If it cannot be renamed. What stood there before stands there again then.
    pub(crate) fn publish(self) -> Result<()> {
        let Self { out, made, noted: _noted, mode, former } = self;
        let failed = |error: std::io::Error| Error::io("write", &out, &error);
        fs::set_permissions(made.path(), Permissions::from_mode(mode)).map_err(failed)?;
        let Some(kept) = former else {
            // Takes the place of an empty directory, and of nothing else.
            fs::rename(made.path(), &out).map_err(failed)?;
            // It has another name now, under which nobody is to remove it.
            let _ = made.keep();
            return Ok(());
        };
        for name in kept {
            fs::hard_link(out.join(&name), made.path().join(&name)).map_err(failed)?;
        }
        // Both are in one directory, so that renaming is enough.
        let aside = made.path().with_extension("before");
        fs::rename(&out, &aside).map_err(failed)?;
        if let Err(error) = fs::rename(made.path(), &out) {
            let _ = fs::rename(&aside, &out);
            return Err(failed(error));
        }
        let _ = made.keep();
        fs::remove_dir_all(&aside).map_err(failed)
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

/// Names of files in a directory that are not ours.
fn others(out: &Path, ours: &[&str]) -> Result<Vec<OsString>> {
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
