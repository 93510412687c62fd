//! The choice: what a machine needs to reach its provisioning servers, and nothing that could
//! touch a disk.

use std::collections::BTreeSet;

use super::Tree;
use super::info::normal;
use crate::Error;
use crate::Result;

/// NICs of virtual machines.
const VIRTUAL_NICS: &[&str] = &[
    "virtio_net",
    "vmxnet3",
    "hv_netvsc",
    "xen_netfront",
    "e1000",
    "e1000e",
    "ena",
    "gve",
    "mana",
];

/// Buses, firmware, TPM, watchdogs, random numbers, and protocols of the link. Taken if the kernel
/// has them as modules; what is built in or does not exist is passed over.
const ALWAYS_TAKEN: &[&str] = &[
    "virtio_pci",
    "virtio_mmio",
    "virtio_rng",
    "hv_vmbus",
    "pci_hyperv",
    "efivarfs",
    "tpm_tis",
    "tpm_crb",
    "i2c_i801",
    "i6300esb",
    "lpc_ich",
    "iTCO_wdt",
    "wdat_wdt",
    "sp5100_tco",
    "sha256_ssse3",
    "bonding",
    "8021q",
    "af_packet",
];

/// What else an operating system has to see all of a virtual machine: more of its NICs, its disks
/// and the buses that they are on.
const FOR_AN_OS: &[&str] = &[
    "8139cp",
    "8139too",
    "igb",
    "ahci",
    "ata_piix",
    "nvme",
    "virtio_blk",
    "virtio_scsi",
    "ehci_pci",
    "uhci_hcd",
    "xhci_pci",
    "usb_storage",
    "uas",
    "sd_mod",
    "sr_mod",
];

/// Of [`ALWAYS_TAKEN`], what is loaded at every boot. The rest is asked for by hardware, or by `/init` itself
/// when a host configuration needs it.
const ALWAYS_LOADED: &[&str] = &["efivarfs", "sha256_ssse3"];

/// Never in a boot image, neither by name nor as a dependency: what boots must not be able to read
/// or write a disk.
const FORBIDDEN: &[&str] = &[
    "kernel/drivers/ata/",
    "kernel/drivers/block/",
    "kernel/drivers/md/",
    "kernel/drivers/mmc/",
    "kernel/drivers/net/wireless/",
    "kernel/drivers/nvme/",
    "kernel/drivers/scsi/",
    "kernel/drivers/uio/",
    "kernel/drivers/usb/storage/",
    "kernel/drivers/vfio/",
    "kernel/net/mac80211/",
    "kernel/net/wireless/",
];

/// Which NIC drivers to take.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Nics {
    /// Every wired Ethernet driver that the kernel has.
    #[default]
    All,
    /// Those of virtual machines.
    Virtual,
    /// These modules.
    Only(Vec<String>),
}

/// What to take from a tree of modules.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selection {
    /// NIC drivers.
    pub nics: Nics,
    /// More modules by name; they are also loaded at every boot.
    pub add: Vec<String>,
}

/// The choice before dependencies.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// For their place in the tree or their purpose.
    pub(super) by_place: BTreeSet<String>,
    /// Because somebody named them.
    pub(super) by_name: BTreeSet<String>,
    /// To be loaded at every boot.
    pub(super) always: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Tree {
    pub(super) fn wanted(&self, selection: &Selection) -> Result<Wanted> {
        let mut wanted =
            Wanted { by_place: self.those_of(ALWAYS_TAKEN).collect(), ..Wanted::default() };
        match &selection.nics {
            Nics::All => {
                wanted.by_place.extend(self.wired_nics());
                wanted.by_place.extend(self.those_of(VIRTUAL_NICS));
            }
            Nics::Virtual => wanted.by_place.extend(self.those_of(VIRTUAL_NICS)),
            Nics::Only(names) => wanted.by_name.extend(self.named(names, &mut wanted.warnings)?),
        }
        wanted.always.extend(self.those_of(ALWAYS_LOADED));
        for name in self.named(&selection.add, &mut wanted.warnings)? {
            if !wanted.always.contains(&name) {
                wanted.always.push(name.clone());
            }
            wanted.by_name.insert(name);
        }
        Ok(wanted)
    }

    /// Everything for a virtual machine, with its disks.
    pub(super) fn those_for_os(&self) -> impl Iterator<Item = String> {
        [ALWAYS_TAKEN, VIRTUAL_NICS, FOR_AN_OS].into_iter().flat_map(|names| self.those_of(names))
    }

    /// Whether it drives a disk or a radio, or lets a program do so.
    pub(super) fn is_forbidden(&self, name: &str) -> bool {
        let path = self.files.get(name).map_or("", String::as_str);
        FORBIDDEN.iter().any(|place| path.starts_with(place))
    }

    /// Those of a list that this kernel has as modules.
    fn those_of(&self, names: &'static [&'static str]) -> impl Iterator<Item = String> {
        names.iter().map(|name| normal(name)).filter(|name| self.files.contains_key(name))
    }

    fn wired_nics(&self) -> impl Iterator<Item = String> {
        self.files
            .iter()
            // PC cards bring a bus of their own along, and no server has one.
            .filter(|(name, path)| {
                path.starts_with("kernel/drivers/net/ethernet/") && !name.ends_with("_cs")
            })
            .map(|(name, _)| name.clone())
    }

    fn named(&self, names: &[String], warnings: &mut Vec<String>) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for name in names {
            let name = normal(name.strip_suffix(".ko").unwrap_or(name));
            if self.files.contains_key(&name) {
                found.push(name);
            } else if self.builtin.contains(&name) {
                warnings.push(format!("{name} is built into kernel {}", self.release));
            } else {
                return Err(Error::new(format!("kernel {} has no module {name}", self.release))
                    .remedy(
                        "compare the name with the files below kernel/ in the module directory",
                    ));
            }
        }
        Ok(found)
    }
}

/// A module that was named cannot be taken because of `need`, which may be itself.
pub(super) fn forbidden(name: &str, need: &str) -> Error {
    let what = if name == need { name.to_owned() } else { format!("{need}, which {name} needs,") };
    Error::new(format!("{what} drives a disk or a radio"))
        .remedy("leave it out: a boot image reaches its packages over a wired network only")
}
