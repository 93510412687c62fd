//! Where a kernel's source comes from, and whether it is a known one.
//!
//! Tarballs are unpacked once, under the cache, and stay there for the next build: 1.7 GB that can be
//! deleted at any time. Nobody is trusted to have left them alone: an unpacked tree is hashed before
//! a kernel is built from it, and compared with its hash when it was unpacked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde::Deserialize;
use serde::Serialize;

use super::pins::Pin;
use super::pins::Pins;
use super::room;
use super::tarball::Tarballs;
use super::tree;
use super::unpack;
use crate::apt::Apt;
use crate::cache;
use crate::progress;

/// The package whose source is taken by default. One long-term series, as the options are checked
/// against it.
const PACKAGE: &str = "linux-source-6.12";

/// Origin of a version of that package that no pin knows.
const UNLISTED: &str = "the distribution's linux-source-6.12, not pinned";

/// Digits of a hash that are enough for the name of a directory.
const DIGITS: usize = 16;

/// What a source tree and its download need on disk, in bytes.
const ROOM: u64 = 2_200_000_000;

/// Where to take the source from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Source {
    /// The distribution's package; a pinned version of it as long as there is one.
    #[default]
    Distribution,
    /// A tarball, or a Debian package that has one.
    Tarball {
        /// The file.
        file: PathBuf,
        /// Whether it may be one that is not pinned.
        unpinned: bool,
    },
    /// An unpacked tree, which is never a pinned source.
    Tree(PathBuf),
}

/// Which source a kernel was built from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// Its maker and its form, for people.
    pub origin: String,
    /// Its maker's version, such as `6.12.117-1~deb12u1`.
    pub version: String,
    /// SHA-256 of the tarball; of a tree, [`tree::digest`].
    pub sha256: String,
}

/// A tree that a kernel can be built from.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The tree.
    pub dir: PathBuf,
    /// What it is.
    pub identity: Identity,
    /// [`tree::digest`] as it has to be.
    pub tree_digest: String,
    /// The version that the kernel calls itself.
    pub kernel: String,
}

/// What is written beside a tree that was unpacked.
#[derive(Debug, Deserialize, Serialize)]
struct Mark {
    identity: Identity,
    tree_digest: String,
}

/// Which sources this could mean, without unpacking or downloading anything: kernels that were built
/// from one of them need neither.
///
/// # Errors
///
/// A file cannot be read, or is not a pinned source.
pub fn identities(source: &Source, pins: &Pins) -> Result<Vec<Identity>> {
    match source {
        Source::Distribution => Ok(pins.iter().map(of_pin).collect()),
        Source::Tarball { file, unpinned } => {
            let sha256 = unpack::hash_of_tarball(file)?;
            Ok(vec![match pins.judge(file, &sha256, *unpinned)? {
                Some(pin) => of_pin(pin),
                None => Identity {
                    origin: "a tarball that is not pinned".to_owned(),
                    version: String::new(),
                    sha256,
                },
            }])
        }
        Source::Tree(dir) => {
            let kernel = tree::version(dir)?;
            Ok(vec![of_tree(kernel, tree::digest(dir)?)])
        }
    }
}

/// The tree of this source: downloaded and unpacked if it is not yet. Before a kernel is made of it,
/// [`intact`] must have seen it.
///
/// # Errors
///
/// The source cannot be had, or is not what it should be; or the disk is too full.
pub fn obtain(source: &Source, pins: &Pins) -> Result<Unpacked> {
    match source {
        Source::Tree(dir) => {
            let kernel = tree::version(dir)?;
            tree::require_clean(dir)?;
            let dir = fs::canonicalize(dir)?;
            let tree_digest = tree::digest(&dir)?;
            let identity = of_tree(kernel.clone(), tree_digest.clone());
            Ok(Unpacked { dir, identity, tree_digest, kernel })
        }
        Source::Tarball { file, unpinned } => {
            let sha256 = unpack::hash_of_tarball(file)?;
            let pin = pins.judge(file, &sha256, *unpinned)?;
            let identity = pin.map(of_pin);
            if let Some(tree) = cached(&sha256)? {
                return Ok(tree);
            }
            if pin.is_some() {
                // Whoever makes a release of it keeps its inputs.
                Tarballs::of_this_user()?.keep(file, &sha256)?;
            }
            publish(&sha256, identity, &file.display().to_string(), |dir| {
                unpack::tarball_of(file, dir)
            })
        }
        Source::Distribution => {
            for pin in pins.iter() {
                if let Some(tree) = cached(&pin.sha256)? {
                    return Ok(tree);
                }
            }
            let tarballs = Tarballs::of_this_user()?;
            for pin in pins.iter() {
                if let Some(file) = tarballs.find(&pin.sha256) {
                    return publish(&pin.sha256, Some(of_pin(pin)), &pin.file, |dir| {
                        // By its ending it is known how it is compressed.
                        let named = dir.join(&pin.file);
                        symlink(&file, &named)?;
                        Ok(named)
                    });
                }
            }
            download(pins)
        }
    }
}

