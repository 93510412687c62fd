//! Disks: those that the kernel shows, and those that are there although it cannot see them.

use core::fmt;
use std::path::Path;

use serde::Serialize;

use super::link_name;
use super::names_in;
use super::read_trimmed;

/// Block devices that are memory.
const IN_MEMORY: [&str; 3] = ["loop", "ram", "zram"];

/// A device that stores data, or leads to one that does.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct StorageFact {
    /// `pci`, `virtio` or `usb`.
    bus: &'static str,
    /// Its name on the bus, such as `0000:00:04.0`.
    address: String,
    /// What the bus says it is: PCI class and programming interface such as `010802`, virtio device
    /// number such as `0002`, USB interface class such as `08`.
    class: String,
    /// Vendor and device, such as `1b36:0010`.
    id: String,
    /// The driver that is bound to it. On PCI, `virtio-pci` only makes the virtio device behind it
    /// visible and transfers nothing by itself.
    driver: Option<String>,
}

impl fmt::Display for StorageFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = self.driver.as_deref().unwrap_or("no driver");
        write!(f, "{} {} class {} {}: {driver}", self.bus, self.address, self.class, self.id)
    }
}

/// Names in `/sys/block`, without those that are memory.
pub(super) fn block_devices(sys: &Path) -> Vec<String> {
    let in_memory = |name: &String| {
        IN_MEMORY.iter().any(|prefix| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    names_in(&sys.join("block")).into_iter().filter(|name| !in_memory(name)).collect()
}

/// Storage devices on the buses.
pub(super) fn devices(sys: &Path) -> Vec<StorageFact> {
    // virtio: block, SCSI host, file system, persistent memory.
    const VIRTIO: [&str; 4] = ["0002", "0008", "001a", "001b"];
    let pci = on_bus(sys, "pci", "class", "vendor", "device", |class| class.starts_with("01"));
    let virtio =
        on_bus(sys, "virtio", "device", "vendor", "device", |class| VIRTIO.contains(&class));
    let usb =
        on_bus(sys, "usb", "bInterfaceClass", "../idVendor", "../idProduct", |class| class == "08");
    pci.into_iter().chain(virtio).chain(usb).collect()
}

fn on_bus(
    sys: &Path,
    bus: &'static str,
    class_file: &str,
    vendor_file: &str,
    device_file: &str,
    is_storage: impl Fn(&str) -> bool,
) -> Vec<StorageFact> {
    let directory = sys.join("bus").join(bus).join("devices");
    let read = |address: String| {
        let own = directory.join(&address);
        // `..` in a path is the parent of what the link points to only if the link is followed.
        let own = own.canonicalize().unwrap_or(own);
        let hex = |file: &str| read_trimmed(&own, file).trim_start_matches("0x").to_owned();
        let class = hex(class_file);
        is_storage(&class).then(|| StorageFact {
            bus,
            id: format!("{}:{}", hex(vendor_file), hex(device_file)),
            class,
            driver: link_name(&own.join("driver")),
            address,
        })
    };
    names_in(&directory).into_iter().filter_map(read).collect()
}

/// Of `/proc/filesystems`, those that live on block devices.
pub(super) fn disk_filesystems(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with("nodev"));
    lines.map(|line| line.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::block_devices;
    use super::devices;
    use super::disk_filesystems;

    #[test]
    fn memory_is_no_disk() {
        let sys = tempfile::tempdir().unwrap();
        for name in ["loop0", "ram3", "zram0", "sda", "nvme0n1", "ramdisk", "vda"] {
            fs::create_dir_all(sys.path().join("block").join(name)).unwrap();
        }
        assert_eq!(block_devices(sys.path()), ["nvme0n1", "ramdisk", "sda", "vda"]);
    }

    #[test]
    fn file_systems_on_disks_are_those_with_a_device() {
        let text = "nodev\tsysfs\nnodev\ttmpfs\n\tsquashfs\n\text4\n";
        assert_eq!(disk_filesystems(text), ["squashfs", "ext4"]);
    }

    #[test]
    fn disks_are_found_with_and_without_driver() {
        let sys = tempfile::tempdir().unwrap();
        let pci = sys.path().join("bus/pci/devices");
        for (address, class) in [("0000:00:01.1", "0x010180"), ("0000:00:03.0", "0x020000")] {
            fs::create_dir_all(pci.join(address)).unwrap();
            fs::write(pci.join(address).join("class"), class).unwrap();
            fs::write(pci.join(address).join("vendor"), "0x8086\n").unwrap();
            fs::write(pci.join(address).join("device"), "0x7010\n").unwrap();
        }
        let found = devices(sys.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "pci 0000:00:01.1 class 010180 8086:7010: no driver");
        symlink("../../drivers/ata_piix", pci.join("0000:00:01.1/driver")).unwrap();
        assert_eq!(devices(sys.path())[0].driver.as_deref(), Some("ata_piix"));

        let usb = sys.path().join("bus/usb/devices");
        let stick = sys.path().join("devices/1-1");
        fs::create_dir_all(stick.join("1-1:1.0")).unwrap();
        fs::create_dir_all(&usb).unwrap();
        fs::write(stick.join("idVendor"), "46f4\n").unwrap();
        fs::write(stick.join("idProduct"), "0001\n").unwrap();
        fs::write(stick.join("1-1:1.0/bInterfaceClass"), "08\n").unwrap();
        symlink(stick.join("1-1:1.0"), usb.join("1-1:1.0")).unwrap();
        let found = devices(sys.path());
        assert_eq!(found[1].to_string(), "usb 1-1:1.0 class 08 46f4:0001: no driver");
    }
}
