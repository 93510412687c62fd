//! Hooks: programs of a recipe that run on the root file system when everything is in place.
//!
//! The tree is written to a temporary directory for them and read back. Owners are not written (that
//! would need root): what is there keeps its owner, what is new is root's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use crate::Error;
use crate::Result;
use crate::overlay;
use crate::overlay::Owners;
use crate::recipe::Layer;
use crate::tree::Kind;
use crate::tree::Tree;

const HOOKS: &str = "hooks";
/// Where hooks find the tools of this machine.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The hooks of all layers, in the order in which they run.
///
/// # Errors
/// If a directory cannot be read, or something in it is no program.
pub fn of(layers: &[Layer]) -> Result<Vec<PathBuf>> {
    let mut hooks = Vec::new();
    for layer in layers {
        let dir = layer.dir.join(HOOKS);
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        let mut here: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        here.sort();
        for hook in &here {
            let metadata = fs::metadata(hook).map_err(|error| Error::io("read", hook, &error))?;
            if !metadata.is_file() || metadata.permissions().mode() & 0o100 == 0 {
                return Err(Error::new(format!("{} cannot be executed", hook.display()))
                    .remedy("chmod +x it, or move it out of hooks/"));
            }
        }
        hooks.extend(here);
    }
    Ok(hooks)
}

/// Runs hooks on a tree. Their directory is that of the tree; `$RECIPE` is that of their recipe.
///
/// # Errors
/// If one fails, or the tree cannot be written or read.
pub fn run(hooks: &[PathBuf], tree: &mut Tree, source_date_epoch: i64) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let temporary = tempfile::Builder::new().prefix("ramstrap-root-").tempdir();
    let temporary = temporary.map_err(|error| Error::io("write", &std::env::temp_dir(), &error))?;
    let root = temporary.path().join("root");
    write(tree, &root)?;
    for hook in hooks {
        let recipe = hook.parent().and_then(Path::parent).unwrap_or_else(|| Path::new("/"));
        let absolute =
            |path: &Path| fs::canonicalize(path).map_err(|error| Error::io("read", path, &error));
        // A shell sets the mask: there is no safe call for it here.
        let output = Command::new("/bin/sh")
            .args(["-c", "umask 022; exec \"$0\""])
            .arg(absolute(hook)?)
            .current_dir(&root)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("HOME", "/")
            .env("SOURCE_DATE_EPOCH", source_date_epoch.to_string())
            .env("RECIPE", absolute(recipe)?)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::io("run", hook, &error))?;
        if !output.status.success() {
            let words = [output.stdout, output.stderr].concat();
            let words = String::from_utf8_lossy(&words).into_owned();
            let error = Error::new(format!("{} failed: {}", hook.display(), output.status));
            let last: Vec<&str> = words.lines().rev().take(10).collect();
            let error = last.iter().rev().fold(error, |error, line| error.detail(*line));
            return Err(error.remedy("its directory is the root file system; PATH is the host's"));
        }
    }
    read_back(tree, &root)
}

/// Writes a tree so that this user can read and change all of it.
fn write(tree: &Tree, root: &Path) -> Result<()> {
    let make = |path: &Path| fs::create_dir(path).map_err(|error| Error::io("write", path, &error));
    make(root)?;
    for (path, node) in tree.iter() {
        let place = root.join(path);
        let failed = |error: std::io::Error| Error::io("write", &place, &error);
        match &node.kind {
            Kind::Directory => make(&place)?,
            Kind::File(content) => fs::write(&place, content).map_err(failed)?,
            Kind::Symlink(target) => symlink(target, &place).map_err(failed)?,
            Kind::CharacterDevice(..) => {}
        }
        if matches!(node.kind, Kind::Directory | Kind::File(_)) {
            let mode = fs::Permissions::from_mode(on_disk(node.mode, &node.kind));
            fs::set_permissions(&place, mode).map_err(failed)?;
        }
    }
    Ok(())
}

/// Set-id bits would be lost or be in the way; the owner can do everything.
fn on_disk(mode: u32, kind: &Kind) -> u32 {
    let all = if *kind == Kind::Directory { 0o700 } else { 0o600 };
    (mode & 0o777) | all
}

fn read_back(tree: &mut Tree, root: &Path) -> Result<()> {
    let origin: Arc<str> = "hooks".into();
    let mut after = Tree::new();
    for (path, mut node) in overlay::read(root, &origin, Owners::Kept)? {
        (node.uid, node.gid) = (0, 0);
        if let Some(before) = tree.get(&path) {
            let same_kind =
                core::mem::discriminant(&before.kind) == core::mem::discriminant(&node.kind);
            if same_kind {
                (node.uid, node.gid) = (before.uid, before.gid);
                if node.mode == on_disk(before.mode, &before.kind) {
                    node.mode = before.mode;
                }
            }
            if before.kind == node.kind {
                node.origin = Arc::clone(&before.origin);
            }
        }
        after.put(&path, node)?;
    }
    for (path, node) in tree.iter().filter(|(_, it)| matches!(it.kind, Kind::CharacterDevice(..))) {
        after.put(path, node.clone())?;
    }
    *tree = after;
    Ok(())
}
