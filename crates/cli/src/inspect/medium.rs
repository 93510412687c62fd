//! Media: what they are made of, and whether their parts are the same.

use std::path::Path;

use super::Initramfs;
use super::Inspection;
use super::Kernel;
use super::Kind;
use super::cut;
use super::iso;
use super::read;
use super::sha256;
use super::uki;
use crate::Error;
use crate::Result;
use crate::media;
use crate::media::Fat;

/// Entries of a partition table that are looked at: as many as every tool makes.
const MAX_PARTITIONS: usize = 128;
const SECTOR: usize = 512;

/// A disk image.
pub(super) fn disk(bytes: &[u8]) -> Result<Inspection> {
    let short = cut::short("the disk image", bytes, cut::medium_len(bytes));
    let Some(uki) = efi_executable(bytes) else {
        return Err(short.unwrap_or_else(|| {
            Error::new(format!("no EFI system partition in it has a file {}", media::BOOT_LOADER))
                .remedy("it is a disk image, but none of `boot-image build`: give one of those")
        }));
    };
    let mut found = Inspection { kind: Kind::Disk, ..uki::executable(&uki) };
    found.warnings.extend(short.map(|error| error.to_string()));
    Ok(found)
}

/// An ISO image.
pub(super) fn iso(bytes: &[u8]) -> Result<Inspection> {
    let short = cut::short("the ISO image", bytes, cut::medium_len(bytes));
    let uki = efi_executable(bytes);
    let bios = |name: &str| iso::file(bytes, name);
    let (kernel, initramfs) = (bios("boot/vmlinuz"), bios("boot/initrd.img"));
    if uki.is_none() && kernel.is_none() {
        return Err(short.unwrap_or_else(|| {
            Error::new("an ISO image without kernel and UEFI executable of ramstrap")
                .remedy("it is none of `boot-image build`: give one of those")
        }));
    }
    let script = bios("isolinux/isolinux.cfg").map(String::from_utf8_lossy);
    let command_line = script.as_ref().and_then(|script| {
        script.lines().find_map(|line| line.trim().strip_prefix("APPEND ").map(str::to_owned))
    });
    let parts = Parts { kernel, initramfs, command_line, uki: uki.as_deref() };
    let mut found = parts.inspect(Kind::Iso, "BIOS");
    found.warnings.extend(short.map(|error| error.to_string()));
    Ok(found)
}

/// A directory as `--format pxe` makes it.
pub(super) fn directory(path: &Path) -> Result<Inspection> {
    let sums = read(&path.join("SHA256SUMS"));
    let script = read(&path.join(media::PXE_SCRIPT));
    let (Ok(sums), Ok(script)) = (sums, script) else {
        return Err(Error::new(format!(
            "{} has no SHA256SUMS and {}",
            path.display(),
            media::PXE_SCRIPT
        ))
        .remedy("give a directory that `boot-image build --format pxe` made, or a file"));
    };
    let file = |name: &str| read(&path.join(name)).ok();
    let (kernel, initramfs) = (file(media::PXE_KERNEL), file(media::PXE_INITRAMFS));
    let uki = file(media::PXE_UKI);
    let script = String::from_utf8_lossy(&script);
    let command_line = script.lines().find_map(|line| {
        let words = line.strip_prefix("kernel ")?.strip_suffix(" || goto failed")?;
        let (_, command_line) = words.split_once(' ')?.1.split_once(' ')?;
        Some(command_line.to_owned())
    });
    let parts = Parts {
        kernel: kernel.as_deref(),
        initramfs: initramfs.as_deref(),
        command_line,
        uki: uki.as_deref(),
    };
    let mut found = parts.inspect(Kind::Pxe, "iPXE");
    for line in String::from_utf8_lossy(&sums).lines() {
        let Some((digest, name)) = line.split_once("  ") else { continue };
        if name.contains('/') {
            continue;
        }
        match file(name) {
            Some(bytes) if sha256(&bytes) == digest => found.size += bytes.len() as u64,
            Some(_) => found.warnings.push(format!("{name} is not what SHA256SUMS says")),
            None => found.warnings.push(format!("{name} of SHA256SUMS is not there")),
        }
    }
    found.size += sums.len() as u64;
    Ok(found)
}

/// A medium that holds the same twice: in the UKI, and as files for another loader.
struct Parts<'a> {
    kernel: Option<&'a [u8]>,
    initramfs: Option<&'a [u8]>,
    command_line: Option<String>,
    uki: Option<&'a [u8]>,
}

impl Parts<'_> {
    fn inspect(&self, kind: Kind, loader: &str) -> Inspection {
        let mut found = match self.uki {
            Some(uki) => Inspection { kind, ..uki::executable(uki) },
            None => Inspection::new(kind),
        };
        if self.uki.is_none() {
            found.warnings.push("there is no UEFI executable in it".to_owned());
        }
        if let Some(in_uki) = self.uki.and_then(|uki| bootmedia::uki::read(uki).ok()) {
            let line = in_uki.command_line.map(media::text);
            let line =
                if kind == Kind::Iso { line.as_deref().map(media::for_isolinux) } else { line };
            // None at all, and one without a word, start the same.
            let words = |line: &Option<String>| line.clone().unwrap_or_default();
            for (what, differs) in [
                ("kernel", Some(in_uki.linux) != self.kernel),
                ("initramfs", in_uki.initrd != self.initramfs),
                ("command line", words(&line) != words(&self.command_line)),
            ] {
                if differs {
                    found.warnings.push(format!(
                        "the {what} that {loader} takes is another than that in the UEFI executable"
                    ));
                }
            }
        }
        if found.kernel.is_none() {
            found.kernel = self.kernel.map(|kernel| Kernel::of(kernel, &mut found.warnings));
            found.command_line.clone_from(&self.command_line);
            match self.initramfs.map(|bytes| Initramfs::read(bytes, &mut found.warnings)) {
                Some(Ok(initramfs)) => found.initramfs = Some(initramfs),
                Some(Err(error)) => found.warnings.push(format!("initramfs: {error}")),
                None => found.warnings.push("there is no initramfs in it".to_owned()),
            }
        }
        found
    }
}

/// What firmware would start from the first EFI system partition that has it.
pub(super) fn efi_executable(disk: &[u8]) -> Option<Vec<u8>> {
    let header = disk.get(SECTOR..2 * SECTOR)?;
    if header.get(..8)? != b"EFI PART" {
        return None;
    }
    let number = |bytes: &[u8], at: usize| -> Option<usize> {
        let bytes: [u8; 8] = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let table = number(header, 72)?.checked_mul(SECTOR)?;
    let count = number(header, 80)? & 0xffff_ffff;
    let length = number(header, 84)? & 0xffff_ffff;
    (0..count.min(MAX_PARTITIONS)).find_map(|index| {
        let at = table.checked_add(index.checked_mul(length)?)?;
        let entry = disk.get(at..at.checked_add(128)?)?;
        if entry.get(..16)? != media::EFI_SYSTEM_PARTITION {
            return None;
        }
        let start = number(entry, 32)?.checked_mul(SECTOR)?;
        let end = number(entry, 40)?.checked_add(1)?.checked_mul(SECTOR)?;
        Fat::open(disk.get(start..end)?)?.file(media::BOOT_LOADER)
    })
}
