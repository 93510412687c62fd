//! Which names are asked for, and which addresses are taken.

use core::net::IpAddr;

use hickory_proto::rr::Name;

use super::DnsError;

/// More search domains than this are not tried.
const MAX_SEARCH: usize = 6;

/// Without the dot at its end.
pub(super) fn shown(name: &Name) -> String {
    let mut text = name.to_string();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// The names to ask for, in their order: a name without a dot within the search domains first, any
/// other as it is first. A dot at the end stands for "as it is, and nothing else".
pub(super) fn candidates(host: &str, search: &[String]) -> Result<Vec<Name>, DnsError> {
    let absolute = |text: &str| {
        let mut name = Name::from_ascii(text)
            .map_err(|error| DnsError(format!("{host} is not a host name: {error}")))?;
        name.set_fqdn(true);
        Ok(name)
    };
    let alone = absolute(host)?;
    if host.ends_with('.') {
        return Ok(vec![alone]);
    }
    // A domain that makes the name too long is none that it can be in.
    let mut names: Vec<Name> = search
        .iter()
        .take(MAX_SEARCH)
        .filter_map(|domain| absolute(&format!("{host}.{}", domain.trim_matches('.'))).ok())
        .collect();
    if host.contains('.') {
        names.insert(0, alone);
    } else {
        names.push(alone);
    }
    Ok(names)
}

/// Whether a server behind this interface may have this address. Without an interface, it may be a
/// server on this very machine.
pub(super) fn may_be_server(address: &IpAddr, interface: Option<&str>) -> bool {
    let local = matches!(interface, None | Some("lo"));
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            // 0.0.0.0/8 and 240.0.0.0/4, broadcast among the latter, are nobody's.
            first != 0
                && first < 240
                && !address.is_multicast()
                && !address.is_link_local()
                && (local || !address.is_loopback())
        }
        IpAddr::V6(address) => {
            !address.is_unspecified()
                && !address.is_multicast()
                // Without its link, which DNS cannot tell, it is no address.
                && !address.is_unicast_link_local()
                && (local || !address.is_loopback())
        }
    }
}
