//! The choice: what a machine needs to reach its provisioning servers, and nothing that could
//! touch a disk.

use std::collections::BTreeSet;

use super::Tree;
use super::info::normal;
use crate::Error;
use crate::Result;

/// NICs of virtual machines.
const VIRTUAL_NICS: &[&str] = &[
    "virtio_net", "vmxnet3", "hv_netvsc", "xen_netfront", "e1000", "e1000e", "ena", "gve", "mana",
];

/// Buses, firmware, TPM, watchdogs, random numbers, and protocols of the link. Taken if the kernel
/// has them as modules; what is built in or does not exist is passed over.
const ALWAYS_TAKEN: &[&str] = &[
    "virtio_pci", "virtio_mmio", "virtio_rng", "hv_vmbus", "pci_hyperv", "vmd",
    "efivarfs", "tpm_tis", "tpm_crb", "i6300esb", "iTCO_wdt", "wdat_wdt", "sp5100_tco",
    "sha256_ssse3", "bonding", "8021q", "af_packet",
];

/// Of those, what is loaded at every boot. The rest is asked for by hardware, or by `/init` itself
/// when a host configuration needs it.
const ALWAYS_LOADED: &[&str] = &["efivarfs", "sha256_ssse3"];

/// Never in a boot image, even if a dependency pulls them in by name: the boot image must not be
/// able to read or write a disk.
const FORBIDDEN: &[&str] = &[
    "kernel/drivers/ata/", "kernel/drivers/block/", "kernel/drivers/md/", "kernel/drivers/mmc/",
    "kernel/drivers/net/wireless/", "kernel/drivers/nvme/", "kernel/drivers/scsi/",
    "kernel/drivers/usb/storage/", "kernel/net/mac80211/", "kernel/net/wireless/",
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

impl Tree {
    /// Names of modules to take, names to load at every boot, and warnings.
    pub(super) fn wanted(
        &self,
        selection: &Selection,
    ) -> Result<(BTreeSet<String>, Vec<String>, Vec<String>)> {
        let has = |name: &str| self.files.contains_key(name);
        let mut wanted: BTreeSet<String> = ALWAYS_TAKEN
            .iter()
            .map(|name| normal(name))
            .filter(|name| has(name))
            .collect();
        let mut warnings = Vec::new();
        match &selection.nics {
            Nics::All => {
                wanted.extend(self.wired_nics());
                wanted.extend(VIRTUAL_NICS.iter().map(|it| normal(it)).filter(|it| has(it)));
            }
            Nics::Virtual => {
                wanted.extend(VIRTUAL_NICS.iter().map(|it| normal(it)).filter(|it| has(it)));
            }
            Nics::Only(names) => wanted.extend(self.named(names, &mut warnings)?),
        }
        let added = self.named(&selection.add, &mut warnings)?;
        let mut always: Vec<String> =
            ALWAYS_LOADED.iter().map(|it| normal(it)).filter(|it| has(it)).collect();
        always.extend(added.iter().filter(|it| !ALWAYS_LOADED.contains(&it.as_str())).cloned());
        wanted.extend(added);
        for name in &wanted {
            self.refuse_forbidden(name)?;
        }
        Ok((wanted, always, warnings))
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
                    .remedy("compare the name with the files below kernel/ in the module directory"));
            }
        }
        Ok(found)
    }

    fn refuse_forbidden(&self, name: &str) -> Result<()> {
        let path = self.files.get(name).map_or("", String::as_str);
        match FORBIDDEN.iter().find(|prefix| path.starts_with(**prefix)) {
            Some(_) => Err(Error::new(format!("{name} drives a disk or a radio"))
                .remedy("leave it out: a boot image reaches its packages over a wired network only")),
            None => Ok(()),
        }
    }
}
