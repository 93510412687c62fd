//! Public keys of those who may provision the OS.

use std::fs;
use std::path::Path;

use ramstrap_cli::keys::PublicKey;
use rebuild::build::Input;
use rebuild::store::Store;

use super::record;
use crate::Error;
use crate::Result;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::Tree;

/// Where the OS looks for them.
const DIRECTORY: &str = "etc/ramstrap/staff";

/// Puts all `NAME.pem` of a directory into the image.
pub(super) fn add(dir: &Path, tree: &mut Tree, keep: Option<&Store>) -> Result<Vec<Input>> {
    let entries = fs::read_dir(dir).map_err(|error| Error::io("read", dir, &error))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "pem"));
    files.sort();
    if files.is_empty() {
        return Err(Error::new(format!("there is no NAME.pem in {}", dir.display()))
            .remedy("`ramstrap keygen staff` makes keys; the public ones go into that directory"));
    }
    let mut inputs = Vec::new();
    for file in files {
        let bytes = ramstrap_cli::files::read(&file)?;
        let name = file
            .file_name()
            .and_then(|it| it.to_str())
            .ok_or_else(|| Error::new(format!("the name of {} is not UTF-8", file.display())))?;
        check(&bytes).map_err(|error| error.on(file.display()))?;
        inputs.push(record::input(name, "staff-key", &bytes, keep)?);
        let node = Node::new(Kind::File(bytes.into()), 0o644, &"staff keys".into());
        tree.put(&format!("{DIRECTORY}/{name}"), node)?;
    }
    Ok(inputs)
}

fn check(bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("PRIVATE KEY") {
        return Err(Error::new("it is a private key, and packages can be read by everybody")
            .remedy("put the public key there, and keep this one where only its owner reads it"));
    }
    if !text.trim_start().starts_with("-----BEGIN PUBLIC KEY-----") {
        return Err(Error::new("it is no public key in PEM form")
            .remedy("`ramstrap keygen staff` makes such keys"));
    }
    PublicKey::from_file(bytes).map(drop)
}
