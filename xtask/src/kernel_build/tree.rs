//! A kernel source tree: what it is, and a hash over all that is in it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use sha2::Digest;
use sha2::Sha256;
use walkdir::WalkDir;

use crate::progress;

/// Files that a build inside of the source tree leaves there; `make O=` refuses to work then.
const BUILT_INSIDE: [&str; 3] = [".config", "include/config", "arch/x86/include/generated"];

/// The version that a tree calls itself, such as `6.12.117`.
///
/// # Errors
///
/// It is no kernel source.
pub fn version(tree: &Path) -> Result<String> {
    version_of(tree, &tree.display().to_string())
}

/// As [`version`], with a name for the tree in errors.
///
/// # Errors
///
/// It is no kernel source.
pub(super) fn version_of(tree: &Path, name: &str) -> Result<String> {
    if !tree.is_dir() {
        bail!(
            "{name} is no directory, or does not exist: --source takes an unpacked kernel source"
        );
    }
    let makefile = tree.join("Makefile");
    let text = fs::read_to_string(&makefile)
        .ok()
        .filter(|_| tree.join("Kconfig").is_file() && tree.join("arch/x86").is_dir())
        .with_context(|| {
            format!("{name} is no kernel source: it must have Makefile, Kconfig and arch/x86")
        })?;
    version_in(&text).with_context(|| format!("{name}: its Makefile says no version of the kernel"))
}

fn version_in(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        let found = makefile.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        });
        found.unwrap_or_default()
    };
    let numbers: Vec<&str> = ["VERSION", "PATCHLEVEL", "SUBLEVEL"]
        .into_iter()
        .map(value)
        .filter(|number| !number.is_empty())
        .collect();
    (numbers.len() > 1).then(|| format!("{}{}", numbers.join("."), value("EXTRAVERSION")))
}

/// Refuses a tree in which a kernel has been built.
///
/// # Errors
///
/// One has.
pub fn require_clean(tree: &Path) -> Result<()> {
    match BUILT_INSIDE.iter().find(|name| tree.join(name).exists()) {
        Some(name) => bail!(
            "{} has been built in: there is {name} in it. Run `make mrproper` there, or give a tree \
             that was just unpacked",
            tree.display()
        ),
        None => Ok(()),
    }
}

/// SHA-256 over every file: its path, whether it can be executed, and its content. What git keeps
/// beside the files does not count.
///
/// It reads 1.5 GB, which takes seconds; a key made of times and lengths would be cheaper, and would
/// take one source for another some day.
///
/// # Errors
///
/// A file cannot be read.
pub fn digest(tree: &Path) -> Result<String> {
    progress::step("hash the source tree", |_| {
        let mut hash = Sha256::new();
        let walk = WalkDir::new(tree).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| entry.depth() != 1 || entry.file_name() != ".git") {
            let entry = entry.context("cannot read the source tree")?;
            let kind = entry.file_type();
            if kind.is_dir() {
                continue;
            }
            let path = entry.path();
            let content = if kind.is_symlink() {
                fs::read_link(path).map(|target| target.as_os_str().as_bytes().to_vec())
            } else if kind.is_file() {
                fs::read(path)
            } else {
                Err(io::Error::other("it is neither a file nor a symbolic link"))
            }
            .with_context(|| format!("cannot read {}", path.display()))?;
            let executable = kind.is_file() && entry.metadata()?.permissions().mode() & 0o111 != 0;
            let tag = if kind.is_symlink() { b'l' } else { b'f' + u8::from(executable) };
            let name = path.strip_prefix(tree).unwrap_or(path).as_os_str().as_bytes();
            // Lengths before texts: no two trees may give one stream of bytes.
            hash.update([tag]);
            for part in [name, &content] {
                hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
                hash.update(part);
            }
        }
        Ok(hex::encode(hash.finalize()))
    })
}

/// The one directory in a directory, which is how tarballs are packed.
///
/// # Errors
///
/// There is none, or there are more.
pub fn only_directory_in(dir: &Path) -> Result<PathBuf> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        entries.push(entry?.path());
    }
    match entries.as_slice() {
        [one] if one.is_dir() => Ok(one.clone()),
        _ => bail!("it does not hold one directory, but {} entries", entries.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::digest;
    use super::require_clean;
    use super::version;
    use super::version_in;

    fn tree(dir: &Path) {
        fs::create_dir_all(dir.join("arch/x86")).unwrap();
        fs::write(dir.join("Kconfig"), "").unwrap();
        let makefile = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\nNAME = x\n";
        fs::write(dir.join("Makefile"), makefile).unwrap();
    }

    #[test]
    fn the_version_is_that_of_the_makefile() {
        let dir = tempfile::tempdir().unwrap();
        let error = version(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is no kernel source"), "{error}");
        tree(dir.path());
        assert_eq!(version(dir.path()).unwrap(), "6.12.117");
        assert_eq!(
            version_in("VERSION=6\nPATCHLEVEL=13\nEXTRAVERSION = -rc2\n").unwrap(),
            "6.13-rc2"
        );
        assert_eq!(version_in("all:\n"), None);
    }

    #[test]
    fn a_tree_that_was_built_in_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        require_clean(dir.path()).unwrap();
        fs::write(dir.path().join(".config"), "").unwrap();
        let error = require_clean(dir.path()).unwrap_err().to_string();
        assert!(error.contains("make mrproper") && error.contains(".config"), "{error}");
    }

    #[test]
    fn the_digest_is_that_of_contents() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tree(one.path());
        tree(other.path());
        fs::create_dir(other.path().join(".git")).unwrap();
        fs::write(other.path().join(".git/HEAD"), "x").unwrap();
        let first = digest(one.path()).unwrap();
        assert_eq!(first, digest(other.path()).unwrap());
        let file = other.path().join("Kconfig");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(first, digest(other.path()).unwrap());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(first, digest(other.path()).unwrap());
        // Same length, same names.
        fs::write(
            other.path().join("Makefile"),
            fs::read_to_string(one.path().join("Makefile")).unwrap().replace("117", "118"),
        )
        .unwrap();
        assert_ne!(first, digest(other.path()).unwrap());
    }
}
