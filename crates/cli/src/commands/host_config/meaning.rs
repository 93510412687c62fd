//! What a machine does with a host configuration, in words.

use hostcfg::Addressing;
use hostcfg::BondMode;
use hostcfg::BondOptions;
use hostcfg::Bonding;
use hostcfg::HostConfig;
use hostcfg::InterfaceSelector;
use hostcfg::Mirror;
use hostcfg::StaticAddressing;

use super::identity;
use super::reach;

/// One sentence for each thing that it does, in the order in which it does them. Holds no secret.
pub(super) fn sentences(config: &HostConfig) -> Vec<String> {
    let mut sentences = Vec::new();
    match &config.package {
        Some(name) if name.is_provision() => {
            return vec![format!("Boots {name} of the boot image, without any network.")];
        }
        Some(name) => sentences.push(format!(
            "Boots {name} of the boot image, without any network, if the trust policy there has \
             ospkg_fetch_method \"initramfs\"; else:"
        )),
        None => {}
    }
    sentences.push(link(config));
    if let Some(vlan) = config.vlan {
        let carrier = match &config.bonding {
            Some(bonding) => format!("on {}", bonding.name),
            None => "on the interface".to_owned(),
        };
        sentences.push(format!("Tags all packets {carrier} with VLAN {vlan}."));
    }
    if let Some(mtu) = config.mtu {
        sentences.push(format!("Sends packets of at most {mtu} bytes."));
    }
    addressing(config, &mut sentences);
    names(config, &mut sentences);
    if !config.ntp.is_empty() {
        sentences.push(format!("Asks the time of {}.", enumerated(&config.ntp, "or")));
    }
    mirrors(config, &mut sentences);
    if let Some(log) = &config.remote_log {
        let (level, target) = (log.level.name(), &log.target);
        let and_graver = if level == "error" { "" } else { " and what is graver" };
        let problem = reach::problem(config, target.host());
        let problem = problem.map_or(String::new(), |why| format!(" (out of reach: {why})"));
        sentences.push(format!("Sends its log ({level}{and_graver}) to {target}{problem}."));
    }
    sentences
}

fn link(config: &HostConfig) -> String {
    let interfaces: Vec<String> = config.interfaces.iter().map(selector).collect();
    let waits = if interfaces.is_empty() {
        "Waits for a carrier on every Ethernet interface".to_owned()
    } else {
        format!("Waits for a carrier on {}", enumerated(&interfaces, "and"))
    };
    match &config.bonding {
        Some(bonding) => format!("{waits}, and makes the bond {} of them.", bond(bonding)),
        None if interfaces.len() == 1 => format!("{waits}."),
        None => {
            format!(
                "{waits}, and works on all of them side by side: the first that leads to a mirror is used."
            )
        }
    }
}

fn bond(bonding: &Bonding) -> String {
    let Bonding { mode, name, options } = bonding;
    let BondOptions { miimon, updelay, downdelay, lacp_rate, xmit_hash_policy, min_links, primary } =
        options;
    let how = match mode {
        BondMode::BalanceRr => "one member after the other",
        BondMode::ActiveBackup => "one member at a time",
        BondMode::BalanceXor => "a member for each peer",
        BondMode::Broadcast => "everything on every member",
        BondMode::Ieee8023ad => "LACP",
        BondMode::BalanceTlb => "outgoing packets by load",
        BondMode::BalanceAlb => "packets of both directions by load",
    };
    let mut facts = vec![format!("{mode}: {how}")];
    // What has no meaning with the mode is warned of; it is nothing that the machine does.
    if let Some(primary) = primary.as_ref().filter(|_| mode.has_primary()) {
        facts.push(format!("{primary} whenever it has a link"));
    }
    if let Some(rate) = lacp_rate.filter(|_| mode.speaks_lacp()) {
        facts.push(format!("the partner sends at the {rate} rate"));
    }
    if let Some(policy) = xmit_hash_policy.filter(|_| mode.hashes()) {
        facts.push(format!("members chosen by {policy}"));
    }
    if let Some(links) = min_links.filter(|links| *links > 1 && mode.speaks_lacp()) {
        facts.push(format!("at least {links} active links"));
    }
    match miimon {
        Some(0) => facts.push("links never looked at".to_owned()),
        Some(interval) => facts.push(format!("links looked at every {interval} ms")),
        None => {}
    }
    for (delay, what) in [(updelay, "up"), (downdelay, "down")] {
        if let Some(delay) = delay.filter(|delay| *delay > 0) {
            facts.push(format!("{what} after {delay} ms"));
        }
    }
    format!("{name} ({})", facts.join(", "))
}

