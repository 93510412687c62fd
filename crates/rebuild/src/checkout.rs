//! The recorded revision of the source tree, in a directory of its own that is gone afterwards.

use std::path::Path;

use tempfile::TempDir;

use crate::Result;
use crate::source::Source;
use crate::source::git;

/// A revision, checked out. Dropped, it is deleted.
#[derive(Debug)]
pub struct Checkout {
    directory: TempDir,
}

impl Checkout {
    /// Checks out a revision of this repository: a checkout, a bare repository, or a URL that git
    /// knows. `parent` is where the directory is made; it must exist.
    ///
    /// The repository is not written to, and no hook, filter or setting of it or of this user has a
    /// part in it.
    ///
    /// # Errors
    /// If the repository does not have the revision, or there is no room.
    pub fn new(repository: &str, source: &Source, parent: &Path) -> Result<Self> {
        source.check()?;
        let failed = |error: std::io::Error| crate::Error::io("write in", parent, &error);
        let directory =
            tempfile::Builder::new().prefix("rebuild-").tempdir_in(parent).map_err(failed)?;
        let this = Self { directory };
        let local = Path::new(repository);
        let from = if local.exists() {
            local.canonicalize().map_err(failed)?.to_string_lossy().into_owned()
        } else {
            repository.to_owned()
        };
        // Its objects are used where they are; from elsewhere, all of them are fetched.
        // The other end of a clone has to be told anew that another user's checkout will do.
        const OTHER_END: &str = "--upload-pack=git -c 'safe.directory=*' upload-pack";
        let shared: &[&str] = if local.exists() { &["--shared", OTHER_END] } else { &[] };
        let clone = [&["clone", "--quiet", "--no-checkout", "--template="], shared].concat();
        git(parent, &[&clone[..], &["--", &from, &this.path().to_string_lossy()]].concat())?;
        let plain = ["-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.symlinks=true"];
        let checkout = ["checkout", "--quiet", "--detach", &source.revision, "--"];
        git(this.path(), &[&plain[..], &checkout].concat()).map_err(|error| {
            error
                .on(format!("revision {}", source.revision))
                .remedy("fetch it into that repository first, or name another one with --source")
        })?;
        Ok(this)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Leaves it where it is when it is dropped, to look into.
    pub fn leave(&mut self) {
        self.directory.disable_cleanup(true);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::of_checkout;
    use crate::source::tests::commit;
    use crate::source::tests::repository;

    #[test]
    fn an_earlier_revision_is_checked_out_and_gone_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let root = repository(directory.path());
        let first = of_checkout(&root).unwrap();
        commit(&root, "two");
        let parent = directory.path().join("work");
        fs::create_dir(&parent).unwrap();
        let checkout = Checkout::new(root.to_str().unwrap(), &first, &parent).unwrap();
        assert_eq!(fs::read_to_string(checkout.path().join("file")).unwrap(), "one");
        assert_eq!(of_checkout(checkout.path()).unwrap(), first);
        drop(checkout);
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        assert!(!of_checkout(&root).unwrap().dirty);
    }

    #[test]
    fn a_revision_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = repository(directory.path());
        let source = Source { revision: "1".repeat(40), dirty: false };
        let error = Checkout::new(root.to_str().unwrap(), &source, directory.path()).unwrap_err();
        assert!(error.to_string().contains(&"1".repeat(40)), "{error}");
        assert!(error.remedy_text().unwrap().contains("--source"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let option = Source { revision: "--upload-pack=x".to_owned(), dirty: false };
        assert!(Checkout::new(root.to_str().unwrap(), &option, directory.path()).is_err());
    }

    #[test]
    fn somebody_elses_checkout_will_do() {
        let directory = tempfile::tempdir().unwrap();
        let root = repository(directory.path());
        let first = of_checkout(&root).unwrap();
        let nobody = ["-R", "65534:65534"];
        let given = std::process::Command::new("chown").args(nobody).arg(&root).status().unwrap();
        if !given.success() {
            eprintln!("SKIPPED: another owner takes root");
            return;
        }
        let checkout = Checkout::new(root.to_str().unwrap(), &first, directory.path()).unwrap();
        assert_eq!(of_checkout(checkout.path()).unwrap(), first);
    }
}
