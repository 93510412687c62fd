//! What a recipe lays over the root file system: `files/`, `[[entry]]`, an existing directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use walkdir::WalkDir;

use crate::Error;
use crate::Result;
use crate::recipe::Layer;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::Tree;

/// Name of the directory that is laid over the root file system.
const FILES: &str = "files";

/// Lays the files and entries of all layers over a tree.
///
/// # Errors
/// If a file cannot be read, or two layers own a path differently and the later one does not say so.
pub fn lay(layers: &[Layer], tree: &mut Tree) -> Result<()> {
    let mut ours: BTreeMap<String, (String, Node)> = BTreeMap::new();
    for layer in layers {
        let origin: Arc<str> = format!("recipe {}", layer.name).into();
        let mut placed = Vec::new();
        for (path, node) in read(&layer.dir.join(FILES), &origin, Owners::Root)? {
            let is_directory = node.kind == Kind::Directory;
            let (place, _) = tree.put(&path, node)?;
            if !is_directory {
                placed.push(place);
            }
        }
        for entry in &layer.manifest.entry {
            placed
                .extend(add(entry, tree, &origin).map_err(|error| {
                    error.on(layer.dir.join(crate::recipe::MANIFEST).display())
                })?);
        }
        for place in placed {
            let Some(node) = tree.get(&place).cloned() else { continue };
            if let Some((owner, before)) = ours.get(&place)
                && owner != &layer.name
                && !before.is_like(&node)
                && !layer.manifest.replaces.iter().any(|it| it.trim_start_matches('/') == place)
            {
                return Err(Error::new(format!(
                    "/{place} is in the recipes {owner} and {}, and is not the same",
                    layer.name
                ))
                .remedy(format!(
                    "if {} is to win, say so in its recipe.toml: replaces = [\"/{place}\"]",
                    layer.name
                )));
            }
            ours.insert(place, (layer.name.clone(), node));
        }
        check_replaces(layer, &ours)?;
    }
    Ok(())
}

/// What replaces nothing is a mistake, or was forgotten there.
fn check_replaces(layer: &Layer, ours: &BTreeMap<String, (String, Node)>) -> Result<()> {
    let here = |path: &String| {
        let owner = ours.get(path.trim_start_matches('/')).map(|(owner, _)| owner);
        owner == Some(&layer.name)
    };
    match layer.manifest.replaces.iter().find(|path| !here(path)) {
        None => Ok(()),
        Some(path) => {
            Err(Error::new(format!("{}: it has no {path} to replace one with", layer.name)).remedy(
                "take it out of `replaces` in its recipe.toml, or add the file to its files/",
            ))
        }
    }
}

fn add(
    entry: &crate::manifest::Entry,
    tree: &mut Tree,
    origin: &Arc<str>,
) -> Result<Option<String>> {
    let mode = entry.permissions()?;
    if let Some(target) = &entry.link {
        let mut node = Node::new(Kind::Symlink(target.clone()), 0o777, origin);
        (node.uid, node.gid) = (entry.uid.unwrap_or(0), entry.gid.unwrap_or(0));
        return tree.put(&entry.path, node).map(|(place, _)| Some(place));
    }
    if entry.directory {
        let mut node = Node::new(Kind::Directory, mode.unwrap_or(0o755), origin);
        (node.uid, node.gid) = (entry.uid.unwrap_or(0), entry.gid.unwrap_or(0));
        return tree.put(&entry.path, node).map(|_| None);
    }
    let path = crate::tree::checked(&entry.path)?;
    let place = tree.resolve(path, true);
    let Some(node) = place.as_ref().and_then(|place| tree.get_mut(place)) else {
        return Err(Error::new(format!("[[entry]] {}: there is nothing at that path", entry.path))
            .remedy("say `directory = true`, give it a `link`, or put the file into files/"));
    };
    node.mode = mode.unwrap_or(node.mode);
    node.uid = entry.uid.unwrap_or(node.uid);
    node.gid = entry.gid.unwrap_or(node.gid);
    let is_directory = node.kind == Kind::Directory;
    Ok(place.filter(|_| !is_directory))
}

/// Whose files are those of a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owners {
    /// Root's, with modes 0644 and 0755, whatever they are on disk: git keeps no others.
    Root,
    /// As they are on disk.
    Kept,
}

/// Reads a directory of this machine, sorted by path; a missing one is empty.
///
/// # Errors
/// If something in it cannot be read, or is a device, a socket or a pipe outside of `dev`.
pub fn read(dir: &Path, origin: &Arc<str>, owners: Owners) -> Result<Vec<(String, Node)>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in WalkDir::new(dir).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            Error::io("read", &path, &error.into())
                .remedy("a root file system is read as its owner, or as root")
        })?;
        let failed = |error: std::io::Error| {
            Error::io("read", entry.path(), &error)
                .remedy("a root file system is read as its owner, or as root")
        };
        let name = entry.path().strip_prefix(dir).unwrap_or_else(|_| entry.path());
        let name = name.to_str().ok_or_else(|| {
            Error::new(format!("the name {} is not UTF-8", entry.path().display()))
        })?;
        let metadata = entry.metadata().map_err(|error| failed(error.into()))?;
        let on_disk = metadata.permissions().mode() & 0o7777;
        let (kind, mode) = if metadata.is_dir() {
            (Kind::Directory, 0o755)
        } else if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(failed)?;
            (Kind::Symlink(target.to_string_lossy().into_owned()), 0o777)
        } else if metadata.is_file() {
            let mode = if on_disk & 0o100 == 0 { 0o644 } else { 0o755 };
            (Kind::File(fs::read(entry.path()).map_err(failed)?.into()), mode)
        } else if owners == Owners::Kept && name.starts_with("dev/") {
            continue;
        } else {
            return Err(Error::new(format!("{} is a device or a pipe", entry.path().display()))
                .remedy("only the kernel makes devices, in /dev: remove it"));
        };
        let mut node = Node::new(kind, mode, origin);
        if owners == Owners::Kept {
            node.mode = if metadata.is_symlink() { 0o777 } else { on_disk };
            (node.uid, node.gid) = (metadata.uid(), metadata.gid());
        }
        found.push((name.to_owned(), node));
    }
    Ok(found)
}
