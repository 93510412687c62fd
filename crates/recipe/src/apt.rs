//! The distribution's archive: where this machine says it is, and its lists, which APT fetches and
//! checks against the archive's signature. Nothing of the machine's own package state is used or
//! changed, and no root is needed.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::Error;
use crate::Result;
use crate::lock::Lock;
use crate::lock::Suite;
use crate::manifest::Distribution;
use crate::packages;
use crate::packages::Offered;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where an archive is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sources {
    /// Base URL and suites, in the order of the machine's sources.
    entries: Vec<(String, Vec<String>)>,
}

impl Sources {
    /// What `--mirror` says, for all suites; that of a security suite is beside it, where Debian has
    /// it.
    #[must_use]
    pub fn mirror(url: &str) -> Self {
        Self { entries: vec![(url.trim_end_matches('/').to_owned(), Vec::new())] }
    }

    /// What this machine's APT is told; empty where there is none.
    #[must_use]
    pub fn of_this_host() -> Self {
        let dir = Path::new("/etc/apt");
        let mut files = vec![dir.join("sources.list")];
        if let Ok(entries) = fs::read_dir(dir.join("sources.list.d")) {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        files.sort();
        let texts = files.iter().filter_map(|file| {
            let deb822 = file.extension().is_some_and(|it| it == "sources");
            Some((fs::read_to_string(file).ok()?, deb822))
        });
        Self { entries: texts.flat_map(|(text, deb822)| parse(&text, deb822)).collect() }
    }

    /// The base URL of the archive that has this suite.
    ///
    /// # Errors
    /// If none is known.
    pub fn base(&self, suite: &str) -> Result<String> {
        let mirror = self.entries.iter().find(|(_, suites)| suites.is_empty());
        if let Some((url, _)) = mirror {
            let security = suite.ends_with("-security");
            return Ok(if security { format!("{url}-security") } else { url.clone() });
        }
        let named = |(_, suites): &&(String, Vec<String>)| suites.iter().any(|it| it == suite);
        self.entries.iter().find(named).map(|(url, _)| url.clone()).ok_or_else(|| {
            Error::new(format!("this machine's APT sources name no archive with the suite {suite}"))
                .remedy("give the archive's URL with --mirror, or kept inputs with --inputs")
        })
    }
}

/// Both forms of sources: lines, and paragraphs of fields.
fn parse(text: &str, deb822: bool) -> Vec<(String, Vec<String>)> {
    let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    let trimmed = |url: &str| url.trim_end_matches('/').to_owned();
    if !deb822 {
        let line = |line: &str| {
            let rest = line.trim().strip_prefix("deb ")?.trim_start();
            let rest = rest
                .strip_prefix('[')
                .map_or(Some(rest), |it| it.split_once(']').map(|it| it.1))?;
            let words = words(rest);
            Some((trimmed(words.first()?), vec![words.get(1)?.clone()]))
        };
        return text.lines().filter_map(line).collect();
    }
    let paragraph = |text: &str| {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).map(words).unwrap_or_default()
        };
        if !field("Types:").iter().any(|it| it == "deb")
            || field("Enabled:").iter().any(|it| it == "no")
        {
            return None;
        }
        Some((trimmed(field("URIs:").first()?), field("Suites:")))
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

/// The lists of an archive.
#[derive(Debug)]
pub struct Lists {
    /// Its suites.
    pub suites: Vec<Suite>,
    /// All that they offer.
    pub offered: Vec<Offered>,
    /// When the newest of them was signed, Unix seconds.
    pub time: i64,
}

impl Lists {
    /// Fetches the lists of a distribution into a directory and reads them.
    ///
    /// # Errors
    /// If there is no APT, no keyring or no network, or a signature is wrong.
    pub fn fetch(distribution: &Distribution, sources: &Sources, dir: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("write", dir, &error);
        for name in ["lists/partial", "cache/archives/partial", "sources.d", "apt.conf.d"] {
            fs::create_dir_all(dir.join(name)).map_err(failed)?;
        }
        fs::write(dir.join("status"), "").map_err(failed)?;
        if !Path::new(KEYRING).exists() {
            return Err(Error::new(format!("{KEYRING} is missing: the archive's keys are in it"))
                .remedy("install debian-archive-keyring"));
        }
        let mut text = String::new();
        for suite in &distribution.suites {
            let base = sources.base(suite)?;
            let components = distribution.components.join(" ");
            text += &format!(
                "deb [arch={} signed-by={KEYRING}] {base} {suite} {components}\n",
                distribution.architecture
            );
        }
        fs::write(dir.join("sources.list"), &text).map_err(failed)?;
        update(distribution, dir)?;
        Self::read(distribution, sources, &dir.join("lists"))
    }

