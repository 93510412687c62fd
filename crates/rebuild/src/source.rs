//! Which state of the source tree something is built from.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Result;

/// A state of the source tree.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
    /// Name of the commit: 40 or 64 hexadecimal digits.
    pub revision: String,
    /// Whether there were changes that this commit does not have.
    #[serde(default)]
    pub dirty: bool,
}

impl Source {
    /// Whether somebody else can have it, too.
    ///
    /// # Errors
    /// If it has changes that no revision has, or names no revision.
    pub fn check(&self) -> Result<()> {
        if self.dirty {
            return Err(Error::new(format!(
                "it was built from changes that no revision has (on top of {})",
                self.revision
            ))
            .remedy("commit everything, then build the release; nobody can rebuild this one"));
        }
        let hex = |letter: u8| matches!(letter, b'0'..=b'9' | b'a'..=b'f');
        if matches!(self.revision.len(), 40 | 64) && self.revision.bytes().all(hex) {
            return Ok(());
        }
        Err(Error::new(format!("{:?} is no revision of a source tree", self.revision))
            .remedy("releases are built from a git checkout: ask the publisher for such a build"))
    }
}

/// The state of the checkout that has this directory. Files that git neither has nor ignores count
/// as changes.
///
/// # Errors
/// If it is no git checkout, or git is missing.
pub fn of_checkout(directory: &Path) -> Result<Source> {
    let revision = git(directory, &["rev-parse", "--verify", "HEAD"])?;
    let changes = git(directory, &["status", "--porcelain", "--untracked-files=normal"])?;
    Ok(Source { revision, dirty: !changes.is_empty() })
}

/// Runs git in a directory and gives what it said.
pub(crate) fn git(directory: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        // A rebuild may run as another user than the one whose checkout it is; nothing of the
        // checkout is executed here.
        .args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor="])
        .args(args)
        .env("LC_ALL", "C")
        // Set by git for its hooks, and then about another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .map_err(|error| Error::new(format!("git cannot be run: {error}")).remedy("install git"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::new(format!(
        "git {} in {}: {}",
        args.first().copied().unwrap_or_default(),
        directory.display(),
        text(&output.stderr).lines().map(str::trim).collect::<Vec<_>>().join(" ")
    )))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A repository with one commit in which the file `file` says `one`.
    pub(crate) fn repository(directory: &Path) -> PathBuf {
        let root = directory.join("repository");
        fs::create_dir(&root).unwrap();
        git(&root, &["init", "--quiet"]).unwrap();
        commit(&root, "one");
        root
    }

    pub(crate) fn commit(root: &Path, content: &str) {
        fs::write(root.join("file"), content).unwrap();
        git(root, &["add", "file"]).unwrap();
        let who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        git(root, &[&who[..], &["commit", "--quiet", "-m", content]].concat()).unwrap();
    }

    #[test]
    fn changes_are_seen() {
        let directory = tempfile::tempdir().unwrap();
        let root = repository(directory.path());
        let clean = of_checkout(&root).unwrap();
        assert!(!clean.dirty);
        clean.check().unwrap();
        fs::write(root.join("new"), "").unwrap();
        assert!(of_checkout(&root).unwrap().dirty);
        fs::remove_file(root.join("new")).unwrap();
        fs::write(root.join("file"), "two").unwrap();
        let dirty = of_checkout(&root).unwrap();
        assert!(dirty.dirty && dirty.revision == clean.revision);
        assert!(dirty.check().unwrap_err().to_string().contains("no revision has"));
    }

    #[test]
    fn what_is_no_checkout_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let error = of_checkout(directory.path()).unwrap_err().to_string();
        assert!(error.contains("git rev-parse in") && error.contains("not a git"), "{error}");
    }
}
