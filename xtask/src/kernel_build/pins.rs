//! `kernel-config/pins.toml`: the sources that may go into a release.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde::Deserialize;

/// A source that is known by its hash.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// What its maker calls it, such as `6.12.117-1~deb12u1`.
    pub version: String,
    /// What the kernel calls itself, such as `6.12.117`.
    pub kernel: String,
    /// Who made it.
    pub origin: String,
    /// The package that holds it.
    pub package: String,
    /// The tarball's name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the tarball, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// All of them; the first is the default.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    source: Vec<Pin>,
}

impl Pins {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not what it should be.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the pins {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("cannot use the pins {}", file.display()))
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let pins: Self = toml::from_str(text)?;
        for pin in &pins.source {
            let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if pin.sha256.len() != 64 || !pin.sha256.bytes().all(digits) {
                bail!(
                    "the sha256 of {} must be 64 lower-case hexadecimal digits, not {:?}",
                    pin.version,
                    pin.sha256
                );
            }
        }
        Ok(pins)
    }

    /// All of them, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.source.iter()
    }

    /// The pin with this hash.
    #[must_use]
    pub fn with_hash(&self, sha256: &str) -> Option<&Pin> {
        self.iter().find(|pin| pin.sha256 == sha256)
    }

    /// The pin of a tarball that was given as a file.
    ///
    /// # Errors
    ///
    /// Its hash is in no pin and `unpinned` was not said. A file that has the name of a pinned one is
    /// told from one that is simply not known.
    pub fn judge(&self, file: &Path, sha256: &str, unpinned: bool) -> Result<Option<&Pin>> {
        if let Some(pin) = self.with_hash(sha256) {
            return Ok(Some(pin));
        }
        if unpinned {
            return Ok(None);
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if let Some(pin) = self.iter().find(|pin| pin.file == name) {
            bail!(
                "{} has the wrong hash:\n  expected {} ({} {})\n  found    {sha256}\n\
                 It is damaged, or another version under the same name. Get it again from {}, or, if it \
                 is what you want, say --unpinned: the kernel is marked as unpinned then, and no \
                 release can be made with it.",
                file.display(),
                pin.sha256,
                pin.package,
                pin.version,
                pin.origin,
            );
        }
        bail!(
            "{} is no pinned source: its SHA-256 {sha256} is not in kernel-config/pins.toml.\n\
             Compare it with the signed checksums of whoever made it, and add it there; or say \
             --unpinned: the kernel is marked as unpinned then, and no release can be made with it.",
            file.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Pins;
    use crate::kernel_build;

    #[test]
    fn the_list_can_be_read() {
        let pins = Pins::read(&kernel_build::config_dir().join("pins.toml")).unwrap();
        assert!(pins.iter().all(|pin| pin.version.starts_with(&pin.kernel)));
        assert!(pins.iter().next().is_some());
    }

    #[test]
    fn hashes_are_judged() {
        let hash = "0".repeat(64);
        let other = "1".repeat(64);
        let text = format!(
            "[[source]]\nversion = \"6.12.1-1\"\nkernel = \"6.12.1\"\norigin = \"Debian\"\n\
             package = \"linux-source-6.12\"\nfile = \"linux-source-6.12.tar.xz\"\n\
             bytes = 7\nsha256 = \"{hash}\"\n"
        );
        let pins = Pins::parse(&text).unwrap();
        let file = Path::new("dir/linux-source-6.12.tar.xz");
        assert!(pins.judge(file, &hash, false).unwrap().is_some());
        // By hash, whatever the name.
        assert!(pins.judge(Path::new("x"), &hash, false).unwrap().is_some());
        assert!(pins.judge(file, &other, true).unwrap().is_none());
        let error = pins.judge(file, &other, false).unwrap_err().to_string();
        for expected in ["wrong hash", &hash, &other, "6.12.1-1", "--unpinned"] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let error = pins.judge(Path::new("linux-7.tar.xz"), &other, false).unwrap_err().to_string();
        assert!(error.contains("no pinned source") && error.contains(&other), "{error}");
    }

    #[test]
    fn a_hash_that_is_none_is_refused() {
        let text = "[[source]]\nversion = \"1\"\nkernel = \"1\"\norigin = \"D\"\npackage = \"p\"\n\
                    file = \"f\"\nbytes = 7\nsha256 = \"ABC\"\n";
        let error = Pins::parse(text).unwrap_err().to_string();
        assert!(
            error.contains("64 lower-case hexadecimal digits") && error.contains("ABC"),
            "{error}"
        );
    }
}
