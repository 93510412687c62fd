//! `packages.lock`: which versions of which packages, by their SHA-256.

use core::fmt::Write;
use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::Recipe;
use crate::Result;
use crate::manifest::explain;

const VERSION: u32 = 1;

/// A lock file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Version of the format.
    pub version: u32,
    /// What counts as the time of the build, Unix seconds: that of the newest suite.
    pub source_date_epoch: i64,
    /// Architecture of the packages.
    pub architecture: String,
    /// What the recipe asked for.
    pub packages: Vec<String>,
    /// What it left out.
    pub without: Vec<String>,
    /// The suites that it was resolved against.
    #[serde(default)]
    pub suite: Vec<Suite>,
    /// The packages, sorted by name.
    #[serde(default)]
    pub package: Vec<Package>,
}

/// A suite of an archive, as it was.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Its name, such as `bookworm-security`.
    pub name: String,
    /// When it was signed.
    pub date: String,
    /// SHA-256 of its signed list (`InRelease`).
    pub release_sha256: String,
}

/// A package.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version, with its epoch.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The source package that it was built from.
    pub source: String,
    /// The suite that has it.
    pub suite: String,
    /// Where it is in the archive.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Of the `.deb` file.
    pub sha256: String,
}

impl Package {
    /// The name of its file, without a colon.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let lock: Self = toml::from_str(text).map_err(|error| explain(text, &error))?;
        if lock.version != VERSION {
            return Err(Error::new(format!("version {}, known here is {VERSION}", lock.version)));
        }
        let mut names = BTreeSet::new();
        for package in &lock.package {
            if !rebuild::is_sha256(&package.sha256) {
                return Err(Error::new(format!("{}: its sha256 is none", package.name)));
            }
            let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
            if !package.path.split('/').all(plain) || package.path.contains(['?', '#', '\\']) {
                return Err(Error::new(format!(
                    "{}: {:?} is no path in an archive",
                    package.name, package.path
                )));
            }
            if !names.insert(&package.name) {
                return Err(Error::new(format!("{} is there twice", package.name)));
            }
        }
        Ok(lock)
    }

    /// Reads the lock file of a recipe and checks that it is for what the recipe asks for now.
    ///
    /// # Errors
    /// If it is missing, damaged, or older than the recipe.
    pub fn of(recipe: &Recipe) -> Result<Self> {
        Self::at(&recipe.lock_file(), recipe).map(|(lock, _)| lock)
    }

    /// The same of a lock file that is elsewhere; also gives its text.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn at(path: &Path, recipe: &Recipe) -> Result<(Self, String)> {
        let refresh = format!("`cargo xtask ospkg lock {}` makes it", recipe.name);
        let text = std::fs::read_to_string(path).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let error = Error::io("read", path, &error);
            if missing { error.remedy(refresh.clone()) } else { error }
        })?;
        let lock = Self::parse(&text).map_err(|error| {
            error.on(path.display()).remedy(format!("do not edit it by hand: {refresh} anew"))
        })?;
        lock.check(recipe)
            .map_err(|error| error.on(path.display()).remedy(format!("{refresh} anew")))?;
        Ok((lock, text))
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        let changes = [
            difference("packages", &recipe.packages(), &self.packages),
            difference("without", &recipe.without(), &self.without),
            difference(
                "suites",
                &suites(recipe),
                &self.suite.iter().map(|it| it.name.clone()).collect::<Vec<_>>(),
            ),
        ];
        let changes: Vec<String> = changes.into_iter().flatten().collect();
        if changes.is_empty() {
            return Ok(());
        }
        let error = Error::new("it is older than the recipe, whose packages have changed");
        Err(changes.into_iter().fold(error, Error::detail))
    }

    /// The file, the same for the same lock.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Made by `cargo xtask ospkg lock`; do not edit. The hashes are those of the archive's\n\
             # signed lists.\n",
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "version = {VERSION}");
        let _ = writeln!(text, "source_date_epoch = {}", self.source_date_epoch);
        let _ = writeln!(text, "architecture = {}", quoted(&self.architecture));
        let _ = writeln!(text, "packages = {}", list(&self.packages));
        let _ = writeln!(text, "without = {}", list(&self.without));
        for suite in &self.suite {
            let _ = writeln!(text, "\n[[suite]]\nname = {}", quoted(&suite.name));
            let _ = writeln!(text, "date = {}", quoted(&suite.date));
            let _ = writeln!(text, "release_sha256 = {}", quoted(&suite.release_sha256));
        }
        for it in &self.package {
            let _ = writeln!(text, "\n[[package]]\nname = {}", quoted(&it.name));
            for (key, value) in [
                ("version", &it.version),
                ("architecture", &it.architecture),
                ("source", &it.source),
                ("suite", &it.suite),
                ("path", &it.path),
            ] {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
            let _ = writeln!(text, "size = {}\nsha256 = {}", it.size, quoted(&it.sha256));
        }
        text
    }
}

/// The suites that a recipe asks for.
#[must_use]
pub fn suites(recipe: &Recipe) -> Vec<String> {
    recipe.distribution().map(|it| it.suites.clone()).unwrap_or_default()
}

fn difference(what: &str, now: &[String], then: &[String]) -> Option<String> {
    let missing = |from: &[String], of: &[String], sign: &str| -> Vec<String> {
        from.iter().filter(|it| !of.contains(it)).map(|it| format!("{sign}{it}")).collect()
    };
    let changes = [missing(now, then, "+"), missing(then, now, "-")].concat();
    (!changes.is_empty()).then(|| format!("{what}: {}", changes.join(" ")))
}

/// A basic string of TOML is one of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("\n    {},", quoted(text))).collect();
    if texts.is_empty() { "[]".to_owned() } else { format!("[{}\n]", texts.concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let package = |name: &str| Package {
            name: name.into(),
            version: "1:2-3".into(),
            path: format!("pool/{name}_2-3_amd64.deb"),
            size: 7,
            sha256: "0".repeat(64),
            ..Package::default()
        };
        Lock {
            version: 1,
            source_date_epoch: 1_700_000_000,
            architecture: "amd64".into(),
            packages: vec!["a".into()],
            without: Vec::new(),
            suite: vec![Suite { name: "stable".into(), ..Suite::default() }],
            package: vec![package("a"), package("b")],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Lock::parse(&lock().to_toml()).unwrap(), lock());
    }

    #[test]
    fn damage_is_named() {
        let text = lock().to_toml();
        for (from, to, words) in [
            ("version = 1\n", "version = 2\n", "version 2"),
            ("\"0000", "\"xyz", "a: its sha256 is none"),
            ("pool/a_", "pool/../a_", "is no path in an archive"),
            ("\"b\"", "\"a\"", "a is there twice"),
            ("size", "sise", "unknown key `sise`"),
        ] {
            let error = Lock::parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
