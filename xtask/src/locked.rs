//! Locked builds: what is compiled is compiled in the builder root (`recipe::builder`), by the same
//! compiler, linker and C library on every machine, at the same paths, without a network.
//!
//! Crates are fetched before, outside, and held against `Cargo.lock` by cargo; inside it only finds
//! those.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use recipe::builder::Builder;
use recipe::builder::Mount;
use recipe::debs::Debs;

use crate::build;
use crate::cache;
use crate::progress;

/// Where things are inside, on every machine.
const SOURCE: &str = "/ramstrap";
const VENDOR: &str = "/vendor";
const TARGET_DIR: &str = "/target";

/// How many sets of fetched crates stay in the cache.
const KEPT: usize = 2;
/// Digits of a hash that are enough for the name of a directory.
const DIGITS: usize = 16;

/// A builder root with all that a build of this source tree needs.
#[derive(Clone, Debug)]
pub struct Locked {
    builder: Builder,
    crates: PathBuf,
    target: PathBuf,
}

impl Locked {
    /// Gets everything ready: packages, Rust toolchain, crates. Only here is the network used.
    ///
    /// # Errors
    ///
    /// Something cannot be had, or this machine does not let us enter a root of our own.
    pub fn open(debs: &Debs) -> Result<Self> {
        progress::step("prepare the locked builder", |step| {
            let recipes = crate::ospkg::recipes();
            let at = |what: &str| step.at(what);
            let builder = Builder::open(&recipes, debs, &cache::subdir("builder")?, &at)?;
            step.at("look at the Rust toolchain");
            let builder = builder.with_rust(build::root())?;
            step.at("fetch crates");
            let crates = crates()?;
            // What another builder has compiled is of no use to this one, and the other way round.
            let record = builder.record();
            let key = rebuild::sha256(format!("{record:?}").as_bytes());
            let name = format!("locked-{}", key.get(..DIGITS).unwrap_or(&key));
            let target = build::target_dir().join(name);
            fs::create_dir_all(&target)
                .with_context(|| format!("cannot create {}", target.display()))?;
            let target = fs::canonicalize(&target)?;
            Ok(Self { builder, crates, target })
        })
    }

    /// The root.
    #[must_use]
    pub const fn builder(&self) -> &Builder {
        &self.builder
    }

    /// Where this machine finds what cargo writes inside.
    #[must_use]
    pub fn target_dir(&self) -> &Path {
        &self.target
    }

    /// A program inside, in the source tree.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mounts = [
            Mount::read_only(build::root(), SOURCE),
            Mount::read_only(&self.crates, VENDOR),
            Mount::writable(&self.target, TARGET_DIR),
        ];
        self.builder.command(&mounts, SOURCE, program)
    }

    /// Cargo inside, with the crates that were fetched. `command` is its own: `build`, …
    #[must_use]
    pub fn cargo(&self, command: &str) -> Command {
        let mut cargo = self.command("cargo");
        cargo
            .arg(command)
            .args(["--config", "source.crates-io.replace-with = 'fetched'"])
            .args(["--config", &format!("source.fetched.directory = '{VENDOR}'")])
            .args(["--offline", "--locked"])
            .env("CARGO_HOME", "/tmp/cargo")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TARGET_DIR", TARGET_DIR);
        if let Some(jobs) = env::var_os("CARGO_BUILD_JOBS") {
            cargo.env("CARGO_BUILD_JOBS", jobs);
        }
        cargo
    }

    /// Compiler flags that take these places out of what is compiled. They are the same everywhere;
    /// this makes panic messages read as those of other builds.
    #[must_use]
    pub fn flags() -> Vec<String> {
        [(VENDOR, "cargo"), (SOURCE, "ramstrap"), (TARGET_DIR, "ramstrap/target")]
            .map(|(from, to)| format!("--remap-path-prefix={from}={to}"))
            .into()
    }
}

/// The crates of `Cargo.lock`, unpacked in a directory that is called by it.
fn crates() -> Result<PathBuf> {
    let file = build::root().join("Cargo.lock");
    let lock = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let key = rebuild::sha256(&lock);
    let dir = cache::subdir("crates")?;
    let place = dir.join(key.get(..DIGITS).unwrap_or(&key));
    // Cargo held them against Cargo.lock when it put them there; since then they are this user's, as
    // cargo's own registry is.
    if place.is_dir() {
        return Ok(place);
    }
    cache::publish_dir(&place, |new| {
        let mut vendor = build::cargo();
        vendor.args(["vendor", "--locked", "--versioned-dirs", "--quiet"]).arg(new);
        progress::run("fetch crates", &mut vendor)
    })?;
    prune(&dir);
    Ok(place)
}

/// Deletes all but the newest. What cannot be deleted now is deleted another time.
fn prune(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    let surplus = found.len().saturating_sub(KEPT);
    for (_, path) in found.into_iter().take(surplus) {
        let _ = fs::remove_dir_all(path);
    }
}