/// The tree if all its files are what they were when they were unpacked; else a new one in its place.
///
/// # Errors
///
/// As [`obtain`], or a tree that is not ours to replace was changed meanwhile.
pub fn intact(tree: Unpacked, source: &Source, pins: &Pins) -> Result<Unpacked> {
    if tree::digest(&tree.dir)? == tree.tree_digest {
        return Ok(tree);
    }
    if matches!(source, Source::Tree(_)) {
        bail!("{} was changed while it was looked at: try again", tree.dir.display());
    }
    let dir = directory(&tree.identity.sha256)?;
    eprintln!("warning: the source in {} has been changed: unpacking it anew", dir.display());
    progress::step("delete the changed source", |_| Ok(fs::remove_dir_all(&dir)?))?;
    obtain(source, pins)
}

/// Refuses a source for a release unless it is pinned.
///
/// # Errors
///
/// It is not.
pub fn require_pinned(identity: &Identity, pins: &Pins) -> Result<()> {
    if pins.with_hash(&identity.sha256).is_none() {
        bail!(
            "a release takes pinned sources only, and this is {} ({}): its hash is not in \
             kernel-config/pins.toml",
            identity.origin,
            identity.sha256
        );
    }
    Ok(())
}

fn of_pin(pin: &Pin) -> Identity {
    Identity {
        origin: format!("{}, {}", pin.origin, pin.package),
        version: pin.version.clone(),
        sha256: pin.sha256.clone(),
    }
}

fn of_tree(kernel: String, sha256: String) -> Identity {
    Identity { origin: "a source tree".to_owned(), version: kernel, sha256 }
}

/// Gets the package from the distribution: the first pinned version that the archive still has, else
/// the newest, on the strength of APT's signed hash.
fn download(pins: &Pins) -> Result<Unpacked> {
    let (apt, versions) = match versions() {
        Ok(found) => found,
        // Without a network what was unpacked before will do.
        Err(error) => {
            return cached_of_the_distribution()?.ok_or_else(|| error.context(elsewhere(pins)));
        }
    };
    let pinned = pins.iter().find(|pin| pin.package == PACKAGE && versions.contains(&pin.version));
    if pinned.is_none()
        && let Some(tree) = cached_of_the_distribution()?
    {
        return Ok(tree);
    }
    let Some(version) = pinned.map(|pin| &pin.version).or_else(|| versions.first()) else {
        bail!("this distribution has no package {PACKAGE}. {}", elsewhere(pins));
    };
    room::require(&cache_dir()?, ROOM, "the kernel's source")?;
    let downloads = tempfile::Builder::new().prefix(".new-").tempdir_in(cache_dir()?)?;
    let package = package(&apt, PACKAGE, version, downloads.path())?;
    let sha256 = unpack::hash_of_tarball(&package)?;
    if let Some(pin) = pinned {
        same_as_pinned(pin, &sha256)?;
        Tarballs::of_this_user()?.keep(&package, &sha256)?;
    }
    let identity = match pinned {
        Some(pin) => of_pin(pin),
        None => {
            eprintln!(
                "warning: {PACKAGE} {version} is not pinned; taken on the archive's signature, and the \
                 kernel is marked as unpinned"
            );
            Identity {
                origin: UNLISTED.to_owned(),
                version: version.clone(),
                sha256: sha256.clone(),
            }
        }
    };
    if let Some(tree) = cached(&sha256)? {
        return Ok(tree);
    }
    let name = format!("the package {PACKAGE} {version}");
    publish(&sha256, Some(identity), &name, |dir| unpack::tarball_of(&package, dir))
}

/// Downloads the tarball of a pinned source into the cache of tarballs.
///
/// # Errors
///
/// The archive does not have that version any more, or has another source under its name.
pub fn download_tarball(pin: &Pin) -> Result<()> {
    let mut apt = Apt::open()?;
    if !apt.versions(&pin.package)?.contains(&pin.version) {
        apt = Apt::refreshed()?;
    }
    if !apt.versions(&pin.package)?.contains(&pin.version) {
        bail!("the distribution does not have {} {} any more", pin.package, pin.version);
    }
    let downloads = tempfile::Builder::new().prefix(".new-").tempdir_in(cache_dir()?)?;
    let package = package(&apt, &pin.package, &pin.version, downloads.path())?;
    same_as_pinned(pin, &unpack::hash_of_tarball(&package)?)?;
    Tarballs::of_this_user()?.keep(&package, &pin.sha256)
}

/// Downloads a package into a directory.
fn package(apt: &Apt, name: &str, version: &str, into: &Path) -> Result<PathBuf> {
    apt.download(&[format!("{name}={version}")], into)?;
    fs::read_dir(into)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "deb"))
        .context("APT downloaded no package")
}

