//! The configuration of unbound.

use core::fmt::Write;

use provision::config::Dns;
use provision::config::Wireguard;

use super::Network;

/// Addresses that no answer from outside may hold: a name on the Internet must not lead a client's
/// browser into its own network (DNS rebinding).
const PRIVATE: [&str; 11] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "::ffff:0:0/96",
];

/// What never changes. No log of any kind, nothing said about itself, nothing written.
const FIXED: &str = "\
server:
  username: \"unbound\"
  chroot: \"\"
  directory: \"/run/ramstrap\"
  pidfile: \"\"
  do-daemonize: no
  use-syslog: no
  logfile: \"/dev/null\"
  verbosity: 0
  log-queries: no
  log-replies: no
  log-servfail: no
  log-local-actions: no
  val-log-level: 0
  statistics-interval: 0
  extended-statistics: no
  hide-identity: yes
  hide-version: yes
  hide-trustanchor: yes
  minimal-responses: yes
  qname-minimisation: yes
  aggressive-nsec: yes
  harden-glue: yes
  harden-dnssec-stripped: yes
  harden-below-nxdomain: yes
  harden-algo-downgrade: yes
  harden-referral-path: no
  use-caps-for-id: no
  deny-any: yes
  unwanted-reply-threshold: 10000000
  prefetch: yes
  prefer-ip4: yes
  num-threads: 1
  so-reuseport: no
  ip-freebind: yes
  edns-buffer-size: 1232
  msg-cache-size: 16m
  rrset-cache-size: 32m
  key-cache-size: 8m
  neg-cache-size: 2m
  outgoing-range: 512
  num-queries-per-thread: 1024
  ratelimit: 0
  ip-ratelimit: 0
";

/// A resolver for the clients of the tunnel, on the server's addresses in it and nowhere else.
/// `trust_anchor` names the file of the root's keys, if the package has one.
#[must_use]
pub fn unbound(dns: &Dns, tunnel: &Wireguard, trust_anchor: Option<&str>) -> String {
    let mut text = FIXED.to_owned();
    // Writing to a String cannot fail.
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "  {key}: {value}");
    };
    for address in &tunnel.addresses {
        line("interface", &address.address().to_string());
    }
    line("access-control", "0.0.0.0/0 refuse");
    line("access-control", "::/0 refuse");
    let clients = tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips);
    for client in Network::all_of(clients.chain(&tunnel.addresses)) {
        line("access-control", &format!("{client} allow"));
    }
    for network in PRIVATE {
        line("private-address", network);
    }
    if dns.forward_to.is_empty() {
        line("module-config", "\"validator iterator\"");
        if let Some(file) = trust_anchor {
            line("trust-anchor-file", &format!("\"{file}\""));
        }
    } else {
        // Whoever is asked validates, or not: it may be a resolver that knows no DNSSEC.
        line("module-config", "\"iterator\"");
        text.push_str("forward-zone:\n  name: \".\"\n");
        for server in &dns.forward_to {
            let _ = writeln!(text, "  forward-addr: {server}");
        }
    }
    text.push_str("remote-control:\n  control-enable: no\n");
    text
}
