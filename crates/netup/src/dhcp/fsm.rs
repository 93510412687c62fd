//! The client's states (RFC 2131, figure 5), without clock and without socket: events and the
//! time go in, messages to send and leases come out.
//!
//! Other than in the RFC, the first message goes out at once (there is no fleet that a power cut
//! did not already spread by seconds of firmware), and whoever offers first is taken, unless it is
//! on the list of servers to avoid and another one answers.

mod checking;
mod extending;

use core::net::Ipv4Addr;
use core::time::Duration;

use super::conflict::Conflicts;
use super::lease::Lease;
use super::message::Query;
use super::message::QueryKind;
use super::message::Reply;
use super::message::ReplyKind;
use crate::acd;
use crate::acd::Detector;
use crate::backoff::Random;
use crate::backoff::pause;

/// How often an offered address is asked for before looking for another offer.
const MAX_SELECTS: u32 = 3;
/// How long a server that is to be avoided waits for another one to make an offer.
const OTHERS_FIRST: Duration = Duration::from_secs(6);
/// Most servers that are remembered.
const MAX_SERVERS: usize = 8;

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// [`Client::wake_at`] has come.
    Timer,
    /// A datagram.
    Datagram(&'a [u8]),
    /// An Ethernet frame with an ARP packet.
    Arp(&'a [u8]),
}

/// What a client wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Send to this server, or to all.
    Send { to: Option<Ipv4Addr>, message: Vec<u8> },
    /// Send this Ethernet frame.
    SendArp(Vec<u8>),
    /// From now on this lease holds, also if there was one before.
    Bound(Lease),
    /// The lease that there was must not be used any more.
    Lost(&'static str),
}

#[derive(Clone, Debug)]
enum State {
    /// Between two rounds, or before the first.
    Idle,
    Selecting {
        fallback: Option<(Reply, Ipv4Addr)>,
    },
    Requesting {
        offer: Reply,
        server: Ipv4Addr,
        sent: u32,
    },
    /// The server gave it; whether another machine has it is not known yet.
    Checking {
        lease: Lease,
        since: Duration,
    },
    Bound {
        lease: Lease,
        since: Duration,
    },
    Renewing {
        lease: Lease,
        since: Duration,
    },
    Rebinding {
        lease: Lease,
        since: Duration,
    },
}

/// A DHCP client for one interface. Times are durations since any fixed point.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    mac: [u8; 6],
    random: Random,
    state: State,
    xid: u32,
    /// When the first message of this acquisition or extension went out.
    begun: Duration,
    wake_at: Option<Duration>,
    /// Rounds since there was a lease.
    rounds: u32,
    avoid: Vec<Ipv4Addr>,
    servers: Vec<Ipv4Addr>,
    trouble: Option<String>,
    /// Whether the user of this client holds a lease.
    held: bool,
    /// Who else claims the address of the lease.
    detector: Option<Detector>,
    conflicts: Conflicts,
    checks: bool,
}

impl Client {
    /// A client that wants to be woken at `now`, and takes the offers of servers in `avoid` only
    /// if no other server makes one.
    pub(crate) fn new(mac: [u8; 6], random: Random, avoid: Vec<Ipv4Addr>, now: Duration) -> Self {
        Self {
            mac,
            random,
            state: State::Idle,
            xid: 0,
            begun: now,
            wake_at: Some(now),
            rounds: 0,
            avoid,
            servers: Vec::new(),
            trouble: None,
            held: false,
            detector: None,
            conflicts: Conflicts::default(),
            checks: true,
        }
    }

    /// From now on, leases are taken without asking whether another machine has their address:
    /// there is no way to send and receive ARP packets.
    pub(crate) fn without_conflict_check(&mut self) {
        self.checks = false;
        self.detector = None;
    }

