//! The host configuration as a whole.

use core::net::IpAddr;

use report::strict_json::Object;
use report::strict_json::parse_object;
use serde::Serialize;
use serde_json::Value;

use crate::address::Cidr;
use crate::address::parse_ip;
use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::optional_list;
use crate::fields::optional_parsed;
use crate::fields::optional_string;
use crate::mac::Mac;
use crate::network::Addressing;
use crate::network::BondMode;
use crate::network::Bonding;
use crate::network::InterfaceSelector;
use crate::pointer;
use crate::pointer::Entry;
use crate::provisioning_url::ProvisioningUrl;

/// Longest document that is read, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;

/// Longest name of an interface that the kernel takes, in bytes.
const MAX_INTERFACE_NAME: usize = 15;

/// Keys of older formats that have no meaning any more.
const FORMER_KEYS: [&str; 2] = ["version", "timestamp"];

/// A checked host configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostConfig {
    /// Where address and default route come from.
    pub network: Addressing,
    /// DNS servers; empty means those of the DHCP lease.
    pub dns: Vec<IpAddr>,
    /// The interfaces to use, members of the bond if there is one; empty means any.
    pub interfaces: Vec<InterfaceSelector>,
    /// Set if the interfaces are to be used as one.
    pub bonding: Option<Bonding>,
    /// Free text about this configuration.
    pub description: Option<String>,
    /// What was tolerated but cannot mean what its author hoped. Holds no secret.
    pub warnings: Vec<String>,
    /// URLs to fetch descriptors from, in their order; see [`HostConfig::provisioning_urls`].
    pub urls: Vec<ProvisioningUrl>,
    entries: Vec<Entry>,
}

impl HostConfig {
    /// Reads `host_configuration.json`. A key that is absent is the same as one that is `null`;
    /// only `network_mode` and `ospkg_pointer` are required, `host_ip` and `gateway` also with
    /// static addressing, `bond_name` and `network_interfaces` also with bonding.
    ///
    /// Whether any entry of `ospkg_pointer` can be fetched from is not judged here but by
    /// [`HostConfig::provisioning_urls`]; there is a warning if none can.
    ///
    /// # Errors
    ///
    /// [`HostConfigError::Malformed`] if the document is not one unambiguous JSON object of at most
    /// [`MAX_LEN`] bytes; [`HostConfigError::Invalid`] if a field is missing or has a value that
    /// cannot be used.
    pub fn parse(document: &[u8]) -> Result<Self, HostConfigError> {
        if document.len() > MAX_LEN {
            return Err(HostConfigError::Malformed(format!("larger than {MAX_LEN} bytes")));
        }
        let mut object = parse_object(document)
            .map_err(|error| HostConfigError::Malformed(error.to_string()))?;
        let mut warnings = Vec::new();

        let network = read_addressing(&mut object, &mut warnings)?;
        let dns = read_dns(&mut object, &mut warnings)?;
        let interfaces = read_interfaces(&mut object, &mut warnings)?;
        let entries = pointer::read(&mut object, &mut warnings)?;
        let bonding = read_bonding(&mut object, &interfaces, &mut warnings)?;
        let description = optional_string(&mut object, "description", "a string")?;
        warn_of_unknown_keys(object, &mut warnings);

        let urls = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Url(url) => Some(url.clone()),
                Entry::Unusable(_) => None,
            })
            .collect();
        Ok(Self { network, dns, interfaces, bonding, description, warnings, urls, entries })
    }

    /// The URLs to fetch descriptors from, in the order in which they are tried; at least one.
    ///
    /// # Errors
    ///
    /// [`HostConfigError::NoUrl`] if there is none.
    pub fn provisioning_urls(&self) -> Result<&[ProvisioningUrl], HostConfigError> {
        if self.urls.is_empty() { Err(HostConfigError::NoUrl) } else { Ok(&self.urls) }
    }

    /// The configuration in its normal form, with two spaces of indentation: every key of the
    /// current format in its usual order, `null` where nothing is set. User names, passwords and
    /// queries of URLs are replaced by `***`; `identity` and `authentication` do not appear.
    #[must_use]
    pub fn redacted_json(&self) -> String {
        // Nothing in the document can fail to serialise: its keys are strings.
        serde_json::to_string_pretty(&Document::from(self)).unwrap_or_default()
    }
}

