//! What a seed means: networks, servers and mirrors with their weather, and what must come of it.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::cable::Cable;
use crate::cable::Segment;
use crate::chance::happens;
use crate::chance::pick;
use crate::chance::seconds;
use crate::dhcp::Habit;
use crate::dhcp::Server;
use crate::extras;
use crate::mirrors::Mood;
use crate::mirrors::Phase;
use crate::proxy::Proxy;
use crate::router::Router;

/// How long a boot may take: the default of `/init`, and half as long again.
const PATIENCE: [Duration; 2] = [Duration::from_secs(20 * 60), Duration::from_secs(30 * 60)];

/// By when all that a promise needs is there, in seconds. What is left after it is long enough to boot
/// in: there may be three networks that lead nowhere and three mirrors that cannot serve to be found
/// out about first, each after its time-outs.
const LATEST: u64 = 8 * 60;

pub(crate) const NEVER: Duration = Duration::from_secs(u64::MAX >> 20);

/// What must come of a boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Promise {
    /// From `since` on, this NIC and this mirror are good: it must boot.
    Boots {
        /// Position of the NIC.
        nic: usize,
        /// Position of the mirror.
        mirror: usize,
        /// From when on.
        since: Duration,
    },
    /// Nothing is known but what always holds.
    Ends,
}

/// A world to boot in.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it was made from.
    pub seed: u64,
    /// NICs, and what they are plugged into.
    pub nics: Vec<(Cable, Segment)>,
    /// What each mirror does, in order of time.
    pub mirrors: Vec<Vec<Phase>>,
    /// `dhcp`, `static` or `auto`.
    pub mode: &'static str,
    /// The mode of the bond that all NICs are joined into.
    pub bond: Option<&'static str>,
    /// The tag of all packets.
    pub vlan: Option<u16>,
    /// What mirrors are asked through.
    pub proxy: Option<Proxy>,
    /// How long a boot may take.
    pub patience: Duration,
    /// What must come of it.
    pub promise: Promise,
    /// Whether mirrors are asked by https.
    pub https: bool,
}

impl Scenario {
    /// The world of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mode = pick(&mut rng, &["dhcp", "dhcp", "auto", "auto", "static"]).copied();
        let nic_count = rng.usize(1..=4);
        let mirror_count = rng.usize(1..=4);
        let mut scenario = Self {
            seed,
            nics: (0..nic_count).map(|number| nic(&mut rng, number, mirror_count)).collect(),
            mirrors: (0..mirror_count).map(|_| mirror(&mut rng)).collect(),
            mode: mode.unwrap_or("dhcp"),
            bond: None,
            vlan: None,
            proxy: None,
            patience: *pick(&mut rng, &PATIENCE).unwrap_or(&Duration::from_secs(20 * 60)),
            promise: Promise::Ends,
            https: rng.bool(),
        };
        if happens(&mut rng, 0.8) {
            scenario.keep_a_promise(&mut rng);
        }
        extras::add(&mut scenario);
        scenario
    }

    /// Makes one NIC and one mirror good from some time on, and until then not hopeless.
    fn keep_a_promise(&mut self, rng: &mut Rng) {
        let since = seconds(rng, 0, LATEST);
        let (nic, mirror) = (rng.usize(..self.nics.len()), rng.usize(..self.mirrors.len()));
        if let Some(phases) = self.mirrors.get_mut(mirror) {
            *phases = healing(rng, since);
        }
        if let Some((cable, segment)) = self.nics.get_mut(nic) {
            heal_cable(rng, cable, since);
            let by_router = self.mode == "auto" && rng.bool();
            heal_segment(rng, segment, since, by_router);
            if let Some(reachable) = segment.mirrors.get_mut(mirror) {
                *reachable = true;
            }
        }
        self.promise = Promise::Boots { nic, mirror, since };
    }

    /// The host configuration of the machine.
    #[must_use]
    pub fn host_configuration(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let urls: Vec<String> = (0..self.mirrors.len())
            .map(|number| format!("{scheme}://m{number}.example/os.json"))
            .collect();
        let mut document = json!({ "network_mode": self.mode, "ospkg_pointer": urls.join(",") });
        if let Some(document) = document.as_object_mut() {
            if let Some(proxy) = &self.proxy {
                document.insert("proxy".to_owned(), json!(proxy.url()));
                if let Some(mirror) = proxy.exempt {
                    let host = format!("m{mirror}.example");
                    document.insert("no_proxy".to_owned(), json!([host]));
                }
            }
            if let Some(tag) = self.vlan {
                document.insert("vlan".to_owned(), json!(tag));
            }
            if let Some(mode) = self.bond {
                let members = (0..self.nics.len()).map(|number| {
                    let mac = format!("52:54:00:00:00:{:02x}", number + 1);
                    json!({ "interface_name": format!("eth{number}"), "mac_address": mac })
                });
                document.insert("bonding_mode".to_owned(), json!(mode));
                document.insert("bond_name".to_owned(), json!("bond0"));
                document.insert("network_interfaces".to_owned(), members.collect());
            }
        }
        if self.mode == "static"
            && let Some(document) = document.as_object_mut()
        {
            document.insert("host_ip".to_owned(), json!("192.0.2.200/24"));
            document.insert("gateway".to_owned(), json!(GOOD_ROUTER.to_string()));
            document.insert("dns".to_owned(), json!([GOOD_ROUTER.to_string()]));
        }
        document.to_string()
    }
}

