//! What some worlds have beside all else: DHCPv6 servers, VLANs, bonds, proxies, and packages that are
//! replaced.
//!
//! They are drawn by chance of their own, so that a seed's other things are the same with and without.

use core::net::Ipv6Addr;
use core::time::Duration;

use fastrand::Rng;

use crate::chance::happens;
use crate::chance::pick;
use crate::chance::seconds;
use crate::dhcp::Habit;
use crate::dhcp6::Server;
use crate::mirrors::Mood;
use crate::mirrors::Phase;
use crate::proxy::Proxy;
use crate::proxy::Weather;
use crate::scenario::NEVER;
use crate::scenario::Promise;
use crate::scenario::Scenario;
use crate::scenario::heal_cable;

/// The tag of a machine that has one.
const TAG: u16 = 100;

const GOOD_NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
/// Nobody forwards for this one.
const BAD_NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0);

/// Adds what the seed of a scenario says.
pub(crate) fn add(scenario: &mut Scenario) {
    let mut rng = Rng::with_seed(scenario.seed ^ 0x5851_f42d_4c95_7f2d);
    if scenario.mode == "auto" && happens(&mut rng, 0.4) {
        add_dhcp6(&mut rng, scenario);
    }
    let (vlan, bond) = (happens(&mut rng, 0.15), happens(&mut rng, 0.15));
    if bond {
        add_bond(&mut rng, scenario);
    }
    if vlan {
        add_vlan(&mut rng, scenario);
    }
    let mut rng = Rng::with_seed(scenario.seed ^ 0x2545_f491_4f6c_dd1d);
    if happens(&mut rng, 0.2) {
        add_proxy(&mut rng, scenario);
    }
    for mirror in &mut scenario.mirrors {
        if happens(&mut rng, 0.1) {
            replace_package(&mut rng, mirror);
        }
    }
}

/// A proxy for all mirrors but maybe one. Where something is promised, it is good from then on.
fn add_proxy(rng: &mut Rng, scenario: &mut Scenario) {
    let (kinds, since) = match scenario.promise {
        Promise::Boots { since, .. } => (Weather::heals(scenario.https), Some(since)),
        Promise::Ends => (Weather::ALL.as_slice(), None),
    };
    let mut weather = || pick(rng, kinds).copied().unwrap_or(Weather::LetsThrough);
    let until = since.unwrap_or(Duration::from_secs(600));
    let mut phases = vec![(Duration::ZERO, weather()), (until / 2, weather())];
    phases.extend(since.map(|since| (since, Weather::LetsThrough)));
    let locked = rng.bool();
    let credentials = if since.is_some() { locked } else { rng.bool() };
    let exempt = happens(rng, 0.3).then(|| rng.usize(..scenario.mirrors.len()));
    scenario.proxy = Some(Proxy { phases, locked, credentials, exempt });
}

/// Where a mirror serves at last, its files may be replaced one after the other while they are fetched.
fn replace_package(rng: &mut Rng, phases: &mut [Phase]) {
    if let Some(last) = phases.last_mut().filter(|last| last.mood == Mood::Serves) {
        last.mood = Mood::IsReplaced { twice: rng.bool() };
    }
}

/// Routers that send for DHCPv6 servers, and such servers. What is promised stays so.
fn add_dhcp6(rng: &mut Rng, scenario: &mut Scenario) {
    let promised = match scenario.promise {
        Promise::Boots { nic, since, .. } => Some((nic, since)),
        Promise::Ends => None,
    };
    for (number, (_, segment)) in scenario.nics.iter_mut().enumerate() {
        segment.dhcp6 = (0..rng.u8(..3)).map(|id| server(rng, id)).collect();
        for router in &mut segment.routers {
            router.managed = happens(rng, 0.4);
            router.other = happens(rng, 0.4);
        }
        if let Some((_, since)) = promised.filter(|(nic, _)| *nic == number) {
            segment.dhcp6.push(Server {
                id: 9,
                gives: GOOD_NETWORK,
                there: (since, NEVER),
                delay: Duration::from_millis(rng.u64(1..1500)),
                habit: Habit::Serves,
                lease: 3600,
                rapid: rng.bool(),
            });
        }
    }
}

fn server(rng: &mut Rng, id: u8) -> Server {
    let habits = [
        Habit::Serves,
        Habit::Serves,
        Habit::OnlyOffers,
        Habit::Refuses,
        Habit::Stammers,
        Habit::Lies,
    ];
    let from = if happens(rng, 0.3) { seconds(rng, 1, 120) } else { Duration::ZERO };
    Server {
        id,
        gives: if happens(rng, 0.5) { BAD_NETWORK } else { GOOD_NETWORK },
        there: (from, if happens(rng, 0.2) { from + seconds(rng, 30, 300) } else { NEVER }),
        delay: Duration::from_millis(rng.u64(1..4000)),
        habit: pick(rng, &habits).copied().unwrap_or(Habit::Serves),
        lease: *pick(rng, &[60, 600, 86_400]).unwrap_or(&600),
        rapid: rng.bool(),
    }
}

/// All NICs in one switch, as one link.
fn add_bond(rng: &mut Rng, scenario: &mut Scenario) {
    let (nic, since) = match scenario.promise {
        Promise::Boots { nic, since, .. } => (nic, Some(since)),
        Promise::Ends => (0, None),
    };
    let modes = ["802.3ad", "802.3ad", "active-backup", "balance-xor"];
    scenario.bond = pick(rng, &modes).copied();
    let Some((_, mut segment)) = scenario.nics.get(nic).cloned() else { return };
    segment.lacp = happens(rng, 0.7).then(|| seconds(rng, 1, 40));
    for (cable, own) in &mut scenario.nics {
        *own = segment.clone();
        if let Some(since) = since {
            // Whichever member it is that a packet goes over.
            heal_cable(rng, cable, since);
        }
    }
}

/// A tag that not every switch port has.
fn add_vlan(rng: &mut Rng, scenario: &mut Scenario) {
    scenario.vlan = Some(TAG);
    let promised = match scenario.promise {
        Promise::Boots { nic, .. } => Some(nic),
        Promise::Ends => None,
    };
    let all_alike = scenario.bond.is_some();
    for (number, (_, segment)) in scenario.nics.iter_mut().enumerate() {
        let tagged = all_alike || promised == Some(number) || happens(rng, 0.6);
        segment.tag =
            if tagged { Some(TAG) } else { *pick(rng, &[None, Some(7)]).unwrap_or(&None) };
    }
}
