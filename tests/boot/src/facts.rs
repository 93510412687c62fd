//! What the minimal OS says of the machine that it finds after kexec.

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;

/// In front of the JSON.
const MARK: &str = "MINIMAL-OS-FACTS ";

/// The machine as the OS finds it. The OS says more than what is judged here.
#[derive(Clone, Debug, Deserialize)]
pub struct Facts {
    /// Processors that run.
    pub cpus_online: usize,
    /// Every NIC.
    pub nics: Vec<Nic>,
    /// Tables of the firmware.
    pub acpi: Acpi,
    /// None on a machine that a BIOS started.
    pub efi: Option<Efi>,
    /// Every console of the kernel.
    pub consoles: Vec<Console>,
    /// Block devices that are not memory.
    pub block_devices: Vec<String>,
    /// Storage controllers and devices, with their drivers or without.
    pub storage: Vec<Storage>,
    /// File systems for block devices.
    pub disk_filesystems: Vec<String>,
    /// Modules that were loaded.
    pub modules: Vec<String>,
}

/// A NIC.
#[derive(Clone, Debug, Deserialize)]
pub struct Nic {
    /// Its driver.
    pub driver: Option<String>,
    /// Whether packets went out and came back.
    pub works: bool,
    /// Why not.
    pub problem: Option<String>,
}

/// Tables of the firmware.
#[derive(Clone, Debug, Deserialize)]
pub struct Acpi {
    /// Whether the fixed description is there.
    pub facp: bool,
    /// Whether the description of interrupt controllers is there.
    pub apic: bool,
}

/// What is left of UEFI.
#[derive(Clone, Debug, Deserialize)]
pub struct Efi {
    /// Memory ranges of runtime services.
    pub runtime_map: usize,
    /// Whether runtime services can be called.
    pub runtime_services: bool,
    /// How many variables can be read; none without efivarfs.
    pub variables: Option<usize>,
    /// The variable `SecureBoot`.
    pub secure_boot: Option<bool>,
}

/// A console.
#[derive(Clone, Debug, Deserialize)]
pub struct Console {
    /// Such as `ttyS0`.
    pub name: String,
    /// Whether it took a line.
    pub written: bool,
}

/// A storage controller or device.
#[derive(Clone, Debug, Deserialize)]
pub struct Storage {
    /// `pci`, `virtio` or `usb`.
    pub bus: String,
    /// What the bus says it is.
    pub class: String,
    /// What drives it.
    pub driver: Option<String>,
}

impl Facts {
    /// Finds them on a console.
    ///
    /// # Errors
    /// If they are not there, or cannot be read.
    pub fn on(console: &str) -> Result<Self> {
        let (_, rest) = console.split_once(MARK).context("the OS says no facts")?;
        let found = serde_json::Deserializer::from_str(rest).into_iter().next();
        found.and_then(Result::ok).context("the OS's facts cannot be read")
    }

    /// Finds them on a screen, which breaks long lines.
    ///
    /// # Errors
    /// As [`Self::on`].
    pub fn on_screen(lines: &str) -> Result<Self> {
        Self::on(&lines.replace('\n', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::Facts;

    #[test]
    fn facts_are_found_among_other_lines() {
        let line = r#"{"cpus_online":1,"nics":[],"acpi":{"facp":true,"apic":true},"efi":null,
            "consoles":[],"block_devices":[],"storage":[],"disk_filesystems":[],"modules":[],"x":1}"#;
        let line = line.replace('\n', "");
        let facts = Facts::on(&format!("a\r\nMINIMAL-OS-FACTS {line}\r\nb")).unwrap();
        assert!(facts.acpi.facp && facts.efi.is_none());
        let broken = format!("MINIMAL-OS-FACTS {}\n{}---- minimal OS", &line[..20], &line[20..]);
        assert!(Facts::on_screen(&broken).unwrap().acpi.apic);
        assert!(Facts::on("MINIMAL-OS-UP").is_err());
        assert!(Facts::on("MINIMAL-OS-FACTS {}").is_err());
    }
}
