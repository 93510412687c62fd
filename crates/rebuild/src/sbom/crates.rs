//! Which crates are linked into a binary of this source tree.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::Crate;
use crate::Error;
use crate::Result;
use crate::files;

/// The target that guests run.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Between the fields of a line: in no name, version or licence.
const SEPARATOR: char = '\t';
const MAX_LOCK: u64 = 16 << 20;

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Crates that are linked into these packages of the source tree at `root`: normal dependencies with
/// the features that these packages alone ask for, without macros, which run in the compiler.
///
/// # Errors
/// If cargo cannot say, or `Cargo.lock` cannot be read.
pub fn crates_of(root: &Path, packages: &[&str]) -> Result<Vec<Crate>> {
    let path = root.join("Cargo.lock");
    let lock = files::read(&path, MAX_LOCK)?;
    let lock = String::from_utf8_lossy(&lock);
    let mut found = BTreeSet::new();
    for package in packages {
        let tree = tree(root, package)?;
        found.extend(parse(&tree, &lock).map_err(|error| error.on(path.display()))?);
    }
    Ok(found.into_iter().collect())
}

fn tree(root: &Path, package: &str) -> Result<String> {
    let format = format!("{{p}}{SEPARATOR}{{l}}");
    let failed = |what: String| Error::new(format!("cargo tree of {package}: {what}"));
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["tree", "--locked", "--package", package, "--target", TARGET])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", &format])
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Lines are `name v1.2.3 (place)`, the licence behind a separator, perhaps ` (*)` at the end.
fn parse(tree: &str, lock: &str) -> Result<BTreeSet<Crate>> {
    let lock: Lock = toml::from_str(lock).map_err(|error| Error::new(error.message()))?;
    let checksums: BTreeMap<(&str, &str), Option<&str>> = lock
        .package
        .iter()
        .map(|it| ((it.name.as_str(), it.version.as_str()), it.checksum.as_deref()))
        .collect();
    let mut crates = BTreeSet::new();
    for line in tree.lines() {
        let line = line.strip_suffix(" (*)").unwrap_or(line);
        let Some((what, licence)) = line.split_once(SEPARATOR) else { continue };
        let mut words = what.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let version = version.strip_prefix('v').unwrap_or(version);
        let checksum = checksums
            .get(&(name, version))
            .ok_or_else(|| Error::new(format!("it has no {name} {version}, which is linked in")))?;
        crates.insert(Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: Some(licence.trim().to_owned()).filter(|licence| !licence.is_empty()),
            sha256: checksum.map(str::to_owned),
        });
    }
    Ok(crates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tree_are_read() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"b\"\n\
                    version = \"1.0.0\"\nsource = \"r\"\nchecksum = \"beef\"\n";
        let tree = "a v0.1.0 (/some/where)\tMIT OR Apache-2.0\nb v1.0.0\tMIT/Apache-2.0\n\
                    b v1.0.0\tMIT/Apache-2.0 (*)\n";
        let crates: Vec<Crate> = parse(tree, lock).unwrap().into_iter().collect();
        assert_eq!(crates.len(), 2);
        assert_eq!((crates[0].name.as_str(), &crates[0].sha256), ("a", &None));
        assert_eq!(crates[1].sha256.as_deref(), Some("beef"));
        let error = parse("c v1.0.0\tMIT\n", lock).unwrap_err().to_string();
        assert!(error.contains("no c 1.0.0"), "{error}");
    }

    #[test]
    fn what_is_linked_into_init_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let crates = crates_of(&root, &["init"]).unwrap();
        let has = |name: &str| crates.iter().any(|it| it.name == name);
        assert!(has("init") && has("rustls") && has("ed25519-dalek"));
        // A macro, a tool of a build script, and something that only tests use.
        assert!(!has("serde_derive") && !has("cc") && !has("proptest"));
    }
}
