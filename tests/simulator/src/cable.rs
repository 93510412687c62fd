//! Cables, what they lead to, and the NICs that they are plugged into.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::sync::Mutex;

use fastrand::Rng;

use crate::chance;
use crate::dhcp;
use crate::dhcp6;
use crate::router;

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
    /// DHCPv6 servers.
    pub dhcp6: Vec<dhcp6::Server>,
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
    /// The VLAN tag that all packets have here; without one, none has any.
    pub tag: Option<u16>,
    /// For how long after it was plugged in the switch takes to agree on a bond by LACP; `None` if it
    /// does not know that.
    pub lacp: Option<Duration>,
}

/// One NIC's place in the simulated world.
#[derive(Debug)]
pub(crate) struct Jack {
    pub(crate) cable: Cable,
    pub(crate) segment: Segment,
    rng: Mutex<Rng>,
}

impl Jack {
    pub(crate) const fn new(cable: Cable, segment: Segment, rng: Rng) -> Self {
        Self { cable, segment, rng: Mutex::new(rng) }
    }

    /// Whether a packet that is sent now arrives.
    pub(crate) fn passes(&self, now: Duration) -> bool {
        let lost =
            || self.rng.lock().is_ok_and(|mut rng| chance::happens(&mut rng, self.cable.loss));
        self.cable.carries(now) && !lost()
    }

    /// Whether the switch has agreed by LACP that this is a part of a bond.
    pub(crate) fn aggregates(&self, now: Duration) -> bool {
        let since = self.cable.since(now);
        since.zip(self.segment.lacp).is_some_and(|(since, takes)| now >= since + takes)
    }
}
