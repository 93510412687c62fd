//! `network_mode`, addresses, gateways, routes, `mtu` and `vlan`.

use core::net::IpAddr;

use report::strict_json::Object;
use serde_json::Value;

use crate::address::Cidr;
use crate::address::parse_ip;
use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::nested;
use crate::fields::optional_entries;
use crate::fields::optional_number;
use crate::fields::optional_parsed;
use crate::fields::parsed_list;
use crate::network::Addressing;
use crate::network::Route;
use crate::network::StaticAddressing;

/// Most addresses.
const MAX_ADDRESSES: usize = 64;

/// Most routes.
const MAX_ROUTES: usize = 256;

/// Longest packet that networks for servers take.
const USUAL_MTU: u16 = 9216;

/// Shortest one with which IPv6 works.
const IPV6_MTU: u16 = 1280;

const EXPECTED_MODE: &str = "\"dhcp\", \"static\" or \"auto\"";
const EXPECTED_ADDRESS: &str = "an IP address with prefix length such as \"192.0.2.7/24\"";
const EXPECTED_ADDRESSES: &str =
    "a list of at most 64 IP addresses with prefix length such as [\"192.0.2.7/24\"]";
const EXPECTED_GATEWAY: &str = "an IP address without prefix length such as \"192.0.2.1\"";
const EXPECTED_SOME_GATEWAY: &str = "an IP address without prefix length such as \"192.0.2.1\", or \
                                     \"gateways\": [] if there is none";
const EXPECTED_GATEWAYS: &str =
    "a list of IP addresses such as [\"192.0.2.1\"], at most one of each family beside gateway";
const EXPECTED_ROUTES: &str = "a list of at most 256 objects {\"to\": …, \"via\": …}";

/// Everything that says which addresses the machine has.
pub(crate) fn addressing(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Addressing, HostConfigError> {
    let mode = object.take("network_mode");
    let host_ip = optional_parsed(object, "host_ip", EXPECTED_ADDRESS, |text| {
        // Netlink notation: an interface label may follow the address.
        let mut words = text.split(' ');
        let address: Cidr = words.next()?.parse().ok()?;
        Some((address, words.next().is_some()))
    })?;
    let addresses =
        parsed_list(object, "addresses", EXPECTED_ADDRESSES, MAX_ADDRESSES, warnings, |text| {
            text.parse::<Cidr>().ok()
        })?;
    let gateway = optional_parsed(object, "gateway", EXPECTED_GATEWAY, parse_ip)?;
    let gateways = parsed_list(object, "gateways", EXPECTED_GATEWAYS, 2, warnings, parse_ip)?;

    let (name, addressing) = match mode.as_ref().and_then(Value::as_str) {
        Some("static") => {
            if host_ip.is_some_and(|(_, has_label)| has_label) {
                warnings.push("host_ip: the label behind the address is ignored".to_owned());
            }
            let host_ip = host_ip.map(|(address, _)| address);
            let addresses = all_addresses(host_ip, addresses, warnings)?;
            let gateways = all_gateways(gateway, gateways, &addresses, warnings)?;
            return Ok(Addressing::Static(StaticAddressing { addresses, gateways }));
        }
        Some("dhcp") => ("dhcp", Addressing::Dhcp),
        Some("auto") => ("auto", Addressing::Auto),
        _ => return Err(invalid("network_mode", mode.as_ref(), EXPECTED_MODE)),
    };
    for (field, is_set) in [
        ("host_ip", host_ip.is_some()),
        ("gateway", gateway.is_some()),
        ("addresses", addresses.is_some()),
        ("gateways", gateways.is_some()),
    ] {
        if is_set {
            warnings.push(format!("{field}: ignored, because network_mode is \"{name}\""));
        }
    }
    Ok(addressing)
}

fn all_addresses(
    host_ip: Option<Cidr>,
    addresses: Option<Vec<Cidr>>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Cidr>, HostConfigError> {
    let mut all: Vec<Cidr> = Vec::new();
    let named = host_ip.map(|address| ("host_ip".to_owned(), address));
    let listed = addresses.into_iter().flatten().enumerate();
    let listed = listed.map(|(index, address)| (format!("addresses[{}]", index + 1), address));
    for (field, address) in named.into_iter().chain(listed) {
        let ip = address.address();
        if all.iter().any(|known| known.address() == ip) {
            warnings.push(format!("{field}: {ip} is there already; this one is ignored"));
            continue;
        }
        if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
            warnings.push(format!("{field}: {ip} cannot be the address of a machine"));
        } else if let Some(what) = reserved(address) {
            warnings.push(format!("{field}: {ip} is the {what} of {}", address.network()));
        }
        all.push(address);
    }
    if all.is_empty() { Err(invalid("host_ip", None, EXPECTED_ADDRESS)) } else { Ok(all) }
}

/// What an IPv4 address is that stands for its network as a whole.
fn reserved(own: Cidr) -> Option<&'static str> {
    let (IpAddr::V4(ip), IpAddr::V4(network)) = (own.address(), own.network().address()) else {
        return None;
    };
    // Networks of one and of two addresses have neither (RFC 3021).
    let hosts = u32::MAX.checked_shr(u32::from(own.prefix_len())).filter(|hosts| *hosts > 1)?;
    if ip == network {
        Some("address of the network itself, that")
    } else if ip.to_bits() == network.to_bits() | hosts {
        Some("broadcast address")
    } else {
        None
    }
}

