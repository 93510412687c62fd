//! The few things that are asked of APT, on Debian and Ubuntu.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::cache;
use crate::progress;

/// APT's package lists.
///
/// Those of the system are used where there are any. Where there are none (a container image, say)
/// root fills them with `apt-get update`; without root, lists of our own are kept in the cache, so
/// that a kernel can be downloaded all the same.
#[derive(Clone, Debug)]
pub struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// Opens the package lists, fetching them if there are none.
    ///
    /// # Errors
    ///
    /// This is no system with APT, or the lists cannot be fetched.
    pub fn open() -> Result<Self> {
        if !Path::new("/usr/bin/apt-get").exists() {
            bail!("apt-get is missing: nothing can be downloaded but on Debian and Ubuntu");
        }
        if system_has_lists() {
            return Ok(Self { options: Vec::new() });
        }
        if let Some(mut update) = as_root("apt-get") {
            progress::run("fetch package lists", update.arg("update"))?;
            return Ok(Self { options: Vec::new() });
        }
        let own = Self::own()?;
        if !own.lists_dir_filled()? {
            own.update()?;
        }
        Ok(own)
    }

    /// Fetches the lists again: the archive has moved on since.
    ///
    /// # Errors
    ///
    /// `apt-get update` failed.
    pub fn refreshed() -> Result<Self> {
        if let Some(mut update) = as_root("apt-get") {
            progress::run("fetch package lists", update.arg("update"))?;
            return Ok(Self { options: Vec::new() });
        }
        let own = Self::own()?;
        own.update()?;
        Ok(own)
    }

    /// Names of the packages that `package` depends on. Empty for a package that does not exist.
    ///
    /// # Errors
    ///
    /// `apt-cache` could not be run.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let output = self.cache(&["depends", package])?;
        Ok(parse_depends(&output))
    }

    /// The version that would be downloaded; `None` for a package that is not to be had.
    ///
    /// # Errors
    ///
    /// `apt-cache` could not be run.
    pub fn candidate(&self, package: &str) -> Result<Option<String>> {
        Ok(parse_candidate(&self.cache(&["policy", package])?))
    }

    /// The versions of a package that can be downloaded, the newest first.
    ///
    /// # Errors
    ///
    /// `apt-cache` could not be run.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        Ok(parse_versions(&self.cache(&["madison", package])?))
    }

    /// Downloads packages into a directory; a name may be followed by `=VERSION`. APT checks their
    /// hashes against its signed lists.
    ///
    /// # Errors
    ///
    /// The download failed.
    pub fn download(&self, packages: &[String], into: &Path) -> Result<()> {
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C").args(&self.options).arg("download").args(packages);
        progress::run(&format!("download {}", packages.join(", ")), command.current_dir(into))
    }

    fn own() -> Result<Self> {
        let dir = cache::subdir("apt")?;
        for name in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(name))?;
        }
        let options = vec![
            "-o".to_owned(),
            format!("Dir::State::Lists={}", dir.join("lists").display()),
            "-o".to_owned(),
            format!("Dir::Cache={}", dir.display()),
        ];
        Ok(Self { options })
    }

    fn lists_dir_filled(&self) -> Result<bool> {
        Ok(has_lists(&cache::subdir("apt")?.join("lists")))
    }

    fn update(&self) -> Result<()> {
        let mut command = Command::new("apt-get");
        progress::run(
            "fetch package lists (into the cache)",
            command.args(&self.options).arg("update"),
        )
    }

    fn cache(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("apt-cache")
            .env("LC_ALL", "C")
            .args(&self.options)
            .args(args)
            .output()
            .context("cannot run apt-cache")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A command that runs `program` as root without asking for anything; `None` if that cannot be.
#[must_use]
pub fn as_root(program: &str) -> Option<Command> {
    // SAFETY: geteuid only reads the process's own credentials and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        return Some(Command::new(program));
    }
    let quiet = Command::new("sudo").args(["-n", "true"]).output();
    if quiet.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("sudo");
        command.args(["-n", program]);
        return Some(command);
    }
    None
}

fn system_has_lists() -> bool {
    has_lists(Path::new("/var/lib/apt/lists"))
}

fn has_lists(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

/// Lines are `  Depends: name`, alternatives ` |Depends: name`.
fn parse_depends(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches('|').strip_prefix("Depends: "))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.starts_with('<'))
        .collect()
}

fn parse_candidate(output: &str) -> Option<String> {
    let version = output.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Lines are `name | version | place`; the same version may come from more than one place.
fn parse_versions(output: &str) -> Vec<String> {
    let mut versions: Vec<String> = output
        .lines()
        .filter(|line| line.trim_end().ends_with("Packages"))
        .filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned()))
        .collect();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::parse_candidate;
    use super::parse_depends;
    use super::parse_versions;

    #[test]
    fn versions_are_read() {
        let output = " linux-source-6.12 | 6.12.117-1 | http://archive.example s/main amd64 Packages\n\
                      linux-source-6.12 | 6.12.115-2 | http://archive.example s/main amd64 Packages\n\
                      linux-source-6.12 | 6.12.115-2 | http://archive.example s/main Sources\n";
        assert_eq!(parse_versions(output), ["6.12.117-1", "6.12.115-2"]);
        assert!(parse_versions("").is_empty());
    }

    #[test]
    fn dependencies_are_read() {
        let output = "linux-image-virtual\n  Depends: linux-image-6.8.0-45-generic\n |Depends: a\n  \
                      Depends: <virtual>\n  Recommends: b\n";
        assert_eq!(parse_depends(output), ["linux-image-6.8.0-45-generic", "a"]);
    }

    #[test]
    fn candidates_are_read() {
        let output = "x:\n  Installed: (none)\n  Candidate: 6.1.192-2\n";
        assert_eq!(parse_candidate(output).as_deref(), Some("6.1.192-2"));
        assert_eq!(parse_candidate("x:\n  Candidate: (none)\n"), None);
        assert_eq!(parse_candidate(""), None);
    }
}
