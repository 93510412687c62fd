//! The root file system before anything of ours is laid over it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rebuild::build::Input;
use rebuild::sbom;
use rebuild::store::Store;

use super::Host;
use super::Options;
use super::Root;
use super::fetch_all;
use super::record;
use crate::Error;
use crate::Recipe;
use crate::Result;
use crate::deb;
use crate::initramfs;
use crate::lock::Lock;
use crate::overlay;
use crate::overlay::Owners;
use crate::recipe::Layer;
use crate::tarball;
use crate::tarball::Devices;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::Tree;

/// Where Debian's packages still put things, and where these are since all is below `/usr`.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Directories that an OS mounts something on or works in, with their modes.
const DIRECTORIES: [(&str, u32); 7] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
];

/// Packages or an existing root file system, unpacked.
pub(super) fn unpack(
    recipe: &Recipe,
    options: &Options,
    host: &dyn Host,
    keep: Option<&Store>,
) -> Result<Root> {
    if let Some(layer) = recipe.root() {
        let with_packages = recipe.layers.iter().find(|it| !it.manifest.packages.is_empty());
        if let Some(other) = with_packages {
            return Err(Error::new(format!(
                "the recipe {} has a [root], and the recipe {} has packages",
                layer.name, other.name
            ))
            .remedy("a root file system comes from one of both"));
        }
        return existing(layer, host, keep);
    }
    let lock = Lock::of(recipe)?;
    let file = fs::read(recipe.lock_file())
        .map_err(|error| Error::io("read", &recipe.lock_file(), &error))?;
    let mut root = Root {
        tree: skeleton()?,
        source_date_epoch: lock.source_date_epoch,
        lock_sha256: Some(rebuild::sha256(&file)),
        ..Root::default()
    };
    if let Some(keep) = keep {
        keep.put(&file, None)?;
    }
    let (exclude, stays) = recipe.exclude()?;
    let mut all = fetch_all(&lock, recipe, &options.debs, host)?;
    for package in &lock.package {
        host.at(&format!("unpack {}", package.name));
        let bytes = all.remove(&package.name).unwrap_or_default();
        let origin: Arc<str> = package.name.as_str().into();
        let unpacked = deb::unpack(&bytes, &mut root.tree, &origin)?;
        for (place, before) in unpacked.replaced {
            let excluded = exclude.matches(&place) && !stays.matches(&place);
            let same = root.tree.get(&place).is_some_and(|now| now.is_like(&before));
            if !same && !excluded {
                return Err(Error::new(format!(
                    "/{place} is in the packages {} and {}, and is not the same",
                    before.origin, package.name
                ))
                .remedy("they conflict: leave one of them out, or exclude that path"));
            }
        }
        root.warnings.extend(unpacked.warnings);
        if let Some(keep) = keep {
            keep.put(&bytes, Some(&package.sha256))?;
        }
        root.inputs.push(Input {
            name: package.file_name().to_owned(),
            sha256: package.sha256.clone(),
            size: package.size,
            kind: "deb".to_owned(),
        });
    }
    // When all are there: some packages share the file of another one.
    root.debs = lock
        .package
        .iter()
        .map(|package| sbom::Deb {
            name: package.name.clone(),
            version: package.version.clone(),
            arch: package.architecture.clone(),
            sha256: package.sha256.clone(),
            copyright: copyright(&root.tree, &package.name),
        })
        .collect();
    Ok(root)
}

fn existing(layer: &Layer, host: &dyn Host, keep: Option<&Store>) -> Result<Root> {
    let Some(from) = &layer.manifest.root else { return Ok(Root::default()) };
    let origin: Arc<str> = "the root file system".into();
    let source_date_epoch = from.source_date_epoch.unwrap_or(0);
    let mut root = Root { source_date_epoch, ..Root::default() };
    if let Some(tar) = &from.tar {
        let path = layer.dir.join(tar);
        host.at(&format!("unpack {}", path.display()));
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        let unpacked = tarball::decompress(&bytes)
            .and_then(|reader| tarball::unpack(reader, &mut root.tree, &origin, Devices::LeaveOut))
            .map_err(|error| error.on(path.display()))?;
        root.warnings = unpacked.warnings;
        root.inputs.push(record::input("root", "root-tar", &bytes, keep)?);
    } else if let Some(directory) = &from.directory {
        let path = layer.dir.join(directory);
        if !path.is_dir() {
            return Err(Error::new(format!("there is no directory {}", path.display()))
                .remedy("correct `directory` of [root]; it is relative to the recipe"));
        }
        host.at(&format!("read {}", path.display()));
        for (name, node) in overlay::read(&path, &origin, Owners::Kept)? {
            root.tree.put(&name, node)?;
        }
        // There is no file that it could be known by: the archive of it stands for it.
        let archive = initramfs::archive(&root.tree, source_date_epoch)?;
        root.inputs.push(record::input("root", "root-directory", &archive, None)?);
    }
    Ok(root)
}

/// `/bin` and the like are links into `/usr`, as in every Debian of today.
pub(crate) fn skeleton() -> Result<Tree> {
    let origin: Arc<str> = "skeleton".into();
    let mut tree = Tree::new();
    for name in MERGED {
        let target = format!("usr/{name}");
        tree.put(&target, Node::new(Kind::Directory, 0o755, &origin))?;
        tree.put(name, Node::new(Kind::Symlink(target), 0o777, &origin))?;
    }
    Ok(tree)
}

/// What every OS needs: places to mount on, and two devices for a kernel without devtmpfs as yet.
pub(super) fn essentials(tree: &mut Tree) -> Result<()> {
    let origin: Arc<str> = "skeleton".into();
    for (path, mode) in DIRECTORIES {
        if tree.find(path).is_none() {
            tree.put(path, Node::new(Kind::Directory, mode, &origin))?;
        }
    }
    for (path, mode, kind) in [
        ("dev/console", 0o600, Kind::CharacterDevice(5, 1)),
        ("dev/null", 0o666, Kind::CharacterDevice(1, 3)),
    ] {
        if tree.find(path).is_none() {
            tree.put(path, Node::new(kind, mode, &origin))?;
        }
    }
    Ok(())
}

/// Puts a file of this machine into a tree; a link that is at the path is replaced.
pub(super) fn put_file(
    tree: &mut Tree,
    to: &str,
    mode: u32,
    file: &Path,
    origin: &str,
) -> Result<()> {
    let content = fs::read(file).map_err(|error| Error::io("read", file, &error))?;
    tree.put(to, Node::new(Kind::File(content.into()), mode, &origin.into())).map(drop)
}

fn copyright(tree: &Tree, package: &str) -> Option<String> {
    match &tree.find(&format!("usr/share/doc/{package}/copyright"))?.kind {
        Kind::File(content) => Some(String::from_utf8_lossy(content).into_owned()),
        _ => None,
    }
}