fn all_gateways(
    gateway: Option<IpAddr>,
    gateways: Option<Vec<IpAddr>>,
    addresses: &[Cidr],
    warnings: &mut Vec<String>,
) -> Result<Vec<IpAddr>, HostConfigError> {
    if gateway.is_none() && gateways.is_none() {
        return Err(invalid("gateway", None, EXPECTED_SOME_GATEWAY));
    }
    let mut all: Vec<IpAddr> = Vec::new();
    let named = gateway.map(|address| ("gateway".to_owned(), address));
    let listed = gateways.into_iter().flatten().enumerate();
    let listed = listed.map(|(index, address)| (format!("gateways[{}]", index + 1), address));
    for (field, address) in named.into_iter().chain(listed) {
        if all.contains(&address) {
            warnings.push(format!("{field}: {address} is there already; this one is ignored"));
            continue;
        }
        if all.iter().any(|known| known.is_ipv4() == address.is_ipv4()) {
            let found = format!("a second gateway of the same family, {address}");
            return Err(HostConfigError::Invalid { field, found, expected: EXPECTED_GATEWAYS });
        }
        if !has_family(addresses, address) {
            return Err(no_family(field, address));
        }
        if addresses.iter().any(|own| own.address() == address) {
            warnings.push(format!(
                "{field}: {address} is the machine's own address: everything is taken to be on the \
                 link itself"
            ));
        }
        warn_of_distance(&field, address, addresses, warnings);
        all.push(address);
    }
    Ok(all)
}

/// Whether the machine has an address of the same family.
fn has_family(addresses: &[Cidr], other: IpAddr) -> bool {
    addresses.iter().any(|own| own.address().is_ipv4() == other.is_ipv4())
}

/// The error for a way that no packet of the machine could ever take.
fn no_family(field: String, ip: IpAddr) -> HostConfigError {
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let found = format!("{ip}, but the machine has no {family} address");
    let expected = "one of a family of which host_ip or addresses have an address";
    HostConfigError::Invalid { field, found, expected }
}

/// The error for a default route beside a gateway.
fn second_default(field: String, to: Cidr, gateway: IpAddr) -> HostConfigError {
    let found = format!("{to}, a second default route beside the gateway {gateway}");
    let expected = "networks other than that: gateway and gateways have the default routes";
    HostConfigError::Invalid { field: format!("{field}.to"), found, expected }
}

/// Warns of a router that is not in any network of the machine.
fn warn_of_distance(field: &str, router: IpAddr, addresses: &[Cidr], warnings: &mut Vec<String>) {
    if matches!(router, IpAddr::V6(v6) if v6.is_unicast_link_local())
        || addresses.iter().any(|address| address.contains(router))
    {
        return;
    }
    match addresses {
        [only] => warnings.push(format!(
            "{field}: {router} is not in the network of {only}: it is taken to be on the link itself"
        )),
        _ => warnings.push(format!(
            "{field}: {router} is in none of the networks of the machine's addresses: it is taken to \
             be on the link itself"
        )),
    }
}

