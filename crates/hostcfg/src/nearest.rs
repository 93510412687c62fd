//! What the author of an unknown key probably meant.

/// A key is nearly another if as many characters at most differ.
const NEAR: usize = 3;

/// All keys of all places, which messages may name. Others may be anything: the name of a header can
/// be a mistaken value.
pub(crate) const KNOWN_KEYS: [&str; 48] = [
    "addresses",
    "authentication",
    "bond_name",
    "bond_options",
    "bonding",
    "bonding_mode",
    "client_certificate",
    "client_key",
    "description",
    "direct",
    "dns",
    "dns_search",
    "downdelay",
    "driver",
    "gateway",
    "gateways",
    "headers",
    "host_ip",
    "identity",
    "interface_name",
    "lacp_rate",
    "level",
    "mac_address",
    "miimon",
    "min_links",
    "mirrors",
    "mtu",
    "network_interface",
    "network_interfaces",
    "network_mode",
    "no_proxy",
    "ntp",
    "ospkg_pointer",
    "pci_path",
    "primary",
    "priority",
    "provisioning_urls",
    "proxy",
    "remote_log",
    "routes",
    "timestamp",
    "to",
    "updelay",
    "url",
    "version",
    "via",
    "vlan",
    "xmit_hash_policy",
];

/// The known key that is most like `key`, if one is like it at all.
pub(crate) fn nearest(
    key: &str,
    known: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    known
        .into_iter()
        .map(|known| (distance(key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= NEAR.min(known.len() / 2))
        .map(|(_, known)| known)
}

/// How many characters have to be changed, added or taken away to get from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.chars().enumerate() {
        let mut above_left = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (want, above) in to.iter().zip(row.iter().skip(1)) {
            left = (above_left + usize::from(have != *want)).min(left + 1).min(above + 1);
            above_left = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
