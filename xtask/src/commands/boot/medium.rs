//! What the machine is made of, and the medium that it starts from.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::ValueEnum;
use ramstrap_cli::media;
use tempfile::NamedTempFile;
use xtask::harness::BootOptions;
use xtask::harness::Display;
use xtask::harness::Firmware;
use xtask::harness::Machine;
use xtask::harness::Start;

use super::inputs::check_writable;

/// Where an ISO 9660 file system says that it is one.
const ISO_MARK_AT: usize = 0x8001;
const ISO_MARK: &[u8] = b"CD001";

/// The first bytes of an EFI executable.
const EXECUTABLE_MARK: &[u8] = b"MZ";

/// Where a disk with a partition table says so, in its first sector.
const DISK_MARK_AT: usize = 510;
const DISK_MARK: &[u8] = &[0x55, 0xaa];

/// Bytes of that sector that a BIOS runs.
const DISK_PROGRAM_LEN: usize = 440;

#[derive(Debug, clap::Args)]
pub(super) struct Hardware {
    /// Chipset of the machine
    #[arg(long, value_enum, default_value = "q35")]
    machine: MachineName,

    /// Processors of the machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: u8,

    /// Firmware of the machine; a medium without --firmware starts by BIOS if it can
    #[arg(long, value_enum)]
    firmware: Option<FirmwareName>,

    /// The same as --firmware uefi
    #[arg(long, conflicts_with = "firmware")]
    efi: bool,

