//! The package that runs.

use report::Code;
use report::Failure;
use report::UpgradedFrom;
use trust::Sha256Digest;

/// The package that runs, as it was verified when it was booted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Current {
    /// SHA-256 of its archive.
    pub sha256: Sha256Digest,
    /// Its release, if it has one.
    pub release: Option<u64>,
}

impl Current {
    /// Whether a package with this release is newer. One that has none never is; to one that has
    /// none, every release is.
    ///
    /// # Errors
    /// E0414.
    pub(crate) fn check_newer(&self, found: Option<u64>) -> Result<(), Failure> {
        if found > self.release {
            return Ok(());
        }
        let running = self.release.map_or_else(
            || "what runs has none, either".to_owned(),
            |release| format!("release {release} runs"),
        );
        let detail = match found {
            Some(found) => format!("the package has release {found}, but {running}"),
            None => format!("the package has no release, and {running}"),
        };
        Err(Failure::new(Code::ReleaseTooOld, detail))
    }

    /// For the boot report of its successor.
    pub(crate) fn report(&self) -> UpgradedFrom {
        UpgradedFrom { sha256: self.sha256.to_string(), release: self.release }
    }
}

#[cfg(test)]
mod tests {
    use report::Code;
    use trust::Sha256Digest;

    use super::Current;

    #[test]
    fn only_a_higher_release_is_newer() {
        let check = |running, found| {
            Current { sha256: Sha256Digest::of(b"it"), release: running }
                .check_newer(found)
                .map_err(|failure| failure.code)
        };
        for (running, found) in
            [(Some(7), Some(8)), (Some(7), Some(u64::MAX)), (None, Some(0)), (Some(0), Some(1))]
        {
            assert_eq!(check(running, found), Ok(()), "{running:?} to {found:?}");
        }
        for (running, found) in
            [(Some(7), Some(7)), (Some(7), Some(6)), (Some(0), None), (None, None)]
        {
            assert_eq!(check(running, found), Err(Code::ReleaseTooOld), "{running:?} to {found:?}");
        }
    }
}