    /// When it wants [`Event::Timer`]; `None` for never.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        let detector = self.detector.as_ref().and_then(Detector::wake_at);
        self.wake_at.into_iter().chain(detector).min()
    }

    /// How many times it has asked around since there was a lease.
    pub(crate) const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Servers that have made an offer.
    pub(crate) fn servers(&self) -> &[Ipv4Addr] {
        &self.servers
    }

    /// What went wrong last, other than silence.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether what went wrong last is that another machine has the address.
    pub(crate) const fn in_conflict(&self) -> bool {
        self.conflicts.in_a_row() > 0
    }

    /// Takes an event in; what comes out is to be done in its order.
    pub(crate) fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        match event {
            // Early wake-ups do nothing: whoever calls too often must not make us send too often.
            Event::Timer => {
                let mut actions = self.detect(now, acd::Event::Timer);
                if self.wake_at.is_some_and(|at| at <= now) {
                    actions.extend(self.timer(now));
                }
                actions
            }
            Event::Arp(frame) => self.detect(now, acd::Event::Frame(frame)),
            Event::Datagram(bytes) => match Reply::parse(bytes, self.mac, self.xid) {
                Ok(reply) => self.reply(now, reply),
                Err(_) => Vec::new(),
            },
        }
    }

    fn timer(&mut self, now: Duration) -> Vec<Action> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Idle => self.discover(now, true),
            State::Selecting { fallback: Some((offer, server)) } => self.select(now, offer, server),
            State::Selecting { fallback: None } => self.discover(now, false),
            State::Requesting { offer, server, sent } if sent < MAX_SELECTS => {
                self.send_select(now, offer, server, sent)
            }
            State::Requesting { server, .. } => {
                self.trouble =
                    Some(format!("{server} made an offer, but did not answer the request for it"));
                self.avoid(server);
                self.discover(now, true)
            }
            // Only the detector ends this.
            State::Checking { lease, since } => {
                self.state = State::Checking { lease, since };
                self.wake_at = None;
                Vec::new()
            }
            State::Bound { lease, since }
            | State::Renewing { lease, since }
            | State::Rebinding { lease, since } => self.extend(now, lease, since),
        }
    }

    fn reply(&mut self, now: Duration, reply: Reply) -> Vec<Action> {
        if let (ReplyKind::Offer, Some(server)) = (reply.kind, reply.server) {
            self.remember(server);
        }
        match (&mut self.state, reply.kind, reply.server) {
            (State::Selecting { fallback }, ReplyKind::Offer, Some(server)) => {
                if !self.avoid.contains(&server) {
                    return self.select(now, reply, server);
                }
                if fallback.is_none() {
                    *fallback = Some((reply, server));
                    self.wake_at = Some(now + OTHERS_FIRST);
                }
                Vec::new()
            }
            (State::Requesting { server, offer, .. }, ReplyKind::Ack, Some(from))
                if *server == from && offer.address == reply.address =>
            {
                self.bind(now, reply, from)
            }
            (State::Requesting { server, .. }, ReplyKind::Nak, Some(from)) if *server == from => {
                self.refused(now, from, reply)
            }
            (State::Renewing { lease, .. }, ReplyKind::Ack, from)
                if from.is_none_or(|from| from == lease.server)
                    && reply.address == lease.address =>
            {
                let server = lease.server;
                self.bind(now, reply, server)
            }
            (State::Rebinding { lease, .. }, ReplyKind::Ack, from)
                if reply.address == lease.address =>
            {
                let server = from.unwrap_or(lease.server);
                self.bind(now, reply, server)
            }
            (State::Renewing { lease, .. }, ReplyKind::Nak, Some(from)) if lease.server == from => {
                self.refused(now, from, reply)
            }
            (State::Rebinding { .. }, ReplyKind::Nak, Some(from)) => self.refused(now, from, reply),
            _ => Vec::new(),
        }
    }

    /// Asks all servers; a new round has a new transaction id, a repetition the same.
    fn discover(&mut self, now: Duration, new_round: bool) -> Vec<Action> {
        if new_round {
            self.xid = self.random.next_u32();
        }
        if self.rounds == 0 {
            self.begun = now;
        }
        self.rounds = self.rounds.saturating_add(1);
        self.state = State::Selecting { fallback: None };
        self.wake_at = Some(now + pause(self.rounds, &mut self.random));
        vec![self.send(now, None, QueryKind::Discover)]
    }

    fn select(&mut self, now: Duration, offer: Reply, server: Ipv4Addr) -> Vec<Action> {
        self.send_select(now, offer, server, 0)
    }

    fn send_select(
        &mut self,
        now: Duration,
        offer: Reply,
        server: Ipv4Addr,
        sent: u32,
    ) -> Vec<Action> {
        let sent = sent + 1;
        let query = QueryKind::Select { address: offer.address, server };
        self.state = State::Requesting { offer, server, sent };
        self.wake_at = Some(now + pause(sent, &mut self.random));
        vec![self.send(now, None, query)]
    }

    fn lost(&mut self, why: &'static str) -> Vec<Action> {
        self.detector = None;
        if core::mem::take(&mut self.held) { vec![Action::Lost(why)] } else { Vec::new() }
    }

    fn refused(&mut self, now: Duration, server: Ipv4Addr, reply: Reply) -> Vec<Action> {
        let why = reply.text.as_deref().unwrap_or("it does not say why");
        self.trouble = Some(format!("{server} refused the request: {why}"));
        // It may be the quickest to make an offer again, and to refuse that.
        self.avoid(server);
        self.state = State::Idle;
        self.wake_at = Some(now + pause(self.rounds, &mut self.random));
        // What comes late for the refused request is not to be taken for an answer.
        self.xid = self.random.next_u32();
        self.lost("the server took the lease back")
    }

    fn send(&self, now: Duration, to: Option<Ipv4Addr>, kind: QueryKind) -> Action {
        let secs = u16::try_from(now.saturating_sub(self.begun).as_secs()).unwrap_or(u16::MAX);
        let query = Query { kind, mac: self.mac, xid: self.xid, secs };
        Action::Send { to, message: query.encode() }
    }

    fn remember(&mut self, server: Ipv4Addr) {
        if self.servers.len() < MAX_SERVERS && !self.servers.contains(&server) {
            self.servers.push(server);
        }
    }

    fn avoid(&mut self, server: Ipv4Addr) {
        if self.avoid.len() < MAX_SERVERS && !self.avoid.contains(&server) {
            self.avoid.push(server);
        }
    }
}

#[cfg(test)]
#[path = "fsm_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "conflict_tests.rs"]
mod conflict_tests;
