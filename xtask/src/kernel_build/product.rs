//! A kernel that was built: its files in the cache, and the record of how it was made.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use ospkg::bzimage::BzImage;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use super::Which;
use super::make;
use super::options::Requests;
use super::source::Identity;
use super::tools::Tools;
use crate::cache;
use crate::kernels::Kernel;

/// Version of the way in which kernels are made. It counts as an input: raise it with every change
/// that makes another kernel of the same source.
const RECIPE: u32 = 2;

/// Version of `build.json`.
const FORMAT: u32 = 1;

/// Digits of a key in the name of a directory.
const DIGITS: usize = 12;

/// How many kernels of a kind stay in the cache.
const KEPT: usize = 4;

/// The files of a kernel: name in the cache, place below the output directory. What is made first, and
/// explains differences in what comes after, stands first.
pub const FILES: [(&str, &str); 5] = [
    ("config", ".config"),
    ("System.map", "System.map"),
    // Drivers that are built in, and the firmware that they ask for.
    ("modules.builtin", "modules.builtin"),
    ("modules.builtin.modinfo", "modules.builtin.modinfo"),
    ("bzImage", make::IMAGE),
];

/// `build.json`: how a kernel was made. Readers ignore keys that they do not know.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Version of the format.
    pub version: u32,
    /// `boot` or `os`.
    pub kernel: Which,
    /// What the kernel calls itself (`uname -r`).
    pub release: String,
    /// What it was made of.
    pub source: Identity,
    /// Whether that source was not in `kernel-config/pins.toml`. No release is made of such a kernel.
    pub unpinned: bool,
    /// SHA-256 of the merged options.
    pub options_sha256: String,
    /// What the main tools say about themselves.
    pub tools: BTreeMap<String, String>,
    /// SHA-256 over all tools.
    pub tools_sha256: String,
    /// Hash over all inputs.
    pub key: String,
    /// Length of the bzImage.
    pub bytes: u64,
    /// SHA-256 of the bzImage.
    pub sha256: String,
    /// Memory that the kernel needs to unpack itself, in bytes (`init_size` of the boot protocol).
    pub init_size: u32,
    /// What `make` did, in lines of output.
    pub steps: usize,
    /// Time of compilation, in seconds.
    pub seconds: u64,
    /// How many things were compiled at a time.
    pub jobs: usize,
}

/// A kernel in the cache.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Product {
    /// Where its files are.
    pub dir: PathBuf,
    /// How it was made.
    pub record: Record,
}

impl Product {
    /// The kernel, to boot it.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        Kernel { image: self.image(), modules: None, release: self.record.release.clone() }
    }

    /// Its bzImage.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.dir.join("bzImage")
    }

    /// Reads a directory of the cache; none if it holds no whole kernel.
    fn open(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join("build.json")).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        let image = fs::read(dir.join("bzImage")).ok()?;
        (record.sha256 == hex::encode(Sha256::digest(&image)))
            .then(|| Self { dir: dir.to_path_buf(), record })
    }
}

/// Hash over everything that makes a difference.
#[must_use]
pub fn key(requests: &Requests, tools: &Tools, source_sha256: &str) -> String {
    let mut hash = Sha256::new();
    let fixed: Vec<String> =
        make::FIXED.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for part in
        [&RECIPE.to_string(), &requests.digest(), &tools.digest, source_sha256, &fixed.join("\n")]
    {
        hash.update(Sha256::digest(part));
    }
    hex::encode(hash.finalize())
}

/// The kernel with this key, if it has been built.
///
/// # Errors
///
/// There is no place for a cache.
pub fn find(which: Which, key: &str) -> Result<Option<Product>> {
    Ok(all(which)?.into_iter().find(|product| product.record.key == key))
}

/// The kernel whose bzImage has this SHA-256, if it was built here and is still in the cache.
///
/// # Errors
///
/// There is no place for a cache.
pub fn with_image(sha256: &str) -> Result<Option<Product>> {
    let mut found = None;
    for which in Which::ALL {
        found = found.or(all(which)?.into_iter().find(|it| it.record.sha256 == sha256));
    }
    Ok(found)
}

/// The kernel that was made of today's options by today's tools, of whatever source: a pinned one
/// before others, then the newest.
///
/// # Errors
///
/// There is no place for a cache.
pub fn current(which: Which, requests: &Requests, tools: &Tools) -> Result<Option<Product>> {
    let current = all(which)?.into_iter().filter(|product| {
        product.record.key == key(requests, tools, &product.record.source.sha256)
    });
    // Of equals the last: the newest.
    Ok(current.max_by_key(|product| !product.record.unpinned))
}

