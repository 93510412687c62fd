//! The machine's links, and what each is plugged into.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hostcfg::Bonding;
use netup::network::AddressState;
use netup::network::Configuration;
use netup::network::Done;
use netup::network::Links;
use netup::network::Network;
use netup::network::NetworkError;
use netup::network::Nic;
use netup::network::NicAddress;
use netup::network::Port;
use netup::network::Protocol;
use netup::network::Received;
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::chance;
use crate::dhcp;
use crate::meter::Meter;
use crate::router;

/// How long the kernel asks whether somebody else has an IPv6 address.
const DUPLICATE_ADDRESS_DETECTION: Duration = Duration::from_secs(1);

/// A cable: when it is plugged in, and how well it carries.
#[derive(Clone, Debug, Default)]
pub struct Cable {
    /// When it is plugged in and out, in turn; out at first.
    pub toggles: Vec<Duration>,
    /// For how long a switch swallows everything after it was plugged in.
    pub swallows: Duration,
    /// Share of packets that are lost, from 0 to 1.
    pub loss: f64,
}

impl Cable {
    /// Since when it has been plugged in; `None` if it is not.
    pub(crate) fn since(&self, now: Duration) -> Option<Duration> {
        let before = self.toggles.iter().take_while(|at| **at <= now).count();
        if before % 2 == 1 { self.toggles.get(before - 1).copied() } else { None }
    }

    /// Whether packets come through at all.
    pub(crate) fn carries(&self, now: Duration) -> bool {
        self.since(now).is_some_and(|since| now - since >= self.swallows)
    }
}

/// What a cable leads to.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// DHCP servers.
    pub dhcp: Vec<dhcp::Server>,
    /// Routers that advertise themselves.
    pub routers: Vec<router::Router>,
    /// IPv4 addresses that other hosts have.
    pub taken: Vec<Ipv4Addr>,
    /// Routers that forward.
    pub uplinks: Vec<IpAddr>,
    /// Which mirrors can be reached from here, by position.
    pub mirrors: Vec<bool>,
    /// How long a packet is under way.
    pub delay: Duration,
}

/// One NIC's place in the simulated world.
#[derive(Debug)]
struct Jack {
    cable: Cable,
    segment: Segment,
    rng: Mutex<Rng>,
}

impl Jack {
    /// Whether a packet that is sent now arrives.
    fn passes(&self, now: Duration) -> bool {
        let lost =
            || self.rng.lock().is_ok_and(|mut rng| chance::happens(&mut rng, self.cable.loss));
        self.cable.carries(now) && !lost()
    }
}

/// All links of a machine.
#[derive(Debug)]
pub(crate) struct Lan {
    seed: u64,
    links: Arc<watch::Sender<Arc<Vec<Nic>>>>,
    jacks: Vec<Arc<Jack>>,
    applied: Mutex<Vec<Configuration>>,
    meter: Arc<Meter>,
}

impl Lan {
    /// Makes the links and lets time pass for their cables.
    pub(crate) fn start(seed: u64, nics: &[(Cable, Segment)], meter: Arc<Meter>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut all = vec![Nic { loopback: true, up: true, ..Nic::ethernet(1, "lo", [0; 6]) }];
        let mut jacks = Vec::new();
        for (number, (cable, segment)) in (0_u8..).zip(nics) {
            let (index, name) = (u32::from(number) + 2, format!("eth{number}"));
            all.push(Nic::ethernet(index, &name, [0x52, 0x54, 0, 0, 0, number + 1]));
            let jack = Jack {
                cable: cable.clone(),
                segment: segment.clone(),
                rng: Mutex::new(rng.fork()),
            };
            jacks.push(Arc::new(jack));
        }
        let links = Arc::new(watch::Sender::new(Arc::new(all)));
        for (at, jack) in jacks.iter().enumerate() {
            tokio::spawn(follow_cable(Arc::clone(&links), at + 1, jack.cable.toggles.clone()));
        }
        let applied = Mutex::new(vec![Configuration::default(); nics.len()]);
        Self { seed, links, jacks, applied, meter }
    }

