//! What a machine is made of and what it starts from.

use std::path::PathBuf;

/// A chipset that QEMU has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Machine {
    /// ICH9, PCI Express.
    #[default]
    Q35,
    /// i440FX, PCI.
    Pc,
}

impl Machine {
    /// QEMU's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q35 => "q35",
            Self::Pc => "pc",
        }
    }
}

/// What starts a machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Firmware {
    /// SeaBIOS, with iPXE in the NICs.
    #[default]
    Bios,
    /// OVMF.
    Uefi,
    /// OVMF with Secure Boot compiled in and its variables behind system management mode. It
    /// enforces signatures once keys are enrolled: [`super::uefi_vars::Variable::key`].
    UefiSecureBoot,
}

impl Firmware {
    /// Whether this is UEFI firmware.
    #[must_use]
    pub const fn is_uefi(self) -> bool {
        matches!(self, Self::Uefi | Self::UefiSecureBoot)
    }

    /// Where distributions keep its code.
    pub(super) const fn code(self) -> Option<&'static str> {
        match self {
            Self::Bios => None,
            Self::Uefi => Some("/usr/share/OVMF/OVMF_CODE_4M.fd"),
            Self::UefiSecureBoot => Some("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"),
        }
    }
}

/// What the firmware starts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Start {
    /// Kernel and initramfs, which QEMU hands to the firmware.
    #[default]
    Direct,
    /// What the first NIC gets over the network: iPXE under BIOS, PXE under UEFI.
    Network {
        /// What QEMU's TFTP server serves; none for a file that is a URL.
        directory: Option<PathBuf>,
        /// What DHCP names as the boot file: a path for TFTP, or with iPXE also a URL.
        file: String,
    },
    /// UEFI HTTP boot of this URL, from a boot entry in the firmware's variables.
    HttpBoot {
        /// Of an EFI executable or a disk image. 10.0.2.2 is this machine's loopback.
        url: String,
    },
    /// An ISO image in a CD drive.
    Cdrom(PathBuf),
    /// An image on a USB stick. What is written to it is lost.
    Usb(PathBuf),
    /// An image on a SATA disk (IDE with [`Machine::Pc`]). What is written to it is lost.
    Disk(PathBuf),
}

/// A disk that the machine does not start from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disk {
    /// Its bytes. The machine may change them.
    pub file: PathBuf,
    /// How it is attached.
    pub bus: Bus,
}

/// How a disk is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bus {
    /// An NVMe controller.
    Nvme,
    /// An AHCI (SATA) controller.
    Ahci,
    /// A virtio block device.
    Virtio,
    /// A USB stick at an xHCI controller.
    Usb,
}

/// What a machine shows itself on. The report channel has a port of its own in any case.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Display {
    /// A serial port, and no graphics adapter.
    #[default]
    Serial,
    /// A serial port and a VGA adapter.
    Both,
    /// A VGA adapter and no first serial port: [`super::BootResult::serial`] stays empty.
    Vga,
    /// A serial port that the boot kernel and `/init` do not use: their console is one that there is
    /// not (`console=ttynull`). An OS may use it.
    Mute,
}

impl Display {
    /// Whether there is a screen.
    #[must_use]
    pub const fn has_screen(self) -> bool {
        matches!(self, Self::Both | Self::Vga)
    }

    /// Whether the first serial port is there.
    #[must_use]
    pub const fn has_serial(self) -> bool {
        matches!(self, Self::Serial | Self::Both | Self::Mute)
    }
}
