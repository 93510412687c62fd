//! `cargo xtask ospkg new`: a recipe that builds at once, with a comment at every key.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::Recipe;
use crate::Result;
use crate::builder;
use crate::recipe::LOCK;
use crate::recipe::MANIFEST;

/// What the recipe is built upon. Its lock is a valid one for a recipe that adds no packages yet.
const BASE: &str = "base";

const TEXT: &str = include_str!("template.toml");

const MESSAGE: &str = "This machine runs NAME, from RAM.\n";

/// Makes the recipe `name` in a directory of recipes; gives its directory.
///
/// # Errors
/// If there is one already, the name cannot be used, or it cannot be written.
pub fn create(recipes: &Path, name: &str) -> Result<PathBuf> {
    let dir = recipes.join(name);
    if name == builder::NAME {
        return Err(Error::new(format!("{name} is what releases are compiled in, and no OS"))
            .remedy("choose another name"));
    }
    let base = Recipe::load(recipes, BASE)?;
    // What is wrong with the name is said as it is when a recipe is read.
    let reads = Recipe::load(recipes, name);
    if reads.is_ok() || dir.exists() {
        return Err(Error::new(format!("{} is there already", dir.display()))
            .remedy("choose another name, or remove that directory"));
    }
    if let Err(error) = reads
        && error.to_string().contains("not the name")
    {
        return Err(error);
    }
    let lock =
        fs::read(base.lock_file()).map_err(|error| Error::io("read", &base.lock_file(), &error))?;
    let failed = |error: std::io::Error| Error::io("write", &dir, &error);
    fs::create_dir_all(recipes).map_err(failed)?;
    let staged = tempfile::Builder::new().prefix(".new-").tempdir_in(recipes).map_err(failed)?;
    let etc = staged.path().join("files/etc");
    fs::create_dir_all(&etc).map_err(failed)?;
    let text = |text: &str| text.replace("NAME", name);
    for (path, content) in [
        (staged.path().join(MANIFEST), text(TEXT).into_bytes()),
        (staged.path().join(LOCK), lock),
        (etc.join("motd"), text(MESSAGE).into_bytes()),
    ] {
        fs::write(&path, content).map_err(failed)?;
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(staged.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    match fs::rename(staged.path(), &dir) {
        Ok(()) => {
            // It has moved: there is nothing left to clean up.
            let _ = staged.keep();
            Ok(dir)
        }
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
            Err(Error::new(format!("{} is there already", dir.display())))
        }
        Err(error) => Err(failed(error)),
    }
}
