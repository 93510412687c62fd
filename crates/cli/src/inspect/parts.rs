//! An image taken apart, to be compared with another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bootmedia::pe;
use rebuild::compare::Parts;

use super::Kind;
use super::iso;
use super::kind;
use super::medium;
use super::read;
use super::sha256;
use crate::Error;
use crate::Result;
use crate::media;

/// Most files of a directory that are looked at.
const MAX_FILES: usize = 100;

/// Files of an ISO that BIOS loaders take.
const OF_ISO: [&str; 3] = ["boot/vmlinuz", "boot/initrd.img", "isolinux/isolinux.cfg"];

/// Reads an image and takes it apart: its bytes (of a directory, the list of its files with their
/// digests), and what they are made of.
///
/// # Errors
/// If it cannot be read, or is of no known kind.
pub fn parts(path: &Path) -> Result<(Vec<u8>, Parts)> {
    if path.is_dir() {
        return directory(path);
    }
    let bytes = read(path)?;
    let kind = kind(&bytes).map_err(|error| error.on(path.display()))?;
    let parts = of(kind, &bytes);
    Ok((bytes, parts))
}

fn of(kind: Kind, bytes: &[u8]) -> Parts {
    let mut parts = match kind {
        Kind::Initramfs => Parts { initramfs: Some(bytes.to_vec()), ..Parts::default() },
        Kind::Kernel => Parts { kernel: Some(bytes.to_vec()), ..Parts::default() },
        Kind::Uki | Kind::EfiExecutable => executable(bytes),
        Kind::Disk | Kind::Iso | Kind::Pxe => {
            medium::efi_executable(bytes).map(|it| executable(&it)).unwrap_or_default()
        }
    };
    if kind == Kind::Iso {
        for name in OF_ISO {
            let file = iso::file(bytes, name).map(<[u8]>::to_vec);
            // Usually what the UEFI executable holds, too: said once.
            let known = [&parts.kernel, &parts.initramfs].contains(&&file);
            parts.others.extend(file.filter(|_| !known).map(|file| (name.to_owned(), file)));
        }
    }
    parts.kind = kind.words().to_owned();
    parts
}

/// Sections by name. What is not a section of ours is the stub's.
fn executable(bytes: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let Ok(image) = pe::Image::parse(bytes) else { return parts };
    for section in image.sections() {
        let (name, content) = (section.name(), image.content(section).to_vec());
        match name.as_str() {
            ".linux" => parts.kernel = Some(content),
            ".initrd" => parts.initramfs = Some(content),
            ".cmdline" => parts.command_line = Some(media::text(&content)),
            _ => drop(parts.others.insert(format!("section {name}"), content)),
        }
    }
    if !image.certificates().is_empty() {
        let signatures = image.certificates().to_vec();
        parts.others.insert("signatures for Secure Boot".to_owned(), signatures);
    }
    parts
}

fn directory(path: &Path) -> Result<(Vec<u8>, Parts)> {
    let failed = |error: std::io::Error| Error::io("read", path, &error);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, read(&entry.path())?);
        }
        if files.len() > MAX_FILES {
            return Err(Error::new(format!("{} has too many files", path.display()))
                .remedy("give a directory that `boot-image build --format pxe` made"));
        }
    }
    let list: String =
        files.iter().map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes))).collect();
    let uki = files.remove(media::PXE_UKI);
    let mut parts = uki.as_deref().map(executable).unwrap_or_default();
    for (name, content) in files {
        let known =
            [&parts.kernel, &parts.initramfs].iter().any(|it| **it == Some(content.clone()));
        if !known {
            parts.others.insert(name, content);
        }
    }
    parts.kind = Kind::Pxe.words().to_owned();
    Ok((list.into_bytes(), parts))
}
