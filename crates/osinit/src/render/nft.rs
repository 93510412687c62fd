//! The firewall of a machine that serves: one transaction for `nft -f -`.
//!
//! Everything is dropped but what is named, in all three directions. The whole ruleset is replaced at
//! once; connections that the old one allowed are known to the kernel and go on.

use core::fmt::Display;
use core::fmt::Write;
use core::net::Ipv4Addr;
use std::collections::BTreeSet;

use hostcfg::Cidr;
use provision::config::DnsServer;
use provision::config::ServiceConfig;
use provision::config::Ssh;
use provision::config::Time;
use provision::config::Tor;
use provision::config::Vpn;

use super::Network;

/// Users of the programs that may open connections.
const UNBOUND: u32 = 101;
const CHRONY: u32 = 102;
const TOR: u32 = 103;

/// What a firewall is for.
#[derive(Clone, Copy, Debug)]
pub enum Service<'a> {
    /// Clients of a tunnel.
    Vpn(&'a Vpn),
    /// A relay.
    Tor(&'a Tor),
}

/// Everything that the firewall depends on.
#[derive(Clone, Debug)]
pub struct Ruleset<'a> {
    /// The interface to the Internet.
    pub uplink: &'a str,
    /// Its IPv4 address, behind which clients appear; without one, nothing of theirs leaves. Not left
    /// to the kernel (`masquerade`), which passes over addresses of the scope that [`netup`] gives them,
    /// and drops the packet: see [`translation`] for another address.
    pub uplink_address: Option<Ipv4Addr>,
    /// The interface of the tunnel.
    pub tunnel: &'a str,
    /// TCP port of provisioning.
    pub provisioning_port: u16,
    /// TCP ports that upgrades are fetched from.
    pub fetch_ports: BTreeSet<u16>,
    /// What it is for.
    pub service: Service<'a>,
    /// Where staff logs in, if at all.
    pub ssh: Option<&'a Ssh>,
    /// Whether the clock is kept over the network.
    pub time: Option<&'a Time>,
}

impl<'a> Ruleset<'a> {
    /// The firewall for a configuration.
    #[must_use]
    pub fn new(
        config: &'a ServiceConfig,
        (uplink, uplink_address): (&'a str, Option<Ipv4Addr>),
        tunnel: &'a str,
        fetch_ports: BTreeSet<u16>,
    ) -> Self {
        let service = match config {
            ServiceConfig::Vpn(vpn) => Service::Vpn(vpn),
            ServiceConfig::TorRelay(relay) => Service::Tor(&relay.tor),
        };
        Self {
            uplink,
            uplink_address,
            tunnel,
            provisioning_port: provision::PORT,
            fetch_ports,
            service,
            ssh: config.ssh(),
            time: config.time(),
        }
    }

    /// The text for `nft -f -`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = Text(String::new());
        out.line("flush ruleset");
        out.line("table inet ramstrap {");
        self.sets(&mut out);
        self.guard(&mut out);
        self.input(&mut out);
        self.forward(&mut out);
        self.output(&mut out);
        self.nat(&mut out);
        out.line("}");
        out.0
    }

