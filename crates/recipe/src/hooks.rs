//! Hooks: programs of a recipe that run on the root file system when everything is in place.
//!
//! The tree is written to a temporary directory for them and read back. Owners are not written (that
//! would need root): what is there keeps its owner, what is new is root's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use crate::Error;
use crate::Result;
use crate::builder::Builder;
use crate::builder::Mount;
use crate::disk;
use crate::disk::on_disk;
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
pub fn run(
    hooks: &[PathBuf],
    tree: &mut Tree,
    source_date_epoch: i64,
    builder: Option<&Builder>,
) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let temporary = tempfile::Builder::new().prefix("ramstrap-root-").tempdir();
    let temporary = temporary.map_err(|error| Error::io("write", &std::env::temp_dir(), &error))?;
    let root = temporary.path().join("root");
    disk::write(tree, &root)?;
    for hook in hooks {
        let recipe = hook.parent().and_then(Path::parent).unwrap_or_else(|| Path::new("/"));
        let absolute =
            |path: &Path| fs::canonicalize(path).map_err(|error| Error::io("read", path, &error));
        let (hook_file, recipe) = (absolute(hook)?, absolute(recipe)?);
        let mut command = match builder {
            Some(builder) => in_root(builder, &root, &hook_file, &recipe),
            None => on_this_host(&root, &hook_file, &recipe),
        };
        let output = command
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("HOME", "/")
            .env("SOURCE_DATE_EPOCH", source_date_epoch.to_string())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::io("run", hook, &error))?;
        if !output.status.success() {
            let words = [output.stdout, output.stderr].concat();
            let words = String::from_utf8_lossy(&words).into_owned();
            let error = Error::new(format!("{} failed: {}", hook.display(), output.status));
            let last: Vec<&str> = words.lines().rev().take(10).collect();
            let error = last.iter().rev().fold(error, |error, line| error.detail(*line));
            let whose = if builder.is_some() { "the locked builder's" } else { "the host's" };
            return Err(
                error.remedy(format!("its directory is the root file system; PATH is {whose}"))
            );
        }
    }
    read_back(tree, &root)
}

fn on_this_host(root: &Path, hook: &Path, recipe: &Path) -> Command {
    // A shell sets the mask: there is no safe call for it here.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask 022; exec \"$0\""]).arg(hook).current_dir(root);
    command.env_clear().env("PATH", PATH).env("RECIPE", recipe);
    command
}

/// In the locked root, where the places have the same names on every machine.
fn in_root(builder: &Builder, root: &Path, hook: &Path, recipe: &Path) -> Command {
    let mounts = [Mount::writable(root, "/image"), Mount::read_only(recipe, "/recipe")];
    let name = hook.file_name().unwrap_or_default().to_string_lossy();
    let mut command = builder.command(&mounts, "/image", &format!("/recipe/{HOOKS}/{name}"));
    command.env("RECIPE", "/recipe");
    command
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
