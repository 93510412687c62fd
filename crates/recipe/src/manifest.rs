//! `recipe.toml`: its keys. docs/os-packages.md is the reference for those who write one.

use core::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;

use crate::Error;
use crate::Result;

/// What must be that similar (0 to 1) to be suggested in place of an unknown key.
const SIMILAR: f64 = 0.6;

/// One `recipe.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the package for people.
    pub label: Option<String>,
    /// Recipes whose packages and files come first.
    #[serde(default)]
    pub include: Vec<String>,
    /// Packages of the distribution, by name; what they need comes along.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Packages that are left out although others need them.
    #[serde(default)]
    pub without: Vec<String>,
    /// Files of ours that take the place of an included recipe's, by path.
    #[serde(default)]
    pub replaces: Vec<String>,
    /// Command line of the kernel.
    pub cmdline: Option<String>,
    /// Time-out with which a hardware watchdog runs on for the OS to take over.
    pub watchdog_seconds: Option<u32>,
    /// A bzImage in place of our own OS kernel; relative to the recipe.
    pub kernel: Option<PathBuf>,
    /// Where packages come from.
    pub distribution: Option<Distribution>,
    /// An existing root file system in place of packages.
    pub root: Option<Root>,
    /// What is left out.
    #[serde(default)]
    pub exclude: Exclude,
    /// Directories, links, modes and owners.
    #[serde(default)]
    pub entry: Vec<Entry>,
    /// Binaries of this source tree.
    #[serde(default)]
    pub binary: Vec<Binary>,
}

/// A distribution whose packages are taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Suites of its archive, such as `bookworm` and `bookworm-security`.
    pub suites: Vec<String>,
    /// Components of it.
    #[serde(default = "main_component")]
    pub components: Vec<String>,
    /// Architecture.
    #[serde(default = "amd64")]
    pub architecture: String,
}

/// An existing root file system. Exactly one of both.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// A tar archive, compressed or not; relative to the recipe.
    pub tar: Option<PathBuf>,
    /// A directory; relative to the recipe. Its owners are kept only if we may read all of it.
    pub directory: Option<PathBuf>,
    /// Time of the build, Unix seconds: there is no lock file that would say it.
    pub source_date_epoch: Option<i64>,
}

/// What is left out of the image, as patterns of paths: `*` within a name, `**` across directories.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// What is left out.
    #[serde(default)]
    pub paths: Vec<String>,
    /// What stays all the same.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Programs and libraries that may lack a library that they name: those parts are not used.
    #[serde(default)]
    pub may_lack: Vec<String>,
}

/// Something that a plain file in `files/` cannot say. With neither `link` nor `directory`, what is
/// at the path already gets this mode and owner.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where.
    pub path: String,
    /// Target of a symbolic link.
    pub link: Option<String>,
    /// Whether it is a directory.
    #[serde(default)]
    pub directory: bool,
    /// Octal digits, such as `"0750"`.
    pub mode: Option<String>,
    /// Number of the owner.
    pub uid: Option<u32>,
    /// Number of the group.
    pub gid: Option<u32>,
}

/// A binary of this source tree, built static.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Binary {
    /// The crate.
    #[serde(rename = "crate")]
    pub krate: String,
    /// Which binary of it, if it is not called like the crate.
    pub bin: Option<String>,
    /// Where it goes; its mode is 0755.
    pub to: String,
}

fn main_component() -> Vec<String> {
    vec!["main".to_owned()]
}

fn amd64() -> String {
    "amd64".to_owned()
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// With the line that is wrong; of an unknown key, the known one that was probably meant.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text).map_err(|error| explain(text, &error))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        if let Some(root) = &self.root {
            if root.tar.is_some() == root.directory.is_some() {
                return Err(Error::new("[root] has neither or both of tar and directory")
                    .remedy("give one of them"));
            }
            if !self.packages.is_empty() {
                return Err(Error::new("[root] and packages exclude each other")
                    .remedy("install the packages into that root file system with its own tool"));
            }
        }
        for entry in &self.entry {
            if entry.link.is_some() && (entry.directory || entry.mode.is_some()) {
                return Err(Error::new(format!(
                    "[[entry]] {}: a link is no directory and has no mode",
                    entry.path
                )));
            }
            entry.permissions()?;
        }
        Ok(())
    }
}

impl Entry {
    /// The mode as a number.
    ///
    /// # Errors
    /// If it is not octal.
    pub fn permissions(&self) -> Result<Option<u32>> {
        let Some(text) = &self.mode else { return Ok(None) };
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
            _ => Err(Error::new(format!("[[entry]] {}: mode {text:?}", self.path))
                .remedy("a mode is octal digits in quotes, such as \"0755\"")),
        }
    }
}

/// What serde says, with the line; of an unknown key its name and the nearest known one.
pub(crate) fn explain(text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map_or_else(String::new, |span| line_of(text, &span));
    let message = error.message();
    let Some((key, known)) = unknown_field(message) else {
        return Error::new(format!("{line}{message}"));
    };
    let this = Error::new(format!("{line}unknown key `{key}`"));
    let known_list = known.join(", ");
    let nearest = known
        .into_iter()
        .map(|it| (strsim::jaro_winkler(&key, it), it))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(similarity, _)| *similarity > SIMILAR);
    let here = format!("known here: {known_list}");
    match nearest {
        Some((_, name)) => this.detail(here).remedy(format!("did you mean `{name}`?")),
        None => this.detail(here).remedy("remove it; docs/os-packages.md explains the keys"),
    }
}

fn line_of(text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    format!("line {}: ", before.matches('\n').count() + 1)
}

/// Serde's words are: unknown field `x`, expected one of `a`, `b`.
fn unknown_field(message: &str) -> Option<(String, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, expected) = rest.split_once('`')?;
    Some((key.to_owned(), expected.split('`').skip(1).step_by(2).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_named_with_line_and_what_was_meant() {
        let error = Manifest::parse("label = \"x\"\npackage = [\"a\"]\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: unknown key `package`");
        assert_eq!(error.remedy_text(), Some("did you mean `packages`?"));
        let error = Manifest::parse("[[entry]]\npath = \"/a\"\n\nmod = \"0755\"\n").unwrap_err();
        assert_eq!(error.to_string(), "line 4: unknown key `mod`");
        assert_eq!(error.remedy_text(), Some("did you mean `mode`?"));
        let error = Manifest::parse("qqq = 1\n").unwrap_err();
        assert!(error.details()[0].contains("watchdog_seconds"), "{:?}", error.details());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (text, words) in [
            ("packages = 7\n", "line 1: invalid type"),
            ("[root]\n", "neither or both"),
            ("packages = [\"a\"]\n[root]\ntar = \"x\"\n", "exclude each other"),
            ("[[entry]]\npath = \"/a\"\nmode = \"999\"\n", "mode \"999\""),
            ("[[entry]]\npath = \"/a\"\nlink = \"b\"\nmode = \"0755\"\n", "a link is no directory"),
            ("label = \"a\"\nlabel = \"b\"\n", "line 2: duplicate key"),
        ] {
            let error = Manifest::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