/// How many steps the last build of this kernel took, whatever it was made of.
#[must_use]
pub fn steps(which: Which) -> Option<usize> {
    let products = all(which).ok()?;
    products.last().map(|product| product.record.steps)
}

/// What is known of a build when it is done.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Lines of output.
    pub steps: usize,
    /// Seconds.
    pub seconds: u64,
    /// Jobs.
    pub jobs: usize,
}

/// Puts what was built into the cache.
///
/// # Errors
///
/// A file is missing or is not what it should be, or cannot be written.
pub fn collect(
    which: Which,
    out: &Path,
    inputs: (&Requests, &Tools, &Identity),
    unpinned: bool,
    release: &str,
    effort: Effort,
) -> Result<Product> {
    let (requests, tools, source) = inputs;
    let key = key(requests, tools, &source.sha256);
    let name = format!("{which}-{release}-{}", key.get(..DIGITS).unwrap_or(&key));
    let target = dir()?.join(name);
    if target.exists() {
        // Of this key there is no whole kernel, or it would not have been built.
        fs::remove_dir_all(&target)
            .with_context(|| format!("cannot replace {}", target.display()))?;
    }
    cache::publish_dir(&target, |new| {
        for (name, place) in FILES {
            let from = out.join(place);
            fs::copy(&from, new.join(name))
                .with_context(|| format!("make made no {}", from.display()))?;
        }
        let image = fs::read(new.join("bzImage"))?;
        let record = Record {
            version: FORMAT,
            kernel: which,
            release: release.to_owned(),
            source: source.clone(),
            unpinned,
            options_sha256: requests.digest(),
            tools: tools.versions.clone(),
            tools_sha256: tools.digest.clone(),
            key: key.clone(),
            bytes: u64::try_from(image.len()).unwrap_or(u64::MAX),
            sha256: hex::encode(Sha256::digest(&image)),
            init_size: BzImage::parse_whole(&image)
                .context("what make made is not a bzImage")?
                .init_size,
            steps: effort.steps,
            seconds: effort.seconds,
            jobs: effort.jobs,
        };
        let text = serde_json::to_string_pretty(&record)?;
        fs::write(new.join("build.json"), format!("{text}\n"))?;
        Ok(())
    })?;
    prune(which);
    Product::open(&target).context("the kernel has gone from the cache while it was put there")
}

fn dir() -> Result<PathBuf> {
    cache::subdir("kernels/ours")
}

/// All whole kernels of this kind, the oldest first.
fn all(which: Which) -> Result<Vec<Product>> {
    Ok(directories(which)?.iter().filter_map(|dir| Product::open(dir)).collect())
}

fn directories(which: Which) -> Result<Vec<PathBuf>> {
    let prefix = format!("{which}-");
    let mut found = Vec::new();
    for entry in fs::read_dir(dir()?)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let modified = entry.metadata().and_then(|it| it.modified());
            found.extend(modified.ok().map(|time| (time, entry.path())));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Deletes all but the newest. What cannot be deleted now is deleted another time.
fn prune(which: Which) {
    let Ok(directories) = directories(which) else { return };
    let surplus = directories.len().saturating_sub(KEPT);
    for dir in directories.into_iter().take(surplus) {
        let _ = fs::remove_dir_all(dir);
    }
}

#[cfg(test)]
mod tests {
    use super::key;
    use crate::kernel_build::options::Requests;
    use crate::kernel_build::tools::Tools;

    #[test]
    fn every_input_changes_the_key() {
        let requests = |text| Requests::parse([("x", text)]).unwrap();
        let tools = |digest: &str| Tools { versions: [].into(), digest: digest.to_owned() };
        let first = key(&requests("CONFIG_A=y"), &tools("1"), "2");
        assert_eq!(first, key(&requests("# x\nCONFIG_A=y"), &tools("1"), "2"));
        for other in [
            key(&requests("CONFIG_B=y"), &tools("1"), "2"),
            key(&requests("CONFIG_A=y"), &tools("3"), "2"),
            key(&requests("CONFIG_A=y"), &tools("1"), "3"),
            key(&requests("CONFIG_A=y"), &tools("2"), "1"),
        ] {
            assert_ne!(first, other);
        }
    }
}
