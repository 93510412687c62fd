//! A tree as directories and files of this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::Error;
use crate::Result;
use crate::tree::Kind;
use crate::tree::Tree;

/// Writes a tree into a directory that it makes, so that this user can read and change all of it.
/// Owners are not written, and devices are left out: both would need root.
///
/// # Errors
/// If the directory is there already, or something cannot be written.
pub fn write(tree: &Tree, root: &Path) -> Result<()> {
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
pub(crate) fn on_disk(mode: u32, kind: &Kind) -> u32 {
    let all = if *kind == Kind::Directory { 0o700 } else { 0o600 };
    (mode & 0o777) | all
}
