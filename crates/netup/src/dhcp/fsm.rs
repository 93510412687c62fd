//! The client's states (RFC 2131, figure 5), without clock and without socket: events and the
//! time go in, messages to send and leases come out.
//!
//! Other than in the RFC, the first message goes out at once (there is no fleet that a power cut
//! did not already spread by seconds of firmware), and whoever offers first is taken, unless it is
//! on the list of servers to avoid and another one answers.

use core::net::Ipv4Addr;
use core::time::Duration;

use super::message::Query;
use super::message::QueryKind;
use super::message::Reply;
use super::message::ReplyKind;
use super::message::Route;
use crate::backoff::Random;
use crate::backoff::pause;

/// How often an offered address is asked for before looking for another offer.
const MAX_SELECTS: u32 = 3;
/// How long a server that is to be avoided waits for another one to make an offer.
const OTHERS_FIRST: Duration = Duration::from_secs(3);
/// Shortest pause between two messages that extend a lease (RFC 2131, 4.4.5).
const MIN_EXTEND: Duration = Duration::from_secs(60);
/// Shortest lease that is taken at its word: less would mean a message every few seconds.
const MIN_LEASE: u32 = 16;
/// Lease time where the server says none.
const DEFAULT_LEASE: u32 = 3600;
/// A lease that never ends.
pub(crate) const INFINITE: u32 = u32::MAX;
/// Most servers that are remembered.
const MAX_SERVERS: usize = 8;

/// An address for some time, with what goes with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_len: Option<u8>,
    pub(crate) router: Option<Ipv4Addr>,
    pub(crate) routes: Option<Vec<Route>>,
    pub(crate) dns: Vec<Ipv4Addr>,
    pub(crate) mtu: Option<u16>,
    pub(crate) server: Ipv4Addr,
    /// [`INFINITE`] is for ever.
    pub(crate) seconds: u32,
    renewal: Duration,
    rebinding: Duration,
}

impl Lease {
    fn new(reply: Reply, server: Ipv4Addr) -> Self {
        let seconds = reply.lease_seconds.unwrap_or(DEFAULT_LEASE).max(MIN_LEASE);
        let whole = u64::from(seconds);
        let given = (
            u64::from(reply.renewal_seconds.unwrap_or(0)),
            u64::from(reply.rebinding_seconds.unwrap_or(0)),
        );
        let (renewal, rebinding) = match given {
            (t1, t2) if 1 < t1 && t1 < t2 && t2 < whole => (t1, t2),
            (t1, 0) if 1 < t1 && t1 < whole * 7 / 8 => (t1, whole * 7 / 8),
            _ => (whole / 2, whole * 7 / 8),
        };
        Self {
            address: reply.address,
            prefix_len: reply.prefix_len,
            router: reply.router,
            routes: reply.routes,
            dns: reply.dns,
            mtu: reply.mtu,
            server,
            seconds,
            renewal: Duration::from_secs(renewal),
            rebinding: Duration::from_secs(rebinding),
        }
    }
}

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// [`Client::wake_at`] has come.
    Timer,
    /// A datagram.
    Datagram(&'a [u8]),
}

/// What a client wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Send to this server, or to all.
    Send { to: Option<Ipv4Addr>, message: Vec<u8> },
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
        }
    }

    /// When it wants [`Event::Timer`]; `None` for never.
    pub(crate) const fn wake_at(&self) -> Option<Duration> {
        self.wake_at
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

    /// Takes an event in; what comes out is to be done in its order.
    pub(crate) fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        match event {
            // Early wake-ups do nothing: whoever calls too often must not make us send too often.
            Event::Timer if self.wake_at.is_some_and(|at| at <= now) => self.timer(now),
            Event::Timer => Vec::new(),
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
                    let patience = now + OTHERS_FIRST;
                    self.wake_at = Some(self.wake_at.map_or(patience, |at| at.min(patience)));
                }
                Vec::new()
            }
            (State::Requesting { server, .. }, ReplyKind::Ack, Some(from)) if *server == from => {
                self.bind(now, reply, from)
            }
            (State::Requesting { server, .. }, ReplyKind::Nak, Some(from)) if *server == from => {
                self.refused(now, from, reply)
            }
            (State::Renewing { lease, .. }, ReplyKind::Ack, from)
                if from.is_none_or(|from| from == lease.server) =>
            {
                let server = lease.server;
                self.bind(now, reply, server)
            }
            (State::Rebinding { lease, .. }, ReplyKind::Ack, from) => {
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

    fn bind(&mut self, now: Duration, reply: Reply, server: Ipv4Addr) -> Vec<Action> {
        let lease = Lease::new(reply, server);
        self.rounds = 0;
        self.trouble = None;
        self.wake_at = (lease.seconds != INFINITE).then(|| now + lease.renewal);
        self.state = State::Bound { lease: lease.clone(), since: now };
        vec![Action::Bound(lease)]
    }

    /// Half-way through the lease its server is asked for more, towards its end any server.
    fn extend(&mut self, now: Duration, lease: Lease, since: Duration) -> Vec<Action> {
        let rebinding = since + lease.rebinding;
        let end = since + Duration::from_secs(lease.seconds.into());
        if now >= end {
            self.trouble = Some(format!("the lease of {} has run out", lease.address));
            let mut actions = vec![Action::Lost("no server extended the lease before its end")];
            actions.extend(self.discover(now, true));
            return actions;
        }
        self.xid = self.random.next_u32();
        self.begun = now;
        let query = QueryKind::Extend { address: lease.address };
        let (to, next) =
            if now < rebinding { (Some(lease.server), rebinding) } else { (None, end) };
        let half = next.saturating_sub(now) / 2;
        let at = (now + half.max(MIN_EXTEND)).min(next);
        self.wake_at = Some(at.max(now + Duration::from_secs(1)));
        self.state = if to.is_some() {
            State::Renewing { lease, since }
        } else {
            State::Rebinding { lease, since }
        };
        vec![self.send(now, to, query)]
    }

    fn refused(&mut self, now: Duration, server: Ipv4Addr, reply: Reply) -> Vec<Action> {
        let why = reply.text.as_deref().unwrap_or("it does not say why");
        self.trouble = Some(format!("{server} refused the request: {why}"));
        let had_lease = matches!(self.state, State::Renewing { .. } | State::Rebinding { .. });
        self.state = State::Idle;
        self.wake_at = Some(now + pause(self.rounds, &mut self.random));
        // What comes late for the refused request is not to be taken for an answer.
        self.xid = self.random.next_u32();
        if had_lease { vec![Action::Lost("the server took the lease back")] } else { Vec::new() }
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
