//! `build.json`: what a package was built of, inside the package and so under its signatures.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use crate::Error;
use crate::Result;
use crate::is_sha256;
use crate::source::Source;
use crate::toolchain::Toolchain;

/// Name of the entry in the archive of a package.
pub const NAME: &str = "build.json";
/// Longest document that is read, in bytes.
pub const MAX_LEN: u64 = 16 << 20;
/// The version of the format that is known here.
const VERSION: u32 = 1;

/// What a package was built of. Readers ignore keys that they do not know.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct BuildRecord {
    /// Version of the format.
    pub version: u32,
    /// The recipe: a directory of `ospkg/`.
    pub name: String,
    /// Number of the release, if it has one.
    #[serde(default)]
    pub release: Option<u64>,
    /// The state of the source tree.
    pub source: Source,
    /// SHA-256 of the lock file of Debian packages.
    #[serde(default)]
    pub lock_sha256: Option<String>,
    /// What counts as the time of the build, Unix seconds.
    pub source_date_epoch: i64,
    /// Everything that was taken in and is not in the source tree.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// The kernel, if it was built from source.
    #[serde(default)]
    pub kernel: Option<Kernel>,
    /// What it was built with.
    #[serde(default)]
    pub toolchain: Toolchain,
    /// The locked root file system that it was built in; none if that was the builder's own machine.
    #[serde(default)]
    pub builder: Option<Builder>,
    /// What was asked for on the command line.
    #[serde(default)]
    pub options: Map<String, Value>,
}

/// A file that was taken in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Input {
    /// For people, and for the builder.
    pub name: String,
    /// Of the file: its name in a store.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
    /// `deb`, `kernel-source`, `staff-key`, …
    pub kind: String,
}

/// A locked builder root.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Builder {
    /// SHA-256 of its lock file: compiler, linker, C library, and all that they need.
    pub lock_sha256: String,
    /// SHA-256 over the files of the Rust toolchain.
    pub rust_sha256: String,
}

/// A kernel that was built.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Kernel {
    /// Hash over all its inputs; none if it came as a file.
    #[serde(default)]
    pub key: Option<String>,
    /// SHA-256 of its configuration.
    #[serde(default)]
    pub config_sha256: Option<String>,
    /// SHA-256 of its source.
    #[serde(default)]
    pub source_sha256: Option<String>,
    /// Whether nobody has vouched for that source.
    #[serde(default)]
    pub unpinned: bool,
}

impl BuildRecord {
    /// Reads a document, which may come from anywhere.
    ///
    /// # Errors
    /// If it is of another version, or something in it is not what it should be.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        const REMEDY: &str = "build the package with `cargo xtask ospkg build`";
        let failed = |what: String| Error::new(format!("{NAME}: {what}")).remedy(REMEDY);
        let record: Self =
            serde_json::from_slice(bytes).map_err(|error| failed(error.to_string()))?;
        if record.version != VERSION {
            let version = record.version;
            return Err(failed(format!("version {version}, known here is {VERSION}"))
                .remedy("rebuild it with the ramstrap of that time"));
        }
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if record.name.is_empty()
            || record.name.starts_with(['.', '-'])
            || !record.name.chars().all(letters)
        {
            return Err(failed(format!("{:?} is not the name of a recipe", record.name)));
        }
        if let Some(input) = record.inputs.iter().find(|input| !is_sha256(&input.sha256)) {
            return Err(failed(format!("the input {:?} has no SHA-256", input.name)));
        }
        Ok(record)
    }

    /// Whether it can be built again at all.
    ///
    /// # Errors
    /// If it was built from changes that no revision has, or from a kernel source that nobody
    /// vouched for. The reason is named.
    pub fn check_rebuildable(&self) -> Result<()> {
        self.source.check()?;
        if self.kernel.as_ref().is_some_and(|kernel| kernel.unpinned) {
            return Err(Error::new("its kernel was built from a source that is not pinned").remedy(
                "releases are built from the sources of kernel-config/pins.toml: ask the publisher \
                 for such a build",
            ));
        }
        Ok(())
    }

    /// Files of this kind that were taken in.
    pub fn inputs_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Input> {
        self.inputs.iter().filter(move |input| input.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"version":1,"name":"vpn","release":7,"new":{},
        "source":{"revision":"0123456789012345678901234567890123456789","dirty":false},
        "lock_sha256":null,"source_date_epoch":1700000000,
        "inputs":[{"name":"a.deb","sha256":"HASH","size":3,"kind":"deb"}],
        "kernel":{"key":"k","unpinned":false},
        "toolchain":{"rustc":"1"},"options":{"label":"x"}}"#;

    fn parse(from: &str, to: &str) -> Result<BuildRecord> {
        let text = GOOD.replace(from, to).replace("HASH", &"0".repeat(64));
        BuildRecord::parse(text.as_bytes())
    }

    #[test]
    fn a_record_is_read() {
        let record = parse("", "").unwrap();
        assert_eq!((record.name.as_str(), record.release), ("vpn", Some(7)));
        assert_eq!(record.inputs_of("deb").count(), 1);
        assert_eq!(record.inputs_of("kernel").count(), 0);
        record.check_rebuildable().unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, words) in [
            ("\"version\":1", "\"version\":2", "version 2"),
            ("\"vpn\"", "\"../vpn\"", "not the name of a recipe"),
            ("\"vpn\"", "\"--help\"", "not the name of a recipe"),
            ("HASH", "abc", "a.deb"),
            ("1700000000", "\"now\"", "build.json: "),
        ] {
            let error = parse(from, to).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_built_again_is_refused() {
        for (from, to, words) in [
            ("\"dirty\":false", "\"dirty\":true", "changes that no revision has"),
            ("\"unpinned\":false", "\"unpinned\":true", "not pinned"),
            ("0123456789", "HEAD~1", "no revision"),
        ] {
            let error = parse(from, to).unwrap().check_rebuildable().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
