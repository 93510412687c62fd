//! `network_interfaces`.

use report::strict_json::Object;
use serde_json::Value;

use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::nested;
use crate::fields::optional_list;
use crate::fields::optional_parsed;
use crate::fields::optional_string;
use crate::fields::shown;
use crate::mac::Mac;
use crate::network::InterfaceSelector;

const FIELD: &str = "network_interfaces";
const EXPECTED: &str = "null or a list of objects {\"interface_name\": …, \"mac_address\": …}";

/// Longest name of an interface that the kernel takes, in bytes.
pub(crate) const MAX_INTERFACE_NAME: usize = 15;

/// Longest name of a driver that is taken, in bytes.
const MAX_DRIVER_NAME: usize = 63;

/// The interfaces that are meant.
pub(crate) fn interfaces(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Vec<InterfaceSelector>, HostConfigError> {
    let Some(values) = optional_list(object, FIELD, EXPECTED)? else { return Ok(Vec::new()) };
    if values.is_empty() {
        let (field, found) = (FIELD.to_owned(), "an empty list".to_owned());
        return Err(HostConfigError::Invalid { field, found, expected: EXPECTED });
    }
    let mut interfaces = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let field = format!("{FIELD}[{}]", index + 1);
        if value.is_null() {
            warnings.push(format!("{field}: null is skipped"));
            continue;
        }
        let interface = nested(&field, value, EXPECTED, warnings, read_interface)?;
        if interfaces.contains(&interface) {
            warnings.push(format!("{field}: is there already; this one is ignored"));
            continue;
        }
        interfaces.push(interface);
    }
    Ok(interfaces)
}

fn read_interface(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<InterfaceSelector, HostConfigError> {
    const EXPECTED_MAC: &str = "a MAC address such as \"52:54:00:12:34:56\"";
    const EXPECTED_ANY: &str = "a MAC address such as \"52:54:00:12:34:56\", or pci_path, driver \
                                or interface_name in its place";
    const EXPECTED_PATH: &str = "a place on the PCI bus such as \"0000:00:03.0\"";
    const EXPECTED_DRIVER: &str = "the name of a kernel driver such as \"virtio_net\"";

    let name = optional_string(object, "interface_name", "a string")?;
    let name = name.filter(|name| !name.is_empty());
    let mac =
        optional_parsed(object, "mac_address", EXPECTED_MAC, |text| text.parse::<Mac>().ok())?;
    let pci_path = optional_parsed(object, "pci_path", EXPECTED_PATH, pci_path)?;
    let driver = optional_parsed(object, "driver", EXPECTED_DRIVER, |text| {
        is_driver(text).then(|| text.to_owned())
    })?;
    if name.is_none() && mac.is_none() && pci_path.is_none() && driver.is_none() {
        return Err(invalid("mac_address", None, EXPECTED_ANY));
    }
    if let Some(mac) = mac.filter(|mac| !mac.is_ethernet()) {
        warnings.push(format!("mac_address: {mac} can match no Ethernet interface"));
    }
    if mac.is_some() {
        for (field, is_set) in [("pci_path", pci_path.is_some()), ("driver", driver.is_some())] {
            if is_set {
                warnings.push(format!("{field}: not looked at, because the MAC address decides"));
            }
        }
    }
    if let Some(name) = name.as_deref().filter(|name| !is_interface_name(name)) {
        let name = shown(Some(&Value::from(name)));
        warnings.push(format!("interface_name: {name} can be the name of no interface"));
    }
    Ok(InterfaceSelector { name, mac, pci_path, driver })
}

/// Whether the kernel takes this as the name of an interface.
pub(crate) fn is_interface_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= MAX_INTERFACE_NAME
        && !name.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace())
}

/// Domain, bus, device and function, as `0000:00:03.0` in any case.
fn pci_path(text: &str) -> Option<String> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let hex = |part: &str, lengths: core::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let whole = hex(domain, 4..=8) && hex(bus, 2..=2) && hex(device, 2..=2) && hex(function, 1..=1);
    whole.then(|| text.to_ascii_lowercase())
}

fn is_driver(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_DRIVER_NAME).contains(&text.len()) && text.bytes().all(known)
}