fn addressing(config: &HostConfig, sentences: &mut Vec<String>) {
    match &config.network {
        Addressing::Dhcp => sentences.push("Gets its address by DHCPv4.".to_owned()),
        Addressing::Auto => sentences.push(
            "Gets its addresses by DHCPv4, DHCPv6 and router advertisements, whichever the network \
             has, side by side."
                .to_owned(),
        ),
        Addressing::Static(StaticAddressing { addresses, gateways }) => {
            let noun = if addresses.len() == 1 { "the address" } else { "the addresses" };
            let gateways = match gateways.as_slice() {
                [] => "no gateway".to_owned(),
                [only] => format!("the gateway {only}"),
                both => format!("the gateways {}", enumerated(both, "and")),
            };
            sentences.push(format!("Has {noun} {} and {gateways}.", enumerated(addresses, "and")));
        }
    }
    if !config.routes.is_empty() {
        let routes: Vec<String> = config
            .routes
            .iter()
            .map(|route| match route.via {
                Some(via) => format!("{} by {via}", route.to),
                None => format!("{} on the link itself", route.to),
            })
            .collect();
        sentences.push(format!("Reaches {}.", enumerated(&routes, "and")));
    }
}

fn names(config: &HostConfig, sentences: &mut Vec<String>) {
    let domains = match config.dns_search.as_slice() {
        [] => String::new(),
        domains => format!("; those without dots in {}", enumerated(domains, "or")),
    };
    if !config.dns.is_empty() {
        let servers = enumerated(&config.dns, "or");
        sentences.push(format!("Looks names up at {servers}{domains}."));
    } else if matches!(config.network, Addressing::Static(_)) {
        sentences.push("Has no DNS server: it can reach addresses, but no names.".to_owned());
    } else {
        sentences.push(format!("Looks names up where the network says{domains}."));
    }
}

fn mirrors(config: &HostConfig, sentences: &mut Vec<String>) {
    if let Some(proxy) = &config.proxy {
        let except = match config.no_proxy.to_string() {
            none if none.is_empty() => String::new(),
            hosts => format!(", other than {hosts}"),
        };
        sentences.push(format!("Asks servers through the proxy {proxy}{except}."));
    }
    match config.mirrors.as_slice() {
        [] => sentences.push("Has no mirror to fetch an OS package from.".to_owned()),
        [only] => sentences.push(format!("Fetches {}.", mirror(config, only))),
        mirrors => {
            sentences.push(format!("Then tries {} mirrors in this order:", mirrors.len()));
            for (index, one) in mirrors.iter().enumerate() {
                sentences.push(format!("  {}. {}", index + 1, mirror(config, one)));
            }
        }
    }
}

fn mirror(config: &HostConfig, mirror: &Mirror) -> String {
    let Mirror { url, priority: _, headers, client_identity, direct } = mirror;
    let mut facts = Vec::new();
    if url.credentials().is_some() {
        facts.push("with user name and password".to_owned());
    }
    if !headers.is_empty() {
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let noun = if headers.len() == 1 { "header" } else { "headers" };
        facts.push(format!("with the {noun} {}", enumerated(&names, "and")));
    }
    match client_identity.as_ref().map(|it| identity::problem(it).filter(|_| url.is_https())) {
        Some(None) => facts.push("with a client certificate".to_owned()),
        Some(Some(_)) => facts.push("never asked: it has no usable client certificate".to_owned()),
        None => {}
    }
    let host = url.url_without_userinfo().host_str().unwrap_or_default();
    if config.proxy.is_some() && (*direct || config.no_proxy.matches(host)) {
        facts.push("without the proxy".to_owned());
    }
    if let Some(why) = reach::problem(config, reach::asked(config, mirror)) {
        facts.push(format!("out of reach: {why}"));
    }
    if facts.is_empty() { url.to_string() } else { format!("{url} ({})", facts.join(", ")) }
}

fn selector(interface: &InterfaceSelector) -> String {
    let InterfaceSelector { name, mac, pci_path, driver } = interface;
    if let Some(mac) = mac {
        return format!("the interface with address {mac}");
    }
    let mut words = match name {
        Some(name) => name.clone(),
        None if pci_path.is_none() => "every interface".to_owned(),
        None => "the interface".to_owned(),
    };
    if let Some(path) = pci_path {
        words.push_str(&format!(" at PCI {path}"));
    }
    if let Some(driver) = driver {
        words.push_str(&format!(" of the driver {driver}"));
    }
    words
}

