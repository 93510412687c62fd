//! A directory of firmware, installed or as its source has it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::Result;
use crate::files;

/// Largest blob that is unpacked, as a guard against damaged files.
const MAX_BLOB: u64 = 64 << 20;
/// As deep as linux-firmware is, and some more: links may lead in a circle.
const MAX_DEPTH: usize = 8;
/// In the source of linux-firmware: where each file is from, and which names are links.
const WHENCE: &str = "WHENCE";

/// What a directory of firmware has, by the name that drivers use.
#[derive(Clone, Debug)]
pub struct Directory(BTreeMap<String, PathBuf>);

impl Directory {
    /// Lists a directory that is laid out as `/lib/firmware` is, or that has one as
    /// `lib/firmware`. Files may be packed as `.xz` or `.zst`; links that the list `WHENCE` of
    /// linux-firmware's source names are followed as if they were there.
    ///
    /// # Errors
    /// If there is no such directory, or it cannot be read, or is empty.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(Error::new(format!("there is no directory {}", path.display())).remedy(
                "give a directory laid out as linux-firmware, such as /lib/firmware of a machine \
                 that has the packages firmware-bnx2x, firmware-misc-nonfree and others",
            ));
        }
        let installed = path.join("lib/firmware");
        let root = if installed.is_dir() { installed } else { path.to_owned() };
        let mut found = BTreeMap::new();
        list(&root, "", MAX_DEPTH, &mut found)?;
        if found.is_empty() {
            return Err(Error::new(format!("{} is empty", root.display()))
                .remedy("give a directory laid out as linux-firmware"));
        }
        if let Some(whence) = found.get(WHENCE) {
            let text = files::read(whence)?;
            follow_links(&String::from_utf8_lossy(&text), &mut found);
        }
        Ok(Self(found))
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is a file for this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Reads a file, unpacked.
    ///
    /// # Errors
    /// If it cannot be read or unpacked.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.0.get(name).ok_or_else(|| Error::new(format!("no firmware {name}")))?;
        let failed = |error: std::io::Error| Error::io("unpack", path, &error);
        let raw = files::read_large(path)?;
        let reader: Box<dyn Read + '_> = match compression(path) {
            Some(".xz") => Box::new(lzma_rust2::XzReader::new(raw.as_slice(), true)),
            Some(".zst") => Box::new(zstd::Decoder::new(raw.as_slice()).map_err(failed)?),
            _ => return Ok(raw),
        };
        let mut plain = Vec::new();
        reader.take(MAX_BLOB + 1).read_to_end(&mut plain).map_err(failed)?;
        if plain.len() as u64 > MAX_BLOB {
            return Err(Error::new(format!("{} is larger than 64 MiB", path.display()))
                .remedy("is it firmware? no NIC has that much"));
        }
        Ok(plain)
    }
}

fn list(
    directory: &Path,
    prefix: &str,
    depth: usize,
    found: &mut BTreeMap<String, PathBuf>,
) -> Result<()> {
    let failed = |error: std::io::Error| Error::io("read", directory, &error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        // Through links: that is how newer versions have their older names. One that leads
        // nowhere is nothing.
        if path.is_dir() && depth > 0 {
            list(&path, &format!("{name}/"), depth - 1, found)?;
        } else if path.is_file() {
            let plain = compression(&path).and_then(|suffix| name.strip_suffix(suffix));
            match plain {
                // One that is there unpacked comes first, as it does in the kernel.
                Some(plain) => {
                    found.entry(plain.to_owned()).or_insert(path);
                }
                None => {
                    found.insert(name, path);
                }
            }
        }
    }
    Ok(())
}

fn compression(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "xz" => Some(".xz"),
        "zst" => Some(".zst"),
        _ => None,
    }
}

/// Lines such as `Link: intel/ice/ddp/ice.pkg -> ice-1.3.36.0.pkg`: the target is beside the link,
/// or below `..`.
fn follow_links(whence: &str, found: &mut BTreeMap<String, PathBuf>) {
    for line in whence.lines() {
        let Some((link, target)) =
            line.strip_prefix("Link:").and_then(|link| link.split_once("->"))
        else {
            continue;
        };
        // Spaces in names are written with a backslash, in newer lists.
        let (link, target) = (link.trim().replace('\\', ""), target.trim().replace('\\', ""));
        let above = link.rsplit_once('/').map_or("", |(above, _)| above);
        if let Some(file) = joined(above, &target).and_then(|name| found.get(&name)).cloned() {
            found.entry(link).or_insert(file);
        }
    }
}

/// A relative path seen from a directory, or nothing if it leads out of everything.
fn joined(above: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = above.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_source_are_followed() {
        let mut found =
            BTreeMap::from([("intel/ice/ddp/ice-1.pkg".to_owned(), PathBuf::from("x"))]);
        follow_links(
            "File: intel/ice/ddp/ice-1.pkg\n\
             Link: intel/ice/ddp/ice.pkg -> ice-1.pkg\n\
             Link: other/ice.pkg -> ../intel/ice/ddp/ice-1.pkg\n\
             Link: out -> ../../ice-1.pkg\n\
             Link: none -> nothing\n",
            &mut found,
        );
        let names: Vec<&String> = found.keys().collect();
        assert_eq!(names, ["intel/ice/ddp/ice-1.pkg", "intel/ice/ddp/ice.pkg", "other/ice.pkg"]);
    }
}
