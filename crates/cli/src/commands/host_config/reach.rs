//! What a machine with addresses of its own can never reach, and URLs that were meant to be several.

use core::net::IpAddr;

use hostcfg::Addressing;
use hostcfg::HostConfig;
use hostcfg::Mirror;

/// What begins a second URL inside of one, in lower case.
const SECOND_URL: [&str; 3] = [",http", ";http", "%20http"];

/// Warnings of a configuration as a whole. Holds no secret.
pub(super) fn warnings(config: &HostConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    for Mirror { url, .. } in &config.mirrors {
        let text = url.url_without_userinfo().as_str().to_ascii_lowercase();
        if SECOND_URL.iter().any(|start| text.contains(start)) {
            warnings.push(format!(
                "{url} is taken for one URL, with all that stands behind its comma, semicolon or \
                 blank: give each URL a mirror, or a ramstrap.url, of its own"
            ));
        }
    }
    let mut judge = |what: &str, host: &str| {
        if let Some(why) = no_route(config, host) {
            warnings.push(format!("{what} is out of reach: {why}"));
        }
    };
    for server in &config.dns {
        judge(&format!("dns: {server}"), &server.to_string());
    }
    for server in &config.ntp {
        judge(&format!("ntp: {server}"), server);
    }
    if let Some(proxy) = &config.proxy {
        judge(&format!("proxy: {proxy}"), &proxy.host);
    }
    for mirror in config.mirrors.iter().filter(|mirror| !by_proxy(config, mirror)) {
        judge(&mirror.url.to_string(), host(mirror));
    }
    if let Some(log) = &config.remote_log {
        judge(&format!("remote_log: {}", log.target), log.target.host());
    }
    warnings
}

/// The host that is asked for what a mirror has: its own, or the proxy.
pub(super) fn asked<'a>(config: &'a HostConfig, mirror: &'a Mirror) -> &'a str {
    match &config.proxy {
        Some(proxy) if by_proxy(config, mirror) => &proxy.host,
        _ => host(mirror),
    }
}

/// Why this name or address can never be reached, if that is certain.
pub(super) fn problem(config: &HostConfig, host: &str) -> Option<String> {
    let no_names = matches!(config.network, Addressing::Static(_)) && config.dns.is_empty();
    if no_names && address(host).is_none() {
        return Some("there is no DNS server".to_owned());
    }
    no_route(config, host)
}

fn by_proxy(config: &HostConfig, mirror: &Mirror) -> bool {
    config.proxy.is_some() && !mirror.direct && !config.no_proxy.matches(host(mirror))
}

fn host(mirror: &Mirror) -> &str {
    mirror.url.url_without_userinfo().host_str().unwrap_or_default()
}

fn address(host: &str) -> Option<IpAddr> {
    let plain = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    plain.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Why no packet to this address leaves the machine. A name may be anywhere, and so may everything
/// where the network says what the machine's addresses are.
fn no_route(config: &HostConfig, host: &str) -> Option<String> {
    let Addressing::Static(own) = &config.network else { return None };
    let ip = address(host)?;
    if matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return None;
    }
    let is_same = |other: IpAddr| other.is_ipv4() == ip.is_ipv4();
    if !own.addresses.iter().any(|own| is_same(own.address())) {
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        return Some(format!("the machine has no {family} address"));
    }
    let has_way = own.gateways.iter().any(|gateway| is_same(*gateway))
        || own.addresses.iter().any(|own| own.contains(ip))
        || config.routes.iter().any(|route| route.to.contains(ip));
    (!has_way).then(|| "there is neither a gateway nor a route to it".to_owned())
}

#[cfg(test)]
mod tests {
    use hostcfg::HostConfig;
    use serde_json::Value;
    use serde_json::json;

    use super::warnings;

    fn of(more: Value) -> Vec<String> {
        let mut document = json!({"network_mode": "static", "host_ip": "192.0.2.7/24",
            "gateways": [], "ospkg_pointer": "https://192.0.2.80/os.json"});
        for (key, value) in more.as_object().unwrap() {
            document[key] = value.clone();
        }
        warnings(&HostConfig::parse(document.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn what_no_packet_can_reach_is_warned_of() {
        assert_eq!(of(json!({})), [""; 0]);
        for (more, warning) in [
            (
                json!({"dns": ["2001:db8::53"]}),
                "dns: 2001:db8::53 is out of reach: the machine has no IPv6 address",
            ),
            (
                json!({"ospkg_pointer": "https://[2001:db8::1]/os.json"}),
                "https://[2001:db8::1]/os.json is out of reach: the machine has no IPv6 address",
            ),
            (
                json!({"ospkg_pointer": "https://198.51.100.5/os.json"}),
                "https://198.51.100.5/os.json is out of reach: there is neither a gateway nor a \
                 route to it",
            ),
            (
                json!({"remote_log": {"url": "syslog+udp://198.51.100.9"}}),
                "remote_log: syslog+udp://198.51.100.9:514 is out of reach: there is neither a \
                 gateway nor a route to it",
            ),
            (
                json!({"proxy": "http://198.51.100.9:3128"}),
                "proxy: http://198.51.100.9:3128 is out of reach: there is neither a gateway nor a \
                 route to it",
            ),
            (
                json!({"ntp": ["198.51.100.9"]}),
                "ntp: 198.51.100.9 is out of reach: there is neither a gateway nor a route to it",
            ),
        ] {
            assert_eq!(of(more), [warning]);
        }
    }

    #[test]
    fn what_may_be_reached_is_not() {
        for more in [
            json!({"ospkg_pointer": "https://198.51.100.5/os.json", "gateways": ["192.0.2.1"]}),
            json!({"ospkg_pointer": "https://198.51.100.5/os.json",
                "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.1"}]}),
            json!({"ospkg_pointer": "https://198.51.100.5/os.json", "network_mode": "dhcp"}),
            json!({"ospkg_pointer": "https://198.51.100.5/os.json",
                "proxy": "http://192.0.2.9:3128"}),
            json!({"ospkg_pointer": "https://boot.example/os.json", "dns": ["192.0.2.53"]}),
            json!({"dns": ["fe80::53"]}),
        ] {
            assert_eq!(of(more), [""; 0]);
        }
    }

    #[test]
    fn several_urls_in_one_are_warned_of() {
        for text in [
            "https://192.0.2.80/a.json,https://192.0.2.81/a.json",
            "https://192.0.2.80/a.json;HTTPS://192.0.2.81/a.json",
            "https://192.0.2.80/a.json%20http://192.0.2.81/a.json",
        ] {
            let told = of(json!({"ospkg_pointer": null, "mirrors": [{"url": text}]}));
            assert!(matches!(&told[..], [one] if one.contains("taken for one URL")), "{told:?}");
        }
        let plain = json!({"mirrors": [{"url": "https://192.0.2.80/a,b;c.json"}]});
        assert_eq!(of(plain), [""; 0]);
    }
}
