//! The files of the builder root: unpacked once from locked packages, and compared before each use.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::Digest;
use sha2::Sha256;

use crate::Error;
use crate::Recipe;
use crate::Result;
use crate::build;
use crate::deb;
use crate::debs::Debs;
use crate::disk;
use crate::lock::Lock;
use crate::overlay;
use crate::overlay::Owners;
use crate::tree::Kind;
use crate::tree::Tree;

/// Version of how packages become a root: raise it with every change that makes another one.
const FORMAT: u32 = 1;
/// Digits of a key in the name of a directory.
const DIGITS: usize = 16;
/// How many roots stay.
const KEPT: usize = 3;

const ROOT: &str = "root";
const STAGE: &str = "stage";
const DIGEST: &str = "root.sha256";

/// Directory of the files, and an empty one to put the root together on.
pub(super) fn prepare(
    recipe: &Recipe,
    lock: &Lock,
    (lock_sha256, debs, cache): (&str, &Debs, &Path),
    at: &dyn Fn(&str),
) -> Result<(PathBuf, PathBuf)> {
    let key = rebuild::sha256(format!("{FORMAT} {lock_sha256}").as_bytes());
    let place = cache.join(key.get(..DIGITS).unwrap_or(&key));
    let found = (place.join(ROOT), place.join(STAGE));
    if place.is_dir() {
        at("compare the builder root with what was unpacked");
        if is_intact(&place) {
            return Ok(found);
        }
        at("delete the builder root, which was changed");
        fs::remove_dir_all(&place).map_err(|error| Error::io("delete", &place, &error))?;
    }
    let tree = unpack(recipe, lock, debs, at)?;
    at("write the builder root");
    let failed = |error: std::io::Error| Error::io("write", cache, &error);
    fs::create_dir_all(cache).map_err(failed)?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(cache).map_err(failed)?;
    disk::write(&tree, &new.path().join(ROOT))?;
    fs::create_dir(new.path().join(STAGE)).map_err(failed)?;
    fs::write(new.path().join(DIGEST), digest(&new.path().join(ROOT))?).map_err(failed)?;
    match fs::rename(new.path(), &place) {
        // It has moved: there is nothing left to clean up.
        Ok(()) => drop(new.keep()),
        // Somebody was faster.
        Err(_) if is_intact(&place) => {}
        Err(error) => return Err(failed(error)),
    }
    prune(cache);
    Ok(found)
}

fn unpack(recipe: &Recipe, lock: &Lock, debs: &Debs, at: &dyn Fn(&str)) -> Result<Tree> {
    let mut tree = build::skeleton()?;
    for (number, package) in lock.package.iter().enumerate() {
        at(&format!("builder package {} of {}: {}", number + 1, lock.package.len(), package.name));
        let bytes = debs.get(package, &recipe.name)?;
        deb::unpack(&bytes, &mut tree, &Arc::from(package.name.as_str()))?;
    }
    overlay::lay(&recipe.layers, &mut tree)?;
    build::strip(recipe, &mut tree)?;
    Ok(tree)
}

fn is_intact(place: &Path) -> bool {
    let expected = fs::read_to_string(place.join(DIGEST));
    let found = digest(&place.join(ROOT));
    place.join(STAGE).is_dir()
        && expected.is_ok_and(|expected| found.is_ok_and(|found| found == expected))
}

/// SHA-256 over paths, kinds, modes and contents.
fn digest(root: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for (path, node) in overlay::read(root, &Arc::from(""), Owners::Kept)? {
        let content: &[u8] = match &node.kind {
            Kind::File(content) => content,
            Kind::Symlink(target) => target.as_bytes(),
            Kind::Directory | Kind::CharacterDevice(..) => &[],
        };
        let content = rebuild::sha256(content);
        hash.update(format!("{} {path:?} {:o} {content}\n", node.kind.name(), node.mode));
    }
    Ok(hex::encode(hash.finalize()))
}

/// Deletes all but the newest. What cannot be deleted now is deleted another time.
fn prune(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    let mut roots: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.path().join(DIGEST).is_file())
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    roots.sort();
    let surplus = roots.len().saturating_sub(KEPT);
    for (_, root) in roots.into_iter().take(surplus) {
        let _ = fs::remove_dir_all(root);
    }
}
