//! `dns`, `dns_search` and `ntp`.

use core::net::IpAddr;

use report::strict_json::Object;

use crate::address::parse_ip;
use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::optional_entries;
use crate::fields::parsed_list;
use crate::host::is_host;
use crate::host::is_host_name;

/// Most DNS servers.
const MAX_DNS_SERVERS: usize = 16;

/// Most domains that are searched.
const MAX_DOMAINS: usize = 16;

/// Most time servers.
const MAX_TIME_SERVERS: usize = 16;

/// Servers that names are looked up at.
pub(crate) fn dns(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Vec<IpAddr>, HostConfigError> {
    const EXPECTED: &str = "a list of at most 16 IP addresses such as [\"192.0.2.53\"]";

    let entries = optional_entries(object, "dns", EXPECTED, MAX_DNS_SERVERS, warnings)?;
    let mut servers = Vec::new();
    for (field, value) in entries.into_iter().flatten() {
        let server = value.as_str().and_then(parse_ip);
        let server =
            server.ok_or_else(|| invalid(field.as_str(), Some(&value), "an IP address"))?;
        if server.is_loopback() || server.is_unspecified() || server.is_multicast() {
            warnings.push(format!("{field}: {server} can be the address of no DNS server"));
        }
        servers.push(server);
    }
    Ok(servers)
}

/// Domains that names without dots are looked up in.
pub(crate) fn dns_search(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Vec<String>, HostConfigError> {
    const EXPECTED: &str = "a list of at most 16 domain names such as [\"example.net\"]";

    let domains = parsed_list(object, "dns_search", EXPECTED, MAX_DOMAINS, warnings, |text| {
        is_host_name(text).then(|| text.trim_end_matches('.').to_ascii_lowercase())
    })?;
    Ok(without_repetitions("dns_search", domains, warnings))
}

/// Time servers.
pub(crate) fn ntp(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Vec<String>, HostConfigError> {
    const EXPECTED: &str =
        "a list of at most 16 host names or IP addresses such as [\"time.example.net\"]";

    let servers = parsed_list(object, "ntp", EXPECTED, MAX_TIME_SERVERS, warnings, |text| {
        is_host(text).then(|| text.to_ascii_lowercase())
    })?;
    Ok(without_repetitions("ntp", servers, warnings))
}

fn without_repetitions(
    field: &str,
    entries: Option<Vec<String>>,
    warnings: &mut Vec<String>,
) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for entry in entries.into_iter().flatten() {
        if once.contains(&entry) {
            warnings.push(format!("{field}: {entry} is there more than once"));
        } else {
            once.push(entry);
        }
    }
    once
}
