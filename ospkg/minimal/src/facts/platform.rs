//! Processors, tables of the firmware, watchdogs.

use core::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::names_in;
use super::read_trimmed;

/// The firmware's ACPI tables.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct AcpiFact {
    /// Names in `/sys/firmware/acpi/tables`, sorted, without the dynamic ones.
    tables: Vec<String>,
    /// Whether the two are there without which no machine with ACPI runs.
    facp: bool,
    apic: bool,
}

impl fmt::Display for AcpiFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tables: {}", self.tables.len(), self.tables.join(" "))
    }
}

pub(super) fn acpi(sys: &Path) -> AcpiFact {
    let directory = sys.join("firmware/acpi/tables");
    let tables: Vec<String> =
        names_in(&directory).into_iter().filter(|name| directory.join(name).is_file()).collect();
    let has = |name: &str| tables.iter().any(|table| table == name);
    AcpiFact { facp: has("FACP"), apic: has("APIC"), tables }
}

/// What is left of UEFI.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct EfiFact {
    /// 64 or 32.
    platform_size: Option<u32>,
    /// Memory ranges that runtime services are mapped in; without them they do not survive another
    /// kexec.
    runtime_map: usize,
    /// Whether runtime services can be called, as far as the kernel tells.
    runtime_services: bool,
    /// How many variables can be read; `null` where the kernel has no efivarfs.
    variables: Option<usize>,
    /// The variable `SecureBoot`, where it can be read.
    secure_boot: Option<bool>,
}

impl fmt::Display for EfiFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.platform_size.map_or_else(|| "?".to_owned(), |bits| bits.to_string());
        let services = if self.runtime_services { "runtime services" } else { "no services" };
        write!(f, "{bits} bits, {services}, {} runtime ranges", self.runtime_map)?;
        match self.variables {
            Some(count) => write!(f, ", {count} variables"),
            None => f.write_str(", no efivarfs"),
        }
    }
}

pub(super) fn efi(sys: &Path) -> Option<EfiFact> {
    let directory = sys.join("firmware/efi");
    if !directory.exists() {
        return None;
    }
    let variables = directory.join("efivars");
    let count = names_in(&variables).len();
    Some(EfiFact {
        platform_size: read_trimmed(&directory, "fw_platform_size").parse().ok(),
        runtime_map: names_in(&directory.join("runtime-map")).len(),
        // The kernel makes this device when it can call the firmware for variables.
        runtime_services: sys.join("bus/platform/devices/efivars.0").exists(),
        variables: (count > 0).then_some(count),
        secure_boot: fs::read(variables.join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"))
            .ok()
            // Four bytes of attributes come before the value.
            .and_then(|bytes| bytes.get(4).map(|value| *value == 1)),
    })
}

/// A watchdog.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct WatchdogFact {
    device: String,
    identity: String,
    /// `active` if a program has it running, else `inactive`.
    state: String,
    timeout: Option<u32>,
}

impl fmt::Display for WatchdogFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.device, self.identity, self.state)
    }
}

pub(super) fn watchdogs(sys: &Path) -> Vec<WatchdogFact> {
    let directory = sys.join("class/watchdog");
    let read = |name: String| {
        let own = directory.join(&name);
        WatchdogFact {
            identity: read_trimmed(&own, "identity"),
            state: read_trimmed(&own, "state"),
            timeout: read_trimmed(&own, "timeout").parse().ok(),
            device: name,
        }
    };
    names_in(&directory).into_iter().map(read).collect()
}

/// How many processors a list such as `0-2,5` names.
pub(super) fn cpus_online(list: &str) -> usize {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first).map(|more| more + 1)
    };
    list.split(',').filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::acpi;
    use super::cpus_online;
    use super::efi;

    #[test]
    fn processors_are_counted() {
        assert_eq!(cpus_online("0"), 1);
        assert_eq!(cpus_online("0-3"), 4);
        assert_eq!(cpus_online("0-2,5"), 4);
        assert_eq!(cpus_online(""), 0);
    }

    #[test]
    fn tables_are_listed() {
        let sys = tempfile::tempdir().unwrap();
        let tables = sys.path().join("firmware/acpi/tables");
        fs::create_dir_all(tables.join("dynamic")).unwrap();
        fs::write(tables.join("FACP"), "").unwrap();
        let found = acpi(sys.path());
        assert_eq!(found.tables, ["FACP"]);
        assert!(found.facp && !found.apic);
    }

    #[test]
    fn efi_is_there_or_not() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(efi(sys.path()), None);
        let directory = sys.path().join("firmware/efi");
        fs::create_dir_all(directory.join("runtime-map/0")).unwrap();
        fs::create_dir_all(directory.join("efivars")).unwrap();
        fs::write(directory.join("fw_platform_size"), "64\n").unwrap();
        let found = efi(sys.path()).unwrap();
        assert_eq!((found.platform_size, found.runtime_map), (Some(64), 1));
        assert_eq!((found.variables, found.runtime_services), (None, false));
        let name = "efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        fs::write(directory.join(name), [6, 0, 0, 0, 1]).unwrap();
        let found = efi(sys.path()).unwrap();
        assert_eq!((found.variables, found.secure_boot), (Some(1), Some(true)));
    }
}
