//! Writes "new ASCII" cpio archives as the kernel unpacks them: same entries in, same bytes out.
//!
//! Entries are sorted by path, missing parent directories are added, owner is root, times are 0,
//! inode numbers count up. See Documentation/driver-api/early-userspace/buffer-format.rst of Linux.

use std::collections::BTreeMap;

use crate::Error;
use crate::Result;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    mode: u32,
    device: (u32, u32),
    content: Vec<u8>,
}

impl Archive {
    /// An empty archive.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a directory with mode 0755.
    ///
    /// # Errors
    /// If the path cannot be used.
    pub(crate) fn directory(&mut self, path: &str) -> Result<()> {
        let path = checked(path)?;
        self.parents(path);
        let entry = Entry { mode: DIRECTORY | 0o755, device: (0, 0), content: Vec::new() };
        self.entries.entry(path.to_owned()).or_insert(entry);
        Ok(())
    }

    /// Adds a regular file.
    ///
    /// # Errors
    /// If the path cannot be used or is taken, or if the file is 4 GiB or larger.
    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: Vec<u8>) -> Result<()> {
        if u32::try_from(content.len()).is_err() {
            return Err(Error::new(format!("{path} is too large for an initramfs"))
                .remedy("a file in it must be smaller than 4 GiB"));
        }
        let mode = REGULAR | (permissions & 0o7777);
        self.insert(path, Entry { mode, device: (0, 0), content })
    }

    /// Adds a character device.
    ///
    /// # Errors
    /// If the path cannot be used or is taken.
    pub(crate) fn character_device(
        &mut self,
        path: &str,
        permissions: u32,
        device: (u32, u32),
    ) -> Result<()> {
        let mode = CHARACTER_DEVICE | (permissions & 0o7777);
        self.insert(path, Entry { mode, device, content: Vec::new() })
    }

    /// The archive, padded to a multiple of 4 bytes.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (inode, (path, entry)) in (1_u32..).zip(&self.entries) {
            write_entry(&mut out, inode, path, entry);
        }
        let trailer = Entry { mode: 0, device: (0, 0), content: Vec::new() };
        write_entry(&mut out, 0, "TRAILER!!!", &trailer);
        out
    }

    fn insert(&mut self, path: &str, entry: Entry) -> Result<()> {
        let path = checked(path)?;
        self.parents(path);
        if self.entries.contains_key(path) {
            return Err(Error::new(format!("/{path} would be in the initramfs twice"))
                .remedy("leave out the --extra of that name, or give it another path"));
        }
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }

    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let parent = path.get(..end).unwrap_or_default();
            self.entries.entry(parent.to_owned()).or_insert_with(|| Entry {
                mode: DIRECTORY | 0o755,
                device: (0, 0),
                content: Vec::new(),
            });
        }
    }
}

/// The path without its leading slash. Every part must be a plain name.
fn checked(path: &str) -> Result<&str> {
    let relative = path.strip_prefix('/').unwrap_or(path);
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if relative.len() < 4096 && relative.split('/').all(plain) {
        return Ok(relative);
    }
    Err(Error::new(format!("{path:?} is not a path inside an initramfs"))
        .remedy("write it as /etc/file, without . and .."))
}

fn write_entry(out: &mut Vec<u8>, inode: u32, path: &str, entry: &Entry) {
    let links = if entry.mode & DIRECTORY != 0 && entry.mode & REGULAR != REGULAR { 2 } else { 1 };
    // Both lengths were checked when the entry came in.
    let length = u32::try_from(entry.content.len()).unwrap_or(u32::MAX);
    let name_length = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
    let (major, minor) = entry.device;
    out.extend_from_slice(b"070701");
    let fields = [inode, entry.mode, 0, 0, links, 0, length, 0, 0, major, minor, name_length, 0];
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(&entry.content);
    pad(out);
}

/// Zeros up to the next multiple of 4.
pub(crate) fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_adding_does_not_matter() {
        let mut first = Archive::new();
        first.file("/etc/a", 0o644, b"a".to_vec()).unwrap();
        first.file("/init", 0o755, b"#!".to_vec()).unwrap();
        let mut second = Archive::new();
        second.file("init", 0o755, b"#!".to_vec()).unwrap();
        second.directory("etc").unwrap();
        second.file("etc/a", 0o644, b"a".to_vec()).unwrap();
        assert_eq!(first.to_bytes(), second.to_bytes());
        assert_eq!(first.to_bytes().len() % 4, 0);
    }

    #[test]
    fn paths_stay_inside() {
        let mut archive = Archive::new();
        for path in ["", "/", "../x", "/a/../b", "a//b", "./a", "a\0"] {
            assert!(archive.file(path, 0o644, Vec::new()).is_err(), "{path:?}");
        }
        archive.file("/a", 0o644, Vec::new()).unwrap();
        assert!(archive.file("a", 0o644, Vec::new()).is_err());
    }

    #[test]
    fn header_has_the_documented_fields() {
        let mut archive = Archive::new();
        archive.character_device("/c", 0o600, (5, 1)).unwrap();
        let bytes = archive.to_bytes();
        let header = core::str::from_utf8(&bytes[..110]).unwrap();
        assert_eq!(
            header,
            "070701000000010000218000000000000000000000000100000000000000000000000000000000\
             00000005000000010000000200000000"
        );
        assert_eq!(&bytes[110..112], b"c\0");
    }
}