/// The normal form, in the order of its keys.
#[derive(Serialize)]
struct Document<'a> {
    network_mode: &'static str,
    host_ip: Option<Cidr>,
    gateway: Option<IpAddr>,
    dns: Option<&'a [IpAddr]>,
    network_interfaces: Option<Vec<InterfaceDocument<'a>>>,
    ospkg_pointer: String,
    bonding_mode: Option<BondMode>,
    bond_name: Option<&'a str>,
    description: Option<&'a str>,
}

#[derive(Serialize)]
struct InterfaceDocument<'a> {
    interface_name: &'a str,
    mac_address: String,
}

impl<'a> From<&'a HostConfig> for Document<'a> {
    fn from(config: &'a HostConfig) -> Self {
        let (network_mode, host_ip, gateway) = match config.network {
            Addressing::Dhcp => ("dhcp", None, None),
            Addressing::Static { address, gateway } => ("static", Some(address), Some(gateway)),
        };
        let interfaces = config.interfaces.iter().map(|interface| InterfaceDocument {
            interface_name: interface.name.as_deref().unwrap_or_default(),
            mac_address: interface.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        });
        let pointer: Vec<String> = config
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Url(url) => url.to_string(),
                Entry::Unusable(shown) => shown.clone(),
            })
            .collect();
        Self {
            network_mode,
            host_ip,
            gateway,
            dns: Some(config.dns.as_slice()).filter(|dns| !dns.is_empty()),
            network_interfaces: Some(interfaces.collect::<Vec<_>>()).filter(|all| !all.is_empty()),
            ospkg_pointer: pointer.join(","),
            bonding_mode: config.bonding.as_ref().map(|bonding| bonding.mode),
            bond_name: config.bonding.as_ref().map(|bonding| bonding.name.as_str()),
            description: config.description.as_deref(),
        }
    }
}

