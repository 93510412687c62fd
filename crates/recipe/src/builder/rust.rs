//! The Rust toolchain of a source tree: where it is on this machine, and what it consists of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use sha2::Digest;
use sha2::Sha256;

use crate::Error;
use crate::Result;

/// The components that take part in a build, for which there are lists of files.
const COMPONENTS: [&str; 3] = ["cargo", "rust-std", "rustc"];
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Directories of manuals and of what only shells and debuggers use.
const NOT_USED: [&str; 3] = ["share/", "etc/", "lib/rustlib/etc/"];

/// A toolchain of rustup.
#[derive(Clone, Debug)]
pub struct Rust {
    sysroot: PathBuf,
    sha256: String,
}

impl Rust {
    /// The one that `rust-toolchain.toml` of a source tree names.
    ///
    /// # Errors
    /// If it is not there, or was not installed by rustup: then nothing says what belongs to it.
    pub fn of(source_tree: &Path) -> Result<Self> {
        const REMEDY: &str = "install rustup, and with it what rust-toolchain.toml names: `rustup \
                              toolchain install`";
        // What cargo told this program which rustc is; in another checkout it may be another one.
        let output = Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(source_tree)
            .env_remove("RUSTUP_TOOLCHAIN")
            .output();
        let output = output
            .map_err(|error| Error::new(format!("rustc cannot be run: {error}")).remedy(REMEDY))?;
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if !output.status.success() || !sysroot.is_absolute() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(
                Error::new(format!("rustc --print sysroot: {}", words.trim())).remedy(REMEDY)
            );
        }
        // The name may be a link, which would lead nowhere from inside.
        let sysroot = fs::canonicalize(&sysroot)
            .map_err(|error| Error::io("read", &sysroot, &error).remedy(REMEDY))?;
        let sha256 = digest(&sysroot).map_err(|error| error.remedy(REMEDY))?;
        Ok(Self { sysroot, sha256 })
    }

    /// Where it is.
    #[must_use]
    pub fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    /// SHA-256 over the paths and contents of its files: compiler, cargo, standard library, linker.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

fn digest(sysroot: &Path) -> Result<String> {
    let mut paths = BTreeSet::new();
    for component in COMPONENTS {
        let list = sysroot.join(format!("lib/rustlib/manifest-{component}-{TARGET}"));
        let text = fs::read_to_string(&list).map_err(|error| Error::io("read", &list, &error))?;
        let files = text.lines().filter_map(|line| line.strip_prefix("file:"));
        let used = files.filter(|path| !NOT_USED.iter().any(|it| path.starts_with(it)));
        paths.extend(used.map(ToOwned::to_owned));
    }
    let mut hash = Sha256::new();
    for path in paths {
        let file = sysroot.join(&path);
        let bytes = fs::read(&file).map_err(|error| Error::io("read", &file, &error))?;
        hash.update(format!("{path} {}\n", rebuild::sha256(&bytes)));
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_takes_part_counts_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in ["bin", "share", "lib/rustlib"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for component in COMPONENTS {
            let list = format!("file:bin/{component}\nfile:share/doc\n");
            fs::write(root.join(format!("lib/rustlib/manifest-{component}-{TARGET}")), list)
                .unwrap();
            fs::write(root.join("bin").join(component), component).unwrap();
        }
        fs::write(root.join("share/doc"), "one").unwrap();
        let first = digest(root).unwrap();
        fs::write(root.join("share/doc"), "two").unwrap();
        fs::write(root.join("bin/other"), "not on a list").unwrap();
        assert_eq!(digest(root).unwrap(), first);
        fs::write(root.join("bin/rustc"), "other").unwrap();
        assert_ne!(digest(root).unwrap(), first);
        fs::remove_file(root.join("bin/rustc")).unwrap();
        assert!(digest(root).unwrap_err().to_string().contains("bin/rustc"));
    }
}