/// `routes`, which are part of a static configuration.
pub(crate) fn routes(
    object: &mut Object,
    addressing: &Addressing,
    warnings: &mut Vec<String>,
) -> Result<Vec<Route>, HostConfigError> {
    let entries = optional_entries(object, "routes", EXPECTED_ROUTES, MAX_ROUTES, warnings)?;
    let mut routes: Vec<Route> = Vec::new();
    for (field, value) in entries.into_iter().flatten() {
        let route = nested(&field, value, EXPECTED_ROUTES, warnings, read_route)?;
        if routes.iter().any(|known| known.to == route.to) {
            warnings.push(format!("{field}.to: there is a route to {} already", route.to));
            continue;
        }
        if let Addressing::Static(own) = addressing {
            let to = route.to.address();
            if !has_family(&own.addresses, to) {
                return Err(no_family(format!("{field}.to"), to));
            }
            if route.to.prefix_len() == 0 {
                let same = |gateway: &&IpAddr| gateway.is_ipv4() == to.is_ipv4();
                match own.gateways.iter().find(same) {
                    None => {
                        warnings.push(format!("{field}.to: a default route belongs in gateways"))
                    }
                    Some(gateway) if route.via == Some(*gateway) => {
                        warnings.push(format!(
                            "{field}.to: {gateway} is the gateway already; this one is ignored"
                        ));
                        continue;
                    }
                    // One of the two would count for nothing, and nobody would see which.
                    Some(gateway) => return Err(second_default(field, route.to, *gateway)),
                }
            }
            if let Some(via) = route.via {
                warn_of_distance(&format!("{field}.via"), via, &own.addresses, warnings);
            }
        }
        routes.push(route);
    }
    if !routes.is_empty() && !matches!(addressing, Addressing::Static(_)) {
        warnings.push(
            "routes: ignored, because network_mode is not \"static\": routes come with the address"
                .to_owned(),
        );
        routes.clear();
    }
    Ok(routes)
}

fn read_route(object: &mut Object, warnings: &mut Vec<String>) -> Result<Route, HostConfigError> {
    const EXPECTED: &str = "a network such as \"198.51.100.0/24\"";

    let written = optional_parsed(object, "to", EXPECTED, |text| text.parse::<Cidr>().ok())?
        .ok_or_else(|| invalid("to", None, EXPECTED))?;
    let via = optional_parsed(object, "via", EXPECTED_GATEWAY, parse_ip)?;
    if let Some(via) = via.filter(|via| via.is_ipv4() != written.address().is_ipv4()) {
        let found = format!("{via}, which is of another family than {written}");
        let (field, expected) = ("via".to_owned(), EXPECTED_GATEWAY);
        return Err(HostConfigError::Invalid { field, found, expected });
    }
    let to = written.network();
    if to != written {
        warnings.push(format!("to: {written} is taken for its network, {to}"));
    }
    Ok(Route { to, via })
}

/// `mtu`, in bytes.
pub(crate) fn mtu(
    object: &mut Object,
    addressing: &Addressing,
    warnings: &mut Vec<String>,
) -> Result<Option<u16>, HostConfigError> {
    const EXPECTED: &str = "the length of the longest packet in bytes, 68 to 65535";

    let mtu = optional_number(object, "mtu", EXPECTED, 68..=u16::MAX)?;
    let has_ipv6 = match addressing {
        Addressing::Static(own) => own.addresses.iter().any(|own| own.address().is_ipv6()),
        Addressing::Auto => true,
        Addressing::Dhcp => false,
    };
    match mtu {
        Some(mtu) if mtu > USUAL_MTU => {
            warnings.push(format!("mtu: {mtu} is more than most interfaces take ({USUAL_MTU})"));
        }
        Some(mtu) if mtu < IPV6_MTU && has_ipv6 => {
            warnings.push(format!("mtu: IPv6 does not work with less than {IPV6_MTU}"));
        }
        _ => {}
    }
    Ok(mtu)
}

/// `vlan`, the number of the tag.
pub(crate) fn vlan(object: &mut Object) -> Result<Option<u16>, HostConfigError> {
    optional_number(object, "vlan", "the number of a VLAN, 1 to 4094", 1..=4094)
}
