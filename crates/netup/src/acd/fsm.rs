//! Does another machine have this IPv4 address? (RFC 5227), without clock and without socket.
//!
//! The RFC's times are for machines at large, radio and sleepers among them: three to seven seconds
//! pass before an address may be used. A machine that boots by wire pays for each of them on every
//! boot, and whoever has the address answers within a millisecond. So there are two probes, because
//! one may be lost, and a quarter of a second after the first one the address is used. Who answers
//! later, or comes later, is still found: conflicts are listened for as long as the address is
//! used, which the RFC (2.4) asks for anyway, and it is announced twice, which makes others speak.
//! The wait before the first probe is left out too: the DHCP exchange before it, or the firmware's
//! own time, has spread the machines already.

use core::net::Ipv4Addr;
use core::time::Duration;

use super::packet::Packet;
use crate::backoff::Random;

/// How often is asked before an address is used (the RFC has 3).
pub(crate) const PROBES: u32 = 2;
/// Between two probes, 20 ms more or less (the RFC has 1 to 2 s).
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// From the last probe to the first use (the RFC has 2 s).
const LAST_WAIT: Duration = Duration::from_millis(150);
/// How often an address is announced when it is taken into use, as in the RFC.
const ANNOUNCEMENTS: u32 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// An address is defended no more often than this (RFC 5227, 2.4).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Most hardware addresses whose claims do not count.
const MAX_EXEMPT: usize = 64;

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// [`Detector::wake_at`] has come.
    Timer,
    /// An Ethernet frame.
    Frame(&'a [u8]),
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Send this frame.
    Send(Vec<u8>),
    /// Nobody has the address: it may be used.
    Free,
    /// This machine has the address; we must not use it, or not any more.
    Conflict([u8; 6]),
}

/// What is done about a machine that insists on an address that we use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stance {
    /// Defend it once, then give it up (RFC 5227, 2.4 b): another one can be had.
    Yield,
    /// Defend it again and again, at intervals (RFC 5227, 2.4 c): there is no other one.
    Hold,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Probing { sent: u32 },
    InUse { announced: u32 },
    Over,
}

/// Watches one address on one interface. Times are durations since any fixed point.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    mac: [u8; 6],
    address: Ipv4Addr,
    stance: Stance,
    exempt: Vec<[u8; 6]>,
    random: Random,
    state: State,
    wake_at: Option<Duration>,
    defended: Option<Duration>,
}

impl Detector {
    /// A detector that wants to be woken at `now`.
    pub(crate) const fn new(
        mac: [u8; 6],
        address: Ipv4Addr,
        stance: Stance,
        random: Random,
        now: Duration,
    ) -> Self {
        Self {
            mac,
            address,
            stance,
            exempt: Vec::new(),
            random,
            state: State::Probing { sent: 0 },
            wake_at: Some(now),
            defended: None,
        }
    }

    /// Takes no notice of what these hardware addresses claim: our own other NICs, or somebody who
    /// claims everything.
    pub(crate) fn exempting(mut self, macs: impl IntoIterator<Item = [u8; 6]>) -> Self {
        self.exempt = macs.into_iter().take(MAX_EXEMPT).collect();
        self
    }

    /// When it wants [`Event::Timer`]; `None` for never.
    pub(crate) const fn wake_at(&self) -> Option<Duration> {
        self.wake_at
    }

    /// Takes an event in; what comes out is to be done in its order.
    pub(crate) fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        match event {
            Event::Timer if self.wake_at.is_some_and(|at| at <= now) => self.timer(now),
            Event::Timer => Vec::new(),
            Event::Frame(frame) => match Packet::parse(frame) {
                Some(packet) => self.packet(now, &packet),
                None => Vec::new(),
            },
        }
    }

    fn timer(&mut self, now: Duration) -> Vec<Action> {
        self.wake_at = None;
        match self.state {
            State::Probing { sent } if sent < PROBES => {
                let sent = sent + 1;
                self.state = State::Probing { sent };
                self.wake_at = Some(now + if sent < PROBES { self.interval() } else { LAST_WAIT });
                vec![Action::Send(Packet::probe(self.mac, self.address).encode())]
            }
            State::Probing { .. } => {
                let mut actions = vec![Action::Free];
                actions.extend(self.announce(now, 1));
                actions
            }
            State::InUse { announced } if announced < ANNOUNCEMENTS => {
                self.announce(now, announced + 1)
            }
            State::InUse { .. } | State::Over => Vec::new(),
        }
    }

    fn announce(&mut self, now: Duration, announced: u32) -> Vec<Action> {
        self.state = State::InUse { announced };
        self.wake_at = (announced < ANNOUNCEMENTS).then(|| now + ANNOUNCE_INTERVAL);
        vec![self.claim()]
    }

    fn packet(&mut self, now: Duration, packet: &Packet) -> Vec<Action> {
        let by = packet.sender_mac;
        if by == self.mac || self.exempt.contains(&by) {
            return Vec::new();
        }
        let claims = packet.sender == self.address;
        match self.state {
            // A probe by another machine for the same address is as good as a claim (2.1.1). Some
            // switches look for machines with a probe to that machine alone; those name its
            // hardware address as target and mean no claim.
            State::Probing { .. } if claims || probes(packet, self.address) => self.lose(by),
            State::InUse { .. } if claims => self.defend(now, by),
            _ => Vec::new(),
        }
    }

    fn defend(&mut self, now: Duration, by: [u8; 6]) -> Vec<Action> {
        let again = self.defended.is_some_and(|last| now.saturating_sub(last) < DEFEND_INTERVAL);
        match (again, self.stance) {
            (false, _) => {
                self.defended = Some(now);
                vec![self.claim()]
            }
            (true, Stance::Yield) => self.lose(by),
            (true, Stance::Hold) => Vec::new(),
        }
    }

    fn lose(&mut self, by: [u8; 6]) -> Vec<Action> {
        self.state = State::Over;
        self.wake_at = None;
        vec![Action::Conflict(by)]
    }

    fn claim(&self) -> Action {
        Action::Send(Packet::announcement(self.mac, self.address).encode())
    }

    fn interval(&mut self) -> Duration {
        let jitter = Duration::from_millis(self.random.next_u64() % 41);
        PROBE_INTERVAL.saturating_sub(Duration::from_millis(20)) + jitter
    }
}

fn probes(packet: &Packet, address: Ipv4Addr) -> bool {
    packet.request
        && packet.sender.is_unspecified()
        && packet.target == address
        && packet.target_mac == [0; 6]
}

#[cfg(test)]
#[path = "fsm_tests.rs"]
mod tests;
