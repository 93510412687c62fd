//! The machine's links, and what each is plugged into.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hostcfg::BondMode;
use hostcfg::Bonding;
use hostcfg::Cidr;
use netup::network::AddressState;
use netup::network::Configuration;
use netup::network::Done;
use netup::network::Kind;
use netup::network::Network;
use netup::network::NetworkError;
use netup::network::Nic;
use netup::network::NicAddress;
use netup::network::Port;
use netup::network::Protocol;
use tokio::time::sleep;

use crate::cable::Cable;
use crate::cable::Jack;
use crate::cable::Segment;
use crate::links::Links;
use crate::meter::Meter;
use crate::plug::Plug;
use crate::router::GOOD_NETWORK;

/// How long the kernel asks whether somebody else has an IPv6 address.
const DUPLICATE_ADDRESS_DETECTION: Duration = Duration::from_secs(1);

/// Index of the bond, and of VLANs less the index of the link below.
const BOND: u32 = 100;
const VLANS: u32 = 200;

/// All links of a machine, and what each is to have.
#[derive(Debug)]
pub(crate) struct Lan {
    seed: u64,
    links: Arc<Links>,
    applied: Mutex<BTreeMap<u32, Configuration>>,
    meter: Arc<Meter>,
}

impl Lan {
    /// Makes the links and lets time pass for their cables.
    pub(crate) fn start(seed: u64, nics: &[(Cable, Segment)], meter: Arc<Meter>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let jacks = nics
            .iter()
            .map(|(cable, segment)| Jack::new(cable.clone(), segment.clone(), rng.fork()))
            .map(Arc::new)
            .collect();
        let links = Links::start(jacks, Arc::clone(&meter));
        Self { seed, links, applied: Mutex::default(), meter }
    }

    /// The link of this name as things are: whether packets get from it to a mirror, and back.
    pub(crate) fn reaches(&self, interface: &str, mirror: usize) -> bool {
        let nic = {
            let all = self.links.sender.borrow();
            all.iter().find(|nic| nic.name == interface && nic.carrier).map(|nic| nic.index)
        };
        let Some(index) = nic else { return false };
        let Some(jack) = self.links.way(index) else { return false };
        let Ok(applied) = self.applied.lock() else { return false };
        let Some(configuration) = applied.get(&index) else { return false };
        let segment = &jack.segment;
        let forwarded = |v4: bool| {
            let mut routers = configuration.routes.iter().filter_map(|route| route.gateway);
            routers.any(|router| router.is_ipv4() == v4 && segment.uplinks.contains(&router))
        };
        let addresses = || configuration.addresses.iter().map(Cidr::address);
        let answered = |v4: bool| {
            addresses().any(|own| match own {
                IpAddr::V4(own) => v4 && !segment.taken.contains(&own),
                // Whoever answers goes by the network of the address.
                IpAddr::V6(own) => !v4 && own.segments().starts_with(&GOOD_NETWORK),
            })
        };
        let reachable = segment.mirrors.get(mirror).copied().unwrap_or(false);
        let works = |v4| forwarded(v4) && answered(v4);
        (works(true) || works(false)) && reachable && jack.cable.carries(self.meter.now())
    }

    /// Changes one link, as the kernel would.
    fn change(&self, index: u32, change: impl FnOnce(&mut Nic)) -> Result<(), NetworkError> {
        self.meter.note();
        self.links.change(index, change).ok_or_else(no_such_link)
    }

    fn note_applied(&self, index: u32, configuration: Configuration) {
        if let Ok(mut applied) = self.applied.lock() {
            applied.insert(index, configuration);
        }
    }

    fn find(&self, index: u32) -> Option<Nic> {
        self.links.sender.borrow().iter().find(|nic| nic.index == index).cloned()
    }

    fn is_plugged(&self, index: u32) -> bool {
        let jack = self.links.jack(index);
        jack.is_some_and(|jack| jack.cable.since(self.meter.now()).is_some())
    }

    fn make_link_above(&self, parent: u32, id: u16) -> Result<u32, NetworkError> {
        self.meter.note();
        let below = self.find(parent).ok_or_else(no_such_link)?;
        let name = format!("{}.{id}", below.name);
        let (index, mac) = (VLANS + parent, below.mac.unwrap_or_default());
        let kind = Kind::Vlan { id, parent };
        Ok(self.links.make(Nic { kind, ..Nic::ethernet(index, &name, mac) }))
    }
}