/// The router of every segment that forwards, if any does.
const GOOD_ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const GOOD_ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn nic(rng: &mut Rng, number: usize, mirrors: usize) -> (Cable, Segment) {
    let toggles = match rng.u8(..5) {
        0 => Vec::new(),
        1 => vec![seconds(rng, 1, 90)],
        2 => flaps(rng, LATEST),
        _ => vec![Duration::ZERO],
    };
    let swallows = if happens(rng, 0.3) { seconds(rng, 5, 50) } else { Duration::ZERO };
    let loss = pick(rng, &[0.0, 0.0, 0.05, 0.3, 1.0]).copied().unwrap_or_default();
    let mut segment = Segment {
        dhcp: (0..rng.usize(..3)).map(|position| dhcp(rng, position)).collect(),
        routers: (0..rng.usize(..3)).map(|position| router(rng, position)).collect(),
        delay: Duration::from_millis(rng.u64(..300)),
        mirrors: (0..mirrors).map(|_| happens(rng, 0.7)).collect(),
        ..Segment::default()
    };
    if happens(rng, 0.7) {
        segment.uplinks = vec![GOOD_ROUTER.into(), IpAddr::V6(GOOD_ROUTER_V6)];
    }
    if happens(rng, 0.2) {
        // What a DHCP server may give although somebody has it.
        segment.taken = segment
            .dhcp
            .iter()
            .map(|server| {
                let [a, b, c, d] = server.gives.octets();
                Ipv4Addr::new(a, b, c, d + u8::try_from(number).unwrap_or(0) + 1)
            })
            .collect();
    }
    (Cable { toggles, swallows, loss }, segment)
}

fn flaps(rng: &mut Rng, until: u64) -> Vec<Duration> {
    let mut toggles: Vec<Duration> =
        (0..rng.usize(1..12)).map(|_| seconds(rng, 0, until)).collect();
    toggles.sort();
    toggles
}

fn dhcp(rng: &mut Rng, position: usize) -> Server {
    let habits = [
        Habit::Serves,
        Habit::Serves,
        Habit::OnlyOffers,
        Habit::Refuses,
        Habit::Stammers,
        Habit::Lies,
    ];
    let octet = u8::try_from(position).unwrap_or(0) + 10;
    let rogue = happens(rng, 0.5);
    let from = if happens(rng, 0.3) { seconds(rng, 1, 120) } else { Duration::ZERO };
    Server {
        address: Ipv4Addr::new(192, 0, 2, octet),
        router: if rogue { Ipv4Addr::new(192, 0, 2, 66) } else { GOOD_ROUTER },
        gives: Ipv4Addr::new(192, 0, 2, octet * 5),
        there: (from, if happens(rng, 0.2) { from + seconds(rng, 30, 300) } else { NEVER }),
        delay: Duration::from_millis(rng.u64(1..4000)),
        habit: pick(rng, &habits).copied().unwrap_or(Habit::Serves),
        lease: *pick(rng, &[60, 600, 86_400]).unwrap_or(&600),
    }
}

