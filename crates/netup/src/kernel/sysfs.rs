//! Which device and driver are behind an interface.

use std::fs;
use std::path::Path;

const ROOT: &str = "/sys/class/net";

/// What is behind an interface; nothing if it is made of software.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Device {
    /// Such as `0000:00:03.0`.
    pub(super) pci_path: Option<String>,
    /// Such as `virtio_net`.
    pub(super) driver: Option<String>,
}

/// Reads the device of the interface of this name.
pub(super) fn read(name: &str) -> Device {
    read_under(Path::new(ROOT), name)
}

fn read_under(root: &Path, name: &str) -> Device {
    let device = root.join(name).join("device");
    let last = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
    let driver = fs::read_link(device.join("driver")).ok().and_then(|path| last(&path));
    // Some sit on a bus of their own below the PCI device, those of virtio for example.
    let pci_path = fs::canonicalize(&device).ok().and_then(|path| {
        path.iter().rev().filter_map(|part| part.to_str()).find(|part| is_pci(part)).map(Into::into)
    });
    Device { pci_path, driver }
}

/// `dddd:bb:dd.f` in hexadecimal digits; the domain may be longer.
fn is_pci(text: &str) -> bool {
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut parts = text.splitn(3, ':');
    let (Some(domain), Some(bus), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Some((device, function)) = rest.split_once('.') else { return false };
    (hex(domain, 4) || hex(domain, 5) || hex(domain, 8))
        && hex(bus, 2)
        && hex(device, 2)
        && hex(function, 1)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::Device;
    use super::is_pci;
    use super::read_under;

    #[test]
    fn pci_places_are_told_from_other_devices() {
        for place in ["0000:00:03.0", "10000:e1:00.1"] {
            assert!(is_pci(place), "{place}");
        }
        for other in ["virtio0", "pci0000:00", "0000:00:03", "0000:00:3.0", "usb1", "1-1:1.0"] {
            assert!(!is_pci(other), "{other}");
        }
    }

    #[test]
    fn a_virtio_nic_has_the_place_of_its_pci_device_and_its_own_driver() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("devices/pci0000:00/0000:00:03.0/virtio0");
        let drivers = root.path().join("bus/virtio/drivers/virtio_net");
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(&drivers).unwrap();
        symlink(&drivers, device.join("driver")).unwrap();
        let class = root.path().join("class");
        fs::create_dir_all(class.join("eth0")).unwrap();
        fs::create_dir_all(class.join("bond0")).unwrap();
        symlink(&device, class.join("eth0/device")).unwrap();
        let found = read_under(&class, "eth0");
        assert_eq!(found.pci_path.as_deref(), Some("0000:00:03.0"));
        assert_eq!(found.driver.as_deref(), Some("virtio_net"));
        assert_eq!(read_under(&class, "bond0"), Device::default());
    }
}
