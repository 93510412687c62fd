//! The configuration of a WireGuard server.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use hostcfg::Cidr;
use serde::Serialize;
use serde_json::Value;

use crate::config::Dns;
use crate::config::Fields;
use crate::config::Problems;
use crate::config::Secret;
use crate::config::Ssh;
use crate::config::Time;
use crate::config::hostname;
use crate::config::network::interface_address;
use crate::config::network::network;
use crate::wireguard;

const MAX_ADDRESSES: usize = 16;
const MAX_PEERS: usize = 10_000;
const MAX_ALLOWED_IPS: usize = 64;
const DEFAULT_MTU: u16 = 1420;
const KEY: &str = "a WireGuard key: 44 characters of base64, as `wg genkey` makes them";
const SECRET_KEY: &str =
    "not a WireGuard key; expected 44 characters of base64, as `wg genkey` makes them";

/// A WireGuard server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Vpn {
    /// Its name.
    pub hostname: String,
    /// The tunnel.
    pub wireguard: Wireguard,
    /// Where the resolver for its clients asks.
    pub dns: Dns,
    /// How it keeps the time; `None`: as it was built.
    pub time: Option<Time>,
    /// How staff may log in; `None`: not at all.
    pub ssh: Option<Ssh>,
}

/// The tunnel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Wireguard {
    /// The server's private key, base64.
    pub private_key: Secret,
    /// The UDP port that clients send to.
    pub listen_port: u16,
    /// The server's addresses in the tunnel, the first of a family being its resolver's.
    pub addresses: Vec<Cidr>,
    /// Longest packet in the tunnel.
    pub mtu: u16,
    /// The clients.
    pub peers: Vec<Peer>,
}

/// A client.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Peer {
    /// Its public key, base64.
    pub public_key: String,
    /// A key that both have beside those, base64.
    pub preshared_key: Option<Secret>,
    /// The addresses that are its own.
    pub allowed_ips: Vec<Cidr>,
}

impl Vpn {
    pub(crate) fn read(fields: &mut Fields, problems: &mut Problems) -> Option<Self> {
        let hostname = fields.text("hostname", problems, hostname);
        let wireguard = fields
            .required("wireguard", problems)
            .and_then(|value| Wireguard::read(fields.path("wireguard"), value, problems));
        let dns = match fields.take("dns") {
            None => Some(Dns::default()),
            Some(value) => Dns::read(fields.path("dns"), value, problems),
        };
        let (time, ssh) = common(fields, problems);
        let config =
            Self { hostname: hostname?, wireguard: wireguard?, dns: dns?, time: time?, ssh: ssh? };
        Some(config)
    }
}

/// What every service has: time and SSH, each of which may be absent.
pub(crate) fn common(
    fields: &mut Fields,
    problems: &mut Problems,
) -> (Option<Option<Time>>, Option<Option<Ssh>>) {
    let time = match fields.take("time") {
        None => Some(None),
        Some(value) => Time::read(fields.path("time"), value, problems).map(Some),
    };
    let ssh = match fields.take("ssh") {
        None => Some(None),
        Some(value) => Ssh::read(fields.path("ssh"), value, problems).map(Some),
    };
    (time, ssh)
}

impl Wireguard {
    pub(crate) fn read(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems)?;
        let private_key = fields.secret("private_key", problems, is_key);
        let listen_port = fields.number("listen_port", 1..=65_535, None, problems);
        let addresses = fields.texts("addresses", 1..=MAX_ADDRESSES, problems, interface_address);
        // Less than 1280 and there is no IPv6; more than 9000 and no NIC takes it.
        let mtu = fields.number("mtu", 1280..=9000, Some(DEFAULT_MTU.into()), problems);
        let peers = read_peers(&mut fields, problems);
        let place = fields.path("addresses");
        let peers_place = fields.path("peers");
        fields.finish(problems);
        let wireguard = Self {
            private_key: private_key?,
            listen_port: listen_port?.try_into().ok()?,
            addresses: addresses?,
            mtu: mtu?.try_into().ok()?,
            peers: peers?,
        };
        let before = problems.0.len();
        wireguard.check(&place, &peers_place, problems);
        (problems.0.len() == before).then_some(wireguard)
    }

    /// The server's public key, which clients are configured with.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        wireguard::public_key(&self.private_key)
    }

    /// What one field alone does not show.
    fn check(&self, addresses: &str, peers: &str, problems: &mut Problems) {
        let mut own: BTreeSet<IpAddr> = BTreeSet::new();
        for (number, address) in (1..).zip(&self.addresses) {
            if !own.insert(address.address()) {
                problems.add(format!("{addresses}[{number}]"), format!("{address} is there twice"));
            }
        }
        let public = self.public_key();
        let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
        let mut networks: BTreeMap<Cidr, usize> = BTreeMap::new();
        for (number, peer) in (1..).zip(&self.peers) {
            let place = format!("{peers}[{number}]");
            if public.as_deref() == Some(peer.public_key.as_str()) {
                problems.add(format!("{place}.public_key"), "it is the server's own key");
            }
            if let Some(other) = keys.insert(&peer.public_key, number) {
                problems.add(
                    format!("{place}.public_key"),
                    format!("{peers}[{other}] has the same key"),
                );
            }
            for (entry, network) in (1..).zip(&peer.allowed_ips) {
                let place = format!("{place}.allowed_ips[{entry}]");
                if let Some(other) = networks.insert(*network, number) {
                    problems.add(
                        &place,
                        format!("{network} belongs to {peers}[{other}] already; WireGuard would give it to the last one"),
                    );
                }
                if let Some(address) = own.iter().find(|address| network.contains(**address)) {
                    problems
                        .add(&place, format!("{network} holds the server's own address {address}"));
                }
            }
        }
    }
}

fn read_peers(fields: &mut Fields, problems: &mut Problems) -> Option<Vec<Peer>> {
    let entries = fields.list("peers", 0..=MAX_PEERS, problems)?;
    let number = entries.len();
    let peers: Vec<Peer> =
        entries.into_iter().filter_map(|(path, value)| Peer::read(path, value, problems)).collect();
    (peers.len() == number).then_some(peers)
}

impl Peer {
    fn read(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems)?;
        let public_key = fields.text("public_key", problems, |text| match is_key(text) {
            Ok(()) => Ok(text.to_owned()),
            Err(_) => Err(KEY.to_owned()),
        });
        let preshared_key = fields.optional_secret("preshared_key", problems, is_key);
        let allowed_ips = fields.texts("allowed_ips", 1..=MAX_ALLOWED_IPS, problems, network);
        fields.finish(problems);
        Some(Self {
            public_key: public_key?,
            preshared_key: preshared_key?,
            allowed_ips: allowed_ips?,
        })
    }
}

fn is_key(text: &str) -> Result<(), &'static str> {
    wireguard::decode(text).map(|_| ()).ok_or(SECRET_KEY)
}