fn router(rng: &mut Rng, position: usize) -> Router {
    let good = happens(rng, 0.5);
    let last = if good { 1 } else { 0x66 + u16::try_from(position).unwrap_or(0) };
    Router {
        address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last),
        prefix: Ipv6Addr::new(0x2001, 0xdb8, last, 0, 0, 0, 0, 0),
        there: (if happens(rng, 0.3) { seconds(rng, 1, 120) } else { Duration::ZERO }, NEVER),
        every: seconds(rng, 5, 120),
        lifetime: if happens(rng, 0.1) { 0 } else { 1800 },
        lies: happens(rng, 0.1),
        managed: false,
        other: false,
    }
}

fn mirror(rng: &mut Rng) -> Vec<Phase> {
    let mut phases = vec![Phase { from: Duration::ZERO, mood: mood(rng) }];
    for _ in 0..rng.usize(..3) {
        phases.push(Phase { from: seconds(rng, 1, 600), mood: mood(rng) });
    }
    phases.sort_by_key(|phase| phase.from);
    phases
}

fn mood(rng: &mut Rng) -> Mood {
    let good = [Mood::Serves, Mood::IgnoresRanges, Mood::Forgets];
    let all = match rng.u8(..10) {
        0 => good.as_slice(),
        1..=5 => Mood::HEALS.as_slice(),
        _ => Mood::STAYS.as_slice(),
    };
    pick(rng, all).copied().unwrap_or(Mood::Serves)
}

/// Trouble that heals, then none.
fn healing(rng: &mut Rng, since: Duration) -> Vec<Phase> {
    let mut trouble = || pick(rng, &Mood::HEALS).copied().unwrap_or(Mood::Refuses);
    let mut phases = vec![Phase { from: Duration::ZERO, mood: trouble() }];
    phases.push(Phase { from: since / 2, mood: trouble() });
    let good = pick(rng, &[Mood::Serves, Mood::IgnoresRanges, Mood::Forgets]).copied();
    phases.push(Phase { from: since, mood: good.unwrap_or(Mood::Serves) });
    phases
}

/// In for good from some time before `since` on, with losses that DHCP and TCP outlive.
pub(crate) fn heal_cable(rng: &mut Rng, cable: &mut Cable, since: Duration) {
    cable.toggles.retain(|toggle| *toggle < since);
    if cable.toggles.len().is_multiple_of(2) {
        cable.toggles.push(since);
    }
    cable.loss = *pick(rng, &[0.0, 0.05, 0.2]).unwrap_or(&0.0);
}

/// A DHCP server or a router that is good, beside those that are there.
fn heal_segment(rng: &mut Rng, segment: &mut Segment, since: Duration, by_router: bool) {
    segment.uplinks = vec![GOOD_ROUTER.into(), IpAddr::V6(GOOD_ROUTER_V6)];
    if by_router {
        // Nobody else may speak in its name.
        segment.routers.retain(|router| router.address != GOOD_ROUTER_V6);
        segment.routers.push(Router {
            address: GOOD_ROUTER_V6,
            prefix: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0),
            there: (since, NEVER),
            every: seconds(rng, 5, 120),
            lifetime: 1800,
            lies: false,
            managed: false,
            other: false,
        });
        return;
    }
    segment.dhcp.push(Server {
        address: Ipv4Addr::new(192, 0, 2, 2),
        router: GOOD_ROUTER,
        gives: Ipv4Addr::new(192, 0, 2, 100),
        there: (since, NEVER),
        delay: Duration::from_millis(rng.u64(1..1500)),
        habit: Habit::Serves,
        lease: 3600,
    });
}