    /// Start from this ISO image, disk image or EFI executable
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["trust_policy", "host_config", "kernel", "modules", "append"]
    )]
    medium: Option<PathBuf>,

    /// What the medium is to the machine: without it, an ISO image is in a CD drive and anything
    /// else on a disk
    #[arg(long, value_enum, value_name = "KIND", requires = "medium")]
    medium_as: Option<Kind>,

    /// Give the machine a screen, and write a picture of it as it is at the end to this file
    #[arg(long, value_name = "FILE.png")]
    screenshot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum MachineName {
    /// ICH9, PCI Express
    Q35,
    /// i440FX, PCI
    Pc,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FirmwareName {
    /// SeaBIOS
    Bios,
    /// OVMF
    Uefi,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Kind {
    /// In a CD drive
    Cd,
    /// On a disk
    Disk,
    /// On a USB stick
    Usb,
}

/// A medium that is ready to be put into a machine.
#[derive(Debug)]
pub(super) struct Medium {
    start: Start,
    /// What was made around an EFI executable, until the machine has ended.
    _made: Option<NamedTempFile>,
}

impl Hardware {
    pub(super) fn firmware(&self) -> Firmware {
        let is_for_uefi = || {
            let medium = self.medium.as_deref();
            let content = medium.map(content_of);
            matches!(content, Some(Ok(Content::Executable | Content::UefiDisk)))
        };
        match self.firmware {
            Some(FirmwareName::Uefi) => Firmware::Uefi,
            Some(FirmwareName::Bios) => Firmware::Bios,
            None if self.efi || is_for_uefi() => Firmware::Uefi,
            None => Firmware::Bios,
        }
    }

    /// Finds mistakes before anything is built.
    ///
    /// # Errors
    ///
    /// The medium is none, or the picture could not be written.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(file) = &self.medium {
            let content = content_of(file)?;
            if self.firmware() == Firmware::Bios {
                match content {
                    Content::Executable => {
                        bail!("--medium {}: a BIOS does not start EFI executables", file.display())
                    }
                    Content::UefiDisk => bail!(
                        "--medium {}: there is nothing on this disk that a BIOS could start",
                        file.display()
                    ),
                    Content::Iso | Content::Disk => {}
                }
            }
            if self.medium_as == Some(Kind::Cd) && content != Content::Iso {
                bail!("--medium {}: only an ISO image goes into a CD drive", file.display());
            }
        }
        if let Some(file) = &self.screenshot {
            check_writable(file)
                .with_context(|| format!("--screenshot: cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// The medium, if the machine is to start from one. An EFI executable gets a disk around it.
    ///
    /// # Errors
    ///
    /// The medium cannot be read, or there is no room for the disk.
    pub(super) fn medium(&self) -> Result<Option<Medium>> {
        let Some(file) = &self.medium else { return Ok(None) };
        let content = content_of(file)?;
        let made = (content == Content::Executable).then(|| disk_with(file)).transpose()?;
        let image = made.as_ref().map_or(file.as_path(), NamedTempFile::path).to_path_buf();
        let kind = self.medium_as.unwrap_or(match content {
            Content::Iso => Kind::Cd,
            Content::Disk | Content::UefiDisk | Content::Executable => Kind::Disk,
        });
        let start = match kind {
            Kind::Cd => Start::Cdrom(image),
            Kind::Disk => Start::Disk(image),
            Kind::Usb => Start::Usb(image),
        };
        Ok(Some(Medium { start, _made: made }))
    }

    /// The options of a machine like this.
    pub(super) fn apply(&self, options: BootOptions, medium: Option<&Medium>) -> BootOptions {
        let has_screen = self.screenshot.is_some();
        BootOptions {
            machine: match self.machine {
                MachineName::Q35 => Machine::Q35,
                MachineName::Pc => Machine::Pc,
            },
            cpus: self.cpus,
            firmware: self.firmware(),
            start: medium.map_or(Start::Direct, |medium| medium.start.clone()),
            display: if has_screen { Display::Both } else { Display::Serial },
            screenshot: self.screenshot.clone(),
            ..options
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    Iso,
    Disk,
    /// A disk without a program for a BIOS to start.
    UefiDisk,
    Executable,
}

/// What a medium holds, by its first bytes: an ISO image that also is a disk is an ISO image.
fn content_of(file: &Path) -> Result<Content> {
    let mut head = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(64 * 1024).read_to_end(&mut head))
        .with_context(|| format!("--medium: cannot read {}", file.display()))?;
    let has = |at: usize, mark: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(mark));
    if has(ISO_MARK_AT, ISO_MARK) {
        Ok(Content::Iso)
    } else if has(0, EXECUTABLE_MARK) {
        Ok(Content::Executable)
    } else if has(DISK_MARK_AT, DISK_MARK) {
        let program = head.iter().take(DISK_PROGRAM_LEN);
        Ok(if program.copied().all(|byte| byte == 0) { Content::UefiDisk } else { Content::Disk })
    } else {
        bail!(
            "--medium {}: neither an ISO image, nor a disk image, nor an EFI executable",
            file.display()
        )
    }
}

/// A disk image whose EFI system partition starts this executable.
fn disk_with(executable: &Path) -> Result<NamedTempFile> {
    let bytes = fs::read(executable)
        .with_context(|| format!("--medium: cannot read {}", executable.display()))?;
    let mut disk = NamedTempFile::new().context("no temporary file")?;
    disk.write_all(&media::disk(&bytes)?).context("cannot write a temporary disk image")?;
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::Content;
    use super::content_of;

    #[test]
    fn media_are_known_by_their_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let content = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            content_of(file.path())
        };
        let mut disk = vec![0_u8; 0x9000];
        assert!(content(&disk).unwrap_err().to_string().contains("neither an ISO image"));
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(content(&disk).unwrap(), Content::UefiDisk);
        disk[0] = 0xeb;
        assert_eq!(content(&disk).unwrap(), Content::Disk);
        disk[0x8001..0x8006].copy_from_slice(b"CD001");
        assert_eq!(content(&disk).unwrap(), Content::Iso);
        assert_eq!(content(b"MZ").unwrap(), Content::Executable);
        let missing = content_of(std::path::Path::new("/none")).unwrap_err();
        assert_eq!(missing.to_string(), "--medium: cannot read /none");
    }
}