    /// The link of this name as things are: whether packets get from it to a mirror.
    pub(crate) fn reaches(&self, interface: &str, mirror: usize) -> bool {
        let Some(at) = self.position(interface) else { return false };
        let Some(jack) = self.jacks.get(at) else { return false };
        let links = self.links.borrow();
        if !links.get(at + 1).is_some_and(|nic| nic.carrier) {
            return false;
        }
        let applied = self.applied.lock().ok();
        let Some(configuration) = applied.as_ref().and_then(|all| all.get(at)) else {
            return false;
        };
        let mut routers = configuration.routes.iter().filter_map(|route| route.gateway);
        let forwarded = routers.any(|router| jack.segment.uplinks.contains(&router));
        let alone = configuration.addresses.iter().all(|own| match own.address() {
            IpAddr::V4(own) => !jack.segment.taken.contains(&own),
            IpAddr::V6(_) => true,
        });
        let reachable = jack.segment.mirrors.get(mirror).copied().unwrap_or(false);
        forwarded && alone && reachable && jack.cable.carries(self.meter.now())
    }

    fn position(&self, interface: &str) -> Option<usize> {
        self.links.borrow().iter().position(|nic| nic.name == interface)?.checked_sub(1)
    }

    /// Changes one link, as the kernel would.
    fn change(&self, index: u32, change: impl FnOnce(&mut Nic)) -> Result<(), NetworkError> {
        self.meter.note();
        change_in(&self.links, index, change)
            .ok_or_else(|| NetworkError::new("looking for the link", "no such device"))
    }

    fn jack(&self, index: u32) -> Option<&Arc<Jack>> {
        self.jacks.get(usize::try_from(index).ok()?.checked_sub(2)?)
    }

    fn note_applied(&self, index: u32, configuration: Configuration) {
        let at = usize::try_from(index).ok().and_then(|index| index.checked_sub(2));
        if let (Some(at), Ok(mut applied)) = (at, self.applied.lock())
            && let Some(place) = applied.get_mut(at)
        {
            *place = configuration;
        }
    }

    fn is_plugged(&self, index: u32) -> bool {
        self.jack(index).is_some_and(|jack| jack.cable.since(self.meter.now()).is_some())
    }
}

fn change_in(
    links: &watch::Sender<Arc<Vec<Nic>>>,
    index: u32,
    change: impl FnOnce(&mut Nic),
) -> Option<()> {
    let mut all = Vec::clone(&links.borrow());
    let nic = all.iter_mut().find(|nic| nic.index == index)?;
    let before = nic.clone();
    change(nic);
    if *nic != before {
        links.send_replace(Arc::new(all));
    }
    Some(())
}

async fn follow_cable(links: Arc<watch::Sender<Arc<Vec<Nic>>>>, at: usize, toggles: Vec<Duration>) {
    let start = tokio::time::Instant::now();
    let index = u32::try_from(at + 1).unwrap_or(u32::MAX);
    for (number, toggle) in toggles.into_iter().enumerate() {
        tokio::time::sleep_until(start + toggle).await;
        let plugged = number % 2 == 0;
        let _ = change_in(&links, index, |nic| nic.carrier = nic.up && plugged);
    }
}

fn unsupported<T>(what: &str) -> Result<T, NetworkError> {
    Err(NetworkError::new(what, "this simulation has none"))
}

impl Network for Lan {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn links(&self) -> Links {
        self.links.subscribe()
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
                let _ = change_in(&links, index, |nic| nic.addresses.iter_mut().for_each(ready));
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

    fn make_bond<'a>(&'a self, _: &'a Bonding, _: Option<u32>) -> Done<'a, u32> {
        async { unsupported("making a bond") }.boxed()
    }

    fn join_bond(&self, _: u32, _: u32, _: bool) -> Done<'_> {
        async { unsupported("joining a bond") }.boxed()
    }

    fn make_vlan(&self, _: u32, _: u16) -> Done<'_, u32> {
        async { unsupported("making a VLAN") }.boxed()
    }

    fn remove(&self, _: u32) -> Done<'_> {
        async { unsupported("removing a link") }.boxed()
    }

    fn port(&self, nic: &Nic, protocol: Protocol) -> io::Result<Box<dyn Port>> {
        let jack = self.jack(nic.index).ok_or(io::ErrorKind::NotFound)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let plug = Plug {
            mac: nic.mac.unwrap_or_default(),
            protocol,
            jack: Arc::clone(jack),
            meter: Arc::clone(&self.meter),
            sender,
            receiver: AsyncMutex::new(receiver),
        };
        if protocol == Protocol::RouterDiscovery {
            plug.hear_advertisements();
        }
        Ok(Box::new(plug))
    }
}