fn read_addressing(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Addressing, HostConfigError> {
    const EXPECTED_MODE: &str = "\"dhcp\" or \"static\"";
    const EXPECTED_ADDRESS: &str = "an IP address with prefix length such as \"192.0.2.7/24\"";
    const EXPECTED_GATEWAY: &str = "an IP address without prefix length such as \"192.0.2.1\"";

    let mode = object.take("network_mode");
    let address = optional_parsed(object, "host_ip", EXPECTED_ADDRESS, |text| {
        // Netlink notation: an interface label may follow the address.
        let mut words = text.split(' ');
        let address: Cidr = words.next()?.parse().ok()?;
        Some((address, words.next().is_some()))
    })?;
    let gateway = optional_parsed(object, "gateway", EXPECTED_GATEWAY, parse_ip)?;

    match mode.as_ref().and_then(Value::as_str) {
        Some("dhcp") => {
            for (field, is_set) in [("host_ip", address.is_some()), ("gateway", gateway.is_some())]
            {
                if is_set {
                    warnings.push(format!("{field}: ignored, because network_mode is \"dhcp\""));
                }
            }
            Ok(Addressing::Dhcp)
        }
        Some("static") => {
            let Some((address, has_label)) = address else {
                return Err(invalid("host_ip", None, EXPECTED_ADDRESS));
            };
            let Some(gateway) = gateway else {
                return Err(invalid("gateway", None, EXPECTED_GATEWAY));
            };
            if has_label {
                warnings.push("host_ip: the label behind the address is ignored".to_owned());
            }
            if !address.contains(gateway) {
                warnings.push(format!(
                    "gateway: {gateway} is not in the network of host_ip {address}: \
                     it is probably out of reach"
                ));
            }
            Ok(Addressing::Static { address, gateway })
        }
        _ => Err(invalid("network_mode", mode.as_ref(), EXPECTED_MODE)),
    }
}

fn read_dns(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Vec<IpAddr>, HostConfigError> {
    const EXPECTED: &str = "a list of IP addresses such as [\"192.0.2.53\"]";

    let mut servers = Vec::new();
    for (index, value) in optional_list(object, "dns", EXPECTED)?.into_iter().flatten().enumerate()
    {
        let field = format!("dns[{}]", index + 1);
        if value.is_null() {
            warnings.push(format!("{field}: null is skipped"));
            continue;
        }
        let server = value.as_str().and_then(parse_ip);
        servers.push(server.ok_or_else(|| invalid(field, Some(&value), "an IP address"))?);
    }
    Ok(servers)
}

fn read_interfaces(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Vec<InterfaceSelector>, HostConfigError> {
    const FIELD: &str = "network_interfaces";
    const EXPECTED: &str = "null or a list of objects {\"interface_name\": …, \"mac_address\": …}";

    let Some(values) = optional_list(object, FIELD, EXPECTED)? else { return Ok(Vec::new()) };
    if values.is_empty() {
        let found = "an empty list".to_owned();
        return Err(HostConfigError::Invalid {
            field: FIELD.to_owned(),
            found,
            expected: EXPECTED,
        });
    }
    let mut interfaces = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let field = format!("{FIELD}[{}]", index + 1);
        match value {
            Value::Null => warnings.push(format!("{field}: null is skipped")),
            Value::Object(_) => interfaces.push(read_interface(&field, value, warnings)?),
            other => return Err(invalid(field, Some(&other), EXPECTED)),
        }
    }
    Ok(interfaces)
}

fn read_interface(
    field: &str,
    value: Value,
    warnings: &mut Vec<String>,
) -> Result<InterfaceSelector, HostConfigError> {
    let mut object = Object::from_value(value)
        .map_err(|error| HostConfigError::Malformed(format!("{field}: {error}")))?;
    let qualified = |error: HostConfigError| match error {
        HostConfigError::Invalid { field: inner, found, expected } => {
            HostConfigError::Invalid { field: format!("{field}.{inner}"), found, expected }
        }
        other => other,
    };
    let name = optional_string(&mut object, "interface_name", "a string")
        .map_err(qualified)?
        .filter(|name| !name.is_empty());
    let expected = "a MAC address such as \"52:54:00:12:34:56\"";
    let mac =
        optional_parsed(&mut object, "mac_address", expected, |text| text.parse::<Mac>().ok())
            .map_err(qualified)?
            .ok_or_else(|| qualified(invalid("mac_address", None, expected)))?;
    if !mac.is_ethernet() {
        warnings.push(format!("{field}.mac_address: {mac} can match no Ethernet interface"));
    }
    Ok(InterfaceSelector { name, mac: Some(mac) })
}

fn read_bonding(
    object: &mut Object,
    interfaces: &[InterfaceSelector],
    warnings: &mut Vec<String>,
) -> Result<Option<Bonding>, HostConfigError> {
    const EXPECTED_MODE: &str = "null, balance-rr, active-backup, balance-xor, broadcast, 802.3ad, \
                                 balance-tlb or balance-alb";

    let mode = optional_parsed(object, "bonding_mode", EXPECTED_MODE, |text| match text {
        "" => Some(None),
        name => BondMode::from_name(name).map(Some),
    })?
    .flatten();
    let name = optional_string(object, "bond_name", "a string")?;
    let Some(mode) = mode else {
        if name.is_some_and(|name| !name.is_empty()) {
            warnings.push("bond_name: ignored, because there is no bonding_mode".to_owned());
        }
        return Ok(None);
    };
    let name = match name {
        Some(name) if !name.is_empty() => name,
        other => {
            let found = other.map(Value::String);
            return Err(invalid(
                "bond_name",
                found.as_ref(),
                "the name of the bond such as \"bond0\"",
            ));
        }
    };
    if interfaces.is_empty() {
        return Err(invalid(
            "network_interfaces",
            None,
            "the members of the bond, because there is a bonding_mode",
        ));
    }
    if name.len() > MAX_INTERFACE_NAME || name.contains(|c: char| c == '/' || c.is_whitespace()) {
        warnings.push(format!("bond_name: {name:?} is not a name that the kernel takes"));
    }
    Ok(Some(Bonding { mode, name }))
}

/// Names of keys only: what an unknown key holds may be a secret.
fn warn_of_unknown_keys(mut object: Object, warnings: &mut Vec<String>) {
    for key in FORMER_KEYS {
        object.take(key);
    }
    warnings.extend(object.unknown_keys().map(|key| {
        let short: String = key.chars().take(MAX_KEY_SHOWN).collect();
        format!("{short:?}: unknown key, ignored")
    }));
}

const MAX_KEY_SHOWN: usize = 64;