/// `a`, `a and b`, `a, b and c`.
fn enumerated(items: &[impl ToString], conjunction: &str) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} {conjunction} {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use hostcfg::HostConfig;

    use super::sentences;

    fn meaning(json: &str) -> String {
        sentences(&HostConfig::parse(json.as_bytes()).unwrap()).join("\n")
    }

    #[test]
    fn everything_is_told_in_its_order() {
        let text = meaning(
            r#"{"network_mode": "static", "addresses": ["192.0.2.7/24", "2001:db8::7/64"],
            "gateway": "192.0.2.1", "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.2"}],
            "mtu": 9000, "vlan": 100, "dns": ["192.0.2.53"], "dns_search": ["example.net"],
            "ntp": ["192.0.2.1", "time.example"],
            "network_interfaces": [{"interface_name": "eth0"}, {"pci_path": "0000:00:03.0"}],
            "bonding_mode": "802.3ad", "bond_name": "bond0",
            "bond_options": {"lacp_rate": "slow", "min_links": 2},
            "mirrors": [
                {"url": "https://b.example/os.json", "priority": 20, "headers": {"X-Token": "canary"}},
                {"url": "https://user:canary@a.example/os.json", "priority": 10, "direct": true}],
            "proxy": "http://user:canary@proxy.example:3128", "no_proxy": [".example.org"],
            "remote_log": {"url": "syslog+udp://192.0.2.9"}}"#,
        );
        assert_eq!(
            text,
            "Waits for a carrier on eth0 and the interface at PCI 0000:00:03.0, and makes the bond \
             bond0 (802.3ad: LACP, the partner sends at the slow rate, at least 2 active links) of \
             them.\n\
             Tags all packets on bond0 with VLAN 100.\n\
             Sends packets of at most 9000 bytes.\n\
             Has the addresses 192.0.2.7/24 and 2001:db8::7/64 and the gateway 192.0.2.1.\n\
             Reaches 10.0.0.0/8 by 192.0.2.2.\n\
             Looks names up at 192.0.2.53; those without dots in example.net.\n\
             Asks the time of 192.0.2.1 or time.example.\n\
             Asks servers through the proxy http://***@proxy.example:3128, other than .example.org.\n\
             Then tries 2 mirrors in this order:\n  \
             1. https://***@a.example/os.json (with user name and password, without the proxy)\n  \
             2. https://b.example/os.json (with the header X-Token)\n\
             Sends its log (info and what is graver) to syslog+udp://192.0.2.9:514."
        );
    }

    #[test]
    fn an_interface_that_is_there_twice_is_told_once() {
        let text = meaning(
            r#"{"network_mode": "dhcp", "ospkg_pointer": "https://a.example/x",
            "network_interfaces": [{"interface_name": "eth0"}, {"interface_name": "eth0"}],
            "bonding_mode": "802.3ad", "bond_name": "bond0"}"#,
        );
        assert!(text.starts_with("Waits for a carrier on eth0, and makes"), "{text}");
    }

    #[test]
    fn what_has_no_meaning_with_the_mode_is_not_told() {
        let text = |mode: &str| {
            meaning(&format!(
                r#"{{"network_mode": "dhcp", "ospkg_pointer": "https://a.example/x",
                "network_interfaces": [{{"interface_name": "eth0"}}, {{"interface_name": "eth1"}}],
                "bonding_mode": "{mode}", "bond_name": "bond0", "bond_options": {{"miimon": 0,
                "lacp_rate": "slow", "min_links": 2, "xmit_hash_policy": "layer2",
                "primary": "eth0"}}}}"#
            ))
        };
        let (plain, lacp, backup) = (text("balance-rr"), text("802.3ad"), text("active-backup"));
        assert!(
            plain.contains("(balance-rr: one member after the other, links never looked at)"),
            "{plain}"
        );
        assert!(lacp.contains("the slow rate") && !lacp.contains("whenever"), "{lacp}");
        assert!(backup.contains("eth0 whenever") && !backup.contains("layer2"), "{backup}");
    }

    #[test]
    fn what_is_not_said_is_told_too() {
        let text = meaning(r#"{"network_mode": "auto", "ospkg_pointer": "https://a.example/x"}"#);
        for part in [
            "every Ethernet interface",
            "side by side",
            "DHCPv4, DHCPv6 and router advertisements",
            "where the network says",
            "Fetches https://a.example/x.",
        ] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        let text = meaning(
            r#"{"network_mode": "static", "host_ip": "192.0.2.7/24", "gateways": [],
            "ospkg_pointer": "os.json", "network_interfaces": [{"driver": "virtio_net"}]}"#,
        );
        for part in ["no gateway", "no DNS server", "no mirror", "of the driver virtio_net"] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    }
}