    fn read(distribution: &Distribution, sources: &Sources, lists: &Path) -> Result<Self> {
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|error| Error::io("read", path, &error));
        let mut found = Self { suites: Vec::new(), offered: Vec::new(), time: 0 };
        for name in &distribution.suites {
            let base = sources.base(name)?;
            let prefix = format!("{}_dists_{name}_", file_name(&base));
            let release = read(&lists.join(format!("{prefix}InRelease")))?;
            let date =
                release.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap_or_default();
            found.time = found.time.max(seconds(date).map_err(|error| error.on(name))?);
            found.suites.push(Suite {
                name: name.clone(),
                date: date.to_owned(),
                release_sha256: rebuild::sha256(release.as_bytes()),
            });
            for component in &distribution.components {
                let list =
                    format!("{prefix}{component}_binary-{}_Packages", distribution.architecture);
                let list = lists.join(list);
                // APT leaves an empty list out.
                if list.exists() {
                    found.offered.extend(packages::parse(&read(&list)?, name)?);
                }
            }
        }
        Ok(found)
    }

    /// The lock for these names.
    ///
    /// # Errors
    /// As [`crate::resolve::resolve`].
    pub fn lock(&self, recipe: &crate::Recipe, architecture: &str) -> Result<Lock> {
        let (packages, without) = (recipe.packages(), recipe.without());
        Ok(Lock {
            version: 1,
            source_date_epoch: self.time,
            architecture: architecture.to_owned(),
            package: crate::resolve::resolve(&self.offered, &packages, &without)?,
            packages,
            without,
            suite: self.suites.clone(),
        })
    }
}

/// APT's name for the lists of a URL.
fn file_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/').replace('_', "%5f").replace('/', "_")
}

fn update(distribution: &Distribution, dir: &Path) -> Result<()> {
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    // All of it, lest anything of the machine's own configuration decides what is in a lock.
    let conf = dir.join("apt.conf");
    let none = PathBuf::from("/dev/null");
    fs::write(&conf, "").map_err(|error| Error::io("write", &conf, &error))?;
    let mut command = Command::new("apt-get");
    command.env("LC_ALL", "C").env("APT_CONFIG", &conf);
    for value in [
        option("Dir::Etc::sourcelist", &dir.join("sources.list")),
        option("Dir::Etc::sourceparts", &dir.join("sources.d")),
        option("Dir::Etc::preferences", &none),
        option("Dir::Etc::preferencesparts", &dir.join("sources.d")),
        option("Dir::State::lists", &dir.join("lists")),
        option("Dir::State::status", &dir.join("status")),
        option("Dir::Cache", &dir.join("cache")),
        format!("APT::Architecture={}", distribution.architecture),
        format!("APT::Architectures={}", distribution.architecture),
        "APT::Sandbox::User=".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::GzipIndexes=false".to_owned(),
        "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false".to_owned(),
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
    ] {
        command.args(["-o", &value]);
    }
    let output = command.args(["--error-on=any", "update"]).output().map_err(|error| {
        Error::new(format!("apt-get cannot be run: {error}"))
            .remedy("lock files are made on Debian and Ubuntu; building needs no APT")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = Error::new("the archive's lists cannot be fetched");
    let error = words.lines().take(5).fold(error, |error, line| error.detail(line.to_owned()));
    Err(error.remedy("check the network, and the archive's URL (APT's sources, or --mirror)"))
}

/// `Sat, 10 Jan 2026 09:52:03 UTC`
fn seconds(date: &str) -> Result<i64> {
    let date = date.replace(" UTC", " +0000");
    let time = jiff::fmt::rfc2822::parse(&date);
    let time = time.map_err(|error| Error::new(format!("its date {date:?}: {error}")))?;
    Ok(time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_both_forms_are_read() {
        let lines = "# deb x y\ndeb [arch=amd64 signed-by=/k] http://a.example/debian/ stable main\n\
                     deb-src http://a.example/debian stable main\n";
        assert_eq!(
            parse(lines, false),
            [("http://a.example/debian".into(), vec!["stable".into()])]
        );
        let fields = "Types: deb\n# x\nURIs: http://b.example/d\nSuites: s s-updates\n\n\
                      Types: deb-src\nURIs: http://c.example\nSuites: s\n";
        let found = Sources { entries: parse(fields, true) };
        assert_eq!(found.base("s-updates").unwrap(), "http://b.example/d");
        let error = found.base("other").unwrap_err();
        assert!(error.remedy_text().unwrap().contains("--mirror"));
    }

    #[test]
    fn a_mirror_has_all_suites() {
        let mirror = Sources::mirror("http://m.example/debian/");
        assert_eq!(mirror.base("stable").unwrap(), "http://m.example/debian");
        assert_eq!(mirror.base("stable-security").unwrap(), "http://m.example/debian-security");
    }

    #[test]
    fn dates_and_names_are_apts() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:01:00 UTC").unwrap(), 60);
        assert!(seconds("yesterday").is_err());
        assert_eq!(file_name("http://m.example/a_b/c"), "m.example_a%5fb_c");
    }
}
