//! What the OS sees of the machine after kexec, for scripts: one line of JSON.
//!
//! A boot test compares it with what the machine was given: whatever a jump may break (a NIC that
//! does not come up again, tables of the firmware that are gone, a console that is silent) shows
//! here. Everything is read from `/proc`, `/sys` and `/dev`; what cannot be read is absent.

mod network;
mod platform;
mod storage;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::console;
use crate::console::ConsoleFact;

/// In front of the JSON.
const MARK: &str = "MINIMAL-OS-FACTS";

/// Version of the format. New keys do not change it.
const VERSION: u32 = 1;

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    version: u32,
    /// Release of the running kernel.
    kernel: String,
    /// Seconds from the kernel's start to the start of the OS.
    uptime_s: f64,
    cpus_online: usize,
    memory_kib: Option<u64>,
    nics: Vec<network::NicFact>,
    acpi: platform::AcpiFact,
    /// `null` on a machine that was not started by UEFI.
    efi: Option<platform::EfiFact>,
    consoles: Vec<ConsoleFact>,
    /// Names in `/sys/block` but loop devices and RAM disks.
    block_devices: Vec<String>,
    /// Storage controllers and storage devices on PCI, virtio and USB, with or without driver.
    storage: Vec<storage::StorageFact>,
    /// File systems of the kernel that need a block device.
    disk_filesystems: Vec<String>,
    /// Kernel modules that were loaded from this initramfs.
    modules: Vec<String>,
    watchdogs: Vec<platform::WatchdogFact>,
}

/// What was known before facts are gathered.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) kernel: String,
    pub(crate) uptime: String,
    pub(crate) memory_kib: Option<u64>,
    pub(crate) modules: Vec<String>,
    /// How long NICs are given to get an address; none are tried with zero.
    pub(crate) network_patience: Duration,
}

impl Facts {
    /// Gathers everything. Brings up every NIC, and writes to every console.
    pub(crate) fn gather(known: Known) -> Self {
        let sys = Path::new("/sys");
        Self {
            version: VERSION,
            kernel: known.kernel,
            uptime_s: known.uptime.parse().unwrap_or_default(),
            cpus_online: platform::cpus_online(&read_trimmed(sys, "devices/system/cpu/online")),
            memory_kib: known.memory_kib,
            nics: network::gather(sys, known.network_patience),
            acpi: platform::acpi(sys),
            efi: platform::efi(sys),
            consoles: console::try_all(&read_trimmed(Path::new("/proc"), "consoles")),
            block_devices: storage::block_devices(sys),
            storage: storage::devices(sys),
            disk_filesystems: storage::disk_filesystems(&read_trimmed(
                Path::new("/proc"),
                "filesystems",
            )),
            modules: known.modules,
            watchdogs: platform::watchdogs(sys),
        }
    }

    /// The line for scripts.
    pub(crate) fn line(&self) -> String {
        format!("{MARK} {}", serde_json::to_string(self).unwrap_or_default())
    }

    /// The same for people, as names and values.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: String| fields.push((name.to_owned(), value));
        field("processors", self.cpus_online.to_string());
        for nic in &self.nics {
            field("NIC now", nic.to_string());
        }
        field("ACPI", self.acpi.to_string());
        field("EFI", self.efi.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string));
        for console in &self.consoles {
            field("console", console.to_string());
        }
        for device in &self.storage {
            field("storage", device.to_string());
        }
        for watchdog in &self.watchdogs {
            field("watchdog", watchdog.to_string());
        }
        fields
    }
}

/// A file's content without white space around it; empty if it cannot be read.
fn read_trimmed(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap_or_default().trim().to_owned()
}

/// Names in a directory, sorted; none if it cannot be read.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The last part of what a symbolic link points to, such as the driver of a device.
fn link_name(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned())
}