    fn vpn(&self) -> Option<&'a Vpn> {
        match self.service {
            Service::Vpn(vpn) => Some(vpn),
            Service::Tor(_) => None,
        }
    }

    fn sets(&self, out: &mut Text) {
        out.line(&format!(
            "set fetch_ports {{ type inet_service; {}}}",
            elements(&self.fetch_ports)
        ));
        let clients: Vec<&Cidr> = self
            .vpn()
            .into_iter()
            .flat_map(|vpn| vpn.wireguard.peers.iter().flat_map(|peer| &peer.allowed_ips))
            .collect();
        out.networks("clients", &Network::all_of(clients));
        out.networks("staff", &Network::all_of(self.ssh.iter().flat_map(|ssh| &ssh.allow_from)));
    }

    /// Before anything else looks at a packet: no forged senders.
    fn guard(&self, out: &mut Text) {
        let (uplink, tunnel) = (self.uplink, self.tunnel);
        out.chain("guard", "filter hook prerouting priority raw; policy accept");
        if self.vpn().is_some() {
            out.line(&format!("iifname \"{tunnel}\" ip saddr != @clients4 drop"));
            out.line(&format!("iifname \"{tunnel}\" ip6 saddr != @clients6 drop"));
            out.line(&format!("iifname \"{tunnel}\" return"));
        }
        for network in ["127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"] {
            out.line(&format!("iifname \"{uplink}\" ip saddr {network} drop"));
        }
        out.line(&format!("iifname \"{uplink}\" ip6 saddr ::1 drop"));
        // Who asks for an address has none yet.
        out.line("ip saddr 0.0.0.0 return");
        out.line("ip6 saddr :: return");
        // The way back must lead out where the packet came in.
        out.line(&format!("iifname \"{uplink}\" fib saddr . iif oif missing drop"));
        out.line("}");
    }

    fn input(&self, out: &mut Text) {
        let tunnel = self.tunnel;
        out.chain("input", "filter hook input priority filter; policy drop");
        out.line("iifname \"lo\" accept");
        out.line("ct state invalid drop");
        out.line("ct state established,related accept");
        out.line("udp sport 67 udp dport 68 accept");
        out.line("ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept");
        out.line("icmp type echo-request limit rate 20/second burst 40 packets accept");
        out.line("icmpv6 type echo-request limit rate 20/second burst 40 packets accept");
        out.line("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept");
        // Routers speak on their own link only, and no client of ours is one.
        out.line(&format!("iifname != \"{tunnel}\" ip6 saddr fe80::/10 icmpv6 type nd-router-advert ip6 hoplimit 255 accept"));
        out.line("icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept");
        match self.service {
            Service::Vpn(vpn) => {
                let port = vpn.wireguard.listen_port;
                out.line(&format!("iifname != \"{tunnel}\" udp dport {port} accept"));
                for address in vpn.wireguard.addresses.iter().map(Cidr::address) {
                    let family = if address.is_ipv4() { "ip" } else { "ip6" };
                    out.line(&format!(
                        "iifname \"{tunnel}\" {family} daddr {address} meta l4proto {{ tcp, udp }} th dport 53 accept"
                    ));
                }
            }
            Service::Tor(tor) => out.line(&format!("tcp dport {} accept", tor.or_port)),
        }
        if let Some(ssh) = self.ssh {
            let port = ssh.port;
            for (family, set) in [("ip", "staff4"), ("ip6", "staff6")] {
                out.line(&format!("tcp dport {port} {family} saddr @{set} ct state new limit rate 10/second burst 20 packets accept"));
            }
        }
        let port = self.provisioning_port;
        out.line(&format!("iifname != \"{tunnel}\" tcp dport {port} ct state new limit rate 20/second burst 40 packets accept"));
        out.line("}");
    }

    fn forward(&self, out: &mut Text) {
        let (uplink, tunnel) = (self.uplink, self.tunnel);
        out.chain("forward", "filter hook forward priority filter; policy drop");
        if self.vpn().is_some() {
            out.line("ct state invalid drop");
            // Packets that do not fit into the tunnel are often lost without a word.
            for direction in ["iifname", "oifname"] {
                out.line(&format!("{direction} \"{tunnel}\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"));
            }
            out.line(&format!("iifname \"{tunnel}\" oifname \"{tunnel}\" drop"));
            out.line(&format!(
                "iifname \"{uplink}\" oifname \"{tunnel}\" ct state established,related accept"
            ));
            out.line(&format!("iifname \"{tunnel}\" oifname \"{uplink}\" accept"));
        }
        out.line("}");
    }

    fn output(&self, out: &mut Text) {
        out.chain("output", "filter hook output priority filter; policy drop");
        out.line("oifname \"lo\" accept");
        out.line("ct state established,related accept");
        out.line("udp sport 68 udp dport 67 accept");
        out.line("udp sport 546 udp dport 547 accept");
        out.line("icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem } accept");
        out.line("icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept");
        out.line("icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } accept");
        let names = "meta l4proto { tcp, udp } th dport 53 accept";
        out.line(&format!("meta skuid 0 {names}"));
        out.line("meta skuid 0 tcp dport @fetch_ports accept");
        if self.time.is_some() {
            out.line(&format!("meta skuid {{ 0, {CHRONY} }} udp dport 123 accept"));
            out.line(&format!("meta skuid {{ 0, {CHRONY} }} tcp dport 4460 accept"));
            out.line(&format!("meta skuid {CHRONY} {names}"));
        }
        match self.service {
            Service::Vpn(vpn) => {
                // The kernel's own packets of the tunnel belong to no user.
                let port = vpn.wireguard.listen_port;
                out.line(&format!("oifname \"{}\" udp sport {port} accept", self.uplink));
                if vpn.dns.forward_to.is_empty() {
                    out.line(&format!("meta skuid {UNBOUND} {names}"));
                }
                for DnsServer { address, port } in &vpn.dns.forward_to {
                    let family = if address.is_ipv4() { "ip" } else { "ip6" };
                    out.line(&format!("meta skuid {UNBOUND} {family} daddr {address} meta l4proto {{ tcp, udp }} th dport {port} accept"));
                }
            }
            Service::Tor(_) => {
                out.line(&format!("meta skuid {TOR} meta l4proto tcp accept"));
                out.line(&format!("meta skuid {TOR} {names}"));
            }
        }
        out.line("}");
    }

    fn nat(&self, out: &mut Text) {
        if self.vpn().is_none() {
            return;
        }
        out.chain("nat", "nat hook postrouting priority srcnat; policy accept");
        for rule in translations(self.uplink, self.uplink_address) {
            out.line(&rule);
        }
        out.line("}");
    }
}

/// What a VPN server's ruleset needs when the address of the uplink has changed: for `nft -f -`.
#[must_use]
pub fn translation(uplink: &str, address: Option<Ipv4Addr>) -> String {
    let mut out = Text("flush chain inet ramstrap nat\n".to_owned());
    for rule in translations(uplink, address) {
        out.line(&format!("add rule inet ramstrap nat {rule}"));
    }
    out.0
}

/// How clients appear to others. The kernel finds the IPv6 address by itself.
fn translations(uplink: &str, address: Option<Ipv4Addr>) -> [String; 2] {
    let ipv4 = match address {
        Some(address) => format!("snat ip to {address} fully-random"),
        None => "drop".to_owned(),
    };
    [
        format!("oifname \"{uplink}\" ip saddr @clients4 {ipv4}"),
        format!("oifname \"{uplink}\" ip6 saddr @clients6 masquerade fully-random"),
    ]
}

/// A ruleset that grows line by line.
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn chain(&mut self, name: &str, hook: &str) {
        self.line(&format!("chain {name} {{"));
        self.line(&format!("type {hook};"));
    }

    /// Two sets, `NAME4` and `NAME6`.
    fn networks(&mut self, name: &str, networks: &[Network]) {
        for (suffix, kind, ipv4) in [("4", "ipv4_addr", true), ("6", "ipv6_addr", false)] {
            let of_family = networks.iter().filter(|network| network.is_ipv4() == ipv4);
            self.line(&format!(
                "set {name}{suffix} {{ type {kind}; flags interval; {}}}",
                elements(of_family)
            ));
        }
    }
}

fn elements<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() {
        String::new()
    } else {
        format!("elements = {{ {} }}; ", items.join(", "))
    }
}
