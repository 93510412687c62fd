//! What a configuration will make a machine do, in words.

use core::fmt::Display;

use crate::config::ServiceConfig;
use crate::config::Ssh;
use crate::config::Time;
use crate::config::TorRelay;
use crate::config::Vpn;

impl ServiceConfig {
    /// Sentences for the operator who is about to send it. They hold no secret.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = vec![format!("The machine will be called {}.", self.hostname())];
        match self {
            Self::Vpn(vpn) => explain_vpn(vpn, &mut sentences),
            Self::TorRelay(relay) => explain_relay(relay, &mut sentences),
        }
        sentences.push(explain_time(self.time()));
        sentences.push(explain_ssh(self.ssh()));
        sentences.push(
            "All of this is kept in memory alone: a restart forgets it, and the machine waits for staff again."
                .to_owned(),
        );
        sentences
    }
}

fn explain_vpn(vpn: &Vpn, sentences: &mut Vec<String>) {
    let tunnel = &vpn.wireguard;
    sentences.push(format!(
        "It takes WireGuard clients on UDP port {}, with the public key {}.",
        tunnel.listen_port,
        tunnel.public_key().unwrap_or_default()
    ));
    sentences.push(format!(
        "In the tunnel (MTU {}) it has the addresses {}.",
        tunnel.mtu,
        list(&tunnel.addresses)
    ));
    let secured = tunnel.peers.iter().filter(|peer| peer.preshared_key.is_some()).count();
    sentences.push(match tunnel.peers.len() {
        0 => "Nobody can connect: the list of peers is empty.".to_owned(),
        number => format!(
            "{} may connect, {secured} of them with a preshared key.",
            count(number, "client")
        ),
    });
    let outside = tunnel
        .peers
        .iter()
        .flat_map(|peer| &peer.allowed_ips)
        .filter(|network| {
            !tunnel.addresses.iter().any(|own| {
                own.contains(network.address()) && own.prefix_len() <= network.prefix_len()
            })
        })
        .count();
    if outside > 0 {
        sentences.push(format!(
            "Outside the networks of the server's own addresses: {} of them. Is that meant?",
            count(outside, "network")
        ));
    }
    sentences.push(if vpn.dns.forward_to.is_empty() {
        "It resolves names for its clients by itself, from the root servers down.".to_owned()
    } else {
        format!("It resolves names for its clients by asking {}.", list(&vpn.dns.forward_to))
    });
}

fn explain_relay(relay: &TorRelay, sentences: &mut Vec<String>) {
    let tor = &relay.tor;
    let kind = if tor.exit {
        "an exit: traffic of strangers leaves the Tor network here"
    } else {
        "no exit"
    };
    sentences.push(format!(
        "It is the Tor relay {} on TCP port {}, {kind}. Its public contact is {}.",
        tor.nickname, tor.or_port, tor.contact
    ));
    sentences.push(match tor.bandwidth_mbit {
        None => "It uses as much of the line as it can.".to_owned(),
        Some(limit) => format!("It uses at most {limit} Mbit/s."),
    });
    sentences.push(if tor.keys.ed25519_master_id_secret_key.is_some() {
        "It gets the relay's master key; that is safer offline, with a signing key in its place."
            .to_owned()
    } else {
        "It gets a signing key only; the master key stays with you. Renew it before it ends."
            .to_owned()
    });
    if !tor.torrc.is_empty() {
        sentences.push(format!("Its torrc gets {} more.", count(tor.torrc.len(), "line")));
    }
}

fn explain_time(time: Option<&Time>) -> String {
    match time {
        None => "It keeps the time as its package was built to.".to_owned(),
        Some(time) if time.nts => {
            format!("It keeps the time by {}, authenticated (NTS).", time.servers.join(", "))
        }
        Some(time) => format!("It keeps the time by {}, unauthenticated.", time.servers.join(", ")),
    }
}

fn explain_ssh(ssh: Option<&Ssh>) -> String {
    match ssh {
        None => "Nobody can log in.".to_owned(),
        Some(ssh) => format!(
            "Holders of {} can log in as root on TCP port {}, from {}.",
            count(ssh.authorized_keys.len(), "SSH key"),
            ssh.port,
            list(&ssh.allow_from)
        ),
    }
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