fn no_such_link() -> NetworkError {
    NetworkError::new("looking for the link", "no such device")
}

impl Network for Lan {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn links(&self) -> netup::network::Links {
        self.links.sender.subscribe()
    }

    fn prepare(&self, _: &Nic, _: bool) {}

    fn up(&self, index: u32) -> Done<'_> {
        let plugged = self.is_plugged(index);
        let done = self.change(index, |nic| {
            nic.up = true;
            nic.carrier = plugged || nic.loopback;
        });
        async move { done }.boxed()
    }

    fn down(&self, index: u32) -> Done<'_> {
        self.note_applied(index, Configuration::default());
        let done = self.change(index, |nic| {
            nic.up = false;
            nic.carrier = false;
            nic.addresses.clear();
        });
        async move { done }.boxed()
    }

    fn set_mtu(&self, index: u32, mtu: u32) -> Done<'_> {
        let done = self.change(index, |nic| nic.mtu = mtu);
        async move { done }.boxed()
    }

    fn apply<'a>(&'a self, index: u32, configuration: &'a Configuration) -> Done<'a> {
        let mut tentative = false;
        let done = self.change(index, |nic| {
            let before = core::mem::take(&mut nic.addresses);
            nic.addresses = configuration
                .addresses
                .iter()
                .map(|own| {
                    let known = before.iter().find(|known| known.address == *own);
                    let fresh = || {
                        let v6 = own.address().is_ipv6();
                        tentative |= v6;
                        let state = if v6 { AddressState::Tentative } else { AddressState::Ready };
                        NicAddress { address: *own, state }
                    };
                    known.copied().unwrap_or_else(fresh)
                })
                .collect();
        });
        if tentative {
            let links = Arc::clone(&self.links);
            tokio::spawn(async move {
                sleep(DUPLICATE_ADDRESS_DETECTION).await;
                let ready = |address: &mut NicAddress| address.state = AddressState::Ready;
                let _ = links.change(index, |nic| nic.addresses.iter_mut().for_each(ready));
            });
        }
        self.note_applied(index, configuration.clone());
        async move { done }.boxed()
    }

    fn flush(&self, index: u32) -> BoxFuture<'_, ()> {
        self.note_applied(index, Configuration::default());
        let _ = self.change(index, |nic| nic.addresses.clear());
        async {}.boxed()
    }

    fn make_bond<'a>(&'a self, bonding: &'a Bonding, _: Option<u32>) -> Done<'a, u32> {
        self.meter.note();
        self.links.lacp.store(bonding.mode == BondMode::Ieee8023ad, Ordering::Relaxed);
        let kind = Kind::Bond { partner: None };
        let mac = [0x52, 0x54, 0, 0, 0, 1];
        let bond = Nic { kind, up: true, ..Nic::ethernet(BOND, &bonding.name, mac) };
        let index = self.links.make(bond);
        async move { Ok(index) }.boxed()
    }

    fn join_bond(&self, bond: u32, nic: u32, _: bool) -> Done<'_> {
        let plugged = self.is_plugged(nic);
        let done = self.change(nic, |nic| {
            nic.controller = Some(bond);
            nic.up = true;
            nic.carrier = plugged;
        });
        async move { done }.boxed()
    }

    fn make_vlan(&self, parent: u32, id: u16) -> Done<'_, u32> {
        let made = self.make_link_above(parent, id);
        async move { made }.boxed()
    }

    fn remove(&self, index: u32) -> Done<'_> {
        self.meter.note();
        self.note_applied(index, Configuration::default());
        self.links.remove(index);
        async { Ok(()) }.boxed()
    }

    fn port(&self, nic: &Nic, protocol: Protocol) -> io::Result<Box<dyn Port>> {
        let there = self.find(nic.index).ok_or(io::ErrorKind::NotFound)?;
        let (links, meter) = (Arc::clone(&self.links), Arc::clone(&self.meter));
        let mac = there.mac.unwrap_or_default();
        Ok(Box::new(Plug::new(mac, protocol, nic.index, links, meter)))
    }
}