type Packet = (Vec<u8>, Option<IpAddr>);

/// The end of one protocol at one link.
#[derive(Debug)]
struct Plug {
    mac: [u8; 6],
    protocol: Protocol,
    jack: Arc<Jack>,
    meter: Arc<Meter>,
    sender: mpsc::UnboundedSender<Packet>,
    receiver: AsyncMutex<mpsc::UnboundedReceiver<Packet>>,
}

impl Plug {
    /// Delivers a packet after a while, unless the cable swallows it.
    fn deliver(&self, after: Duration, packet: Packet) {
        let (jack, meter) = (Arc::clone(&self.jack), Arc::clone(&self.meter));
        let sender = self.sender.clone();
        tokio::spawn(async move {
            sleep(after + jack.segment.delay).await;
            if jack.passes(meter.now()) {
                // Nobody may listen any more.
                let _ = sender.send(packet);
            }
        });
    }

    /// What routers say without being asked.
    fn hear_advertisements(&self) {
        for router in self.jack.segment.routers.clone() {
            let (jack, meter) = (Arc::clone(&self.jack), Arc::clone(&self.meter));
            let sender = self.sender.clone();
            tokio::spawn(async move {
                while !sender.is_closed() {
                    sleep(router.every).await;
                    let now = meter.now();
                    if let Some(message) = router.advertisement(now)
                        && jack.passes(now)
                        && sender.send((message, Some(router.address.into()))).is_err()
                    {
                        return;
                    }
                }
            });
        }
    }

    fn answer(&self, message: &[u8]) {
        let now = self.meter.now();
        if !self.jack.passes(now) {
            return;
        }
        let segment = &self.jack.segment;
        match self.protocol {
            Protocol::Dhcp4 => {
                for server in &segment.dhcp {
                    if let Some(reply) = server.answer(now, message, self.mac) {
                        self.deliver(server.delay, (reply, Some(server.address.into())));
                    }
                }
            }
            Protocol::RouterDiscovery => {
                for router in &segment.routers {
                    if let Some(reply) = router.advertisement(now) {
                        self.deliver(Duration::ZERO, (reply, Some(router.address.into())));
                    }
                }
            }
            Protocol::Arp => {
                if let Some(reply) = arp_reply(message, &segment.taken) {
                    self.deliver(Duration::ZERO, (reply, None));
                }
            }
            Protocol::Dhcp6 => {}
        }
    }
}

/// What a host says that has the address that is asked for (RFC 826).
fn arp_reply(frame: &[u8], taken: &[Ipv4Addr]) -> Option<Vec<u8>> {
    const STRANGER: [u8; 6] = [0x02, 0, 0, 0, 0, 0xee];
    let asker: [u8; 6] = frame.get(22..28)?.try_into().ok()?;
    let asker_address: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
    let wanted: [u8; 4] = frame.get(38..42)?.try_into().ok()?;
    let is_request = frame.get(20..22)? == [0, 1];
    if !is_request || !taken.contains(&Ipv4Addr::from(wanted)) {
        return None;
    }
    let mut reply = Vec::new();
    reply.extend_from_slice(&asker);
    reply.extend_from_slice(&STRANGER);
    reply.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]);
    reply.extend_from_slice(&STRANGER);
    reply.extend_from_slice(&wanted);
    reply.extend_from_slice(&asker);
    reply.extend_from_slice(&asker_address);
    Some(reply)
}

impl Port for Plug {
    fn send<'a>(&'a self, _: Option<IpAddr>, message: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        self.meter.note();
        self.answer(message);
        async { Ok(()) }.boxed()
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>> {
        async move {
            let packet = self.receiver.lock().await.recv().await;
            let (bytes, from) = packet.ok_or(io::ErrorKind::BrokenPipe)?;
            let length = bytes.len().min(buffer.len());
            for (place, byte) in buffer.iter_mut().zip(&bytes) {
                *place = *byte;
            }
            Ok(Received { length, from, hop_limit: Some(255) })
        }
        .boxed()
    }
}