fn same_as_pinned(pin: &Pin, sha256: &str) -> Result<()> {
    if pin.sha256 != sha256 {
        bail!(
            "the archive has another source as {} {} than is pinned:\n  expected {}\n  \
             found    {sha256}\nOne version, two contents: find out why before you change \
             kernel-config/pins.toml",
            pin.package,
            pin.version,
            pin.sha256
        );
    }
    Ok(())
}

/// What to do where the package is not to be had.
fn elsewhere(pins: &Pins) -> String {
    let known: Vec<_> = pins.iter().map(|it| format!("{} {}", it.package, it.version)).collect();
    format!(
        "Get the kernel's source elsewhere ({} is pinned) and give it with --tarball FILE, or an \
         unpacked tree with --source DIR",
        known.join(", ")
    )
}

/// The versions of the package in the archive, the newest first.
fn versions() -> Result<(Apt, Vec<String>)> {
    let apt = Apt::open()?;
    let versions = apt.versions(PACKAGE)?;
    if !versions.is_empty() {
        return Ok((apt, versions));
    }
    let apt = Apt::refreshed()?;
    let versions = apt.versions(PACKAGE)?;
    Ok((apt, versions))
}

/// The newest source of the distribution that is not pinned and was unpacked before.
fn cached_of_the_distribution() -> Result<Option<Unpacked>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(cache_dir()?)?.flatten() {
        if let Some(mark) = read_mark(&entry.path()).filter(|it| it.identity.origin == UNLISTED) {
            found.push((entry.metadata()?.modified()?, mark.identity.sha256));
        }
    }
    match found.into_iter().max() {
        Some((_, sha256)) => cached(&sha256),
        None => Ok(None),
    }
}

/// Unpacks a tarball into the cache. `open` gives it as a file, which it may put into the directory
/// that it is told; errors call it `name`, for that directory is gone when they are read.
fn publish(
    sha256: &str,
    identity: Option<Identity>,
    name: &str,
    open: impl FnOnce(&Path) -> Result<PathBuf>,
) -> Result<Unpacked> {
    room::require(&cache_dir()?, ROOM, "the kernel's source")?;
    let target = directory(sha256)?;
    cache::publish_dir(&target, |new| {
        let tarball = open(new)?;
        let tree = unpack::unpack(&tarball, name, new)?;
        if tarball.starts_with(new) {
            fs::remove_file(&tarball)?;
        }
        let kernel = tree::version(&tree)?;
        let tree_digest = tree::digest(&tree)?;
        let identity = identity.unwrap_or_else(|| Identity {
            origin: "a tarball that is not pinned".to_owned(),
            version: kernel,
            sha256: sha256.to_owned(),
        });
        fs::rename(&tree, tree_in(new))?;
        if let Some(emptied) = tree.parent() {
            fs::remove_dir(emptied)?;
        }
        let mark = serde_json::to_string_pretty(&Mark { identity, tree_digest })?;
        fs::write(mark_in(new), mark)?;
        Ok(())
    })?;
    cached(sha256)?.context("the source has gone from the cache while it was put there")
}

/// The tree of this tarball, if it has been unpacked.
fn cached(sha256: &str) -> Result<Option<Unpacked>> {
    let dir = directory(sha256)?;
    let Some(Mark { identity, tree_digest }) = read_mark(&dir) else { return Ok(None) };
    if identity.sha256 != sha256 {
        return Ok(None);
    }
    let tree = tree_in(&dir);
    let kernel = tree::version(&tree)
        .with_context(|| format!("the cache is damaged: delete {}", dir.display()))?;
    Ok(Some(Unpacked { dir: tree, identity, tree_digest, kernel }))
}

fn read_mark(dir: &Path) -> Option<Mark> {
    serde_json::from_str(&fs::read_to_string(mark_in(dir)).ok()?).ok()
}

fn cache_dir() -> Result<PathBuf> {
    cache::subdir("kernels/source")
}

fn directory(sha256: &str) -> Result<PathBuf> {
    Ok(cache_dir()?.join(sha256.get(..DIGITS).unwrap_or(sha256)))
}

fn tree_in(dir: &Path) -> PathBuf {
    dir.join("tree")
}

fn mark_in(dir: &Path) -> PathBuf {
    dir.join("source.json")
}

#[cfg(test)]
mod tests {
    use super::Identity;
    use super::require_pinned;
    use crate::kernel_build;

    #[test]
    fn a_release_takes_pinned_sources_only() {
        let pins = kernel_build::pins().unwrap();
        let pinned = super::of_pin(pins.iter().next().unwrap());
        require_pinned(&pinned, &pins).unwrap();
        let other = Identity { sha256: "0".repeat(64), ..pinned };
        let error = require_pinned(&other, &pins).unwrap_err().to_string();
        assert!(error.contains("pinned sources only") && error.contains("pins.toml"), "{error}");
    }
}
